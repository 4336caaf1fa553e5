"""What `alertlog outbox flush` does: a few rounds as a courier makes them, for each owner, and what they came to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import Event
from time import monotonic

from alertlog.alert import Alert, Incident
from alertlog.desk import Desk
from alertlog.errors import Category, JournalError
from alertlog.intake import Intake
from alertlog.listing import moment, number, standing
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.progress import Heard, Observer
from alertlog.rounds import Rounds
from alertlog.unread import unread

IN_ITS_TURN = ("told", "elsewhere", "muted", "repeat")
"""Why an incident waits that has not to be told now."""
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
        alerts: how many alerts all these are.
        later: alerts that are told in their turn: repeats before their interval is over, and what is muted.
    """

    letters: int
    incidents: int
    unread: int
    alerts: int
    later: int

    @property
    def waiting(self) -> str:
        """In words, "" for nothing."""
        amounts = ((self.letters, "letter"), (self.incidents, "incident"), (self.unread, "unread alert"))
        return ", ".join(number(count, noun) for count, noun in amounts if count)


def flush(desk: Desk, timeout: float, observer: Observer) -> list[Flushed]:
    """Send what waits, whatever its time; repeats too, if no process is there to tell them later.

    Where a running process owns the outbox, wait for that to send.

    Args:
        timeout: seconds to go on for; each owner is tried once at least.

    Raises:
        OutboxError: the outbox can't be changed now.
    """
    desk.hurry()
    until = monotonic() + timeout
    return [Flush(desk, owner, until, observer).run(leaving=True) for owner in desk.own()]


def flush_due(desk: Desk, timeout: float, observer: Observer) -> list[Flushed]:
    """Send what is due, as `flush` does."""
    until = monotonic() + timeout
    return [Flush(desk, owner, until, observer).run(leaving=False) for owner in desk.own()]


class Flush:
    """The rounds for one owner, until a time by the monotonic clock."""

    def __init__(self, desk: Desk, owner: Owner, until: float, observer: Observer) -> None:
        works = desk.works(owner)
        self._desk = desk
        self._owner = owner
        self._until = until
        self._clock = works.clock
        self._observer = observer
        self._heard = Heard(observer.events(works))
        self._aside: set[int] = set()
        intake = Intake(desk.place, owner, works.clock, _unwritable)
        self._rounds = Rounds(desk.place, owner, desk.post(owner), intake, self._heard, works.clock, environ=os.environ)

    def run(self, *, leaving: bool) -> Flushed:
        """Work, where `leaving` as the last process on the outbox does when it goes: it tells repeats, too."""
        try:
            with self._desk.part(self._owner) as outbox:
                self._aside = _aside(outbox)
                self._work(outbox, leaving=leaving)
                return self._result(outbox)
        finally:
            self._rounds.release()

    def _work(self, outbox: Outbox, *, leaving: bool) -> None:
        before: set[tuple[str, int]] = set()
        while True:
            self._observer.waits(self._left(outbox).alerts)
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
        stands = standing(self._desk, self._owner, outbox)
        waiting: list[Incident] = []
        later: list[Incident] = []
        for incident in outbox.incidents.unspoken():
            (later if stands.of_incident(incident).why in IN_ITS_TURN else waiting).append(incident)
        letters = [letter for letter in outbox.letters.all() if not letter.aside]
        unread = self._unread(outbox)
        told = sum(0 if letter.told else letter.draft.count for letter in letters) + _untold(waiting)
        return _Left(len(letters), len(waiting), unread, told + unread, _untold(later))

    def _result(self, outbox: Outbox) -> Flushed:
        left = self._left(outbox)
        if not left.waiting:
            later = f" but {number(left.later, 'alert')} to be told later: repeats, or muted" if left.later else ""
            refused = len(_aside(outbox) - self._aside)
            if refused:
                said = f"{number(refused, 'letter')} refused for good and set aside, see alertlog outbox list and retry"
                return Flushed(self._owner, "permanent", f"{said}; nothing else waits{later}")
            return Flushed(self._owner, None, f"nothing waits any more{later}")
        category, error = self._trouble(outbox)
        return Flushed(self._owner, category, f"still waiting: {left.waiting}: {error}")

    def _trouble(self, outbox: Outbox) -> tuple[Category, str]:
        """Return what is in the way."""
        stands = standing(self._desk, self._owner, outbox)
        gate, way = stands.gate, stands.way()
        if stands.problem:
            return "refused", stands.problem
        if gate.failures:
            again = f"{gate.error}; tried again {moment(gate.due)}" if gate.due else gate.error
            return "refused" if gate.category == "refused" else "temporary", again
        waiting = [letter for letter in outbox.letters.all() if letter.due > stands.now and not letter.aside]
        if waiting:
            return "temporary", f"{waiting[0].error}; tried again {moment(waiting[0].due)}"
        if way.why == "ration" and way.until:
            return "temporary", f"{way.text}; the next one may go {moment(way.until)}"
        return "temporary", self._hindrance()

    def _hindrance(self) -> str:
        """Return why nothing has gone though nothing has failed."""
        if not self._rounds.owns:
            return "another process is to send it, and has not yet"
        if monotonic() >= self._until:
            return "the time is over; run it again, or with a longer --timeout"
        return "see above" if self._heard.anything else "another process keeps the outbox busy"


def _aside(outbox: Outbox) -> set[int]:
    return {letter.id for letter in outbox.letters.all() if letter.aside}


def _untold(incidents: list[Incident]) -> int:
    return sum(incident.untold for incident in incidents)


def _unwritable(_alert: Alert, _error: JournalError) -> None:
    """Nothing comes in here that would have to be written."""
