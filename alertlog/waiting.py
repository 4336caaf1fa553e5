"""The outbox's table of letters that are not yet sent: rows in, rows out. Transactions are the outbox's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from alertlog.database import IS_DUE, Database
from alertlog.draft import Draft
from alertlog.policy import CLOCK_JUMP, LONGEST_WAIT

AT_ONCE = 50
"""Letters handed out in one go."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that is not yet sent.

    Attributes:
        created: when it was claimed; `due`: when to try next. Unix time in seconds.
        attempts: how often it was tried; `unknown`: how often without learning the outcome.
        offered: True once a server may have seen its text, so that what it says must not change any more.
        told: True once a server has accepted it for somebody.
        aside: True if it will not be tried again.
        done: addresses that need no further attempt: accepted, or refused for good.
        error: why the last attempt failed.
        doubt: the number of the server whose answer did not come the last time that the outcome stayed unknown.
    """

    id: int
    draft: Draft
    created: float
    due: float
    attempts: int
    unknown: int
    offered: bool
    told: bool
    aside: bool
    done: tuple[str, ...]
    error: str
    doubt: int = 0


class Letters:
    """The letters of one owner that are not yet sent."""

    COLUMNS = tuple(field.name for field in fields(Waiting))

    def __init__(self, database: Database, owner: int) -> None:
        self._database = database
        self._owner = owner

    def due(self, now: float) -> list[Waiting]:
        return self._select(f"aside = 0 AND {IS_DUE}", now=now, longest=LONGEST_WAIT + CLOCK_JUMP)

    def all(self) -> list[Waiting]:
        return self._select("aside IN (0, 1)", limit=-1)

    def created_before(self, before: float) -> list[Waiting]:
        return self._select("created < :before", before=before)

    def aside_beyond(self, most: int) -> list[Waiting]:
        """Return the letters set aside but for the `most` youngest."""
        return self._select(
            "id IN (SELECT id FROM letter WHERE owner = :owner AND aside = 1 ORDER BY id DESC LIMIT -1 OFFSET :most)",
            most=most,
        )

    def add(self, draft: Draft, now: float) -> int:
        return self._add(draft, created=now, due=now)

    def adopt(self, letter: Waiting) -> None:
        """Take one over from another outbox; its alerts are accounted for already, its incidents go their own way."""
        kept = ("created", "due", "attempts", "unknown", "offered", "told", "aside", "error", "doubt")
        values = {name: getattr(letter, name) for name in kept}
        self._add(letter.draft, done=json.dumps(letter.done), **values)

    def _add(self, draft: Draft, **values: object) -> int:
        return self._database.insert(
            "letter", owner=self._owner, message_id=draft.message_id, draft=draft.to_json(), **values
        )

    def tried(self, letter: Waiting, due: float, error: str) -> None:
        self._database.run(
            "UPDATE letter SET attempts = attempts + 1, due = ?, error = ? WHERE id = ?",
            (due, error, letter.id),
        )

    def again(self, letter: Waiting) -> None:
        """Try it at once, also one that was set aside."""
        self._database.run("UPDATE letter SET aside = 0, due = 0 WHERE id = ?", (letter.id,))

    def offer(self, letter: Waiting, offered: bool) -> None:
        self._database.run("UPDATE letter SET offered = ? WHERE id = ?", (offered, letter.id))

    def doubted(self, letter: Waiting, way: int) -> None:
        self._database.run(
            "UPDATE letter SET unknown = unknown + 1, doubt = ?, offered = 1 WHERE id = ?", (way, letter.id)
        )

    def told(self, letter: Waiting, done: Iterable[str]) -> None:
        self._database.run(
            "UPDATE letter SET told = 1, offered = 1, done = ? WHERE id = ?",
            (json.dumps(sorted({*letter.done, *done})), letter.id),
        )

    def put_aside(self, letter: Waiting) -> None:
        self._database.run("UPDATE letter SET aside = 1, offered = 1 WHERE id = ?", (letter.id,))

    def hurry(self) -> None:
        """Make all of them due at once, but for those set aside."""
        self._database.run("UPDATE letter SET due = 0 WHERE owner = ? AND aside = 0", (self._owner,))

    def remove(self, letter: Waiting) -> None:
        self._database.run("DELETE FROM letter WHERE id = ?", (letter.id,))

    def _select(self, where: str, *, limit: int = AT_ONCE, **values: object) -> list[Waiting]:
        rows = self._database.rows(
            f"SELECT {', '.join(self.COLUMNS)} FROM letter WHERE owner = :owner AND {where} ORDER BY id LIMIT :limit",
            {"owner": self._owner, "limit": limit, **values},
        )
        return [_waiting(row) for row in rows]


def _waiting(row: tuple[Any, ...]) -> Waiting:
    named = dict(zip(Letters.COLUMNS, row, strict=True))
    flags = {name: bool(named[name]) for name in ("offered", "told", "aside")}
    return Waiting(
        **named | flags | {"draft": Draft.from_json(named["draft"]), "done": tuple(json.loads(named["done"]))}
    )
