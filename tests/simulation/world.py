"""A machine with its processes, its outbox, its clock and its mail server, in which a scenario is played."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from alertlog.alert import Alert
from alertlog.bounds import Bounds
from alertlog.errors import ConfigError, JournalError
from alertlog.journal import Journal
from alertlog.mailbox import Mailbox
from alertlog.outbox import Outbox
from alertlog.policy import CLOCK_JUMP, Pace
from alertlog.settings import SmtpSettings
from tests.simulation.process import Process
from tests.simulation.server import FatalClock, Fuse, Killed, VirtualServer
from tests.simulation.sight import Sight, Step
from tests.stories import OWNER, Recorder, alert

PEOPLE = tuple(Mailbox(f"{name}@example.org") for name in ("oncall", "lead", "archive"))
SETTINGS = SmtpSettings("mail.example.org", 587, "starttls", 10.0, Mailbox("alerts@example.org"), PEOPLE[:2])


class FatalRecorder(Recorder):
    """Takes events; the process may be killed after each.

    Not after one that tells what expired: what the outbox has given up by then is told by the events that follow.
    """

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    def report(self, event: str, message: str, *, level: int | None = None, **fields: object) -> None:
        super().report(event, message, level=level, **fields)
        if event != "alert_expired":
            self._fuse.burn()


class World:
    """All that a scenario plays in.

    Attributes:
        settings: what the environment says of the mail server; None if it says nothing.
        raised: alerts accepted so far; `lost`: those of them that a kill took before they were written.
        purged: those that the operator removed; `doubled`: those that expired or were purged though a server that
            could not say so had them.
        leaps: unfollowed moves of the calendar forwards, as monotonic time and seconds.
        astray: True once the calendar was moved while nobody looked, or by so little that nobody follows.
        jumped: when it was moved last, in monotonic seconds.
        story: what happened, line by line.
    """

    def __init__(self, folder: Path, pace: Pace, seed: int, bounds: Bounds | None = None, servers: int = 1) -> None:
        random.seed(seed)  # the jitter of retries
        self.place = folder / "alerts.sqlite3"
        self.pace = pace
        self.bounds = bounds or Bounds()
        self.fuse = Fuse()
        self.clock = FatalClock(self.fuse)
        self.server = VirtualServer(self.clock, self.fuse)
        self.recorder = FatalRecorder(self.fuse)
        self.server.alike = seed % 2 == 1
        self._servers = servers
        self.settings: SmtpSettings | None = None
        self.deploy()
        self.processes: list[Process] = []
        self.steps: list[Step] = []
        self.raised = self.lost = self.purged = self.doubled = 0
        self.leaps: list[tuple[float, float]] = []
        self.astray = False
        self.jumped = -CLOCK_JUMP
        self.story: list[str] = []
        self.watch: Callable[[Step], None] = lambda _step: None
        self._names = 0
        self._outbox: Outbox | None = None
        self._begun = self.clock.now

    def close(self) -> None:
        for process in self.processes:
            process.vanish()
        if self._outbox is not None:
            self._outbox.close()

    def tell(self, text: str) -> None:
        self.story.append(f"{self.clock.now - self._begun:12,.1f} s  {text}")

    def deploy(self, host: str = SETTINGS.host, recipients: tuple[Mailbox, ...] = SETTINGS.recipients) -> None:
        """Have the environment name this server, and those that stand in for it."""
        first = replace(SETTINGS, host=host, recipients=recipients)
        others = (replace(first, host=f"backup{way}.example.org", way=way) for way in range(1, self._servers))
        self.settings = replace(first, backups=tuple(others))

    def read_settings(self) -> SmtpSettings:
        if self.settings is None:
            raise ConfigError({"SMTP_HOST": "is required, and not set"}, missing=True)
        return self.settings

    def unwritable(self, made: Alert, error: JournalError) -> None:
        raise AssertionError(f"no journal for {made}: {error}")

    # What can be seen

    @property
    def outbox(self) -> Outbox | None:
        """The operator's own view of the outbox; None as long as there is none."""
        if self._outbox is None and self.place.exists():
            self._outbox = Outbox(OWNER, self.pace, self.place)
        return self._outbox

    def sight(self) -> Sight:
        outbox = self.outbox
        return Sight() if outbox is None else Sight.of(outbox)

    # What happens

    def process(self, number: int) -> Process:
        """One of those that run; one is started if there is none."""
        if not self.processes:
            self.start()
        return self.processes[number % len(self.processes)]

    def start(self) -> None:
        self._names += 1
        self.processes.append(Process(f"process {self._names}", self))
        self.tell(f"process {self._names} starts")

    def alert(self, number: int, message: str, times: int, level: int, **changes: object) -> None:
        process = self.process(number)
        made = alert(message, self.clock, level=level, levelname=f"Level {level}", **changes)
        self._give_journal(process)
        for _ in range(times):
            process.accept(made)
        self.raised += 0 if made.resolved else times
        self.tell(f"{process.name}: {message}, {times} times, level {level}{', resolved' if made.resolved else ''}")

    def _give_journal(self, process: Process) -> None:
        """Name journals by the scenario's chance, so that they are read in the same order each time it is played."""
        if process.intake.journal is None:
            path = self.place.with_name(f"{self.place.name}.{OWNER.key}.{random.getrandbits(48):012x}.journal")
            process.intake.journal = Journal(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))

    def look(self, process: Process, *, leaving: bool = False, fuse: int | None = None) -> Step:
        """Have a process's courier look; burn a fuse meanwhile."""
        before, faults, now, first = self.sight(), self.server.faulty, self.clock.now, len(self.server.offers)
        events, well, alone, killed = len(self.recorder.events), self.settings is not None, False, False
        self.fuse.left = fuse
        try:
            process.look(leaving=leaving)
        except Killed:
            killed = True
        self.fuse.left = None
        owned = process.owns or (leaving and not any(other.owns for other in self.processes))
        alone = leaving and self.processes == [process]
        smooth = owned and well and not killed and (faults, now) == (self.server.faulty, self.clock.now)
        step = Step(process.name, before, self.sight(), owned, killed, smooth, alone, leaving, first, events, now)
        self.steps.append(step)
        self._tell_step(step)
        self.watch(step)
        if killed or leaving:
            self.end(process, "is killed" if killed else "leaves")
        return step

    def end(self, process: Process, how: str) -> None:
        lost = sum(process.pending.values())
        self.lost += lost
        self.processes.remove(process)
        process.vanish()
        self.tell(f"{process.name} {how}{f', and {lost} repeats with it' if lost else ''}")

    def wait(self, seconds: float, looks: int) -> None:
        """Time passes; every courier looks so many times meanwhile."""
        for _ in range(looks):
            self.clock.advance(seconds / looks)
            self.everybody_looks()

    def everybody_looks(self) -> None:
        for process in tuple(self.processes):
            self.look(process)

    def jump(self, seconds: float) -> None:
        """The calendar is set; couriers look within a second, so that this is noticed if there is one."""
        noticed = any(process.owns for process in self.processes)
        self.jumped = self.clock.now
        self.clock.set_wall(self.clock.wall() + seconds)
        self.tell(f"the calendar is set by {seconds:,.0f} s{'' if noticed else ', unnoticed'}")
        if not noticed or abs(seconds) <= CLOCK_JUMP:
            self.astray = True
            self.leaps.append((self.clock.now, max(0.0, seconds)))
        self.everybody_looks()

    def flush(self) -> None:
        if self.outbox is not None:
            self.outbox.hurry()
            self.tell("the operator flushes")

    def mute(self, target: str, seconds: float) -> None:
        if self.outbox is not None:
            now = self.clock.wall()
            self.outbox.mutes.add(target, now, now + seconds, "planned work")
            self.tell(f"the operator mutes {target} for {seconds:,.0f} s")

    def unmute(self, target: str) -> None:
        if self.outbox is not None and self.outbox.mutes.remove(target, self.clock.wall()):
            self.tell(f"the operator unmutes {target}")

    def purge(self, number: int) -> None:
        letters = self.sight().letters
        if self.outbox is not None and letters:
            letter = letters[number % len(letters)]
            self.outbox.purge(letter)
            gone = 0 if letter.told else letter.draft.count
            self.purged += gone
            self.doubled += gone if letter.draft.message_id in self.taken() else 0
            self.tell(f"the operator purges {letter.draft.message_id}, {gone} alerts")

    def taken(self) -> dict[str, int]:
        """The Count of each letter that a server has taken for anybody, by Message-ID."""
        return {offer.message_id: offer.count for offer in self.server.offers if offer.accepted}

    def _tell_step(self, step: Step) -> None:
        for offer in self.server.offers[step.first_offer :]:
            what = "taken" if offer.heard and offer.accepted else "taken unheard" if offer.accepted else "offered"
            kind = "digest" if offer.digest else "mail"
            self.tell(f"{step.process}: {kind} {offer.message_id[:9]} {what}, Count {offer.count} of {offer.total}")
        for event in self.recorder.events[step.first_event :]:
            if event.name not in ("smtp_send_succeeded", "incident_opened"):
                self.tell(f"{step.process}: {event.name}: {event.message}")
