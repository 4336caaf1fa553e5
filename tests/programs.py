"""Real programs for tests: each is a text, run by a Python of its own with an outbox and a mail server to use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Protocol, Self

from alertlog.testing import Mail, MailServer

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds after which a program hangs; each needs a small part of them."""

PREAMBLE = """\
import gc, logging, logging.config, os, signal, sys, threading, time
from alertlog import AlertHandler

log = logging.getLogger("etl")
log.setLevel(logging.DEBUG)


def listen(**arguments):
    log.addHandler(AlertHandler(**arguments))


def die(number=signal.SIGKILL):
    os.kill(os.getpid(), number)


"""
"""What each program begins with; it is a module, so that multiprocessing can import it."""


class Server(Protocol):
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        status: its exit status; -9 if SIGKILL ended it.
        seconds: of wall time, from its start to its end.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it wrote to stderr, line by line; ValueError if anything but events is among it."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    @property
    def names(self) -> list[str]:
        """The names of its events, in order."""
        return [event["event"] for event in self.events]


class Site:
    """A folder with an outbox, and the environment that programs are run in."""

    def __init__(self, folder: Path, server: Server | None, **environ: str) -> None:
        self.folder = folder
        self.outbox = folder / "state" / "alerts.sqlite3"
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ALERTLOG_OUTBOX": str(self.outbox),
            "ALERTLOG_SERVICE": "etl",
            **(address(server) if server else {}),
            **environ,
        }

    def unmeasured(self) -> Self:
        """Run them without coverage, whose lock a signal handler can want or a fork inherit from another thread.

        It also writes files of its own.
        """
        self.environ.pop("COVERAGE_PROCESS_CONFIG", None)
        return self

    def run(self, program: str, *arguments: str, **environ: str) -> Outcome:
        """Run a program to its end.

        Raises:
            subprocess.TimeoutExpired: it hangs.
        """
        started = time.monotonic()
        with self.running(program, *arguments, **environ) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE)
            return Outcome(process.returncode, stdout, stderr, time.monotonic() - started)

    @contextmanager
    def running(self, program: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """Start a program, with pipes to it and from it; what still runs at the end of the block is killed."""
        path = self.folder / f"program{len(list(self.folder.glob('program*')))}.py"
        path.write_text(PREAMBLE + dedent(program))
        # Python 3.12 warns of any fork beside a thread, and there is always the courier's.
        command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(path), *arguments]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environ | environ,
            cwd=self.folder,
        )
        with suppress(BrokenPipeError), process:  # what is left to be written, to one that is gone
            try:
                yield process
            finally:
                process.kill()

    @property
    def journals(self) -> list[Path]:
        """The journals that lie beside the outbox."""
        return sorted(self.outbox.parent.glob("*.journal"))


def address(server: Server) -> dict[str, str]:
    """The environment of programs that are to send their mail there, without TLS."""
    return {
        "SMTP_HOST": server.host,
        "SMTP_PORT": str(server.port),
        "SMTP_TRANSPORT": "none",
        "SMTP_FROM": "alerts@example.org",
        "SMTP_TO": "oncall@example.org",
    }


def told(mails: Iterable[Mail]) -> int:
    """The alerts that mails tell of; a copy has the Message-ID of what it is a copy of, and counts once."""
    return sum({str(mail.message["Message-ID"]): int(mail.message["X-Alertlog-Count"]) for mail in mails}.values())


def wait_until_told(server: MailServer, count: int) -> None:
    """Wait until mails have told of that many alerts; a mail more may be a copy.

    Raises:
        TimeoutError: no mail came for long.
    """
    mails = server.mails
    while told(mails) < count:
        mails = list(server.wait_for(len(mails) + 1, timeout=30))


def fingerprints(mails: Iterable[Mail]) -> list[str]:
    """The incidents that mails tell of, one for each time that a distinct mail tells of it."""
    headers: Mapping[str, list[str]] = {
        str(mail.message["Message-ID"]): list(map(str, mail.message.get_all("X-Alertlog-Fingerprint", [])))
        for mail in mails
    }
    return [fingerprint for those in headers.values() for fingerprint in those]
