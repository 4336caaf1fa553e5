"""A process's append-only file of accepted alerts, beside the outbox.

The caller's thread appends one frame with one `os.write`; a courier, of this process or of another one, reads.
A journal is locked by its process for as long as that lives, by a POSIX lock that no kill can leave behind:
an unlocked journal is a dead process's, to be read to its end and removed.

Before the alerts a frame with a mark of its own, passed over by who reads alerts, names the journal's owner.
"""

from __future__ import annotations

import fcntl
import json
import os
from glob import escape, glob
from pathlib import Path
from typing import ClassVar
from weakref import WeakValueDictionary

from alertlog.ending import let_end
from alertlog.errors import JournalError
from alertlog.framing import MAX_PAYLOAD, OWNER_MARK, first_payload, frame, read_frames
from alertlog.ownership import Owner

_NO_FOLLOW = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class Journal:
    """The journal that this process writes for one handler.

    It is a new file at each opening, named after the outbox, its owner's key and chance. Threads append without
    a lock: the kernel places each O_APPEND write whole. The file closes with the last reference to this object,
    so that a courier may change to a new journal while another thread is still appending to this one.
    """

    _here: ClassVar[WeakValueDictionary[Path, Journal]] = WeakValueDictionary()
    """The journals of this process: the kernel's lock would not keep its own process from taking one for dead."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self._descriptor = descriptor
        self._file = os.fstat(descriptor)
        self._pid = os.getpid()
        self._here[path] = self

    @classmethod
    def create(cls, outbox: Path, owner: Owner) -> Journal:
        """Make the folder if need be (0700) and a new journal in it (0600), locked before anyone can find it.

        Raises:
            JournalError: nothing can be written there.
        """
        name = f"{outbox.name}.{owner.key}.{os.getpid()}-{os.urandom(6).hex()}"
        hidden, path = outbox.with_name(f".{name}.new"), outbox.with_name(f"{name}.journal")
        try:
            outbox.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _NO_FOLLOW, 0o600)
        except OSError as error:
            let_end(error)
            raise JournalError(f"{outbox.parent}: {error.strerror}", stage="journal") from error
        journal = cls(path, descriptor)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal._write(frame(_names(owner), OWNER_MARK))
            os.rename(hidden, path)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            let_end(error)
            raise JournalError(f"{hidden}: {error.strerror or error}", stage="journal") from error
        return journal

    @classmethod
    def of_this_process(cls, path: Path) -> Journal | None:
        """Return the open journal at that path, if it is this very process's; a forked child inherits none."""
        journal = cls._here.get(path)
        return journal if journal is not None and journal._pid == os.getpid() else None

    @property
    def found(self) -> bool:
        """Whether the file is still where couriers look for it; somebody may have removed the folder."""
        try:
            return self.open and os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    @property
    def open(self) -> bool:
        """Whether the descriptor is still this file's; a program may close all that there are, and open others."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._file)
        except OSError:
            return False

    @property
    def end(self) -> int:
        """How many bytes there are by now."""
        return os.fstat(self._descriptor).st_size

    def append(self, payload: bytes) -> int:
        """Append one frame by one write, and return its size in bytes. Safe in any number of threads.

        Raises:
            JournalError: the frame did not get there whole, because the disk is full or failing, or it is too long.
        """
        if len(payload) > MAX_PAYLOAD:  # a reader would take it for damage
            raise JournalError(f"{self.path}: {len(payload):,} bytes are too many for one frame", stage="journal")
        return self._write(frame(payload))

    def _write(self, data: bytes) -> int:
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            let_end(error)  # an alarm's TimeoutError: the frame may well be there
            raise JournalError(f"{self.path}: {error.strerror}", stage="journal") from error
        if written != len(data):
            raise JournalError(f"{self.path}: the disk took {written} of {len(data)} bytes", stage="journal")
        self.size += written
        return written

    def read(self, offset: int) -> list[tuple[bytes, int]]:
        """Return some whole frames after `offset`, each with the offset where it ends.

        Reads by this journal's own descriptor: closing a second one would give up the lock (POSIX).
        """
        return read_frames(self._descriptor, offset)

    def owner(self) -> Owner | None:
        """Return whose it says that it is; None if that is damaged."""
        return _owner(self._descriptor)

    def __del__(self) -> None:
        if self.open:
            os.close(self._descriptor)


class OtherJournal:
    """The journal of another process, living or dead, opened to be read.

    Attributes:
        dead: True if its process is gone: it does not grow any more, and is ours to remove.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError if it can't be opened."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | _NO_FOLLOW)
        self.dead = self._lock()

    @property
    def end(self) -> int:
        """How many bytes there are by now."""
        return os.fstat(self._descriptor).st_size

    def _lock(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def read(self, offset: int) -> list[tuple[bytes, int]]:
        """Return some whole frames after `offset`, each with the offset where it ends."""
        return read_frames(self._descriptor, offset)

    def close(self) -> None:
        os.close(self._descriptor)


def journal_paths(outbox: Path, key: str) -> list[Path]:
    """Return the journals of one owner, oldest process first as far as names tell."""
    return _sorted(outbox, f"{key}.*")


def owners(outbox: Path) -> list[Owner]:
    """Return all owners that have a journal beside this outbox; those of journals that do not say so are left out."""
    found: dict[Owner, None] = {}
    for path in _sorted(outbox, "*"):
        owner = _owner_of(path)
        # Its key is in the name, too: `<outbox>.*` also meets the journals of an outbox that is called `<outbox>.old`.
        if owner is not None and path.name.startswith(f"{outbox.name}.{owner.key}."):
            found[owner] = None
    return list(found)


def _sorted(outbox: Path, pattern: str) -> list[Path]:
    # Not Path.glob(), which raises where the folder is not ours to look into.
    return sorted(map(Path, glob(f"{escape(str(outbox))}.{pattern}.journal")))


def _owner_of(path: Path) -> Owner | None:
    here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
    if here is not None:
        return here.owner()
    try:
        with open(path, "rb", buffering=0, opener=_open_to_look) as file:
            return _owner(file.fileno())
    except OSError:
        return None


def _open_to_look(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_FOLLOW)


def _names(owner: Owner) -> bytes:
    return json.dumps({"service": owner.service, "handler": owner.handler}).encode("ascii")  # where no mark can be


def _owner(descriptor: int) -> Owner | None:
    payload = first_payload(descriptor, OWNER_MARK)
    try:
        return Owner(**json.loads(payload)) if payload is not None else None
    except (ValueError, TypeError):
        return None
