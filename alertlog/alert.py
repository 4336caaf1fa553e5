"""The nouns that travel: an Alert, a Tally of repeats, and an Incident.

All are frozen, hold plain text and numbers only, and turn into JSON and back, so that a thread, a journal or a
database can pass them on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

Line = tuple[float, str, str, str]
"""One record that came before an alert: Unix time in seconds, level, logger, text."""


class Alert(NamedTuple):
    """A snapshot of one log record, taken on the thread that logged it, already redacted and cut to size.

    Attributes:
        fingerprint: 16 hexadecimal digits; equal for what is the same trouble.
        kind: the name given by `extra={"alert": kind}`, or "".
        level: the record's level number, 50 for CRITICAL.
        message: the record's text, its arguments filled in.
        created: Unix time in seconds.
        extras: the `extra` of the call, each value as text, in the order given.
        text: what the user's own formatter made of the record, or "": it stands for message and traceback.
        subject: what the user's own `getSubject` made of it, or "".
        exception: the exception's own line, such as `ValueError: no price`, or "".
        traceback: the whole formatted traceback, or "".
        problem: what went wrong while the record was being captured, or "".
        resolved: True if this alert says that the trouble is over.
        test: True for an operator's test; it is outside all windows and caps.
        context: what the same task logged before it, oldest first.

    A tuple by name, unlike its neighbours: the thread that logs makes one for each new alert, and a frozen dataclass
    of so many fields takes five times as long to make and has to be unpacked for JSON.
    """

    fingerprint: str
    kind: str
    level: int
    levelname: str
    logger: str
    message: str
    created: float
    extras: tuple[tuple[str, str], ...] = ()
    text: str = ""
    subject: str = ""
    exception: str = ""
    traceback: str = ""
    path: str = ""
    line: int = 0
    function: str = ""
    host: str = ""
    pid: int = 0
    process: str = ""
    thread: str = ""
    task: str = ""
    problem: str = ""
    resolved: bool = False
    test: bool = False
    context: tuple[Line, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the message that says anything."""
        return next((line.strip() for line in self.message.splitlines() if line.strip()), "")

    def to_dict(self) -> dict[str, Any]:
        """What is not empty, by name: for an event that has to carry the alert itself, not what came before it."""
        named = {**self._asdict(), "extras": dict(self.extras), "context": None}
        return {name: value for name, value in named.items() if value}

    @classmethod
    def from_list(cls, row: list[Any]) -> Alert:
        """Return what the fields say, in their order, as JSON has them.

        Raises:
            TypeError: there are too few or too many, or one is of another kind.
            ValueError: an extra is no pair, or a line of the context has not four parts.
        """
        if not all(map(isinstance, row, _ALERT_KINDS)):
            raise TypeError("a field is of another kind")
        alert = cls(*row)
        return alert._replace(
            extras=tuple([(str(name), str(value)) for name, value in alert.extras]),
            context=tuple([(float(when), str(level), str(by), str(text)) for when, level, by, text in alert.context]),
        )


_DEFAULTS = list(Alert._field_defaults.values())[1:-1]
_ALERT_KINDS: tuple[Any, ...] = (str, str, int, str, str, str, (float, int), list, *map(type, _DEFAULTS), list)
"""What JSON has of each field."""


@dataclass(frozen=True, slots=True)
class Tally:
    """An alert and how many times it was raised: what a journal holds, one a frame.

    Attributes:
        alert: the alert, the last one of them where they were several.
        count: how many alerts this stands for, 1 or more.
        first: Unix time in seconds of the first of them.
        last: of the last.
    """

    alert: Alert
    count: int
    first: float
    last: float

    @classmethod
    def one(cls, alert: Alert) -> Tally:
        """Return the tally of an alert by itself; one that says that the trouble is over does not count."""
        return cls(alert, 0 if alert.resolved else 1, alert.created, alert.created)

    def to_json(self) -> bytes:
        once = self.first == self.last == self.alert.created  # the rule, and to write a float is slow
        return encode((self.count, self.alert, *(() if once else (self.first, self.last)))).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> Tally:
        """Raises ValueError, TypeError or KeyError if the data is not what `to_json` writes.

        An outbox that took in half an alert would fail at it again each time that it is read.
        """
        count, row, *times = json.loads(data)
        alert = Alert.from_list(row)
        first, last = times or (alert.created, alert.created)
        if type(count) is not int or count < 0 or not (isfinite(first) and isfinite(last)):
            raise ValueError("a count or a time is none")
        return cls(alert, count, first, last)


# ASCII output: lone surrogates, which records can hold and UTF-8 can't, pass through as escapes.
encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Incident:
    """All alerts of one fingerprint since it opened.

    Attributes:
        id: the outbox's number for it; fingerprints come again, ids do not.
        level: the highest level seen, with its name.
        first: Unix time in seconds of the first alert; `last` of the latest.
        count: how many alerts there were.
        accounted: how many of them mails so far have told.
        mails: how many mails so far have told of it.
        thread: the Message-ID of its first mail, in angle brackets, or "".
        alert: the first alert.
        samples: later ones whose text differs: up to the first four and the newest, and what says that it is over.
        resolved: True once an alert said that it is over.
        urgent: True if its level has risen since the last mail, or an operator wants the next one now.
        seen: when a courier last heard of it, Unix time in seconds by the courier's clock.
        mailed: when the last mail about it was accepted, likewise; 0 before the first.
        news: when the first alert was raised that no mail tells of yet; 0 if there is none.
        folded: True if it stands for different troubles of one kind, which an outbox that was full counts together.
        mute_since, mute_until, mute_reason: how long an operator silenced it since its last mail, and why; 0 if not.
        handed: how many of its alerts are for another host to tell; `hosts`: the names of all that share it.
        elsewhere: how many more it had on all hosts than are counted here; below 0 if some went to and fro.
    """

    id: int
    fingerprint: str
    kind: str
    level: int
    levelname: str
    first: float
    last: float
    count: int
    accounted: int
    mails: int
    thread: str
    alert: Alert
    samples: tuple[Alert, ...] = ()
    resolved: bool = False
    urgent: bool = False
    seen: float = 0.0
    mailed: float = 0.0
    news: float = 0.0
    folded: bool = False
    mute_since: float = 0.0
    mute_until: float = 0.0
    mute_reason: str = ""
    handed: int = 0
    elsewhere: int = 0
    hosts: tuple[str, ...] = ()

    @property
    def untold(self) -> int:
        """How many alerts that are this host's to tell no mail has told yet."""
        return max(0, self.count - self.accounted - self.handed)

    @property
    def telling(self) -> bool:
        """Whether there is anything to tell; that there is trouble, where the host has gone that was to tell it."""
        return self.untold > 0 or (self.urgent and self.mails == 0)

    @property
    def total(self) -> int:
        """How many alerts there were, on all hosts."""
        return self.count + self.elsewhere
