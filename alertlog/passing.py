"""Passing a command's output through, byte for byte and at once, and keeping its last lines for the mail."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections import deque
from threading import Thread

from alertlog.lines import LINE_KEPT, Kept

LINES_KEPT = 1_000
"""Lines of output kept, of both streams together; a mail has room for no more."""
LINGER = 1.0
"""Seconds that are waited for the end of the output after the command's own end.

What it left in the background may hold the pipe for ever.
"""

CHUNK = 65_536
"""Bytes read at once: what a pipe of Linux holds."""
NOWHERE = -1
"""The file descriptor of what can't be written to any more."""
_BYTES_KEPT = 4 * LINE_KEPT  # of a line that has not ended yet; no character takes more than four


class Tail:
    """The last lines of a command's streams, in the order in which they came."""

    def __init__(self, name: str) -> None:
        """Keep nothing yet; `name` is who writes, as the mail says it beside each line."""
        self._name = name
        self._lines: deque[tuple[float, str, bytes]] = deque(maxlen=LINES_KEPT)
        self._begun: dict[str, bytes] = {}

    def add(self, stream: str, data: bytes) -> None:
        """Take what a stream said; one thread for each stream."""
        *whole, rest = (self._begun.get(stream, b"") + data).split(b"\n")
        now = time.time()
        # As they are: a command that says much is not to wait until each line has been looked at.
        self._lines.extend([(now, stream, line[:_BYTES_KEPT]) for line in whole[-LINES_KEPT:] if line])
        self._begun[stream] = rest[rest.rfind(b"\r", 0, -1) + 1 :][:_BYTES_KEPT]

    def lines(self) -> list[Kept]:
        """Return what there is, last the lines that have not ended."""
        now = time.time()
        begun = [(now, stream, line) for stream, line in self._begun.copy().items()]
        shown = [(when, stream, _shown(line)) for when, stream, line in [*self._lines.copy(), *begun]]
        return [(when, stream, self._name, text, ()) for when, stream, text in shown if text.strip()]


def _shown(line: bytes) -> str:
    """Return what a terminal would show of a line: of one that was written over, as progress is, the last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "backslashreplace")[:LINE_KEPT]


class Passage:
    """Both streams of one command, each passed on by a thread of its own: a reader that stalls holds no other.

    Attributes:
        troubles: what could not be passed on, and why.
    """

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._passing: list[tuple[Thread, int]] = []
        self._left: list[Thread] = []
        self.troubles: list[str] = []

    def open(self, stream: str, target: int) -> int | None:
        """Begin to pass on to a file descriptor what is written to the one returned, to be closed by the caller.

        Return None where the machine has no room for that: then the command is to write to its target itself.
        """
        taken: list[int] = []
        try:
            source, write = _pipe(taken)
            ended, end = _pipe(taken)
            words = (stream, source, target, ended)
            thread = Thread(target=self._pass, args=words, name=f"alertlog-{stream}", daemon=True)
            thread.start()
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no further thread to be had
            for descriptor in taken:
                os.close(descriptor)
            self.troubles.append(f"{stream} is in no mail, as it can't be read along: {error}")
            return None
        self._passing.append((thread, end))
        return write

    def close(self, seconds: float) -> bool:
        """The command has ended: wait for what is left to be passed on, at most so long; return whether it is."""
        passing, self._passing = self._passing, []
        for thread, end in passing:
            os.close(end)
            self._left.append(thread)
        until = time.monotonic() + seconds
        for thread in self._left:
            thread.join(max(0.0, until - time.monotonic()))
        self._left = [thread for thread in self._left if thread.is_alive()]
        return not self._left

    def _pass(self, stream: str, source: int, target: int, ended: int) -> None:
        left = _Left(source, ended)
        try:
            while data := left.read():
                self._tail.add(stream, data)
                if target != NOWHERE:
                    target = self._give(stream, data, target)
        except BrokenPipeError:  # nobody reads: the command learns of it as if it had written there itself
            return
        finally:
            os.close(source)
            os.close(ended)

    def _give(self, stream: str, data: bytes, target: int) -> int:
        """Return where to go on to: to nowhere if a disk is full, which is no reason to end the command."""
        try:
            _write(target, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.troubles.append(f"{stream} can't be passed on: {error.strerror}")
            return NOWHERE
        return target


class _Left:
    """What is left to read of one stream. After the command's end, that is what it wrote itself, however slowly that is
    passed on, and what others write within `LINGER`.
    """

    def __init__(self, source: int, ended: int) -> None:
        self._source = source
        self._ended = ended
        self._owed = 0
        self._until = float("inf")

    def read(self) -> bytes:
        """Wait for more; b"" at the end."""
        ready, _, _ = select.select([self._source, self._ended], [], [])
        if self._ended in ready and not self._more():
            return b""
        data = os.read(self._source, CHUNK)
        self._owed -= len(data)
        return data

    def _more(self) -> bool:
        if self._until == float("inf"):
            self._until, self._owed = time.monotonic() + LINGER, _unread(self._source)
        wait = self._until - time.monotonic()
        return self._owed > 0 or (wait > 0 and bool(select.select([self._source], [], [], wait)[0]))


def _pipe(taken: list[int]) -> tuple[int, int]:
    ends = os.pipe()
    taken += ends
    return ends


def _unread(source: int) -> int:
    """Return how many bytes are in a pipe."""
    (size,) = struct.unpack("i", fcntl.ioctl(source, termios.FIONREAD, bytes(4)))
    return int(size)


def _write(target: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:  # whoever shares it has set it so
            select.select([], [target], [])
