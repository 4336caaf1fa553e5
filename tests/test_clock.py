"""The machine's own clocks, as the `Clock` that everything takes as an argument."""

from __future__ import annotations

import time

from alertlog.clock import Clock, SystemClock


def test_the_system_clock_tells_the_calendars_time_and_one_that_never_runs_backwards() -> None:
    clock: Clock = SystemClock()
    before = time.time(), time.monotonic()
    wall, monotonic = clock.wall(), clock.monotonic()
    after = time.time(), time.monotonic()
    assert before[0] <= wall <= after[0]
    assert before[1] <= monotonic <= after[1]
