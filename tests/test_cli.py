"""The commands, as an operator runs them: what they print, and the code they exit with."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alertlog import AlertHandler
from alertlog.cli import main
from alertlog.database import Database
from alertlog.ownership import Owner, OwnerLock
from alertlog.testing import MailServer

Run = Callable[..., Result]

CONFIG = """
version: 1
handlers:
  alerts: {class: alertlog.AlertHandler, service: etl, outbox: %s, subjects: {quota: "[ETL] API quota alert"}}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("starttls", login=("etl", "correct horse")) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one."""
    place = tmp_path / "state" / "alerts.sqlite3"
    (tmp_path / "logging.yaml").write_text(CONFIG % place)
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(main, words)


def pipeline(place: Path, *messages: str) -> None:
    """A run of the deployment's own program that logs, and ends."""
    logger = logging.getLogger("pipeline")
    logger.propagate = False
    handler = AlertHandler(service="etl", outbox=place, subjects={"quota": "[ETL] API quota alert"})
    handler.name = "alerts"
    logger.addHandler(handler)
    for message in messages:
        logger.critical(message, extra={"alert": "quota", "alert_key": message})
    logger.removeHandler(handler)
    handler.close()


# test


def test_a_test_is_marked_as_one_and_its_outcome_is_one_line(server: MailServer, place: Path, run: Run) -> None:
    result = run("test", "quota")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
    assert "250 2.0.0 accepted" in result.stdout
    (mail,) = server.mails
    assert mail.subject == "[test] [ETL] API quota alert"
    assert mail.message["X-Alertlog-Kind"] == "quota"


@pytest.mark.parametrize("kind", ["missing_price", "anything"])
def test_any_kind_can_be_tested(server: MailServer, place: Path, run: Run, kind: str) -> None:
    assert run("test", kind).exit_code == 0
    assert server.mails[0].message["X-Alertlog-Kind"] == kind


def test_a_test_that_a_server_refuses_says_why_and_exits_by_the_kind_of_failure(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    rejected = run("test")
    assert (rejected.exit_code, rejected.stdout) == (1, "")
    assert "looks like spam" in rejected.stderr
    server.data_reply = "451 4.3.0 later"
    assert run("test").exit_code == 75
    monkeypatch.setenv("SMTP_PASSWORD", "wrong password")
    refused = run("test")
    assert refused.exit_code == 78
    assert "wrong password" not in refused.output
    server.stop()
    assert run("test").exit_code == 75


def test_a_test_that_one_recipient_does_not_get_fails_and_names_the_one(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_TO", "oncall@example.org, gone@example.org")
    server.refusals = {"gone@example.org": "550 5.1.1 no such user"}
    result = run("test", "--json")
    assert result.exit_code == 1
    assert "gone@example.org" in json.loads(result.stdout)["message"]
    assert len(server.mails) == 1


def test_a_test_without_settings_names_them_all_and_exits_78(place: Path, run: Run) -> None:
    result = run("test")
    assert result.exit_code == 78
    assert all(name in result.stderr for name in ("SMTP_HOST", "SMTP_FROM", "SMTP_TO"))


def test_a_test_reaches_the_server_while_alerts_wait_and_then_lets_these_go(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "wrong password")
    pipeline(place, "one")
    monkeypatch.setenv("SMTP_PASSWORD", "correct horse")
    assert run("test").exit_code == 0
    pipeline(place, "two")
    assert [mail.message["X-Alertlog-Kind"] for mail in server.mails] == ["test", "digest"]


def test_a_test_opens_nothing_in_an_outbox_that_is_damaged(server: MailServer, place: Path, run: Run) -> None:
    place.parent.mkdir()
    place.write_bytes(b"not a database" * 100)
    assert run("test").exit_code == 0


# outbox


def test_the_list_shows_what_waits_and_why_and_what_is_open(server: MailServer, place: Path, run: Run) -> None:
    assert run("outbox", "list").output == ""
    server.stop()
    pipeline(place, "one")
    text = run("outbox", "list").stdout
    assert "waiting  etl  alerts  1 alerts  quota  one  due " in text
    assert "Connection refused" in text
    letter, incident = map(json.loads, run("outbox", "list", "--json").stdout.splitlines())
    assert (letter["state"], letter["attempts"], letter["count"]) == ("waiting", 1, 1)
    assert (incident["state"], incident["id"], incident["kind"]) == ("open", None, "quota")


def test_what_the_server_will_never_take_is_listed_as_set_aside(server: MailServer, place: Path, run: Run) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    (letter, *_) = map(json.loads, run("outbox", "list", "--json").stdout.splitlines())
    assert (letter["state"], letter["due"]) == ("aside", None)
    assert "looks like spam" in letter["error"]


def test_show_prints_the_letter_as_a_mail(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one")
    mail = message_from_string(run("outbox", "show", "1").stdout)
    assert mail["Subject"] == "[ETL] API quota alert"
    missing = run("outbox", "show", "7")
    assert (missing.exit_code, missing.stderr) == (1, "no letter 7 in the outbox\n")


def test_show_needs_a_sender_to_write_for(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    pipeline(place, "one")
    monkeypatch.delenv("SMTP_FROM")
    assert run("outbox", "show", "1").exit_code == 78


def test_flush_sends_at_once_what_waits_whatever_its_time(server: MailServer, place: Path, run: Run) -> None:
    assert run("outbox", "flush").stderr == "nothing waits\n"
    server.stop()
    pipeline(place, "one", "two")
    server.start()
    result = run("outbox", "flush")
    assert result.exit_code == 0
    assert "nothing waits any more" in result.stderr
    (mail,) = server.mails
    assert (mail.message["X-Alertlog-Kind"], mail.message["X-Alertlog-Count"]) == ("digest", "2")


def test_flush_of_what_is_due_leaves_alone_what_has_its_time_still_to_come(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "wrong password")
    pipeline(place, "one")
    monkeypatch.setenv("SMTP_PASSWORD", "correct horse")
    tried = server.connections
    assert run("outbox", "flush", "--due").exit_code == 78
    assert server.connections == tried
    assert run("outbox", "flush").exit_code == 0


def test_flush_says_what_still_waits_and_why(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    pipeline(place, "one")
    dead = run("outbox", "flush")
    assert dead.exit_code == 75
    assert "1 letters still wait" in dead.stderr
    server.start()
    monkeypatch.setenv("SMTP_PASSWORD", "wrong password")
    assert run("outbox", "flush").exit_code == 78


def test_flush_sends_what_a_killed_process_left_in_its_journal(server: MailServer, place: Path, run: Run) -> None:
    program = (
        "import logging, os, sys\nfrom alertlog import AlertHandler\n"
        "handler = AlertHandler(service='etl', outbox=sys.argv[1]); handler.name = 'alerts'\n"
        "logging.getLogger().addHandler(handler)\nlogging.critical('last words')\nos._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(place)], check=False, timeout=30)
    result = run("outbox", "flush")
    assert result.exit_code == 0
    assert "last words" in server.mails[0].subject


def test_flush_waits_for_the_process_that_owns_the_outbox(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one")
    # One process, two owners: the kernel's lock would let both in, the registry beside it does not.
    lock = OwnerLock(place, Owner("etl", "alerts").byte)
    assert lock.acquire()
    server.start()
    assert run("outbox", "flush", "--timeout", "0.3").exit_code == 75
    assert not server.mails
    lock.release()


def test_flush_serves_a_service_that_is_named_after_its_main_program(
    server: MailServer, place: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "logging.yaml").write_text((CONFIG % place).replace("service: etl, ", ""))
    server.stop()
    pipeline(place, "one")
    server.start()
    assert run("outbox", "flush").exit_code == 0
    assert len(server.mails) == 1


@pytest.mark.parametrize(("words", "left"), [(["1"], 1), (["--all"], 0), (["--aside"], 2), (["9"], 2)])
def test_purge_removes_what_it_is_told_and_counts_the_alerts_lost(
    server: MailServer, place: Path, run: Run, words: list[str], left: int
) -> None:
    server.stop()
    pipeline(place, "one", "two")
    result = run("outbox", "purge", *words)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{2 - left} letters removed, {2 - left} alerts")
    assert result.stdout == ""
    waiting = [line for line in run("outbox", "list").stdout.splitlines() if "waiting" in line]
    assert len(waiting) == left


def test_purge_of_what_was_set_aside_loses_no_alert_that_waits(server: MailServer, place: Path, run: Run) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    assert run("outbox", "purge", "--aside").stderr.startswith("1 letters removed, 1 alerts")
    assert "aside" not in run("outbox", "list").stdout


def test_purge_of_all_leaves_nothing_not_even_what_no_letter_speaks_of_yet(
    server: MailServer, place: Path, run: Run
) -> None:
    server.stop()
    pipeline(place, "one")
    pipeline(place, "two")  # not tried: it is too soon
    assert "2 alerts" in run("outbox", "purge", "--all").stderr
    assert run("outbox", "list").stdout == ""


def test_purge_has_to_be_told_what(place: Path, run: Run) -> None:
    assert run("outbox", "purge").exit_code == 2


def test_an_outbox_that_is_damaged_or_busy_is_said_by_the_exit_code(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one")
    database = Database(place)
    with database.transaction():
        assert run("outbox", "purge", "--all").exit_code == 75
    database.close()
    place.write_bytes(b"not a database" * 100)
    assert run("outbox", "list").exit_code == 1


# The rest


def test_a_configuration_that_is_wrong_exits_78(place: Path, run: Run) -> None:
    result = run("test", "--config", "nowhere.yaml")
    assert result.exit_code == 78
    assert "nowhere.yaml" in result.stderr


def test_without_a_place_for_an_outbox_there_is_nothing_to_list(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALERTLOG_OUTBOX", "relative")
    assert run("outbox", "list").exit_code == 0
    assert run("outbox", "flush").stderr.endswith("nothing waits\n")
    assert run("outbox", "show", "1").exit_code == 1


def test_the_demo_keeps_its_mails(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--keep", str(tmp_path / "kept"))
    assert result.exit_code == 0
    assert "[ETL] API quota alert" in result.stdout
    assert list((tmp_path / "kept").glob("*.eml"))


def test_a_folder_that_the_demo_cannot_write_to_is_said_in_a_line(run: Run) -> None:
    result = run("demo", "--keep", "/proc/kept")
    assert result.exit_code == 1
    assert "/proc/kept" in result.stderr


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alertlog", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    assert "Usage: alertlog" in done.stdout
