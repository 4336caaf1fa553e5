"""Time as an argument: nothing else in the library asks the system what time it is or sleeps.

The clock to test with, which moves only when told to, is `alertlog.testing.ManualClock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two times that a program needs: the calendar's, and one that never runs backwards."""

    def wall(self) -> float:
        """Return the calendar time in seconds since the Unix epoch; it jumps when the clock is set."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, to measure intervals within a process."""


class SystemClock:
    """The machine's own clocks."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
