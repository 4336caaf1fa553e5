"""What `import alertlog` costs in a fresh interpreter, beside what a program that mails its logs imports."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from tests.benchmarks.tables import microseconds, print_table

STATEMENTS = (
    "pass",
    "import logging.handlers, smtplib",
    "import alertlog",
    "from alertlog import AlertHandler",
)
ROUNDS = 25


def main(_: int) -> None:
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _number in range(ROUNDS + 1):
        # Turn and turn about: whatever else the machine does falls on all alike.
        for statement in STATEMENTS:
            times[statement].append(_measure(statement))
    # The first round wrote the byte code.
    middle = {statement: median(values[1:]) for statement, values in times.items()}
    base = middle[STATEMENTS[1]]
    rows = [(name, microseconds(value), f"{value / base:.2f}") for name, value in middle.items()]
    headings = ("statement", "median", "ratio")
    print_table(f"Import, in {ROUNDS} fresh interpreters each, interleaved", headings, rows)


def _measure(statement: str) -> float:
    """Microseconds, as the interpreter itself sees them."""
    code = f"from time import perf_counter as now; t = now(); {statement}; print((now() - t) * 1e6)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)
