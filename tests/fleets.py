"""Hosts that share incidents over a real server: each a model of an outbox, with the real rules and words.

A `Model` keeps in memory what an outbox keeps on disk; what it assigns in one go is one transaction there. Faults come
between two assignments: a kill, a reply that is lost, a server that is gone, empty, or in an earlier state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, get_args

from alertlog.board import Board
from alertlog.clock import SystemClock
from alertlog.handover import LEASE, hear, offer, reclaim, withdraw
from alertlog.link import Link
from alertlog.sharing import Answer, Holding, Role, Share, Standing
from tests.redis_server import RedisServer

NOW = 1_767_225_600.0
NAMES = ("amber", "beryl", "coral", "demantoid")
FINGERPRINT = "0123456789abcdef"
Fault = Literal["none", "unreachable", "first reply lost", "second reply lost", "said twice"]
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(frozen=True, slots=True)
class Told:
    """One mail: which host wrote it, how many alerts it tells for the first time, and the total that it shows."""

    host: str
    reason: str
    count: int
    total: int


@dataclass(slots=True)
class Row:
    """An incident in an outbox."""

    holding: Holding
    share: Share = field(default_factory=Share)
    role: Role = "alone"
    due: float = 0.0
    heard: bool = False
    """Whether the last word of a closed incident has been understood."""

    @property
    def free(self) -> int:
        return self.holding.count - self.holding.told - self.share.promised

    @property
    def gone(self) -> bool:
        return self.holding.standing != "open" and self.heard and not self.free and not self.share.pending


class Model:
    """One host, and all that its outbox holds of one trouble."""

    def __init__(self, name: str, board: Board, mails: list[Told]) -> None:
        self.name = name
        self.rows: list[Row] = []
        self.able = True
        self.raised = 0
        self._board = board
        self._mails = mails

    @property
    def open(self) -> Row | None:
        return next((row for row in self.rows if row.holding.standing == "open"), None)

    def log(self, count: int, now: float, level: int = 40) -> None:
        """So many alerts are raised here."""
        self.raised += count
        row = self._open(now, level)
        row.holding = replace(row.holding, count=row.holding.count + count, last=now)
        row.due = now

    def resolve(self, now: float) -> None:
        """Somebody says here that the trouble is over."""
        row = self._open(now, 20)
        row.holding = replace(row.holding, resolved=True)

    def _open(self, now: float, level: int) -> Row:
        row = self.open
        if row is None:
            row = Row(Holding(FINGERPRINT, self.name, 0, 0, level, str(level), now, now, 3600.0))
            self.rows.append(row)
        return row

    def share(self, now: float, fault: Fault = "none", lease: float = LEASE) -> None:
        """Say how things stand, and once more if that has led to something new."""
        for row in self.rows:
            row.share = withdraw(row.share, now)
            row.holding = replace(row.holding, able=self.able)
        if fault == "unreachable":
            self._alone(now)
            return
        answers = self._say(now, lease)
        if fault == "said twice":
            answers = self._say(now, lease)
        if fault == "first reply lost":
            self._alone(now)
            return
        self._hear(answers, now)
        answers = self._say(now, lease)
        if fault != "second reply lost":
            self._hear(answers, now)

    def _say(self, now: float, lease: float) -> Sequence[Answer]:
        return self._board.exchange([offer(row.share, row.holding, now) for row in self.rows], lease)

    def _hear(self, answers: Sequence[Answer], now: float) -> None:
        for row, answer in zip(self.rows, answers, strict=True):
            heard = hear(row.share, row.holding, answer, now)
            row.heard = row.holding.standing != "open"
            row.share, row.holding, row.role = heard.share, heard.holding, heard.role
            row.due = row.due if heard.wait is None else now + heard.wait
            if heard.over and not row.heard:
                row.holding = replace(row.holding, standing="closed")
        self.rows = [row for row in self.rows if not row.gone]

    def _alone(self, now: float) -> None:
        for row in self.rows:
            share = reclaim(row.share)
            row.due = row.due if share == row.share else now
            row.share, row.role = share, "alone"

    def tell(self, now: float) -> None:
        """Write the mails that are this host's to write, each accepted at once."""
        for row in self.rows if self.able else ():
            holding = row.holding
            if now < row.due and holding.standing == "open":
                continue
            opening = holding.standing == "open" and not holding.mails
            ending = holding.standing == "open" and holding.resolved
            if opening or ending or row.free:
                self._write(row, "resolved" if ending else "opening" if opening else "follow-up", now)
            if ending:
                row.holding = replace(row.holding, standing="over")

    def close(self, standing: Standing, now: float) -> None:
        """Its incident ends here: told whole, and closed."""
        row = self.open
        if row is not None and self.able and row.role != "member":
            if row.free:
                self._write(row, "closing", now)
            row.holding = replace(row.holding, standing=standing)

    def _write(self, row: Row, reason: str, now: float) -> None:
        holding = row.holding
        self._mails.append(Told(self.name, reason, row.free, row.share.total(holding.count)))
        row.holding = replace(
            holding,
            told=holding.told + row.free,
            mails=holding.mails + 1,
            mailed=now,
            thread=holding.thread or f"<{row.share.member}@{self.name}>",
        )


class Hosts:
    """A fleet of them, on an empty server."""

    def __init__(self, server: RedisServer, count: int) -> None:
        self.client = server.client
        self.client.flushall()
        self.board = Board(Link(server.url, "URL", SystemClock()), "0a1b2c3d")
        self.mails: list[Told] = []
        self.hosts = [Model(name, self.board, self.mails) for name in NAMES[:count]]

    def close(self) -> None:
        self.board.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def raised(self) -> int:
        return sum(host.raised for host in self.hosts)

    @property
    def told(self) -> int:
        return sum(mail.count for mail in self.mails)

    def end_leases(self) -> None:
        for key in self._desks("until"):
            self.client.hset(key, "until", 0)

    def age(self, field: str, by: float) -> None:
        """Let a time on the server be so many seconds further in the past."""
        for key in self._desks(field):
            self.client.hincrby(key, field, -int(by * 1000))

    def _desks(self, field: str) -> list[bytes]:
        return [key for key in self.client.keys("*") if self.client.hexists(key, field)]

    def check(self) -> None:
        """Each alert is one host's to tell, or on its way to one; none is told twice, none is nobody's."""
        rows = {row.share.member: row for host in self.hosts for row in host.rows}
        for row in rows.values():
            assert row.free >= 0, row
            for handed in row.share.handed:
                teller = rows.get(handed.teller)
                taken = teller.share.taken.get(row.share.member, 0) if teller else handed.acked
                assert handed.acked <= taken <= handed.offered, (handed, taken)
        assert self.told <= self.raised


def settle(hosts: Sequence[Model], now: float) -> None:
    """Nothing fails any more, and no more alerts come: let everybody say and tell what there is."""
    for host in hosts:
        host.able = True
    for _ in range(5):
        for host in hosts:
            host.share(now)
        for host in hosts:
            host.tell(now)
