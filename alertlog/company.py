"""Whether other processes use the same outbox: who leaves last has to tell what is untold."""

from __future__ import annotations

from pathlib import Path

from alertlog.intake import Intake
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.ownership import Owner


class Company:
    """The other processes with a journal of this owner."""

    def __init__(self, place: Path | None, owner: Owner, intake: Intake) -> None:
        self._place = place
        self._owner = owner
        self._intake = intake
        self._met = False

    def last_one(self) -> bool:
        """Return whether no other process has a journal here: whoever leaves now leaves the outbox alone.

        To be asked before their journals are read: what those who have gone wrote last is then read in any case.
        """
        self._met = any(map(_alive, self._others()))
        return not self._met

    def left_behind(self) -> bool:
        """Return whether all others have gone since, who could not tell what they counted: the outbox was ours."""
        others = self._others()
        came = any(path.name not in self._intake.begun for path in others)
        return (self._met or came) and not any(map(_alive, others))

    def _others(self) -> list[Path]:
        paths = journal_paths(self._place, self._owner.key) if self._place else []
        return [path for path in paths if Journal.of_this_process(path) is None]


def _alive(path: Path) -> bool:
    try:
        journal = OtherJournal(path)
    except OSError:
        return False
    try:
        return not journal.dead
    finally:
        journal.close()
