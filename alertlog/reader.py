"""Reads an owner's journals into an outbox, each alert once, in pieces so short that a fork can wait for one.

Who reads a journal notes in the outbox how far, in the same transaction as what it held. A dead process's journal is
removed once it is read to its end; one of a process that lives is left to grow.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Protocol

from alertlog.alert import Incident, Tally
from alertlog.clock import Clock
from alertlog.errors import OutboxError
from alertlog.events import Reports
from alertlog.ingest import Piece
from alertlog.intake import Intake
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.outbox import Outbox
from alertlog.ownership import Owner

PIECE = 256
"""Alerts taken from memory in one transaction; of journals, `alertlog.framing.READ_AT_ONCE` bytes are a piece."""


class Source(Protocol):
    """Something to be read in this round."""

    def read(self, outbox: Outbox) -> list[Incident] | None:
        """Read one piece and return the incidents that it opened; None at the end."""


class Reader:
    """Knows how far one owner's journals are read.

    Attributes:
        read_to: bytes read of each journal, by its file's name, into the file or into what stands in for it.
    """

    def __init__(self, place: Path | None, owner: Owner, intake: Intake, reporter: Reports, clock: Clock) -> None:
        self._place = place
        self._owner = owner
        self._intake = intake
        self._reporter = reporter
        self._clock = clock
        self.read_to: dict[str, int] = {}
        self._told_to: dict[str, int] = {}
        self._unreadable: set[Path] = set()

    def sources(self, outbox: Outbox, *, own: bool) -> list[Source]:
        """Return what there is to read, in the order of its coming as far as names tell.

        Args:
            own: whether this process's journals are ours to read, and not another process's that owns the outbox.
        """
        memory = _Memory(self._intake, self._clock)
        retired = [_Retired(self, journal, self._intake) for journal in self._intake.retired.copy()]
        own_paths = [path for path in self._own_paths() if path.exists()] if own else []
        found = self._found(outbox) if outbox.place else own_paths
        current = self._intake.journal if own else None
        # What the last one says may end what those before it began.
        journals = [self._source(path, outbox) for path in found if current is None or path != current.path]
        return [memory, *retired, *journals, *([_Living(self, current)] if current else [])]

    def _found(self, outbox: Outbox) -> list[Path]:
        """Return all journals of the owner, this process's in the order of their beginning; forget those that went."""
        begun = {name: number for number, name in enumerate(self._intake.begun.copy(), start=1)}
        paths = sorted(self.paths(), key=lambda path: (begun.get(path.name, 0), written_at(path)))
        current = [self._intake.journal] if self._intake.journal else []
        kept = {path.name for path in paths} | {journal.path.name for journal in (*current, *self._intake.retired)}
        for name in self.read_to.keys() - kept:
            self.forget(outbox, name)
        return paths

    def _own_paths(self) -> list[Path]:
        # No other process's: those are for their own couriers' memory, which can't be used by any of them now either.
        return [self._place.with_name(name) for name in self._intake.begun.copy()] if self._place else []

    def _source(self, path: Path, outbox: Outbox) -> Source:
        here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
        return _Living(self, here) if here else _Other(self, path, removes=outbox.place is not None)

    def paths(self) -> list[Path]:
        """Return the journals of the owner, of whatever process."""
        return journal_paths(self._place, self._owner.key) if self._place else []

    def ingest(self, outbox: Outbox, journal: Journal | OtherJournal, end: int) -> list[Incident] | None:
        """Read one piece of a journal that begins before `end`; return what it opened, None if there is none."""
        name = journal.path.name
        offset = self.read_to.get(name, 0)
        frames = journal.read(offset) if offset < end else []
        if not frames:
            return None
        tallies = [tally for payload, _end in frames if (tally := self._decode(payload))]
        piece = Piece(name, offset, frames[-1][1])
        opened = outbox.ingest_piece(tallies, piece, self._clock.wall())
        if opened is None:  # an operator has cleared the outbox, and what lay here with it
            self.read_to[name] = outbox.journals.reaches(name)
            return []
        self.read_to[name] = piece.end
        return opened

    def unread(self, journal: Journal | OtherJournal) -> bool:
        return bool(journal.read(self.read_to.get(journal.path.name, 0)))

    def forget(self, outbox: Outbox, name: str) -> None:
        outbox.journals.forget(name)
        self.read_to.pop(name, None)
        self._told_to.pop(name, None)

    def report_unreadable(self, path: Path, error: OSError) -> None:
        if path not in self._unreadable:  # once, not each second
            self._unreadable.add(path)
            self._reporter.report("outbox_unavailable", f"{path}: {error.strerror}", stage="journal")

    def _decode(self, payload: bytes) -> Tally | None:
        try:
            return Tally.from_json(payload)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            text = payload.decode("utf-8", "backslashreplace")
            self._reporter.report("alert_capture_failed", f"a journal's entry can't be read: {error}", alert=text)
            return None

    # Where a file is opened, or damaged

    def follow(self, outbox: Outbox) -> None:
        """Go on where the file says that earlier processes have stopped."""
        for name, offset in outbox.journals.read_to().items():
            self.read_to[name] = max(offset, self.read_to.get(name, 0))

    def note_told(self, outbox: Outbox) -> None:
        """Where nothing waits to be told, a file that is lost from now on takes nothing along that a mail owes."""
        if outbox.all_told():
            self._told_to = dict(self.read_to)

    def go_back(self, outbox: Outbox) -> None:
        """The file is lost, this is a new one: what may not be told yet has to be read again."""
        self.read_to = dict(self._told_to)
        outbox.ingest((), self.read_to, self._clock.wall())

    def tell_intake(self, outbox: Outbox | None) -> None:
        """Tell the caller's side how many bytes of its journals are not in the file yet."""
        before, unread = self._intake.crowd.written, 0
        for path in self._own_paths():
            read = self.read_to.get(path.name, 0) if outbox and outbox.place else 0
            unread += max(0, _size(path) - read)
        self._intake.crowd.tell(unread, before)


class _Memory:
    """What no journal could be written for."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock

    def read(self, outbox: Outbox) -> list[Incident] | None:
        tallies = self._intake.take_memory(PIECE)
        try:
            return outbox.ingest(tallies, {}, self._clock.wall()) if tallies else None
        except BaseException:
            self._intake.put_back(tallies)
            raise


class _Living:
    """A journal that this process has open. What comes while it is read is for the next round: some write as fast."""

    def __init__(self, reader: Reader, journal: Journal) -> None:
        self._reader = reader
        self._journal = journal
        self._end = journal.end

    def read(self, outbox: Outbox) -> list[Incident] | None:
        return self._reader.ingest(outbox, self._journal, self._end)


class _Retired(_Living):
    """One that couriers of other processes can't find any more, to be let go once it is read."""

    def __init__(self, reader: Reader, journal: Journal, intake: Intake) -> None:
        super().__init__(reader, journal)
        self._intake = intake

    def read(self, outbox: Outbox) -> list[Incident] | None:
        opened = super().read(outbox)
        if opened is None and not self._reader.unread(self._journal):
            self._intake.retired.remove(self._journal)
        return opened


class _Other:
    """The journal of another process, or one that this process has done with.

    It is opened anew for each piece: a descriptor must not be open across a fork, for the child would keep it.
    """

    def __init__(self, reader: Reader, path: Path, *, removes: bool) -> None:
        self._reader = reader
        self._path = path
        self._removes = removes
        self._end: int | None = None

    def read(self, outbox: Outbox) -> list[Incident] | None:
        try:
            with closing(OtherJournal(self._path)) as journal:
                self._end = journal.end if self._end is None else self._end
                opened = self._reader.ingest(outbox, journal, self._end)
                if opened is None and self._removes and journal.dead and not self._reader.unread(journal):
                    self._path.unlink(missing_ok=True)
                    self._reader.forget(outbox, self._path.name)
                return opened
        except OutboxError:
            raise
        except OSError as error:
            self._reader.report_unreadable(self._path, error)
            return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def written_at(path: Path) -> int:
    """Return when a file was last written, in nanoseconds; 0 if it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
