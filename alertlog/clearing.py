"""What `alertlog outbox purge` does: letters and incidents go for good, and what nobody was told of is counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alertlog.desk import Desk
from alertlog.outbox import Outbox, Waiting
from alertlog.unread import unread


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed for good: letters, and alerts that nobody was told of."""

    letters: int = 0
    alerts: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.letters + other.letters, self.alerts + other.alerts)


def purge(desk: Desk, numbers: Collection[int]) -> Removed:
    """Remove the letters of these numbers, whosever they are.

    Raises:
        OutboxError: the file can't be used.
    """
    removed = Removed()
    for owner in desk.registered():
        with desk.part(owner) as outbox:
            removed += _remove(outbox, [letter for letter in outbox.letters.all() if letter.id in numbers])
    return removed


def purge_aside(desk: Desk) -> Removed:
    """Remove the letters that were set aside.

    Raises:
        OutboxError: the file can't be used.
    """
    removed = Removed()
    known = desk.registered()
    for owner in (owner for owner in desk.own() if owner in known):
        with desk.part(owner) as outbox:
            removed += _remove(outbox, [letter for letter in outbox.letters.all() if letter.aside])
    return removed


def purge_all(desk: Desk) -> Removed:
    """Remove all letters, all incidents, and what waits in journals to be read.

    One transaction: what a courier is about to read is either removed here or told by that one, never both.

    Raises:
        OutboxError: the file can't be used, or a journal can't be read.
    """
    removed = Removed()
    for owner in desk.own():
        with desk.part(owner) as outbox, outbox.transaction():
            removed += _remove(outbox, outbox.letters.all())
            incidents = outbox.incidents.all()
            outbox.remove(incidents)
            left = unread(desk.place, owner, outbox.journals.read_to())
            outbox.journals.note(left.read_to)
            removed += Removed(0, left.alerts + sum(incident.untold for incident in incidents))
    return removed


def _remove(outbox: Outbox, letters: Iterable[Waiting]) -> Removed:
    removed = Removed()
    for letter in letters:
        outbox.purge(letter)
        removed += Removed(1, 0 if letter.told else letter.draft.count)
    return removed
