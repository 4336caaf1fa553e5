"""`alertlog run`: the command behaves as it would without, and whoever must know gets a mail. Real processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from alertlog import watch
from alertlog.child import Child
from alertlog.cli import main
from alertlog.passing import Tail
from alertlog.testing import Mail, MailServer
from tests.programs import PATIENCE, Site, told
from tests.servers import ScriptedServer, silence
from tests.test_courier import NO_STACK

READY = 'echo ready; read line; echo "$line"'
"""A shell's part that says so when it runs, and then waits to be told to go on."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: MailServer) -> Site:
    return Site(tmp_path, server, ALERTLOG_SERVICE="vps1-cron")


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The same in this process: what the command is run by makes no difference to what is mailed."""
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    return lambda *words, **options: watch.run(watch.Job(words, **options))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "alertlog", "run", *words]


def run(site: Site, *words: str, stdin: bytes = b"") -> Done:
    done = subprocess.run(
        command(*words), input=stdin, capture_output=True, cwd=site.folder, env=site.environ, timeout=PATIENCE
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(site: Site, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose command has said its first line."""
    process = subprocess.Popen(
        command(*words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=site.folder,
        env=site.environ,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def only(server: MailServer) -> Mail:
    (mail,) = server.mails
    return mail


# As without


def test_output_input_and_exit_code_pass_through_byte_for_byte(site: Site, server: MailServer) -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.stderr.buffer.write(b'\\xfe\\r\\n')"
    done = run(site, "--", sys.executable, "-c", code, stdin=b"\x00\xff no line end")
    assert done == Done(0, b"\x00\xff no line end", b"\xfe\r\n")
    assert server.mails == []
    assert not site.outbox.parent.exists()


@pytest.mark.parametrize("words", [(), ("--",)])
def test_what_follows_the_command_is_the_commands_own(site: Site, words: tuple[str, ...]) -> None:
    done = run(site, *words, "echo", "--name", "x", "--help", "--", "y")
    assert done == Done(0, b"--name x --help -- y\n", b"")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_goes_to_the_command_which_decides(site: Site, server: MailServer, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    with running(site, "--", "sh", "-c", f"trap 'echo caught; exit 7' {name}; {READY}") as process:
        process.send_signal(number)
        process.wait(PATIENCE)  # before its input ends, which would end it as well
        stdout, _stderr = process.communicate()
    assert (process.returncode, stdout) == (7, b"caught\n")
    assert "failed with exit code 7" in only(server).subject


def test_a_command_that_a_signal_ends_gives_its_number_and_128(site: Site, server: MailServer) -> None:
    with running(site, "--", "sh", "-c", READY) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
    assert "was killed by SIGTERM" in only(server).subject
    assert "alertlog was sent that signal and passed it on" in " ".join(only(server).text.split())


def test_a_signal_that_is_ignored_stays_so(site: Site, server: MailServer) -> None:
    """As under nohup."""
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command("--", "sh", "-c", READY)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=site.folder, env=site.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        stdout, _stderr = process.communicate(b"still here\n", timeout=PATIENCE)
    assert (process.returncode, stdout) == (0, b"still here\n")
    assert server.mails == []


def test_a_signal_that_comes_before_the_command_is_there_is_passed_on_when_it_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    child = Child(["sleep", "600"], Tail("sleep"))
    with child.passing_signals_on():
        os.kill(os.getpid(), signal.SIGTERM)
        child.start()
        assert child.wait(PATIENCE)
    assert child.fate().words() == "was killed by SIGTERM: alertlog was sent that signal and passed it on"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_the_command_leaves_in_the_background_is_not_waited_for(site: Site) -> None:
    done = run(site, "--", "sh", "-c", "sleep 600 & echo $!")
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.code == 0


def test_a_reader_that_goes_ends_the_command_as_it_would_without(site: Site, server: MailServer) -> None:
    with running(site, "--", "sh", "-c", "echo ready; exec yes") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    assert "SIGPIPE" in only(server).subject


def test_output_that_no_disk_takes_does_not_end_the_command(site: Site) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("--", "sh", "-c", "echo lost; exit 0"),
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=site.folder,
            env=site.environ,
            timeout=PATIENCE,
        )
    assert done.returncode == 0
    assert done.stderr == b"alertlog: stdout can't be passed on: No space left on device\n"


def test_without_an_open_output_the_command_runs_and_its_output_goes_nowhere(site: Site, server: MailServer) -> None:
    words = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command("--", "sh", "-c", "echo lost; echo kept >&2; exit 3")]
    done = subprocess.run(words, capture_output=True, cwd=site.folder, env=site.environ, timeout=PATIENCE, check=False)
    assert Done(done.returncode, done.stdout, done.stderr) == Done(3, b"", b"kept\n")
    assert "stdout   sh: lost" in only(server).text


@pytest.mark.parametrize(("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")], ids=["ctrl-c", "ctrl-backslash"])
def test_in_a_terminal_the_command_reads_and_has_its_keys_once(
    site: Site, server: MailServer, key: bytes, name: str
) -> None:
    program = f"""
import signal, sys
signal.signal(signal.{name}, lambda *_: print("interrupted", flush=True))
print("ready", flush=True)
while line := sys.stdin.readline():
    print("read", line.strip(), flush=True)
"""
    with terminal(site, "--", sys.executable, "-c", program) as (process, screen):
        said = until(screen, b"ready")
        os.write(screen, key)
        said += until(screen, b"interrupted")
        os.write(screen, b"hello\n")
        said += until(screen, b"read hello")
        os.write(screen, b"\x04")
        assert process.wait(PATIENCE) == 0
    assert said.count(b"interrupted") == 1


@contextmanager
def terminal(site: Site, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run in the foreground of a terminal of its own, and that terminal's other end."""
    screen, device = pty.openpty()
    take = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", take, *command(*words)],
        stdin=device,
        stdout=device,
        stderr=device,
        start_new_session=True,
        cwd=site.folder,
        env=site.environ,
    )
    os.close(device)
    with process:
        try:
            yield process, screen
        finally:
            process.kill()
            os.close(screen)


def until(screen: int, text: bytes) -> bytes:
    said = b""
    while text not in said:
        said += os.read(screen, 1_000)
    return said


# The mail


def test_a_failure_is_mailed_with_the_last_lines_and_without_secrets(site: Site, server: MailServer) -> None:
    site.environ["API_TOKEN"] = "s3cret-of-the-api"
    script = "echo started; echo calling with $API_TOKEN; echo no space left >&2; exit 3"
    done = run(site, "--name", "backup", "--", "sh", "-c", script)
    assert done == Done(3, b"started\ncalling with s3cret-of-the-api\n", b"no space left\n")
    mail = only(server)
    assert mail.subject == "[vps1-cron] CRITICAL: backup failed with exit code 3 after 0 s"
    assert mail.message["X-Alertlog-Kind"] == "run"
    assert "stdout   backup: started" in mail.text
    assert "stderr   backup: no space left" in mail.text
    assert "s3cret" not in mail.text
    for detail in ("command", "exit_code", str(site.folder)):
        assert detail in mail.text


def test_the_mail_has_as_many_lines_as_the_handler_shows(
    site: Site, server: MailServer, here: Callable[..., int]
) -> None:
    config = '{"handlers": {"a": {"class": "alertlog.AlertHandler", "context_lines": %d}}}'
    for lines in (2, 0):
        (site.folder / "logging.json").write_text(config % lines)
        here("sh", "-c", "seq 5; exit 1", config="logging.json", name=f"job{lines}")
    two, none = server.wait_for(2)
    assert [f"job2: {number}" in two.text for number in range(1, 6)] == [False, False, False, True, True]
    assert "job0: 5" not in none.text


@pytest.mark.parametrize("script", ["kill -9 $$", "sh -c 'kill -9 $$'; exit $?"])
def test_a_kill_is_named_and_what_may_be_behind_it(here: Callable[..., int], server: MailServer, script: str) -> None:
    assert here("sh", "-c", script) == 137
    text = " ".join(only(server).text.split())
    assert "SIGKILL" in text
    assert "(OOM)" in text


def test_what_a_program_had_logged_before_it_was_killed_goes_out_with_the_news_of_its_end(
    site: Site, server: MailServer
) -> None:
    program = """
import logging, os, signal
from alertlog import AlertHandler
logging.getLogger().addHandler(AlertHandler())
logging.critical("No price")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(site, "--name", "etl", "--", sys.executable, "-c", program).code == 137
    assert told(server.mails) == 2
    texts = "".join(mail.text for mail in server.mails)
    assert "No price" in texts
    assert "etl was killed by SIGKILL" in texts


def test_while_the_reader_of_the_output_stalls_the_end_is_told_and_a_signal_ends_the_waiting(
    site: Site, server: MailServer
) -> None:
    source, target = os.pipe()
    program = "head -c 300000 /dev/zero & sleep 0.2; kill -9 $$"
    words = [sys.executable, "-m", "alertlog", "run", "--name", "backup", "--", "sh", "-c", program]
    process = subprocess.Popen(words, stdout=target, stderr=subprocess.DEVNULL, cwd=site.folder, env=site.environ)
    os.close(target)
    (mail,) = server.wait_for(1, 60)
    assert "backup was killed by SIGKILL" in mail.subject
    assert process.poll() is None, "there is output to be passed on, should the reader go on"
    process.terminate()
    assert process.wait(60) == 137
    os.close(source)


def test_of_two_failures_in_one_incident_each_tells_what_the_command_wrote_last(site: Site, server: MailServer) -> None:
    for words in ("disk full on a", "login refused by b"):
        run(site, "--name", "backup", "--", "sh", "-c", f"echo {words} >&2; exit 3")
    first, second = server.mails
    assert "backup failed with exit code 3 after 0 s\ndisk full on a\n" in first.text
    assert first.subject.endswith("backup failed with exit code 3 after 0 s")
    assert "login refused by b" in second.text


def test_the_memory_of_a_command_that_had_much_is_told(site: Site, server: MailServer) -> None:
    run(site, "--", sys.executable, "-c", "room = b'x' * (150 << 20); raise SystemExit(1)")
    assert "most_memory" in only(server).text


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("./not-there",), 127, "No such file or directory"),
        (("./not-executable", "x"), 126, "Permission denied"),
        (("./not-executable/below",), 127, "Not a directory"),
        (("./not-there", "\0"), 126, "embedded null byte"),
    ],
)
def test_a_command_that_can_not_be_started_is_mailed_too(
    here: Callable[..., int], server: MailServer, words: tuple[str, ...], code: int, why: str
) -> None:
    Path("not-executable").write_text("#!/bin/sh\n")
    assert here(*words) == code
    assert f"{Path(words[0]).name} could not be started: {why}" in only(server).text


def test_a_success_after_a_failure_resolves_and_further_ones_say_nothing(
    here: Callable[..., int], server: MailServer
) -> None:
    words = ("sh", "-c", "test -e there")
    assert here(*words, name="backup") == 1
    Path("there").touch()
    assert here(*words, name="backup") == 0
    assert here(*words, name="backup") == 0
    opened, resolved = server.mails
    assert "backup failed" in opened.text
    assert "backup succeeded" in resolved.text
    assert resolved.message["In-Reply-To"] == opened.message["Message-ID"]


def test_jobs_of_different_names_are_different_incidents(here: Callable[..., int], server: MailServer) -> None:
    for name in ("one", "two"):
        here("false", name=name, kind="cron")
    one, two = server.mails
    assert one.message["X-Alertlog-Kind"] == two.message["X-Alertlog-Kind"] == "cron"
    assert one.message["X-Alertlog-Fingerprint"] != two.message["X-Alertlog-Fingerprint"]


# Time


def test_a_command_that_runs_too_long_is_mailed_while_it_runs_and_again_when_it_is_over(
    site: Site, server: MailServer
) -> None:
    with running(site, "--max-time", "1s", "--name", "etl", "--", "sh", "-c", READY) as process:
        (late,) = server.wait_for(1)
        stdout, _stderr = process.communicate(b"go on\n", timeout=PATIENCE)
    assert (process.returncode, stdout) == (0, b"go on\n")
    assert "etl still runs after 1 s" in late.text
    assert "etl: ready" in late.text
    _late, resolved = server.mails
    assert "etl succeeded after" in resolved.text


def test_a_command_that_overran_and_then_failed_is_told_whole(site: Site, server: MailServer) -> None:
    with running(site, "--max-time", "1s", "--", "sh", "-c", f"{READY}; echo at last; exit 5") as process:
        server.wait_for(1)
        process.communicate(b"\n", timeout=PATIENCE)
    assert process.returncode == 5
    texts = "".join(mail.text for mail in server.mails)
    assert "failed with exit code 5" in texts


def test_a_command_whose_time_is_over_is_ended_with_all_that_it_started(site: Site, server: MailServer) -> None:
    words = ("--max-time", "1s", "--kill-after", "1s", "--", "sh", "-c", "sh -c 'echo ready; sleep 600; true'; true")
    done = run(site, *words)
    assert done.code == 143
    assert "its time was over" in " ".join("".join(mail.text for mail in server.mails).split())
    assert done.stdout == b"ready\n"


def test_one_that_does_not_end_then_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    child = Child(["sh", "-c", "trap '' TERM; echo ready; sleep 600"], Tail("sh"), mercy=0.05)
    child.start()
    assert not child.wait(0.3)
    child.end()
    assert child.wait(PATIENCE)
    fate = child.fate()
    assert (fate.code, fate.overran) == (137, True)
    child.end()  # a second time there is nothing left to end
    assert capfd.readouterr().out == "ready\n"


def test_in_the_foreground_only_the_command_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its group would be this process too."""
    monkeypatch.setattr("alertlog.child.in_foreground", lambda: True)
    child = Child(["sleep", "600"], Tail("sleep"))
    child.start()
    child.end()
    assert child.fate().words() == "was killed by SIGTERM: its time was over"


def test_a_folder_that_is_gone_is_not_told(here: Callable[..., int], server: MailServer) -> None:
    gone = Path("gone").absolute()
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert here("false") == 1
    assert "exit_code" in only(server).text
    assert "folder" not in only(server).text


# Whatever is wrong with the mail


@pytest.mark.parametrize("config", ["not-there.yaml", "broken.json", "os:no_such_name"])
def test_without_a_configuration_that_can_be_read_the_command_runs_and_is_watched(
    here: Callable[..., int], server: MailServer, config: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("broken.json").write_text("{")
    assert here("sh", "-c", "echo here; exit 4", config=config) == 4
    said = capfd.readouterr()
    assert said.out == "here\n"
    assert "the environment alone says where mail goes" in said.err
    assert "failed with exit code 4" in only(server).text


def test_without_any_settings_the_command_runs_and_the_event_carries_the_alert(tmp_path: Path) -> None:
    bare = Site(tmp_path, None)
    done = run(bare, "--", "sh", "-c", "echo here; exit 4")
    assert (done.code, done.stdout) == (4, b"here\n")
    assert b"smtp_config_missing" in done.stderr
    assert b"failed with exit code 4" in done.stderr


def test_an_alert_that_waits_behind_an_earlier_failure_is_told_whole_though_nothing_is_tried_now(
    site: Site, server: MailServer
) -> None:
    server.stop()
    for name in ("first", "second"):
        done = run(site, "--name", name, "--", "false")
    assert b"second failed with exit code 1" in done.stderr
    assert b'"command": "false"' in done.stderr


def test_without_any_settings_a_success_says_nothing(tmp_path: Path) -> None:
    assert run(Site(tmp_path, None), "--", "echo", "fine") == Done(0, b"fine\n", b"")


def test_a_handler_that_breaks_changes_nothing_for_the_command(site: Site, server: MailServer) -> None:
    (site.folder / "mine.py").write_text(
        "from alertlog import AlertHandler\n"
        "class Broken(AlertHandler):\n"
        "    def alert_of(self, record):\n"
        "        raise LookupError('no alert')\n"
        "LOGGING = {'handlers': {'a': {'()': Broken}, 'b': {'class': 'alertlog.AlertHandler'}}}\n"
    )
    done = run(site, "--config", "mine:LOGGING", "--", "sh", "-c", "exit 4")
    assert done.code == 4
    assert b"alertlog: alerting failed: LookupError: no alert" in done.stderr
    assert "failed with exit code 4" in only(server).text


def test_what_is_said_on_standard_error_has_no_secret(site: Site) -> None:
    (site.folder / "mine.py").write_text(
        "import os\n"
        "from alertlog import AlertHandler\n"
        "class Broken(AlertHandler):\n"
        "    def alert_of(self, record):\n"
        "        raise LookupError('no alert with ' + os.environ['API_TOKEN'])\n"
        "LOGGING = {'handlers': {'a': {'()': Broken}}}\n"
    )
    site.environ["API_TOKEN"] = "s3cret-of-the-api"
    done = run(site, "--config", "mine:LOGGING", "--", "sh", "-c", "exit 4")
    assert done.code == 4
    assert b"alerting failed: LookupError: no alert with" in done.stderr
    assert b"s3cret" not in done.stderr


@pytest.mark.parametrize("few", [False, True], ids=["no thread", "no file"])
def test_where_the_machine_has_no_room_to_read_along_the_command_behaves_as_it_would_without(
    site: Site, server: MailServer, few: bool
) -> None:
    """A limit on processes holds for threads, too."""
    prepare = [f"import threading; threading.stack_size({NO_STACK})", LAST_FILES][few]
    program = f"{prepare}; from alertlog.cli import main; main()"
    words = [sys.executable, "-c", program, "run", "--", "sh", "-c", "echo out; echo err >&2; read line; exit 5"]
    done = subprocess.run(
        words, input=b"line\n", capture_output=True, cwd=site.folder, env=site.environ, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (5, b"out\n")
    assert done.stderr.startswith(b"err\n")
    assert b"in no mail" in done.stderr
    assert b"Traceback" not in done.stderr


LAST_FILES = """
import os, resource
from alertlog import child
begun = child.Child.start
def start(self):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 9, limits[1]))  # two pipes for each output, one for Popen
    begun(self)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
child.Child.start = start
import signal""".strip()


def test_a_command_that_is_waited_for_without_a_thread_has_its_time_and_its_signals(
    capfd: pytest.CaptureFixture[str],
) -> None:
    stack = threading.stack_size(NO_STACK)
    child = Child(["sh", "-c", "echo ready; exec sleep 600"], Tail("sh"))
    try:
        with child.passing_signals_on():
            child.start()
            assert not child.wait(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            assert child.wait(PATIENCE)
    finally:
        threading.stack_size(stack)
    assert child.fate().code == 143
    assert len(child.troubles) == 2


def test_a_mute_server_holds_the_end_for_the_given_time_at_most_and_the_next_run_sends(
    site: Site, server: MailServer
) -> None:
    with ScriptedServer({"greeting": silence}) as mute:
        done = run(Site(site.folder, mute, SMTP_TIMEOUT_SECONDS="1"), "--", "sh", "-c", "exit 4")
    assert done.code == 4
    assert b"smtp_send_failed" in done.stderr
    assert run(Site(site.folder, server), "--", "true").code == 0
    assert "failed with exit code 4" in only(server).text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_mail_is_waited_for_ends_the_waiting_and_keeps_the_exit_code(
    site: Site, number: signal.Signals
) -> None:
    with ScriptedServer({"greeting": silence}) as mute:
        there = Site(site.folder, mute, SMTP_TIMEOUT_SECONDS=str(2 * PATIENCE))
        with running(there, "--", "sh", "-c", "echo ready; exit 4") as process:
            mute.wait_for("greeting")
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
    assert process.returncode == 4


def test_one_signal_ends_one_waiting_that_for_the_reader_or_else_that_for_the_mail() -> None:
    child = Child(["true"], Tail("true"))
    looks: list[float] = []

    def at_the_third_look(seconds: float) -> bool:
        looks.append(seconds)
        return len(looks) == 3

    with child.passing_signals_on():
        child.start()
        assert child.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not child.wait_unless_dismissed(lambda _: False)
        assert child.wait_unless_dismissed(at_the_third_look)
    assert len(looks) == 3
    assert child.fate().code == 0


# Usage


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument"),
        (("--max-time", "0s", "true"), "30d at most"),
        (("--max-time", "31d", "true"), "30d at most"),
        (("--max-time", "soon", "true"), "such as 90s"),
        (("--kill-after", "1s", "true"), "--max-time"),
        (("--kind", " ", "true"), "is empty"),
    ],
)
def test_wrong_usage_is_said_before_anything_runs(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["run", *words])
    assert result.exit_code == 2
    assert said in result.output
