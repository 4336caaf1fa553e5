"""Disks that are full, read-only, damaged, busy or gone, and a broken stderr: nothing the caller could notice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from alertlog.testing import MailServer
from tests.needs import lacking
from tests.programs import PATIENCE, Outcome, Site, told, wait_until_told
from tests.support import fill, small_disk

LISTENS = """
listen()
print("listening", flush=True)
slowest = 0.0
while text := sys.stdin.readline().strip():
    started = time.perf_counter()
    log.critical(text)
    slowest = max(slowest, time.perf_counter() - started)
    print(text, flush=True)
print(slowest, flush=True)
"""
"""A program that raises an alert for each line it reads, and ends at an empty one."""

GENEROUS = 2.0
"""Seconds that a call may take on a busy machine; whoever waits for a disk or a lock waits longer."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server)


class Listener:
    """The program above while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._line() == "listening"

    def critical(self, text: str) -> None:
        """Have it raise an alert."""
        self._tell(text)
        assert self._line() == text

    def end(self) -> float:
        """Have it end, and return the seconds that its slowest call took."""
        self._tell("")
        seconds = float(self._line())
        assert self.process.wait(PATIENCE) == 0
        return seconds

    def _tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def listener(site: Site, **environ: str) -> Iterator[Listener]:
    with site.running(LISTENS, **environ) as process:
        yield Listener(process)


def carried(outcome: Outcome) -> list[str]:
    """The messages of the alerts that a program's events carry whole."""
    return [event["alert"]["message"] for event in outcome.events if "traceback" in event.get("alert", {})]


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until a condition holds, and look often: the outbox tells nobody when it is written to."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.02)


def wait_for_subjects(server: MailServer, *subjects: str) -> None:
    """Wait until mails with all these subjects have come."""
    count = 0
    while not set(subjects) <= {mail.subject for mail in server.mails}:
        count = len(server.wait_for(count + 1, timeout=30))


def rows(outbox: Path, text: str) -> int:
    """How many incidents in the outbox's file hold this text."""
    if not os.path.exists(outbox):
        return 0
    with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM incident WHERE alert LIKE ?", (f"%{text}%",)).fetchone()
        return int(number)


FAILS = """
listen()
try:
    raise ValueError("no price")
except ValueError:
    log.critical("Prices are missing", exc_info=True, extra={"alert": "prices", "provider": "marketstack"})
"""


# No place to write to


@contextmanager
def read_only_disk(folder: Path) -> Iterator[Path]:
    with small_disk(folder, 100) as disk:
        done = subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, text=True, check=False)
        if done.returncode:
            lacking("mount", done.stderr.strip())
        yield disk


@contextmanager
def below_a_file(folder: Path) -> Iterator[Path]:
    (folder / "file").touch()
    yield folder / "file" / "state"


@contextmanager
def kernels_own(_folder: Path) -> Iterator[Path]:
    yield Path("/proc/self")


@pytest.mark.parametrize("place", [read_only_disk, below_a_file, kernels_own])
def test_an_alert_that_can_be_written_nowhere_is_in_an_event_and_is_mailed_all_the_same(
    site: Site, server: MailServer, place: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    with place(site.folder) as folder:
        outcome = site.run(FAILS, ALERTLOG_OUTBOX=str(folder / "alerts.sqlite3"))
    assert outcome.status == 0
    (event,) = (event for event in outcome.events if event["event"] == "outbox_unavailable" and "alert" in event)
    assert event["alert"]["message"] == "Prices are missing"
    assert event["alert"]["extras"] == {"provider": "marketstack"}
    assert "ValueError: no price" in event["alert"]["traceback"]
    assert "ValueError: no price" in server.mails[0].text
    assert told(server.mails) == 1


def test_of_a_burst_that_can_be_written_nowhere_each_alert_is_whole_in_an_event(site: Site, server: MailServer) -> None:
    (site.folder / "file").touch()
    program = """
def burst(name):
    for number in range(100):
        try:
            raise ValueError(f"in {name}-{number}")
        except ValueError:
            log.critical("Call %s-%d failed %s", name, number, "x" * 5_000, exc_info=True)

listen(fingerprint=lambda record: record.getMessage())
threads = [threading.Thread(target=burst, args=(name,)) for name in "abcd"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    nowhere = str(site.folder / "file" / "alerts.sqlite3")
    outcome = site.run(program, ALERTLOG_OUTBOX=nowhere, PYTHONUNBUFFERED="1")  # as in many an image
    assert outcome.status == 0
    told_of = {event["alert"]["message"]: event["alert"] for event in outcome.events if "alert" in event}
    names = [f"{name}-{number}" for name in "abcd" for number in range(100)]
    assert set(told_of) == {f"Call {name} failed {'x' * 5_000}" for name in names}
    assert all(f"ValueError: in {message.split()[1]}" in alert["traceback"] for message, alert in told_of.items())
    assert told(server.mails) == 400


def test_without_a_home_and_without_a_place_given_memory_and_an_event_have_the_alert(
    site: Site, server: MailServer
) -> None:
    program = """
for name in ("ALERTLOG_OUTBOX", "XDG_STATE_HOME", "HOME"):
    os.environ.pop(name, None)
os.setresuid(54_321, 0, 0)  # a user that no list of users knows, as in many a container
"""
    outcome = site.run(program + FAILS)
    assert outcome.status == 0
    assert "smtp_config_invalid" in outcome.names
    assert carried(outcome)[0] == "Prices are missing"
    assert told(server.mails) == 1


def test_repeats_are_counted_exactly_in_memory_too(site: Site, server: MailServer) -> None:
    (site.folder / "file").touch()
    program = "listen()\nfor number in range(20_000):\n    log.critical('Quota used up: %d', number)\n"
    assert site.run(program, ALERTLOG_OUTBOX=str(site.folder / "file" / "alerts.sqlite3")).status == 0
    assert told(server.mails) == 20_000


# A full disk


def test_a_full_disk_neither_loses_an_alert_nor_holds_the_caller_and_memory_goes_to_it_once_there_is_room(
    site: Site, server: MailServer
) -> None:
    with small_disk(site.folder, 1_024) as disk:
        there = Site(site.folder, server, ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3"))
        with listener(there) as program:
            program.critical("Before")
            server.wait_for(1)
            filler = fill(disk)
            program.critical("While it is full")
            program.critical("While it is full, too")
            wait_until_told(server, 3)
            server.stop()
            program.critical("Nobody hears")
            filler.unlink()
            program.critical("There is room")
            wait_until(lambda: rows(disk / "alerts.sqlite3", "Nobody hears"))
            program.process.kill()
        with MailServer("none") as later:
            there.run("listen()\nlog.info('Started')\n", SMTP_PORT=str(later.port))
        assert told([*server.mails, *later.mails]) == 5


def test_a_disk_that_is_full_from_the_start_delays_no_mail(site: Site, server: MailServer) -> None:
    with small_disk(site.folder, 64) as disk:
        fill(disk)
        there = Site(site.folder, server, ALERTLOG_OUTBOX=str(disk / "alerts.sqlite3"))
        with listener(there) as program:
            for number in range(1, 4):
                program.critical("Disk full: " + "x" * number)
                wait_until_told(server, number)
            assert program.end() < GENEROUS
    assert told(server.mails) == 3


def test_a_limit_to_the_size_of_files_is_a_full_disk(site: Site, server: MailServer) -> None:
    program = """
import resource

listen()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for number in range(100):
    log.critical("%s", "x" * 1_000, extra={"alert": f"kind-{number}"})
"""
    outcome = site.unmeasured().run(program)
    assert outcome.status == 0
    assert "outbox_unavailable" in outcome.names
    assert told(server.mails) == 100


# A damaged outbox


def test_a_damaged_outbox_is_set_aside_with_an_event_and_a_new_one_begun(site: Site, server: MailServer) -> None:
    site.outbox.parent.mkdir()
    site.outbox.write_bytes(b"This is no database. " * 1_000)
    outcome = site.run("listen()\nlog.critical('Disk full')\n")
    assert outcome.status == 0
    assert "outbox_corrupt" in outcome.names
    (aside,) = site.outbox.parent.glob("alerts.sqlite3.corrupt-*")
    assert aside.read_bytes().startswith(b"This is no database.")
    assert told(server.mails) == 1


def test_an_outbox_damaged_while_two_programs_use_it_is_set_aside_once_and_both_go_on(
    site: Site, server: MailServer
) -> None:
    with listener(site) as first, listener(site) as second:
        first.critical("Before")
        server.wait_for(1)
        second.critical("Before, too")
        server.wait_for(2)
        with site.outbox.open("r+b") as file:
            file.write(b"\0" * 4_096)
        Path(f"{site.outbox}-wal").write_bytes(b"")
        first.critical("After")
        second.critical("After, too")
        wait_for_subjects(server, "[etl] CRITICAL: After", "[etl] CRITICAL: After, too")
        first.end()
        second.end()
    assert len(list(site.outbox.parent.glob("*.corrupt-*"))) <= 3  # with its -wal and -shm


# A busy, removed or shared place


def test_a_database_that_somebody_else_has_locked_holds_no_caller_and_delays_the_mail_only(
    site: Site, server: MailServer
) -> None:
    with listener(site) as program:
        program.critical("Before")
        server.wait_for(1)
        with closing(sqlite3.connect(site.outbox, isolation_level=None)) as busy:
            busy.execute("BEGIN EXCLUSIVE")
            for number in range(200):
                program.critical("Meanwhile" + "x" * (number % 2))
            busy.execute("ROLLBACK")
        wait_until_told(server, 3)
        assert program.end() < GENEROUS
    assert told(server.mails) == 201


def test_a_folder_removed_while_a_program_runs_is_made_anew(site: Site, server: MailServer) -> None:
    with listener(site) as program:
        program.critical("Before")
        server.wait_for(1)
        shutil.rmtree(site.outbox.parent)
        program.critical("After")
        wait_until_told(server, 2)
        program.critical("Long after")
        wait_until_told(server, 3)
        wait_until(lambda: site.outbox.exists() and len(site.journals) == 1)
        program.end()
    assert told(server.mails) == 3


def test_files_are_for_their_owner_alone_and_so_is_a_folder_that_we_make(site: Site, server: MailServer) -> None:
    program = """
os.umask(0)
listen()
log.critical("Disk full")
log.handlers[0].flush()
for path in sorted(pathlib.Path(os.environ["ALERTLOG_OUTBOX"]).parent.iterdir()):
    print(oct(path.stat().st_mode & 0o777), path.suffix)
"""
    outcome = site.run("import pathlib\n" + program)
    assert sorted(outcome.stdout.splitlines()) == [
        "0o600 .journal",
        "0o600 .lock",
        "0o600 .sqlite3",
        "0o600 .sqlite3-shm",
        "0o600 .sqlite3-wal",
    ]
    assert stat.S_IMODE(site.outbox.parent.stat().st_mode) == 0o700
    assert told(server.mails) == 1


def test_a_folder_that_was_there_keeps_its_mode(site: Site) -> None:
    site.outbox.parent.mkdir(mode=0o755)
    assert site.run("listen()\nlog.critical('Disk full')\n").status == 0
    assert stat.S_IMODE(site.outbox.parent.stat().st_mode) == 0o755


# A broken stderr


@pytest.mark.parametrize(
    "breaking",
    [
        "sys.stderr.close()",
        "sys.stderr = None",
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
        "os.dup2(os.open(os.devnull, os.O_RDONLY), 2)",
    ],
    ids=["closed", "none", "full", "read-only"],
)
def test_a_broken_stderr_changes_nothing(site: Site, server: MailServer, breaking: str) -> None:
    outcome = site.run(f"{breaking}\nlisten()\nlog.critical('Disk full')\nprint('done')\n")
    assert (outcome.status, outcome.stdout) == (0, "done\n")
    assert told(server.mails) == 1


def test_a_program_that_was_started_without_a_stderr_ends_as_ever(site: Site, server: MailServer) -> None:
    program = site.folder / "started.sh"
    program.write_text('exec "$@" 2>&-\n')
    outcome = site.run(
        """
import subprocess
import threading
import time

os.execvp("sh", ["sh", sys.argv[1], sys.executable, "-c", sys.argv[2]])
""",
        str(program),
        "import logging, alertlog; logging.getLogger('etl').addHandler(alertlog.AlertHandler());"
        " logging.getLogger('etl').critical('Disk full')",
    )
    assert outcome.status == 0
    assert told(server.mails) == 1
