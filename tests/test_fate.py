"""How a command's end is told, as a number and in words."""

from __future__ import annotations

import signal

import pytest

from alertlog.fate import Fate


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3, 3), (255, 255), (-9, 137), (-15, 143)])
def test_the_exit_code_is_the_one_that_a_shell_gives(status: int, code: int) -> None:
    assert Fate(status).code == code


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (Fate(0), "succeeded"),
        (Fate(0, oom_kills=1), "succeeded"),
        (Fate(3), "failed with exit code 3"),
        (Fate(127), "failed with exit code 127: a command in it was not found"),
        (Fate(126), "failed with exit code 126: a command in it can't be executed"),
        (Fate(-signal.SIGSEGV), "was killed by SIGSEGV"),
        (Fate(-63), "was killed by signal 63"),
        (Fate(143), "failed with exit code 143: as shells put it, SIGTERM killed a part of it"),
        (Fate(255), "failed with exit code 255"),
        (Fate(-15, overran=True), "was killed by SIGTERM: its time was over"),
        (Fate(-9, overran=True, passed_on=15), "was killed by SIGKILL: its time was over"),
        (Fate(-15, passed_on=15), "was killed by SIGTERM: alertlog was sent that signal and passed it on"),
        (Fate(1, passed_on=15), "failed with exit code 1"),
        (Fate(127, trouble="No such file or directory"), "could not be started: No such file or directory"),
    ],
)
def test_it_is_said_how_a_command_ended_and_why_as_far_as_that_is_known(fate: Fate, words: str) -> None:
    assert fate.words() == words


def test_how_long_it_ran_stands_before_the_reason() -> None:
    assert Fate(-15, overran=True).words("2 h") == "was killed by SIGTERM after 2 h: its time was over"


@pytest.mark.parametrize("status", [-9, 137])
def test_sigkill_is_said_to_be_perhaps_for_want_of_memory(status: int) -> None:
    assert "SIGKILL" in Fate(status).words()
    assert Fate(status).words().endswith("or by the kernel for want of memory (OOM)")


@pytest.mark.parametrize("status", [-9, 137, 1])
def test_kills_that_the_kernel_counted_are_told_whatever_the_command_made_of_them(status: int) -> None:
    assert Fate(status, oom_kills=2).words().endswith("the kernel killed meanwhile for want of memory (OOM): 2")
