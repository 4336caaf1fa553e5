"""The hosts that share their windows, as one of them sees them: asked at each round, left alone while out of reach.

Where there is no fleet, whoever asks gets None: no server is named, or it can't be used now. Then each host goes on
by itself. Used on the courier's thread only, and without a lock that somebody else could want.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from alertlog.clock import Clock
from alertlog.errors import ConfigError, FleetUnavailable
from alertlog.events import Reports
from alertlog.handover import LEASE
from alertlog.place import REDIS_URL, variable
from alertlog.policy import Pace
from alertlog.sharing import Answer, Offer

if TYPE_CHECKING:
    from alertlog.board import Board, Ration

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds from one attempt to reach the server to the next; they double."""

T = TypeVar("T")


class Fleet:
    """The fleet of one owner.

    Args:
        key: the owner's, the same on all hosts.
        environ: where the server's URL is; read anew at each attempt to reach the server.
        chance: random numbers from 0 to 1; they lengthen the waits, so that many hosts do not come back as one.
    """

    def __init__(
        self,
        key: str,
        environ: Mapping[str, str],
        reporter: Reports,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._key = key
        self._environ = environ
        self._reporter = reporter
        self._clock = clock
        self._chance = chance
        self._board: Board | None = None
        self._failures = 0
        self._again = 0.0
        self._mailed_alone = True

    def exchange(self, offers: Sequence[Offer], lease: float = LEASE) -> list[Answer] | None:
        """Say how things stand with some incidents, and return the answers in the same order.

        Args:
            lease: seconds for which a teller stays the teller without another word.
        """
        return self._ask(lambda board: board.exchange(offers, lease))

    def reserve(self, mails: int, believed: float, pace: Pace) -> Ration | None:
        """Take so many mails out of the fleet's ration, or as many as there are.

        Args:
            believed: mails that are left as far as this host knows.
        """
        limits = self._mailed_alone
        ration = self._ask(lambda board: board.ration(mails, pace, believed, limits=limits))
        self._mailed_alone = ration is None
        return ration

    def give_back(self, mails: int, believed: float, pace: Pace) -> None:
        """Return what was reserved and not used. If that fails it is lost: the ration fills up by itself."""
        self._ask(lambda board: board.ration(-mails, pace, believed, limits=False))

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None

    @property
    def there(self) -> bool:
        """Whether there is a fleet to ask, as far as is known."""
        return self._board is not None

    def prepare(self) -> bool:
        """Get ready to ask, without asking; return whether there is a fleet to ask now.

        Imports Redis: to be called where a fork waits, as what is being imported amid a fork can't be in the child.
        """
        if self._failures and self._clock.monotonic() < self._again:
            return False
        if self._board is None:
            try:
                self._board = self._open()
            except FleetUnavailable as error:
                self._failed(error)
        return self.there

    def _open(self) -> Board | None:
        try:
            url = variable(REDIS_URL, self._environ).strip()
        except ConfigError as error:
            raise FleetUnavailable(str(error), problems=error.problems) from None
        if not url:
            return None
        from alertlog.board import Board  # only now: Redis is for who has more than one host
        from alertlog.link import Link

        return Board(Link(url, REDIS_URL, self._clock), self._key)

    def _ask(self, question: Callable[[Board], T]) -> T | None:
        if not self.prepare() or self._board is None:
            return None
        try:
            answer = question(self._board)
        except FleetUnavailable as error:
            self._failed(error)
            return None
        self._failures = 0
        return answer

    def _failed(self, error: FleetUnavailable) -> None:
        self.close()
        self._failures += 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - 1, 16)) * (1 + self._chance() / 4)
        self._again = self._clock.monotonic() + wait
        if self._failures == 1:
            self._reporter.report(
                "fleet_unavailable",
                f"each host goes on by itself: {error}",
                stage=error.stage,
                category=error.category,
                retry_in_s=round(wait, 1),
                problems=error.problems or None,
            )
