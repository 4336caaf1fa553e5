"""A damaged outbox is set aside by one process, under a lock of the file's own, however many find it damaged."""

from __future__ import annotations

from glob import escape, glob
from pathlib import Path

from alertlog.database import set_aside
from alertlog.ownership import OwnerLock


def inode(place: Path) -> int:
    """Return the number of the file that is there now, 0 if there is none."""
    try:
        return place.stat().st_ino
    except OSError:
        return 0


def replace_damaged(place: Path, damaged: int, now: float) -> Path | None:
    """Set the file with that inode aside and return its new name; None if somebody else does or has done so.

    Raises:
        OutboxError: it can't be set aside.
    """
    lock = OwnerLock(place, 0)
    try:
        return set_aside(place, now) if lock.acquire() and inode(place) == damaged else None
    finally:
        lock.release()


def is_set_aside(place: Path, number: int) -> bool:
    """Return whether the file with that inode was set aside, by whatever process."""
    return any(inode(Path(aside)) == number for aside in glob(f"{escape(str(place))}.corrupt-*"))
