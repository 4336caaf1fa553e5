"""Keeps an outbox at hand: the file where possible, memory while it is not, and every journal read exactly once.

A file that is damaged is set aside, under a lock of the file's own, and a new one begun. One that is busy, full,
read-only or out of reach is tried again each second; meanwhile memory holds what this process accepts, so that its
mail goes out all the same, and what memory holds moves into the file once that is back.
"""

from __future__ import annotations

import threading
from contextlib import closing
from glob import escape, glob
from pathlib import Path

from alertlog.alert import Incident, Tally
from alertlog.bounds import Bounds
from alertlog.clock import Clock
from alertlog.database import set_aside
from alertlog.errors import OutboxError
from alertlog.events import Reports
from alertlog.intake import Intake
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.outbox import Outbox
from alertlog.ownership import Owner, OwnerLock
from alertlog.policy import Pace

PATIENCE = 10.0
"""Seconds that another process may keep the file busy before memory stands in for it."""

AGAIN = 1.0
"""Seconds after which a file that could not be used is tried again."""

CHUNKS = 16
"""Pieces of one journal read in one go, so that mail goes out between them."""


class Keeper:
    """The outbox of one owner, for the courier or a command.

    Attributes:
        lock: to be held around every use, in short units: a fork waits for it.
    """

    def __init__(
        self,
        place: Path | None,
        owner: Owner,
        pace: Pace,
        intake: Intake,
        reporter: Reports,
        clock: Clock,
        bounds: Bounds | None = None,
    ) -> None:
        self._place = place
        self._owner = owner
        self._pace = pace
        self._bounds = bounds or Bounds()
        self._intake = intake
        self._reporter = reporter
        self._clock = clock
        self._owned = OwnerLock(place, owner.byte) if place is not None else None
        self.lock = threading.Lock()
        self._file: Outbox | None = None
        self._memory: Outbox | None = None
        self._inode = 0
        self._failing_since: float | None = None
        self._failed_at = -AGAIN
        self._reported = False
        self._beside = False
        self._met_others = False
        self._read_to: dict[str, int] = {}
        self._unreadable: set[Path] = set()

    def open(self) -> Outbox | None:
        """Return the outbox to work with now; None if that is another process's business, or nothing is there yet."""
        if self._place is None or self._owned is None:
            return self._stand_in()
        if self._memory is not None and self._clock.monotonic() < self._failed_at + AGAIN:
            return self._memory  # a full disk lets us open the file, but not write to it
        try:
            if self._memory is None and self._intake.nothing_there():
                return None
            self._beside = not self._owned.acquire()
            if self._beside and self._memory is None:
                return self._open_beside()
            outbox = self._open_file(self._place)
            if self._memory is not None:
                self._move_in(self._memory, outbox)
        except OutboxError as error:
            return self.failed(error)
        if self._beside:
            self.close()
            return None
        return outbox

    def _open_beside(self) -> Outbox | None:
        """Another process sends what journals hold; what only our memory holds we have to write down, or to send."""
        self._intake.write_memory()
        return self._stand_in() if self._intake.memory else None

    def resume(self, outbox: Outbox) -> Outbox:
        """Return the outbox again after some time without the lock, in which a fork may have closed it.

        Raises:
            OutboxError: it can't be opened, or is another one by now, whose numbers mean something else.
        """
        if outbox is self._memory or outbox is self._file or self._place is None:
            return outbox
        before = self._inode
        again = self._open_file(self._place)
        if self._inode != before:
            raise OutboxError(f"{self._place} was replaced meanwhile")
        return again

    def failed(self, error: OutboxError) -> Outbox | None:
        """Take note that the file can't be used; return memory where that is to stand in for it."""
        self.close()
        if error.corrupt and self._place is not None and self._begin_anew(self._place, error):
            return None
        now = self._failed_at = self._clock.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if error.busy and now - self._failing_since < PATIENCE:
            return None
        if not self._reported:
            self._reported = True
            self._reporter.report("outbox_unavailable", f"memory stands in for the outbox: {error}", stage=error.stage)
        return self._stand_in()

    def close(self) -> None:
        """Close the file; the next `open` opens it again. A connection must not cross a fork."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def owns(self) -> bool:
        """Whether no other process can own the outbox now."""
        return self._owned is None or self._owned.held

    def release(self) -> None:
        """Close the file and let another process own it."""
        self.close()
        if self._owned is not None:
            self._owned.release()

    def last_one(self) -> bool:
        """Return whether no other process has a journal here: whoever leaves now leaves the outbox alone.

        To be asked before their journals are read: what those who have gone wrote last is then read in any case.
        """
        self._met_others = any(map(_alive, self._others()))
        return not self._met_others

    def left_behind(self) -> bool:
        """Return whether all others have gone since, who could not tell what they counted: the outbox was ours."""
        others = self._others()
        came = any(path.name not in self._intake.begun for path in others)
        return (self._met_others or came) and not any(map(_alive, others))

    def _others(self) -> list[Path]:
        paths = journal_paths(self._place, self._owner.key) if self._place else []
        return [path for path in paths if Journal.of_this_process(path) is None]

    def ingest(self, outbox: Outbox) -> list[Incident]:
        """Read every journal and what memory holds into the outbox; return the incidents that this opened."""
        opened = self._ingest_memory(outbox)
        for journal in list(self._intake.retired):
            opened += self._ingest_journal(outbox, journal)
            if not self._unread(journal):
                self._intake.retired.remove(journal)
        if outbox is self._file:
            opened += self._ingest_others(outbox)
        own = self._intake.journal
        if own is not None and not self._beside:  # after the others: what it says may end what they began
            opened += self._ingest_journal(outbox, own)
        if outbox is self._file:
            self._failing_since, self._reported = None, False
        return opened

    def _ingest_memory(self, outbox: Outbox) -> list[Incident]:
        memory, tallies = self._intake.memory, []
        while memory:
            tallies.append(memory.popleft())
        try:
            return outbox.ingest(tallies, {}, self._clock.wall()) if tallies else []
        except BaseException:
            memory.extendleft(reversed(tallies))
            raise

    def _ingest_others(self, outbox: Outbox) -> list[Incident]:
        opened: list[Incident] = []
        paths = journal_paths(outbox.place, self._owner.key) if outbox.place else []
        for path in paths:
            here = Journal.of_this_process(path)
            if here is None:
                opened += self._ingest_other(outbox, path)
            elif here is not self._intake.journal:
                opened += self._ingest_journal(outbox, here)
        own = [self._intake.journal] if self._intake.journal else []
        kept = [*paths, *(journal.path for journal in (*own, *self._intake.retired))]
        for name in self._read_to.keys() - {path.name for path in kept}:
            self._forget(outbox, name)
        return opened

    def _ingest_other(self, outbox: Outbox, path: Path) -> list[Incident]:
        opened: list[Incident] = []
        try:
            with closing(OtherJournal(path)) as journal:
                opened += self._ingest_journal(outbox, journal)
                if journal.dead and not self._unread(journal):
                    path.unlink(missing_ok=True)
                    self._forget(outbox, path.name)
        except OutboxError:
            raise
        except OSError as error:
            if path not in self._unreadable:  # once, not each second
                self._unreadable.add(path)
                self._reporter.report("outbox_unavailable", f"{path}: {error.strerror}", stage="journal")
        return opened

    def _ingest_journal(self, outbox: Outbox, journal: Journal | OtherJournal) -> list[Incident]:
        opened: list[Incident] = []
        end = journal.end  # what comes while this reads is for the next round: some thread may write as fast
        for _ in range(CHUNKS):
            if not (frames := self._unread(journal)):
                break
            tallies = [tally for payload, _end in frames if (tally := self._decode(payload))]
            offset = frames[-1][1]
            opened += outbox.ingest(tallies, {journal.path.name: offset}, self._clock.wall())
            self._read_to[journal.path.name] = offset
            if offset >= end:
                break
        return opened

    def _unread(self, journal: Journal | OtherJournal) -> list[tuple[bytes, int]]:
        return journal.read(self._read_to.get(journal.path.name, 0))

    def _forget(self, outbox: Outbox, name: str) -> None:
        outbox.journals.forget(name)
        self._read_to.pop(name, None)

    def _decode(self, payload: bytes) -> Tally | None:
        try:
            return Tally.from_json(payload)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            text = payload.decode("utf-8", "backslashreplace")
            self._reporter.report("alert_capture_failed", f"a journal's entry can't be read: {error}", alert=text)
            return None

    # The file

    def _open_file(self, place: Path) -> Outbox:
        if self._file is not None and _inode(place) == self._inode:
            return self._file
        self.close()
        if self._inode and _is_set_aside(place, self._inode):  # by another owner; what was in it has to be read again
            self._read_to.clear()
        first = not self._inode
        self._inode = _inode(place)
        self._file = Outbox(self._owner, self._pace, place, self._bounds)
        self._inode = _inode(place)
        if first:
            self._file.times.forget_future(self._clock.wall())
        for name, offset in self._file.journals.read_to().items():
            self._read_to[name] = max(offset, self._read_to.get(name, 0))
        return self._file

    def _begin_anew(self, place: Path, error: OutboxError) -> bool:
        """Set the damaged file aside, unless somebody else has just done so; the journals are read from their start.

        That may tell again what was told. The other way, what only the damaged file had would be lost.
        Returns False if it can't be set aside.
        """
        lock = OwnerLock(place, 0)
        damaged = self._inode or _inode(place)
        try:
            if lock.acquire() and _inode(place) == damaged:
                aside = set_aside(place, self._clock.wall())
                self._reporter.report("outbox_corrupt", f"{error}; set aside as {aside.name}, a new one is begun")
        except OutboxError:
            return False
        finally:
            lock.release()
        self._read_to.clear()
        return True

    # Memory

    def _stand_in(self) -> Outbox:
        if self._memory is None:
            self._memory = Outbox(self._owner, self._pace, None, self._bounds)
        return self._memory

    def _move_in(self, memory: Outbox, outbox: Outbox) -> None:
        with memory.withdrawn(self._clock.wall()) as (incidents, letters):
            outbox.adopt(incidents, letters, self._read_to)
        memory.close()
        self._memory = None


def _inode(place: Path) -> int:
    try:
        return place.stat().st_ino
    except OSError:
        return 0


def _is_set_aside(place: Path, inode: int) -> bool:
    return any(_inode(Path(aside)) == inode for aside in glob(f"{escape(str(place))}.corrupt-*"))


def _alive(path: Path) -> bool:
    try:
        journal = OtherJournal(path)
    except OSError:
        return False
    try:
        return not journal.dead
    finally:
        journal.close()
