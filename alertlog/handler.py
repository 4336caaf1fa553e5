"""AlertHandler: what `logging` calls. It never raises, never waits, and leaves everything slow to the courier."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never
from weakref import ref

from alertlog import checks
from alertlog.alert import Alert
from alertlog.arguments import (
    Arguments,
    language_of,
    level_of,
    outbox_of,
    prefix_of,
    recipients_of,
    refuse_credentials,
    refuse_unknown,
    secure_of,
    server_of,
)
from alertlog.capture import fingerprint, snapshot
from alertlog.ending import let_end
from alertlog.events import LOGGER
from alertlog.lifetime import Lifetime
from alertlog.shaping import shaped
from alertlog.works import Works


class AlertHandler(Lifetime):
    """Turns alert-level records into mail, through a durable outbox.

    All arguments are optional; SMTP settings come from the environment. The arguments of
    `logging.handlers.SMTPHandler` are accepted in its order, as defaults which the environment overrides.

    Args:
        mailhost: the server, or (server, port); without a port it is 25, as in SMTPHandler.
        fromaddr: the sender.
        toaddrs: one recipient or several.
        subject: template of the Subject header; `{name}` stands for an extra or one of the record's own values.
        credentials: refused with ValueError: secrets come from the environment only.
        secure: () for STARTTLS, (key file, certificate file) to show a client certificate as well, or (file of both,).
        timeout: seconds of wall time for one whole delivery attempt; 300 at most.
        alert_level: records at this level and above are mailed; by default the handler's own level if that is WARNING
            or above, else CRITICAL. A record with `extra={"alert": kind}` is mailed at any level.
        service: who writes; by default ALERTLOG_SERVICE, else the main program's name.
        subjects: templates of the Subject header by kind.
        context_lines: how many records that the same task logged before an alert are shown with it, of those that the
            handler's own level lets through; 0 for none.
        repeat_after: seconds from an incident's first mail to its first follow-up; then doubling, up to 4 h.
        quiet_after: seconds without a repeat after which an incident closes.
        mails_per_hour: above it, what is due is merged into one digest.
        shutdown_timeout: seconds that `close()` may wait for one attempt at what is due; by default
            SMTP_TIMEOUT_SECONDS.
        outbox: absolute path of the outbox; by default ALERTLOG_OUTBOX, else a file in the user's state folder.
        env_prefix: what the names of the SMTP variables begin with.
        language: `en` or `fr`, for the labels of the mail.
        outbox_incidents: how many incidents the handler's part of the outbox may hold; beyond it, those that are told
            and quiet close, then further trouble is counted together, one incident a kind.
        outbox_bytes: size of the outbox's file beyond which the same happens.
        fingerprint: a callable, or the dotted name of one, that replaces alertlog's own grouping: records for which it
            returns the same text are one incident. If it raises, the alert is mailed all the same.

    Raises:
        ValueError: an argument is wrong; nothing else ever raises.
    """

    alertlog_handler = True  # by this mark the events module knows that events would reach nobody here

    def __init__(
        self,
        mailhost: str | Sequence[Any] | None = None,
        fromaddr: str | None = None,
        toaddrs: str | Sequence[str] | None = None,
        subject: str | None = None,
        credentials: object = None,
        secure: Sequence[str] | None = None,
        timeout: float | None = None,
        *,
        alert_level: int | str | None = None,
        service: str | None = None,
        subjects: Mapping[str, str] | None = None,
        context_lines: int = 50,
        repeat_after: float = 300.0,
        quiet_after: float = 3600.0,
        mails_per_hour: float = 30.0,
        shutdown_timeout: float | None = None,
        outbox: str | os.PathLike[str] | None = None,
        env_prefix: str = "SMTP_",
        language: str = "en",
        outbox_incidents: int = 1_000,
        outbox_bytes: int = 64 * 1024 * 1024,
        fingerprint: Callable[[logging.LogRecord], str] | str | None = None,
        **unknown: Never,
    ) -> None:
        env_prefix = prefix_of(env_prefix)
        refuse_credentials(credentials, env_prefix)
        refuse_unknown(unknown, env_prefix)
        host, port = server_of(mailhost)
        arguments = Arguments(
            host=host,
            port=port,
            sender=checks.text("fromaddr", fromaddr) or "",
            recipients=recipients_of(toaddrs),
            secure=secure_of(secure),
            timeout=timeout,
            subject=checks.text("subject", subject) or "",
            subjects=checks.table("subjects", subjects),
            alert_level=level_of(alert_level),
            service=checks.text("service", service),
            context_lines=context_lines,
            repeat_after=repeat_after,
            quiet_after=quiet_after,
            mails_per_hour=mails_per_hour,
            shutdown_timeout=shutdown_timeout,
            outbox=outbox_of(outbox),
            env_prefix=env_prefix,
            language=language_of(language),
            outbox_incidents=outbox_incidents,
            outbox_bytes=outbox_bytes,
            fingerprint=checks.function("fingerprint", fingerprint),
        )
        super().__init__(arguments)
        self._overridden = type(self).filter is not logging.Handler.filter or type(self).emit is not AlertHandler.emit
        # Whatever the handler's own level is or becomes, `alert_level` is no lower.
        self._context_below = min(logging.WARNING, self.alert_level)

    # What logging calls

    def getSubject(self, record: logging.LogRecord) -> str:
        """Return the Subject header for a record. An override runs on the thread that logs, on a copy of the record."""
        works = self._begin()
        return works.subject_of(snapshot(record, self._fingerprint(record), works.redactor, host=works.host))

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit; a filter that raises lets the record through."""
        if self._is_context(record):
            self._trails.add(record)
            return True
        try:
            passed: Any = self.filter(record)
            wanted = bool(passed)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self._report(record, f"a filter raised {type(error).__name__}, the record is let through")
            self.emit(record)
            let_end(error)
            return True
        if isinstance(passed, logging.LogRecord):  # a filter may return another record (Python 3.12)
            record = passed
        if wanted:
            self.emit(record)
        return wanted

    def _is_context(self, record: logging.LogRecord) -> bool:
        """Whether a record is surely nothing but context, which then needs none of the care that `emit` takes."""
        try:
            return (
                not self.filters
                and (record.levelno < self._context_below or record.levelno < self.alert_level)
                and getattr(record, "alert", None) is None  # __dict__ would slow the record down
                and record.name != LOGGER
                and not self._works.courier.dormant  # type: ignore[union-attr]
                and not self._overridden
            )
        except Exception:  # there are no works yet, or the record is broken
            return False

    def emit(self, record: logging.LogRecord) -> None:
        """Accept a record: count it, or append it to the journal, and return. Never raises, never waits."""
        works = self._works
        if record.name == LOGGER or (
            works is not None and threading.get_ident() in (works.courier.ident, works.intake.writer)
        ):
            return
        if self._here.busy:  # a signal handler or a __del__ came in between
            self._interrupting.add(record)
            return
        self._work(record)
        if self._interrupting.waiting:
            self._interrupting.take(self._work)

    def _work(self, record: logging.LogRecord) -> None:
        here = self._here
        here.busy = True
        try:
            self._take(self._works or self._begin(), record)
        except Exception as error:
            self._take_badly(record, error)
        finally:
            here.busy = False

    def _take(self, works: Works, record: logging.LogRecord) -> None:
        if works.courier.dormant:
            works.attend(ref(self))
        kind = getattr(record, "alert", None)
        if kind is False:
            return
        said = self._take_alert(works, record) if kind or record.levelno >= self.alert_level else None
        self._trails.add(record, said)

    def _take_alert(self, works: Works, record: logging.LogRecord) -> str | None:
        """Return what the record says, if it had to be asked."""
        try:
            trouble = self._fingerprint(record)
        except (KeyboardInterrupt, SystemExit) as interruption:
            works.accept_interrupted(record, fingerprint(record), interruption)
            raise
        over = getattr(record, "resolved", None) is True
        if not over and works.intake.repeat(trouble, record.levelno, record.created):
            return None
        try:
            alert = self._shaped(works, record, trouble)
        except (KeyboardInterrupt, SystemExit) as interruption:
            works.accept_interrupted(record, trouble, interruption)
            raise
        works.accept(alert)
        return f"{alert.message}\n{alert.exception}" if alert.exception else alert.message

    def _report(self, record: logging.LogRecord, problem: str) -> None:
        try:
            self.works.report_capture(record, problem)
        except Exception:
            self.handleError(record)

    def _take_badly(self, record: logging.LogRecord, error: Exception) -> None:
        works = self._works
        if works is None:  # no machine without a host name has been seen; the standard library's way, if there is one
            self.handleError(record)
            return
        try:
            self._trails.add(record, works.accept_broken(record, error))
            works.report_capture(record, f"{type(error).__name__}: {error}")
        except Exception:  # at the very end of the stack not even this works: later, from further up
            self._interrupting.add(record)

    def alert_of(self, record: logging.LogRecord) -> Alert:
        """Return what this handler would mail of a record, whatever its level."""
        works = self.works
        return self._shaped(works, record, self._fingerprint(record))

    def _shaped(self, works: Works, record: logging.LogRecord, trouble: str) -> Alert:
        context = self._trails.before(works.redactor)
        if self.formatter is None and type(self) is AlertHandler:
            return snapshot(record, trouble, works.redactor, host=works.host, context=context)
        own_format = self.formatter is not None or type(self).format is not logging.Handler.format
        own_subject = type(self).getSubject is not AlertHandler.getSubject
        own = (self.format if own_format else None, self.getSubject if own_subject else None)
        return shaped(works, record, trouble, own, self._here, context)
