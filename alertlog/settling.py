"""What became of a letter, and of the way to a server: noted in the outbox, each in one transaction, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alertlog import policy, route
from alertlog.clock import Clock
from alertlog.errors import DeliveryError, OutcomeUnknown
from alertlog.gate import Gate
from alertlog.hindsight import clean_draft
from alertlog.keeper import Keeper
from alertlog.outbox import Outbox, Waiting
from alertlog.outcomes import Outcomes
from alertlog.planning import Post, Round
from alertlog.policy import HOUR
from alertlog.smtp import Receipt
from alertlog.stats import Counters

if TYPE_CHECKING:
    from alertlog.letter import Detour
    from alertlog.settings import SmtpSettings


@dataclass(frozen=True, slots=True)
class Shut:
    """A gate that was shut just now: for how many seconds, and whether that is to be told."""

    wait: float
    loud: bool


class Settling:
    """For one handler's delivery, on its thread.

    Attributes:
        spent: how many mails of the ration were used so far.
    """

    def __init__(
        self,
        post: Post,
        keeper: Keeper,
        outcomes: Outcomes,
        clock: Clock,
        chance: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._counters = counters
        self._post = post
        self._keeper = keeper
        self._outcomes = outcomes
        self._clock = clock
        self._chance = chance
        self._accepted: dict[str, tuple[Receipt, int]] = {}
        self.spent = 0

    def outbox(self, todo: Round) -> Outbox:
        """Return the outbox of a round; to be called with the keeper's lock held."""
        return self._keeper.resume(todo.outbox)

    # Accepted

    def settle_accepted(self, outbox: Outbox) -> None:
        """Note what was accepted when the outbox could not be told, before anything is planned with it.

        To be called with the keeper's lock held.

        Raises:
            OutboxError: it still can't be told.
        """
        if self._accepted:
            for waiting in outbox.letters.all():
                accepted = self._accepted.get(waiting.draft.message_id)
                if accepted is not None:
                    self._note(outbox, waiting, *accepted)

    def sent(
        self, todo: Round, way: SmtpSettings, waiting: Waiting, receipt: Receipt, seconds: float, detour: Detour | None
    ) -> None:
        """The server accepted the letter: count it, tell it, and settle it.

        Raises:
            OutboxError: the outbox can't be read or written; what was accepted is remembered, see `settle_accepted`.
        """
        self._counters.sent(clean_draft(waiting.draft, self._post.redactor), self._clock.wall())
        self._outcomes.sent(way, waiting, receipt, seconds, detour)
        self.settle(todo, way, waiting, receipt)

    def settle(self, todo: Round, way: SmtpSettings, waiting: Waiting, receipt: Receipt) -> None:
        """Note who has the letter, and who will not have it; the others are tried again.

        Raises:
            OutboxError: the outbox can't be read or written; what was accepted is remembered, see `settle_accepted`.
        """
        self._accepted[waiting.draft.message_id] = receipt, way.way
        self._outcomes.refused(waiting, receipt)
        with self._keeper.lock:
            self._note(self.outbox(todo), waiting, receipt, way.way)
        self._outcomes.closed(waiting)

    def nobody_left(self, todo: Round, waiting: Waiting) -> None:
        """All who are to have it have it.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        with self._keeper.lock:
            self.outbox(todo).accept(waiting, (), None, self._clock.wall())

    def _note(self, outbox: Outbox, waiting: Waiting, receipt: Receipt, way: int) -> None:
        now = self._clock.wall()
        later = any(refusal.temporary for refusal in receipt.refused)
        done = {*receipt.accepted, *(refusal.address for refusal in receipt.refused if not refusal.temporary)}
        again = now + self._retry("temporary", waiting.attempts + 1) if later else None
        outbox.accept(waiting, done, again, now)
        del self._accepted[waiting.draft.message_id]
        bucket = outbox.gate().ration(self._post.pace, now)
        free = waiting.draft.reason == "test" or not receipt.accepted
        if way:
            outbox.set_gate(Gate(way=way))
        first = outbox.gate() if way else Gate()
        outbox.set_gate(replace(first, bucket=bucket if free else bucket.spent()))
        self.spent += not free

    # Not accepted

    def doubt(self, todo: Round, way: SmtpSettings, waiting: Waiting, error: DeliveryError) -> None:
        """No reply came after the final dot: try the very same letter again later.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        self._counters.failed += 1
        wait = policy.retry_unknown_in(waiting.unknown + 1, self._chance())
        with self._keeper.lock:
            self.outbox(todo).doubt(waiting, self._clock.wall() + wait, str(error), way.way)
        self._outcomes.failed(way, waiting, error, wait)

    def pass_on(self, way: SmtpSettings, waiting: Waiting, error: DeliveryError) -> None:
        """This server does not take it now; the next one is asked."""
        self._counters.failed += 1
        self._outcomes.detour(way, waiting, error, None, 0)

    def postpone(self, todo: Round, way: SmtpSettings, waiting: Waiting, error: DeliveryError) -> None:
        """The server does not take this letter now: try it again later, after a longer time at each attempt.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        self._counters.failed += 1
        wait = self._retry("temporary", waiting.attempts + 1)
        with self._keeper.lock:
            outbox = self.outbox(todo)
            outbox.postpone(waiting, self._clock.wall() + wait, str(error))
            if error.code is not None:  # the server answered about the letter: what was wrong with the way is over
                outbox.set_gate(Gate(bucket=outbox.gate(way.way).bucket, way=way.way))
        self._outcomes.failed(way, waiting, error, wait)

    def set_aside(self, todo: Round, way: SmtpSettings, waiting: Waiting, error: DeliveryError) -> None:
        """The letter is refused for good, or can't be composed: keep it for an operator to see.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        self._counters.failed += 1
        with self._keeper.lock:
            self.outbox(todo).put_aside(waiting, str(error), self._clock.wall())
        self._outcomes.failed(way, waiting, error, None)

    def shut_gate(self, todo: Round, way: SmtpSettings, error: DeliveryError) -> Shut:
        """The way to the server failed: leave it alone for a while, longer each time.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        self._counters.failed += not isinstance(error, OutcomeUnknown)  # that one was counted as the letter's own
        now = self._clock.wall()
        with self._keeper.lock:
            outbox = self.outbox(todo)
            gate = outbox.gate(way.way)
            as_before = gate.category == error.category and gate.place == way.place
            failures = gate.failures + 1 if as_before else 1
            wait = self._retry(error.category, failures)
            loud = error.category != "refused" or not as_before or now - gate.told >= HOUR
            shut = replace(
                gate, failures=failures, due=now + wait, category=error.category, place=way.place,
                tried=now, told=now if loud else gate.told, error=str(error),
            )  # fmt: skip
            outbox.set_gate(shut)
        return Shut(wait, loud)

    def put_off(
        self, todo: Round, way: SmtpSettings, letters: Sequence[Waiting], error: DeliveryError, shut: Shut
    ) -> None:
        """There is no way left for these: try them when the first gate opens.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        now = self._clock.wall()
        with self._keeper.lock:
            outbox = self.outbox(todo)
            due = route.due([outbox.gate(each.way) for each in todo.settings.ways], now)
            for waiting in letters:
                again = now + self._retry("temporary", waiting.attempts + 1) if due is None else due
                outbox.postpone(waiting, again, str(error))
        wait = shut.wait if due is None else due - now
        for waiting in letters:
            if waiting.attempts == 0 or (shut.loud and waiting is letters[0]):
                self._outcomes.failed(way, waiting, error, wait)

    def _retry(self, category: str, attempts: int) -> float:
        return policy.retry_in("refused" if category == "refused" else "temporary", attempts, self._chance())
