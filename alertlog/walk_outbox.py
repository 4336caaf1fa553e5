"""The steps of a check that look at the outbox: its place, its files, its disk; and what waits in it.

Nothing is made or changed that a program would not find as it was: whether a folder can be written is tried with a
file without a name.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from typing import Any

from alertlog.advice import Advice, Seen, advise
from alertlog.errors import Category, ConfigError, OutboxError
from alertlog.mistakes_outbox import OF_THE_OUTBOX
from alertlog.steps import Step, Stopwatch

FULL, LITTLE = 1024**2, 100 * 1024**2
"""Bytes free below which nothing more fits, and below which not all that an outbox may hold."""

_KINDS = {
    "overlay": ("overlay", "aufs"),
    "memory": ("tmpfs", "ramfs"),
    "network": ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "lustre"),
}
"""File systems on which an outbox does not last, or its locks do not hold, by what is wrong with them."""


@dataclass(frozen=True, slots=True)
class File:
    """One of an outbox's files.

    Attributes:
        size: in bytes.
        mode: its permissions.
        owner: the number of the user whose it is.
        allowed: whether this user may read and write it.
    """

    name: str
    size: int
    mode: int
    owner: int
    allowed: bool

    @classmethod
    def at(cls, path: Path) -> File | None:
        """Return None for one that is not there, or not any more: a courier removes journals."""
        try:
            about = path.stat()
        except FileNotFoundError:
            return None
        allowed = os.access(path, os.R_OK | os.W_OK, effective_ids=True)
        return cls(path.name, about.st_size, about.st_mode & 0o777, about.st_uid, allowed)


@dataclass(frozen=True, slots=True)
class Room:
    """What there is at the outbox's place.

    Attributes:
        folder: the outbox's, or the nearest one above it that is there.
        files: the outbox's own, journals included, that are there.
        owner: the number of the user whose outbox it is, or will be.
        free: bytes that this user may still write.
        file_system: its type, "" where the system does not say.
    """

    place: Path
    folder: Path
    files: tuple[File, ...]
    owner: int
    free: int
    file_system: str

    @classmethod
    def at(cls, place: Path) -> Room:
        """Raises OSError where one may not look."""
        folder = next(parent for parent in place.parents if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        files = tuple(filter(None, map(File.at, _paths(place))))
        owner = next((file.owner for file in files if file.name == place.name), folder.stat().st_uid)
        disk = os.statvfs(folder)
        return cls(place, folder, files, owner, disk.f_bavail * disk.f_frsize, file_system(mounts(), folder))

    @property
    def exists(self) -> bool:
        return any(file.name == self.place.name for file in self.files)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def mode(self) -> int:
        """The permissions of the file that others than its owner may do most with."""
        return max((file.mode for file in self.files), key=lambda mode: mode & 0o077, default=0)

    @property
    def forbidden(self) -> str:
        """The names of the files that this user may not read and write."""
        return ", ".join(file.name for file in self.files if not file.allowed)

    def facts(self) -> dict[str, Any]:
        return {
            "place": str(self.place),
            "exists": self.exists,
            "folder": str(self.folder),
            "files": len(self.files),
            "bytes": self.size,
            "mode": f"{self.mode:04o}",
            "owner": self.owner,
            "free_bytes": self.free,
            "file_system": self.file_system,
        }


def outbox_step(place: Path, watch: Stopwatch) -> Step:
    """Say what is at the outbox's place; failed if alerts could not be kept there."""
    try:
        return room_step(Room.at(place), watch)
    except OSError as error:
        words = {"folder": str(place.parent), "user": str(os.geteuid())}
        seen = Seen("outbox", f"{place}: {error.strerror}", marks=frozenset({"folder"}), words=words)
        return _failed(seen, watch, {"place": str(place)})


def room_step(room: Room, watch: Stopwatch) -> Step:
    """Say what there is. Raises OSError where nothing can be written."""
    problem, marks = _problem(room)
    if not problem:
        return Step("outbox", _in_a_line(room), advice=tuple(_warnings(room)), seconds=watch.lap(), facts=room.facts())
    words = {
        "user": str(os.geteuid()),
        "files": room.forbidden,
        "free": amount(room.free),
    }
    return _failed(Seen("outbox", f"{room.place}: {problem}", marks=marks, words=words), watch, room.facts())


def placeless_step(error: ConfigError, watch: Stopwatch) -> Step:
    """Say that there is no place for an outbox: alerts are kept in memory only."""
    return _failed(Seen("outbox", str(error)), watch, {"problems": error.problems})


def unusable_step(error: OutboxError, watch: Stopwatch) -> Step:
    """Say that the outbox's file can't be read."""
    marks = frozenset({"damaged"} if error.corrupt else ())
    category: Category = "permanent" if error.corrupt else error.category
    return _failed(Seen("outbox", str(error), marks=marks), watch, {}, category)


def _failed(seen: Seen, watch: Stopwatch, facts: Mapping[str, Any], category: Category = "refused") -> Step:
    return Step("outbox", seen.text, category, advise(seen, OF_THE_OUTBOX), watch.lap(), facts)


def _problem(room: Room) -> tuple[str, frozenset[str]]:
    """Return what keeps alerts from being written, and its marks; "" if nothing does. Raises OSError likewise."""
    try:
        with tempfile.TemporaryFile(dir=room.folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return str(error.strerror), frozenset({"full"})
    if room.free < FULL:
        return f"only {amount(room.free)} free", frozenset({"full"})
    if room.forbidden:
        return f"{room.forbidden}: {os.strerror(errno.EACCES)}", frozenset({"files"})
    return "", frozenset()


def _warnings(room: Room) -> Iterator[Advice]:
    words = {"free": amount(room.free), "mode": f"{room.mode:04o}", "owner": str(room.owner)}
    kinds = [kind for kind, types in _KINDS.items() if room.file_system in types]
    seen = [Seen("file-system", marks=frozenset(kinds), words=words)]
    if room.free < LITTLE:
        seen.append(Seen("disk", marks=frozenset({"little"}), words=words))
    if room.mode & 0o077:
        seen.append(Seen("mode", words=words))
    if os.geteuid() == 0 and room.owner != 0:
        seen.append(Seen("user", words=words))
    for one in seen:
        yield from advise(one, OF_THE_OUTBOX)


def _paths(place: Path) -> Iterator[Path]:
    """Yield the paths that an outbox's files have, there or not."""
    for suffix in ("", "-wal", "-shm", ".lock"):
        yield place.with_name(place.name + suffix)
    yield from map(Path, sorted(glob(f"{escape(str(place))}.*.journal")))


def _in_a_line(room: Room) -> str:
    on = f" on {room.file_system}" if room.file_system else ""
    left = f"{amount(room.free)} free{on}"
    if not room.exists:
        return f"{room.place}: not there yet, and can be made; {left}"
    return f"{room.place}: {amount(room.size)}, mode {room.mode:04o}, user {room.owner}; {left}"


def file_system(mounts: str, folder: Path) -> str:
    """Return the type of the file system that a folder is on, "" if the table of mounts does not say.

    Args:
        mounts: as Linux has it in /proc/self/mountinfo (proc(5)); later lines cover earlier ones.
    """
    found: tuple[int, str] = (0, "")
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
            if (point == folder or point in folder.parents) and len(point.parts) >= found[0]:
                found = (len(point.parts), after.split(" ")[0])
    return found[1]


def mounts(table: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the system's table of mounts, "" where there is none."""
    try:
        return table.read_text("utf-8", "replace")
    except OSError:  # another system than Linux
        return ""


def amount(count: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
