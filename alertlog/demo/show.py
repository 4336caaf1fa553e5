"""`alertlog demo`: the sample ETL over a few days, with a price API and a mail server started for it.

Each day is a process of its own, as under cron, with the shipped `logging.yaml`; the mail server's address,
login and CA reach it through the environment, as in a deployment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from alertlog.demo.price_api import PriceApi
from alertlog.demo.screen import Screen
from alertlog.testing import Mail, MailServer

HERE = Path(__file__).parent
HOLDINGS = HERE / "holdings.csv"
LOGGING = HERE / "logging.yaml"

DAYS = ("2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01")
CALLS_A_MONTH = 40
LACKS = ("BRK.B", "TECK-B.TO")

LOGIN = ("portfolio-etl", "a password for this demo only")

DAY_TIMEOUT = 120.0
"""Seconds that one day's process may take."""

EXIT_CONFIGURATION = 78


@dataclass(frozen=True, slots=True)
class Day:
    """What one run of the ETL left behind.

    Attributes:
        code: its exit code.
        timings: its logging calls, see `timed_etl`.
        events: what alertlog said on stderr, one JSON object each.
        log: the other lines on stderr.
    """

    code: int
    timings: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    log: Sequence[str]

    @property
    def alerts(self) -> int:
        """How many records were alerts: those with a kind, and the critical ones."""
        return sum(bool(timing["alert"]) or timing["level"] == "CRITICAL" for timing in self.timings)


def run_demo(keep: Path | None, out: TextIO) -> int:
    """Run the show, and keep its mails as NN.eml and NN.html if a folder is given for them.

    Returns:
        The exit code: 0; 1 if the ETL failed or no mail came; 78 if what the demo needs is not installed.

    Raises:
        OSError: the mails could not be written.
    """
    missing = [name for name in ("aiosmtpd", "trustme", "yaml") if find_spec(name) is None]
    if missing:
        print(f"The demo needs {', '.join(missing)}: pip install 'alertlog[demo]'", file=sys.stderr)
        return EXIT_CONFIGURATION
    screen = Screen(out)
    days, mails = perform(screen)
    for number, mail in enumerate(mails, start=1):
        screen.mail(number, mail)
    conclude(screen, days, mails)
    if keep:
        keep_mails(keep, mails)
        screen.line(f"The mails are kept in {keep}.")
    return exit_code(days, mails)


def perform(screen: Screen) -> tuple[list[Day], list[Mail]]:
    """Run all days, showing each when it is over, and return them with the mails that arrived."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="alertlog-demo-")))
        server = stack.enter_context(MailServer(login=LOGIN))
        api = stack.enter_context(PriceApi(CALLS_A_MONTH, LACKS))
        introduce(screen, server)
        days = []
        for day in DAYS:
            days.append(run_day(day, api, environment(server, folder), folder))
            show_day(screen, day, days[-1])
        return days, server.mails


def exit_code(days: Sequence[Day], mails: Sequence[Mail]) -> int:
    return 0 if mails and not any(day.code for day in days) else 1


def environment(server: MailServer, folder: Path) -> dict[str, str]:
    """A deployment's environment: the demo's mail settings instead of the user's, and an outbox of its own.

    No proxy either: everything that the demo talks to is on the loopback.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SMTP_", "ALERTLOG_")) and not name.lower().endswith("_proxy")
    }
    path = filter(None, [str(HERE.parents[1]), inherited.get("PYTHONPATH")])
    return {
        **inherited,
        **server.environ(),
        "ALERTLOG_OUTBOX": str(folder / "alerts.sqlite3"),
        "PYTHONPATH": os.pathsep.join(path),
    }


def run_day(day: str, api: PriceApi, environ: Mapping[str, str], folder: Path) -> Day:
    """Run the ETL for a day as a process of its own."""
    timings = folder / "timings"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "alertlog.demo.timed_etl", str(timings)),
            *("--holdings", str(HOLDINGS), "--database", str(folder / "portfolio.sqlite3")),
            *("--api", api.url, "--logging", str(LOGGING), "--day", day),
        ],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=DAY_TIMEOUT,
        check=False,
    )
    lines = done.stderr.splitlines()
    return Day(
        code=done.returncode,
        timings=[json.loads(line) for line in timings.read_text().splitlines()] if timings.exists() else [],
        events=[json.loads(line) for line in lines if line.startswith("{")],
        log=[line for line in lines if not line.startswith("{")],
    )


def introduce(screen: Screen, server: MailServer) -> None:
    screen.line(f"A portfolio ETL runs on {len(DAYS)} days; its price API allows {CALLS_A_MONTH} calls a month.")
    screen.line("The ETL only logs. The shipped logging.yaml and SMTP_* variables do the rest:")
    screen.line(f"mail goes to {server.host}:{server.port} by STARTTLS, verified, with a login.")


def show_day(screen: Screen, day: str, result: Day) -> None:
    screen.title(day)
    screen.line("What the ETL logged, and how long each call held it:")
    screen.calls(result.timings)
    if result.events:
        screen.line("What alertlog said:")
        screen.events(result.events)
    if result.code:
        screen.line(f"The ETL ended with exit code {result.code}:")
        for line in result.log:
            screen.line(line, "  ")


def keep_mails(folder: Path, mails: Sequence[Mail]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails, start=1):
        Path(folder, f"{number:02}.eml").write_bytes(mail.content)
        Path(folder, f"{number:02}.html").write_text(mail.html, encoding="utf-8")


def conclude(screen: Screen, days: Sequence[Day], mails: Sequence[Mail]) -> None:
    raised = sum(day.alerts for day in days)
    told = sum(int(mail.message.get("X-Alertlog-Count", 0)) for mail in mails)
    screen.title("In all")
    screen.line(f"{raised} alerts were raised; {len(mails)} mails tell of {told}.")
