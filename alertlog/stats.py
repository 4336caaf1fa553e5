"""What a monitoring system asks of a handler: counters that its courier keeps, read without waiting for anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

from alertlog.draft import Draft
from alertlog.known import MARK

_MARKS = (MARK, "***@")
"""What stands in the place of a secret, the second one in a URL."""


@dataclass(frozen=True, slots=True)
class Stats:
    """One handler in this process, since its start.

    `waiting` and `folded` are as of the courier's last round, about a second ago, and 0 while another process has the
    outbox: that one can tell. All others only grow.

    Attributes:
        sent: mails that a server accepted.
        failed: attempts to send a mail that did not end so, whatever the reason.
        waiting: alerts in the outbox that no mail has told yet, also those that are muted or not due, but not those of
            letters that were set aside.
        folded: alerts of open incidents in which several troubles are counted together, for want of room.
        redacted: places in the accepted mails' texts from which a secret was taken out.
        last_success: Unix time in seconds of the last accepted mail; None before the first.
    """

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    folded: int = 0
    redacted: int = 0
    last_success: float | None = None


class Counters:
    """What one process counts for one handler; written by the courier's thread alone."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self.failed = 0
        self._sent = self._redacted = self._waiting = self._folded = 0
        self._last_success: float | None = None

    def sent(self, draft: Draft, now: float) -> None:
        """A server has accepted a mail."""
        told = draft.to_json()
        self._redacted += sum(map(told.count, _MARKS))
        self._last_success = now
        self._sent += 1

    def look(self, waiting: int, folded: int) -> None:
        """So much was in the outbox when the courier looked."""
        self._waiting, self._folded = waiting, folded

    def stats(self) -> Stats:
        """Return them as they are now; a forked child begins with none."""
        if os.getpid() != self._process:
            return Stats()
        return Stats(self._sent, self.failed, self._waiting, self._folded, self._redacted, self._last_success)
