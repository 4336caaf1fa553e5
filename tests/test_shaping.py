"""The program's own grouping: what becomes of what it returns, and of what it raises."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest

from alertlog.capture import fingerprint
from alertlog.interrupting import Here
from alertlog.shaping import PROBLEMS_LIMIT, Grouping, digits
from tests.support import record


class Trouble(StrEnum):
    QUOTA = "quota"
    DIGITS = "0123456789abcdef"


class Asked:
    """A grouping, and what it said of failures."""

    def __init__(self, rule: Callable[[logging.LogRecord], Any]) -> None:
        self.here = Here()
        self.problems: list[str] = []
        self.grouping = Grouping(rule, lambda _record, problem: self.problems.append(problem), self.here)

    def of(self, made: logging.LogRecord | None = None) -> str:
        return self.grouping.of(made or record())


@pytest.mark.parametrize(
    "text", ["quota", "", "0123456789ABCDEF", "0123456789abcde", "0" * 32, "\ud800", "é" * 100_000]
)
def test_any_text_becomes_sixteen_hexadecimal_digits_always_the_same(text: str) -> None:
    found = digits(text)
    assert found == digits(text) != digits(f"{text}.")
    assert found != text
    assert len(found) == 16
    assert set(found) <= set("0123456789abcdef")


def test_sixteen_hexadecimal_digits_stay_what_they_are() -> None:
    assert digits("0123456789abcdef") == "0123456789abcdef"


@pytest.mark.parametrize("text", Trouble)
def test_a_kind_of_string_counts_as_the_plain_text_that_it_is(text: Trouble) -> None:
    found = Asked(lambda _record: text).of()
    assert found == digits(text.value)
    assert type(found) is str


def test_each_way_to_fail_is_told_once_and_the_rule_goes_on_to_be_asked() -> None:
    answers: list[Any] = [ValueError(), "quota", 7, ValueError(), 7, SystemExit(), None, KeyError()]

    def rule(_record: logging.LogRecord) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    asked, ours = Asked(rule), fingerprint(record())
    assert [asked.of() for _ in range(8)] == [ours, digits("quota"), *[ours] * 6]
    assert [problem.partition(",")[0] for problem in asked.problems] == [
        "fingerprint raised ValueError",
        "fingerprint returned int",
        "fingerprint raised SystemExit",
        "fingerprint returned NoneType",
        "fingerprint raised KeyError",
    ]


def test_ways_to_fail_that_are_made_without_end_are_told_in_bounds() -> None:
    def rule(made: logging.LogRecord) -> str:
        raise type(f"Strange{made.lineno}", (Exception,), {})

    asked = Asked(rule)
    for number in range(PROBLEMS_LIMIT + 50):
        assert asked.of(record(lineno=number)) == fingerprint(record())
    assert len(asked.problems) == PROBLEMS_LIMIT


def test_an_end_that_a_signal_handler_asks_for_comes_and_the_rule_can_be_asked_again() -> None:
    class Stop:
        def __call__(self, *_: object) -> None:
            raise SystemExit(3)

    ending = [True]

    def rule(made: logging.LogRecord) -> str:
        if ending and ending.pop():
            signal.raise_signal(signal.SIGALRM)
        return made.getMessage()

    asked, before = Asked(rule), signal.signal(signal.SIGALRM, Stop())
    try:
        with pytest.raises(SystemExit):
            asked.of()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert asked.here.asking is None
    assert asked.of() == digits("Disk full")
    assert not asked.problems


def test_a_rule_that_is_under_way_on_this_thread_or_is_what_logged_is_not_asked() -> None:
    asked = Asked(lambda made: f"{made.getMessage()} {asked.of(made)}")
    assert asked.of() == digits(f"Disk full {fingerprint(record())}")
    asked.here.plain = True
    assert asked.of() == fingerprint(record())
