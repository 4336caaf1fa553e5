"""What stands behind one handler from its first record on: intake, courier, reporter, and how they fit together."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import ReferenceType

from alertlog import herald
from alertlog.alert import Alert
from alertlog.arguments import Arguments
from alertlog.capture import fingerprint, snapshot, stub
from alertlog.clock import Clock, SystemClock
from alertlog.courier import Courier
from alertlog.errors import ConfigError
from alertlog.event_lines import FORMATTER
from alertlog.events import Reporter
from alertlog.forks import ForkLock
from alertlog.intake import Intake
from alertlog.leaving import Farewell, configuring
from alertlog.ownership import Owner
from alertlog.place import REDIS_URL, environment_name, handler_name, outbox_path, service_name, variable
from alertlog.redact import Redactor
from alertlog.stats import Counters

if TYPE_CHECKING:
    from alertlog.letter import Wording
    from alertlog.lifetime import Lifetime
    from alertlog.planning import Post
    from alertlog.rounds import Rounds
    from alertlog.settings import SmtpSettings

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_TIMEOUT = 10.0
"""Seconds that `close()` waits where neither the handler nor the environment says how long."""

LONGEST_TIMEOUT = 300.0


class Works:
    """The parts of one handler in this process. Made at the first record; opens nothing until there is an alert.

    Attributes:
        place: the outbox's file; None where there is no place for one.
        owner: whose part of the outbox this is.
        counters: what the courier has done in this process.
    """

    def __init__(self, arguments: Arguments, name: str | None, clock: Clock | None = None) -> None:
        self.arguments = arguments
        self.clock: Clock = clock or SystemClock()
        self.redactor = Redactor.of(os.environ, rules=arguments.redact)
        self.reporter = Reporter(self.redactor, self.clock)
        self.counters = Counters()
        self._importing = ForkLock()  # on the program's own threads: half a module stays half one in a forked child
        self.host = socket.gethostname()
        given = self.arguments
        self.place = self._told(outbox_path, given.outbox, None, "alerts are kept in memory only")
        service = self._told(service_name, given.service, "alertlog", "the service is called alertlog")
        self._environment = self._told(environment_name, given.environment, "", "mails name no environment")
        self.owner = Owner(service, handler_name(name, arguments.env_prefix))
        self.intake = Intake(self.place, self.owner, self.clock, partial(herald.unwritable, self.reporter))
        self.courier = Courier(self.rounds, self.intake, self.reporter, self.redactor.refresh)

    def _told(
        self, read: Callable[[str | None, Mapping[str, str]], T], argument: str | None, otherwise: U, outcome: str
    ) -> T | U:
        """Return what an argument or else the environment says, and something else where that is wrong."""
        try:
            return read(argument, os.environ)
        except ConfigError as error:
            herald.settings_wrong(self.reporter, error, outcome)
            return otherwise

    def attend(self, handler: ReferenceType[Lifetime]) -> None:
        """Start the courier at this process's first record: an earlier process may have left something to send.

        A child of multiprocessing ends by os._exit(), without logging.shutdown(): its own finalizers close for it.
        """
        util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
        if util is not None and process is not None and process.parent_process() is not None:
            util.Finalize(None, _close, args=(handler,), exitpriority=-10)  # pragma: no cover - see _close
        if any(os.environ.get(name) for name in (REDIS_URL, f"{REDIS_URL}_FILE")):
            # Redis's client wants it, on the courier: too late where this record is the program's last, as the module
            # can't be imported any more once the interpreter shuts down.
            with self._importing, suppress(ImportError, RuntimeError):
                importlib.import_module("concurrent.futures.thread")
        self.courier.start()

    def accept(self, alert: Alert) -> None:
        """Take an alert in, and see to it that somebody sends it."""
        self.intake.add(alert)
        self.courier.wake()
        if not self.courier.start():
            self.intake.count_no_more()
            self.intake.write_counts()
            herald.no_thread(self.reporter, alert)

    def accept_interrupted(self, record: logging.LogRecord, trouble: str, interruption: BaseException) -> None:
        """Take in a record at which the program was interrupted while a method of its own ran."""
        problem = f"{type(interruption).__name__} came in between"
        self.accept(snapshot(record, trouble, self.redactor, host=self.host, problem=problem))

    def accept_broken(self, record: logging.LogRecord, error: Exception) -> str:
        """Take in, and return, the least that can be said of a record that could not be captured."""
        alert = stub(record, fingerprint(record), error, self.redactor)
        self.accept(alert)
        return alert.message

    def round(self, *, leaving: bool, timeout: float) -> None:
        """Wait for one round of the courier, but not while `logging` is being configured: at the end of the process.

        Whoever waits may hold locks of handlers, so the courier's events take another way meanwhile.
        """
        if configuring():
            anything = leaving and self.intake.journal is not None  # asked first: the courier gives the journal up
            request = self.courier.request(leaving=leaving)
            if request is not None and anything:
                Farewell(request, timeout, self._report_left)
            return
        with self.reporter.bypassing():
            done = self.courier.ask(leaving=leaving, timeout=timeout)
            if leaving and not done:
                self._report_left()

    def _report_left(self) -> None:
        """The process may be gone before the attempt under way has an outcome, and with it the event that tells it."""
        for alert in self.courier.under_way():
            herald.left_behind(self.reporter, alert)

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that `close()` may wait: by default, for one attempt at each server."""
        given = self.arguments
        if given.shutdown_timeout is not None:
            return given.shutdown_timeout
        first = _seconds(given.env_prefix, given.timeout or DEFAULT_TIMEOUT)
        others = (_seconds(prefix, DEFAULT_TIMEOUT) for prefix in given.backups)
        return min(LONGEST_TIMEOUT, first + sum(others))

    # Made when needed, because it costs imports

    def settings(self) -> SmtpSettings | None:
        """Return the SMTP settings in force, None where they are not complete."""
        with self._importing:
            importlib.import_module("alertlog.ways")
        try:
            return self._read_settings()
        except ConfigError:
            return None

    def subject_of(self, alert: Alert) -> str:
        with self._importing:
            from alertlog.subjects import subject_of

            wording = self._wording()
        return subject_of(alert, wording)

    def post(self) -> Post:
        """Return how this handler writes."""
        from alertlog.bounds import Bounds
        from alertlog.planning import Post
        from alertlog.policy import Pace

        given = self.arguments
        return Post(
            Pace(given.repeat_after, given.quiet_after, given.mails_per_hour),
            self._wording,
            self._read_settings,
            Bounds(given.outbox_incidents, given.outbox_bytes),
            lambda secret: self.redactor.learn({}, [secret]),
            self.redactor,
        )

    def _wording(self) -> Wording:
        from alertlog.letter import Wording

        given = self.arguments
        return Wording(
            self.owner.service, given.subject, given.subjects, given.language, self.owner.handler,
            self._environment, self.host, given.reply_to, given.templates or "",
        )  # fmt: skip

    def rounds(self) -> Rounds:
        """Return new tools for a courier, which import what they need: to be called on its thread."""
        from alertlog.rounds import Rounds

        with suppress(ImportError):  # now, when a fork waits for it, rather than at the first event
            importlib.import_module(FORMATTER)
        self.counters = counters = Counters()
        return Rounds(
            self.place, self.owner, self.post(), self.intake, self.reporter, self.clock,
            environ=os.environ, counters=counters,
        )  # fmt: skip

    def _read_settings(self) -> SmtpSettings:
        from alertlog.settings import SmtpDefaults
        from alertlog.ways import read_ways

        given = self.arguments
        defaults = SmtpDefaults(given.host, given.port, given.sender, given.recipients, given.secure, given.timeout)
        self.redactor.refresh()
        settings = read_ways(os.environ, (given.env_prefix, *given.backups), defaults)
        self.redactor.learn({}, settings.secrets)  # should it have changed in between
        return settings

    def report_capture(self, record: logging.LogRecord, problem: str) -> None:
        herald.capture_failed(self.reporter, record, problem)


def _seconds(prefix: str, default: float) -> float:
    try:  # without environs, which costs a tenth of a second that a program's exit need not pay
        seconds = float(variable(f"{prefix}TIMEOUT_SECONDS", os.environ))
    except (ConfigError, ValueError):
        seconds = default
    return seconds if 0 < seconds <= LONGEST_TIMEOUT else DEFAULT_TIMEOUT


# Runs in children that multiprocessing ends by os._exit(), where what was measured is not always written down.
def _close(handler: ReferenceType[Lifetime]) -> None:  # pragma: no cover
    alive = handler()
    if alive is not None:
        alive.close()
