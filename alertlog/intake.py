"""What the caller's thread touches: the journal, and the incidents that are open here.

There is no lock: a signal handler that logs or flushes may interrupt this at any point, and at exit a daemon thread
stops for ever wherever it happens to be. A repeat of an incident that is open here costs a look-up and a mark in a
list, whose `append` and `pop` are atomic; whoever pops a mark accounts for it. The courier does so within a second,
and writes the counts to the journal.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from logging import LogRecord
from pathlib import Path

from alertlog.alert import Alert, Tally
from alertlog.clock import Clock
from alertlog.crowd import Crowd, Overflow, popped
from alertlog.errors import JournalError
from alertlog.journal import Journal, journal_paths
from alertlog.ownership import Owner
from alertlog.repeats import Known

IDLE = 1.0
"""Seconds between two times that the courier looks, and that the counts are written."""
OPEN_FOR = 5.0
"""Seconds that an incident counts as open here without asking the outbox; then the next alert is written whole."""
OPEN_LIMIT = 1_000
"""Incidents known as open at once."""
JOURNAL_LIMIT = 1024 * 1024
"""Bytes after which a new journal is begun, so that the old one can be removed once it is read."""
MARKS_LIMIT = 4_096
"""Repeats of one incident that may wait for the courier; the thread that brings more writes the count itself."""
MEMORY_LIMIT = 10_000
"""Alerts kept in memory where no journal can be written, each printed whole in an event; more are counted by kind."""

Unwritable = Callable[[Alert, JournalError], None]


class Intake:
    """Accepts alerts for one handler of this process.

    Attributes:
        journal: what is written to now; None before the first alert.
        known: returns the incident with a fingerprint that is open here, or None.
        retired: journals that couriers of other processes can't find any more.
        begun: the names of the latest journals.
        memory: what no journal could be written for.
        crowd: how much there is to read, and what becomes of alerts that are too many.
        writer: the identifier of the thread that writes the counts while the courier delivers, whose own records are
            never alerts; 0 while there is none.
    """

    def __init__(self, outbox: Path | None, owner: Owner, clock: Clock, unwritable: Unwritable) -> None:
        """Opens nothing yet.

        Args:
            outbox: the file that journals lie beside; None where there is no place for one.
            unwritable: called for each alert that only memory holds, before `add` returns.
        """
        self._outbox = outbox
        self._owner = owner
        self._clock = clock
        self._unwritable = unwritable
        self.forget()

    def forget(self) -> None:
        """In a forked child, or at the beginning: counts, memory and journal are the parent's business."""
        self.writer = 0
        self.journal: Journal | None = None
        self.retired: deque[Journal] = deque()
        self.begun: deque[str] = deque(maxlen=64)
        self.memory: deque[Tally] = deque()
        self.crowd = Crowd()
        self._overflow = Overflow()
        self._open: dict[str, Known] = {}
        self.known = self._open.get
        self._closed: deque[Known] = deque()
        self._counting = True

    def differs(self, known: Known, record: LogRecord) -> bool:
        """Return whether one of an incident's first repeats says something new, and is not only to be counted.

        Raises:
            BaseException: what ends the program, and came from a signal handler or Ctrl-C while its text was asked for.
        """
        return not self.crowd.pressing and known.differs(record)

    def repeat(self, fingerprint: str, level: int, when: float) -> bool:
        """Count a repeat of an incident that is open here; return False if it is not, or its level rises."""
        known = self._open.get(fingerprint)
        if known is None or known.until < self._clock.monotonic() or level > known.alert.level:
            return False
        if not known.marks:
            known.first = when
        known.last = when
        known.marks.append(None)
        if self._open.get(fingerprint) is not known:  # closed meanwhile, and perhaps already written for the last time
            return not known.take_back()
        if len(known.marks) > MARKS_LIMIT:
            self._write_repeats(known)
        return True

    def add(self, alert: Alert) -> None:
        """Accept a whole alert: one write to the journal or, where that fails, memory.

        Where too much is unread, alerts count as repeats of one that stands for their kind.
        """
        if self.crowd.presses(alert):
            alert = self.crowd.folded(alert)
            if alert.resolved or self.repeat(alert.fingerprint, alert.level, alert.created):
                return
        if alert.resolved:
            self._forget_incident(alert.fingerprint)
        elif not alert.test:
            self._remember(alert)
        self._write(Tally.one(alert))

    def write_counts(self) -> None:
        """Write the repeats counted so far to the journal; the courier does so each second, `close()` at the end."""
        while known := self._next_closed():
            self._write_repeats(known)
        for known in self._open.copy().values():
            self._write_repeats(known)

    def write_memory(self) -> None:
        """Try again to write what only memory holds, for the courier of another process to read."""
        while tallies := self.take_memory(1):
            try:
                self._append(tallies[0])
            except JournalError:
                self.put_back(tallies)
                break

    @property
    def in_memory(self) -> bool:
        """Whether there is something that only memory holds."""
        return bool(self.memory or self._overflow)

    def take_memory(self, most: int) -> list[Tally]:
        """Return the oldest of what only memory holds, and give it up; what was folded for want of room comes last."""
        return popped(self.memory, most) or self._overflow.take(most)

    def put_back(self, tallies: list[Tally]) -> None:
        self.memory.extendleft(reversed(tallies))

    def retire(self) -> None:
        """Have done with this journal: once no thread appends to it any more, it is as a dead process's.

        Nobody may come back for counts, so every alert is now written whole, until a courier tends the journal again.
        """
        self.count_no_more()
        self.write_counts()
        self.journal = None

    def count_no_more(self) -> None:
        """Write every alert whole from now on: there is no courier to write counts."""
        self._counting = False
        for fingerprint in self._open.copy():
            self._close(fingerprint)

    def nothing_there(self) -> bool:
        """Return whether there is neither an outbox nor anything for one: a program without alerts makes no file."""
        if self.in_memory or self.retired or self.journal is not None:
            return False
        # Not Path.exists(), which raises where the folder is not ours to look into.
        return self._outbox is None or not (os.path.exists(self._outbox) or self._journals())

    def _journals(self) -> list[Path]:
        return journal_paths(self._outbox, self._owner.key) if self._outbox else []

    def tend_journal(self) -> None:
        """Begin a new journal if this one is long, or is not where couriers look for it."""
        self._counting = True
        journal = self.journal
        if journal is not None and (journal.size > JOURNAL_LIMIT or not journal.found):
            self.journal = None
            if journal.open and not journal.found:  # once it is closed, it is read as a dead process's is
                self.retired.append(journal)

    def _write(self, tally: Tally) -> None:
        try:
            self._append(tally)
        except JournalError as error:
            self.crowd.failing = True
            if len(self.memory) < MEMORY_LIMIT:
                self.memory.append(tally)
            else:
                self._overflow.add(tally)
            self._unwritable(tally.alert, error)

    def _append(self, tally: Tally) -> None:
        journal = self.journal or self._begin_journal()
        size = journal.append(tally.to_json())
        self.crowd.written += size  # not in one line with the write, during which other threads add to it
        self.crowd.failing = False

    def _begin_journal(self) -> Journal:
        if self._outbox is None:
            raise JournalError("there is no folder for an outbox", stage="journal")
        self.journal = journal = Journal.create(self._outbox, self._owner)
        self.begun.append(journal.path.name)
        return journal

    def _write_repeats(self, known: Known) -> None:
        if tally := known.take_all():
            self._write(tally)

    def _remember(self, alert: Alert) -> None:
        if not self._counting:
            return
        if len(self._open) >= OPEN_LIMIT:
            for fingerprint in list(self._open)[: OPEN_LIMIT // 10]:
                self._close(fingerprint)
        now = self._clock.monotonic()
        new = Known(alert._replace(context=()) if alert.context else alert, now + OPEN_FOR)
        while (before := self._open.setdefault(alert.fingerprint, new)) is not new:
            if before.until >= now:
                new.follow(before)
            self._close(alert.fingerprint)

    def _close(self, fingerprint: str) -> None:
        known = self._open.pop(fingerprint, None)
        if known is not None:
            self._closed.append(known)

    def _next_closed(self) -> Known | None:
        try:
            return self._closed.popleft()
        except IndexError:
            return None

    def _forget_incident(self, fingerprint: str) -> None:
        self._close(fingerprint)
        self.write_counts()  # so that the repeats before it do not open the incident again after it
