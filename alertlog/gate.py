"""Whether to try the server at all, and how many mails the ration still allows: what survives a restart of both."""

from __future__ import annotations

from dataclasses import dataclass

from alertlog.database import Database
from alertlog.policy import Bucket, Pace


@dataclass(frozen=True, slots=True)
class Gate:
    """Failures of the way to the server, rather than of a letter.

    Attributes:
        failures: how many in a row; 0 if the last session was good.
        due: Unix time in seconds before which it is left alone.
        category: of the last failure.
        place: which server with which settings failed; other settings open the gate.
        tried: when it failed last, Unix time in seconds.
        told: when the last event said so.
        error: what failed last.
        bucket: the ration of mails; None before the first one.
    """

    failures: int = 0
    due: float = 0.0
    category: str = ""
    place: str = ""
    tried: float = 0.0
    told: float = 0.0
    error: str = ""
    bucket: Bucket | None = None

    def ration(self, pace: Pace, now: float) -> Bucket:
        """Return the ration of mails as it is now; full before the first mail."""
        return self.bucket.filled(now, pace) if self.bucket else Bucket(pace.burst, now)


class Gates:
    """One owner's row in the outbox's table of gates."""

    def __init__(self, database: Database, owner: int) -> None:
        self._database = database
        self._owner = owner

    def read(self) -> Gate:
        columns = "failures, due, category, place, tried, told, error, tokens, tokens_at"
        rows = self._database.rows(f"SELECT {columns} FROM gate WHERE owner = ?", (self._owner,))
        if not rows:
            return Gate()
        failures, due, category, place, tried, told, error, tokens, at = rows[0]
        bucket = None if tokens is None else Bucket(tokens, at)
        return Gate(failures, due, category, place, tried, told, error, bucket)

    def write(self, gate: Gate) -> None:
        tokens, at = (gate.bucket.tokens, gate.bucket.at) if gate.bucket else (None, 0.0)
        self._database.run(
            "INSERT OR REPLACE INTO gate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._owner, gate.failures, gate.due, gate.category, gate.place, gate.tried, gate.told, gate.error,
                tokens, at,
            ),
        )  # fmt: skip
