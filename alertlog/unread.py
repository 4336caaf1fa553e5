"""What waits in journals and no courier has taken into the outbox yet: counted, and left as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alertlog.alert import Tally
from alertlog.errors import OutboxError
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.ownership import Owner


@dataclass(frozen=True, slots=True)
class Unread:
    """What one owner's journals hold beyond what is read.

    Attributes:
        alerts: how many were raised.
        read_to: by the journal's file name, the offset in bytes where each ends now.
    """

    alerts: int
    read_to: Mapping[str, int]


def unread(outbox: Path, owner: Owner, read_to: Mapping[str, int]) -> Unread:
    """Count what the owner's journals hold beyond these offsets, in bytes, by the file's name.

    Raises:
        OutboxError: one can't be read.
    """
    alerts, ends = 0, dict[str, int]()
    for path in journal_paths(outbox, owner.key):
        count, ends[path.name] = beyond(path, read_to.get(path.name, 0))
        alerts += count
    return Unread(alerts, ends)


def tallies(outbox: Path, owner: Owner, read_to: Mapping[str, int]) -> Iterator[Tally]:
    """Yield what the owner's journals hold beyond these offsets.

    Raises:
        OutboxError: one can't be read.
    """
    for path in journal_paths(outbox, owner.key):
        yield from (tally for tally, _end in _beyond(path, read_to.get(path.name, 0)) if tally)


def beyond(path: Path, offset: int) -> tuple[int, int]:
    """Return how many alerts one journal holds beyond an offset, and where it ends.

    Raises:
        OutboxError: it can't be read.
    """
    alerts = 0
    for tally, end in _beyond(path, offset):
        alerts += tally.count if tally else 0
        offset = end
    return alerts, offset


def _beyond(path: Path, offset: int) -> Iterator[tuple[Tally | None, int]]:
    here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
    if here is not None:
        yield from _frames(here, offset)
        return
    try:
        with closing(OtherJournal(path)) as journal:
            yield from _frames(journal, offset)
    except FileNotFoundError:  # a courier has just read it
        return
    except OSError as error:
        raise OutboxError(f"{path}: {error.strerror}") from error


def _frames(journal: Journal | OtherJournal, offset: int) -> Iterator[tuple[Tally | None, int]]:
    """Yield what there is, with the offset where it ends; None for what can't be read, which a courier tells of."""
    end = journal.end  # what comes while this reads may come as fast
    while offset < end and (frames := journal.read(offset)):
        yield from ((_tally(payload), ends) for payload, ends in frames)
        offset = frames[-1][1]


def _tally(payload: bytes) -> Tally | None:
    try:
        return Tally.from_json(payload)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
