"""Whose turn it is in a round: which letters are tried together, at which server first, and at which one next."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from alertlog.clock import Clock
from alertlog.errors import DeliveryError
from alertlog.gate import Gate
from alertlog.keeper import Keeper
from alertlog.letter import Detour
from alertlog.outbox import Waiting
from alertlog.planning import Round
from alertlog.policy import UNKNOWN_LIMIT
from alertlog.route import is_asked_first, next_way

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings


class Turns:
    """Reads the gates of a round's outbox; to be used without the keeper's lock."""

    def __init__(self, keeper: Keeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock

    def groups(self, todo: Round) -> Iterator[tuple[SmtpSettings | None, list[Waiting]]]:
        """Yield letters that are tried together, and the server that has to be asked first, if there is one.

        A mail that a server may have is for that one, see `alertlog.route.is_asked_first`.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        left = list(todo.letters)
        for way in todo.settings.ways if todo.settings.backups else ():
            doubtful = [letter for letter in left if 0 < letter.unknown < UNKNOWN_LIMIT and letter.doubt == way.way]
            if doubtful and is_asked_first(self._gate(todo, way.way), self._clock.wall()):
                left = [letter for letter in left if letter not in doubtful]
                yield way, doubtful
        yield None, left

    def next(self, todo: Round, tried: Collection[int]) -> SmtpSettings | None:
        """Return the server to try now, of those that were not tried in this turn; None if there is none.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        ways = todo.settings.ways
        number = next_way([self._gate(todo, way.way) for way in ways], tried, self._clock.wall())
        return next((way for way in ways if way.way == number), None)

    def detour(self, todo: Round, way: SmtpSettings, failed: DeliveryError | None) -> Detour | None:
        """Return what a mail has to say that does not go through the first server; None if it does.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        if way.way == 0:
            return None
        if todo.settings.way != 0:
            why = "; ".join(f"{name}: {problem}" for name, problem in todo.settings.problems.items())
        else:
            gate = self._gate(todo, 0)
            why = gate.error if gate.failures else str(failed or "")
        return Detour(way.server, why) if why else None

    def _gate(self, todo: Round, way: int) -> Gate:
        with self._keeper.lock:
            return self._keeper.resume(todo.outbox).gate(way)
