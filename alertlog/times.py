"""What becomes of an outbox's planned times when the calendar's clock is set."""

from __future__ import annotations

from alertlog.database import Database
from alertlog.incidents import Incidents
from alertlog.policy import LONGEST_WAIT

_HELD = "SELECT id FROM incident WHERE owner = :owner AND open = 1 AND seen > :now AND mailed <= :now"
"""What a mute or the ration may hold back until a time that lies hours ahead now."""


class Times:
    """All times of one owner, over all tables."""

    def __init__(self, database: Database, owner: int, incidents: Incidents) -> None:
        self._database = database
        self._owner = owner
        self._incidents = incidents

    def shift(self, seconds: float) -> None:
        """The clock was set: move every planned time with it, so that intervals stay what they were."""
        self._run(
            {"by": seconds},
            "UPDATE incident SET seen = seen + :by, mailed = mailed + :by * (mailed > 0), due = due + :by * (due > 0)"
            " WHERE owner = :owner",
            "UPDATE letter SET created = created + :by, due = due + :by WHERE owner = :owner",
            "UPDATE gate SET due = due + :by, tried = tried + :by * (tried > 0), told = told + :by,"
            " tokens_at = tokens_at + :by WHERE owner = :owner",
            "UPDATE mute SET since = since + :by, until = until + :by WHERE owner = :owner",
        )

    def forget_future(self, now: float) -> None:
        """The clock went back between two processes: what seems to lie ahead has happened by now.

        How long ago is not known, and a mail too many is better than a long silence.
        """
        with self._database.transaction():
            held = [row[0] for row in self._database.rows(_HELD, {"owner": self._owner, "now": now})]
            self._forget_future(now)
            for number in held:
                self._incidents.plan(number)

    def _forget_future(self, now: float) -> None:
        self._run(
            {"now": now, "wait": LONGEST_WAIT},
            "UPDATE incident SET due = 0 WHERE owner = :owner AND open = 0 AND seen > :now",
            "UPDATE incident SET mailed = :now - :wait, due = 0 WHERE owner = :owner AND mailed > :now",
            "UPDATE incident SET seen = :now WHERE owner = :owner AND seen > :now",
            "UPDATE letter SET created = :now WHERE owner = :owner AND created > :now",
            "UPDATE gate SET tried = min(tried, :now), told = min(told, :now), tokens_at = min(tokens_at, :now)"
            " WHERE owner = :owner",
            "UPDATE mute SET until = :now + until - since, since = :now WHERE owner = :owner AND since > :now",
        )

    def _run(self, values: dict[str, float], *statements: str) -> None:
        with self._database.transaction():
            for statement in statements:
                self._database.run(statement, values | {"owner": self._owner})
