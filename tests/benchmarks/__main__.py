"""Run the benchmarks that are named, or all."""

from __future__ import annotations

import argparse
import os
import platform

from tests.benchmarks import calls, composing, delivery, fingerprints, floods, imports, kills, redaction, writers

BENCHMARKS = {
    "imports": imports.main,
    "calls": calls.main,
    "writers": writers.main,
    "composing": composing.main,
    "delivery": delivery.main,
    "kills": kills.main,
    "floods": floods.main,
    "fingerprints": fingerprints.main,
    "redaction": redaction.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHMARKS)}")
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured (default: %(default)s)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    for name in arguments.names or BENCHMARKS:
        BENCHMARKS[name](arguments.runs)


if __name__ == "__main__":
    main()
