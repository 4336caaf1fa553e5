"""What alertlog says of itself: events on the logger `alertlog`, or JSON on stderr if nobody listens there.

A handler that takes no events (because it would mail about its own mail) has the class attribute
`alertlog_handler = True`; it does not count as a listener.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TextIO

from alertlog.clock import Clock
from alertlog.ending import let_end
from alertlog.event_lines import bare_line, line_of
from alertlog.forks import FORK_WAIT, take_part

LOGGER = "alertlog"
DEPTH = 8
"""How deep a field may be nested; what is deeper is shown as text."""


class Event(NamedTuple):
    """What an event means, and the level at which it is reported unless the report says otherwise."""

    level: int
    meaning: str


EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        "smtp_config_missing": Event(logging.ERROR, "required settings are not there; alerts are kept"),
        "smtp_config_invalid": Event(logging.ERROR, "settings are wrong, all listed; alerts are kept"),
        "smtp_insecure_login": Event(logging.WARNING, "credentials cross the network without TLS"),
        "smtp_send_succeeded": Event(logging.INFO, "the server accepted a mail"),
        "smtp_send_failed": Event(logging.ERROR, "the server did not accept a mail"),
        "smtp_detour": Event(logging.ERROR, "a mail server failed, and the next one is tried"),
        "smtp_recipient_refused": Event(logging.ERROR, "the server refused a recipient; others got the mail"),
        "outbox_unavailable": Event(logging.ERROR, "alerts can't be kept on disk; memory stands in"),
        "outbox_corrupt": Event(logging.ERROR, "the outbox was damaged, set aside, and begun anew"),
        "alert_capture_failed": Event(logging.ERROR, "a record was broken; what could be read was taken"),
        "template_failed": Event(logging.ERROR, "a template of the deployer's own failed; alertlog's stood in for it"),
        "alert_expired": Event(logging.ERROR, "alerts could not be sent for a week and are given up"),
        "fleet_unavailable": Event(
            logging.WARNING, "the windows shared by hosts are out of reach; each goes on by itself"
        ),
        "incident_opened": Event(logging.INFO, "the first alert of a trouble"),
        "incident_closed": Event(logging.INFO, "a trouble is over, or has been quiet for long enough"),
    }
)

FIELDS = (
    "kind", "fingerprint", "message_id", "stage", "category", "smtp_code", "attempt", "retry_in_s",
    "duration_ms", "host", "port", "transport", "recipients", "problems", "alert", "count",
)  # fmt: skip
"""What an event may tell beside its message; none of them is an attribute that every LogRecord has."""

TURN = 1.0
"""Seconds that an event waits for the one before it to be written."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Redacts(Protocol):
    """What reporting needs of `alertlog.redact.Redactor`."""

    def refresh(self) -> None: ...
    def text(self, text: str) -> str: ...


class Reports(Protocol):
    """Who takes events."""

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None: ...


class Reporter:
    """Reports events, without secrets. Safe to use from several threads and after a fork.

    Args:
        stream: the fallback stream; by default what `sys.stderr` is at the time.
    """

    def __init__(self, redactor: Redacts, clock: Clock, stream: TextIO | None = None) -> None:
        self._redactor = redactor
        self._clock = clock
        self._stream = stream
        # Taken now: logging.getLogger() waits for a lock that someone who waits for us may hold.
        self._logger = logging.getLogger(LOGGER)
        self._turns: dict[int, Any] = {}  # by process id: a fork must not inherit a lock that is held
        self._held: list[Any] = []
        take_part(self)
        self._bypassing: list[int] = []  # process ids: a fork must not inherit another thread's bypass

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        """Report an event, without the fields that are None. Whatever a stream or a handler does, it returns.

        Raises:
            KeyError: no such event or field: an error in the program, on every call alike.
        """
        level = EVENTS[event].level if level is None else level
        for name in fields:
            if name not in FIELDS:
                raise KeyError(name)
        try:
            self._redactor.refresh()
            self._deliver(self._record(event, level, message, fields))
        except Exception as error:  # not even a diagnostic of a diagnostic may reach the program that logs
            let_end(error)
            why = f"{event} can't be reported: {type(error).__name__}"
            self._print(bare_line(event=event, logger=LOGGER, message=why))

    @contextmanager
    def bypassing(self) -> Iterator[None]:
        """Meanwhile write to the fallback stream, without the locks of `logging`: who waits may hold one."""
        process = os.getpid()
        self._bypassing.append(process)
        try:
            yield
        finally:
            self._bypassing.remove(process)

    def _record(self, event: str, level: int, message: str, fields: dict[str, object]) -> logging.LogRecord:
        text = _UNPRINTABLE.sub(" ", f"{event}: {self._clean(message)}")
        record = self._new_record(level, text)
        record.created = self._clock.wall()
        record.msecs = record.created % 1 * 1000
        record.__dict__["event"] = event
        for name, value in fields.items():
            if value is not None:
                record.__dict__[name] = self._plain(value, ())
        return record

    def _new_record(self, level: int, text: str) -> logging.LogRecord:
        arguments: tuple[Any, ...] = (LOGGER, level, __file__, 0, text, (), None)
        try:  # the program's own factory, whose fields its formats may need
            return self._logger.makeRecord(*arguments)
        except Exception as error:
            let_end(error)
            return logging.LogRecord(*arguments)

    def _deliver(self, record: logging.LogRecord) -> None:
        logger, level = self._logger, record.levelno
        if os.getpid() in self._bypassing or not _has_listener(logger):
            if level >= (logger.level or logging.INFO):
                self._print(line_of(record, FIELDS))
        elif level >= logger.getEffectiveLevel() and level > logging.root.manager.disable:
            try:
                logger.handle(record)
            except BaseException as error:  # the listener failed, so the event still has to be told
                self._print(line_of(record, FIELDS))
                let_end(error)
        elif level >= logging.ERROR and not logger.level and level > logging.root.manager.disable:
            # A root at CRITICAL keeps libraries quiet; nobody meant to hide an alert that can't be mailed.
            self._print(line_of(record, FIELDS))

    def _print(self, line: str) -> None:
        """Write a line in one go, under no handler's lock; a stream that is broken or gone is no matter.

        One thread after the other: an unbuffered stderr has no lock of its own, and a pipe that is full takes the lines
        of several threads in turns, 4,096 bytes at a time (POSIX write: PIPE_BUF). A thread that stopped in the middle,
        as the courier's at the interpreter's end, is not waited for.
        """
        stream = self._stream or sys.stderr
        turn = self._turn()
        mine = turn.acquire(timeout=TURN)
        try:
            stream.write(line)
            stream.flush()
        except Exception as error:  # there is nowhere left to say so
            let_end(error)
        finally:
            if mine:
                turn.release()

    def _turn(self) -> Any:
        return self._turns.setdefault(os.getpid(), threading.RLock())

    # Fork: a stream that another thread is writing to would stay locked in the child for ever.

    def before_fork(self) -> None:
        turn = self._turn()
        self._held.append(turn if turn.acquire(timeout=FORK_WAIT) else None)

    def after_fork(self) -> None:
        turn = self._held.pop() if self._held else None  # empty if this was made while the fork was under way
        if turn is not None:
            turn.release()

    def after_fork_in_child(self) -> None:
        self._turns, self._held = {}, []

    def _plain(self, value: object, around: tuple[int, ...]) -> Any:
        """Return the value as JSON can show it (RFC 8259: no NaN, no circles), its texts without secrets."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**63 else hex(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, (dict, list, tuple)) and id(value) not in around and len(around) < DEPTH:
            around = (*around, id(value))
            if isinstance(value, dict):
                return {self._clean(name): self._plain(item, around) for name, item in value.items()}
            return [self._plain(item, around) for item in value]
        return self._clean(value)

    def _clean(self, value: object) -> str:
        try:
            return self._redactor.text(value if type(value) is str else str(value))
        except Exception as error:
            let_end(error)
            return f"<{type(value).__name__}: {type(error).__name__} when it was shown>"


def _has_listener(logger: logging.Logger) -> bool:
    """Whether a record on this logger would reach a handler that takes it; asked without a lock."""
    if logger.disabled:  # disable_existing_loggers of a dictConfig has done so
        return False
    place: logging.Logger | None = logger
    while place is not None:
        if any(getattr(type(handler), "alertlog_handler", False) is not True for handler in place.handlers):
            return True
        place = place.parent if place.propagate else None
    return False
