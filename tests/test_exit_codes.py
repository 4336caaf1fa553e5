"""Exit codes as a shell sees them: each command as a process of its own, in each situation that has a code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alertlog.database import Database
from alertlog.testing import MailServer
from tests.deployments import CONFIG, pipeline
from tests.programs import ROOT


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("none") as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MailServer) -> Path:
    """The outbox of a deployment whose folder is the current one, with letter 1, which was refused for good."""
    place = tmp_path / "state" / "alerts.sqlite3"
    (tmp_path / "logging.yaml").write_text(CONFIG % place)
    monkeypatch.chdir(tmp_path)
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    server.data_reply = "250 2.0.0 accepted"
    return place


def alertlog(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "alertlog", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def code(line: str) -> int:
    """Run a command; one that fails prints no data, and says why."""
    done = alertlog(*line.split())
    if done.returncode:
        assert done.stdout == ""
        assert done.stderr.strip()
    return done.returncode


@pytest.mark.usefixtures("place")
def test_what_is_done_exits_0() -> None:
    assert code("test quota --resolved") == 0
    for rest in ("list", "show 1", "export", "retry 1", "flush", "purge --all"):
        assert code(f"outbox {rest}") == 0, rest
    assert code("mute quota --for 1h") == 0
    assert code("unmute quota") == 0
    assert code("completion fish") == 0


def test_what_failed_for_good_exits_1(server: MailServer, place: Path) -> None:
    assert code("unmute quota") == 1
    for rest in ("show 99", "retry 99", "purge 99"):
        assert code(f"outbox {rest}") == 1, rest
    server.data_reply = "554 5.7.1 looks like spam"
    assert code("test") == 1
    assert code("outbox retry 1") == 1
    place.write_bytes(b"not a database" * 100)
    assert code("outbox list") == 1


@pytest.mark.parametrize("line", ["nonsense", "outbox purge", "outbox show one", "mute quota", "test --burst 1"])
def test_wrong_usage_exits_2(line: str) -> None:
    assert code(line) == 2


def test_what_failed_for_now_exits_75(server: MailServer, place: Path) -> None:
    server.stop()
    assert code("test") == 75
    assert code("outbox retry 1") == 75
    assert code("outbox flush --timeout 1") == 75
    with closing(Database(place)) as database, database.transaction():
        for rest in ("outbox purge 1", "outbox flush", "mute quota --for 1h"):
            assert code(rest) == 75, rest


def test_what_the_operator_has_to_repair_exits_78(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code("outbox list --config nowhere.yaml") == 78
    with closing(Database(place)) as database:
        database.run("PRAGMA user_version = 99")
    for rest in ("outbox list", "outbox export", "outbox flush", "mute quota --for 1h"):
        assert code(rest) == 78, rest
    monkeypatch.setenv("SMTP_TO", "a@example.org;b@example.org")
    done = alertlog("test")
    assert done.returncode == 78
    assert (
        "SMTP_TO: 'a@example.org;b@example.org' has semicolons, where addresses have to be separated by" in done.stderr
    )
