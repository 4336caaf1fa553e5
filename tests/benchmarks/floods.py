"""Floods: the same record a hundred thousand times, a million different ones while the server is dead.

What the calls cost, how much the process grows, how large the outbox and the journals get, and whether the Counts of
the mails that go out afterwards add up to what was raised.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from alertlog.testing import MailServer
from tests.benchmarks.subjects import SUBJECTS, Place, Target, new, repeat
from tests.benchmarks.tables import microseconds, print_table

IDENTICAL = 100_000
DISTINCT = 1_000_000
HEADINGS = ("handler", "a call", "ratio", "grown by", "files, at most", "mails", "told of raised")


def main(_: int) -> None:
    rows, reference = [], 1.0
    for subject in ("NullHandler", "alertlog", "QueueHandler + QueueListener"):
        result = _flood(subject, "same", IDENTICAL)
        reference = float(result["call"]) if subject == "NullHandler" else reference
        rows.append(_row(subject, result, reference))
    print_table(f"{IDENTICAL:,} identical records, then close()", HEADINGS, rows)
    result = _flood("alertlog", "different", DISTINCT)
    print_table(f"{DISTINCT:,} different ones, the server dead until then", HEADINGS, [
        _row("alertlog", result, reference)
    ])  # fmt: skip


def _flood(subject: str, shape: str, calls: int) -> dict[str, float]:
    """Run one flood in a process of its own; for the second kind the server answers only after it."""
    with tempfile.TemporaryDirectory() as folder, MailServer("none") as server:
        if shape == "different":
            server.stop()
        command = [sys.executable, "-m", __name__, subject, shape, str(calls), str(server.port), folder]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(process.stdout)
        if shape == "different":
            server.start()
            subprocess.run(
                [*command[:3], subject, "rest", "0", str(server.port), folder], capture_output=True, check=True
            )
        found["mails"] = len(server.mails)
        counts = {mail.message["Message-ID"]: mail.message["X-Alertlog-Count"] for mail in server.mails}
        found["told"] = sum(int(count or 1) for count in counts.values())
        found["raised"] = calls
    return found


def _row(subject: str, found: dict[str, float], reference: float) -> tuple[str, ...]:
    sent = subject == "alertlog"
    return (
        subject,
        microseconds(found["call"]),
        f"{found['call'] / reference:.1f}",
        f"{found['grown'] / 1e6:.1f} MB",
        f"{found['files'] / 1e6:.1f} MB" if sent else "",
        f"{found['mails']:.0f}" if sent else "",
        f"{found['told']:,.0f} of {found['raised']:,.0f}" if sent else "",
    )


class _Watch(threading.Thread):
    """Looks at the size of a folder ten times a second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self.largest = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.largest = max(self.largest, self.size())

    def size(self) -> int:
        total = 0
        for entry in os.scandir(self._folder):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:  # a journal that has just been read
                continue
        return total


def flood(subject: str, shape: str, calls: str, port: str, folder: str) -> None:
    """Make the calls, print what they cost; or, with the shape `rest`, send what an earlier flood has left."""
    target = SUBJECTS[subject](Place(int(port), folder))
    if shape == "rest":
        _send_rest(target, folder)
        return
    call = repeat if shape == "same" else new
    call(target, 0)
    for handler in target.logger.handlers:
        handler.flush()  # what is imported for the first mail does not grow with the flood
    watch = _Watch(Path(folder))
    watch.start()
    before, began = _peak(), time.perf_counter()
    for number in range(1, int(calls)):
        call(target, number)
    seconds = time.perf_counter() - began
    if subject == "alertlog":
        target.logger.handlers[0].close()
    print(json.dumps({
        "call": seconds / int(calls) * 1e6, "grown": max(0, _peak() - before), "files": max(watch.largest, watch.size())
    }))  # fmt: skip
    sys.stdout.flush()
    os._exit(0)


def _send_rest(target: Target, folder: str) -> None:
    """Log one record below the alert level, which wakes the courier, and wait until nothing is left to tell."""
    from alertlog.errors import OutboxError
    from alertlog.outbox import Outbox
    from alertlog.policy import Pace

    handler = target.logger.handlers[0]
    target.logger.info("awake")
    owner, place = handler.works.owner, Path(folder, "alerts.sqlite3")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        handler.flush()
        with suppress(OutboxError), Outbox(owner, Pace(), place) as outbox:  # the courier may have it locked
            if not any(incident.untold for incident in outbox.incidents.all()):
                return
            outbox.hurry()


def _peak() -> int:
    """The most memory that this program has had in use so far, in bytes.

    Not what `getrusage` says: on Linux that includes what the parent had in use when it started this process.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except FileNotFoundError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    flood(*sys.argv[1:])
