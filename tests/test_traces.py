"""The text of an exception: like the interpreter's own, but in bounded work whatever the exception is."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import pytest

from alertlog.traces import (
    FRAMES,
    GROUP_DEPTH,
    GROUP_MEMBERS,
    LINKS,
    MEMBER_TEXT,
    WALKED,
    WHOLE_TEXT,
    exception_line,
    links,
    own_text,
    traceback_text,
)


class Named(ValueError):
    pass


class Mute(ValueError):
    def __str__(self) -> NoReturn:
        raise ZeroDivisionError


def caught(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def fail(error: BaseException) -> NoReturn:
    raise error


def chain(length: int) -> BaseException:
    """So many exceptions, each the cause of the next."""
    error: BaseException = ValueError("number 0")
    for number in range(1, length):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    return error


def as_the_interpreter_does(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def without_marks(text: str) -> str:
    """The text without the lines that only mark a place in a line of code."""
    return "\n".join(line for line in text.splitlines() if not line.strip() or set(line.strip()) - set("^~"))


def from_a_cause() -> None:
    try:
        fail(KeyError("AAPL"))
    except KeyError as error:
        raise Named("no price") from error


def in_handling() -> None:
    try:
        fail(KeyError("AAPL"))
    except KeyError:
        fail(Named("no price"))


def from_none() -> None:
    try:
        fail(KeyError("AAPL"))
    except KeyError:
        raise Named("no price") from None


def with_notes() -> None:
    error = Named("no price")
    error.add_note("ticker AAPL\nat NASDAQ")
    error.add_note("tried twice")
    raise error


@pytest.mark.parametrize(
    "act",
    [lambda: fail(ValueError("no price")), lambda: fail(KeyError()), from_a_cause, in_handling, from_none, with_notes],
)
def test_an_ordinary_traceback_is_as_the_interpreter_prints_it(act: Callable[[], object]) -> None:
    error = caught(act)
    assert without_marks(traceback_text(error)) == without_marks(as_the_interpreter_does(error))


def test_the_line_that_names_an_exception_is_as_the_interpreter_prints_it() -> None:
    for error in (ValueError("no price"), ValueError(), Named("no"), KeyError("AAPL"), SystemExit(3)):
        assert exception_line(error) == traceback.format_exception_only(error)[-1].rstrip("\n")


def test_an_exception_that_was_never_raised_is_shown_by_its_line() -> None:
    assert traceback_text(ValueError("no price")) == "ValueError: no price\n"


def test_a_syntax_error_tells_its_place() -> None:
    error = caught(lambda: compile("price =", "rates.py", "exec"))
    assert '  File "rates.py", line 1\nSyntaxError: ' in traceback_text(error)
    assert traceback_text(SyntaxError("bare")) == "SyntaxError: bare\n"


def test_where_an_exceptions_text_raises_that_is_said() -> None:
    assert exception_line(Mute()) == f"{__name__}.Mute: <str() raised ZeroDivisionError>"
    assert "<str() raised ZeroDivisionError>" in traceback_text(caught(lambda: fail(Mute())))


def test_a_text_that_is_no_plain_one_is_made_one() -> None:
    class Text(str):
        __slots__ = ()

        def __len__(self) -> NoReturn:
            raise ZeroDivisionError

        def __str__(self) -> str:
            return self

    class Lazy(ValueError):
        def __str__(self) -> str:
            return Text("no price")

    assert own_text(Lazy()) == "no price"


def test_a_long_text_is_cut_between_two_words_with_a_note_of_its_size() -> None:
    text = own_text(ValueError("word " * 1_000_000))
    assert text == f"{'word ' * (MEMBER_TEXT // 5 - 1)}word [... 5,000,000 characters]"
    assert own_text(ValueError("x" * 1_000_000)) == f"{'x' * MEMBER_TEXT} [... 1,000,000 characters]"


@pytest.mark.parametrize("notes", [None, "no list", [5, "a note", object()], ["x" * 1_000_000] * 1_000])
def test_notes_are_what_they_are_only_texts_and_not_many(notes: object) -> None:
    error = ValueError("no price")
    error.__notes__ = notes  # type: ignore[assignment]
    text = traceback_text(error)
    assert text.startswith("ValueError: no price\n")
    assert len(text) < (GROUP_MEMBERS + 1) * (MEMBER_TEXT + 10)
    assert ("a note\n" in text) == (notes == [5, "a note", notes[2]] if isinstance(notes, list) else False)


def test_of_a_long_chain_both_ends_are_shown_and_the_rest_is_counted() -> None:
    text = traceback_text(chain(2_000))
    assert text.count("ValueError: ") == sum(LINKS)
    assert text.startswith("ValueError: number 0\n")
    assert text.endswith("ValueError: number 1999\n")
    assert "number 9\n\n[1,980 exceptions of this chain are left out here]\n\nThe above exception" in text
    assert f"number {2_000 - LINKS[0]}\n" in text


def test_a_chain_of_just_so_many_is_whole() -> None:
    text = traceback_text(chain(sum(LINKS)))
    assert text.count("ValueError: ") == sum(LINKS)
    assert "left out" not in text


def test_no_more_of_a_chain_is_looked_at_than_makes_sense() -> None:
    started = time.perf_counter()
    text = traceback_text(chain(50_000))
    assert time.perf_counter() - started < 5
    assert f"[{WALKED - sum(LINKS):,} exceptions" in text


def test_a_chain_that_runs_in_a_circle_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    assert [link for link, _joint in links(first)] == [first, second]
    first.__cause__ = first
    assert [link for link, _joint in links(first)] == [first]
    assert traceback_text(first) == "ValueError: first\n"


def test_of_a_deep_recursion_the_outermost_and_innermost_frames_are_shown() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            fail(ValueError("at last"))
        recurse(depth - 1)

    error = caught(lambda: recurse(500))
    text = traceback_text(error)
    frames = len(list(traceback.walk_tb(error.__traceback__)))
    assert text.count("  File ") == sum(FRAMES)
    assert text.count("in recurse") == sum(FRAMES) - 3
    assert f"  [{frames - sum(FRAMES)} frames are left out here]\n" in text
    assert text.endswith("in fail\n    raise error\nValueError: at last\n")


def test_an_endless_recursion_is_shown() -> None:
    def recurse() -> None:
        recurse()

    text = traceback_text(caught(recurse))
    assert text.splitlines()[-1].startswith("RecursionError: maximum recursion depth exceeded")
    assert text.count("  File ") == sum(FRAMES)


def test_the_members_of_a_group_are_numbered_and_indented() -> None:
    group = BaseExceptionGroup("two failed", [caught(lambda: fail(KeyError("AAPL"))), caught(from_a_cause)])
    lines = traceback_text(group).splitlines()
    assert lines[0] == "ExceptionGroup: two failed (2 sub-exceptions)"
    assert lines[1] == "  +---------------- 1 of 2 ----------------"
    assert lines[2] == "  | Traceback (most recent call last):"
    assert "  | KeyError: 'AAPL'" in lines
    assert "  | The above exception was the direct cause of the following exception:" in lines
    assert lines[-1] == f"  | {__name__}.Named: no price"


def test_of_a_large_group_the_first_members_are_shown_and_the_rest_is_counted() -> None:
    text = traceback_text(ExceptionGroup("many", [ValueError(str(number)) for number in range(500)]))
    assert text.count("  | ValueError: ") == GROUP_MEMBERS
    assert f"[{500 - GROUP_MEMBERS} further exceptions of this group are left out here]" in text


def test_of_groups_within_groups_the_outer_ones_are_shown() -> None:
    group: Exception = ValueError("innermost")
    for number in range(100):
        group = ExceptionGroup(f"level {number}", [group])
    text = traceback_text(group)
    assert text.count("ExceptionGroup: ") == GROUP_DEPTH + 1
    assert "[1 exceptions nested deeper are left out here]" in text


def test_groups_of_chains_of_groups_are_cut_before_they_cost_anything() -> None:
    group: Exception = ValueError("x" * 10_000)
    for _ in range(GROUP_DEPTH):
        group = ExceptionGroup("ten", [group] * 10)
    group.__cause__ = group.__context__ = ExceptionGroup("and in a circle, too", [group])
    started = time.perf_counter()
    text = traceback_text(group)
    assert time.perf_counter() - started < 5
    assert len(text) < WHOLE_TEXT + 2 * MEMBER_TEXT
    assert text.endswith("[what comes after this is left out]\n")
