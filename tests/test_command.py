"""Running a program for what it prints: bounded in time and in output, no child left behind, no secret shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from alertlog.clock import SystemClock
from alertlog.command import COMPLAINT_LIMIT, OUTPUT_LIMIT, output_of
from alertlog.errors import DeadlineExceeded, ServerUnavailable, SessionRefused
from alertlog.testing import ManualClock
from alertlog.wire import Deadline
from tests.sessions import eventually


def python(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", program, *arguments)


def run(words: tuple[str, ...], seconds: float = 20.0) -> bytes:
    return output_of(words, Deadline(SystemClock(), seconds))


def test_what_a_program_prints_is_returned_and_its_complaints_are_not() -> None:
    assert run(python("import sys; print('token'); print('by the way', file=sys.stderr)")) == b"token\n"


def test_arguments_are_passed_on_as_they_are_and_no_shell_looks_at_them() -> None:
    assert run(python("import sys; print(sys.argv[1:])", "$HOME", "a b", "; exit")) == b"['$HOME', 'a b', '; exit']\n"


def test_a_program_has_nothing_to_read_and_a_session_of_its_own() -> None:
    words = python("import os, sys; print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())")
    assert run(words) == b"'' True\n"


def test_a_program_that_fails_may_work_later_and_its_last_words_are_told() -> None:
    complaint = "import sys; sys.exit('Traceback\\nPlease run az login.\\n \\n')"
    with pytest.raises(
        ServerUnavailable, match=r"token command .* failed with exit code 1: Please run az login\."
    ) as e:
        run(python(complaint))
    assert e.value.stage == "token"


def test_a_program_that_says_nothing_of_its_failure_is_told_by_its_exit_code() -> None:
    with pytest.raises(ServerUnavailable, match=r"exit code 3\Z"):
        run(python("raise SystemExit(3)"))


def test_a_program_that_a_signal_ended_is_told_by_the_signal() -> None:
    with pytest.raises(ServerUnavailable, match="ended by signal 9"):
        run(python("import os; os.kill(os.getpid(), 9)"))


def test_its_last_words_are_cut_printable_and_without_what_looks_like_a_token() -> None:
    words = python("import sys; sys.exit('no \\x1b[1m eyJ0eXAi' + 'x' * 40 + ' ' + 'so ' * 200)")
    with pytest.raises(ServerUnavailable) as caught:
        run(words)
    said = str(caught.value).partition("exit code 1: ")[2]
    assert said.startswith("no  [1m [redacted] so so")
    assert len(said) == COMPLAINT_LIMIT


def test_its_arguments_are_in_no_error() -> None:
    with pytest.raises(ServerUnavailable) as caught:
        run(python("raise SystemExit(1)", "--password=geheim"))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("words", [("/nowhere/a-command",), (__file__,), ("a\0b",)])
def test_what_can_not_be_run_is_the_operators_to_repair(words: tuple[str, ...]) -> None:
    with pytest.raises(SessionRefused, match="can't be run") as caught:
        run(words)
    assert caught.value.__cause__ is None


def test_a_program_that_floods_is_stopped() -> None:
    with pytest.raises(SessionRefused, match=f"more than {OUTPUT_LIMIT:,} bytes"):
        run(python("while True: print('x' * 1_000)"))


def test_complaints_without_an_end_cost_no_memory_and_no_time() -> None:
    assert run(python("import sys; sys.stderr.write('x' * 5_000_000); print('token')")) == b"token\n"


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"


def test_a_program_that_does_not_end_is_killed_with_all_processes_of_its_group(tmp_path: Path) -> None:
    started = tmp_path / "pids"
    program = (
        "import os, pathlib, sys, threading\n"
        "child = os.fork()\n"
        "if child:\n"
        "    pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} {child}')\n"
        "threading.Event().wait()\n"
    )
    with pytest.raises(DeadlineExceeded, match="did not end in time"):
        run(python(program, str(started)), 0.5)
    processes = [int(number) for number in started.read_text().split()]
    assert len(processes) == 2
    assert eventually(lambda: all(map(gone, processes)))


def test_a_program_that_closes_its_output_and_lives_on_is_killed() -> None:
    with pytest.raises(DeadlineExceeded):
        run(python("import os, threading; os.close(1); os.close(2); threading.Event().wait()"), 0.5)


def test_with_no_time_left_nothing_is_waited_for() -> None:
    clock = ManualClock()
    deadline = Deadline(clock, 1.0)
    clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        output_of(python("import threading; threading.Event().wait()"), deadline)


class Interrupted(Exception):
    pass


class Interrupting(Deadline):
    """Stands for a signal's handler that raises while the program is waited for."""

    def left(self) -> float:
        raise Interrupted


def test_an_interruption_leaves_no_program_behind(tmp_path: Path) -> None:
    started = tmp_path / "fifo"
    os.mkfifo(started)
    with pytest.raises(Interrupted):
        # `Popen` waits at the end of its block: it would hang here if the program had not been killed.
        output_of(python("import sys; open(sys.argv[1])", str(started)), Interrupting(SystemClock(), 1.0))
