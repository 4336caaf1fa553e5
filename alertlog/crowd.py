"""What the caller's side does with more alerts than are taken in: it counts them together, one alert for each kind.

Otherwise a flood would fill the disk while the courier waits for a server, or the memory where no journal can be
written. Counts stay exact. As everywhere in the intake there is no lock: whoever pops something accounts for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from alertlog.alert import Alert, Tally
from alertlog.bounds import fold

CROWD = 16 * 1024 * 1024
"""Bytes of this process's journals that are not in the outbox's file yet; beyond it, further alerts are folded."""
KINDS = 64
"""Kinds that are counted apart; the alerts of any others are counted together, as of no kind."""
LOOSE = 1_000
"""Tallies beyond memory's limit that are folded in one go."""


class Crowd:
    """Knows how much this process has written that nobody has taken in yet.

    Attributes:
        written: bytes that the process has written.
        failing: whether the last write failed. Nothing grows then, and what is accepted is told in an event, whole.
    """

    def __init__(self) -> None:
        self.written = 0
        self.failing = False
        self._taken_in = 0
        self._kinds: dict[str, None] = {}

    def tell(self, unread: int, written: int) -> None:
        """So many bytes were unread at a time when so many were written."""
        self._taken_in = written - unread
        if self._unread <= CROWD:
            self._kinds = {}

    @property
    def pressing(self) -> bool:
        """Whether alerts are to be counted with others."""
        return not self.failing and self._unread > CROWD

    def presses(self, alert: Alert) -> bool:
        """Return whether an alert is to be counted with others; an end, which costs no count, has more room."""
        unread = self._unread
        return not self.failing and unread > (2 * CROWD if alert.resolved or alert.test else CROWD)

    def folded(self, alert: Alert) -> Alert:
        """Return what stands for the alert's kind."""
        kinds = self._kinds
        if alert.kind not in kinds and len(kinds) >= KINDS:
            alert = alert._replace(kind="")
        kinds.setdefault(alert.kind)
        return _together([Tally.one(alert)])[0].alert

    @property
    def _unread(self) -> int:
        return self.written - self._taken_in


class Overflow:
    """Tallies that memory has no room for."""

    def __init__(self) -> None:
        self._tallies: deque[Tally] = deque()

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def add(self, tally: Tally) -> None:
        if tally.count:  # an end counts nothing, and what it would end is over when it has been quiet
            self._tallies.append(tally)
        if len(self._tallies) > LOOSE:
            self._tallies.extend(_few(self._take(LOOSE)))

    def take(self, most: int) -> list[Tally]:
        """Return so many at most, and give them up."""
        return _together(self._take(most))

    def _take(self, most: int) -> list[Tally]:
        return popped(self._tallies, most)


def popped(tallies: deque[Tally], most: int) -> list[Tally]:
    """Take the oldest, so many at most: an end also where other threads append as fast."""
    taken = list[Tally]()
    while len(taken) < most:
        try:
            taken.append(tallies.popleft())
        except IndexError:
            break
    return taken


def _few(tallies: Iterable[Tally]) -> list[Tally]:
    folded = _together(tallies)
    if len(folded) > KINDS:
        folded = _together(replace(tally, alert=tally.alert._replace(kind="")) for tally in folded)
    return folded


def _together(tallies: Iterable[Tally]) -> list[Tally]:
    """Fold them, into what is no test: that is not true of all that it stands for."""
    return fold(replace(tally, alert=tally.alert._replace(test=False)) for tally in tallies)
