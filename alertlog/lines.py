"""What is shown of the records that came before an alert: filled in, without secrets, and cut to size."""

from __future__ import annotations

from typing import Any

from alertlog.alert import Line
from alertlog.capture import SEAM, Redacts
from alertlog.ending import let_end
from alertlog.values import NAME_LIMIT, cut, moment, text_of

LINE_LIMIT = 1_000
"""Characters shown of one record."""
CONTEXT_LIMIT = 32_768
"""Bytes of text, in UTF-8, that one alert carries; older records stay out."""

_SLACK = 1_024  # Redact before the last cut: half a secret left by a first one would not be known again.
LINE_KEPT = LINE_LIMIT + _SLACK
"""Characters kept of one record until it is shown."""

Kept = tuple[float, str, str, str, tuple[Any, ...]]
"""When, level, logger, text, and the arguments that are still to be filled into it."""


def lines_of(kept: list[Kept], redactor: Redacts) -> tuple[Line, ...]:
    """Return as many of the last records as the limit allows, without secrets."""
    texts = _fitting([_filled(text, arguments) for *_, text, arguments in kept])
    number = len(texts)
    shown = kept[len(kept) - number :]
    times = [created if type(created) is float else moment(created, 0.0) for created, *_ in shown]
    names = [text_of(name, LINE_KEPT) for name in (*(line[1] for line in shown), *(line[2] for line in shown))]
    clean = _redacted([*texts, *names], redactor)
    names = [cut(name, NAME_LIMIT) for name in clean[number:]]
    return tuple(zip(times, names[:number], names[number:], map(_shown, texts, clean[:number]), strict=True))


def _filled(text: str, arguments: tuple[Any, ...]) -> str:
    try:
        return text % arguments if arguments else text
    except Exception as error:  # they do not fit
        let_end(error)
        return f"{text} {arguments}"


def _fitting(texts: list[str]) -> list[str]:
    """Return as many of the last texts as the limit allows."""
    if 4 * sum(map(len, texts)) <= CONTEXT_LIMIT:  # no character takes more
        return texts
    room = CONTEXT_LIMIT
    for number, text in enumerate(reversed(texts)):
        shown = text[:LINE_LIMIT]
        room -= len(shown) if shown.isascii() else len(shown.encode("utf-8", "surrogatepass"))
        if room < 0:
            return texts[len(texts) - number :]
    return texts


def _redacted(texts: list[str], redactor: Redacts) -> list[str]:
    """Return the texts without secrets, in one go: what a call costs by itself is more than a short text does."""
    joined = SEAM.join(texts)
    if redactor.harmless(joined):
        return texts
    clean = redactor.text(joined).split(SEAM)  # of the patterns of secrets, only a key without an end crosses a seam
    return clean if len(clean) == len(texts) else [redactor.text(text) for text in texts]


def _shown(text: str, clean: str) -> str:
    if len(text) >= LINE_KEPT:  # it was cut, and what is left at its end may be half a secret
        return f"{clean[: max(0, min(LINE_LIMIT, len(clean) - _SLACK))]} [... cut]"
    return clean if len(clean) <= LINE_LIMIT else f"{clean[:LINE_LIMIT]} [... cut]"
