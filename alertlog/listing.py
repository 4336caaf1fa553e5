"""What `alertlog outbox list` shows: letters, incidents, mutes, journals; and what each thing waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from alertlog.errors import ConfigError
from alertlog.headers import squeezed
from alertlog.hindsight import Knows, clean_incident, clean_waiting
from alertlog.mutes import Mute
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner, is_owned
from alertlog.reasons import Standing, Wait, Why
from alertlog.route import overall
from alertlog.unread import unread
from alertlog.words import local_time

if TYPE_CHECKING:
    from alertlog.alert import Incident
    from alertlog.desk import Desk

LONGEST = 200
"""Characters of one part of a line: a record or a server may have written it."""
SHOWN = 3
"""Fingerprints of a digest that a line shows."""

_ENDS = {"told": "closes {} if it stays quiet", "elsewhere": "closes {} if it stays quiet", "muted": "until {}"}
"""What happens at the end of a wait, where nothing is sent then."""
_TOLD = {"told": "nothing left to tell", "elsewhere": "told here, or another host's to tell"}
"""What is to be said of an incident's alerts where there is none to tell."""
_UNREAD = "in journals: read by the process that runs, else by the next one, or `outbox flush`"


class Listed(Protocol):
    """One thing in an outbox."""

    def to_dict(self) -> dict[str, Any]:
        """Return it for machines: plain values by name, times as Unix time in seconds."""

    def line(self) -> str:
        """Return it in one line, for people."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A letter that is not sent, or an open incident that no letter speaks of.

    Attributes:
        id: the letter's number, for `show`, `retry` and `purge`; None for an incident.
        state: `waiting`, `aside` or `open`.
        count: alerts that nobody was told of yet.
        total: alerts so far of the incidents that it is about.
        due: when it is tried next, Unix time in seconds; None for what is set aside, and for an incident.
        fingerprints: of these incidents.
        why: what it waits for, in a word; `reason`: in words.
        until: when that ends by itself, Unix time in seconds; None if it does not.
    """

    service: str
    handler: str
    id: int | None
    state: str
    kind: str
    count: int
    total: int
    attempts: int
    due: float | None
    summary: str
    error: str
    fingerprints: tuple[str, ...]
    why: Why
    reason: str
    until: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        tried = f"{number(self.attempts, 'attempt')}: {self.error}" if self.error else ""
        owner = (self.service, self.handler)
        return _line(
            self.id, self.state, *owner, self._alerts(), self.kind, self.summary, self._waits(), tried, self._which()
        )

    def _alerts(self) -> str:
        told = "" if self.count or self.id is not None else f", {_TOLD.get(self.why, 'its end to be told')}"
        return f"{number(self.count or self.total, 'alert')}{told}"

    def _waits(self) -> str:
        ends = "" if self.until is None else _ENDS.get(self.why, "due {}").format(moment(self.until))
        return ": ".join(filter(None, (ends, self.reason)))

    def _which(self) -> str:
        more = len(self.fingerprints) - SHOWN
        return " ".join([*self.fingerprints[:SHOWN], *([f"and {more} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class Muted:
    """What an operator has silenced.

    Attributes:
        target: a kind or a fingerprint.
        since, until: Unix time in seconds.
    """

    service: str
    handler: str
    target: str
    since: float
    until: float
    reason: str
    state: str = "muted"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        until = f"until {moment(self.until)}"
        return _line(None, self.state, self.service, self.handler, self.target, until, self.reason)


@dataclass(frozen=True, slots=True)
class InJournal:
    """Alerts that no courier has taken in yet: their process was killed, or is about to send them."""

    service: str
    handler: str
    count: int
    state: str = "unread"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        return _line(None, self.state, self.service, self.handler, number(self.count, "alert"), _UNREAD)


def entries(desk: Desk) -> Iterator[Listed]:
    """Yield what is in an outbox, of all its owners; nothing where there is none.

    Raises:
        OutboxError: it can't be read.
    """
    registered = desk.registered()
    for owner in desk.owners():
        read_to: dict[str, int] = {}
        if owner in registered:
            with desk.part(owner) as outbox:
                stands = standing(desk, owner, outbox)
                with outbox.transaction():  # what a courier claims meanwhile would be in neither list
                    found = list(_part(outbox, owner, stands, desk.works(owner).redactor))
                    read_to = outbox.journals.read_to()
                yield from found
        left = unread(desk.place, owner, read_to)
        if left.alerts:
            yield InJournal(owner.service, owner.handler, left.alerts)


def standing(desk: Desk, owner: Owner, outbox: Outbox) -> Standing:
    """Return how things stand with an owner.

    Raises:
        OutboxError: it can't be read.
    """
    post, now = desk.post(owner), desk.works(owner).clock.wall()
    problem = ""
    try:
        post.read_settings()
    except ConfigError as error:
        problem = str(error)
    known = desk.works(owner).redactor.known
    gate, mutes = overall(outbox.gates()), outbox.mutes.in_force(now)
    gate, mutes = replace(gate, error=known(gate.error)), [replace(one, reason=known(one.reason)) for one in mutes]
    return Standing(now, post.pace, gate, mutes, is_owned(desk.place, owner), problem)


def _part(outbox: Outbox, owner: Owner, stands: Standing, secrets: Knows) -> Iterator[Listed]:
    """Yield what an owner has there, without what has come to be a secret since it was put in."""
    spoken_of = outbox.incidents.spoken_of()
    for letter in outbox.letters.all():
        clean = clean_waiting(letter, secrets)
        yield _letter(owner, clean, spoken_of.get(letter.id), stands.of_letter(clean))
    for incident in outbox.incidents.unspoken():
        clean_one = clean_incident(incident, secrets)
        yield _incident(owner, clean_one, stands.of_incident(clean_one))
    for mute in stands.mutes:
        yield _muted(owner, mute)


def _letter(owner: Owner, waiting: Waiting, untold: int | None, wait: Wait) -> Entry:
    """Describe a letter; `untold` counts what has come since of the incidents that it speaks of, too."""
    incidents = waiting.draft.incidents
    first = incidents[0].alert
    told = 0 if waiting.told else waiting.draft.count
    return Entry(
        owner.service,
        owner.handler,
        waiting.id,
        "aside" if waiting.aside else "waiting",
        waiting.draft.reason if len(incidents) > 1 else first.kind,
        told if untold is None else untold,
        waiting.draft.total,
        waiting.attempts,
        None if waiting.aside else waiting.due,
        first.summary,
        waiting.error,
        tuple(incident.fingerprint for incident in incidents),
        wait.why,
        f"{wait.text}; `outbox retry {waiting.id}` tries it again" if waiting.aside else wait.text,
        wait.until,
    )


def _incident(owner: Owner, incident: Incident, wait: Wait) -> Entry:
    summary, total, fingerprints = incident.alert.summary, incident.total, (incident.fingerprint,)
    return Entry(
        owner.service, owner.handler, None, "open", incident.kind, incident.untold, total, 0, None, summary, "",
        fingerprints, wait.why, wait.text, wait.until,
    )  # fmt: skip


def _muted(owner: Owner, mute: Mute) -> Muted:
    return Muted(owner.service, owner.handler, mute.target, mute.since, mute.until, mute.reason)


# Lines


def moment(seconds: float) -> str:
    """Return a Unix time as a local date and time with the zone."""
    return f"{local_time(seconds):%Y-%m-%d %H:%M:%S %Z}"


def number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _line(letter: int | None, *parts: str) -> str:
    label = "-" if letter is None else str(letter)
    return "  ".join([f"{label:>4}", *(squeezed(part, LONGEST) for part in parts if part)])
