"""Simulated alerts, sent now through a handler's own wording and the environment's settings, with the outcome.

They take the whole way of real ones except the disk: their outbox is in memory, so that they neither wait behind what
waits nor need the process that owns the outbox to be asleep.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alertlog import specimens
from alertlog.alert import Alert
from alertlog.desk import desks
from alertlog.errors import Category, ConfigError, OutboxError
from alertlog.handler import AlertHandler
from alertlog.intake import Intake
from alertlog.policy import Pace
from alertlog.rounds import Rounds

if TYPE_CHECKING:
    from alertlog.planning import Post
    from alertlog.works import Works


@dataclass(frozen=True, slots=True)
class Drill:
    """What is simulated.

    Attributes:
        number: how many different alerts come at once.
        fails: whether each comes with an exception.
        ends: whether the program says afterwards that the trouble is over.
    """

    kind: str
    number: int = 1
    fails: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the test.

    Attributes:
        category: None if each mail was accepted for everybody.
        lines: for each mail, what the server answered; or else what is in the way.
        fields: the last event's, for machines.
        notes: what else an operator should know, such as that a template failed.
    """

    category: Category | None
    lines: tuple[str, ...]
    fields: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join(self.lines)


class Listener:
    """Stands in for the reporter: the outcome is told by the command, in one line for each mail."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        self.events.append((event, message, {"level": level, **fields}))

    @property
    def outcome(self) -> Outcome:
        """The worst that was reported: a recipient who was refused counts, though others got the mail.

        So does a server that failed, though another one took the mail; that is told, too.
        """
        sent = [(message, fields) for event, message, fields in self.events if event == "smtp_send_succeeded"]
        trouble = [(message, fields) for _event, message, fields in self.events if fields.get("category")]
        if trouble:
            message, fields = trouble[-1]
            return Outcome(fields["category"], (message, *(_sent(said, given) for said, given in sent)), fields)
        if sent:
            return Outcome(None, tuple(_sent(message, fields) for message, fields in sent), sent[-1][1])
        return Outcome("temporary", ("nothing was sent",), {})

    @property
    def notes(self) -> tuple[str, ...]:
        """What else an operator should know of the mails, though they were sent."""
        return tuple(message for event, message, _fields in self.events if event == "template_failed")


def _sent(message: str, fields: dict[str, Any]) -> str:
    return f"{message}; for {', '.join(fields['recipients'])}, in {fields['duration_ms']:.0f} ms"


def send_test(handler: AlertHandler, drill: Drill) -> Outcome:
    """Simulate it now and wait for the outcome, for at most the handler's timeout for each attempt.

    A single alert has a mail that says that it is a test. Several, and an end, take the way of real ones, so that the
    mails are those which real trouble brings, each marked as a test.
    """
    works, listener = handler.works, Listener()
    alerts = [_alert(handler, drill, number) for number in range(1, drill.number + 1)]
    single = len(alerts) == 1 and not drill.ends
    intake = Intake(None, works.owner, works.clock, lambda _alert, _error: None)
    rounds = Rounds(None, works.owner, works.post() if single else _drilling(works), intake, listener, works.clock)
    for alert in alerts:
        intake.add(alert._replace(test=single))
    rounds.once(leaving=False)
    if drill.ends and listener.outcome.category is None:
        for alert in alerts:
            intake.add(alert._replace(resolved=True, created=works.clock.wall()))
        rounds.once(leaving=False)
    if listener.outcome.category is None:
        _open_gates(handler)
    return replace(listener.outcome, notes=listener.notes)


def outbox_trouble(handler: AlertHandler) -> str:
    """Return why a real alert could not be kept in the handler's outbox, "" if nothing is known to be in the way."""
    try:
        return "; ".join(filter(None, (desk.trouble() for desk in desks([handler]))))
    except ConfigError as error:
        return str(error)


def _drilling(works: Works) -> Post:
    """Return how the handler writes, but for what is no mail of the hour's ration."""
    post = works.post()
    pace = replace(post.pace, mails_per_hour=max(post.pace.mails_per_hour, Pace().mails_per_hour))
    return replace(post, pace=pace, wording=lambda: replace(post.wording(), drill=True))


def _alert(handler: AlertHandler, drill: Drill, number: int) -> Alert:
    sample = specimens.specimen(drill.kind)
    arguments = sample.arguments
    if drill.number > 1:
        sample = replace(sample, message=f"{sample.message} (%d of %d)")
        arguments = (*arguments, number, drill.number)
    information = specimens.failure() if drill.fails else None
    record = specimens.record(sample, arguments, "send_test", information, alert=drill.kind)
    return handler.alert_of(record)._replace(fingerprint=secrets.token_hex(8))


def _open_gates(handler: AlertHandler) -> None:
    """The way is free: what waits in the outbox need not wait for its time."""
    try:
        for desk in desks([handler]):
            desk.hurry()
    except (OutboxError, ConfigError):  # the mail has arrived; `outbox_trouble` tells of this
        return
