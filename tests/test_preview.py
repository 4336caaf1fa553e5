"""`alertlog preview` shows any kind of mail as the deployment would write it, and sends none."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result

from alertlog.alert import Tally
from alertlog.cli import main
from alertlog.cli_preview import ENDINGS
from alertlog.console import handlers
from alertlog.journal import Journal
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.policy import Pace, Situation, decide
from alertlog.preview import Form
from alertlog.specimens import OCCASIONS
from alertlog.testing import MailServer
from tests.letters import Page
from tests.programs import Site
from tests.support import TIME, tally

Run = Callable[..., Result]
OWNER = Owner("etl", "alerts")
CONFIG = """
version: 1
handlers:
  alerts:
    class: alertlog.AlertHandler
    service: etl
    environment: staging
    outbox: {place}
    subjects: {{quota: "[ETL] API quota alert"}}
  second:
    class: alertlog.AlertHandler
    service: etl
    outbox: {place}
    language: fr
    templates: {templates}
    context_lines: 1
    formatter: own
formatters:
  own: {{format: "as the deployment has it: %(message)s"}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one, and which no variable helps."""
    place = tmp_path / "state" / "alerts.sqlite3"
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "letter.html").write_text("<p>own: {{ view.title }}</p>\n")
    (tmp_path / "logging.yaml").write_text(CONFIG.format(place=place, templates=tmp_path / "mail"))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(main, ["preview", *words])


def shown(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def mail(text: str) -> EmailMessage:
    parsed = message_from_string(text, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


# Made-up alerts


def test_the_command_offers_the_forms_that_there_are() -> None:
    assert tuple(ENDINGS) == get_args(Form)


SAID = {
    "first": ("CRITICAL · Alert\n", "This is the first mail about this incident."),
    "late": ("CRITICAL · Alert\n", "Delayed by 47 min."),
    "follow-up": ("CRITICAL · Reminder\n", "The incident goes on"),
    "digest": ("\nDigest\netl (staging)\n", "More was due than the hour's ration"),
    "closing": (
        "CRITICAL · Closing\nClosed 1 h after its last alert.\n25 more alerts",
        "This mail closes the incident",
    ),
    "resolved": ("CRITICAL · Resolved\nResolved after 31 min 40 s.\n25 more alerts", "the trouble is over"),
    "test": ("This is a test: nothing has happened.", "An operator asked for this mail."),
}


@pytest.mark.parametrize("occasion", OCCASIONS)
@pytest.mark.parametrize("kind", ["quota", "missing_price", "anything", ""])
def test_each_kind_of_mail_is_shown_about_each_kind_of_alert(place: Path, run: Run, kind: str, occasion: str) -> None:
    words = [*filter(None, [kind]), "--reason", occasion]
    text, page, whole = (shown_or_unknown(run(*words, "--format", form)) for form in ("text", "html", "eml"))
    top, footer = SAID[occasion]
    assert top in text
    assert footer in text.replace("\n", " ")
    assert all(part.rstrip() in Page(page).text for part in top.split("\n") if part)
    sent = mail(whole)
    assert sent["X-Alertlog-Kind"] == ("digest" if occasion == "digest" else kind)
    assert text.startswith(f"Subject: {sent['Subject']}\n\n")
    assert (sent["In-Reply-To"] is not None) == (occasion in ("follow-up", "closing", "resolved"))
    assert sent["X-Alertlog-Count"] == {"first": "1", "late": "1", "test": "1"}.get(
        occasion, "25" if occasion != "digest" else "26" if kind in ("quota", "") else "27"
    )


def shown_or_unknown(result: Result) -> str:
    assert result.exit_code == 0
    assert result.stderr in ("", result.stderr[result.stderr.find("alertlog: who writes to whom is not known: ") :])
    return result.stdout


def test_without_a_kind_it_is_the_first_mail_about_an_exception_with_what_came_before(place: Path, run: Run) -> None:
    text = shown(run())
    assert text.startswith("Subject: [etl] CRITICAL: No prices for SHOP.TO\n")
    assert "LookupError: a simulated failure: no price for SHOP.TO" in text
    assert "The above exception was the direct cause" in text
    assert "32 holdings to refresh" in text


@pytest.mark.parametrize("occasion", OCCASIONS)
def test_a_reason_can_stand_in_the_place_of_the_kind(place: Path, run: Run, occasion: str) -> None:
    assert SAID[occasion][0] in shown(run(occasion))


def test_a_kind_that_is_called_like_a_reason_is_a_kind_where_the_reason_is_given(place: Path, run: Run) -> None:
    sent = mail(run("digest", "--reason", "first", "--format", "eml").stdout)
    assert sent["X-Alertlog-Kind"] == "digest"
    assert "A test of the alert digest" in str(sent["Subject"])


def test_it_is_written_as_the_deployment_has_it(place: Path, run: Run) -> None:
    text = shown(run("quota", "--handler", "second"))
    assert "as the deployment has it: Price API quota used up: 100 of 100 calls" in text
    assert "Où et quand" in text
    assert "gave up on SHOP.TO" in text
    assert "32 holdings to refresh" not in text
    assert shown(run("quota", "--format", "html", "--handler", "second")) == (
        "<p>own: as the deployment has it: Price API quota used up: 100 of 100 calls</p>\n"
    )
    assert "Environment    staging" in shown(run("quota"))


def test_only_the_whole_mail_needs_to_know_who_writes_to_whom(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = run("--format", "eml")
    assert unknown.exit_code == 0
    assert "who writes to whom is not known: SMTP_HOST" in unknown.stderr
    monkeypatch.setenv("SMTP_FROM", "etl@example.org")
    monkeypatch.setenv("SMTP_TO", "ops@example.org")
    sent = mail(shown(run("--format", "eml")))
    assert (sent["From"], sent["To"]) == ("etl <etl@example.org>", "ops@example.org")


def test_who_is_known_without_the_rest_of_the_settings_is_shown(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_FROM", "etl@example.org")
    monkeypatch.setenv("SMTP_TO_FILE", "/nowhere")
    result = run("--format", "eml")
    sent = mail(result.stdout)
    assert (sent["From"], sent["To"]) == ("etl <etl@example.org>", "unknown@example.invalid")
    assert "SMTP_TO" in result.stderr
    monkeypatch.delenv("SMTP_TO_FILE")
    monkeypatch.setenv("SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("SMTP_TO", "ops@example.org")
    assert mail(shown(run("--format", "eml")))["To"] == "ops@example.org"


def test_a_broken_template_is_told_with_exit_78_and_alertlogs_is_shown(place: Path, run: Run) -> None:
    Path("mail", "letter.html").write_text("{{ view.titel }}")
    for form in ("html", "eml"):
        result = run("quota", "--handler", "second", "--format", form)
        assert result.exit_code == 78
        assert "letter.html: UndefinedError: " in result.stderr
        assert "'titel' (line 1)" in result.stderr
        assert "Price API quota used up" in result.stdout
    assert run("quota", "--handler", "second").exit_code == 0


def test_without_any_configuration_the_environment_is_enough(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALERTLOG_SERVICE", "shop")
    assert "[shop] CRITICAL: " in run().stdout
    assert run("--config", "nowhere.yaml").exit_code == 78


@pytest.mark.parametrize(
    "words",
    [
        ("quota", "--letter", "1"),
        ("quota", "--incident", "1"),
        ("--letter", "1", "--incident", "1"),
        ("--letter", "1", "--reason", "first"),
        ("--letter", "1", "--handler", "alerts"),
        ("--incident", "quota", "--handler", "alerts"),
        ("--incident", ""),
        ("quota", "--outbox", "state/alerts.sqlite3"),
        ("--letter", "1", "--outbox", "nowhere.sqlite3"),
        ("--handler", "nobody"),
        ("--format", "pdf"),
        ("--reason", "whim"),
        ("one", "two"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(place: Path, run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")


# What is in the outbox


@pytest.fixture
def outbox(place: Path) -> Iterator[Outbox]:
    place.parent.mkdir()
    with Outbox(OWNER, Pace(), place) as outbox:
        yield outbox


def add(outbox: Outbox, *tallies: Tally) -> None:
    outbox.ingest(tallies, {}, TIME)


def claimed(outbox: Outbox) -> int:
    """The number of a letter about all that is due."""
    outbox.claim(decide(outbox.incidents.due(TIME), Situation(TIME, 99), Pace()), "example.org", TIME)
    return outbox.letters.all()[-1].id


def test_a_letter_that_waits_is_shown_as_it_will_be_sent(outbox: Outbox, run: Run) -> None:
    add(outbox, tally("Quota used up", 3, kind="quota"))
    number = claimed(outbox)
    text = shown(run("--letter", str(number)))
    assert text.startswith(
        "Subject: [ETL] API quota alert\n\nQuota used up\nCRITICAL · Alert\netl (staging) on vps1\n3 alerts"
    )
    whole = run("--letter", str(number), "--format", "eml").stdout
    (letter,) = outbox.letters.all()
    assert mail(whole)["Message-ID"] == letter.draft.message_id
    assert "Quota used up" in shown(run("--letter", str(number), "--format", "html"))


def test_an_incident_is_shown_as_its_next_mail_would_be(outbox: Outbox, run: Run) -> None:
    add(outbox, tally("Quota used up", 3, kind="quota"), tally("Disk full"))
    (quota,) = [incident for incident in outbox.incidents.all() if incident.kind]
    for target in (quota.fingerprint, "quota", str(quota.id)):
        assert "Quota used up\nCRITICAL · Alert\n" in shown(run("--incident", target))
    assert "Quota used up\nCRITICAL · Closing\n" in shown(run("--incident", "quota", "--reason", "closing"))
    late = shown(run("--incident", "quota", "--reason", "late"))
    assert "Mail could not be sent for a while" in late
    claimed(outbox)
    for letter in outbox.letters.all():
        outbox.accept(letter, (), None, TIME)
    add(outbox, tally("Quota used up", 2, kind="quota"))
    assert "CRITICAL · Reminder\n2 more alerts since the last mail, 5 in all" in shown(run("--incident", "quota"))
    add(outbox, tally("Quota used up", 0, kind="quota", resolved=True))
    assert "CRITICAL · Resolved\n" in shown(run("--incident", "quota"))


def test_several_incidents_are_shown_as_a_digest(outbox: Outbox, run: Run) -> None:
    add(outbox, tally("Quota used up", kind="quota"), tally("Disk full", 2, kind="disk"), tally("Other", kind="other"))
    text = shown(run("--incident", "quota", "--incident", "disk"))
    assert text.startswith("Subject: [etl] 3 alerts in 2 incidents: quota, disk\n")
    assert "2 incidents are meant" in run("--incident", "quota", "--incident", "disk", "--reason", "closing").stderr
    assert run("--incident", "quota", "--incident", "disk", "--reason", "closing").exit_code == 2
    assert "1 alert in 1 incident" in shown(run("--incident", "other", "--reason", "digest"))


def test_what_is_not_in_the_outbox_cannot_be_shown(outbox: Outbox, run: Run) -> None:
    add(outbox, tally("Quota used up", kind="quota"))
    claimed(outbox)
    for words in (("--letter", "99"), ("--incident", "disk"), ("--incident", "0123456789abcdef")):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert words[1] in result.stderr


@pytest.fixture
def other(outbox: Outbox, place: Path) -> Iterator[Outbox]:
    """The outbox of a third handler, which has letter 1 and an incident of the kind `quota` as the first one has."""
    path = place.with_name("other.sqlite3")
    pager = f"  pager: {{class: alertlog.AlertHandler, service: etl, outbox: {path}}}\n"
    config = Path("logging.yaml")
    config.write_text(config.read_text().replace("formatters:\n", f"{pager}formatters:\n"))
    with Outbox(Owner("etl", "pager"), Pace(), path) as other:
        for one, message in ((outbox, "Quota used up"), (other, "Pager quota used up")):
            add(one, tally(message, kind="quota"))
            assert claimed(one) == 1
        yield other


@pytest.mark.parametrize("words", [("--letter", "1"), ("--incident", "quota"), ("--incident", "1")])
def test_what_several_outboxes_have_needs_the_name_of_one(
    other: Outbox, place: Path, run: Run, words: tuple[str, str]
) -> None:
    result = run(*words)
    expected = f"alertlog: in several outboxes: {words[1]}; nothing was done: say which by --outbox\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", expected)
    assert "\nPager quota used up\n" in shown(run(*words, "--outbox", str(place.with_name("other.sqlite3"))))
    assert "\nQuota used up\n" in shown(run(*words, "--outbox", str(place)))


def test_an_incident_that_several_handlers_have_in_one_outbox_needs_its_number(
    outbox: Outbox, place: Path, run: Run
) -> None:
    add(outbox, tally("Quota used up", kind="quota"))
    with Outbox(Owner("etl", "second"), Pace(), place) as second:
        add(second, tally("The second's quota used up", kind="quota"))
        (first_one,), (second_one,) = outbox.incidents.all(), second.incidents.all()
        result = run("--incident", "quota")
        said = f"of several handlers: {first_one.id} of etl alerts; {second_one.id} of etl second; say which"
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
        assert "\nQuota used up\n" in shown(run("--incident", str(first_one.id)))
        assert "The second's quota used up" in shown(run("--incident", str(second_one.id)))


def test_where_there_is_no_outbox_nothing_is_found_and_none_is_made(place: Path, run: Run) -> None:
    assert run("--letter", "1").exit_code == 1
    assert not place.parent.exists()


def test_an_outbox_that_is_damaged_is_told_with_exit_1(place: Path, run: Run) -> None:
    place.parent.mkdir()
    place.write_bytes(b"no database, and too long to be an empty one" * 100)
    assert run("--letter", "1").exit_code == 1


def test_a_preview_sends_nothing_and_changes_nothing_though_something_is_due(tmp_path: Path) -> None:
    with MailServer("starttls") as server:
        site = Site(tmp_path, server)
        journal = Journal.create(site.outbox, OWNER)  # of a process that was killed before its courier looked
        journal.append(tally("Quota used up", kind="quota").to_json())
        del journal  # and with it, its lock
        before = {path.name: path.read_bytes() for path in site.outbox.parent.iterdir()}
        for words, status in (((), 0), (("--incident", "quota"), 1)):
            assert site.run("from alertlog import cli; cli.main()", "preview", *words).status == status
        assert {path.name: path.read_bytes() for path in site.outbox.parent.iterdir()} == before
        assert server.mails == []


def test_the_handlers_of_a_command_send_nothing_when_logging_shuts_down(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer("none") as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        journal = Journal.create(place, OWNER)
        journal.append(tally("Quota used up", kind="quota").to_json())
        del journal
        before = {path.name: path.read_bytes() for path in place.parent.iterdir()}
        for handler in handlers(None):
            assert handler.works.owner.service == "etl"
            handler.flush()
            handler.close()
        assert {path.name: path.read_bytes() for path in place.parent.iterdir()} == before
        assert server.mails == []


# Opened


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a desktop opens files with notes here which ones, and keeps a copy."""
    programs, notes = tmp_path / "bin", tmp_path / "opened"
    programs.mkdir()
    program = programs / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" >{notes}\ncp "$1" {notes}.copy\nexit ${{STATUS:-0}}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return notes


@pytest.mark.skipif(sys.platform == "darwin", reason="its desktop is opened by another command")
@pytest.mark.parametrize(("form", "ending"), [(None, ".html"), ("html", ".html"), ("text", ".txt"), ("eml", ".eml")])
def test_a_preview_is_opened_from_a_file_that_only_its_owner_reads(
    place: Path, run: Run, desktop: Path, form: str | None, ending: str
) -> None:
    result = run("quota", "--open", *(["--format", form] if form else []))
    assert (result.exit_code, result.stdout) == (0, "")
    opened = Path(desktop.read_text().strip())
    assert opened.name.startswith("alertlog-preview-")
    assert opened.suffix == ending
    assert f"written to {opened}" in result.stderr
    assert stat.S_IMODE(opened.stat().st_mode) == 0o600
    copy = Path(f"{desktop}.copy").read_bytes()
    assert b"quota used up: 100 of 100 calls" in copy
    assert (b"\r\n" in copy) == (form == "eml")


@pytest.mark.skipif(sys.platform == "darwin", reason="its desktop is opened by another command")
def test_where_nothing_opens_it_the_file_is_named_and_the_exit_code_is_1(
    place: Path, run: Run, desktop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", "3")
    assert run("quota", "--open").exit_code == 1
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("quota", "--open")
    assert result.exit_code == 1
    assert "written to " in result.stderr
