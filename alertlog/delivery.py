"""The second half of a round: compose each letter, send all over one connection, settle each, and say so.

A failure of the way to a server shuts its gate, so that no letter tries it before its time, and the letters go on to
the next server, if there is one. A failure of one letter puts off or sets aside that letter alone; if it is temporary,
the next server has it first. A mail whose outcome nobody knows stays with the server that may have it, until that one
has been asked often enough (RFC 5321 section 4.5.3.2.6).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from alertlog.attempt import Attempt, Connect, Sends
from alertlog.clock import Clock
from alertlog.composing import Composer, Sending
from alertlog.errors import (
    ConfigError,
    DeadlineExceeded,
    DeliveryError,
    LetterRejected,
    OutcomeUnknown,
    ServerUnavailable,
    SessionRefused,
)
from alertlog.events import Reports
from alertlog.keeper import Keeper
from alertlog.outbox import Outbox, Waiting
from alertlog.outcomes import Outcomes
from alertlog.planning import Post, Round
from alertlog.policy import UNKNOWN_LIMIT
from alertlog.settling import Settling
from alertlog.shortening import too_large
from alertlog.smtp import Receipt, Refusal, connect
from alertlog.stats import Counters
from alertlog.turns import Turns

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings

OF_THE_LETTER = ("rcpt", "data", "dot")
"""Stages at which a temporary failure says something about the letter, not about the way to the server."""
OF_THE_MACHINE = (OSError, MemoryError, ImportError)
"""What composing meets where the process or the machine lacks something: the letter is as good as before."""


class Delivery:
    """Sends for one handler, on one thread, without holding the keeper's lock while it talks to a server."""

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
        self._post = post
        self._keeper = keeper
        self._outcomes = Outcomes(reporter)
        self._turns = Turns(keeper, clock)
        self._settling = Settling(post, keeper, self._outcomes, clock, chance, counters or Counters())
        self._clock = clock
        self._connect = connect

    def deliver(self, todo: Round) -> int:
        """Make one attempt for each letter of a round, as far as the time of one attempt goes; the others stay due.

        Return how many mails of the ration that has used.

        Raises:
            OutboxError: an outcome could not be noted; what was accepted is remembered, and not sent again.
        """
        before = self._settling.spent
        for first, letters in self._turns.groups(todo):
            self._by_turns(todo, letters, first)
        return self._settling.spent - before

    def settle_accepted(self, outbox: Outbox) -> None:
        """Note what was accepted when the outbox could not be told, see `Settling.settle_accepted`."""
        self._settling.settle_accepted(outbox)

    def _by_turns(self, todo: Round, letters: list[Waiting], first: SmtpSettings | None) -> None:
        """Have one server after the other try what the one before it could not take."""
        tried: set[int] = set()
        noted: set[int] = set()
        failed: DeliveryError | None = None
        way = first or self._turns.next(todo, tried)
        while letters and way is not None:
            tried.add(way.way)
            following = self._turns.next(todo, tried)
            detour = self._turns.detour(todo, way, failed)
            composer = Composer(self._post, self._outcomes, way, detour)
            attempt = Attempt(todo, way, following is not None, composer, detour, noted)
            letters, failed = self._attempt(attempt, letters)
            way = following

    # One server's turn

    def _attempt(self, attempt: Attempt, letters: Sequence[Waiting]) -> tuple[list[Waiting], DeliveryError | None]:
        """Return the letters that are for the next server, and why."""
        way, failed = attempt.way, None
        queue = deque(sending for waiting in letters if (sending := self._compose(attempt, waiting)))
        end = self._clock.monotonic() + way.timeout
        settings = way
        while queue and self._clock.monotonic() < end:
            try:
                with self._connect(settings, self._clock) as session:
                    sent = 0
                    while queue and session.usable and self._clock.monotonic() < end:
                        try:
                            failed = self._send(attempt, session, queue) or failed
                        except ServerUnavailable as error:
                            if not (sent and _was_over(error)):
                                raise
                            break
                        sent += 1
                        if isinstance(failed, OutcomeUnknown):  # for the others this server is not the best one
                            raise failed
            except DeliveryError as error:
                return self._give_way(attempt, [sending.waiting for sending in queue], error), error
            settings = self._as_now(way)
        return attempt.handed, failed

    def _as_now(self, way: SmtpSettings) -> SmtpSettings:
        """Return the server's settings with the secrets of this moment, for a further connection in the same round."""
        try:
            ways = self._post.read_settings().ways
        except ConfigError:
            return way
        return next((now for now in ways if (now.way, now.place) == (way.way, way.place)), way)

    def _give_way(self, attempt: Attempt, left: list[Waiting], error: DeliveryError) -> list[Waiting]:
        """The way to the server failed; return the letters that are for the next one."""
        todo, way = attempt.todo, attempt.way
        shut = self._settling.shut_gate(todo, way, error)
        letters = attempt.handed + left
        if not attempt.another:
            self._settling.put_off(todo, way, [one for one in letters if one.id not in attempt.noted], error, shut)
            return []
        if left and shut.loud:
            self._outcomes.detour(way, left[0], error, shut.wait, len(left) - 1)
        return letters

    def _compose(self, attempt: Attempt, waiting: Waiting) -> Sending | None:
        try:
            sending = attempt.composer.sending(waiting)
        except Exception as error:
            self._not_composed(attempt, waiting, error)
            return None
        if sending is None:
            self._settling.nobody_left(attempt.todo, waiting)
        return sending

    def _not_composed(self, attempt: Attempt, waiting: Waiting, error: Exception) -> None:
        """Put off this letter alone if composing may succeed later, else set it aside."""
        said = f"it could not be composed: {error!r}"
        if isinstance(error, OF_THE_MACHINE):
            self._settling.postpone(attempt.todo, attempt.way, waiting, DeliveryError(said, stage="compose"))
        else:
            self._settling.set_aside(attempt.todo, attempt.way, waiting, LetterRejected(said, stage="compose"))

    def _shorten(self, attempt: Attempt, queue: deque[Sending], room: int) -> bool:
        """Put a shorter letter in the place of the first one, or take that one out if it can't be composed.

        Return False if it becomes no shorter.
        """
        try:
            shorter = attempt.composer.shorter(queue[0], room)
        except Exception as error:  # of this letter alone: those after it have done nothing
            self._not_composed(attempt, queue.popleft().waiting, error)
            return True
        if shorter is not None:
            queue[0] = shorter
        return shorter is not None

    def _send(self, attempt: Attempt, session: Sends, queue: deque[Sending]) -> DeliveryError | None:
        """Send the first of the letters, or put a shorter one in its place.

        Return why it, or those after it, are for the next server, if they are.

        Raises:
            DeliveryError: the way to the server failed rather than the letter, which stays the first.
        """
        sending = queue[0]
        size, limit = len(sending.letter.content), session.peer.size_limit
        if 0 < limit < size and self._shorten(attempt, queue, limit):
            return None
        failed = None
        try:
            failed = self._offer(attempt, session, sending)
        except (LetterRejected, SessionRefused) as error:
            if too_large(size, error) and self._shorten(attempt, queue, size // 4):
                return None
            if not isinstance(error, LetterRejected):
                raise
            self._settling.set_aside(attempt.todo, attempt.way, sending.waiting, error)
        queue.popleft()
        return failed

    def _offer(self, attempt: Attempt, session: Sends, sending: Sending) -> DeliveryError | None:
        """Raises LetterRejected, and DeliveryError if the way to the server failed rather than the letter."""
        todo, way, waiting = attempt.todo, attempt.way, sending.waiting
        started = self._clock.monotonic()
        with self._keeper.lock:
            self._settling.outbox(todo).offer(waiting)
        try:
            receipt = session.send(sending.letter, sending.recipients)
        except OutcomeUnknown as error:
            return self._doubt(attempt, waiting, error)
        except ServerUnavailable as error:
            if error.stage not in OF_THE_LETTER:
                raise
            if attempt.another and error.code is None:  # it said nothing of the letter: another server may be better
                raise
            if attempt.another:
                attempt.handed.append(waiting)
                self._settling.pass_on(way, waiting, error)
                return error
            self._settling.postpone(todo, way, waiting, error)
        except SessionRefused as error:
            refused: tuple[Refusal, ...] = getattr(error, "refused", ())
            if not (waiting.told and refused):
                raise
            # The others have it already: these are no sign that the server takes nothing from us.
            self._settling.settle(todo, way, waiting, Receipt(sending.letter.message_id, (), refused, str(error)))
        else:
            self._settling.sent(todo, way, waiting, receipt, self._clock.monotonic() - started, attempt.detour)
        return None

    def _doubt(self, attempt: Attempt, waiting: Waiting, error: OutcomeUnknown) -> DeliveryError | None:
        self._settling.doubt(attempt.todo, attempt.way, waiting, error)
        if not attempt.another:
            return None
        attempt.noted.add(waiting.id)
        if waiting.unknown + 1 >= UNKNOWN_LIMIT:
            attempt.handed.append(waiting)
            self._outcomes.detour(attempt.way, waiting, error, None, 0)
        return error


def _was_over(error: ServerUnavailable) -> bool:
    """Whether the server had hung up after the letter before this one, which shows only when it is spoken to."""
    return error.code is None and error.stage in ("rset", "mail") and not isinstance(error, DeadlineExceeded)
