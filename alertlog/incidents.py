"""The outbox's table of incidents: rows in, rows out. Transactions are the outbox's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from alertlog import policy
from alertlog.alert import Alert, Incident, Tally
from alertlog.database import IS_DUE, Database
from alertlog.policy import Pace
from alertlog.samples import SAMPLES, samples_of
from alertlog.waiting import Waiting

AT_ONCE = 1_000
"""Incidents looked at in one go."""

_GONE = "open = 0 AND count <= accounted + handed"
_ADOPTED = (
    "count", "accounted", "mails", "first", "last", "seen", "mailed",
    "resolved", "thread", "level", "levelname", "urgent", "news", "folded",
)  # fmt: skip


class Incidents:
    """The incidents of one owner."""

    COLUMNS = tuple(field.name for field in fields(Incident))

    def __init__(self, database: Database, owner: int, pace: Pace) -> None:
        self._database = database
        self._owner = owner
        self._pace = pace

    def open_with(self, fingerprint: str) -> Incident | None:
        found = self._select("fingerprint = :fingerprint AND open = 1", fingerprint=fingerprint)
        return found[0] if found else None

    def number(self) -> int:
        return int(
            self._database.rows("SELECT count(*) FROM incident WHERE owner = ? AND parting = 0", (self._owner,))[0][0]
        )

    def told_before(self, before: float, most: int) -> list[Incident]:
        """Return those that are told whole and were last heard of before that, the quietest first."""
        return self._select(
            "id IN (SELECT id FROM incident WHERE owner = :owner AND letter IS NULL AND count <= accounted + handed"
            " AND parting = 0 AND resolved = 0 AND seen <= :before ORDER BY seen LIMIT :most)",
            before=before,
            most=most,
        )

    def due(self, now: float) -> list[Incident]:
        """Return those about which there is something to decide, and which no unsent letter speaks of."""
        longest = max(policy.LONGEST_WAIT, self._pace.quiet_after)
        return self._select(f"letter IS NULL AND {IS_DUE}", now=now, longest=longest)

    def untold(self) -> list[Incident]:
        """Return those of which no mail has told all, and which no unsent letter speaks of."""
        return self._select("letter IS NULL AND (count > accounted + handed OR due = 0)")

    def stale(self, before: float) -> list[Incident]:
        return self._select("letter IS NULL AND count > accounted + handed AND seen < :before", before=before)

    def all(self) -> list[Incident]:
        return self._select("open IN (0, 1)", limit=-1)

    def unspoken(self) -> list[Incident]:
        """Return those which no unsent letter speaks of."""
        return self._select("letter IS NULL", limit=-1)

    def spoken_of(self) -> dict[int, int]:
        """Return, by the number of the unsent letter that speaks of them, how many of their alerts are untold."""
        counts = "SELECT letter, sum(count - accounted) FROM incident WHERE owner = ? AND letter IS NOT NULL"
        return dict(self._database.rows(f"{counts} GROUP BY letter", (self._owner,)))

    def add(self, tally: Tally, now: float, *, folded: bool = False) -> Incident:
        """A test stays out of the way of what comes after it."""
        alert = tally.alert
        number = self._database.insert(
            "incident",
            owner=self._owner,
            fingerprint=alert.fingerprint,
            kind=alert.kind,
            level=alert.level,
            levelname=alert.levelname,
            first=tally.first,
            last=tally.last,
            count=tally.count,
            alert=json.dumps(alert),
            resolved=alert.resolved,
            seen=now,
            news=tally.first,
            folded=folded,
            open=not alert.test,
        )
        return self._select("id = :id", id=number)[0]

    def count(self, incident: Incident, tally: Tally, now: float, samples: int = SAMPLES) -> None:
        """Count more of it in, and keep the alert as a sample if it differs and there are fewer than `samples`."""
        alert = tally.alert
        raised = alert.level > incident.level and not alert.resolved
        level, levelname = (alert.level, alert.levelname) if raised else (incident.level, incident.levelname)
        self._database.run(
            "UPDATE incident SET count = count + :count, first = min(first, :first),"
            " last = CASE WHEN :count = 0 THEN last ELSE max(last, :last) END,"
            " seen = :now, level = :level, levelname = :levelname, urgent = urgent OR :raised,"
            " resolved = resolved OR :resolved, samples = :samples,"
            " news = CASE WHEN :count = 0 THEN news WHEN news = 0 THEN :first ELSE min(news, :first) END"
            " WHERE id = :id",
            {
                "count": tally.count,
                "first": tally.first,
                "last": tally.last,
                "now": now,
                "level": level,
                "levelname": levelname,
                "raised": raised,
                "resolved": alert.resolved,
                "samples": json.dumps(samples_of(incident, (alert,), samples)),
                "id": incident.id,
            },
        )
        self.plan(incident.id)

    def adopt(self, incident: Incident) -> None:
        """Take one over from another outbox, into the open incident of the same trouble if there is one."""
        known = self.open_with(incident.fingerprint)
        number = known.id if known else self.add(Tally(incident.alert, 0, incident.first, incident.last), 0.0).id
        self._database.run(
            "UPDATE incident SET count = count + :count, accounted = accounted + :accounted, mails = mails + :mails,"
            " first = min(first, :first), last = max(last, :last), seen = max(seen, :seen),"
            " mailed = max(mailed, :mailed), resolved = resolved OR :resolved, urgent = urgent OR :urgent,"
            " level = max(level, :level), levelname = CASE WHEN level < :level THEN :levelname ELSE levelname END,"
            " samples = CASE samples WHEN '[]' THEN :samples ELSE samples END,"
            " folded = folded OR :folded,"
            " news = CASE WHEN :new OR news = 0 THEN :news WHEN :news = 0 THEN news ELSE min(news, :news) END,"
            " thread = CASE thread WHEN '' THEN :thread ELSE thread END WHERE id = :id",
            {name: getattr(incident, name) for name in _ADOPTED}
            | {"id": number, "new": known is None, "samples": json.dumps(incident.samples)},
        )
        self.plan(number)

    def tie(self, incident: Incident, letter: int, thread: str, *, ends: bool) -> None:
        """A letter now speaks of the incident; where that ends it, the next alert opens another one.

        What comes from now on is news for the mail after this one.
        """
        self._database.run(
            "UPDATE incident SET letter = ?, open = open AND NOT ?, urgent = 0, news = 0, samples = '[]',"
            " mute_since = 0, mute_until = 0, mute_reason = '',"
            " thread = CASE thread WHEN '' THEN ? ELSE thread END WHERE id = ?",
            (letter, ends, thread, incident.id),
        )

    def end(self, incident: Incident) -> None:
        """It is over: the next alert opens another one. What is untold of it, or its end, is to be told at once."""
        self._database.run("UPDATE incident SET open = 0, due = 0 WHERE id = ?", (incident.id,))
        self._drop(incident, f"letter IS NULL AND (resolved = 0 OR handed > 0) AND {_GONE}")

    def untie(self, letter: Waiting) -> None:
        """The letter is withdrawn: what it would have told is to be told by another one."""
        since = {one.id: one for one in self._select("letter = :letter", letter=letter.id)}
        for told in (one for one in letter.draft.incidents if one.id in since):
            now = since[told.id]
            self._database.run(
                "UPDATE incident SET letter = NULL, due = 0, urgent = urgent OR :urgent,"
                " thread = CASE thread WHEN :own THEN '' ELSE thread END, news = :news, samples = :samples,"
                " mute_since = :mute_since, mute_until = :mute_until, mute_reason = :mute_reason WHERE id = :id",
                {
                    "id": told.id,
                    "own": letter.draft.message_id,
                    "urgent": told.urgent,
                    "news": min(filter(None, (told.news, now.news)), default=0.0),
                    "samples": json.dumps(samples_of(told, now.samples, SAMPLES)),
                    "mute_since": told.mute_since,
                    "mute_until": told.mute_until,
                    "mute_reason": told.mute_reason,
                },
            )

    def account(self, letter: Waiting, now: float) -> None:
        """The letter is done with: its alerts count as told, and incidents that it ended go."""
        self._let_go(letter, "mails = mails + 1, mailed = :now, spoke = 0", now=now)

    def give_up(self, letter: Waiting) -> None:
        """The letter will never be sent: its alerts are lost and accounted for, and nobody was told of them."""
        self._let_go(letter, "thread = CASE thread WHEN :own THEN '' ELSE thread END", own=letter.draft.message_id)

    def _let_go(self, letter: Waiting, change: str, **values: object) -> None:
        # Of a letter that came from another outbox, the numbers are those of other incidents here.
        tied = {number for (number,) in self._database.rows("SELECT id FROM incident WHERE letter = ?", (letter.id,))}
        for incident in (incident for incident in letter.draft.incidents if incident.id in tied):
            self._database.run(
                f"UPDATE incident SET letter = NULL, accounted = accounted + :untold, {change} WHERE id = :id",
                {"untold": incident.untold, "id": incident.id, **values},
            )
            self._drop(incident, _GONE)
            self.plan(incident.id)

    def hold(self, incidents: Iterable[Incident], until: float) -> None:
        for incident in incidents:
            self._database.run("UPDATE incident SET due = ? WHERE id = ?", (until, incident.id))

    def urge(self, incidents: Iterable[Incident]) -> None:
        """Tell of these at once, before their interval is over."""
        for incident in incidents:
            self._database.run("UPDATE incident SET due = 0, urgent = mails > 0 WHERE id = ?", (incident.id,))

    def remove(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            self._drop(incident, "letter IS NULL")

    def _drop(self, incident: Incident, where: str) -> None:
        """Remove it; one that other hosts share stays, unseen, until they know that it takes no more of them."""
        parting = "open = 0, parting = 1, accounted = max(accounted, count - handed)"
        self._database.run(f"DELETE FROM incident WHERE id = ? AND {where} AND share = ''", (incident.id,))
        self._database.run(f"UPDATE incident SET {parting} WHERE id = ? AND {where}", (incident.id,))

    def plan(self, number: int) -> None:
        for incident in self._select("id = :id", id=number):
            due = policy.due(incident, self._pace)
            self._database.run("UPDATE incident SET due = ? WHERE id = ?", (due, number))

    def _select(self, where: str, *, limit: int = AT_ONCE, **values: object) -> list[Incident]:
        rows = self._database.rows(
            f"SELECT {', '.join(self.COLUMNS)} FROM incident WHERE owner = :owner AND parting = 0 AND {where}"
            " ORDER BY level DESC, first, id LIMIT :limit",
            {"owner": self._owner, "limit": limit, **values},
        )
        return [incident_of(row) for row in rows]


def incident_of(row: tuple[Any, ...]) -> Incident:
    named = dict(zip(Incidents.COLUMNS, row, strict=True))
    return Incident(
        **named
        | {
            "resolved": bool(named["resolved"]),
            "urgent": bool(named["urgent"]),
            "folded": bool(named["folded"]),
            "alert": Alert.from_list(json.loads(named["alert"])),
            "samples": tuple(map(Alert.from_list, json.loads(named["samples"]))),
            "hosts": tuple(json.loads(named["hosts"])),
        }
    )
