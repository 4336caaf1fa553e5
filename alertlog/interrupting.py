"""Records that come while their thread is at work on another one: from signal handlers, finalizers, a `__str__`.

The thread would meet its own half-done work, so they wait until the call that they came in between is done.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from logging import LogRecord

INTERRUPTING_LIMIT = 100
"""Records that one call takes beside those that wait; a `__str__` that logs at each turn would never let it end."""


class Here(threading.local):
    """What this thread is doing in a handler.

    Attributes:
        busy: it is at work on a record.
        asking: the method of the program's own that it is asking about one, if it is.
        plain: the record was logged by such a method. It is taken without asking any, or one that logs at each turn
            would never let a call end.
    """

    busy = False
    asking: Callable[[LogRecord], object] | None = None
    plain = False


class Interrupting:
    """The records that wait for their turn, of all threads.

    There is no lock: a signal may come in between anywhere. What a deque does to its ends is atomic.

    Attributes:
        waiting: for each, the process that it came in, the record, and whether it is to be taken plainly.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self.waiting: deque[tuple[int, LogRecord, bool]] = deque()

    def add(self, record: LogRecord) -> None:
        """Have a record wait."""
        self.waiting.append((os.getpid(), record, self._here.asking is not None))

    def take(self, work: Callable[[LogRecord], None]) -> None:
        """Have the records worked at that wait; in a forked child those of the parent are the parent's to take."""
        here = self._here
        try:
            for _ in range(len(self.waiting) + INTERRUPTING_LIMIT):  # one collection can finalize hundreds
                try:
                    process, record, here.plain = self.waiting.popleft()
                except IndexError:  # that was the last one, or another thread was faster
                    break
                if process == os.getpid():
                    work(record)
        finally:
            here.plain = False
