"""The background thread that turns what the outbox holds into mail: `step()`, and the thread, forks and exit around it.

`step` is a plain method; commands and tests call it without a thread. The thread starts with the first record, looks
once a second, is woken by each new alert, and gathers for a moment before it works, so that a burst is one piece of
work; one that lasts is a piece each second. It is a daemon: what it does not get done at exit is in the outbox for the
next process.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from alertlog.alert import Alert
from alertlog.events import Reports
from alertlog.forks import FORK_WAIT, take_part
from alertlog.intake import IDLE, Intake
from alertlog.leaving import Request

if TYPE_CHECKING:
    from alertlog.rounds import Rounds

NAME = "alertlog-courier"
"""The thread's name."""
GATHER = 0.2
"""Seconds from the first alert after a pause to the work on it."""
LAST_LOOKS = 5
"""Rounds more that a courier makes at most, before it leaves, for processes that left while it had the outbox."""


class Courier:
    """Works for one handler.

    Attributes:
        ident: the identifier of its thread, whose own records are never alerts; 0 while there is none.
        dormant: True until this process has tried to start the thread.
    """

    def __init__(
        self,
        prepare: Callable[[], Rounds],
        intake: Intake,
        reporter: Reports,
        learn: Callable[[], object] = bool,
    ) -> None:
        """Starts nothing.

        Args:
            prepare: is called on the courier's thread, once: it may import and open what it likes.
            learn: is called before each round, to look for secrets that have come since the one before.
        """
        self._prepare = prepare
        self._intake = intake
        self._reporter = reporter
        self._learn = learn
        self._rounds: Rounds | None = None
        self._trouble = ""
        self._reset()
        self._orphans: list[Rounds] = []
        take_part(self)

    def _reset(self) -> None:
        self.ident = 0
        self.dormant = True
        # At most one. No lock: a signal handler may flush or close in the middle of a start.
        self._threads: dict[str, threading.Thread] = {}
        self._starter = 0  # the identifier of the thread that is starting the courier's
        self._preparing = threading.Lock()
        self._pauses: list[tuple[bool, bool]] = []
        self._gathering = False
        self._calm_until = float("-inf")  # on the monotonic clock
        # The only queue whose put() may interrupt itself: a signal handler or a __del__ may log at any point.
        self._wakes: SimpleQueue[Request | None] = SimpleQueue()

    def step(self, *, leaving: bool = False) -> None:
        """Do one round: write the counts, read the journals, send what is due. Never raises.

        Args:
            leaving: the process is going; if it is the last one on the outbox, what is untold is told now.
        """
        try:
            self._learn()
            self._intake.write_counts()
            self._intake.tend_journal()
            if leaving:
                self._intake.retire()
            if self._rounds is None:
                if self._intake.nothing_there():
                    return
                with self._preparing:
                    self._rounds = self._prepare()
            self._rounds.once(leaving=leaving)
            self._trouble = ""
        except Exception as error:
            self._report_trouble(f"{type(error).__name__}: {error}")

    def _report_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:  # once, not each second
            self._trouble = trouble
            self._reporter.report(
                "smtp_send_failed", f"the courier failed: {trouble}", stage="courier", category="temporary"
            )

    def under_way(self) -> list[Alert]:
        """Return the first alert of each letter that is being sent at this moment."""
        rounds = self._rounds
        return [] if rounds is None else [letter.draft.incidents[0].alert for letter in rounds.under_way]

    # The thread

    def start(self) -> bool:
        """Start the thread if it is not running; return whether it is."""
        self.dormant = False
        if self._threads:
            # A signal handler in the middle of Thread.start() must not wait for what only the interrupted call can do.
            return self._starter != threading.get_ident()
        if sys.is_finalizing():  # Python 3.11 would hand out a thread that never runs, and wait for it for ever
            return False
        thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        try:
            if self._threads.setdefault(NAME, thread) is thread:
                self._starter = threading.get_ident()
                thread.start()
        except BaseException as error:  # a signal's handler may end the program right here
            if self._threads.get(NAME) is thread and thread.ident is None:
                self._threads.clear()
            if isinstance(error, RuntimeError):  # the interpreter is shutting down, or has no thread to give
                return False
            raise
        finally:
            if self._starter == threading.get_ident():
                self._starter = 0
        return True

    def wake(self) -> None:
        """There is a new alert. Takes no lock; may be called from anywhere.

        A courier that gathers already is left in peace: to wake it at each alert of a burst costs the caller a change
        of threads each time, several times what the alert itself costs.
        """
        if not self._gathering and self._wakes.empty():
            self._wakes.put(None)

    def ask(self, *, leaving: bool, timeout: float) -> bool:
        """Wait for one round by the thread, at most `timeout` seconds; return whether it was done in time."""
        request = self.request(leaving=leaving)
        return request is not None and request.done.wait(timeout)

    def request(self, *, leaving: bool) -> Request | None:
        """Ask for one round without waiting for it; None if there is no thread to do it."""
        request = Request(leaving)
        self._wakes.put(request)
        return request if self.start() else None

    def _run(self) -> None:
        self.ident = threading.get_ident()
        while True:
            requests = self._gather()
            leaving = any(request.leaving for request in requests)
            self.step(leaving=leaving)
            gone = leaving and self._leave()
            for request in requests:
                request.answer()
            if gone:
                return

    def _gather(self) -> list[Request]:
        """Wait for something to do, then a moment for more of it; somebody who waits ends the waiting.

        While alerts come without a pause, each round begins no sooner than `IDLE` after the last one: a courier at work
        takes time from the threads that log, and what comes within a second is best told together.
        """
        try:
            first = self._wakes.get(timeout=IDLE)
        except Empty:
            return []
        self._gathering = True
        requests = [first] if first else []
        until = max(monotonic() + GATHER, self._calm_until)
        while not requests and (left := until - monotonic()) > 0:
            try:
                more = self._wakes.get(timeout=left)
            except Empty:
                break
            requests += [more] if more else []
        if not requests:
            self._calm_until = monotonic() + IDLE
        self._gathering = False  # before the journals are read: an alert that is missed by that wakes again
        return requests

    def _leave(self) -> bool:
        """Give the outbox up and end the thread, unless there is more to do by now."""
        for _ in range(LAST_LOOKS):
            if self._rounds is None or not self._rounds.release():
                break
            self.step(leaving=True)
        # First gone, then the look: whoever puts something in after it sees that there is no thread.
        self.ident = 0
        self._threads.clear()
        if self._wakes.empty():
            return True
        thread = threading.current_thread()
        if self._threads.setdefault(NAME, thread) is not thread:  # somebody has started another one
            return True
        self.ident = threading.get_ident()
        return False

    # Fork: the child has no thread, and what the parent accepted is the parent's to send.

    def before_fork(self) -> None:
        prepared = self._preparing.acquire(timeout=FORK_WAIT)
        self._pauses.append((prepared, self._rounds is not None and self._rounds.before_fork()))

    def after_fork(self) -> None:
        prepared, paused = self._pauses.pop() if self._pauses else (False, False)  # made while the fork was under way
        if paused and self._rounds is not None:
            self._rounds.after_fork()
        if prepared:
            self._preparing.release()

    def after_fork_in_child(self) -> None:
        if self._rounds is not None and not (self._pauses and self._pauses[-1][1]):
            self._orphans.append(self._rounds)  # its database was in use: not even closing it is safe here
        self._reset()
        self._intake.forget()
        self._rounds = None
