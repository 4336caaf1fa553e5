"""The durable store of incidents and of letters not yet sent, for one owner: ingest, claim, settle.

An incident is spoken of by at most one unsent letter. Claiming freezes what the letter will say and ties its
incidents to it; settling counts those alerts as told and lets the incidents go. Everything is one transaction each,
so that a kill at any point leaves either the state before or the state after.

Couriers and commands come here; the thread that logs never does. Every method raises OutboxError when the file
can't be used.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alertlog import policy
from alertlog.alert import Alert, Draft, Incident, Tally
from alertlog.database import Database
from alertlog.incidents import Incidents
from alertlog.ownership import Owner
from alertlog.policy import Bucket, Pace, Plan
from alertlog.waiting import Letters, Waiting

__all__ = ["Gate", "Outbox", "Waiting"]


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether to try the server at all: failures of the way to it, rather than of a letter.

    Attributes:
        failures: how many in a row; 0 if the last session was good.
        due: Unix time in seconds before which it is left alone.
        category: of the last failure.
        place: which server with which settings failed; other settings open the gate.
        tried: when it failed last, Unix time in seconds.
        told: when the last event said so.
        error: what failed last.
        bucket: the ration of mails; None before the first one.
    """

    failures: int = 0
    due: float = 0.0
    category: str = ""
    place: str = ""
    tried: float = 0.0
    told: float = 0.0
    error: str = ""
    bucket: Bucket | None = None


class Outbox:
    """One owner's part of an outbox file, or of a database in memory where there is no `place`."""

    def __init__(self, owner: Owner, pace: Pace, place: Path | None) -> None:
        self.place = place
        self._pace = pace
        self._database = Database(place)
        try:
            self._owner = self._register(owner)
        except BaseException:
            self._database.close()
            raise
        self.incidents = Incidents(self._database, self._owner, pace)
        self.letters = Letters(self._database, self._owner)

    def _register(self, owner: Owner) -> int:
        names = (owner.service, owner.handler)
        look_up = "SELECT id FROM owner WHERE service = ? AND handler = ?"
        if not self._database.rows(look_up, names):
            self._database.run("INSERT OR IGNORE INTO owner (service, handler) VALUES (?, ?)", names)
        return int(self._database.rows(look_up, names)[0][0])

    def close(self) -> None:
        self._database.close()

    # Ingest

    def ingest(self, tallies: Iterable[Tally], read_to: Mapping[str, int], now: float) -> list[Incident]:
        """Count tallies in, and note in the same transaction how far each journal is read; return what opened."""
        opened = []
        with self._database.transaction():
            for tally in tallies:
                known = self._open_incident(tally, now)
                if known is None and tally.alert.resolved:
                    continue  # a program that says so at each good run wants no mail about it
                if known is None:
                    opened.append(self.incidents.add(tally, now))
                else:
                    self.incidents.count(known, tally, now)
            self._note(read_to)
        return opened

    def _open_incident(self, tally: Tally, now: float) -> Incident | None:
        """Return the open incident that a tally belongs to, if that is not over by now."""
        known = None if tally.alert.test else self.incidents.open_with(tally.alert.fingerprint)
        if known is None or not self._is_over(known, tally, now):
            return known
        self.incidents.end(known)
        return None

    def _is_over(self, known: Incident, tally: Tally, now: float) -> bool:
        """Return whether this is new trouble: after the other's end, or after it has been quiet for long enough.

        Quiet by both clocks: the records' jumps when the calendar is set, the courier's does not see when an alert
        that lay in a journal was raised.
        """
        if tally.alert.resolved:
            return False
        ended = known.resolved and tally.last >= known.last
        return ended or min(tally.first - known.last, now - known.seen) >= self._pace.quiet_after

    def read_to(self) -> dict[str, int]:
        """Return how far each journal is read, in bytes, by its file's name."""
        return dict(self._database.rows("SELECT name, read_to FROM journal WHERE owner = ?", (self._owner,)))

    def forget_journal(self, name: str) -> None:
        self._database.run("DELETE FROM journal WHERE name = ?", (name,))

    def _note(self, read_to: Mapping[str, int]) -> None:
        for name, offset in read_to.items():
            self._database.run(
                "INSERT INTO journal (name, owner, read_to) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET read_to = max(read_to, excluded.read_to)",
                (name, self._owner, offset),
            )

    # Claim

    def claim(self, plans: Sequence[Plan], domain: str, now: float) -> None:
        """Freeze each plan as a letter's draft, and tie its incidents to it."""
        with self._database.transaction():
            for plan in plans:
                draft = Draft(f"<{secrets.token_hex(12)}.alertlog@{domain}>", now, plan.reason, plan.incidents)
                letter = self.letters.add(draft, now)
                thread = "" if plan.reason == "digest" else draft.message_id
                for incident in plan.incidents:
                    self.incidents.tie(incident, letter, thread, ends=policy.closes(plan.reason, incident))

    def hold(self, incidents: Iterable[Incident], until: float) -> None:
        """Do not look at these again before `until`, unless something new is heard of them."""
        with self._database.transaction():
            self.incidents.hold(incidents, until)

    def dissolve(self, letters: Iterable[Waiting]) -> None:
        """Undo the claims of letters that no server can have seen, so that a digest can tell of their incidents."""
        with self._database.transaction():
            self._dissolve(letters)

    def _dissolve(self, letters: Iterable[Waiting]) -> None:
        for letter in letters:
            self.incidents.untie(letter)
            self.letters.remove(letter)

    def remove(self, incidents: Iterable[Incident]) -> None:
        """Close incidents without a word."""
        with self._database.transaction():
            self.incidents.remove(incidents)

    # Settle

    def accept(self, letter: Waiting, done: Iterable[str], again: float | None, now: float) -> None:
        """A server took the letter: its alerts are told. `again` is when to try for recipients who still lack it."""
        with self._database.transaction():
            if not letter.told:
                self.incidents.account(letter, now)
            if again is None:
                self.letters.remove(letter)
            else:
                self.letters.told(letter, done)
                self.letters.tried(letter, again, "")

    def offer(self, letter: Waiting) -> None:
        """A server is about to see the text: whatever becomes of this process, it must not change any more."""
        self.letters.offer(letter, True)

    def postpone(self, letter: Waiting, due: float, error: str) -> None:
        """The attempt failed before the text can have been taken: try again at `due`."""
        with self._database.transaction():
            self.letters.tried(letter, due, error)
            self.letters.offer(letter, letter.offered)

    def doubt(self, letter: Waiting, due: float, error: str) -> None:
        """Nobody knows whether the server took the letter: try the very same again at `due`."""
        with self._database.transaction():
            self.letters.doubted(letter)
            self.letters.tried(letter, due, error)

    def put_aside(self, letter: Waiting, error: str, now: float) -> None:
        """The server will never take this letter: keep it for the operator to see."""
        with self._database.transaction():
            if not letter.told:
                self.incidents.account(letter, now)
            self.letters.put_aside(letter)
            self.letters.tried(letter, now, error)

    def purge(self, letter: Waiting) -> None:
        """Remove a letter for good."""
        with self._database.transaction():
            if not (letter.told or letter.aside):
                self.incidents.give_up(letter)
            self.letters.remove(letter)

    def expire(self, before: float) -> list[tuple[int, Alert]]:
        """Remove what is older than `before` and could not be sent; return how many alerts were lost, by incident."""
        with self._database.transaction():
            letters = self.letters.created_before(before)
            for letter in letters:
                if not (letter.told or letter.aside):
                    self.incidents.give_up(letter)
                self.letters.remove(letter)
            stale = self.incidents.stale(before)
            self.incidents.remove(stale)
        lost = [incident for letter in letters if not letter.told for incident in letter.draft.incidents]
        return [(incident.untold, incident.alert) for incident in (*lost, *stale)]

    # Moving from memory into the file

    @contextmanager
    def withdrawn(self, now: float) -> Iterator[tuple[list[Incident], list[Waiting]]]:
        """Give everything up to a block: letters that no server has seen dissolve, the others count as told.

        Where the block raises, nothing has happened.
        """
        letters = self.letters.all()
        seen = [letter for letter in letters if letter.offered]
        with self._database.transaction():
            self._dissolve(letter for letter in letters if not letter.offered)
            for letter in seen:
                if not (letter.told or letter.aside):
                    self.incidents.account(letter, now)
            yield self.incidents.all(), seen

    def adopt(self, incidents: Iterable[Incident], letters: Iterable[Waiting], read_to: Mapping[str, int]) -> None:
        """Take over what another outbox gave up, with how far it had read which journal."""
        with self._database.transaction():
            for incident in incidents:
                self.incidents.adopt(incident)
            for letter in letters:
                self.letters.adopt(letter)
            self._note(read_to)

    # The gate and the clock

    def gate(self) -> Gate:
        columns = "failures, due, category, place, tried, told, error, tokens, tokens_at"
        rows = self._database.rows(f"SELECT {columns} FROM gate WHERE owner = ?", (self._owner,))
        if not rows:
            return Gate()
        failures, due, category, place, tried, told, error, tokens, at = rows[0]
        bucket = None if tokens is None else Bucket(tokens, at)
        return Gate(failures, due, category, place, tried, told, error, bucket)

    def set_gate(self, gate: Gate) -> None:
        tokens, at = (gate.bucket.tokens, gate.bucket.at) if gate.bucket else (None, 0.0)
        self._database.run(
            "INSERT OR REPLACE INTO gate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._owner, gate.failures, gate.due, gate.category, gate.place, gate.tried, gate.told, gate.error,
                tokens, at,
            ),
        )  # fmt: skip

    def shift(self, seconds: float) -> None:
        """The calendar's clock was set: move every planned time with it, so that intervals stay what they were."""
        values = {"by": seconds, "owner": self._owner}
        with self._database.transaction():
            for statement in (
                "UPDATE incident SET seen = seen + :by, mailed = mailed + :by * (mailed > 0),"
                " due = due + :by * (due > 0) WHERE owner = :owner",
                "UPDATE letter SET created = created + :by, due = due + :by WHERE owner = :owner",
                "UPDATE gate SET due = due + :by, tried = tried + :by * (tried > 0), told = told + :by,"
                " tokens_at = tokens_at + :by WHERE owner = :owner",
            ):
                self._database.run(statement, values)

    def forget_future(self, now: float) -> None:
        """The calendar's clock went back between two processes: what seems to lie ahead has happened by now.

        How long ago is not known, and a mail too many is better than a long silence.
        """
        values = {"now": now, "owner": self._owner, "wait": policy.LONGEST_WAIT}
        with self._database.transaction():
            for statement in (
                "UPDATE incident SET mailed = :now - :wait, due = 0 WHERE owner = :owner AND mailed > :now",
                "UPDATE incident SET seen = :now WHERE owner = :owner AND seen > :now",
                "UPDATE letter SET created = :now WHERE owner = :owner AND created > :now",
                "UPDATE gate SET tried = min(tried, :now), told = min(told, :now), tokens_at = min(tokens_at, :now)"
                " WHERE owner = :owner",
            ):
                self._database.run(statement, values)

    def hurry(self) -> None:
        """Make everything that waits due at once, and open the gate."""
        with self._database.transaction():
            self._database.run("UPDATE letter SET due = 0 WHERE owner = ? AND aside = 0", (self._owner,))
            self._database.run("UPDATE gate SET due = 0 WHERE owner = ?", (self._owner,))
