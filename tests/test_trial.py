"""`alertlog test`: simulated alerts take the way of real ones, are marked, and what became of them is said."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from alertlog.database import Database
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.policy import Pace
from alertlog.testing import MailServer
from alertlog.trial import Listener
from tests.deployments import CONFIG, deployed, served
from tests.deployments import run_command as run

MARK = "This is a test: nothing has happened."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with served(monkeypatch) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one."""
    return deployed(tmp_path, monkeypatch)


def test_of_which_nothing_is_heard_has_not_succeeded() -> None:
    listener = Listener()
    listener.report("incident_opened", "A test")
    assert (listener.outcome.category, listener.outcome.message) == ("temporary", "nothing was sent")


def test_a_template_that_fails_is_named_beside_the_outcome(server: MailServer, place: Path) -> None:
    templates = place.parents[1] / "mail"
    templates.mkdir()
    (templates / "letter.txt").write_text("{{ nothing }}")
    Path("logging.yaml").write_text((CONFIG % place).replace("service: etl", f"service: etl, templates: {templates}"))
    result = run("test")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert "letter.txt: UndefinedError: 'nothing' is undefined (line 1)" in result.stderr
    assert MARK in server.mails[0].text


# Drills


@pytest.mark.usefixtures("place")
def test_a_test_with_an_exception_shows_its_traceback_and_its_cause(server: MailServer) -> None:
    assert run("test", "--exception").exit_code == 0
    (mail,) = server.mails
    assert MARK in mail.text
    assert "LookupError: a simulated failure: no price for SHOP.TO" in mail.text
    assert "KeyError: 'SHOP.TO'" in mail.text


@pytest.mark.usefixtures("place")
def test_a_test_that_ends_is_two_mails_of_one_thread_both_marked(server: MailServer) -> None:
    result = run("test", "quota", "--resolved")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    opening, end = server.mails
    assert opening.subject == end.subject == "[test] [ETL] API quota alert"
    assert end.message["In-Reply-To"] == opening.message["Message-ID"]
    assert "Resolved" in end.text
    assert all(MARK in mail.text for mail in (opening, end))


@pytest.mark.usefixtures("place")
def test_of_a_test_that_can_not_begin_no_end_is_sent(server: MailServer) -> None:
    server.data_reply = "451 4.3.0 later"
    result = run("test", "--resolved")
    assert result.exit_code == 75
    assert len(result.stderr.splitlines()) == 1
    assert server.connections == 1


@pytest.mark.usefixtures("place")
def test_a_burst_is_mailed_as_a_real_one_would_be_and_marked(server: MailServer) -> None:
    result = run("test", "quota", "--burst", "20", "--exception", "--json")
    assert result.exit_code == 0
    first, digest = server.mails
    assert [mail.message["X-Alertlog-Count"] for mail in server.mails] == ["1", "19"]
    assert digest.message["X-Alertlog-Kind"] == "digest"
    assert all(mail.subject.startswith("[test] ") and MARK in mail.text for mail in (first, digest))
    assert "(20 of 20)" in digest.text
    outcome = json.loads(result.stdout)
    assert outcome["message"].count("was accepted") == 2


def test_a_drill_is_outside_of_mutes_and_of_the_ration(server: MailServer, place: Path) -> None:
    Path("logging.yaml").write_text((CONFIG % place).replace("service: etl", "service: etl, mails_per_hour: 1"))
    run("mute", "quota", "--for", "1h")
    assert run("test", "quota", "--resolved").exit_code == 0
    assert run("test", "quota", "--burst", "5").exit_code == 0
    assert len(server.mails) == 4


@pytest.mark.parametrize("words", [["--burst", "1"], ["--burst", "501"], ["--burst", "3", "--resolved"]])
def test_a_drill_that_makes_no_sense_is_wrong_usage(server: MailServer, place: Path, words: list[str]) -> None:
    assert run("test", *words).exit_code == 2
    assert server.mails == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_drill_is_marked_in_both_languages(server: MailServer, place: Path, language: str) -> None:
    Path("logging.yaml").write_text((CONFIG % place).replace("service: etl", f"service: etl, language: {language}"))
    run("test", "--burst", "5")
    mark = MARK if language == "en" else "Ceci est un essai"
    assert all(mark in mail.text for mail in server.mails)


# The outbox


def said_of_the_outbox() -> str:
    """What a test says of the outbox, by both of its ways; "" for nothing. The mail has to arrive all the same."""
    text, machines = run("test"), run("test", "--json")
    assert text.exit_code == machines.exit_code == 0
    trouble = str(json.loads(machines.stdout)["outbox"])
    expected = f"alertlog: the outbox can't be used, and alerts would be in memory only: {trouble}\n" if trouble else ""
    assert text.stderr.endswith(expected)
    return trouble


@pytest.mark.usefixtures("server")
def test_of_an_outbox_that_is_not_there_yet_or_works_or_is_busy_nothing_is_said(place: Path) -> None:
    assert said_of_the_outbox() == ""
    assert not place.parent.exists()
    Outbox(Owner("etl", "alerts"), Pace(), place).close()
    assert said_of_the_outbox() == ""
    database = Database(place)
    with database.transaction():
        assert said_of_the_outbox() == ""
    database.close()


@pytest.mark.usefixtures("server")
def test_an_outbox_that_is_damaged_or_of_another_format_is_named(place: Path) -> None:
    database = Database(place)
    database.run("PRAGMA user_version = 99")
    database.close()
    assert "newer alertlog" in said_of_the_outbox()
    place.write_bytes(b"not a database" * 100)
    assert "file is not a database" in said_of_the_outbox()


@pytest.mark.usefixtures("server")
def test_a_folder_that_can_not_be_written_to_is_named(place: Path) -> None:
    place.parent.write_text("a file")
    assert said_of_the_outbox() == f"{place.parent}: Not a directory"
    Path("logging.yaml").write_text(CONFIG % "/proc/alertlog/alerts.sqlite3")
    assert said_of_the_outbox().startswith("/proc: ")


@pytest.mark.usefixtures("server", "place")
def test_where_there_is_no_place_for_an_outbox_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    os.remove("logging.yaml")
    monkeypatch.setenv("ALERTLOG_OUTBOX", "relative")
    assert said_of_the_outbox() == "ALERTLOG_OUTBOX: is not an absolute path"
