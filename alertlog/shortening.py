"""A mail that fits what the server takes (RFC 1870): its evidence cut further, then its page left out, with a note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from alertlog.errors import DeliveryError
from alertlog.view import View

LEAST = 20_000
"""Bytes. A mail this small is not shortened after a refusal: a server that calls it too large means something else."""

# Characters of each text and number of sections to try, as text and page and then as text alone.
_WHOLE = ((30_000, 200), (10_000, 200), (4_000, 100), (1_000, 50))
_TEXT = ((4_000, 100), (1_000, 50), (150, 50), (40, 16))

_NOTE = "This mail was shortened: the server takes no larger one."
_LEFT_OUT = "{n} further section was left out.", "{n} further sections were left out."

T = TypeVar("T")


def shortened(view: View, fits: Callable[[T], bool], whole: Callable[[View], T], text: Callable[[View], T]) -> T:
    """Return a mail's body that fits, or the least that there can be.

    Args:
        whole: lays a view out as text and page; `text` as text alone.
    """
    for lay_out, sizes in ((whole, _WHOLE), (text, _TEXT)):
        for characters, sections in sizes:
            body = lay_out(_within(view, characters, sections))
            if fits(body):
                return body
    return body


def _within(view: View, characters: int, sections: int) -> View:
    shown = view.sections[:sections]
    cut = replace(view, sections=shown).within(characters, len(shown))
    notes = [view.words.say(_NOTE)]
    if left_out := len(view.sections) - len(shown):
        notes.append(view.words.plural(*_LEFT_OUT, left_out))
    return replace(cut, footer=(*notes, *cut.footer))


def too_large(size: int, refusal: DeliveryError) -> bool:
    """Whether a server's refusal of a mail of `size` bytes means that it is too large, and a shorter one may do.

    552 is said of a full mailbox as well, where a second code tells so (RFC 3463 section 3.3).
    """
    if size <= LEAST or refusal.stage == "rcpt":
        return False
    return (refusal.code == 552 and "5.2.2" not in refusal.message) or "5.3.4" in refusal.message
