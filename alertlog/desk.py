"""What `alertlog outbox` does: look into an outbox, send what waits, remove what nobody wants any more."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alertlog.database import Database
from alertlog.errors import Category
from alertlog.handler import AlertHandler
from alertlog.intake import Intake
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.policy import Pace
from alertlog.rounds import Rounds
from alertlog.works import Works

LOOK_AGAIN = 0.25
"""Seconds between two looks at what a running process does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `outbox list`.

    Attributes:
        id: the letter's number, for `show` and `purge`; None for an incident.
        state: `waiting`, `aside` or `open`.
        count: alerts that nobody was told of yet.
        due: when it is tried next, Unix time in seconds; None for what is set aside.
    """

    service: str
    handler: str
    id: int | None
    state: str
    kind: str
    count: int
    attempts: int
    due: float | None
    summary: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def line(self) -> str:
        when = "" if self.due is None else datetime.fromtimestamp(self.due, UTC).strftime("due %Y-%m-%d %H:%M:%SZ")
        tried = f"{self.attempts} attempts: {self.error}" if self.error else ""
        number = "-" if self.id is None else str(self.id)
        parts = (
            f"{number:>4}",
            self.state,
            self.service,
            self.handler,
            f"{self.count} alerts",
            self.kind,
            self.summary,
        )
        return "  ".join(part for part in (*parts, when, tried) if part)


@dataclass(frozen=True, slots=True)
class Removed:
    """What `outbox purge` did."""

    letters: int
    alerts: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """What `outbox flush` came to; `category` is None if nothing waits any more."""

    category: Category | None
    message: str


def entries(place: Path) -> list[Entry]:
    """Return what is in an outbox, of all its owners; nothing where there is none.

    Raises:
        OutboxError: it can't be read.
    """
    found: list[Entry] = []
    for outbox, owner in _parts(place):
        found += [_letter(owner, waiting) for waiting in outbox.letters.all()]
        found += [
            Entry(
                owner.service, owner.handler, None, "open", incident.kind, incident.untold, 0, None,
                incident.alert.summary, "",
            )
            for incident in outbox.incidents.all()
        ]  # fmt: skip
    return found


def _letter(owner: Owner, waiting: Waiting) -> Entry:
    first = waiting.draft.incidents[0].alert
    return Entry(
        owner.service,
        owner.handler,
        waiting.id,
        "aside" if waiting.aside else "waiting",
        waiting.draft.reason if len(waiting.draft.incidents) > 1 else first.kind,
        0 if waiting.told else waiting.draft.count,
        waiting.attempts,
        None if waiting.aside else waiting.due,
        first.summary,
        waiting.error,
    )


def content(handler: AlertHandler, letter: int) -> str | None:
    """Return a letter as the mail that would be sent today, None if there is none of that number.

    Raises:
        OutboxError: the outbox can't be read.
        ConfigError: there is no sender and no recipient to write it for.
    """
    from alertlog.letter import compose

    works = handler.works
    for outbox, _owner in _parts(works.place):
        for waiting in outbox.letters.all():
            if waiting.id == letter:
                post = works.post()
                settings = post.read_settings()
                mail = compose(waiting.draft, post.wording(), settings.sender, settings.recipients)
                return mail.content.decode("ascii").replace("\r\n", "\n")
    return None


def purge(place: Path, numbers: Collection[int], *, aside: bool, everything: bool) -> Removed:
    """Remove letters for good: those of these numbers, those set aside, or all, then with the incidents as well.

    Raises:
        OutboxError: the outbox can't be changed now.
    """
    letters = alerts = 0
    for outbox, _owner in _parts(place):
        for waiting in outbox.letters.all():
            if everything or waiting.id in numbers or (aside and waiting.aside):
                outbox.purge(waiting)
                letters += 1
                alerts += 0 if waiting.told else waiting.draft.count
        if everything:
            incidents = outbox.incidents.all()
            outbox.remove(incidents)
            alerts += sum(incident.untold for incident in incidents)
    return Removed(letters, alerts)


def hurry(handler: AlertHandler) -> None:
    """Make all that waits for a handler due now, and open its gate.

    Raises:
        OutboxError: the outbox can't be changed now.
    """
    for outbox, owner in _parts(handler.works.place):
        if _meant(handler, owner):
            outbox.hurry()


def flush(handler: AlertHandler, timeout: float) -> Flushed:
    """Send what is due of a handler; if a running process owns the outbox, wait for that to do it.

    Args:
        timeout: seconds to go on for.

    Raises:
        OutboxError: the outbox can't be changed now.
    """
    works = handler.works
    if works.place is None or works.intake.nothing_there():
        return Flushed(None, "nothing waits")
    until = works.clock.monotonic() + timeout
    owners = {owner: None for _outbox, owner in _parts(works.place) if _meant(handler, owner)} | {works.owner: None}
    results = [_flush_owner(works, works.place, owner, until) for owner in owners]
    return next((result for result in results if result.category), results[-1])


def _meant(handler: AlertHandler, owner: Owner) -> bool:
    """A service that is named after its main program has another name here, where this command is the program."""
    given = handler.works.arguments.service
    return owner.handler == handler.works.owner.handler and given in (None, owner.service)


def _flush_owner(works: Works, place: Path, owner: Owner, until: float) -> Flushed:
    intake = Intake(place, owner.key, works.clock, lambda _alert, _error: None)
    rounds = Rounds(place, owner, works.post(), intake, works.reporter, works.clock)
    before: set[tuple[str, int]] = set()
    try:
        with _open(place, owner) as outbox:
            while works.clock.monotonic() < until:
                rounds.once(leaving=False)
                due = _due(outbox, works.clock.wall())
                if not due or (rounds.owns and due == before):
                    break
                before = due
                if not rounds.owns:
                    time.sleep(LOOK_AGAIN)
            return _result(outbox)
    finally:
        rounds.release()


def _due(outbox: Outbox, now: float) -> set[tuple[str, int]]:
    letters = {("letter", waiting.id) for waiting in outbox.letters.due(now)}
    return letters | {("incident", incident.id) for incident in outbox.incidents.due(now) if incident.untold}


def _result(outbox: Outbox) -> Flushed:
    waiting = [letter for letter in outbox.letters.all() if not letter.aside]
    gate = outbox.gate()
    if not waiting and not gate.failures:
        return Flushed(None, "nothing waits any more")
    error = gate.error or next((letter.error for letter in waiting if letter.error), "see the events above")
    category: Category = "refused" if gate.category == "refused" else "temporary"
    return Flushed(category, f"{len(waiting)} letters still wait: {error}")


def _parts(place: Path | None) -> Iterator[tuple[Outbox, Owner]]:
    """Yield an outbox file's part of each owner; nothing where there is no file."""
    if place is None or not place.exists():
        return
    database = Database(place)
    try:
        owners = [Owner(service, handler) for service, handler in database.rows("SELECT service, handler FROM owner")]
    finally:
        database.close()
    for owner in owners:
        with _open(place, owner) as outbox:
            yield outbox, owner


def _open(place: Path, owner: Owner) -> closing[Outbox]:
    return closing(Outbox(owner, Pace(), place))
