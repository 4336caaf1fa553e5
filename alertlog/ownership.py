"""Who sends: at most one courier for each (service, handler) of an outbox, over all processes.

The lock is a POSIX record lock on one byte of `<outbox>.lock`: the kernel drops it when its owner dies, however
it dies, so there is no lease to run out and no clock to trust. Two properties of POSIX locks shape this module:
a process that closes *any* descriptor of the file loses all its locks on it, and a lock does not exclude other
threads of the same process. Hence one descriptor per file and process, and a mutex beside the kernel's lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from alertlog.errors import OutboxError


@dataclass(frozen=True, slots=True)
class Owner:
    """The sender of one stream of mail: a service's handler, by their names."""

    service: str
    handler: str

    @property
    def key(self) -> str:
        """Eight hexadecimal digits for file names."""
        return blake2b(f"{self.service}\0{self.handler}".encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()

    @property
    def byte(self) -> int:
        """The offset of this owner's byte in the lock file; byte 0 is the file's own."""
        return 1 + int(self.key, 16)


class _LockFiles:
    """The lock files that this process has open. Lives as long as the process: see the module's first lines."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._descriptors: dict[Path, int] = {}
        self._held: dict[Path, dict[int, object]] = {}

    def acquire(self, path: Path, byte: int, claimant: object) -> bool:
        with self._mutex:
            try:
                descriptor = self._descriptor(path)
            except OSError as error:
                raise OutboxError(f"{path}: {error.strerror}") from error
            held = self._held.setdefault(path, {})
            if byte in held:
                return held[byte] is claimant
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES):  # somebody else's (POSIX fcntl)
                    return False
                raise OutboxError(f"{path}: {error.strerror}") from error
            held[byte] = claimant
            return True

    def release(self, path: Path, byte: int, claimant: object) -> None:
        with self._mutex:
            held = self._held.get(path, {})
            if held.get(byte) is claimant:
                del held[byte]
                fcntl.lockf(self._descriptors[path], fcntl.LOCK_UN, 1, byte)

    def forget(self) -> None:
        """In a forked child: it inherited the descriptors, not the locks."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._mutex = threading.Lock()
        self._descriptors, self._held = {}, {}

    def _descriptor(self, path: Path) -> int:
        """Open the lock file, anew if it was replaced: a lock on a file that nobody else can find protects nothing."""
        known = self._descriptors.get(path)
        if known is not None:
            if _same_file(known, path):
                return known
            del self._descriptors[path]
            self._held.pop(path, None)
            os.close(known)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptors[path] = descriptor
        return descriptor


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


_LOCK_FILES = _LockFiles()
os.register_at_fork(after_in_child=_LOCK_FILES.forget)


def is_owned(outbox: Path, owner: Owner) -> bool:
    """Return whether somebody sends for this owner now.

    Raises:
        OutboxError: the lock file can't be opened.
    """
    lock = OwnerLock(outbox, owner.byte)
    if not lock.there:  # to ask must not make one
        return False
    free = lock.acquire()
    lock.release()
    return not free


class OwnerLock:
    """One owner's claim on an outbox.

    >>> lock = OwnerLock(Path("/var/lib/app/alerts.sqlite3"), Owner("app", "alerts"))  # doctest: +SKIP
    >>> if lock.acquire(): ...  # doctest: +SKIP
    """

    def __init__(self, outbox: Path, byte: int) -> None:
        self._path = outbox.with_name(f"{outbox.name}.lock")
        self._byte = byte
        self.held = False

    @property
    def there(self) -> bool:
        """Whether anybody has ever asked for a lock on this outbox."""
        return self._path.exists()

    def acquire(self) -> bool:
        """Return whether this object now holds the lock; never waits.

        To be asked again each time: a fork, or another lock file in the place of this one, takes it away.

        Raises:
            OutboxError: the lock file can't be opened.
        """
        self.held = False
        self.held = _LOCK_FILES.acquire(self._path, self._byte, self)
        return self.held

    def release(self) -> None:
        self.held = False
        _LOCK_FILES.release(self._path, self._byte, self)
