"""From a letter that waits to the bytes for one server: its sender, its recipients, and the room that it has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alertlog.hindsight import clean_draft
from alertlog.letter import Detour, Letter, compose
from alertlog.outbox import Waiting
from alertlog.outcomes import Outcomes
from alertlog.planning import Post

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings


@dataclass(frozen=True, slots=True)
class Sending:
    """One letter on its way."""

    waiting: Waiting
    letter: Letter
    recipients: tuple[str, ...]


class Composer:
    """Writes the letters of one server's turn.

    Args:
        detour: what there is to tell where it is not the first server's; None if there is nothing.
    """

    def __init__(self, post: Post, outcomes: Outcomes, way: SmtpSettings, detour: Detour | None) -> None:
        self._post = post
        self._outcomes = outcomes
        self._way = way
        self._detour = detour

    def sending(self, waiting: Waiting) -> Sending | None:
        """Return the letter for those who lack it; None if nobody does. Raises whatever composing may raise."""
        recipients = tuple(box.address for box in self._way.recipients if box.address not in waiting.done)
        if not recipients:
            return None
        letter = self._letter(waiting)
        self._outcomes.composed(letter)
        return Sending(waiting, letter, recipients)

    def shorter(self, sending: Sending, room: int) -> Sending | None:
        """Return the same letter within so many bytes, as far as that goes; None if it becomes no shorter."""
        letter = self._letter(sending.waiting, room)
        return replace(sending, letter=letter) if len(letter.content) < len(sending.letter.content) else None

    def _letter(self, waiting: Waiting, room: int = 0) -> Letter:
        draft = clean_draft(waiting.draft, self._post.redactor)
        return compose(draft, self._post.wording(), self._way.sender, self._way.recipients, room, self._detour)
