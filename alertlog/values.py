"""The text of any value, in bounded work: nothing that a program hands to its logger can break this or take long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from alertlog.ending import let_end

NAME_LIMIT = 200
"""Characters kept of a kind, a logger's name, an extra's name and other short texts."""
DEPTH = 6
"""How many containers within containers are looked into."""
LATEST = 253_402_214_400.0
"""Unix time in seconds, the last day of the year 9999: no calendar has a later one."""

_BRACKETS = ((dict, "{}"), (list, "[]"), (tuple, "()"), (set, "{}"), (frozenset, "{}"))
_CONTAINERS = tuple(kind for kind, _brackets in _BRACKETS)
_LEAF = 100_000  # characters or bytes looked at of one string in a container; more than anyone asks for


def text_of(value: object, limit: int) -> str:
    """Return a value as text of at most `limit` characters and a note; where its `str()` raises, say so."""
    if type(value) is str and len(value) <= limit:
        return value
    text, size = sized(value, limit)
    return cut(text, limit, size)


def sized(value: object, limit: int) -> tuple[str, str]:
    """Return a value's text and its size in words; of a container, little more than `limit` characters are made."""
    kind: Any = type(value)  # not isinstance(), which asks a lazy proxy for its `__class__`, and that can raise
    try:
        if issubclass(kind, _CONTAINERS):
            return _joined(_pieces(value, 0), limit), f"{len(value):,} items"  # type: ignore[arg-type]
        text = str.__str__(str(value))  # str() may return a subclass, which may have overridden anything
    except BaseException as error:
        let_end(error)
        text = f"<{kind.__qualname__}: str() raised {type(error).__name__}>"
    return text, f"{len(text):,} characters"


def cut(text: str, limit: int, size: str = "") -> str:
    """Return the text, or its first `limit` characters with a note of the original size."""
    return text if len(text) <= limit else f"{text[:limit]} [... cut, {size or f'{len(text):,} characters'} in all]"


def moment(value: object, otherwise: float) -> float:
    """Return a record's time, Unix time in seconds, or `otherwise` where that is nothing a calendar has."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except BaseException as error:
        let_end(error)
        return otherwise
    return seconds if 0 <= seconds < LATEST else otherwise  # NaN is neither


def _joined(pieces: Iterable[str], limit: int) -> str:
    """Join as many pieces as make more than `limit` characters: a few lists that share items can stand for billions."""
    found: list[str] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > limit:
            break
    return "".join(found)


def _pieces(value: Any, depth: int) -> Iterator[str]:
    kind = type(value)
    brackets = next((brackets for known, brackets in _BRACKETS if issubclass(kind, known)), "")
    if not brackets:
        yield _leaf(value)
    elif depth == DEPTH:
        yield "..."
    else:
        yield brackets[0]
        for number, item in enumerate(value.items() if issubclass(kind, dict) else value):
            yield ", " if number else ""
            if issubclass(kind, dict):
                name, item = item
                yield f"{_leaf(name)}: "
            yield from _pieces(item, depth + 1)
        yield brackets[1]


def _leaf(value: Any) -> str:
    try:
        return repr(value[:_LEAF] if issubclass(type(value), (str, bytes, bytearray)) else value)
    except BaseException as error:
        let_end(error)
        return f"<{type(value).__qualname__}: repr() raised {type(error).__name__}>"
