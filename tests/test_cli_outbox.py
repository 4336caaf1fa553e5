"""`alertlog outbox`, as an operator runs it: what waits and why, a letter to read, another try, a copy of it all."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_string
from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.database import Database
from alertlog.desk import desks
from alertlog.exporting import records
from alertlog.journal import Journal
from alertlog.listing import entries
from alertlog.outbox import Outbox
from alertlog.ownership import Owner, OwnerLock
from alertlog.policy import Pace, Plan
from alertlog.progress import Talking
from alertlog.testing import MailServer
from tests.deployments import CONFIG, deployed, killed, listed, pipeline, served
from tests.deployments import run_command as run
from tests.programs import told
from tests.support import tally

OWNER = Owner("etl", "alerts")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with served(monkeypatch) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one."""
    return deployed(tmp_path, monkeypatch)


def repeats(place: Path, server: MailServer, count: int = 3) -> str:
    """An incident that a mail has told, and repeats of a process that was killed; returns its fingerprint."""
    pipeline(place, "one")
    fingerprint = str(server.mails[-1].message["X-Alertlog-Fingerprint"])
    left = Journal.create(place, OWNER)
    left.append(tally("one", count, kind="quota", fingerprint=fingerprint).to_json())
    del left
    assert run("outbox", "flush", "--due").exit_code == 0
    return fingerprint


def line(state: str) -> str:
    """The one line of the list with that state."""
    (found,) = (line for line in run("outbox", "list").stdout.splitlines() if f"  {state}  " in line)
    return found


# list


def test_the_list_says_of_what_is_told_when_it_closes_and_which_it_is(server: MailServer, place: Path) -> None:
    pipeline(place, "one")
    fingerprint = str(server.mails[0].message["X-Alertlog-Fingerprint"])
    expected = (
        r"   -  open  etl  alerts  1 alert, nothing left to tell  quota  one"
        rf"  closes {WHEN} if it stays quiet  {fingerprint}"
    )
    assert re.fullmatch(expected, line("open"))
    (entry,) = listed(run)
    assert (entry["why"], entry["total"], entry["fingerprints"]) == ("told", 1, [fingerprint])
    assert entry["until"] > 0


WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+"


def test_the_list_says_of_a_letter_why_it_waits_and_until_when(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one")
    assert re.search(
        rf"  due {WHEN}: sending failed  1 attempt: .*Connection refused  [0-9a-f]{{16}}$", line("waiting")
    )


def test_the_list_says_of_repeats_when_they_are_told(server: MailServer, place: Path) -> None:
    fingerprint = repeats(place, server)
    assert re.search(rf"  3 alerts  quota  one  due {WHEN}: repeats are told then  {fingerprint}$", line("open"))


def test_the_list_says_that_an_incident_is_muted_and_until_when(server: MailServer, place: Path) -> None:
    run("mute", "quota", "--for", "2h", "--reason", "planned work")
    pipeline(place, "one")
    assert re.search(rf"  1 alert  quota  one  until {WHEN}: muted, planned work  ", line("open"))


def test_the_list_says_that_the_end_of_an_incident_is_to_be_told(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(place, "one")
    fingerprint = str(server.mails[0].message["X-Alertlog-Fingerprint"])
    left = Journal.create(place, OWNER)
    left.append(tally("one", 0, kind="quota", fingerprint=fingerprint, resolved=True).to_json())
    del left
    monkeypatch.setenv("SMTP_FROM", "")
    run("outbox", "flush", "--due")
    said = "1 alert, its end to be told  quota  one  due, but not with the settings here: SMTP_FROM: "
    assert said in line("open")


def test_the_list_says_whether_a_process_runs_that_sends(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one")
    database = Database(place)
    database.run("UPDATE gate SET failures = 0")
    database.run("UPDATE letter SET due = 0")
    database.close()
    assert "due now: the next process sends it, or `outbox flush`" in line("waiting")
    lock = OwnerLock(place, OWNER.byte)
    assert lock.acquire()
    assert "due now: the process that runs sends it" in line("waiting")
    lock.release()


def test_the_list_says_who_reads_what_is_in_journals(server: MailServer, place: Path) -> None:
    killed(place, "one", "two")
    expected = "  2 alerts  in journals: read by the process that runs, else by the next one, or `outbox flush`"
    assert line("unread").endswith(expected)


def test_the_list_makes_no_lock_file(server: MailServer, place: Path) -> None:
    pipeline(place, "one")
    lock = place.with_name(f"{place.name}.lock")
    lock.unlink()
    assert "nothing left to tell" in line("open")
    assert not lock.exists()


def test_the_list_says_how_to_try_what_was_set_aside_again(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    assert "refused for good; `outbox retry 1` tries it again  1 attempt: " in line("aside")


def test_of_a_digest_some_fingerprints_are_listed_and_all_for_machines(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "zero")
    killed(place, *(f"{number} full" for number in range(5)))
    server.start()
    server.data_reply = "451 4.3.0 later"
    run("outbox", "flush")
    (digest,) = (entry for entry in listed(run) if entry["kind"] == "digest")
    assert len(digest["fingerprints"]) == 6
    assert re.search(r"(  [0-9a-f]{16})( [0-9a-f]{16}){2} and 3 more$", line("waiting"))


# show


def test_show_prints_headers_and_text_for_people_and_the_whole_mail_for_programs(
    server: MailServer, place: Path
) -> None:
    server.stop()
    pipeline(place, "one")
    text = run("outbox", "show", "1").stdout
    assert re.match(r"Date: .+\nFrom: .+\nTo: oncall@example.org\nSubject: \[ETL\] API quota alert\nMess.+\n\n", text)
    assert "CRITICAL" in text
    assert "<html" not in text
    whole = run("outbox", "show", "1", "--eml").stdout
    assert message_from_string(whole).get_content_type() == "multipart/alternative"


def test_show_can_do_nothing_to_the_terminal(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one \x1b[2J two")
    assert "\x1b" not in run("outbox", "show", "1").stdout


# flush


def test_flush_says_when_what_failed_is_tried_again(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data_reply = "451 4.3.0 later"
    pipeline(place, "one")
    assert re.search(rf"still waiting: 1 letter: .*4.3.0 later.*; tried again {WHEN}\n", run("outbox", "flush").stderr)
    server.stop()
    assert re.search(rf"Connection refused; tried again {WHEN}\n", run("outbox", "flush").stderr)


def test_flush_says_that_another_keeps_the_outbox_busy(server: MailServer, place: Path) -> None:
    killed(place, "one")
    Outbox(OWNER, Pace(), place).close()
    database = Database(place)
    with database.transaction():
        result = run("outbox", "flush", "--due")
    database.close()
    assert result.exit_code == 75
    assert "still waiting: 1 unread alert: another process keeps the outbox busy" in result.stderr


def test_flush_says_that_its_time_is_over(server: MailServer, place: Path) -> None:
    killed(place, "one")
    Outbox(OWNER, Pace(), place).close()
    database = Database(place)
    with database.transaction():
        result = run("outbox", "flush", "--due", "--timeout", "0")
    database.close()
    assert "the time is over; run it again, or with a longer --timeout" in result.stderr


def test_flush_says_in_words_what_it_sends_where_progress_is_wanted(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one", "two")
    server.start()
    lines = run("outbox", "flush", "--progress").stderr.splitlines()
    assert lines[0] == "2 alerts to tell"
    assert re.fullmatch("digest mail about '.+' and 1 more was accepted: 250 2.0.0 accepted", lines[1])
    assert lines[2:] == ["nothing waits any more"]


def test_flush_says_how_much_is_left_only_when_that_changes() -> None:
    said: list[str] = []
    talking = Talking(said.append)
    for left in (1_200, 1_200, 1, 0, 0):
        talking.waits(left)
    assert said == ["1,200 alerts to tell", "1 alert to tell"]


def test_flush_says_failures_in_words_too_and_without_secrets(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-t0k3n-value")
    server.data_reply = "554 5.7.1 what is s3cr3t-t0k3n-value"
    killed(place, "one")
    result = run("outbox", "flush", "--progress")
    assert "opening mail about 'one' was not accepted: " in result.stderr
    assert "s3cr3t" not in result.output
    assert "{" not in result.stderr


def test_flush_fails_where_the_server_has_refused_a_letter_for_good(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    killed(place, "one")
    refused = run("outbox", "flush")
    assert refused.exit_code == 1
    last = refused.stderr.splitlines()[-1]
    assert last == "1 letter refused for good and set aside, see alertlog outbox list and retry; nothing else waits"
    assert run("outbox", "flush").exit_code == 0, "that one was said already"


def test_flush_names_what_was_in_the_way_last(server: MailServer, place: Path) -> None:
    server.stop()
    pipeline(place, "one")
    assert "refused" in run("outbox", "flush").stderr
    server.start()
    server.data_reply = "451 4.3.0 later"
    result = run("outbox", "flush")
    assert result.exit_code == 75
    last = result.stderr.splitlines()[-1]
    assert "451 4.3.0 later" in last
    assert "connect" not in last


def test_a_check_sends_nothing_of_what_a_killed_program_left(server: MailServer, place: Path) -> None:
    killed(place, "one")
    done = subprocess.run([sys.executable, "-m", "alertlog", "check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "1 unread alert" in done.stdout
    assert not server.mails
    assert "smtp_send" not in done.stderr


def test_flush_leaves_events_to_machines_where_no_terminal_is(server: MailServer, place: Path) -> None:
    killed(place, "one")
    command = [sys.executable, "-m", "alertlog", "outbox", "flush"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    *events, last = done.stderr.splitlines()
    assert "smtp_send_succeeded" in [json.loads(event)["event"] for event in events]
    assert last == "nothing waits any more"


def test_flush_shows_its_progress_on_a_terminal(server: MailServer, place: Path) -> None:
    killed(place, "one")
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "alertlog", "outbox", "flush"]
    done = subprocess.run(command, stderr=end, stdin=subprocess.DEVNULL, timeout=60, check=False)
    os.close(end)
    shown = b""
    with suppress(OSError):  # EIO: the other end is closed
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert done.returncode == 0
    assert b"1 alert to tell\r\n" in shown
    assert b"{" not in shown


# retry


def test_what_was_refused_for_good_goes_again_as_it_was(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    again = run("outbox", "retry", "1")
    assert again.exit_code == 1
    assert "refused again: letter 1: " in again.stderr
    assert "looks like spam" in again.stderr
    message_id = message_from_string(run("outbox", "show", "1").stdout)["Message-ID"]
    server.data_reply = "250 2.0.0 accepted"
    result = run("outbox", "retry", "1")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "sent")
    (mail,) = server.mails
    assert mail.message["Message-ID"] == message_id
    assert (told(server.mails), mail.message["X-Alertlog-Count"]) == (1, "1")


def test_a_letter_that_was_retried_is_counted_once_and_its_incident_goes_on(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    server.data_reply = "250 2.0.0 accepted"
    assert run("outbox", "retry", "--all").exit_code == 0
    pipeline(place, "one", "one")
    run("outbox", "flush")
    assert told(server.mails) == 3


def test_a_letter_that_waits_for_its_time_goes_at_once_and_the_gate_opens(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    pipeline(place, "one")
    still = run("outbox", "retry", "1")
    assert still.exit_code == 75
    assert "still waiting: 1 letter: " in still.stderr
    server.start()
    assert run("outbox", "retry", "1").exit_code == 0
    assert told(server.mails) == 1


def test_repeats_that_wait_for_their_interval_are_told_now_by_fingerprint(server: MailServer, place: Path) -> None:
    fingerprint = repeats(place, server)
    result = run("outbox", "retry", fingerprint)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "sent")
    assert told(server.mails) == 4
    assert server.mails[-1].message["In-Reply-To"]
    nothing = run("outbox", "retry", fingerprint)
    assert (nothing.exit_code, nothing.stderr) == (0, f"nothing to retry in {place}\n")


def test_a_letter_is_named_by_the_fingerprint_of_its_incident_too(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    server.data_reply = "250 2.0.0 accepted"
    ((fingerprint,),) = (entry["fingerprints"] for entry in listed(run) if entry["state"] == "aside")
    assert run("outbox", "retry", fingerprint).exit_code == 0
    assert told(server.mails) == 1


def test_retry_of_all_tells_repeats_and_what_was_set_aside(server: MailServer, place: Path) -> None:
    repeats(place, server, 3)
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "two")
    server.data_reply = "250 2.0.0 accepted"
    result = run("outbox", "retry", "--all", "--progress")
    assert result.exit_code == 0
    assert "alerts to tell" in result.stderr
    assert told(server.mails) == 5


def test_retry_says_that_a_digest_which_took_up_the_letters_was_refused(server: MailServer, place: Path) -> None:
    server.refusals = {"oncall@example.org": "550 5.1.1 no such user"}
    pipeline(place, "one", "two")
    result = run("outbox", "retry", "--all")
    assert "sent" not in result.stderr.splitlines()[-1]
    assert result.exit_code != 0
    assert not server.mails


def test_what_a_courier_claims_during_an_export_or_a_list_is_in_it(server: MailServer, place: Path) -> None:
    server.stop()
    killed(place, "one", "two")
    (desk,) = desks([AlertHandler(service="etl", outbox=place)])
    with Outbox(Owner("etl", "alerts"), Pace(), place) as courier:
        courier.ingest([tally("three", kind="a"), tally("four", kind="b")], {}, time.time())
        for walk, others in ((records(desk), 3), (entries(desk), 2)):
            next(walk)
            courier.claim([Plan("opening", (one,)) for one in courier.incidents.unspoken()], "x.org", time.time())
            assert len(list(walk)) == others, "the other incident, and what is in the journal"
            courier.dissolve(courier.letters.all())


def test_what_is_muted_stays_so_and_that_is_said(server: MailServer, place: Path) -> None:
    run("mute", "quota", "--for", "1h")
    pipeline(place, "one")
    result = run("outbox", "retry", "--all")
    assert result.exit_code == 0
    assert "1 alert to be told later: repeats, or muted" in result.stderr
    assert server.mails == []


@pytest.mark.parametrize("target", ["99", "3f2a9c5517d0be84", "nonsense"])
def test_retry_of_what_is_not_there_fails_and_tries_nothing(server: MailServer, place: Path, target: str) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    tried = server.connections
    result = run("outbox", "retry", "1", target)
    assert (result.exit_code, result.stderr) == (1, f"alertlog: not in the outbox: {target}; nothing was tried\n")
    assert server.connections == tried


@pytest.mark.parametrize("words", [[], ["1", "--all"]])
def test_retry_has_to_be_told_what(place: Path, words: list[str]) -> None:
    assert run("outbox", "retry", *words).exit_code == 2


def test_retry_leaves_other_services_alone(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one", service="other")
    assert run("outbox", "retry", "1").exit_code == 1
    assert run("outbox", "retry", "--all").stderr == f"nothing to retry in {place}\n"
    assert line("aside")


def test_retry_waits_for_the_process_that_owns_the_outbox(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    lock = OwnerLock(place, OWNER.byte)
    assert lock.acquire()
    result = run("outbox", "retry", "1", "--timeout", "0")
    assert result.exit_code == 75
    assert "another process is to send it, and has not yet" in result.stderr
    lock.release()


def test_a_running_process_sends_what_an_operator_retries(server: MailServer, place: Path) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    logger = logging.getLogger("running")
    logger.propagate = False
    handler = AlertHandler(service="etl", outbox=place)
    handler.name = "alerts"
    logger.addHandler(handler)
    logger.critical("one")
    handler.flush()
    server.data_reply = "250 2.0.0 accepted"
    assert run("outbox", "retry", "--all").exit_code == 0
    server.wait_for(1)
    logger.removeHandler(handler)
    handler.close()
    assert told(server.mails) == 1


# Several outboxes


@pytest.fixture
def other(place: Path, tmp_path: Path) -> Path:
    """The outbox of a second handler; both have a letter 1."""
    other = tmp_path / "state" / "other.sqlite3"
    (tmp_path / "logging.yaml").write_text(
        f"{CONFIG % place}  pager: {{class: alertlog.AlertHandler, service: etl, outbox: {other}}}\n"
    )
    return other


@pytest.mark.parametrize("words", [("show", "1"), ("purge", "1"), ("retry", "1")])
def test_a_number_that_two_outboxes_have_needs_the_name_of_one(
    server: MailServer, place: Path, other: Path, words: tuple[str, str]
) -> None:
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "one")
    pipeline(other, "two", name="pager")
    result = run("outbox", *words)
    expected = "alertlog: in several outboxes: 1; nothing was done: say which by --outbox\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", expected)
    assert letters() == ["one", "two"]
    server.data_reply = "250 2.0.0 accepted"
    assert run("outbox", *words, "--outbox", str(other)).exit_code == 0
    assert letters() == (["one", "two"] if words[0] == "show" else ["one"])


def letters() -> list[str]:
    """What the letters in all outboxes are about."""
    return [entry["summary"] for entry in listed(run) if entry["id"] is not None]


def test_each_command_acts_on_the_outbox_that_is_named(server: MailServer, place: Path, other: Path) -> None:
    server.stop()
    pipeline(place, "one")
    pipeline(other, "two", name="pager")
    server.start()
    of_other = ("--outbox", str(other))
    assert "one" not in run("outbox", "list", *of_other).stdout
    assert json.loads(run("outbox", "export", *of_other).stdout)["handler"] == "pager"
    assert run("outbox", "flush", *of_other).exit_code == 0
    assert told(server.mails) == 1
    assert "two" in server.mails[0].text
    wrong = run("outbox", "list", "--outbox", "elsewhere.sqlite3")
    assert wrong.exit_code == 2
    assert f"the configuration uses {place}, {other}" in wrong.stderr


# export


def test_an_export_holds_everything_whole_and_changes_nothing(server: MailServer, place: Path) -> None:
    assert run("outbox", "export").output == ""
    server.data_reply = "554 5.7.1 looks like spam"
    pipeline(place, "two")
    server.data_reply = "250 2.0.0 accepted"
    fingerprint = repeats(place, server)
    run("mute", "other", "--for", "1h", "--reason", "planned work")
    killed(place, "three", "four")
    before = listed(run)
    records = [json.loads(line) for line in run("outbox", "export").stdout.splitlines()]
    assert [record["type"] for record in records] == ["letter", "incident", "incident", "mute", "alert", "alert"]
    assert {record["service"] for record in records} == {"etl"}
    letter, *incidents, mute, three, _four = records
    assert (letter["aside"], letter["incidents"][0]["alert"]["message"]) == (True, "two")
    assert [incident["untold"] for incident in incidents if incident["fingerprint"] == fingerprint] == [3]
    assert (mute["target"], mute["reason"]) == ("other", "planned work")
    assert (three["count"], three["alert"]["message"]) == (1, "three")
    assert listed(run) == before


def test_an_export_holds_what_is_in_journals_where_there_is_no_outbox_yet(server: MailServer, place: Path) -> None:
    killed(place, "one")
    (record,) = (json.loads(line) for line in run("outbox", "export").stdout.splitlines())
    assert (record["type"], record["alert"]["message"]) == ("alert", "one")
    assert not place.exists()


def test_an_export_has_the_context_and_the_samples_of_an_incident(server: MailServer, place: Path) -> None:
    server.stop()
    logger = logging.getLogger("pipeline")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = AlertHandler(service="etl", outbox=place)
    handler.name = "alerts"
    logger.addHandler(handler)
    logger.info("before it")
    logger.critical("one")
    logger.removeHandler(handler)
    handler.close()
    (letter,) = (json.loads(line) for line in run("outbox", "export").stdout.splitlines())
    ((_when, level, _logger, text),) = letter["incidents"][0]["alert"]["context"]
    assert (level, text) == ("INFO", "before it")
    assert letter["incidents"][0]["samples"] == []
