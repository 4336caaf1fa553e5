"""What one logging call costs its caller: each handler against a healthy, a dead and a mute mail server.

Each measurement has a process of its own, and times the same calls to a NullHandler first: the ratio of the
two is what travels from one machine to another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import median

from tests.benchmarks.sink import MOODS, Mood, sink
from tests.benchmarks.subjects import SHAPES, SUBJECTS, Place, Shape, Target
from tests.benchmarks.tables import Spread, microseconds, print_table

WARM_UP = 20
BASELINE_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One row of the table: which handler, called how, how often by the mood of the server."""

    subject: str
    shape: str
    healthy: int
    dead: int
    mute: int

    @property
    def name(self) -> str:
        return f"{self.subject}, {self.shape}"

    def count(self, mood: Mood) -> int:
        """How many calls to make."""
        return {"healthy": self.healthy, "dead": self.dead, "mute": self.mute}[mood]


PLANS = (
    Plan("alertlog", "new", 2_000, 2_000, 2_000),
    Plan("alertlog", "repeat", 20_000, 20_000, 20_000),
    Plan("alertlog", "formatted", 20_000, 20_000, 20_000),
    Plan("alertlog", "context", 20_000, 20_000, 20_000),
    Plan("QueueHandler + QueueListener", "new", 2_000, 2_000, 2_000),
    Plan("SMTPHandler", "new", 300, 300, 3),
    Plan("Logbook MailHandler", "new", 300, 300, 3),
    Plan("mailinglogger", "new", 300, 300, 3),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one process measured: the NullHandler's calls, the first call in microseconds, and the others."""

    baseline: Spread
    first: float
    calls: Spread


def main(runs: int) -> None:
    """Measure all plans and print the tables."""
    p99s: dict[Plan, dict[Mood, float]] = {plan: {} for plan in PLANS}
    for mood in MOODS:
        rows = []
        with sink(mood) as port:
            for plan in PLANS:
                results = _results(plan, mood, port, runs)
                if results:
                    p99s[plan][mood] = median(result.calls.p99 for result in results)
                rows.append((plan.name, str(plan.count(mood)), *_figures(results)))
        headings = ("handler, call", "calls", "first", "p50", "p99", "p99.9", "max", "p50 : Null", "p99 : Null")
        print_table(f"One call at the caller, {mood} server ({runs} runs, medians)", headings, rows)
    compared = [(plan.name, *_compared(found)) for plan, found in p99s.items() if len(found) == len(MOODS)]
    print_table("p99 beside that with a healthy server", ("handler, call", *MOODS), compared)


def _figures(results: Sequence[Result]) -> tuple[str, ...]:
    if not results:
        return tuple("-------")
    calls = Spread.middle([result.calls for result in results])
    times = (median(result.first for result in results), *astuple(calls))
    p50 = median(result.calls.p50 / result.baseline.p50 for result in results)
    p99 = median(result.calls.p99 / result.baseline.p99 for result in results)
    return (*map(microseconds, times), f"{p50:.1f}", f"{p99:.1f}")


def _compared(p99s: Mapping[Mood, float]) -> tuple[str, ...]:
    return tuple(f"{p99s[mood] / p99s['healthy']:.2f}" for mood in MOODS)


def _results(plan: Plan, mood: Mood, port: int, runs: int) -> list[Result]:
    try:
        return [_measure(plan, plan.count(mood), port) for _ in range(runs)]
    except subprocess.CalledProcessError as error:
        print(f"\nNOT RUN: {plan.name}: {error.stderr.strip().splitlines()[-1]}", flush=True)
        return []


def _measure(plan: Plan, count: int, port: int) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, plan.subject, plan.shape, str(count), str(port), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    baseline, first, calls = json.loads(done.stdout.splitlines()[-1])
    return Result(Spread(*baseline), first, Spread(*calls))


def worker(subject: str, shape: str, count: str, port: str, folder: str) -> None:
    """Measure in this process, print the figures and be gone, without waiting for any mail."""
    place = Place(int(port), folder)
    call = SHAPES[shape]
    null = SUBJECTS["NullHandler"](place)
    _timed(call, null, 0, WARM_UP)
    baseline = Spread.of(_timed(call, null, 0, BASELINE_CALLS))
    target = SUBJECTS[subject](place)
    first, *_ = _timed(call, target, 0, 1)
    if int(count) > WARM_UP:
        _timed(call, target, 1, WARM_UP)
    calls = Spread.of(_timed(call, target, WARM_UP + 1, int(count)))
    print(json.dumps([astuple(baseline), first / 1000, astuple(calls)]), flush=True)
    os._exit(0)


def _timed(call: Shape, target: Target, start: int, count: int) -> list[int]:
    now = time.perf_counter_ns
    times = []
    for number in range(start, start + count):
        begin = now()
        call(target, number)
        times.append(now() - begin)
    return times


if __name__ == "__main__":
    worker(*sys.argv[1:])
