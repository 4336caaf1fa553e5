"""What has to be done around a fork, by objects that come and go: `os.register_at_fork` can't be undone.

Only the thread that forks lives on in the child. A lock that another thread held stays locked there for ever, and a
module that another thread was importing can never be imported there (https://github.com/python/cpython/issues/80406).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from weakref import WeakSet

FORK_WAIT = 5.0
"""Seconds that a fork waits for what another thread has under way; a child that hangs is worse than a slow fork."""


class Participant(Protocol):
    """Whoever has something to do around a fork."""

    def before_fork(self) -> None: ...
    def after_fork(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_PARTICIPANTS: WeakSet[Participant] = WeakSet()


def take_part(participant: Participant) -> None:
    """Have an object's methods called around each fork, for as long as it lives."""
    _PARTICIPANTS.add(participant)


def _each(act: Callable[[Participant], None]) -> Callable[[], None]:
    def hook() -> None:
        for participant in list(_PARTICIPANTS):
            act(participant)

    return hook


os.register_at_fork(
    before=_each(lambda participant: participant.before_fork()),
    after_in_parent=_each(lambda participant: participant.after_fork()),
    after_in_child=_each(lambda participant: participant.after_fork_in_child()),
)


class UnitLock:
    """A lock around short units of work, one after the other, that lets a fork in before the next unit.

    A plain lock would, as a rule, go back to the thread that has just released it, before one that waits has woken up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = threading.Lock()  # held while waiting for the other one

    def __enter__(self) -> None:
        with self._next:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self, timeout: float) -> bool:
        """Wait for the end of the unit under way, at most so many seconds; return whether it came."""
        until = monotonic() + timeout
        if not self._next.acquire(timeout=timeout):
            return False
        try:
            return self._lock.acquire(timeout=max(0.0, until - monotonic()))
        finally:
            self._next.release()

    def release(self) -> None:
        self._lock.release()


class ForkLock:
    """A lock that a fork waits for and that is free in the child: what is done under it is never half done there."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken: list[bool] = []
        take_part(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        self._taken.append(self._lock.acquire(timeout=FORK_WAIT))

    def after_fork(self) -> None:
        if self._taken and self._taken.pop():  # empty if it was made while the fork was under way
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._taken = []
