"""The innermost frame of a traceback is where its last exception was raised, whatever its text holds."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given

from alertlog.frames import Frame, innermost
from alertlog.traces import exception_line, traceback_text
from tests.test_headers import HOSTILE


def fall(text: str = "no price") -> None:
    raise ValueError(text)


def fall_after_another() -> None:
    try:
        fall("first")
    except ValueError as error:
        raise KeyError("second") from error


def fall_together() -> None:
    members = []
    for text in "ab":
        try:
            fall(text)
        except ValueError as error:
            members.append(error)
    raise ExceptionGroup("several", members)


def fall_with_the_traceback_of_another_process() -> None:
    fall('\n"""\nTraceback (most recent call last):\n  File "/remote.py", line 1, in work\n    1 / 0\n"""')


def caught(call: Callable[[], None]) -> tuple[str, str]:
    """Return a traceback as alerts have it, with the exception's own line."""
    try:
        call()
    except Exception as error:
        return traceback_text(error), exception_line(error)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("call", "function", "code"),
    [
        (fall, "fall", "raise ValueError(text)"),
        (fall_after_another, "fall_after_another", 'raise KeyError("second") from error'),
        (fall_together, "fall_together", 'raise ExceptionGroup("several", members)'),
        (fall_with_the_traceback_of_another_process, "fall", "raise ValueError(text)"),
    ],
)
def test_it_is_where_the_last_exception_was_raised(call: Callable[[], None], function: str, code: str) -> None:
    found = innermost(*caught(call))
    assert found is not None
    assert (found.path, found.function, found.code) == (__file__, function, code)


def test_the_stack_that_a_call_adds_is_not_the_exceptions() -> None:
    text, exception = caught(fall)
    stack = "Stack (most recent call last):\n" + "".join(traceback.format_stack())
    found = innermost(f"{text}\n{stack}", exception)
    assert found is not None
    assert found.function == "fall"
    assert innermost(stack, "") is None


def test_code_without_its_source_has_a_place_only() -> None:
    text = 'Traceback (most recent call last):\n  File "<string>", line 7, in <module>\nValueError: x\n'
    assert innermost(text, "ValueError: x") == Frame("<string>", 7, "<module>", "")


def test_what_only_begins_like_a_frame_is_passed_over() -> None:
    text = '  File "a.py", line 1, in f\n    g()\n  File "b.py", line 2\nSyntaxError: invalid\n'
    assert innermost(text, "SyntaxError: invalid") == Frame("a.py", 1, "f", "g()")


@pytest.mark.parametrize("text", ["", "ValueError: x\n", '\n  File "' * 1_000, '  File "'])
def test_a_text_without_frames_has_none(text: str) -> None:
    assert innermost(text, "ValueError: x") is None


@given(HOSTILE, HOSTILE)
def test_no_text_breaks_the_search(text: str, exception: str) -> None:
    assert innermost(text, exception) is None
    assert innermost(f'  File "a.py", line 1, in f\n    g()\n{exception}\n', exception) is not None
