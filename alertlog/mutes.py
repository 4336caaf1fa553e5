"""What operators have silenced: for how long and why. Muted alerts are counted, and told when the mute ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alertlog.alert import Incident
from alertlog.database import Database

_HELD_BACK = "WHERE owner = :owner AND mute_until > 0 AND :target IN (kind, fingerprint)"


@dataclass(frozen=True, slots=True)
class Mute:
    """One silence.

    Attributes:
        target: the kind or the fingerprint that is silenced.
        since: when it began, Unix time in seconds.
        until: when it ends.
        reason: in the operator's words.
    """

    target: str
    since: float
    until: float
    reason: str

    def covers(self, incident: Incident) -> bool:
        return self.target in (incident.kind, incident.fingerprint)


class Mutes:
    """One owner's mutes in an outbox."""

    def __init__(self, database: Database, owner: int) -> None:
        self._database = database
        self._owner = owner

    def add(self, target: str, since: float, until: float, reason: str) -> None:
        """Silence a kind or a fingerprint, in place of an earlier mute of the same, which may have ended later."""
        with self._database.transaction():
            self._database.run(
                "INSERT OR REPLACE INTO mute (owner, target, since, until, reason) VALUES (?, ?, ?, ?, ?)",
                (self._owner, target, since, until, reason),
            )
            values = {"owner": self._owner, "target": target}
            self._database.run(f"UPDATE incident SET due = 0 {_HELD_BACK}", values)

    def remove(self, target: str, now: float) -> bool:
        """End a mute now; what it held back is due. Return whether there was one."""
        with self._database.transaction():
            known = any(mute.target == target for mute in self.all())
            self._database.run("DELETE FROM mute WHERE owner = ? AND target = ?", (self._owner, target))
            values = {"owner": self._owner, "target": target, "now": now}
            self._database.run(f"UPDATE incident SET due = 0, mute_until = :now {_HELD_BACK}", values)
        return known

    def all(self) -> list[Mute]:
        rows = self._database.rows(
            "SELECT target, since, until, reason FROM mute WHERE owner = ? ORDER BY until, target", (self._owner,)
        )
        return [Mute(*row) for row in rows]

    def in_force(self, now: float) -> list[Mute]:
        """Return the mutes that hold now; those that are over are forgotten."""
        mutes = self.all()
        if any(mute.until <= now for mute in mutes):
            self._database.run("DELETE FROM mute WHERE owner = ? AND until <= ?", (self._owner, now))
        return [mute for mute in mutes if mute.until > now]

    def note(self, mute: Mute, incidents: Iterable[Incident], look_again: float) -> None:
        """Have the next mail about these say how long they were muted and why, and look at them again then."""
        with self._database.transaction():
            for incident in incidents:
                self._database.run(
                    "UPDATE incident SET mute_since = ?, mute_until = ?, mute_reason = ?, due = ? WHERE id = ?",
                    (mute.since, mute.until, mute.reason, look_again, incident.id),
                )
