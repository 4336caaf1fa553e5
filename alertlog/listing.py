"""What `alertlog outbox list` shows: letters, incidents, mutes, what waits in journals; and one letter as a mail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from alertlog.errors import ConfigError
from alertlog.headers import squeezed
from alertlog.mutes import Mute
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.place import variable
from alertlog.unread import unread
from alertlog.words import local_time

if TYPE_CHECKING:
    from alertlog.alert import Incident
    from alertlog.desk import Desk
    from alertlog.works import Works

LONGEST = 200
"""Characters of one part of a line: a record or a server may have written it."""

T = TypeVar("T")


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
        id: the letter's number, for `show` and `purge`; None for an incident.
        state: `waiting`, `aside` or `open`.
        count: alerts that nobody was told of yet.
        due: when it is tried next, Unix time in seconds; None for what is set aside, and for an incident.
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
        return asdict(self)

    def line(self) -> str:
        due = "" if self.due is None else f"due {moment(self.due)}"
        tried = f"{number(self.attempts, 'attempt')}: {self.error}" if self.error else ""
        owner = (self.service, self.handler)
        return _line(self.id, self.state, *owner, number(self.count, "alert"), self.kind, self.summary, due, tried)


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
        return _line(None, self.state, self.service, self.handler, number(self.count, "alert"))


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
                yield from _part(outbox, owner, desk.works(owner).clock.wall())
                read_to = outbox.journals.read_to()
        left = unread(desk.place, owner, read_to)
        if left.alerts:
            yield InJournal(owner.service, owner.handler, left.alerts)


def _part(outbox: Outbox, owner: Owner, now: float) -> Iterator[Listed]:
    spoken_of = outbox.incidents.spoken_of()
    for letter in outbox.letters.all():
        yield _letter(owner, letter, spoken_of.get(letter.id))
    for incident in outbox.incidents.unspoken():
        yield _incident(owner, incident)
    for mute in outbox.mutes.all():
        if mute.until > now:
            yield _muted(owner, mute)


def _letter(owner: Owner, waiting: Waiting, untold: int | None) -> Entry:
    """Describe a letter; `untold` counts what has come since of the incidents that it speaks of, too."""
    first = waiting.draft.incidents[0].alert
    told = 0 if waiting.told else waiting.draft.count
    return Entry(
        owner.service,
        owner.handler,
        waiting.id,
        "aside" if waiting.aside else "waiting",
        waiting.draft.reason if len(waiting.draft.incidents) > 1 else first.kind,
        told if untold is None else untold,
        waiting.attempts,
        None if waiting.aside else waiting.due,
        first.summary,
        waiting.error,
    )


def _incident(owner: Owner, incident: Incident) -> Entry:
    alert = incident.alert
    names = (owner.service, owner.handler)
    return Entry(*names, None, "open", incident.kind, incident.untold, 0, None, alert.summary, "")


def _muted(owner: Owner, mute: Mute) -> Muted:
    return Muted(owner.service, owner.handler, mute.target, mute.since, mute.until, mute.reason)


# One letter


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter as the mail that would be sent today, and what is not known of that: "" if all is."""

    content: str
    unknown: str


def content(desk: Desk, letter: int) -> Shown | None:
    """Return a letter as a mail, None if there is none of that number. Who writes to whom may be unknown yet.

    Raises:
        OutboxError: the outbox can't be read.
    """
    for owner in desk.registered():
        with desk.part(owner) as outbox:
            for waiting in outbox.letters.all():
                if waiting.id == letter:
                    return _shown(desk, owner, waiting)
    return None


def _shown(desk: Desk, owner: Owner, waiting: Waiting) -> Shown:
    from alertlog.letter import compose
    from alertlog.mailbox import Mailbox, mailbox, mailboxes

    works, post = desk.works(owner), desk.post(owner)
    nobody = Mailbox("unknown@example.invalid")  # RFC 2606 section 2: no one's
    try:
        settings = post.read_settings()
        sender, recipients, unknown = settings.sender, settings.recipients, ""
    except ConfigError as error:
        arguments = works.arguments
        sender = _read(works, "FROM", arguments.sender, mailbox) or nobody
        recipients = _read(works, "TO", ", ".join(arguments.recipients), mailboxes) or (nobody,)
        unknown = str(error) if nobody in (sender, *recipients) else ""
    mail = compose(waiting.draft, post.wording(), sender, recipients)
    return Shown(mail.content.decode("ascii").replace("\r\n", "\n"), unknown)


def _read(works: Works, suffix: str, argument: str, parse: Callable[[str], T]) -> T | None:
    """Read one setting by itself; None if there is none, or it is wrong."""
    try:
        return parse(variable(f"{works.arguments.env_prefix}{suffix}", os.environ) or argument)
    except ValueError:  # ConfigError is one
        return None


# Lines


def moment(seconds: float) -> str:
    """Return a Unix time as a local date and time with the zone."""
    return f"{local_time(seconds):%Y-%m-%d %H:%M:%S %Z}"


def number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _line(letter: int | None, *parts: str) -> str:
    label = "-" if letter is None else str(letter)
    return "  ".join([f"{label:>4}", *(squeezed(part, LONGEST) for part in parts if part)])
