"""One command run as a child: its output passed through, signals passed on, its end waited for with a limit."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from alertlog.fate import NOT_EXECUTABLE, NOT_FOUND, Fate
from alertlog.oom import most_memory, oom_kills
from alertlog.passing import Passage, Tail

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
OF_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
"""A terminal sends these to all that is in its foreground."""
SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Nothing is wrong with the command: a limit on processes, memory or files is reached."""
STALL = 3.0
"""Seconds after the command's end for which the news of it waits for its output to be passed on."""
LOOK_AGAIN = 0.2
"""Seconds between two looks whether somebody wants an end to the waiting for a reader that stalls, or for the mail."""
MERCY = 10.0
"""Seconds from SIGTERM to SIGKILL for a command whose time is over."""


class Child:
    """One run of a command.

    Attributes:
        pid: its process; 0 while there is none.
    """

    def __init__(self, command: Sequence[str], tail: Tail, mercy: float = MERCY) -> None:
        """Starts nothing yet.

        Args:
            tail: where the last lines of what it says are kept.
            mercy: seconds from SIGTERM to SIGKILL, once its time is over.
        """
        self._command = list(command)
        self._mercy = mercy
        self._passage = Passage(tail)
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._unwatched: subprocess.Popen[bytes] | None = None
        self._trouble = Fate(0)
        self._own_group = not in_foreground()
        self._early: list[int] = []
        self._passed_on = 0
        self._overran = self._dismissed = False
        self._began, self._seconds, self._kills = time.monotonic(), 0.0, oom_kills()

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def troubles(self) -> list[str]:
        """What of its output could not be passed on, and why."""
        return self._passage.troubles

    def start(self) -> None:
        """Start it; that it can't be started is its fate."""
        try:
            self._process = process = self._begun()
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            words = getattr(error, "strerror", None) or str(error)
            self._trouble = Fate(NOT_FOUND if missing else NOT_EXECUTABLE, trouble=words)
            self._ended.set()
            return
        self._watch(process)
        for number in self._early:
            process.send_signal(number)

    def _begun(self) -> subprocess.Popen[bytes]:
        # What passes its output on runs first: output that nobody takes from a pipe would end it by SIGPIPE.
        outputs = self._passage.open("stdout", 1), self._passage.open("stderr", 2)
        try:
            return self._popen(*outputs)
        except OSError as error:
            if error.errno not in SCARCE:
                raise
            scarce = error
        finally:
            for output in outputs:
                if output is not None:
                    os.close(output)
        self._passage.close(STALL)  # whose threads and pipes may be what the command needs
        self._passage.troubles.append(f"its output is in no mail, as it can't be read along: {scarce.strerror}")
        return self._popen(None, None)

    def _popen(self, stdout: int | None, stderr: int | None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdout=stdout,
            stderr=stderr,
            # All of it can be ended so. In a terminal's foreground it has to be in our group to read from there.
            process_group=0 if self._own_group else None,
        )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        waiter = threading.Thread(target=self._await, args=(process,), name="alertlog-command", daemon=True)
        try:
            waiter.start()
        except RuntimeError:  # there is no further thread to be had
            self._unwatched = process

    def _await(self, process: subprocess.Popen[bytes], seconds: float | None = None) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            self._seconds = time.monotonic() - self._began
            self._ended.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end, at most so many seconds; return whether it has ended. Signals are passed on meanwhile."""
        if self._unwatched is not None:
            self._await(self._unwatched, seconds)
            return self._ended.is_set()
        return self._ended.wait(seconds)

    def end(self) -> None:
        """Its time is over: end it, and what it started with it, by SIGTERM and after a while by SIGKILL."""
        self._overran = True
        self._signal_all(signal.SIGTERM)
        if not self.wait(self._mercy):
            self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        if self._own_group:
            with suppress(ProcessLookupError):  # it has ended this very moment
                os.killpg(process.pid, number)
        else:
            process.send_signal(number)

    def fate(self) -> Fate:
        """Return how it ended, once it has, and the rest of its output is passed on or whoever reads that stalls."""
        process = self._process
        self._passage.close(STALL)
        if process is None:
            return self._trouble
        return Fate(
            process.wait(),
            self._seconds,
            most_memory(),
            max(0, oom_kills() - self._kills),
            self._passed_on,
            self._overran,
        )

    def pass_rest(self) -> None:
        """Wait until a reader that stalled has the rest of the output, or somebody wants an end."""
        self.wait_unless_dismissed(self._passage.close)

    def wait_unless_dismissed(self, done: Callable[[float], bool]) -> bool:
        """Wait until something is done, which is given seconds to wait and says whether it is; return whether it is.

        A signal that came after the command's end, when nobody is left to pass it on to, ends one such waiting.
        """
        while not done(LOOK_AGAIN):
            if self._dismissed:
                self._dismissed = False
                return False
        return True

    # Signals

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Meanwhile the signals that others send to a program go to the command, which decides; for the main thread."""
        before: dict[int, Any] = {}
        try:
            for number in map(int, PASSED_ON):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and a shell's background: it ignores it too
                    before[number] = signal.signal(number, self._pass_on)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if self._ended.is_set():
            self._dismissed = True
            return
        self._passed_on = number
        if self._process is None:
            self._early.append(number)
        elif number not in OF_THE_KEYBOARD or self._own_group:  # else the terminal has sent it to the command, too
            self._process.send_signal(number)


def in_foreground() -> bool:
    """Whether a terminal sends its signals to this process's group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # there is none, as under cron
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
