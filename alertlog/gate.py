"""Whether to try a server at all, and how many mails the ration still allows: what survives a restart of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alertlog.database import Database
from alertlog.policy import Bucket, Pace


@dataclass(frozen=True, slots=True)
class Gate:
    """Failures of the way to one server, rather than of a letter.

    Attributes:
        failures: how many in a row; 0 if the last session was good.
        due: Unix time in seconds before which it is left alone.
        category: of the last failure.
        place: which server with which settings failed; other settings open the gate.
        tried: when it failed last, Unix time in seconds.
        told: when the last event said so.
        error: what failed last.
        bucket: the ration of mails, whichever server takes them; kept with the first. None before the first mail.
        way: the number of the server among the handler's; 0 is the first.
    """

    failures: int = 0
    due: float = 0.0
    category: str = ""
    place: str = ""
    tried: float = 0.0
    told: float = 0.0
    error: str = ""
    bucket: Bucket | None = None
    way: int = 0

    def ration(self, pace: Pace, now: float) -> Bucket:
        """Return the ration of mails as it is now; full before the first mail."""
        return self.bucket.filled(now, pace) if self.bucket else Bucket(pace.burst, now)


class Gates:
    """One owner's rows in the outbox's table of gates: one for each server that was tried."""

    _COLUMNS = "failures, due, category, place, tried, told, error, tokens, tokens_at, way"

    def __init__(self, database: Database, owner: int) -> None:
        self._database = database
        self._owner = owner

    def all(self) -> list[Gate]:
        """Return them in the order of the servers."""
        rows = self._database.rows(f"SELECT {self._COLUMNS} FROM gate WHERE owner = ? ORDER BY way", (self._owner,))
        return [_gate(row) for row in rows]

    def read(self, way: int) -> Gate:
        return next((gate for gate in self.all() if gate.way == way), Gate(way=way))

    def write(self, gate: Gate) -> None:
        tokens, at = (gate.bucket.tokens, gate.bucket.at) if gate.bucket else (None, 0.0)
        self._database.run(
            f"INSERT OR REPLACE INTO gate (owner, {self._COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._owner, gate.failures, gate.due, gate.category, gate.place, gate.tried, gate.told, gate.error,
                tokens, at, gate.way,
            ),
        )  # fmt: skip

    def remove(self, way: int) -> None:
        self._database.run("DELETE FROM gate WHERE owner = ? AND way = ?", (self._owner, way))

    def open(self, way: int) -> None:
        """Let the server be tried now; that it failed stays known."""
        self._database.run("UPDATE gate SET due = 0 WHERE owner = ? AND way = ?", (self._owner, way))

    def open_all(self) -> None:
        self._database.run("UPDATE gate SET due = 0 WHERE owner = ?", (self._owner,))


def _gate(row: tuple[Any, ...]) -> Gate:
    failures, due, category, place, tried, told, error, tokens, at, way = row
    return Gate(failures, due, category, place, tried, told, error, None if tokens is None else Bucket(tokens, at), way)
