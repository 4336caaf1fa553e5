"""What is measured: handlers that mail a record, and the shapes of the calls made to them."""

from __future__ import annotations

import logging
import os
import queue
import socket
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import QueueHandler, QueueListener, SMTPHandler
from typing import Any

SENDER, RECIPIENT = "etl@pipeline.example", "operator@alerts.example"
TIMEOUT = 1.0  # s; the peers that have no timeout of their own would wait for a mute server for ever


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mail server is, and a folder for what a handler keeps."""

    port: int
    folder: str


@dataclass(frozen=True, slots=True)
class Target:
    """A logger of some library and the text that it takes: `%`-style or `{}`-style."""

    logger: Any
    template: str = "Quota used: %d of %d calls"


Shape = Callable[[Target, int], None]


def new(target: Target, number: int) -> None:
    """An alert that no other is equal to."""
    extra = {"alert": f"quota-{number}", "provider": "marketstack"}
    target.logger.critical(target.template, number, 100, extra=extra)


def repeat(target: Target, number: int) -> None:
    """The same alert again."""
    target.logger.critical(target.template, number, 100, extra={"alert": "quota", "provider": "marketstack"})


def formatted(target: Target, number: int) -> None:
    """The same again, by a caller that fills in the text itself: only its words can tell what is the same."""
    target.logger.critical(f"Quota used: {number} of 100 calls")


def context(target: Target, number: int) -> None:
    """A record that is not mailed."""
    target.logger.info(target.template, number, 100)


SHAPES: dict[str, Shape] = {"new": new, "repeat": repeat, "formatted": formatted, "context": context}


def _with(handler: logging.Handler) -> Target:
    # Like an application's: no propagation to a root that pytest or a console has its handlers on.
    logger = logging.Logger("portfolio_etl", logging.INFO)
    logger.addHandler(handler)
    return Target(logger)


def _smtp_handler(place: Place) -> SMTPHandler:
    where = ("127.0.0.1", place.port)
    handler = SMTPHandler(where, SENDER, [RECIPIENT], "[ETL] API quota alert", timeout=TIMEOUT)
    handler.setLevel(logging.CRITICAL)
    return handler


def null(_: Place) -> Target:
    return _with(logging.NullHandler())


def alertlog(place: Place) -> Target:
    from alertlog import AlertHandler

    os.environ |= {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(place.port),
        "SMTP_TRANSPORT": "none",
        "SMTP_TIMEOUT_SECONDS": str(TIMEOUT),
        "SMTP_FROM": SENDER,
        "SMTP_TO": RECIPIENT,
    }
    # Its diagnostics are wanted, their text on this terminal is not.
    logging.getLogger("alertlog").addHandler(logging.NullHandler())
    return _with(AlertHandler(service="bench", outbox=f"{place.folder}/alerts.sqlite3"))


def smtp_handler(place: Place) -> Target:
    return _with(_smtp_handler(place))


def queue_handler(place: Place) -> Target:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    QueueListener(waiting, _smtp_handler(place), respect_handler_level=True).start()
    return _with(QueueHandler(waiting))


def mailinglogger(place: Place) -> Target:
    import mailinglogger as peer

    socket.setdefaulttimeout(TIMEOUT)
    # By default it mails ten an hour and drops the rest, which would be quick.
    where = ("127.0.0.1", place.port)
    return _with(peer.MailingLogger(SENDER, [RECIPIENT], where, subject="API quota alert", flood_level=0))


def logbook(place: Place) -> Target:
    import logbook as peer

    socket.setdefaulttimeout(TIMEOUT)
    where = ("127.0.0.1", place.port)
    peer.MailHandler(SENDER, [RECIPIENT], subject="API quota alert", server_addr=where).push_application()
    return Target(peer.Logger("portfolio_etl"), "Quota used: {} of {} calls")


SUBJECTS: dict[str, Callable[[Place], Target]] = {
    "NullHandler": null,
    "alertlog": alertlog,
    "QueueHandler + QueueListener": queue_handler,
    "SMTPHandler": smtp_handler,
    "Logbook MailHandler": logbook,
    "mailinglogger": mailinglogger,
}
