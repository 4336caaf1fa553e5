"""The commands, as an operator runs them: what they print, and the code they exit with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.database import Database
from alertlog.journal import Journal
from alertlog.ownership import Owner, OwnerLock
from alertlog.testing import MailServer
from tests.deployments import CONFIG, Run, deployed, killed, listed, owners, pipeline, run_command
from tests.programs import Site, told
from tests.support import some_alert, tally


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("starttls", login=("etl", "correct horse")) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one."""
    return deployed(tmp_path, monkeypatch)


@pytest.fixture
def run() -> Run:
    return run_command


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
    assert "accepted: 250 2.0.0 accepted; for oncall@example.org" in json.loads(result.stdout)["message"]
    assert len(server.mails) == 1
    server.refusals = {"gone@example.org": "450 4.2.0 greylisted"}
    assert run("test").exit_code == 75


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


def test_a_test_opens_the_gate_of_those_who_are_there_and_adds_nobody(
    server: MailServer, place: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "wrong password")
    pipeline(place, "one", service="portfolio", name=None)
    monkeypatch.setenv("SMTP_PASSWORD", "correct horse")
    (tmp_path / "logging.yaml").write_text((CONFIG % place).replace("service: etl, ", ""))
    assert run("test").exit_code == 0
    assert owners(place) == ["portfolio"]
    assert run("outbox", "flush", "--due").exit_code == 0
    assert [mail.message["X-Alertlog-Service"] for mail in server.mails][1:] == ["portfolio"]


def test_a_test_leaves_no_outbox_where_there_was_none(server: MailServer, place: Path, run: Run) -> None:
    assert run("test").exit_code == 0
    assert not place.parent.exists()


def test_a_test_needs_no_place_for_an_outbox(
    server: MailServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALERTLOG_OUTBOX", "relative")
    assert run("test").exit_code == 0


def test_a_test_opens_nothing_in_an_outbox_that_is_damaged(server: MailServer, place: Path, run: Run) -> None:
    place.parent.mkdir()
    place.write_bytes(b"not a database" * 100)
    assert run("test").exit_code == 0


# outbox


def test_the_list_shows_what_waits_and_why(server: MailServer, place: Path, run: Run) -> None:
    assert run("outbox", "list").output == ""
    server.stop()
    pipeline(place, "one")
    text = run("outbox", "list").stdout
    assert "waiting  etl  alerts  1 alert  quota  one  due " in text
    assert "1 attempt: " in text
    assert "Connection refused" in text
    (letter,) = listed(run)
    assert (letter["state"], letter["attempts"], letter["count"]) == ("waiting", 1, 1)


def test_an_incident_that_no_letter_speaks_of_is_listed_as_open(server: MailServer, place: Path, run: Run) -> None:
    pipeline(place, "one")
    (incident,) = listed(run)
    assert (incident["state"], incident["id"], incident["kind"], incident["count"]) == ("open", None, "quota", 0)
    assert "   -  open  etl  alerts  1 alert, nothing left to tell  quota  one" in run("outbox", "list").stdout


def test_repeats_of_what_a_letter_speaks_of_are_counted_with_it(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one")
    pipeline(place, "one", "one")
    (letter,) = listed(run)
    assert (letter["state"], letter["count"]) == ("waiting", 3)


def test_what_a_killed_process_left_in_its_journal_is_listed_and_stays(
    server: MailServer, place: Path, run: Run
) -> None:
    killed(place, "one", "two")
    assert listed(run) == [{"service": "etl", "handler": "alerts", "count": 2, "state": "unread"}]
    assert "   -  unread  etl  alerts  2 alerts" in run("outbox", "list").stdout
    assert not place.exists()
    pipeline(place, "three", service="other")
    assert [(entry["service"], entry["state"], entry["count"]) for entry in listed(run)] == [
        ("etl", "unread", 2),
        ("other", "open", 0),
    ]
    assert owners(place) == ["other"]
    assert run("outbox", "flush").exit_code == 0
    assert told(server.mails) == 3


def test_what_a_courier_has_read_of_a_journal_is_not_listed_as_unread(
    server: MailServer, place: Path, run: Run
) -> None:
    handler = AlertHandler(service="etl", outbox=place)
    handler.name = "alerts"
    alert = some_alert()
    handler.works.accept(alert)
    server.wait_for(1)
    handler.flush()
    assert [entry["state"] for entry in listed(run)] == ["open"]
    handler.close()


def test_a_text_that_is_listed_can_do_nothing_to_the_terminal(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one \x1b[2J two")
    assert "\x1b" not in run("outbox", "list").stdout


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


@pytest.mark.parametrize(
    ("variable", "value", "sender", "recipient"),
    [
        ("SMTP_HOST", "", "alerts@example.org", "oncall@example.org"),
        ("SMTP_FROM", "", "unknown@example.invalid", "oncall@example.org"),
        ("SMTP_TO", "nobody", "alerts@example.org", "unknown@example.invalid"),
    ],
)
def test_show_needs_no_complete_settings_and_says_what_is_not_known(
    server: MailServer,
    place: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    sender: str,
    recipient: str,
) -> None:
    server.stop()
    pipeline(place, "one")
    monkeypatch.setenv(variable, value)
    result = run("outbox", "show", "1")
    assert result.exit_code == 0
    mail = message_from_string(result.stdout)
    assert sender in mail["From"]
    assert mail["To"] == recipient
    unknown = "unknown@example.invalid" in (sender, recipient)
    assert (variable in result.stderr) == unknown


def test_flush_sends_at_once_what_waits_whatever_its_time(server: MailServer, place: Path, run: Run) -> None:
    assert run("outbox", "flush").stderr == f"nothing waits in {place}\n"
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
    assert re.search("still waiting: 1 letter: .*Connection refused", dead.stderr)
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


def test_flush_sends_for_every_owner_of_the_outbox_in_its_own_name(
    server: MailServer, place: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "logging.yaml").write_text((CONFIG % place).replace("service: etl, ", ""))
    killed(place, "one", service="portfolio", handler="alerts")
    server.stop()
    pipeline(place, "two", service="prices", name="pager")
    server.start()
    result = run("outbox", "flush")
    assert result.exit_code == 0
    assert "prices (pager): nothing waits any more" in result.stderr
    assert "portfolio (alerts): nothing waits any more" in result.stderr
    assert {mail.message["X-Alertlog-Service"] for mail in server.mails} == {"portfolio", "prices"}
    assert {mail.subject for mail in server.mails} == {"[ETL] API quota alert"}


def test_flush_leaves_other_services_alone_where_the_configuration_names_one(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(place, "one", service="other")
    result = run("outbox", "flush")
    assert (result.exit_code, result.stderr) == (
        0,
        f"nothing waits in {place}; of another service and left alone: other\n",
    )
    (Path.cwd() / "logging.yaml").write_text((CONFIG % place).replace("service: etl, ", ""))
    monkeypatch.setenv("ALERTLOG_SERVICE", "etl")
    assert "left alone: other" in run("outbox", "flush").stderr
    assert not server.mails
    monkeypatch.setenv("ALERTLOG_SERVICE", "other")
    assert run("outbox", "flush").exit_code == 0
    assert len(server.mails) == 1


@pytest.mark.parametrize(("name", "value"), [("SMTP_FROM", ""), ("SMTP_TRANSPORT", "tls")])
def test_flush_without_good_settings_says_what_waits_and_what_is_wrong(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    killed(place, "one", "two")
    result = run("outbox", "flush")
    assert result.exit_code == 78
    assert re.search(f"still waiting: 2 incidents: {name}: ", result.stderr)
    assert run("outbox", "flush", "--due").exit_code == 78
    monkeypatch.setenv(name, server.environ()[name])
    assert run("outbox", "flush").exit_code == 0
    assert told(server.mails) == 2


def test_flush_tells_repeats_that_no_process_is_left_to_tell(server: MailServer, place: Path, run: Run) -> None:
    pipeline(place, "one")
    fingerprint = str(server.mails[0].message["X-Alertlog-Fingerprint"])
    left = Journal.create(place, Owner("etl", "alerts"))
    left.append(tally("one", 3, kind="quota", fingerprint=fingerprint).to_json())
    del left
    due = run("outbox", "flush", "--due")
    assert due.exit_code == 0
    assert "nothing waits any more but 3 alerts to be told later: repeats, or muted" in due.stderr
    assert run("outbox", "flush").exit_code == 0
    assert told(server.mails) == 4


def test_flush_says_that_a_journal_is_not_read_where_another_process_has_to(
    server: MailServer, place: Path, run: Run
) -> None:
    pipeline(place, "one")
    killed(place, "two")
    lock = OwnerLock(place, Owner("etl", "alerts").byte)
    assert lock.acquire()
    result = run("outbox", "flush", "--timeout", "0")
    assert result.exit_code == 75
    assert "still waiting: 1 unread alert: another process is to send it, and has not yet" in result.stderr
    lock.release()


def test_flush_sees_the_end_of_an_incident_that_nobody_was_told_of(
    server: MailServer, place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(place, "one")
    monkeypatch.setenv("SMTP_FROM", "")
    left = Journal.create(place, Owner("etl", "alerts"))
    fingerprint = str(server.mails[0].message["X-Alertlog-Fingerprint"])
    left.append(tally("one", 0, kind="quota", fingerprint=fingerprint, resolved=True).to_json())
    del left
    result = run("outbox", "flush")
    assert result.exit_code == 78
    assert "still waiting: 1 incident" in result.stderr


def test_flush_waits_for_the_ration_as_a_courier_does(
    server: MailServer, place: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "logging.yaml").write_text((CONFIG % place).replace("service: etl", "service: etl, mails_per_hour: 1"))
    killed(place, "one")
    assert run("outbox", "flush").exit_code == 0
    killed(place, "two")
    result = run("outbox", "flush")
    assert result.exit_code == 75
    said = "still waiting: 1 incident: the ration of 1 mails an hour is spent; the next one may go 20"
    assert said in result.stderr


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


@pytest.mark.parametrize(("words", "left"), [(["1"], 1), (["--all"], 0), (["--aside"], 2)])
def test_purge_removes_what_it_is_told_and_counts_the_alerts_lost(
    server: MailServer, place: Path, run: Run, words: list[str], left: int
) -> None:
    server.stop()
    pipeline(place, "one", "two")
    result = run("outbox", "purge", *words)
    assert result.exit_code == 0
    assert re.match(rf"{2 - left} letters? removed, and {2 - left} alerts? that nobody was told of", result.stderr)
    assert result.stdout == ""
    waiting = [line for line in run("outbox", "list").stdout.splitlines() if "waiting" in line]
    assert len(waiting) == left


def test_purge_of_what_was_set_aside_loses_no_alert_that_waits(server: MailServer, place: Path, run: Run) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    assert run("outbox", "purge", "--aside").stderr.startswith("1 letter removed, and 1 alert ")
    assert "aside" not in run("outbox", "list").stdout


def test_purge_of_all_leaves_nothing_not_even_what_no_letter_speaks_of_yet(
    server: MailServer, place: Path, run: Run
) -> None:
    server.stop()
    pipeline(place, "one")
    pipeline(place, "two")  # not tried: it is too soon
    killed(place, "three")
    assert "3 alerts" in run("outbox", "purge", "--all").stderr
    assert run("outbox", "list").stdout == ""
    server.start()
    assert run("outbox", "flush").exit_code == 0
    assert server.mails == []


def test_purge_of_all_leaves_other_services_alone(server: MailServer, place: Path, run: Run) -> None:
    server.stop()
    pipeline(place, "one", service="other")
    assert run("outbox", "purge", "--all").exit_code == 0
    assert run("outbox", "purge", "--aside").exit_code == 0
    (letter,) = listed(run)
    assert letter["service"] == "other"
    assert run("outbox", "purge", str(letter["id"])).stderr.startswith("1 letter removed")


def test_purge_of_a_number_that_is_not_there_fails_and_removes_nothing(
    server: MailServer, place: Path, run: Run
) -> None:
    server.stop()
    pipeline(place, "one")
    result = run("outbox", "purge", "99", "1", "--all", "7")
    assert result.exit_code == 1
    assert result.stderr == "alertlog: not in the outbox: 99, 7; nothing was removed\n"
    assert [letter["id"] for letter in listed(run)] == [1]


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


@pytest.mark.parametrize(
    ("change", "said"), [("PRAGMA user_version = 99", "a newer alertlog"), ("DROP TABLE letter", "not this alertlog's")]
)
def test_an_outbox_of_another_format_is_the_operators_to_put_right(
    server: MailServer, place: Path, run: Run, change: str, said: str
) -> None:
    pipeline(place, "one")
    database = Database(place)
    database.run(change)
    database.close()
    for command in (["outbox", "list"], ["outbox", "flush"], ["outbox", "purge", "--all"]):
        result = run(*command)
        assert result.exit_code == 78
        assert said in result.stderr
        assert "another outbox" in result.stderr


# The configuration


def test_a_configuration_that_is_wrong_exits_78(place: Path, run: Run) -> None:
    result = run("test", "--config", "nowhere.yaml")
    assert result.exit_code == 78
    assert "nowhere.yaml" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["outbox", "list"], ["outbox", "flush"], ["outbox", "show", "1"], ["outbox", "purge", "1"], ["unmute", "x"]],
)
def test_without_a_place_for_an_outbox_the_configuration_is_wrong(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALERTLOG_OUTBOX", "relative")
    result = run(*words)
    assert result.exit_code == 78
    assert "ALERTLOG_OUTBOX: is not an absolute path" in result.stderr


def test_an_outbox_of_which_nobody_can_tell_whether_it_is_there_is_not_an_empty_one(place: Path, run: Run) -> None:
    place.parent.symlink_to(place.parent)
    result = run("outbox", "list")
    assert result.exit_code == 75
    assert "alerts.sqlite3" in result.stderr


@pytest.mark.parametrize(
    "config", ["handlers: [a]", "handlers: {a: null}", "handlers:", "a: [", "- a", "handlers: {a: {class: b.C}}"]
)
def test_each_command_ends_with_one_line_and_78_where_the_configuration_is_bad(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logging.yaml").write_text(config)
    for words in (["test"], ["outbox", "list"], ["outbox", "flush"], ["mute", "quota", "--for", "1h"]):
        result = run(*words)
        assert result.exit_code == 78
        assert re.fullmatch("alertlog: logging.yaml.*: .+\n", result.stderr)
        assert result.stdout == ""


# mute


def test_what_is_muted_is_not_mailed_until_it_is_unmuted(server: MailServer, place: Path, run: Run) -> None:
    result = run("mute", "quota", "--for", "2h", "--reason", "planned work")
    assert result.exit_code == 0
    assert re.fullmatch(r"quota is muted until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ for etl \(alerts\)\n", result.stderr)
    pipeline(place, "one")
    assert server.mails == []
    flushed = run("outbox", "flush")
    assert flushed.exit_code == 0
    assert "nothing waits any more but 1 alert to be told later: repeats, or muted" in flushed.stderr
    said = "no process runs that tells them: the next one does, or `alertlog outbox flush`"
    unmuted = run("unmute", "quota")
    assert unmuted.stderr == f"quota is not muted any more\n1 alert that it held back: {said}\n"
    assert run("outbox", "flush", "--due").exit_code == 0
    (mail,) = server.mails
    assert "planned work" in mail.text
    again = run("unmute", "quota")
    assert (again.exit_code, again.stderr) == (1, "alertlog: quota is not muted\n")


def test_a_mute_is_listed_as_an_entry_of_its_own(place: Path, run: Run) -> None:
    run("mute", "quota", "--for", "30m", "--reason", "planned work")
    (mute,) = listed(run)
    assert (mute["state"], mute["target"], mute["reason"]) == ("muted", "quota", "planned work")
    assert mute["until"] - mute["since"] == 1800
    assert re.search(r"   -  muted  etl  alerts  quota  until .+  planned work", run("outbox", "list").stdout)


def test_a_mute_that_is_over_is_neither_listed_nor_ended(place: Path, run: Run) -> None:
    run("mute", "quota", "--for", "1s")
    database = Database(place)
    database.run("UPDATE mute SET since = since - 10, until = until - 10")
    database.close()
    assert listed(run) == []
    assert run("unmute", "quota").exit_code == 1


def test_a_mute_acts_on_every_owner_that_fits_and_on_the_configured_one_that_is_not_there_yet(
    place: Path, run: Run, tmp_path: Path
) -> None:
    pager = f"  pager: {{class: alertlog.AlertHandler, service: phone, outbox: {place}}}\n"
    (tmp_path / "logging.yaml").write_text(CONFIG % place + pager)
    killed(place, "one", handler="alerts")
    killed(place, "one", handler="another")
    killed(place, "one", service="other")
    result = run("mute", "quota", "--for", "1d")
    assert result.stderr.endswith(" for etl (alerts), etl (another), phone (pager)\n")
    muted = [entry for entry in listed(run) if entry["state"] == "muted"]
    assert {(mute["service"], mute["handler"]) for mute in muted} == {
        ("etl", "alerts"),
        ("etl", "another"),
        ("phone", "pager"),
    }
    assert run("unmute", "quota").exit_code == 0
    assert not [entry for entry in listed(run) if entry["state"] == "muted"]


def test_a_mute_for_nobody_is_none(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("mute", "quota", "--for", "1h")
    assert result.exit_code == 78
    assert "ALERTLOG_SERVICE: is not set" in result.stderr
    assert run("unmute", "quota").exit_code == 1


@pytest.mark.parametrize("time", ["90s", "30m", "2h", "1d", "7d", "168h"])
def test_a_mute_lasts_seconds_minutes_hours_or_days(place: Path, run: Run, time: str) -> None:
    assert run("mute", "quota", "--for", time).exit_code == 0


@pytest.mark.parametrize("time", ["", "0s", "8d", "169h", "2", "2w", "-1h", "1.5h", "1 h", "1h30m"])
def test_a_mute_of_another_time_is_a_usage_error(place: Path, run: Run, time: str) -> None:
    result = run("mute", "quota", "--for", time)
    assert result.exit_code == 2
    assert "7d at most" in result.stderr
    assert not place.exists()


def test_a_mute_has_to_say_for_how_long(place: Path, run: Run) -> None:
    assert run("mute", "quota").exit_code == 2


def test_a_secret_of_the_environment_does_not_get_into_a_mute(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-t0k3n-value")
    run("mute", "quota", "--for", "1h", "--reason", "token s3cr3t-t0k3n-value rotated")
    assert "s3cr3t" not in run("outbox", "list").stdout


def test_a_running_process_respects_a_mute_that_is_set_from_outside(server: MailServer, tmp_path: Path) -> None:
    program = """
        listen(service="etl")
        for line in sys.stdin:
            log.critical(line.strip(), extra={"alert": line.split()[0]})
    """
    site = Site(tmp_path, None, **server.environ())

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alertlog", *words], env=site.environ, cwd=tmp_path, text=True, capture_output=True
        )

    with site.running(program) as process:

        def log(message: str) -> None:
            assert process.stdin is not None
            process.stdin.write(f"{message}\n")
            process.stdin.flush()

        log("begin of the run")
        server.wait_for(1)
        assert command("mute", "quota", "--for", "1h", "--reason", "provider's work").returncode == 0
        log("quota is used up")
        log("disk is full")
        server.wait_for(2)
        assert command("outbox", "flush").returncode == 0
        assert [mail.message["X-Alertlog-Kind"] for mail in server.mails] == ["begin", "disk"]
        unmuted = command("unmute", "quota")
        assert unmuted.returncode == 0
        assert "1 alert that it held back: told by the process that runs\n" in unmuted.stderr
        (*_, last) = server.wait_for(3)
        assert last.message["X-Alertlog-Kind"] == "quota"
        assert "provider's work" in last.text


# The folder


@pytest.mark.parametrize("words", [["outbox", "list"], ["outbox", "flush"], ["test"], ["unmute", "quota"]])
def test_a_command_in_the_wrong_folder_says_that_there_is_no_configuration_and_which_outbox_it_takes(
    server: MailServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path(os.environ["XDG_STATE_HOME"]) / "alertlog" / "alerts.sqlite3"
    said = "alertlog: no logging.yaml in the current folder: this goes by the environment alone; see --config\n"
    result = run(*words)
    assert said in result.stderr
    assert (f"alertlog: its outbox is {place}\n" in result.stderr) == (words != ["test"])
    (tmp_path / "logging.yaml").write_text(CONFIG % place)
    assert "logging.yaml" not in run(*words).stderr
    (tmp_path / "logging.yaml").rename(tmp_path / "other.yaml")
    assert "logging.yaml" not in run(*words, "--config", "other.yaml").stderr


# The rest


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


def test_a_mute_of_nothing_is_wrong_usage_and_silences_nobody(place: Path, run: Run) -> None:
    result = run("mute", " ", "--for", "1h")
    assert (result.exit_code, "is empty" in result.stderr) == (2, True)
    assert not place.exists()
