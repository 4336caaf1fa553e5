"""What `alertlog outbox retry` does: letters set aside go again, and what waits for its time goes now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic

from alertlog.alert import Incident
from alertlog.desk import Desk
from alertlog.errors import Category
from alertlog.flushing import Flush, Flushed
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.progress import Observer


def names(desk: Desk) -> set[str]:
    """Return what can be retried: the numbers of letters, and the fingerprints of incidents, as text.

    Raises:
        OutboxError: the file can't be used.
    """
    found = set[str]()
    for owner in _own(desk):
        with desk.part(owner) as outbox:
            found |= {name for letter in outbox.letters.all() for name in _names(letter)}
            found |= {incident.fingerprint for incident in outbox.incidents.unspoken()}
    return found


def retry(desk: Desk, targets: Collection[str], timeout: float, observer: Observer) -> list[Flushed]:
    """Try the letters with these numbers, and the incidents with these fingerprints, now.

    Args:
        timeout: seconds to go on for; each owner is tried once at least.

    Raises:
        OutboxError: the file can't be used.
    """
    wanted = frozenset(targets)
    return _retry(desk, lambda names: not wanted.isdisjoint(names), timeout, observer)


def retry_all(desk: Desk, timeout: float, observer: Observer) -> list[Flushed]:
    """Try all letters now, and tell all repeats that wait for their interval.

    Args:
        timeout: as for `retry`.

    Raises:
        OutboxError: the file can't be used.
    """
    return _retry(desk, lambda _names: True, timeout, observer)


@dataclass(frozen=True, slots=True)
class _Retried:
    """What is tried for one owner: the numbers of letters and of incidents, and whom the letters speak of."""

    letters: frozenset[int]
    incidents: frozenset[int]
    fingerprints: frozenset[str]


def _retry(desk: Desk, wanted: Callable[[Collection[str]], bool], timeout: float, observer: Observer) -> list[Flushed]:
    marked = {owner: _mark(desk, owner, wanted) for owner in _own(desk)}
    until = monotonic() + timeout
    return [
        _outcome(desk, retried, Flush(desk, owner, until, observer).run(leaving=False))
        for owner, retried in marked.items()
        if retried.letters or retried.incidents
    ]


def _mark(desk: Desk, owner: Owner, wanted: Callable[[Collection[str]], bool]) -> _Retried:
    with desk.part(owner) as outbox, outbox.transaction():
        letters = [letter for letter in outbox.letters.all() if wanted(_names(letter))]
        incidents = [one for one in outbox.incidents.unspoken() if _to_tell(one) and wanted([one.fingerprint])]
        for letter in letters:
            outbox.letters.again(letter)
        outbox.incidents.urge(incidents)
        if letters or incidents:
            outbox.open_gates()
    spoken_of = frozenset(one.fingerprint for letter in letters if not letter.told for one in letter.draft.incidents)
    return _Retried(frozenset(one.id for one in letters), frozenset(one.id for one in incidents), spoken_of)


def _outcome(desk: Desk, retried: _Retried, flushed: Flushed) -> Flushed:
    """Return what became of what was retried, whatever else waits; one that was refused again is the worst."""
    with desk.part(flushed.owner) as outbox:
        left = _left(outbox, retried)
        again = [letter for letter in left if letter.aside]
        waiting = len(left) > len(again) or _untold(outbox, retried)
    if again:
        numbers = ", ".join(str(letter.id) for letter in again)
        return _said(flushed, "permanent", f"refused again: letter {numbers}: {again[0].error}")
    return flushed if waiting else _said(flushed, None, "sent")


def _said(flushed: Flushed, category: Category | None, message: str) -> Flushed:
    return Flushed(flushed.owner, category, message)


def _left(outbox: Outbox, retried: _Retried) -> list[Waiting]:
    """Return the letters, or what has come in their place: a digest takes up what they spoke of."""
    return [
        letter
        for letter in outbox.letters.all()
        if letter.id in retried.letters or (not letter.told and not retried.fingerprints.isdisjoint(_names(letter)))
    ]


def _untold(outbox: Outbox, retried: _Retried) -> bool:
    return any(
        _to_tell(one) and (one.id in retried.incidents or one.fingerprint in retried.fingerprints)
        for one in outbox.incidents.all()
    )


def _to_tell(incident: Incident) -> bool:
    return incident.telling or incident.resolved


def _names(letter: Waiting) -> list[str]:
    return [str(letter.id), *(incident.fingerprint for incident in letter.draft.incidents)]


def _own(desk: Desk) -> list[Owner]:
    registered = desk.registered()
    return [owner for owner in desk.own() if owner in registered]
