"""One round: an outbox that fails, is locked, is damaged or belongs to somebody else, and what is said of it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from alertlog import rounds
from alertlog.bounds import Bounds
from alertlog.policy import CLOCK_JUMP
from alertlog.testing import MailServer
from tests.behaviours import PATIENCE, then
from tests.conversation import Conversation
from tests.programs import Site, told
from tests.servers import ScriptedServer
from tests.sessions import eventually
from tests.stories import DAY, HOUR, Story, count


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program writes to the outbox, and takes its time."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def opened_at(story: Story, times: int) -> None:
    story.alert(times=times)
    story.work()


# Whose outbox it is


def test_of_two_processes_one_sends_and_takes_the_others_alerts_along(file: Path, server: MailServer) -> None:
    first, second = Story(file, server), Story(file, server)
    first.alert("Disk a full")
    first.work()
    second.alert("Disk b full")
    second.work()
    assert len(server.mails) == 1
    first.work()
    assert told(server.mails) == 2
    first.end()
    second.alert("Disk c full")
    second.work()
    assert told(server.mails) == 3
    assert second.rounds is not None
    assert second.rounds.owns


def test_released_rounds_own_again_at_their_next_use(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    story.alert("Disk a full")
    story.work()
    assert story.rounds is not None
    for disk in "bc":
        story.rounds.release()
        story.rounds.release()
        assert not story.rounds.owns
        story.alert(f"Disk {disk} full")
        story.work()
        assert story.rounds.owns
    assert len(server.mails) == 3


def test_who_owns_an_outbox_in_memory_needs_no_lock(server: MailServer) -> None:
    story = Story(None, server)
    opened_at(story, 1)
    assert story.rounds is not None
    assert story.rounds.owns
    story.rounds.release()
    assert story.rounds.owns


# An outbox that fails


def test_an_outbox_locked_for_a_moment_costs_nothing_but_the_moment(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    with locked(file):
        story.alert("Another trouble")
        story.work(1)
        assert len(server.mails) == 1
    story.work(1)
    assert told(server.mails) == 2
    assert "outbox_unavailable" not in story.recorder.names


def test_an_outbox_locked_for_long_is_stood_in_for_by_memory_and_every_alert_is_told_once(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    opened_at(story, 2)
    with locked(file):
        story.alert("Another trouble", times=3)
        for _ in range(4):
            story.work(4)
        assert told(server.mails) == 5
        story.alert("Another trouble", times=4)
        story.alert("A third trouble", times=5)
        story.work(1)
    (unavailable,) = story.recorder.named("outbox_unavailable")
    assert unavailable.fields["stage"] == "outbox"
    story.work_for(2 * HOUR)
    assert told(server.mails) == story.raised == 14
    assert (story.untold, story.letters) == (0, [])
    with locked(file):
        story.alert("A fourth trouble")
        for _ in range(4):
            story.work(4)
    assert len(story.recorder.named("outbox_unavailable")) == 2


def test_while_memory_stands_in_and_after_it_the_ration_is_the_same(file: Path, server: MailServer) -> None:
    story = Story(file, server, mails_per_hour=2)
    opened_at(story, 1)
    for _ in range(2):
        with locked(file):
            story.alert("Another trouble")
            for _ in range(4):
                story.work(4)
        story.work(4)
        assert len(server.mails) == 1
    story.work(2 * HOUR)
    assert told(server.mails) == story.raised


def test_a_letter_put_off_while_memory_stands_in_waits_as_long_as_ever(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    with ScriptedServer({"RCPT": "451 4.7.1 greylisted"}) as greylisting, locked(file):
        story.environ["SMTP_PORT"] = str(greylisting.port)
        story.alert("Another trouble")
        story.work_for(24, each=8)
        tries = greylisting.steps.count("RCPT")
        story.work_for(4, each=1)
        assert greylisting.steps.count("RCPT") - tries <= 1


def test_a_damaged_outbox_is_set_aside_a_new_one_begun_and_nothing_lost(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    story.restart()
    file.write_bytes(b"This is no database. " * 500)
    story.alert("Another trouble")
    story.work()
    story.work(1)
    (corrupt,) = story.recorder.named("outbox_corrupt")
    assert "set aside as" in corrupt.message
    assert "Another trouble" in {mail.subject.rpartition(": ")[2] for mail in server.mails[1:]}
    assert (story.untold, story.letters) == (0, [])


def test_an_outbox_that_was_removed_is_made_anew(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    story.alert("Another trouble")
    story.work(1)
    assert told(server.mails) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE stands for a full disk")
def test_on_a_full_disk_mail_goes_out_from_memory_and_what_was_accepted_is_not_sent_twice(
    tmp_path: Path, server: MailServer
) -> None:
    program = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        handler = AlertHandler()
        log.addHandler(handler)
        log.critical("Disk a full")
        handler.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        log.critical("Disk b full")
        log.critical("Disk c full")
        handler.flush()
        log.critical("Disk b full")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        handler.flush()
        handler.close()
    """
    outcome = Site(tmp_path, server).run(program)
    assert outcome.status == 0
    assert "outbox_unavailable" in outcome.names
    assert told(server.mails) == 4
    assert len({str(mail.message["Message-ID"]) for mail in server.mails}) == len(server.mails)


# What is said


def test_of_many_incidents_that_open_at_once_twenty_are_told_and_the_others_counted(
    file: Path, server: MailServer
) -> None:
    story = Story(file, server)
    story.bounds = Bounds(incidents=2_000)
    for number in range(1_234):
        story.alert(f"Trouble {number}", fingerprint=f"{number:016x}")
    story.work()
    opened = story.recorder.named("incident_opened")
    assert len(opened) == rounds.TOLD_AT_ONCE + 1
    assert opened[-1].message == "and 1,214 more at the same time"


def test_the_letters_under_way_can_be_seen_while_they_are(file: Path) -> None:
    seen: list[str] = []
    story = Story(file, None)

    def look(_conversation: Conversation) -> None:
        seen.extend(alert.message for alert in story.courier.under_way())

    with ScriptedServer({"dot": then(look, "250 ok")}) as server:
        story.environ |= Story(None, server).environ
        assert story.courier.under_way() == []
        opened_at(story, 1)
        assert seen == ["Disk full"]
        assert story.courier.under_way() == []


def test_repeats_are_written_down_also_while_a_slow_server_holds_the_courier(file: Path) -> None:
    """Else a kill would cost those of a whole attempt."""
    story = Story(file, None)
    written: list[bool] = []

    def look(_conversation: Conversation) -> None:
        story.alert(times=3)
        journal = story.intake.journal
        assert journal is not None
        size = journal.size
        written.append(eventually(lambda: journal.size > size))

    with ScriptedServer({"dot": [then(look, "250 ok"), "250 ok"]}) as server:
        story.environ |= Story(None, server).environ
        opened_at(story, 1)
        assert written == [True]
        story.restart()  # as after a kill
        story.work(301)
        assert len(server.contents) == 2
    assert (story.untold, story.letters) == (0, [])
    assert sum(event.message.startswith("follow-up") for event in story.recorder.named("smtp_send_succeeded")) == 1


# Clocks


@pytest.mark.parametrize("by", [-DAY, DAY])
def test_a_clock_that_is_set_shifts_the_back_off_with_it(file: Path, server: MailServer, by: float) -> None:
    server.stop()
    story = Story(file, server)
    opened_at(story, 1)
    for _ in range(4):
        story.work(story.gate.due - story.clock.wall() + 0.01)
    left = story.gate.due - story.clock.wall()  # 80 s or more
    story.clock.set_wall(story.clock.wall() + by)
    story.work(1)
    assert story.gate.due - story.clock.wall() == pytest.approx(left - 1)
    assert len(story.recorder.named("smtp_send_failed")) == 5


def test_a_small_step_of_the_clock_is_not_followed(file: Path, server: MailServer) -> None:
    story = Story(file, server, repeat_after=300)
    opened_at(story, 1)
    story.clock.set_wall(story.clock.wall() + CLOCK_JUMP - 1)
    story.alert()
    story.work(245)
    assert len(server.mails) == 2


# Forks


def test_before_a_fork_the_outbox_is_closed_and_after_it_goes_on(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    assert story.rounds is not None
    for _ in range(2):
        assert story.rounds.before_fork()
        working = Thread(target=story.work)
        working.start()
        working.join(0.05)
        assert working.is_alive()  # it waits for the fork
        story.rounds.after_fork()
        working.join(PATIENCE)
        assert not working.is_alive()
    story.alert("Another trouble")
    story.work()
    assert told(server.mails) == 2


def test_a_fork_while_a_letter_is_under_way_does_not_lose_its_outcome(file: Path) -> None:
    story = Story(file, None)

    def fork(_conversation: Conversation) -> None:
        assert story.rounds is not None
        assert story.rounds.before_fork()
        story.rounds.after_fork()

    with ScriptedServer({"dot": then(fork, "250 ok")}) as server:
        story.environ |= Story(None, server).environ
        opened_at(story, 3)
        story.work(1)
        assert len(server.contents) == 1
    assert (story.untold, story.letters) == (0, [])


def test_a_fork_does_not_wait_for_ever_for_a_courier_that_is_stuck(
    file: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(file, server)
    opened_at(story, 1)
    assert story.rounds is not None
    monkeypatch.setattr(rounds, "FORK_WAIT", 0.05)
    assert story.rounds.before_fork()
    assert not story.rounds.before_fork()  # the first one has the lock
    story.rounds.after_fork()
    assert story.rounds.before_fork()
    story.rounds.after_fork()


def test_letters_of_a_round_that_was_cut_short_go_with_the_next_one(file: Path) -> None:
    began = Event()
    with ScriptedServer({"dot": ["250 ok", then(lambda _: began.set(), "421 4.3.2 closing"), "250 ok"]}) as server:
        story = Story(file, server)
        for disk in "abc":
            story.alert(f"Disk {disk} full", times=2)
        story.work()
        assert began.is_set()
        story.work(7)
        assert len(server.contents) == 4
    assert (story.untold, story.letters) == (0, [])


def test_a_count_is_exact_over_many_rounds_of_one_process(file: Path, server: MailServer) -> None:
    story = Story(file, server)
    for number in range(50):
        story.alert(times=number)
        story.work(20)
    story.leave()
    assert told(server.mails) == story.raised == 1_225
    assert sum(map(count, server.mails)) == 1_225
