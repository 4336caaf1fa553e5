"""One round's meeting with the other hosts: what this one has to say, what came of it, and a share of the ration.

The keeper's lock is held for the outbox only, never while Redis is waited for: a fork waits for that lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from alertlog.clock import Clock
from alertlog.fleet import Fleet
from alertlog.handover import LEASE
from alertlog.keeper import Keeper
from alertlog.outbox import Outbox
from alertlog.planning import Round, rationed
from alertlog.policy import Bucket, Pace
from alertlog.sharing import Offer


class Meeting:
    """Meets for one handler's courier. Raises OutboxError where the outbox can't be used.

    Args:
        place: the outbox's file, None where memory is all that there is.
        able: says of an outbox whether mail can be sent from it now, as far as is known.
    """

    def __init__(
        self,
        fleet: Fleet,
        place: Path | None,
        able: Callable[[Outbox], bool],
        keeper: Keeper,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._place = place
        self._able = able
        self._keeper = keeper
        self._pace = pace
        self._clock = clock

    def offers(self, outbox: Outbox, *, leaving: bool) -> dict[int, Offer]:
        """Return what there is to say, by incident. To be called with the keeper's lock held.

        What memory holds while the file is out of reach is not shared: it moves into the file, where its like may be.
        A host that leaves says all there is: others may have handed it something since its last word, and hand it
        more for as long as it has the lease.
        """
        now = self._clock.wall()
        there = self._fleet.prepare()
        if outbox.place != self._place:
            return {}
        if not there:
            outbox.shares.alone(now)
            return {}
        return outbox.shares.offers(now, outbox.mutes.in_force(now), able=self._able(outbox), leaving=leaving)

    def talk(self, outbox: Outbox, offers: Mapping[int, Offer], *, leaving: bool) -> None:
        """Say it, note the answers, and say at once what came of them."""
        for _ in range(2):
            answers = self._fleet.exchange(list(offers.values()), 0.0 if leaving else LEASE) if offers else []
            with self._keeper.lock:
                shares = self._keeper.resume(outbox).shares
                if answers is None:
                    shares.alone(self._clock.wall())
                    return
                offers = shares.hear(offers, answers, self._clock.wall())

    def part(self, outbox: Outbox) -> None:
        """Say what the last mails of a host that leaves have told, so that it is in the totals of the others.

        Of what is not over it says no more: whatever it took now, it could not tell.
        """
        with self._keeper.lock:
            offers = self.offers(self._keeper.resume(outbox), leaving=False)
        over = {number: offer for number, offer in offers.items() if offer.holding.standing != "open"}
        if over:
            self.talk(outbox, over, leaving=True)

    def ration(self, todo: Round) -> tuple[Round, int]:
        """Take what a round's mails need out of the fleet's ration; return the round as far as it is allowed.

        What is not allowed and no server has seen becomes a digest later. The number is to be given to `give_back`.
        """
        letters = [letter for letter in todo.letters if rationed(letter)]
        if not letters or not self._fleet.there:
            return todo, 0
        with self._keeper.lock:
            believed = self._keeper.resume(todo.outbox).gate().ration(self._pace, self._clock.wall()).tokens
        ration = self._fleet.reserve(len(letters), believed, self._pace)
        if ration is None:
            return todo, 0
        refused = letters[ration.granted :]
        with self._keeper.lock:
            outbox, now = self._keeper.resume(todo.outbox), self._clock.wall()
            gate = outbox.gate()
            left = min(gate.ration(self._pace, now).tokens, ration.tokens + ration.granted)
            outbox.set_gate(replace(gate, bucket=Bucket(left, now)))
            outbox.dissolve(letter for letter in refused if not letter.offered)
        return replace(todo, letters=tuple(one for one in todo.letters if one not in refused)), ration.granted

    def give_back(self, outbox: Outbox, mails: int) -> None:
        """Return to the fleet's ration what was reserved and not accepted."""
        if mails:
            with self._keeper.lock:
                believed = self._keeper.resume(outbox).gate().ration(self._pace, self._clock.wall()).tokens
            self._fleet.give_back(mails, believed, self._pace)

    def close(self) -> None:
        self._fleet.close()
