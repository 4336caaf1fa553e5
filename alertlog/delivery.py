"""The second half of a round: compose each letter, send all over one connection, settle each, and say so.

A failure of the way to the server shuts the gate, so that no letter tries it before its time; a failure of one
letter puts off or sets aside that letter alone.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from alertlog import policy
from alertlog.clock import Clock
from alertlog.errors import (
    DeliveryError,
    LetterRejected,
    OutcomeUnknown,
    ServerUnavailable,
    SessionRefused,
)
from alertlog.events import Reports
from alertlog.gate import Gate
from alertlog.hindsight import clean_draft
from alertlog.keeper import Keeper
from alertlog.letter import Letter, compose
from alertlog.outbox import Outbox, Waiting
from alertlog.outcomes import Outcomes
from alertlog.planning import Post, Round
from alertlog.policy import HOUR
from alertlog.shortening import too_large
from alertlog.smtp import Peer, Receipt, Refusal, connect
from alertlog.stats import Counters

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings

OF_THE_LETTER = ("rcpt", "data", "dot")
"""Stages at which a temporary failure says something about the letter, not about the way to the server."""


class Sends(Protocol):
    """What delivering needs of an `alertlog.smtp.Session`."""

    @property
    def usable(self) -> bool: ...
    @property
    def peer(self) -> Peer: ...
    def send(self, letter: Letter, recipients: Sequence[str]) -> Receipt: ...


class Connect(Protocol):
    """How to get to the server: `alertlog.smtp.connect`, or what stands for it where time is virtual."""

    def __call__(self, settings: SmtpSettings, clock: Clock) -> AbstractContextManager[Sends]: ...


@dataclass(frozen=True, slots=True)
class _Sending:
    """One letter on its way."""

    waiting: Waiting
    letter: Letter
    recipients: tuple[str, ...]


class Delivery:
    """Sends for one handler, on one thread, without holding the keeper's lock while it talks to the server."""

    def __init__(
        self,
        post: Post,
        keeper: Keeper,
        reporter: Reports,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        connect: Connect = connect,
        counters: Counters | None = None,
    ) -> None:
        self._counters = counters or Counters()
        self._post = post
        self._keeper = keeper
        self._outcomes = Outcomes(reporter)
        self._clock = clock
        self._chance = chance
        self._connect = connect
        self._accepted: dict[str, Receipt] = {}
        self._spent = 0

    def deliver(self, todo: Round) -> int:
        """Make one attempt for each letter of a round, as far as the time of one attempt goes; the others stay due.

        Return how many mails of the ration that has used.

        Raises:
            OutboxError: an outcome could not be noted; what was accepted is remembered, and not sent again.
        """
        queue = deque(sending for waiting in todo.letters if (sending := self._compose(todo, waiting)))
        end = self._clock.monotonic() + todo.settings.timeout
        before = self._spent
        while queue and self._clock.monotonic() < end:
            try:
                with self._connect(todo.settings, self._clock) as session:
                    while queue and session.usable and self._clock.monotonic() < end:
                        again = self._send(todo, session, queue[0])
                        queue.popleft()
                        queue.extendleft(again)
            except DeliveryError as error:
                self._shut_gate(todo, [sending.waiting for sending in queue], error)
                break
        return self._spent - before

    def _compose(self, todo: Round, waiting: Waiting) -> _Sending | None:
        recipients = tuple(box.address for box in todo.settings.recipients if box.address not in waiting.done)
        if not recipients:
            with self._keeper.lock:
                self._outbox(todo).accept(waiting, (), None, self._clock.wall())
            return None
        try:
            letter = self._letter(todo.settings, waiting)
        except Exception as error:
            self._set_aside(todo, waiting, LetterRejected(f"it could not be composed: {error!r}", stage="compose"))
            return None
        self._outcomes.composed(letter)
        return _Sending(waiting, letter, recipients)

    def _send(self, todo: Round, session: Sends, sending: _Sending) -> tuple[_Sending, ...]:
        """Send a letter, or return a shorter one to send next. Raises DeliveryError if the way to the server failed."""
        size, limit = len(sending.letter.content), session.peer.size_limit
        if 0 < limit < size and (again := self._shorter(todo, sending, limit)):
            return again
        try:
            self._offer(todo, session, sending)
        except (LetterRejected, SessionRefused) as error:
            if too_large(size, error) and (again := self._shorter(todo, sending, size // 4)):
                return again
            if not isinstance(error, LetterRejected):
                raise
            self._set_aside(todo, sending.waiting, error)
        return ()

    def _letter(self, settings: SmtpSettings, waiting: Waiting, room: int = 0) -> Letter:
        draft = clean_draft(waiting.draft, self._post.redactor)
        return compose(draft, self._post.wording(), settings.sender, settings.recipients, room)

    def _shorter(self, todo: Round, sending: _Sending, room: int) -> tuple[_Sending, ...]:
        letter = self._letter(todo.settings, sending.waiting, room)
        return (replace(sending, letter=letter),) if len(letter.content) < len(sending.letter.content) else ()

    def _offer(self, todo: Round, session: Sends, sending: _Sending) -> None:
        """Raises LetterRejected, and DeliveryError if the way to the server failed rather than the letter."""
        waiting, started = sending.waiting, self._clock.monotonic()
        with self._keeper.lock:
            self._outbox(todo).offer(waiting)
        try:
            receipt = session.send(sending.letter, sending.recipients)
        except OutcomeUnknown as error:
            self._doubt(todo, waiting, error)
        except ServerUnavailable as error:
            if error.stage not in OF_THE_LETTER:
                raise
            self._postpone(todo, waiting, error)
        except SessionRefused as error:
            refused: tuple[Refusal, ...] = getattr(error, "refused", ())
            if not (waiting.told and refused):
                raise
            # The others have it already: these are no sign that the server takes nothing from us.
            self._settle(todo, waiting, Receipt(sending.letter.message_id, (), refused, str(error)))
        else:
            self._counters.sent(clean_draft(waiting.draft, self._post.redactor), self._clock.wall())
            self._outcomes.sent(todo.settings, waiting, receipt, self._clock.monotonic() - started)
            self._settle(todo, waiting, receipt)

    # Settle

    def _outbox(self, todo: Round) -> Outbox:
        return self._keeper.resume(todo.outbox)

    def settle_accepted(self, outbox: Outbox) -> None:
        """Note what was accepted when the outbox could not be told, before anything is planned with it.

        To be called with the keeper's lock held.

        Raises:
            OutboxError: it still can't be told.
        """
        if self._accepted:
            for waiting in outbox.letters.all():
                receipt = self._accepted.get(waiting.draft.message_id)
                if receipt is not None:
                    self._note(outbox, waiting, receipt)

    def _settle(self, todo: Round, waiting: Waiting, receipt: Receipt) -> None:
        self._accepted[waiting.draft.message_id] = receipt
        self._outcomes.refused(waiting, receipt)
        with self._keeper.lock:
            self._note(self._outbox(todo), waiting, receipt)
        self._outcomes.closed(waiting)

    def _note(self, outbox: Outbox, waiting: Waiting, receipt: Receipt) -> None:
        now = self._clock.wall()
        later = any(refusal.temporary for refusal in receipt.refused)
        done = {*receipt.accepted, *(refusal.address for refusal in receipt.refused if not refusal.temporary)}
        again = now + self._retry("temporary", waiting.attempts + 1) if later else None
        outbox.accept(waiting, done, again, now)
        del self._accepted[waiting.draft.message_id]
        bucket = outbox.gate().ration(self._post.pace, now)
        free = waiting.draft.reason == "test" or not receipt.accepted
        outbox.set_gate(Gate(bucket=bucket if free else bucket.spent()))
        self._spent += not free

    def _doubt(self, todo: Round, waiting: Waiting, error: DeliveryError) -> None:
        self._counters.failed += 1
        wait = policy.retry_unknown_in(waiting.unknown + 1, self._chance())
        with self._keeper.lock:
            self._outbox(todo).doubt(waiting, self._clock.wall() + wait, str(error))
        self._outcomes.failed(todo.settings, waiting, error, wait)

    def _postpone(self, todo: Round, waiting: Waiting, error: DeliveryError) -> None:
        self._counters.failed += 1
        wait = self._retry("temporary", waiting.attempts + 1)
        with self._keeper.lock:
            self._outbox(todo).postpone(waiting, self._clock.wall() + wait, str(error))
        self._outcomes.failed(todo.settings, waiting, error, wait)

    def _set_aside(self, todo: Round, waiting: Waiting, error: DeliveryError) -> None:
        self._counters.failed += 1
        with self._keeper.lock:
            self._outbox(todo).put_aside(waiting, str(error), self._clock.wall())
        self._outcomes.failed(todo.settings, waiting, error, None)

    def _shut_gate(self, todo: Round, letters: list[Waiting], error: DeliveryError) -> None:
        self._counters.failed += 1
        now = self._clock.wall()
        with self._keeper.lock:
            outbox = self._outbox(todo)
            gate = outbox.gate()
            as_before = gate.category == error.category and gate.place == todo.settings.place
            failures = gate.failures + 1 if as_before else 1
            wait = self._retry(error.category, failures)
            loud = error.category != "refused" or not as_before or now - gate.told >= HOUR
            shut = replace(
                gate, failures=failures, due=now + wait, category=error.category, place=todo.settings.place,
                tried=now, told=now if loud else gate.told, error=str(error),
            )  # fmt: skip
            outbox.set_gate(shut)
            for waiting in letters:
                outbox.postpone(waiting, now + wait, str(error))
        for waiting in letters:
            if waiting.attempts == 0 or (loud and waiting is letters[0]):
                self._outcomes.failed(todo.settings, waiting, error, wait)

    def _retry(self, category: str, attempts: int) -> float:
        return policy.retry_in("refused" if category == "refused" else "temporary", attempts, self._chance())
