"""How repeats are counted on the caller's thread: a mark each, in a list whose `append` and `pop` are atomic."""

from __future__ import annotations

from alertlog.alert import Alert, Tally
from alertlog.values import moment


class Known:
    """An incident as this process knows it: its last whole alert, and a mark for each repeat not yet written.

    Attributes:
        until: monotonic seconds; then it counts as open no longer.
        first, last: when the repeats happened, Unix time in seconds.
    """

    __slots__ = ("alert", "first", "last", "marks", "until")

    def __init__(self, alert: Alert, until: float) -> None:
        self.alert = alert
        self.until = until
        self.marks: list[None] = []
        self.first = self.last = alert.created

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
