"""Incidents told at step level: a courier without its thread, a clock that moves when told to, and a real server.

A `Story` is what one process after another does with the same outbox. Nothing in it waits but for the server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from alertlog.alert import Alert
from alertlog.bounds import Bounds
from alertlog.courier import Courier
from alertlog.errors import JournalError
from alertlog.events import EVENTS, FIELDS
from alertlog.gate import Gate
from alertlog.intake import Intake
from alertlog.letter import Wording
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.planning import Post
from alertlog.policy import Pace
from alertlog.rounds import Rounds
from alertlog.settings import SmtpSettings
from alertlog.testing import Mail, ManualClock
from alertlog.ways import read_ways
from tests.programs import Server, address

OWNER = Owner("shop", "alerts")
HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Told:
    """One event that was reported."""

    name: str
    message: str
    fields: Mapping[str, Any]


class Recorder:
    """Takes events as the real reporter does: what is not in the vocabulary is an error in the program."""

    def __init__(self) -> None:
        self.events: list[Told] = []

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        assert event in EVENTS
        assert fields.keys() <= set(FIELDS)
        assert level is None
        self.events.append(Told(event, message, {name: value for name, value in fields.items() if value is not None}))

    def named(self, *names: str) -> list[Told]:
        return [told for told in self.events if told.name in names]

    @property
    def names(self) -> list[str]:
        return [told.name for told in self.events]

    def clear(self) -> None:
        self.events.clear()


class RunningClock(ManualClock):
    """Moves by itself as well: what bounds an attempt by the wall clock needs one that runs."""

    def wall(self) -> float:
        return super().wall() + time.monotonic()

    def monotonic(self) -> float:
        return super().monotonic() + time.monotonic()


class Story:
    """The processes that use one outbox, one after the other.

    Args:
        place: the outbox's file, None for one in memory.
        server: where the environment says that mail goes; None if it says nothing.
        clock: a `ManualClock` by default.
        pace: what differs from the default `Pace`.

    Attributes:
        environ: the SMTP variables; to be changed as a deployer would.
        wording: how letters speak.
        prefixes: what the names of those variables begin with, one for each server.
        learnt: the secrets that came while mail was sent.
    """

    def __init__(
        self, place: Path | None, server: Server | None, clock: ManualClock | None = None, **pace: float
    ) -> None:
        self.place = place
        self.clock = clock or ManualClock()
        self.recorder = Recorder()
        self.environ = address(server) if server else {}
        self.wording = Wording(OWNER.service)
        self.pace = Pace(**pace)
        self.bounds = Bounds()
        self.prefixes: tuple[str, ...] = ("SMTP_",)
        self.raised = 0
        self.learnt: list[str] = []
        self.begin()

    def begin(self) -> None:
        """A process starts."""
        self.intake = Intake(self.place, OWNER, self.clock, self._unwritable)
        self.rounds: Rounds | None = None
        self.courier = Courier(self._prepare, self.intake, self.recorder)

    def end(self) -> None:
        """The process is gone, as by SIGKILL: what it had opened is closed by the kernel."""
        if self.rounds is not None:
            self.rounds.release()
        self.intake.forget()

    def restart(self) -> None:
        self.end()
        self.begin()

    def _prepare(self) -> Rounds:
        def settings() -> SmtpSettings:
            return read_ways(self.environ, self.prefixes)

        post = Post(self.pace, lambda: self.wording, settings, self.bounds, self.learnt.append)
        self.rounds = Rounds(self.place, OWNER, post, self.intake, self.recorder, self.clock, environ=self.environ)
        return self.rounds

    def _unwritable(self, alert: Alert, error: JournalError) -> None:
        self.recorder.report("outbox_unavailable", str(error), stage=error.stage, alert=alert.to_dict())

    # What happens

    def alert(self, message: str = "Disk full", *, times: int = 1, **changes: Any) -> None:
        """The program logs the same alert so many times now; alerts of one message are one incident."""
        made = alert(message, self.clock, **changes)
        for _ in range(times):
            if made.resolved or made.test or not self.intake.repeat(made.fingerprint, made.level, made.created):
                self.intake.add(made)
        self.raised += 0 if made.resolved else times

    def work(self, after: float = 0.0) -> None:
        """The courier looks, `after` so many seconds."""
        self.clock.advance(after)
        self.courier.step()

    def work_for(self, seconds: float, each: float = 60.0) -> None:
        """The courier looks again and again until so much time is over."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 1e-6:
            self.work(min(each, left))

    def leave(self) -> None:
        """The courier's last round in this process."""
        self.courier.step(leaving=True)
        self.end()

    # What can be seen

    def outbox(self) -> Outbox:
        """A look into the outbox beside the courier, to be closed."""
        return Outbox(OWNER, self.pace, self.place)

    @property
    def letters(self) -> list[Waiting]:
        outbox = self.outbox()
        try:
            return outbox.letters.all()
        finally:
            outbox.close()

    @property
    def gate(self) -> Gate:
        outbox = self.outbox()
        try:
            return outbox.gate()
        finally:
            outbox.close()

    @property
    def untold(self) -> int:
        """Alerts in incidents and in unsent letters that nobody was told of yet."""
        outbox = self.outbox()
        try:
            return sum(incident.untold for incident in outbox.incidents.all())
        finally:
            outbox.close()


def fingerprint(message: str) -> str:
    return f"{crc32(message.encode()):016x}"


def alert(message: str, clock: ManualClock, **changes: Any) -> Alert:
    made = Alert(
        fingerprint=fingerprint(message),
        kind="",
        level=50,
        levelname="CRITICAL",
        logger="shop",
        message=message,
        created=clock.wall(),
        host="vps1",
    )
    return made._replace(**changes)


def header(mail: Mail, name: str) -> str:
    return str(mail.message[name])


def count(mail: Mail) -> int:
    return int(header(mail, "X-Alertlog-Count"))


def total(mail: Mail) -> int:
    return int(header(mail, "X-Alertlog-Total"))


def references(mail: Mail) -> str:
    """The Message-ID of the mail that this one follows, "" if it begins a thread."""
    assert mail.message["References"] == mail.message["In-Reply-To"]
    return str(mail.message["References"] or "")


REASONS = {
    "This is the first mail": "opening",
    "The incident goes on": "follow-up",
    "This mail closes the incident": "closing",
    "The last program on the outbox ended": "closing",
    "The program said that the trouble is over": "resolved",
    "Several incidents were due at once": "digest",
    "An operator asked for this mail": "test",
}


def reasons(mails: Sequence[Mail]) -> list[str]:
    """Why each mail exists, as it says itself."""
    return [next(reason for words, reason in REASONS.items() if words in mail.text) for mail in mails]
