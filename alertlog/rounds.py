"""A courier's round, without its thread: read the journals, plan, deliver, and get over an outbox that fails.

SQLite is imported from here down; environs, Jinja2 and smtplib once there is mail to send. All of that happens on the
courier's thread, and not at all in a program that never has an alert.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from alertlog.alert import Incident
from alertlog.clock import Clock
from alertlog.errors import OutboxError
from alertlog.events import Reports
from alertlog.fleet import Fleet
from alertlog.forks import FORK_WAIT
from alertlog.intake import IDLE, Intake
from alertlog.keeper import Keeper
from alertlog.meeting import Meeting
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.planning import Planner, Post, Round
from alertlog.policy import CLOCK_JUMP
from alertlog.stats import Counters

if TYPE_CHECKING:
    from alertlog.attempt import Connect
    from alertlog.delivery import Delivery

TOLD_AT_ONCE = 20
"""Opened incidents that one round reports one by one; the others are counted."""


class Rounds:
    """All that one handler's courier works with.

    Attributes:
        under_way: the letters being sent at this moment; any thread may look.
    """

    def __init__(
        self,
        place: Path | None,
        owner: Owner,
        post: Post,
        intake: Intake,
        reporter: Reports,
        clock: Clock,
        connect: Connect | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
        counters: Counters | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            connect: how to get to the mail server, by default `alertlog.smtp.connect`.
            environ: where the server is named over which hosts share their windows.
        """
        self._counters = counters or Counters()
        self._intake = intake
        self._reporter = reporter
        self._clock = clock
        self._keeper = Keeper(place, owner, post.pace, intake, reporter, clock, post.bounds)
        self._planner = Planner(post, reporter, clock)
        fleet = Fleet(owner.key, environ, reporter, clock)
        self._meeting = Meeting(fleet, place, self._planner.able, self._keeper, post.pace, clock)
        self._post = post
        self._connect = connect
        self._delivery: Delivery | None = None
        self.under_way: tuple[Waiting, ...] = ()
        self._ahead = 0.0
        self._follows = False

    def once(self, *, leaving: bool) -> None:
        """Do what is due. An outbox that fails is tried a second time, then with memory in its place."""
        for _ in range(2):
            try:
                self._once(leaving=leaving)
                break
            except OutboxError as error:
                with self._keeper.lock:
                    self._keeper.failed(error)

    def _once(self, *, leaving: bool) -> None:
        opened: list[Incident] = []
        todo: Round | None = None
        reserved = 0
        try:
            with self._keeper.lock:
                outbox = self._keeper.open()
                self._follow_clock(outbox)
                if outbox is None:
                    self._counters.look(0, 0)
                    return
                if self._delivery is not None:
                    self._delivery.settle_accepted(outbox)
                alone = leaving and (outbox.place is None or self._keeper.company.last_one())
            for some in self._keeper.ingest(outbox):
                opened += some
            with self._keeper.lock:
                outbox = self._keeper.resume(outbox)
                offers = self._meeting.offers(outbox, leaving=alone)
                if not offers:
                    todo = self._planner.plan(outbox, leaving=alone)
            if offers:
                self._meeting.talk(outbox, offers, leaving=alone)
                with self._keeper.lock:
                    todo = self._planner.plan(self._keeper.resume(outbox), leaving=alone)
            if todo is not None:
                todo, reserved = self._meeting.ration(todo)
        finally:
            self._report_opened(opened, todo)
        if todo is not None and todo.letters:
            sent = self._deliver(todo)
            self._meeting.give_back(todo.outbox, max(0, reserved - sent))
            if alone:
                self._meeting.part(todo.outbox)
        with self._keeper.lock:
            self._counters.look(*self._keeper.resume(outbox).burden())

    def _deliver(self, todo: Round) -> int:
        if self._delivery is None:
            with self._keeper.lock:  # a fork waits for the import too
                from alertlog.delivery import Delivery  # only now: Jinja2 and smtplib are for who has mail
                from alertlog.smtp import connect
                from alertlog.tokens import Tokens

            way = self._connect or partial(connect, tokens=Tokens(self._clock, self._post.learn))
            self._delivery = Delivery(
                self._post, self._keeper, self._reporter, self._clock, connect=way, counters=self._counters
            )
        self.under_way = todo.letters
        try:
            with self._counts_written():
                return self._delivery.deliver(todo)
        finally:
            self.under_way = ()

    @contextmanager
    def _counts_written(self) -> Iterator[None]:
        """Meanwhile another thread writes the repeats down each second: a mute server may hold this one for long."""
        done = threading.Event()

        def write() -> None:
            self._intake.writer = threading.get_ident()
            while not done.wait(IDLE):
                self._intake.write_counts()
            self._intake.writer = 0

        thread = threading.Thread(target=write, name="alertlog-counts", daemon=True)
        with suppress(RuntimeError):  # at the interpreter's end there is no thread to be had; close() has written them
            thread.start()
        try:
            yield
        finally:
            done.set()

    def _follow_clock(self, outbox: Outbox | None) -> None:
        ahead = self._clock.wall() - self._clock.monotonic()
        if not self._keeper.owns:
            self._follows = False  # who owns the outbox follows it there
        elif outbox is not None and not self._follows:
            self._follows, self._ahead = True, ahead  # what happened before, the keeper has seen to
        elif outbox is not None and abs(ahead - self._ahead) > CLOCK_JUMP:
            outbox.times.shift(ahead - self._ahead)
            self._ahead = ahead

    def _report_opened(self, opened: list[Incident], todo: Round | None) -> None:
        """The event carries the alert itself where no mail is tried now, so that the log has it in any case."""
        letters = todo.letters if todo else ()
        tried = {incident.id for letter in letters for incident in letter.draft.incidents}
        for incident in opened[:TOLD_AT_ONCE]:
            alert = incident.alert
            self._reporter.report(
                "incident_opened",
                f"{alert.levelname} {alert.summary}",
                kind=alert.kind,
                fingerprint=alert.fingerprint,
                alert=None if incident.id in tried else alert.to_dict(),
            )
        if len(opened) > TOLD_AT_ONCE:
            self._reporter.report("incident_opened", f"and {len(opened) - TOLD_AT_ONCE:,} more at the same time")

    @property
    def owns(self) -> bool:
        """Whether the outbox is this courier's to send from; otherwise another process does."""
        return self._keeper.owns

    def release(self) -> bool:
        """Let another process, or another handler of this one, own the outbox.

        Return whether one has left while this one owned it, so that nobody else can tell what that one counted.
        """
        with self._keeper.lock:
            owned = self._keeper.owns
            self._follows = False
            self._meeting.close()
            self._keeper.release()
            return owned and self._keeper.company.left_behind()

    # Fork: a database connection must not cross it, and what is under way must not be half done in the child.

    def before_fork(self) -> bool:
        """Close the database; return whether the courier let us in time."""
        if not self._keeper.lock.acquire(FORK_WAIT):
            return False
        self._keeper.close()
        return True

    def after_fork(self) -> None:
        self._keeper.lock.release()
