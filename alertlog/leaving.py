"""Who may wait for the courier's last round, for how long, and who must not wait at all."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

AT_ONCE = 1.0
"""Seconds within which a close belongs to the flush before it: `logging.shutdown` calls one right after the other."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How long a flush has waited, in seconds, and when it ended, on the monotonic clock.

    An exit flushes and closes. Both together wait no longer than one of them may.
    """

    seconds: float = 0.0
    ended: float = float("-inf")

    def lately(self) -> float:
        """Return what was waited, if that was right before."""
        return self.seconds if monotonic() - self.ended < AT_ONCE else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Somebody wants one round; where `leaving`, it is to be the last."""

    leaving: bool
    done: threading.Event = field(default_factory=threading.Event)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def answer(self) -> None:
        """The round is done: whoever waits may go, and nobody need wait at the process's end."""
        self.done.set()
        for wait in self.waiting:
            atexit.unregister(wait)


def configuring() -> bool:
    """Whether this thread holds the lock of `logging`, as `dictConfig` does when it closes what was there before.

    Whoever waits then for another thread may wait for one that itself waits for that lock: `logging.getLogger` takes
    it, and python-dotenv, which environs imports, calls that at its import. Besides, all others who want the lock wait
    as well. The process goes on, and so does the courier: there is no need to wait.
    """
    owned: Callable[[], bool] | None = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return owned is not None and owned()


class Farewell:
    """Waits at the process's end for a last round that nobody could wait for when it was asked for."""

    def __init__(self, request: Request, timeout: float, missed: Callable[[], None]) -> None:
        """`missed` is called if the round is not done `timeout` seconds from now, and the process goes."""
        self._request = request
        self._until = monotonic() + timeout
        self._missed = missed
        self._process = os.getpid()
        # Before logging.shutdown(), which is registered earlier: the handler that came after has the outbox then.
        atexit.register(self._wait)
        request.waiting.append(self._wait)
        if request.done.is_set():  # meanwhile
            request.answer()

    def _wait(self) -> None:
        if os.getpid() != self._process:  # a forked child has no such courier
            return
        if not self._request.done.wait(max(0.0, self._until - monotonic())):
            self._missed()
