"""Which of a handler's servers is tried next, given what became of each: pure, no I/O, no clock.

They are tried in the order in which they are configured. Each has a gate, shut for a while after it failed. One that
failed rests for longer while another one works: to try it first costs each mail the time that it takes to fail.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from alertlog.gate import Gate
from alertlog.policy import CLOCK_JUMP, LONGEST_WAIT, UNKNOWN_LIMIT

REST = 300.0
"""Seconds for which a server that failed is left alone while another one works."""


def next_way(gates: Sequence[Gate], tried: Collection[int], now: float) -> int | None:
    """Return the number of the server to try now; None if each of them was tried, or is to be left alone.

    Args:
        gates: one for each server, in order.
        tried: the numbers of those that were tried in this round already.
        now: Unix time in seconds.
    """
    left = [gate for gate in gates if gate.way not in tried]
    one_works = any(gate.failures == 0 for gate in left)
    for gate in left:
        if is_open(gate, now) and not (one_works and _rests(gate, now)):
            return gate.way
    return None


def is_asked_first(gate: Gate, now: float) -> bool:
    """Whether the server that may have a mail already, as nobody knows, is to be asked first when that is due.

    Asked again, it may know the mail by its Message-ID; the next one surely does not. So it is even while it rests or
    its gate is shut, as long as it does not fail again and again, or for a reason that somebody has to repair.
    """
    return is_open(gate, now) or (gate.category != "refused" and gate.failures < UNKNOWN_LIMIT)


def is_open(gate: Gate, now: float) -> bool:
    """Whether its server may be tried. A due time further ahead than any wait means that the clock has gone back."""
    furthest = now + LONGEST_WAIT + CLOCK_JUMP  # a small step back, which nothing follows, opens no gate
    return gate.failures == 0 or not now < gate.due <= furthest


def _rests(gate: Gate, now: float) -> bool:
    # A gate that somebody has opened by hand, or by a repair, has no due time.
    return gate.failures > 0 and gate.due > 0 and gate.tried <= now < gate.tried + REST


def blocked(gates: Sequence[Gate]) -> bool:
    """Whether no server is known to work."""
    return all(gate.failures > 0 for gate in gates)


def due(gates: Sequence[Gate], now: float) -> float | None:
    """Return when the first of them may be tried again, Unix time in seconds; None if one has not failed."""
    return None if not blocked(gates) else max(now, min(gate.due for gate in gates))


def overall(gates: Sequence[Gate]) -> Gate:
    """Return one gate for all of them: open if one server works, else with all that is in the way.

    It is the operator's to repair only if each of them is.
    """
    first = gates[0] if gates and gates[0].way == 0 else Gate()
    if not gates or not blocked(gates):
        return Gate(bucket=first.bucket)
    refused = all(gate.category == "refused" for gate in gates)
    return replace(
        first,
        failures=min(gate.failures for gate in gates),
        due=min(gate.due for gate in gates),
        category="refused" if refused else "temporary",
        error="; ".join(dict.fromkeys(gate.error for gate in gates)),
    )
