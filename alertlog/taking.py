"""What a handler does with each record, on the thread that logs: no exception, no waiting, no slow work."""

from __future__ import annotations

import logging
import threading
from typing import Any
from weakref import ref

from alertlog.alert import Alert
from alertlog.arguments import Arguments
from alertlog.capture import fingerprint, snapshot
from alertlog.ending import is_end, let_end
from alertlog.events import LOGGER
from alertlog.lifetime import Lifetime
from alertlog.shaping import shaped
from alertlog.works import Works


class Taking(Lifetime):
    """Takes records: as context, as repeats to count, and as alerts."""

    def __init__(self, arguments: Arguments) -> None:
        """Opens nothing and reads nothing yet."""
        super().__init__(arguments)
        own = type(self)
        self._overridden = own.filter is not logging.Handler.filter or own.emit is not Taking.emit
        self._shapes = own.format is not logging.Handler.format or own.getSubject is not Taking.getSubject
        # Whatever the handler's own level is or becomes, `alert_level` is no lower.
        self._context_below = min(logging.WARNING, self.alert_level)

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
        except BaseException as error:
            if not is_end(error):
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
        except Exception as error:  # there are no works yet, or the record is broken
            let_end(error)
            return False

    def emit(self, record: logging.LogRecord) -> None:
        """Accept a record: count it, or append it to the journal, and return. Never raises, never waits."""
        works = self._works
        if works is not None and threading.get_ident() in (works.courier.ident, works.intake.writer):
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
            works = self._works or self._began_with(record)
            if record.name != LOGGER:
                self._take(works, record)
        except Exception as error:
            self._take_badly(record, error)
        finally:
            here.busy = False

    def _began_with(self, record: logging.LogRecord) -> Works:
        works = self._begin()
        self._uncaught.missed(record)
        return works

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
        except BaseException as error:
            if is_end(error):
                works.accept_interrupted(record, fingerprint(record), error)
            raise
        over = getattr(record, "resolved", None) is True
        known = works.intake.known(trouble)
        try:
            news = over or (known is not None and known.looks > 0 and works.intake.differs(known, record))
        except BaseException as error:
            if is_end(error):
                works.accept_interrupted(record, trouble, error)
            raise
        if known is not None and not news and works.intake.repeat(trouble, record.levelno, record.created):
            return None
        try:
            alert = self._shaped(works, record, trouble)
        except BaseException as error:
            if is_end(error):
                works.accept_interrupted(record, trouble, error)
            raise
        works.accept(alert)
        return f"{alert.message}\n{alert.exception}" if alert.exception else alert.message

    def _report(self, record: logging.LogRecord, problem: str) -> None:
        try:
            self.works.report_capture(record, problem)
        except Exception as error:
            let_end(error)
            self.handleError(record)

    def _take_badly(self, record: logging.LogRecord, error: Exception) -> None:
        """Take in the least of a record that an error kept from being taken; what an alarm raised is the program's."""
        ended = False
        try:
            ended = is_end(error)
            if not ended:
                self._take_stub(record, error)
        except RecursionError:  # at the very end of the stack not even this works: later, from further up
            self._interrupting.add(record)
        except Exception as late:
            let_end(late)
            self._interrupting.add(record)
        if ended:  # nobody was told that the alert is accepted, which it may be or not
            raise error

    def _take_stub(self, record: logging.LogRecord, error: Exception) -> None:
        works = self._works
        if works is None:  # no machine without a host name has been seen; the standard library's way, if there is one
            self.handleError(record)
            return
        self._trails.add(record, works.accept_broken(record, error))
        works.report_capture(record, f"{type(error).__name__}: {error}")

    def alert_of(self, record: logging.LogRecord) -> Alert:
        """Return what this handler would mail of a record, whatever its level."""
        works = self.works
        return self._shaped(works, record, self._fingerprint(record))

    def _shaped(self, works: Works, record: logging.LogRecord, trouble: str) -> Alert:
        context = self._trails.before(works.redactor)
        if self.formatter is None and not self._shapes:
            return snapshot(record, trouble, works.redactor, host=works.host, context=context)
        own_format = self.formatter is not None or type(self).format is not logging.Handler.format
        own_subject = type(self).getSubject is not Taking.getSubject
        own = (self.format if own_format else None, self.getSubject if own_subject else None)
        return shaped(works, record, trouble, own, self._here, context)
