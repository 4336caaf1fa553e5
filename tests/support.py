"""What tests of the parts below the courier start from: records, alerts, other processes, and a disk that is full."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alertlog.alert import Alert, Tally
from alertlog.capture import Texts
from alertlog.errors import JournalError
from alertlog.intake import Intake
from alertlog.journal import Journal, OtherJournal, journal_paths
from alertlog.ownership import Owner
from alertlog.testing import ManualClock
from tests.needs import lacking
from tests.programs import Site

OWNER = Owner("shop", "alerts")
KEY = OWNER.key
TIME = 1_767_225_600.0
"""Unix time in seconds at which what these functions make has happened."""


class Plain:
    """A redactor that knows no secrets."""

    def beside(self, *_: object) -> Plain:
        return self

    def harmless(self, text: str) -> bool:  # noqa: ARG002 -- Redacts has all of these
        return True

    def known(self, text: str) -> str:
        return text

    def remember(self, texts: Texts, clean: Callable[[Texts], Texts]) -> Texts:
        return clean(texts)

    def text(self, text: str) -> str:
        return text

    def extra(self, name: str, value: str) -> str:  # noqa: ARG002 -- Redacts has all of these
        return value


def record(message: object = "Disk full", *arguments: object, **fields: Any) -> logging.LogRecord:
    """A record as a logger makes it; `fields` are extras, or replace what the logger sets."""
    made = logging.LogRecord("shop", logging.CRITICAL, "/srv/shop.py", 12, message, arguments, None, "load")
    made.__dict__.update(fields)
    return made


def some_alert(message: str = "Disk full", **changes: Any) -> Alert:
    """An alert whose fingerprint is that of its message's first word."""
    fingerprint = f"{message.split()[0]:0>16}"
    made = Alert(fingerprint, "", logging.CRITICAL, "CRITICAL", "shop", message, TIME, host="vps1")
    return made._replace(**changes)


def tally(message: str = "Disk full", count: int = 1, at: float = TIME, **changes: Any) -> Tally:
    """So many alerts at one time."""
    return replace(Tally.one(some_alert(message, created=at, **changes)), count=count)


class Taken:
    """An intake, and what can be seen of it from outside."""

    def __init__(self, place: Path | None, owner: Owner = OWNER, clock: ManualClock | None = None) -> None:
        self.place = place
        self.owner = owner
        self.clock = clock or ManualClock(TIME)
        self.refused: list[tuple[Alert, JournalError]] = []
        self.intake = Intake(place, owner, self.clock, lambda alert, error: self.refused.append((alert, error)))

    def log(self, message: str = "Disk full", *, times: int = 1, **changes: Any) -> None:
        """Log the same alert so many times, as the handler does."""
        alert = some_alert(message, **{"created": self.clock.wall(), **changes})
        for _ in range(times):
            if not self.intake.repeat(alert.fingerprint, alert.level, alert.created):
                self.intake.add(alert)

    @property
    def paths(self) -> list[Path]:
        return journal_paths(self.place, self.owner.key) if self.place else []

    @property
    def written(self) -> list[Tally]:
        """All that journals hold, in the order of each."""
        return [tally for path in self.paths for tally in tallies(path)]

    @property
    def counts(self) -> list[int]:
        return [tally.count for tally in self.written]


def tallies(path: Path) -> list[Tally]:
    here = Journal.of_this_process(path)  # whose lock a second descriptor would take away
    if here is not None:
        return all_of(here.read)
    with closing(OtherJournal(path)) as journal:
        return all_of(journal.read)


def all_of(read: Callable[[int], list[tuple[bytes, int]]]) -> list[Tally]:
    found, offset = list[Tally](), 0
    while some := read(offset):
        found += [Tally.from_json(payload) for payload, _end in some]
        offset = some[-1][1]
    return found


@dataclass(frozen=True, slots=True)
class Child:
    """A program that does one thing after another, each when it is told to."""

    process: subprocess.Popen[str]

    def next(self) -> str:
        """Have it go on, and return the line that it prints then."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> str:
        """Return the line that it prints next; "" if it is gone."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        """End it by SIGKILL, and wait until the kernel has closed what it had open."""
        self.process.kill()
        self.process.wait()


@contextmanager
def child(folder: Path, program: str, *arguments: object) -> Iterator[Child]:
    """Run a program of its own, which prints a line for each step and waits at `input()` in between."""
    preamble = "import functools\nprint = functools.partial(print, flush=True)\nfrom pathlib import Path\n"
    with Site(folder, None).running(preamble + program, *map(str, arguments)) as process:
        yield Child(process)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own, that a test can fill."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        lacking("tmpfs", mounted.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is, and return the file to remove when there is to be room again."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler
