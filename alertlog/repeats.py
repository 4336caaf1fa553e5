"""How repeats are counted on the caller's thread: a mark each, in a list whose `append` and `pop` are atomic.

The first ones of an incident are read as well, so that a mail can show what differs: of three tickers without a price
in one second it names all three. The others, in a flood, are only counted.
"""

from __future__ import annotations

from logging import LogRecord

from alertlog.alert import Alert, Tally
from alertlog.capture import message_of
from alertlog.traces import exception_line, exception_of
from alertlog.values import moment

LOOKS = 20
"""Repeats of one incident whose text is compared with those before."""
TEXTS = 5
"""Repeats of these that are taken whole, for each says what none before has said: as many as a mail shows."""


class Known:
    """An incident as this process knows it: its last whole alert, and a mark for each repeat not yet written.

    Attributes:
        until: monotonic seconds; then it counts as open no longer.
        first, last: when the repeats happened, Unix time in seconds.
        looks: how many more repeats are to be compared.
    """

    __slots__ = ("_texts", "alert", "first", "last", "looks", "marks", "until")

    def __init__(self, alert: Alert, until: float) -> None:
        self.alert = alert
        self.until = until
        self.marks: list[None] = []
        self.first = self.last = alert.created
        self.looks = LOOKS
        self._texts: set[int] | None = None  # most alerts are the only one of their incident

    def follow(self, before: Known) -> None:
        """Go on comparing where the one before it has stopped."""
        self.looks, self._texts = before.looks, before._texts

    def differs(self, record: LogRecord) -> bool:
        """Return whether a repeat says what none before it has said. Threads that compare at once may take one more.

        A text in which a secret is cut out, or that is too long, differs from the first alert's once.

        Raises:
            BaseException: what ends the program, and came from a signal handler or Ctrl-C while it was asked.
        """
        self.looks -= 1
        texts = self._texts
        if texts is None:
            texts = self._texts = {hash((self.alert.message, self.alert.exception))}
        value = exception_of(record)
        text = hash((message_of(record)[0], "" if value is None else exception_line(value)))
        if text in texts or len(texts) > TEXTS:
            return False
        texts.add(text)
        return True

    def take_back(self) -> bool:
        """Return whether there was a mark left to take back; otherwise somebody has accounted for them all."""
        try:
            self.marks.pop()
        except IndexError:
            return False
        return True

    def take_all(self) -> Tally | None:
        """Take all marks and return what they count, None if there are none."""
        if not self.marks:
            return None
        started = self.alert.created
        first, last = moment(self.first, started), moment(self.last, started)
        count = sum(1 for _ in range(len(self.marks)) if self.take_back())
        return Tally(self.alert, count, first, max(first, last)) if count else None
