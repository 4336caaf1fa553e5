"""Plays as many scenarios as are asked for, and prints the shortest story of each kind of failure."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from tests.simulation.play import play, shortest
from tests.simulation.scenario import scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--scenarios", type=int, default=1_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the number of the first one")
    parser.add_argument("--all", action="store_true", help="go on after a failure, one of a kind is told")
    parser.add_argument("--servers", type=int, default=1, metavar="N", help="with so many that stand in for each other")
    arguments = parser.parse_args()
    started = time.monotonic()
    kinds: dict[str, list[int]] = {}
    for seed in range(arguments.seed, arguments.seed + arguments.scenarios):
        failure = play(replace(scenario(seed), servers=arguments.servers))
        if failure is None:
            continue
        kinds.setdefault(failure.invariant, []).append(seed)
        if len(kinds[failure.invariant]) == 1:
            print(shortest(failure), end="\n\n", flush=True)
        if not arguments.all:
            break
    for invariant, seeds in kinds.items():
        print(f"{invariant}: {len(seeds)} failures, seeds {', '.join(map(str, seeds[:20]))}")
    print(f"{arguments.scenarios} scenarios, {time.monotonic() - started:.1f} s")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
