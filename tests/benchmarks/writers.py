"""Eight processes that write to one outbox at once, beside eight with a NullHandler.

They pause between their calls, as programs do: on a machine with fewer cores than writers, busy ones would
measure how long the system lets them wait for a core.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple

from tests.benchmarks.sink import MOODS, sink
from tests.benchmarks.subjects import SHAPES, SUBJECTS, Place
from tests.benchmarks.tables import Spread, microseconds, print_table

WRITERS = 8
CALLS = 1_000
PAUSE = 0.004  # s


def main(_: int) -> None:
    rows = []
    for subject in ("NullHandler", "alertlog"):
        for shape in ("new", "repeat"):
            for mood in MOODS:
                with sink(mood) as port:
                    spread = Spread.of(_measure(subject, shape, port))
                rows.append((f"{subject}, {shape}, {mood} server", *map(microseconds, astuple(spread))))
    headings = ("handler, call", "p50", "p99", "p99.9", "max")
    print_table(f"{WRITERS} processes, {CALLS} calls each, on one outbox", headings, rows)


def _measure(subject: str, shape: str, port: int) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        writers = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, subject, shape, str(number), str(port), folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(WRITERS)
        ]
        _start_together(writers)
        outputs = [writer.communicate()[0] for writer in writers]
    return [value for output in outputs for value in json.loads(output)]


def _start_together(writers: list[subprocess.Popen[str]]) -> None:
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()


def worker(subject: str, shape: str, number: str, port: str, folder: str) -> None:
    """Say that all is ready, wait for the word, make the calls and print how long each took."""
    target = SUBJECTS[subject](Place(int(port), folder))
    call, now = SHAPES[shape], time.perf_counter_ns
    first = int(number) * CALLS
    call(target, -first - 1)  # the first call reads the environment and starts the courier
    print("ready", flush=True)
    sys.stdin.readline()
    times = []
    for count in range(first, first + CALLS):
        begin = now()
        call(target, count)
        times.append(now() - begin)
        time.sleep(PAUSE)
    print(json.dumps(times), flush=True)
    os._exit(0)


if __name__ == "__main__":
    worker(*sys.argv[1:])
