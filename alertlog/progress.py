"""What is said while a command sends: events, as a program's courier reports them, or a line each for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from alertlog.events import Redacts, Reports
from alertlog.headers import squeezed
from alertlog.words import words_in
from alertlog.works import Works

LONGEST = 500
"""Characters of one line: a record or a server may have written it."""


class Observer(Protocol):
    """Follows what a command sends."""

    def events(self, works: Works) -> Reports:
        """Return who takes the events of one owner's rounds."""

    def waits(self, alerts: int) -> None:
        """So many alerts are still to be told now."""


class Silent:
    """Leaves the events where the program's own go, and says nothing else."""

    def events(self, works: Works) -> Reports:
        return works.reporter

    def waits(self, alerts: int) -> None:
        """Whoever reads events does not wait at a terminal."""


class Talking:
    """Says each event in a line of words, and how much is left whenever that changes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._left = 0

    def events(self, works: Works) -> Reports:
        return _Lines(works.redactor, self._say)

    def waits(self, alerts: int) -> None:
        if alerts and alerts != self._left:
            self._say(words_in("en").plural("{n} alert to tell", "{n} alerts to tell", alerts))
        self._left = alerts


class _Lines:
    def __init__(self, redactor: Redacts, say: Callable[[str], None]) -> None:
        self._redactor = redactor
        self._say = say

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:  # noqa: ARG002 -- as Reports has it
        self._say(squeezed(self._redactor.text(message), LONGEST))


class Heard:
    """Passes events on, and remembers whether there were any."""

    def __init__(self, reporter: Reports) -> None:
        self._reporter = reporter
        self.anything = False

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        self.anything = True
        self._reporter.report(event, message, level=level, **fields)
