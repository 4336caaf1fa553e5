"""What waits in journals and no courier has taken into the outbox yet: counted, and left as it is."""

from __future__ import annotations

from collections.abc import Mapping
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


def beyond(path: Path, offset: int) -> tuple[int, int]:
    """Return how many alerts one journal holds beyond an offset, and where it ends.

    Raises:
        OutboxError: it can't be read.
    """
    here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
    if here is not None:
        return _count(here, offset)
    try:
        with closing(OtherJournal(path)) as journal:
            return _count(journal, offset)
    except FileNotFoundError:  # a courier has just read it
        return 0, offset
    except OSError as error:
        raise OutboxError(f"{path}: {error.strerror}") from error


def _count(journal: Journal | OtherJournal, offset: int) -> tuple[int, int]:
    alerts, end = 0, journal.end  # what comes while this reads may come as fast
    while offset < end and (frames := journal.read(offset)):
        alerts += sum(_alerts(payload) for payload, _end in frames)
        offset = frames[-1][1]
    return alerts, offset


def _alerts(payload: bytes) -> int:
    try:
        return Tally.from_json(payload).count
    except (ValueError, TypeError, KeyError, RecursionError):  # a courier shows it in an event
        return 0
