"""The durable store of incidents and of letters not yet sent, for one owner: ingest, claim, settle.

An incident is spoken of by at most one unsent letter. Claiming freezes what the letter will say and ties its
incidents to it; settling counts those alerts as told and lets the incidents go. Everything is one transaction each,
so that a kill at any point leaves either the state before or the state after.

Couriers and commands come here; the thread that logs never does. Every method raises OutboxError when the file
can't be used.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from alertlog import policy
from alertlog.alert import Alert, Incident, Tally
from alertlog.bounds import Bounds
from alertlog.database import Database
from alertlog.draft import Draft
from alertlog.gate import Gate, Gates
from alertlog.incidents import Incidents
from alertlog.ingest import Ingest, Journals, Piece
from alertlog.mutes import Mutes
from alertlog.ownership import Owner
from alertlog.policy import Pace, Plan
from alertlog.shares import Shares
from alertlog.times import Times
from alertlog.waiting import Letters, Waiting

__all__ = ["Outbox", "Waiting"]


class Outbox:
    """One owner's part of an outbox file, or of a database in memory where there is no `place`.

    Attributes:
        incidents, letters, journals, mutes, shares, times: its tables, and what they have in common.
    """

    def __init__(self, owner: Owner, pace: Pace, place: Path | None, bounds: Bounds = Bounds()) -> None:  # noqa: B008
        self.place = place
        self._database = Database(place)
        try:
            self._owner = self._register(owner)
        except BaseException:
            self._database.close()
            raise
        self.incidents = Incidents(self._database, self._owner, pace)
        self.letters = Letters(self._database, self._owner)
        self.journals = Journals(self._database, self._owner)
        self.mutes = Mutes(self._database, self._owner)
        self.times = Times(self._database, self._owner, self.incidents)
        self.shares = Shares(self._database, self._owner, self.incidents, pace)
        self._ingest = Ingest(self._database, self.incidents, pace, bounds)
        self._gates = Gates(self._database, self._owner)

    def _register(self, owner: Owner) -> int:
        names = (owner.service, owner.handler)
        look_up = "SELECT id FROM owner WHERE service = ? AND handler = ?"
        if not self._database.rows(look_up, names):
            self._database.run("INSERT OR IGNORE INTO owner (service, handler) VALUES (?, ?)", names)
        return int(self._database.rows(look_up, names)[0][0])

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All of a block, or nothing of it; meanwhile nobody else changes the file."""
        return self._database.transaction()

    # Ingest

    def ingest(self, tallies: Iterable[Tally], read_to: Mapping[str, int], now: float) -> list[Incident]:
        """Count tallies in, and note in the same transaction how far each journal is read; return what opened."""
        with self._database.transaction():
            opened = self._ingest.count(tallies, now)
            self.journals.note(read_to)
        return opened

    def ingest_piece(self, tallies: Iterable[Tally], piece: Piece, now: float) -> list[Incident] | None:
        """Count in what a piece of a journal holds; None if somebody has read beyond its begin meanwhile."""
        with self._database.transaction():
            if self.journals.reaches(piece.journal) > piece.begin:
                return None
            opened = self._ingest.count(tallies, now)
            self.journals.note({piece.journal: piece.end})
        return opened

    def all_told(self) -> bool:
        """Return whether there is no letter, and no alert or end of trouble that a mail has yet to tell."""
        letters = "SELECT 1 FROM letter WHERE owner = :owner"
        incidents = "SELECT 1 FROM incident WHERE owner = :owner AND (count > accounted OR due = 0)"
        return not self._database.rows(f"{letters} UNION ALL {incidents} LIMIT 1", {"owner": self._owner})

    def burden(self) -> tuple[int, int]:
        """Return how many alerts no mail has told yet, and how many are counted together with others."""
        ((untold, folded),) = self._database.rows(
            "SELECT total(max(0, count - accounted - handed)), total(folded * count) FROM incident WHERE owner = ?",
            (self._owner,),
        )
        return int(untold), int(folded)

    def take_closed(self) -> list[Incident]:
        """Return what `ingest` has closed to make room since this was asked last."""
        return self._ingest.take_closed()

    # Claim

    def claim(self, plans: Sequence[Plan], domain: str, now: float) -> None:
        """Freeze each plan as a letter's draft, and tie its incidents to it."""
        with self._database.transaction():
            for plan in plans:
                message_id = f"<{secrets.token_hex(12)}.alertlog@{domain}>"
                draft = Draft(message_id, now, plan.reason, plan.incidents, plan.cause)
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

    def doubt(self, letter: Waiting, due: float, error: str, way: int = 0) -> None:
        """Nobody knows whether that server took the letter: try the very same again at `due`."""
        with self._database.transaction():
            self.letters.doubted(letter, way)
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

    def trim_aside(self, most: int) -> list[tuple[int, Alert]]:
        """Remove the oldest letters set aside where there are more than `most`; return their alerts, by incident."""
        letters = self.letters.aside_beyond(most)
        if letters:
            with self._database.transaction():
                for letter in letters:
                    self.letters.remove(letter)
        lost = [incident for letter in letters if not letter.told for incident in letter.draft.incidents]
        return [(incident.untold, incident.alert) for incident in lost]

    def expire(self, before: float) -> list[tuple[int, Alert]]:
        """Remove what is older than `before` and could not be sent; return how many alerts were lost, by incident."""
        with self._database.transaction():
            letters = self.letters.created_before(before)
            for letter in letters:
                self.purge(letter)
            stale = self.incidents.stale(before)
            self.incidents.remove(stale)
        lost = [incident for letter in letters if not letter.told for incident in letter.draft.incidents]
        return [(incident.untold, incident.alert) for incident in (*lost, *stale)]

    # The gate and the clock

    def gate(self, way: int = 0) -> Gate:
        """Return the gate of one server; the first's holds the ration."""
        return self._gates.read(way)

    def gates(self) -> list[Gate]:
        """Return those of all servers that were tried, in order."""
        return self._gates.all()

    def set_gate(self, gate: Gate) -> None:
        self._gates.write(gate)

    def hurry(self) -> None:
        """Make everything that waits due at once, and open all gates."""
        with self._database.transaction():
            self.letters.hurry()
            self._gates.open_all()

    def open_gates(self) -> None:
        """Let each server be tried now."""
        self._gates.open_all()

    def keep_gates(self, ways: Iterable[int]) -> None:
        """Forget those of servers that are configured no more; the first's holds the ration, and stays."""
        gone = {gate.way for gate in self._gates.all()} - {0, *ways}
        for way in gone:
            self._gates.remove(way)

    def reopen(self, way: int) -> None:
        """Make everything that waits due at once, and open the gate of one server."""
        with self._database.transaction():
            self.letters.hurry()
            self._gates.open(way)
