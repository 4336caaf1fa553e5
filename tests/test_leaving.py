"""Who waits for a last round, and how long: a flush and its close, a configuration, the end of the process."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable

import pytest

from alertlog.leaving import AT_ONCE, Farewell, Request, Waited

LONG = 60.0


class Missed:
    """How often somebody was told that a round had not been done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def the_wait(request: Request) -> Callable[[], None]:
    """What the process's end calls; from here on the test does."""
    (wait,) = request.waiting
    atexit.unregister(wait)
    return wait


def test_a_wait_counts_for_the_close_right_after_it_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertlog.leaving.monotonic", lambda: 100.0)
    assert Waited().lately() == 0
    assert Waited(3.0, 100.0 - AT_ONCE / 2).lately() == 3
    assert Waited(3.0, 100.0 - AT_ONCE).lately() == 0


def test_at_the_end_nobody_is_told_of_a_round_that_is_done_and_who_was_not_in_time_is_told() -> None:
    missed, request = Missed(), Request(leaving=True)
    Farewell(request, 0.0, missed)
    wait = the_wait(request)
    wait()
    assert missed.times == 1
    request.answer()
    wait()
    assert missed.times == 1


def test_a_round_that_was_done_meanwhile_is_not_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    unregistered: list[object] = []
    monkeypatch.setattr(atexit, "unregister", unregistered.append)
    request = Request(leaving=True)
    request.answer()
    Farewell(request, LONG, Missed())
    monkeypatch.undo()
    assert unregistered == request.waiting
    the_wait(request)


def test_a_child_process_does_not_wait_for_what_is_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    missed, request = Missed(), Request(leaving=True)
    Farewell(request, 0.0, missed)
    wait = the_wait(request)
    monkeypatch.setattr(os, "getpid", os.getppid)
    wait()
    assert missed.times == 0
