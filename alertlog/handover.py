"""How alerts change hands between hosts: what one says of an incident, and what it makes of the answer. Pure decisions.

At each round a host withdraws what nobody takes, makes an offer, hears the answer, and writes down what came of that
as one; if it then has promised or taken something, it says so at once in a second offer. Whatever gets lost between
two of these steps is said again at the next round. Without an answer, it reclaims what it has withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from alertlog.policy import LONGEST_WAIT
from alertlog.sharing import Answer, Handed, Heard, Holding, Offer, Share

LEASE = 15.0
"""Seconds for which a host stays the teller without a word from it."""
HOSTS = 64
"""Names of hosts that are kept of one incident."""
SILENT_AFTER = 2 * LEASE
"""Seconds after which another host opens, where a teller has gone before its first mail."""
RECLAIM_AFTER = LONGEST_WAIT
"""Seconds that alerts may be on their way to a teller that does not say whether it has taken them."""


def withdraw(share: Share, now: float) -> Share:
    """Give up the tellers that have not taken for too long what was offered to them; to be said before all else."""
    return replace(share, handed=tuple(_withdraw(row, now) for row in share.handed))


def _withdraw(row: Handed, now: float) -> Handed:
    # A beginning that lies as far ahead means that the clock went back.
    overdue = row.offered > row.acked and abs(now - row.since) >= RECLAIM_AFTER
    return replace(row, withdrawn=row.withdrawn or overdue)


def reclaim(share: Share) -> Share:
    """Take back what was offered to those that were given up, as nobody is there to say how much of it they took."""
    rows = tuple(replace(row, offered=row.acked) if row.withdrawn else row for row in share.handed)
    return replace(share, handed=rows)


def offer(share: Share, holding: Holding, now: float) -> Offer:
    """Say how things stand."""
    first, last, mailed = (max(0.0, now - when) for when in (holding.first, holding.last, holding.mailed))
    # The teller writes its last mail when it hears of the end: first, everything has to be on its way.
    ordered = holding.resolved and (holding.tied or not holding.free(share))
    return Offer(share, holding, first, last, mailed, ordered)


def hear(share: Share, holding: Holding, answer: Answer, now: float) -> Heard:
    """Make of an answer what it says."""
    before = holding.free(share)
    share = _acknowledge(share, holding, answer)
    more = holding.free(share) > before
    if holding.standing != "open":
        return Heard(share, holding, 0, "alone", None, over=True)
    share, holding, took = _take(share, holding, answer, now)
    more = more or took > 0
    given_up = any(row.withdrawn and row.teller == answer.teller for row in share.handed)
    if answer.over or given_up:
        return Heard(share, holding, took, "alone", 0.0, over=True)
    others = {name: told for name, told in answer.told.items() if name != share.member}
    share = replace(share, story=answer.story, told=_highest(share.told, others), hosts=_union(share.hosts, answer))
    holding = _follow(share, holding, answer, now)
    if answer.teller == share.member:
        wait = 0.0 if more or is_orphaned(share, holding, now) else None if share.asked else _wait(share, holding)
        return Heard(replace(share, asked=True), holding, took, "teller", wait, over=False)
    if not answer.teller:
        return Heard(share, holding, took, "alone", 0.0 if more else None, over=False)
    share = _address(share, holding, answer.teller, now)
    return Heard(share, holding, took, "member", answer.lease, over=False)


def _wait(share: Share, holding: Holding) -> float:
    """Return when a new teller can write: one that has handed all to another waits a little for something to tell."""
    bare = not (holding.mails or holding.resolved or holding.free(share))
    return LEASE if bare else 0.0


def is_orphaned(share: Share, holding: Holding, now: float) -> bool:
    """Return whether another teller seems to have gone with all that there is, before its first mail.

    Its alerts stay its own to count, as it may come back; but somebody has to say that there is trouble.
    """
    late = any(row.offered > row.acked and abs(now - row.since) >= SILENT_AFTER for row in share.handed)
    return late and not (holding.mails or holding.free(share))


def _acknowledge(share: Share, holding: Holding, answer: Answer) -> Share:
    free, rows = holding.free(share), []
    for row in share.handed:
        ack = answer.acks.get(row.teller)
        if ack is None:
            rows.append(row)
            continue
        # More than was offered: a power cut has taken from this host's disk what it had noted.
        acked = max(row.acked, min(ack.taken, row.offered + (0 if row.withdrawn else free)))
        offered = acked if ack.final else max(row.offered, acked)
        free -= max(0, offered - row.offered)
        rows.append(replace(row, acked=acked, offered=offered, settled=ack.final))
    return replace(share, handed=tuple(rows))


def _take(share: Share, holding: Holding, answer: Answer, now: float) -> tuple[Share, Holding, int]:
    new = {member: parcel for member, parcel in answer.offered.items() if parcel.count > share.taken.get(member, 0)}
    if not new:
        return share, holding, 0
    took = sum(parcel.count - share.taken.get(member, 0) for member, parcel in new.items())
    first = min(now - parcel.first_age for parcel in new.values())
    last = max(now - parcel.last_age for parcel in new.values())
    share = replace(share, taken=_highest(share.taken, {member: parcel.count for member, parcel in new.items()}))
    holding = replace(
        holding, count=holding.count + took, first=min(first, holding.first), last=max(last, holding.last)
    )
    return share, holding, took


def _follow(share: Share, holding: Holding, answer: Answer, now: float) -> Holding:
    """Go on where others have got to: any host may be the next teller."""
    holding = replace(
        holding,
        mails=max(holding.mails, answer.mails),
        mailed=max(holding.mailed, now - answer.mailed_age) if answer.mails else holding.mailed,
        thread=holding.thread or answer.thread,
    )
    if answer.teller != share.member:
        return holding
    if answer.level > holding.level:
        holding = replace(holding, level=answer.level, levelname=answer.levelname)
    return replace(holding, resolved=holding.resolved or answer.resolved)


def _address(share: Share, holding: Holding, teller: str, now: float) -> Share:
    """Promise the teller all that is this host's to tell, apart from what a letter is about to."""
    free = 0 if holding.tied else holding.free(share)
    if not free:
        return share
    rows = {row.teller: row for row in share.handed}
    row = rows.get(teller, Handed(teller, 0))
    since = row.since if row.offered > row.acked else now
    rows[teller] = replace(row, offered=row.offered + free, since=since)
    return replace(share, handed=tuple(rows.values()))


def _highest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _union(hosts: tuple[str, ...], answer: Answer) -> tuple[str, ...]:
    return tuple(sorted({*hosts, *answer.hosts}))[:HOSTS]
