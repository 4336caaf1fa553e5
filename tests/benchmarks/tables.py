"""Numbers in rows: percentiles of what was timed, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number of timings lie, each in microseconds."""

    p50: float
    p99: float
    p999: float
    worst: float

    @classmethod
    def of(cls, nanoseconds: Iterable[int]) -> Spread:
        ordered = sorted(nanoseconds)
        last = len(ordered) - 1
        return cls(*(ordered[round(last * share)] / 1000 for share in (0.5, 0.99, 0.999, 1.0)))

    @classmethod
    def middle(cls, spreads: Sequence[Spread]) -> Spread:
        """The median of each figure over several runs."""
        return cls(
            median(spread.p50 for spread in spreads),
            median(spread.p99 for spread in spreads),
            median(spread.p999 for spread in spreads),
            median(spread.worst for spread in spreads),
        )


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The first column to the left, the figures to the right."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip(), flush=True)
        if number == 0:
            print("  ".join("-" * width for width in widths))


def microseconds(value: float) -> str:
    """Three figures, in the unit that suits."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} µs"
