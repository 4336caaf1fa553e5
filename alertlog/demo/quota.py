"""How many calls a run may make: all it wants, a few, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Mode = Literal["normal", "conserve", "halt"]

LOW = 5
"""The quota is low when less than one part in this many is left."""

PORTION = 4
"""When it is low, a run refreshes one part in this many of what it would like to."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A provider's count of this month's calls.

    Attributes:
        limit: calls a month.
        resets_on: the day the count starts anew.
    """

    provider: str
    limit: int
    used: int
    resets_on: date

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run will ask the provider for.

    Attributes:
        tickers: one call each, the stalest first.
    """

    mode: Mode
    tickers: tuple[str, ...]


def make_plan(quota: Quota, tickers: Sequence[str]) -> Plan:
    """Choose among the tickers that want a price, given the stalest first."""
    if not tickers:
        return Plan("normal", ())
    if not quota.left:
        return Plan("halt", ())
    if quota.left * LOW < quota.limit or quota.left < len(tickers):
        portion = -(-len(tickers) // PORTION)
        return Plan("conserve", tuple(tickers[: min(portion, quota.left)]))
    return Plan("normal", tuple(tickers))
