"""A handler from its first record to its close: what stands behind it is made late, and waited for with measure."""

from __future__ import annotations

from collections.abc import Callable
from logging import Handler, LogRecord
from time import monotonic
from typing import TYPE_CHECKING

from alertlog.arguments import Arguments
from alertlog.capture import fingerprint
from alertlog.context import Trails
from alertlog.forks import ForkLock
from alertlog.interrupting import Here, Interrupting
from alertlog.leaving import Waited
from alertlog.shaping import Grouping
from alertlog.smtp_view import SettingsView
from alertlog.stats import Stats
from alertlog.uncaught import Uncaught
from alertlog.works import Works


class Lifetime(SettingsView):
    """Begins at the first record, when logging is set up for good, and as often again as there is one after a close."""

    if TYPE_CHECKING:

        def _work(self, record: LogRecord) -> None: ...

    def __init__(self, arguments: Arguments) -> None:
        """Opens nothing and reads nothing yet; what is not caught may be an alert from now on."""
        self._arguments = arguments
        Handler.__init__(self)  # not SMTPHandler's, which sets what are properties here
        self._works: Works | None = None
        self._beginning = ForkLock()
        self._here = Here()
        self._interrupting = Interrupting(self._here)
        self._fingerprint: Callable[[LogRecord], str] = fingerprint
        self._trails = Trails(arguments.context_lines, monotonic)
        self._waited = Waited()
        self._left = False
        self._aloof = False
        self._uncaught = Uncaught(self)
        if arguments.capture_uncaught:
            self._uncaught.install()

    def createLock(self) -> None:
        """Have no lock: `logging.shutdown` and `dictConfig` would hold it while `close()` waits."""
        self.lock = None

    @property
    def works(self) -> Works:
        """What stands behind this handler in this process; for commands and tests."""
        return self._works or self._begin()

    def _begin(self) -> Works:
        """Read where alerts are kept and under whose name."""
        here = self._here
        before, here.busy = here.busy, True  # a signal that logs meanwhile must not come back here for the lock
        try:
            with self._beginning:
                return self._works or self._made()
        finally:
            here.busy = before

    def _made(self) -> Works:
        works = Works(self._arguments, self.name)
        if self._left:  # logging has shut down already, and nobody may come back for counts
            works.intake.count_no_more()
        if self._arguments.fingerprint is not None:
            self._fingerprint = Grouping(self._arguments.fingerprint, works.report_capture, self._here).of
        self._uncaught.listen()
        self._works = works  # last: whoever sees this asks for no lock
        return works

    def stand_aloof(self) -> None:
        """Let `flush()` and `close()` do nothing: the end of a command that looked is no reason to send what waits."""
        self._aloof = True

    def flush(self) -> None:
        """Deliver what is due: wait for one attempt, at most `shutdown_timeout` seconds."""
        self._round(leaving=False)

    def close(self) -> None:
        """Write the counts, wait for one attempt at what is due, at most `shutdown_timeout` seconds, and go.

        What is not sent then is in the outbox for the next process. A record after `close()` opens everything again.
        """
        self.release_hooks()
        self._round(leaving=True)
        self._trails.forget()
        super().close()

    def stats(self) -> Stats:
        """Return what this handler has done in this process. Never raises, never waits."""
        works = self._works
        return Stats() if works is None else works.counters.stats()

    def release_hooks(self) -> None:
        """Leave to others what nobody catches: a command that builds a program's handler is not that program."""
        self._uncaught.remove()

    def _round(self, *, leaving: bool) -> None:
        works = self._works
        if works is None or self._aloof:
            self._left = leaving
            return
        works.intake.write_counts()
        if not self._here.busy:
            self._interrupting.take(self._work)
        before = self._waited.lately() if leaving else 0.0
        started = monotonic()
        works.round(leaving=leaving, timeout=max(0.0, works.shutdown_timeout - before))
        self._waited = Waited(monotonic() - started, monotonic())
