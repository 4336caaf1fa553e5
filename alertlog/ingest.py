"""How alerts come into the outbox: into the incident that they belong to, or a new one, or what an overflow folds.

And how far each journal is read, which is noted in the same transaction, so that nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from alertlog import policy
from alertlog.alert import Incident, Tally
from alertlog.bounds import Bounds, fold, is_folded
from alertlog.database import Database
from alertlog.incidents import Incidents
from alertlog.policy import Pace
from alertlog.samples import SAMPLES, ended


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a journal, by the name of its file: from one offset in bytes to another."""

    journal: str
    begin: int
    end: int


class Ingest:
    """Counts alerts in for one owner. Transactions are the outbox's."""

    def __init__(self, database: Database, incidents: Incidents, pace: Pace, bounds: Bounds) -> None:
        self._database = database
        self._incidents = incidents
        self._pace = pace
        self._bounds = bounds
        self._closed: list[Incident] = []

    def count(self, tallies: Iterable[Tally], now: float) -> list[Incident]:
        """Count tallies in; return what opened.

        What would open more incidents than there is room for is counted together, one incident a kind.
        """
        opened: list[Incident] = []
        crowd: list[Tally] = []
        room = self._room(now)
        for tally in tallies:
            known = self._open_incident(tally, now)
            if known is not None:
                self._incidents.count(known, tally, now, SAMPLES if room else 0)
            elif tally.alert.resolved:
                continue  # a program that says so at each good run wants no mail about it
            elif len(opened) < room or tally.alert.test:
                opened.append(self._incidents.add(tally, now, folded=is_folded(tally.alert)))
            else:
                crowd.append(tally)
        return opened + self._fold(crowd, now)

    def take_closed(self) -> list[Incident]:
        """Return what was closed to make room since this was asked last."""
        closed, self._closed = self._closed, []
        return closed

    def _open_incident(self, tally: Tally, now: float) -> Incident | None:
        """Return the open incident that a tally belongs to, if that is not over by now."""
        known = None if tally.alert.test else self._incidents.open_with(tally.alert.fingerprint)
        if known is None or not self._is_over(known, tally, now):
            return known
        self._incidents.end(known)
        return None

    def _is_over(self, known: Incident, tally: Tally, now: float) -> bool:
        """Return whether this is new trouble: after the other's end, or after it has been quiet for long enough.

        Quiet by both clocks: the records' jumps when the calendar is set, the courier's does not see when an alert
        that lay in a journal was raised.
        """
        if tally.alert.resolved:
            return False
        over = known.resolved and tally.last >= ended(known, known.last)
        return over or min(tally.first - known.last, now - known.seen) >= self._pace.quiet_after

    # Bounds

    def _room(self, now: float) -> int:
        """Return how many incidents may open; where there is little room, first close what is told and quiet."""
        number = self._incidents.number()
        if number > self._bounds.incidents - self._bounds.margin:
            closed = self._incidents.told_before(now - policy.QUIET_ENOUGH, self._bounds.margin)
            self._incidents.remove(closed)
            self._closed += closed
            number -= len(closed)
        full = self._database.used() > self._bounds.bytes // 2
        return 0 if full else max(0, self._bounds.incidents - number)

    def _fold(self, crowd: list[Tally], now: float) -> list[Incident]:
        opened = []
        for tally in fold(crowd):
            known = self._folded(tally, now)
            if known is None and self._incidents.number() >= self._bounds.incidents + self._bounds.margin:
                (tally,) = fold([replace(tally, alert=tally.alert._replace(kind=""))])  # there are too many kinds, too
                known = self._folded(tally, now)
            if known is None:
                opened.append(self._incidents.add(tally, now, folded=True))
            else:
                self._incidents.count(known, tally, now, samples=0)
        return opened

    def _folded(self, tally: Tally, now: float) -> Incident | None:
        """Return the folded incident to count in: what is untold goes on though it is over, and takes no more room."""
        known = self._incidents.open_with(tally.alert.fingerprint)
        return known if known is not None and known.untold else self._open_incident(tally, now)


class Journals:
    """How far one owner's journals are read."""

    def __init__(self, database: Database, owner: int) -> None:
        self._database = database
        self._owner = owner

    def read_to(self) -> dict[str, int]:
        """Return how far each journal is read, in bytes, by its file's name."""
        return dict(self._database.rows("SELECT name, read_to FROM journal WHERE owner = ?", (self._owner,)))

    def reaches(self, name: str) -> int:
        """Return how far one journal is read, in bytes."""
        where = "WHERE owner = ? AND name = ?"
        rows = self._database.rows(f"SELECT read_to FROM journal {where}", (self._owner, name))
        return int(rows[0][0]) if rows else 0

    def note(self, read_to: Mapping[str, int]) -> None:
        for name, offset in read_to.items():
            self._database.run(
                "INSERT INTO journal (name, owner, read_to) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET read_to = max(read_to, excluded.read_to)",
                (name, self._owner, offset),
            )

    def forget(self, name: str) -> None:
        self._database.run("DELETE FROM journal WHERE name = ?", (name,))
