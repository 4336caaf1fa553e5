"""A deployment as the commands find it: its configuration, its program's runs, and the commands run in its folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alertlog import AlertHandler
from alertlog.cli import main
from alertlog.database import Database
from alertlog.journal import Journal
from alertlog.ownership import Owner
from alertlog.testing import MailServer
from tests.support import tally

Run = Callable[..., Result]

CONFIG = """
version: 1
handlers:
  alerts: {class: alertlog.AlertHandler, service: etl, outbox: %s, subjects: {quota: "[ETL] API quota alert"}}
"""


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server, and the environment that names it."""
    with MailServer("none") as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def deployed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the outbox of a deployment whose folder is the current one from now on."""
    place = folder / "state" / "alerts.sqlite3"
    (folder / "logging.yaml").write_text(CONFIG % place)
    monkeypatch.chdir(folder)
    return place


def run_command(*words: str) -> Result:
    """Run a command in this process, and return what it printed and its exit code."""
    return CliRunner().invoke(main, words)


def pipeline(place: Path, *messages: str, service: str = "etl", name: str | None = "alerts") -> None:
    """A run of the deployment's own program that logs, and ends."""
    logger = logging.getLogger("pipeline")
    logger.propagate = False
    handler = AlertHandler(service=service, outbox=place, subjects={"quota": "[ETL] API quota alert"})
    handler.name = name
    logger.addHandler(handler)
    for message in messages:
        logger.critical(message, extra={"alert": "quota", "alert_key": message})
    logger.removeHandler(handler)
    handler.close()


def killed(place: Path, *messages: str, service: str = "etl", handler: str = "alerts") -> None:
    """A run of a program that was killed before its courier looked: all that there is of it is its journal."""
    journal = Journal.create(place, Owner(service, handler))
    for message in messages:
        journal.append(tally(message, kind="quota").to_json())
    del journal  # and with it, the lock


def listed(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("outbox", "list", "--json").stdout.splitlines()]


def owners(place: Path) -> list[str]:
    """The services that the outbox knows."""
    database = Database(place)
    try:
        return [service for (service,) in database.rows("SELECT service FROM owner ORDER BY id")]
    finally:
        database.close()
