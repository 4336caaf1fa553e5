"""The text of an exception, in bounded work whatever the exception is.

`traceback.TracebackException` builds the whole chain before it prints a line of it, and trusts `__str__`: with
2,000 chained exceptions, or one whose text is 10 MB or raises, that is too much for the thread that logs.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from itertools import islice
from logging import LogRecord
from types import TracebackType
from typing import Any, TypeVar

from alertlog.ending import let_end

T = TypeVar("T")

FRAMES = (20, 40)
"""How many outermost and innermost frames of a traceback are shown."""
LINKS = (10, 10)
"""How many outermost and innermost exceptions of a chain are shown."""
WALKED = 10_000
"""How many exceptions of a chain are looked at in all."""
GROUP_MEMBERS = 10
GROUP_DEPTH = 4
MEMBER_TEXT = 20_000
"""Characters shown of one exception's own text."""
WHOLE_TEXT = 500_000
"""Characters after which no more is made: groups of chains of groups multiply."""

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def exception_of(record: LogRecord) -> BaseException | None:
    """Return the exception that a record was logged with."""
    info: Any = record.exc_info  # a record that was rebuilt from what another process sent may have anything there
    if info is None and type(record.msg) is dict:  # structlog may leave it in its event dict
        info = record.msg.get("exc_info")
        info = sys.exc_info() if info is True else info
    # By type(): isinstance() asks a proxy for the class it pretends to be, and that may raise.
    value = info[1] if issubclass(type(info), tuple) and len(info) > 1 else info
    return value if issubclass(type(value), BaseException) else None


def exception_line(value: BaseException) -> str:
    """Return the line that names the exception, as the interpreter prints it last: `ValueError: no price`."""
    kind = type(value)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    text = own_text(value)
    return f"{name}: {text}" if text else name


def own_text(value: BaseException) -> str:
    """Return `str(value)` cut to size; where that raises, say so."""
    try:
        text = str.__str__(str(value))  # which may return a subclass of str, with methods of its own
    except BaseException as error:
        let_end(error)
        return f"<str() raised {type(error).__name__}>"
    if len(text) <= MEMBER_TEXT:
        return text
    # Between two words, if there are any: what is redacted later must not know half a secret only.
    end = text.rfind(" ", MEMBER_TEXT - 1_000, MEMBER_TEXT)
    return f"{text[: end if end > 0 else MEMBER_TEXT]} [... {len(text):,} characters]"


def traceback_text(value: BaseException) -> str:
    """Return the formatted traceback of an exception and of those that led to it, innermost cause first."""
    lines: list[str] = []
    size = 0
    for line in _chain_lines(value, depth=0):
        lines.append(line)
        size += len(line)
        if size > WHOLE_TEXT:
            lines.append("[what comes after this is left out]\n")
            break
    return "".join(lines)


def links(value: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield the exceptions of a chain, outermost first, each with the sentence that joins it to the next."""
    seen: set[int] = set()
    link: BaseException | None = value
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if link.__cause__ is not None:
            yield link, _CAUSE
            link = link.__cause__
        else:
            yield link, _CONTEXT
            link = None if link.__suppress_context__ else link.__context__


def _chain_lines(value: BaseException, depth: int) -> Iterator[str]:
    chain = list(islice(links(value), WALKED))
    shown, left_out = _ends(chain, LINKS)
    innermost = len(shown) - 1
    for position in range(innermost, -1, -1):
        link, joint = shown[position]
        if position != innermost:
            yield joint
        yield from _exception_lines(link, depth)
        if left_out and position == LINKS[0]:
            yield f"\n[{left_out:,} exceptions of this chain are left out here]\n"


def _exception_lines(value: BaseException, depth: int) -> Iterator[str]:
    if value.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frame_lines(value.__traceback__)
    yield f"{_syntax_place(value)}{exception_line(value)}\n"
    for note in _notes(value):
        yield f"{note}\n"
    if isinstance(value, BaseExceptionGroup):
        yield from _group_lines(value, depth)


def _frame_lines(trace: TracebackType) -> Iterator[str]:
    frames = list(traceback.walk_tb(trace))
    shown, left_out = _ends(frames, FRAMES)
    for position, frame in enumerate(shown):
        if left_out and position == FRAMES[0]:
            yield f"  [{left_out:,} frames are left out here]\n"
        yield from traceback.StackSummary.extract(iter([frame])).format()


def _group_lines(group: BaseExceptionGroup[BaseException], depth: int) -> Iterator[str]:
    if depth == GROUP_DEPTH:
        yield f"  [{len(group.exceptions):,} exceptions nested deeper are left out here]\n"
        return
    for number, member in enumerate(group.exceptions[:GROUP_MEMBERS], 1):
        yield f"  +---------------- {number} of {len(group.exceptions):,} ----------------\n"
        for text in _chain_lines(member, depth + 1):
            yield "".join(f"  | {line}\n" for line in text.splitlines())
    if len(group.exceptions) > GROUP_MEMBERS:
        yield f"  [{len(group.exceptions) - GROUP_MEMBERS:,} further exceptions of this group are left out here]\n"


def _syntax_place(value: BaseException) -> str:
    if isinstance(value, SyntaxError) and value.filename:
        return f'  File "{value.filename}", line {value.lineno}\n'
    return ""


def _notes(value: BaseException) -> list[str]:
    notes = getattr(value, "__notes__", None)
    return (
        [note[:MEMBER_TEXT] for note in notes[:GROUP_MEMBERS] if isinstance(note, str)]
        if isinstance(notes, list)
        else []
    )


def _ends(items: list[T], ends: tuple[int, int]) -> tuple[list[T], int]:
    """Return the items at both ends, and how many between them are left out."""
    head, tail = ends
    if len(items) <= head + tail:
        return items, 0
    return items[:head] + items[-tail:], len(items) - head - tail
