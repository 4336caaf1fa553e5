"""`alertlog run`: a command is run as it would be without, and whoever must know learns by mail how it ended.

This covers the death that no handler inside a program can report. The command comes first: it starts before any
configuration is read, and nothing that fails here changes its output or its exit code.
"""

from __future__ import annotations

import atexit
import logging
import os
import shlex
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from alertlog import deployment
from alertlog.child import Child
from alertlog.errors import ConfigError
from alertlog.events import EVENTS, Reporter
from alertlog.fate import Fate
from alertlog.handler import AlertHandler
from alertlog.lines import Kept, lines_of
from alertlog.passing import Tail
from alertlog.redact import Redactor
from alertlog.word_secrets import without_secrets
from alertlog.words import ENGLISH

LOGGER = "alertlog.run"
"""The logger that the alerts name; none of that name is asked."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command, and what is to be said of it.

    Attributes:
        name: who failed, as the mail says; by default the command's file name.
        kind: the kind of its alerts.
        config: the deployment's configuration, see `deployment.handlers`.
        max_time: seconds after which an alert says that it still runs; None for never.
        kill_after: seconds after that until it is ended; None for never.
    """

    command: tuple[str, ...]
    name: str = ""
    kind: str = "run"
    config: str | None = None
    max_time: float | None = None
    kill_after: float | None = None

    @property
    def called(self) -> str:
        return self.name or PurePath(self.command[0]).name or self.command[0]


def run(job: Job) -> int:
    """Run the command to its end, alert if something is wrong with it, and return its exit code as a shell gives it."""
    _fill_gaps()
    tail = Tail(job.called)
    child = Child(job.command, tail)
    with child.passing_signals_on():
        child.start()
        mail = Mail(job, child, tail)
        if not child.wait(job.max_time):
            mail.guarded(mail.tell_overrun)
            if job.kill_after is not None and not child.wait(job.kill_after):
                child.end()
            child.wait()
        fate = child.fate()
        mail.guarded(lambda: mail.tell_end(fate))
        child.pass_rest()
        mail.close()
    _say([*child.troubles, *mail.troubles])
    return fate.code


class Mail:
    """What the deployment's handlers are told of one job."""

    def __init__(self, job: Job, child: Child, tail: Tail) -> None:
        self._job = job
        self._child = child
        self._tail = tail
        self.troubles: list[str] = []
        self._handlers: list[AlertHandler] = []
        self.guarded(self._read_configuration)

    def _read_configuration(self) -> None:
        try:
            self._handlers = deployment.handlers(self._job.config, Path())
        except ConfigError as error:
            self.troubles.append(f"{error}; the environment alone says where mail goes")
            self._handlers = [AlertHandler()]
        for handler in self._handlers:
            handler.works.reporter = _Quiet(handler.works.redactor, handler.works.clock)

    def guarded(self, tell: Callable[[], None]) -> None:
        """Nothing that fails here may change what becomes of the command."""
        try:
            tell()
        except Exception as error:
            self.troubles.append(f"alerting failed: {type(error).__name__}: {error}")

    def tell_overrun(self) -> None:
        """It runs for longer than it should."""
        limit = _duration(self._job.max_time or 0.0)
        self._tell(f"still runs after {limit}, which is all that --max-time gives it", {})

    def tell_end(self, fate: Fate) -> None:
        """It has ended. A success ends the incident that an earlier failure opened, if one is there."""
        ran_for = _duration(fate.seconds)
        details = {"exit_code": fate.code, "signal": fate.signal, "ran_for": ran_for}
        if fate.memory:
            details["most_memory"] = f"{fate.memory / 1024 / 1024:,.0f} MiB"
        self._tell(fate.words(ran_for), details if fate.failed else {**details, "resolved": True})

    def _tell(self, what: str, details: dict[str, object]) -> None:
        lines = self._tail.lines()
        record = self._record(what if "resolved" in details else _with_last(what, lines), details)
        for handler in self._handlers:
            self.guarded(partial(_tell, handler, record, lines))

    def _record(self, what: str, details: dict[str, object]) -> logging.LogRecord:
        job, level = self._job, logging.INFO if "resolved" in details else logging.CRITICAL
        record = logging.LogRecord(LOGGER, level, "", 0, "%s %s", (job.called, what), None)
        record.process, record.processName, record.threadName = self._child.pid or None, job.called, None
        extras = {"command": shlex.join(without_secrets(job.command)), "folder": _folder(), **details}
        record.__dict__.update({name: value for name, value in extras.items() if value != ""})
        record.__dict__.update({"alert": job.kind, "alert_key": job.called})
        return record

    def close(self) -> None:
        """Wait for the mail: each handler at most its `shutdown_timeout`, all at the same time; or until a signal."""
        threads = []
        for handler in self._handlers:
            thread = threading.Thread(target=self.guarded, args=(handler.close,), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there is no further thread to be had
                self.guarded(handler.close)
            else:
                threads.append(thread)
        if not self._child.wait_unless_dismissed(partial(_joined, threads)):
            # The alert is kept; nor is it to be waited for at the interpreter's end.
            atexit.unregister(logging.shutdown)


def _joined(threads: list[threading.Thread], seconds: float) -> bool:
    for thread in threads:
        thread.join(seconds)
    return not any(thread.is_alive() for thread in threads)


class _Quiet(Reporter):
    """Standard error is the command's: it is said there what failed and what waits, but not that a mail went out."""

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        if (EVENTS[event].level if level is None else level) > logging.INFO or fields.get("alert"):
            super().report(event, message, level=level, **fields)


def _tell(handler: AlertHandler, record: logging.LogRecord, lines: list[Kept]) -> None:
    works = handler.works
    if hasattr(record, "resolved") and works.intake.nothing_there():
        return  # a program without alerts makes no outbox
    most = works.arguments.context_lines
    context = lines_of(lines[-most:] if most else [], works.redactor)
    works.accept(handler.alert_of(record)._replace(context=context))


def _with_last(what: str, lines: list[Kept]) -> str:
    """Add what the command wrote last: of two failures in one incident, whose context is the first one's, both tell."""
    return f"{what}\n{lines[-1][3].strip()}" if lines else what


def _duration(seconds: float) -> str:
    return ENGLISH.duration(seconds)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it has been removed
        return ""


def _fill_gaps() -> None:
    """Open what is closed of standard input, output and error, or the next pipe would be taken for it."""
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _say(troubles: list[str]) -> None:
    """Print what went wrong, without secrets: an exception may say what it was given."""
    redactor = Redactor.of(os.environ)
    for trouble in troubles:
        with suppress(OSError):  # nobody reads it: no reason for another exit code
            os.write(2, f"alertlog: {redactor.text(trouble)}\n".encode("utf-8", "backslashreplace"))
