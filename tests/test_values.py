"""The text of any value: whatever a program hands to its logger, it is text, in bounded work."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from math import inf, nan
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.values import LATEST, cut, moment, sized, text_of
from tests.support import TIME

Point = namedtuple("Point", "x y")


class Raises:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error or ZeroDivisionError("no")

    def __str__(self) -> NoReturn:
        raise self.error

    __repr__ = __str__


class Proxy:
    """As frameworks have them: of what is not there now, not even the class can be asked."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("working outside of a request")

    @__class__.setter
    def __class__(self, _value: Any) -> None: ...


class Text(str):
    """A text that is none: `str()` returns it as it is."""

    __slots__ = ()

    def __len__(self) -> NoReturn:
        raise ZeroDivisionError

    def __str__(self) -> str:
        return self


class Mute(dict[str, str]):
    def items(self) -> NoReturn:
        raise KeyError("gone")


def looped() -> list[object]:
    loop: list[object] = [1]
    loop.append(loop)
    return loop


WRONG_TIMES: list[Any] = ["2026-01-01", None, [], nan, inf, -inf, -1.0, LATEST, 10**400, Raises()]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(), st.builds(Raises),
    st.builds(Proxy), st.builds(Text), st.builds(Mute, a=st.text()), st.builds(lambda: 10**5000),
    st.builds(looped),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(VALUES, st.integers(1, 300))
def test_any_value_has_a_text_within_the_limit_and_a_note(value: object, limit: int) -> None:
    text = text_of(value, limit)
    assert type(text) is str
    assert len(text) <= limit + 60


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ü\ud800", "ü\ud800"),
        (5, "5"),
        (None, "None"),
        (Decimal("1.50"), "1.50"),
        ([1, "a", [2.5, None]], "[1, 'a', [2.5, None]]"),
        ({"a": {"b": (1, 2)}, 3: set()}, "{'a': {'b': (1, 2)}, 3: {}}"),
        (frozenset([1]), "{1}"),
        (OrderedDict(a=1), "{'a': 1}"),
        (defaultdict(list, a=[]), "{'a': []}"),
        (Point(1, "b"), "(1, 'b')"),
        ([[[[[[["deep"]]]]]]], "[[[[[[...]]]]]]"),
        (looped(), "[1, [1, [1, [1, [1, [1, ...]]]]]]"),
        (Raises(), "<Raises: str() raised ZeroDivisionError>"),
        ([1, Raises(), 2], "[1, <Raises: repr() raised ZeroDivisionError>, 2]"),
        ({Raises(): 1}, "{<Raises: repr() raised ZeroDivisionError>: 1}"),
        (10**5000, "<int: str() raised ValueError>"),
        (Mute(), "<Mute: str() raised KeyError>"),
        (Text("text"), "text"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_as_what_it_is_and_a_failure_by_its_name(value: object, text: str) -> None:
    assert text_of(value, 1_000) == text


def test_a_proxy_that_can_not_be_asked_for_its_class_is_shown_all_the_same() -> None:
    assert text_of(Proxy(), 1_000).startswith("<")
    assert text_of({"request": Proxy(), "user": 7}, 1_000).endswith(", 'user': 7}")


def test_what_ends_a_program_is_not_taken_for_a_value_that_fails() -> None:
    with pytest.raises(KeyboardInterrupt):
        text_of(Raises(KeyboardInterrupt()), 100)


@pytest.mark.parametrize(
    ("value", "note"),
    [
        ("x" * 5_000, " [... cut, 5,000 characters in all]"),
        (Decimal(10) ** 20, " [... cut, 21 characters in all]"),
        (list(range(100_000)), " [... cut, 100,000 items in all]"),
        ({"text": "x" * 5_000}, " [... cut, 1 items in all]"),
    ],
)
def test_what_is_cut_says_how_large_it_was(value: object, note: str) -> None:
    text = text_of(value, 10)
    assert text.endswith(note)
    assert len(text) == 10 + len(note)


def test_a_text_of_just_the_limit_is_whole() -> None:
    assert text_of("x" * 10, 10) == cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 11, 10) == "x" * 10 + " [... cut, 11 characters in all]"


@pytest.mark.parametrize("size", [1_000_000, 2_000_000])
def test_of_a_container_no_more_is_looked_at_than_is_shown(size: int) -> None:
    shared: list[object] = ["ha"] * 50
    for _ in range(5):  # six lists in memory, fifteen billion of them on paper
        shared = [shared] * 50
    started = time.perf_counter()
    for value in (shared, dict.fromkeys(range(size)), {"a": "x" * size}, {"a": b"x" * size}, [bytearray(size)]):
        assert len(sized(value, 5_000)[0]) < 500_000
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (TIME, TIME),
        (5, 5.0),
        (str(TIME), TIME),
        (Decimal(5), 5.0),
        *((wrong, TIME) for wrong in WRONG_TIMES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_time_that_no_calendar_has_is_replaced(value: object, seconds: float) -> None:
    assert moment(value, TIME) == seconds
