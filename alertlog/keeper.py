"""Keeps an outbox at hand: the file where possible, memory while it is not, and every journal read exactly once.

A file that is damaged is set aside, under a lock of the file's own, and a new one begun. One that is busy, full,
read-only or out of reach is tried again each second; meanwhile memory holds what this process accepts, so that its
mail goes out all the same, and what memory holds moves into the file once that is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alertlog.alert import Incident
from alertlog.bounds import Bounds
from alertlog.clock import Clock
from alertlog.company import Company
from alertlog.damage import inode, is_set_aside, replace_damaged
from alertlog.errors import OutboxError
from alertlog.events import Reports
from alertlog.forks import UnitLock
from alertlog.gate import Gate
from alertlog.intake import Intake
from alertlog.moving import move
from alertlog.outbox import Outbox
from alertlog.ownership import Owner, OwnerLock
from alertlog.policy import Pace
from alertlog.reader import Reader

PATIENCE = 10.0
"""Seconds that another process may keep the file busy before memory stands in for it."""

AGAIN = 1.0
"""Seconds after which a file that could not be used is tried again."""

PIECES = 64
"""Pieces of one journal read in one round, so that mail goes out between them."""


class Keeper:
    """The outbox of one owner, for the courier or a command.

    Attributes:
        lock: to be held around every use, in short units: a fork waits for it.
        company: the other processes here.
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
        self._reader = Reader(place, owner, intake, reporter, clock)
        self.lock = UnitLock()
        self.company = Company(place, owner, intake)
        self._file: Outbox | None = None
        self._memory: Outbox | None = None
        self._inode = self._found = 0
        self._lost = False
        self._came = False
        self._failing_since: float | None = None
        self._failed_at = -AGAIN
        self._reported = False
        self._beside = False
        self._gates: list[Gate] = []

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
            self._come(outbox)
            if self._memory is not None:
                self._move_in(self._memory, outbox)
            self._gates = outbox.gates()
        except OutboxError as error:
            return self.failed(error)
        if self._beside:
            self.close()
            return None
        return outbox

    def _come(self, outbox: Outbox) -> None:
        """Whoever owned the outbox until now may have followed a clock that was set, or may not."""
        if not (self._came or self._beside):
            outbox.times.forget_future(self._clock.wall())
        self._came = not self._beside

    def _open_beside(self) -> Outbox | None:
        """Another process sends what journals hold; what only our memory holds we have to write down, or to send."""
        self._intake.write_memory()
        self._reader.tell_intake(None)
        return self._stand_in() if self._intake.in_memory else None

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
        self._came = False
        if self._owned is not None:
            self._owned.release()

    def ingest(self, outbox: Outbox) -> Iterator[list[Incident]]:
        """Read every journal and what memory holds into the outbox, yielding the incidents that each piece opened.

        Takes the lock for each piece, so that a fork need not wait for a long backlog to be read: to be called without.

        Raises:
            OutboxError: the outbox can't be used; what was read before stays read.
        """
        with self.lock:
            outbox = self.resume(outbox)
            if outbox is self._file:
                self._reader.note_told(outbox)
            sources = self._reader.sources(outbox, own=not self._beside)
        for source in sources:
            for _ in range(PIECES):
                with self.lock:
                    outbox = self.resume(outbox)
                    opened = source.read(outbox)
                if opened is None:
                    break
                yield opened
        with self.lock:
            outbox = self.resume(outbox)
            self._reader.tell_intake(outbox)
            if outbox is self._file:
                self._recover(outbox)

    def _recover(self, outbox: Outbox) -> None:
        """After a failure the file is well again once it takes a write: to open and read it proves nothing."""
        if self._failing_since is not None or self._reported:
            outbox.set_gate(outbox.gate())
            self._failing_since, self._reported = None, False

    # The file

    def _open_file(self, place: Path) -> Outbox:
        if self._file is not None and inode(place) == self._inode:
            return self._file
        self.close()
        self._found = found = inode(place)
        file = Outbox(self._owner, self._pace, place, self._bounds)
        before, now = self._inode, inode(place)
        if found not in (0, now):
            file.close()
            raise OutboxError(f"{place} was replaced meanwhile", busy=True)
        self._file, self._inode, self._found = file, now, now
        # Looked at only now: somebody may set the file aside at any time before this one is open.
        if before and (self._lost or (before != now and is_set_aside(place, before))):
            self._reader.go_back(file)
        self._lost = False
        self._reader.follow(file)
        return file

    def _begin_anew(self, place: Path, error: OutboxError) -> bool:
        """Set the damaged file aside, unless somebody else has just done so.

        What this process knows to be told is not read again from its journals; all else is read from their start. That
        may tell again what was told. The other way, what only the damaged file had would be lost.
        Returns False if it can't be set aside.
        """
        try:
            aside = replace_damaged(place, self._found or inode(place), self._clock.wall())
        except OutboxError:
            return False
        self._lost = True
        if aside is not None:
            self._reporter.report("outbox_corrupt", f"{error}; set aside as {aside.name}, a new one is begun")
        return True

    # Memory

    def _stand_in(self) -> Outbox:
        if self._memory is None:
            self._memory = Outbox(self._owner, self._pace, None, self._bounds)
            for gate in self._gates:
                self._memory.set_gate(gate)
        return self._memory

    def _move_in(self, memory: Outbox, outbox: Outbox) -> None:
        if not self._beside:  # what it spent and met with on the way to the server
            for gate in memory.gates():
                outbox.set_gate(gate)
        move(memory, outbox, self._reader.read_to, self._clock.wall())
        memory.close()
        self._memory = None
