"""What an outbox keeps of the incidents that hosts share: what it says of them to the others, and what it hears.

Each step is one transaction: a host that is killed goes on with what it had noted, and says it again. The rules are
in `alertlog.handover`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from alertlog.alert import Incident
from alertlog.database import Database
from alertlog.handover import RECLAIM_AFTER, hear, is_orphaned, offer, reclaim, withdraw
from alertlog.incidents import AT_ONCE, Incidents, incident_of
from alertlog.mutes import Mute
from alertlog.policy import Pace
from alertlog.sharing import Answer, Heard, Holding, Offer, Share, Standing

EACH = 5.0
"""Seconds after which something is said of an incident of which there is nothing new: a third of a teller's lease."""
LATER = 60.0
"""Likewise, of an incident that is over."""


@dataclass(frozen=True, slots=True)
class _Row:
    """An incident, with what only the hosts among themselves need of it.

    Attributes:
        spoke: when the others were last heard of it; `due`: when there is something to decide. Unix time in seconds.
        open: whether the next alert belongs to it; `parting`: whether it stays only until the others know its end.
        tied: whether a letter speaks of it.
    """

    incident: Incident
    share: Share
    spoke: float
    due: float
    open: bool
    parting: bool
    tied: bool


class Shares:
    """The incidents of one owner, as far as other hosts have to do with them."""

    def __init__(self, database: Database, owner: int, incidents: Incidents, pace: Pace) -> None:
        self._database = database
        self._owner = owner
        self._incidents = incidents
        self._pace = pace

    def offers(self, now: float, mutes: Iterable[Mute], *, able: bool, leaving: bool) -> dict[int, Offer]:
        """Return what there is to say to the others, by incident; what has to be known afterwards is noted before.

        Args:
            mutes: those in force; what they cover is for this host to tell when they end, and for others to begin.
            able: whether this host can send mail, as far as it knows.
            leaving: this is the host's last word for now: it says something of each, however lately it did.
        """
        said = {}
        each, later = (EACH, LATER) if not leaving else (-1.0, -1.0)
        with self._database.transaction():
            for row in self._rows(
                "(share != '' OR open = 1) AND (open = 1 OR letter IS NULL)"
                " AND (parting = 0 AND (due <= :now OR resolved = 1)"
                " OR spoke NOT BETWEEN :now - CASE parting WHEN 1 THEN :later ELSE :each END AND :now"
                " OR letter IS NULL AND count > accounted + handed)",
                now=now,
                each=each,
                later=later,
            ):
                muted = any(mute.covers(row.incident) for mute in mutes)
                share = withdraw(row.share, now)
                self._note(row, share)
                holding = self._holding(row, now, tied=row.tied or muted, able=able and not muted)
                said[row.incident.id] = offer(share, holding, now)
        return said

    def hear(self, said: Mapping[int, Offer], answers: Sequence[Answer], now: float) -> dict[int, Offer]:
        """Note what the others answered; return what is to be said at once because of it."""
        more = {}
        with self._database.transaction():
            for (number, before), answer in zip(said.items(), answers, strict=True):
                for row in self._rows("id = :number", number=number):  # none if an operator has just removed it
                    after = self._hear(row, before, answer, now)
                    if after is not None and _differs(before, after):
                        more[number] = after
        return more

    def alone(self, now: float) -> None:
        """The others are out of reach: take back what was given up, and forget what has been over for long."""
        rows = self._rows("share != '' AND (handed > 0 OR parting = 1 OR due <= :now)", now=now)
        if not rows:  # no transaction where there is no fleet
            return
        with self._database.transaction():
            for row in rows:
                share = reclaim(withdraw(row.share, now))
                if _is_done(row, share, now) and _is_old(row, now):
                    self._forget(row)
                elif share != row.share or row.due <= now:
                    self._note(row, share)
                    self._incidents.plan(row.incident.id)

    def _hear(self, row: _Row, before: Offer, answer: Answer, now: float) -> Offer | None:
        """Note one answer; return how things stand after it, None if the incident is gone."""
        holding = self._holding(row, now, tied=row.tied or before.holding.tied, able=before.holding.able)
        heard = hear(row.share, holding, answer, now)
        if before.holding.standing != "open" and _is_done(row, heard.share, now):
            self._forget(row)
            return None
        ends = heard.over and row.open
        after = replace(row, incident=replace(row.incident, count=heard.holding.count), parting=row.parting or ends)
        self._note(after, heard.share, **self._changes(row, heard, answer, now))
        self._wait(row, heard, now)
        return offer(heard.share, replace(heard.holding, standing="closed") if ends else heard.holding, now)

    def _changes(self, row: _Row, heard: Heard, answer: Answer, now: float) -> dict[str, object]:
        incident, holding, free = row.incident, heard.holding, heard.holding.free(heard.share)
        orphaned = heard.role == "teller" and not row.tied and is_orphaned(heard.share, holding, now)
        changes: dict[str, object] = {
            name: getattr(holding, name)
            for name in ("count", "level", "levelname", "first", "last", "mails", "mailed", "thread", "resolved")
        }
        news = incident.news
        if heard.took:
            first = max(holding.mailed, min(now - parcel.first_age for parcel in answer.offered.values()))
            news = min(news or first, first)
        return changes | {
            "open": row.open and not heard.over,
            "resolved": holding.resolved and not (row.open and heard.over),  # the mail that says so is another host's
            "urgent": orphaned or (bool(free) and (incident.urgent or holding.level > incident.level)),
            "news": news if free else 0.0,
            "seen": now if heard.took else incident.seen,
            "elsewhere": heard.share.total(holding.count) - holding.count,
            "hosts": json.dumps(heard.share.hosts),
            "spoke": now,
        }

    def _wait(self, row: _Row, heard: Heard, now: float) -> None:
        """Set when there is something to decide: about one that another host tells, when that may be gone."""
        if heard.role == "member" or heard.wait:
            until = now + max(heard.wait or 0.0, EACH)
            quiet = row.incident.seen + self._pace.quiet_after
            self._incidents.hold([row.incident], until if heard.holding.resolved else min(until, quiet))
        elif heard.wait is not None or row.due <= now or heard.holding.resolved != row.incident.resolved:
            self._incidents.plan(row.incident.id)

    def _note(self, row: _Row, share: Share, **changes: object) -> None:
        values = {"share": json.dumps(asdict(share)), "handed": share.promised, **changes}
        values["parting"] = row.parting and not row.tied and _told(row, share)
        if row.parting and not values["parting"]:  # what comes back to it after its end is told after all
            values["resolved"] = False
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        self._database.run(f"UPDATE incident SET {assignments} WHERE id = :id", {**values, "id": row.incident.id})

    def _forget(self, row: _Row) -> None:
        self._database.run("DELETE FROM incident WHERE id = ?", (row.incident.id,))

    def _holding(self, row: _Row, now: float, *, tied: bool, able: bool) -> Holding:
        incident = row.incident
        standing: Standing = "open"
        if not row.open:
            ended = incident.resolved or now - incident.seen >= self._pace.quiet_after
            standing = "over" if ended else "closed"
        return Holding(
            incident.fingerprint,
            incident.alert.host,
            incident.count,
            incident.accounted,
            incident.level,
            incident.levelname,
            incident.first,
            incident.last,
            self._pace.quiet_after,
            incident.mails,
            incident.mailed,
            incident.thread,
            incident.resolved,
            tied,
            able,
            standing,
        )

    def _rows(self, where: str, **values: object) -> list[_Row]:
        columns = ", ".join(Incidents.COLUMNS)
        rows = self._database.rows(
            f"SELECT share, spoke, due, open, parting, letter, {columns} FROM incident"
            f" WHERE owner = :owner AND {where} ORDER BY parting, level DESC, first, id LIMIT :limit",
            {"owner": self._owner, "limit": AT_ONCE, **values},
        )
        return [
            _Row(
                incident_of(tuple(row)),
                Share.from_dict(json.loads(share)) if share else Share(),
                spoke,
                due,
                bool(open_),
                bool(parting),
                letter is not None,
            )
            for share, spoke, due, open_, parting, letter, *row in rows
        ]


def _is_done(row: _Row, share: Share, now: float) -> bool:
    """Return whether nothing is left to do about it, but for its last word.

    What it has taken, and that it takes no more, it goes on to say until nobody waits for that any more: the server may
    forget it.
    """
    awaited = share.taken or (share.asked and len(share.hosts) > 1)
    return row.parting and not share.pending and _told(row, share) and (not awaited or _is_old(row, now))


def _is_old(row: _Row, now: float) -> bool:
    return abs(now - row.incident.seen) > RECLAIM_AFTER


def _told(row: _Row, share: Share) -> bool:
    return row.incident.accounted + share.promised >= row.incident.count


def _differs(before: Offer, after: Offer) -> bool:
    """Return whether the others have to know at once: of alerts promised, taken or given up, or of an end."""
    return (
        [(row.offered, row.withdrawn) for row in before.share.handed]
        != [(row.offered, row.withdrawn) for row in after.share.handed]
        or before.share.taken != after.share.taken
        or before.holding.standing != after.holding.standing
    )
