"""What `alertlog outbox flush` does: a few rounds as a courier makes them, for each owner, and what they came to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import Event
from time import monotonic

from alertlog.alert import Alert
from alertlog.desk import Desk
from alertlog.errors import Category, ConfigError, JournalError
from alertlog.intake import Intake
from alertlog.listing import number
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.rounds import Rounds
from alertlog.unread import unread

LOOK_AGAIN = 0.25
"""Seconds between two looks at what a running process does."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What it came to for one owner; `category` is None if nothing waits any more."""

    owner: Owner
    category: Category | None
    message: str


@dataclass(frozen=True, slots=True)
class _Left:
    """What one owner has here after all.

    Attributes:
        letters: how many could not be sent.
        incidents: how many it is time to tell of, and no letter does.
        unread: alerts in journals that no courier has read.
        later: alerts that are told in their turn: repeats before their interval is over, and what is muted.
    """

    letters: int
    incidents: int
    unread: int
    later: int

    @property
    def waiting(self) -> str:
        """In words, "" for nothing."""
        amounts = ((self.letters, "letter"), (self.incidents, "incident"), (self.unread, "unread alert"))
        return ", ".join(number(count, noun) for count, noun in amounts if count)


def flush(desk: Desk, timeout: float) -> list[Flushed]:
    """Send what waits, whatever its time; repeats too, if no process is there to tell them later.

    Where a running process owns the outbox, wait for that to send.

    Args:
        timeout: seconds to go on for; each owner is tried once at least.

    Raises:
        OutboxError: the outbox can't be changed now.
    """
    desk.hurry()
    until = monotonic() + timeout
    return [_Flush(desk, owner, until).run(leaving=True) for owner in desk.own()]


def flush_due(desk: Desk, timeout: float) -> list[Flushed]:
    """Send what is due, as `flush` does."""
    until = monotonic() + timeout
    return [_Flush(desk, owner, until).run(leaving=False) for owner in desk.own()]


class _Flush:
    """The rounds for one owner, until a time by the monotonic clock."""

    def __init__(self, desk: Desk, owner: Owner, until: float) -> None:
        works = desk.works(owner)
        self._desk = desk
        self._owner = owner
        self._until = until
        self._clock = works.clock
        self._post = desk.post(owner)
        intake = Intake(desk.place, owner, works.clock, _unwritable)
        self._rounds = Rounds(desk.place, owner, self._post, intake, works.reporter, works.clock, environ=os.environ)

    def run(self, *, leaving: bool) -> Flushed:
        """Work, where `leaving` as the last process on the outbox does when it goes: it tells repeats, too."""
        try:
            with self._desk.part(self._owner) as outbox:
                self._work(outbox, leaving=leaving)
                return self._result(outbox)
        finally:
            self._rounds.release()

    def _work(self, outbox: Outbox, *, leaving: bool) -> None:
        before: set[tuple[str, int]] = set()
        while True:
            self._rounds.once(leaving=leaving)
            due = self._due(outbox)
            if not due or (self._rounds.owns and due == before) or monotonic() >= self._until:
                break
            before = due
            if not self._rounds.owns:
                Event().wait(LOOK_AGAIN)

    def _due(self, outbox: Outbox) -> set[tuple[str, int]]:
        now = self._clock.wall()
        letters = {("letter", waiting.id) for waiting in outbox.letters.due(now)}
        incidents = {("incident", one.id) for one in outbox.incidents.due(now) if one.untold or one.resolved}
        unread = self._unread(outbox)
        return letters | incidents | ({("unread", unread)} if unread else set())

    def _unread(self, outbox: Outbox) -> int:
        return unread(self._desk.place, self._owner, outbox.journals.read_to()).alerts

    def _left(self, outbox: Outbox) -> _Left:
        now = self._clock.wall()
        mutes = outbox.mutes.in_force(now)
        due = {incident.id for incident in outbox.incidents.due(now)}
        incidents = later = 0
        for incident in outbox.incidents.unspoken():
            muted = any(mute.covers(incident) for mute in mutes)
            if not muted and (incident.resolved or (incident.untold and (incident.mails == 0 or incident.id in due))):
                incidents += 1
            else:
                later += incident.untold
        letters = sum(not letter.aside for letter in outbox.letters.all())
        return _Left(letters, incidents, self._unread(outbox), later)

    def _result(self, outbox: Outbox) -> Flushed:
        left = self._left(outbox)
        if not left.waiting:
            later = f" but {number(left.later, 'alert')} to be told later: repeats, or muted" if left.later else ""
            return Flushed(self._owner, None, f"nothing waits any more{later}")
        category, error = self._trouble(outbox)
        return Flushed(self._owner, category, f"still waiting: {left.waiting}: {error}")

    def _trouble(self, outbox: Outbox) -> tuple[Category, str]:
        """Return what is in the way."""
        try:
            self._post.read_settings()
        except ConfigError as error:
            return error.category, str(error)
        gate = outbox.gate()
        if gate.failures:
            return "refused" if gate.category == "refused" else "temporary", gate.error
        failed = next((letter.error for letter in outbox.letters.all() if letter.error), "")
        if failed or self._rounds.owns:
            return "temporary", failed or "see the events above"
        return "temporary", "another process is to send it, and has not yet"


def _unwritable(_alert: Alert, _error: JournalError) -> None:
    """Nothing comes in here that would have to be written."""
