"""What was logged before an alert: the last records of each logical task, in memory only, in bounds.

A logical task is an asyncio task, elsewhere a thread: one request's mail does not carry another's records. `Trails.add`
is what every record costs that is no alert, so it is written for speed: it takes no lock, and leaves arguments to be
filled in later where they are sure to say the same then.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from logging import LogRecord
from sys import modules
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from alertlog.alert import Line
from alertlog.capture import Redacts, message_of
from alertlog.ending import let_end
from alertlog.lines import LINE_KEPT, Kept, lines_of
from alertlog.traces import exception_line, exception_of

if TYPE_CHECKING:
    import asyncio

KEPT_LINES = 25_000
"""Records kept of all tasks together; beyond it the tasks that began first lose theirs."""
CONTEXTS_A_SECOND = 20
"""Alerts of one second that carry context: in a flood, time and disk are better spent on counting."""

_ARGUMENTS, _ARGUMENT = 5, 200
"""How many arguments, and characters of each, are kept to be filled in later."""
_NESTED = 3
"""How many records deep a `__str__` that logs is asked for its text: what it logs may be itself."""
# Threads inherit the context in free-threaded Python: that they are in a task's says nothing then.
_THREADS_INHERIT = bool(getattr(sys.flags, "thread_inherit_context", 0))

_Task: TypeAlias = "asyncio.Task[Any]"


class _Trail:
    """The last records of one logical task: of the thread of this identifier, or of what `task` returns."""

    __slots__ = ("__weakref__", "lines", "task", "thread")

    def __init__(self, task: _Task | None, lines: Iterable[Kept], most: int) -> None:
        self.thread = get_ident() if task is None else 0
        self.task: Callable[[], _Task | None] = _no_task if task is None else ref(task)
        self.lines = deque(lines, maxlen=most)

    def give_up(self) -> None:
        self.thread = 0
        self.task = _no_task
        self.lines.clear()


class _Here(threading.local):
    """How many records this thread is asking for their text."""

    nested = 0


class Trails:
    """The trails of one handler. Safe to use from any thread, signal handler or finalizer.

    The context of a task or thread holds its trail, so that both end together. A new task copies the context that it is
    made in: it begins a trail of its own with the records that it finds there. So does a forked child.
    """

    def __init__(self, lines: int, clock: Callable[[], float]) -> None:
        """Nothing is kept yet.

        Args:
            lines: how many records a task keeps; 0 for none.
            clock: returns seconds that never run backwards.
        """
        self._lines = lines
        self._clock = clock
        self._most = max(1, KEPT_LINES // max(1, lines))
        self._here = _Here()
        # A context never lets go of a variable, so each handler leaves a trail behind; `forget` empties it.
        self._current: ContextVar[_Trail | None] = ContextVar("alertlog_trail", default=None)
        self._begun: deque[ref[_Trail]] = deque()
        self._running_loop: Callable[[], asyncio.AbstractEventLoop | None] | None = None
        self._left = 0
        self._until = 0.0

    def add(self, record: LogRecord, said: str | None = None) -> None:
        """Keep what a record says now. Never raises.

        Args:
            said: what it says, where it was asked already: an argument's `__str__` may do more than to answer.
        """
        try:
            text: Any = record.msg
            arguments: Any = record.args
            if said is not None:
                text, arguments = said[:LINE_KEPT], ()
            elif (
                type(record) is not LogRecord  # the program's own may fill in arguments its own way
                or type(text) is not str
                or len(text) > LINE_KEPT
                or record.exc_info
                or type(arguments) is not tuple
                or len(arguments) > _ARGUMENTS
            ):
                text, arguments = self._said(record), ()
            for argument in arguments:
                kind = type(argument)
                if kind is not int and kind is not float and (kind is not str or len(argument) > _ARGUMENT):
                    text, arguments = self._said(record), ()
                    break
            trail, task = self._current.get(), self._task()
            if trail is None or (trail.thread != get_ident() if task is None else trail.task() is not task):
                trail = self._own(trail, task)
            trail.lines.append((record.created, record.levelname, record.name, text, arguments))
        except Exception as error:  # a record with parts missing, or the end of the stack: there are worse troubles
            let_end(error)

    def before(self, redactor: Redacts) -> tuple[Line, ...]:
        """Return what this task logged last, oldest first, without secrets; nothing in a flood of alerts."""
        trail = self._current.get()
        if trail is None or not trail.lines or not self._affordable():
            return ()
        kept = list(trail.lines.copy())  # a copy is made in one go, while another thread may add to it
        return lines_of(kept, redactor)

    def forget(self) -> None:
        """Empty all trails."""
        for trail in self._alive():
            trail.give_up()

    def _task(self) -> _Task | None:
        """Return the asyncio task that is under way in this thread."""
        running_loop = self._running_loop
        if running_loop is None:
            if "asyncio" not in modules:  # importing it would cost a program that has no tasks 50 ms
                return None
            running_loop = self._running_loop = getattr(modules["asyncio"], "_get_running_loop", None)
            if running_loop is None:  # another thread is importing it
                return None
        loop = running_loop()  # asyncio.current_task() raises where there is none
        return None if loop is None else modules["asyncio"].current_task(loop)

    def _own(self, found: _Trail | None, task: _Task | None) -> _Trail:
        """Return the trail to go on with where the context holds none, or one that another task began."""
        if found is not None and task is None and self._works_for(found):
            return found
        trail = _Trail(task, found.lines.copy() if found else (), self._lines)
        self._current.set(trail)
        self._begun.append(ref(trail))
        if len(self._begun) > 2 * self._most:
            self._thin_out()
        return trail

    def _works_for(self, trail: _Trail) -> bool:
        """Whether this thread works for the task whose trail it found, as `asyncio.to_thread` has it do."""
        if trail.task is _no_task or _THREADS_INHERIT:
            return False
        return self._running_loop is not None and self._running_loop() is None

    def _thin_out(self) -> None:
        alive = self._alive()
        for trail in alive[: -self._most]:
            trail.give_up()
        self._begun.extend(map(ref, alive[-self._most :]))

    def _alive(self) -> list[_Trail]:
        """Take out the trails that there are, those that began first come first."""
        found = []
        for _ in range(len(self._begun)):
            try:
                found.append(self._begun.popleft()())
            except IndexError:  # another thread was faster
                break
        return [trail for trail in found if trail is not None]

    def _affordable(self) -> bool:
        now = self._clock()
        if now >= self._until:
            self._until, self._left = now + 1.0, CONTEXTS_A_SECOND
        self._left -= 1
        return self._left >= 0

    def _said(self, record: LogRecord) -> str:
        """Return the record's text and the line that names its exception."""
        here = self._here
        if here.nested == _NESTED:
            return record.msg[:LINE_KEPT] if type(record.msg) is str else type(record.msg).__qualname__
        here.nested += 1
        try:
            text, raised = message_of(record)[0], exception_of(record)
            return text[:LINE_KEPT] if raised is None else f"{text[:LINE_KEPT]}\n{exception_line(raised)}"[:LINE_KEPT]
        finally:
            here.nested -= 1


def _no_task() -> None:
    """The task of a trail that is none's."""
