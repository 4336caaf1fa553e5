"""One simulated alert, sent now through a handler's own wording and the environment's settings, with the outcome.

It takes the whole way of a real alert except the disk: its outbox is in memory, so that it neither waits behind what
waits nor needs the process that owns the outbox to be asleep.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import Any

from alertlog.alert import Alert
from alertlog.desk import desks
from alertlog.errors import Category, ConfigError, OutboxError
from alertlog.handler import AlertHandler
from alertlog.intake import Intake
from alertlog.rounds import Rounds

SAMPLES: dict[str, tuple[str, tuple[object, ...], dict[str, object]]] = {
    "quota": (
        "Price API quota used up: %d of %d calls",
        (100, 100),
        {"provider": "marketstack", "used": 100, "limit": 100},
    ),
    "missing_price": (
        "No price for %d tickers: %s",
        (2, "SHOP.TO, ZZZ.TO"),
        {"tickers": "SHOP.TO, ZZZ.TO", "count": 2},
    ),
}
"""What the kinds that the sample pipeline knows look like; any other kind gets a plain sentence."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the test.

    Attributes:
        category: None if the mail was accepted by everybody.
        message: in one line, what the server answered, or what is in the way.
        fields: the event's, for machines.
    """

    category: Category | None
    message: str
    fields: dict[str, Any]


class Listener:
    """Stands in for the reporter: the outcome is told by the command, in one line."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        self.events.append((event, message, {"level": level, **fields}))

    @property
    def outcome(self) -> Outcome:
        """The worst that was reported: a recipient who was refused counts, though others got the mail."""
        trouble = [(message, fields) for _event, message, fields in self.events if fields.get("category")]
        if trouble:
            message, fields = trouble[-1]
            return Outcome(fields["category"], message, fields)
        for event, message, fields in self.events:
            if event == "smtp_send_succeeded":
                recipients = ", ".join(fields["recipients"])
                return Outcome(None, f"{message}; for {recipients}, in {fields['duration_ms']:.0f} ms", fields)
        return Outcome("temporary", "nothing was sent", {})


def send_test(handler: AlertHandler, kind: str) -> Outcome:
    """Send one test alert of that kind and wait for the outcome, for at most the handler's timeout."""
    works, listener = handler.works, Listener()
    intake = Intake(None, works.owner, works.clock, lambda _alert, _error: None)
    intake.add(_test_alert(handler, kind))
    Rounds(None, works.owner, works.post(), intake, listener, works.clock).once(leaving=False)
    if listener.outcome.category is None:
        _open_gates(handler)
    return listener.outcome


def _test_alert(handler: AlertHandler, kind: str) -> Alert:
    message, arguments, extras = SAMPLES.get(kind, ("A test of the alert %s", (kind,), {}))
    logger = logging.getLogger("alertlog.test")
    extra = {**extras, "alert": kind}
    record = logger.makeRecord(logger.name, logging.CRITICAL, __file__, 0, message, arguments, None, "send_test", extra)
    return handler.alert_of(record)._replace(fingerprint=secrets.token_hex(8), test=True)


def _open_gates(handler: AlertHandler) -> None:
    """The way is free: what waits in the outbox need not wait for its time."""
    try:
        for desk in desks([handler]):
            desk.hurry()
    except (OutboxError, ConfigError):  # the mail has arrived: a courier, or another command, tells of this
        return
