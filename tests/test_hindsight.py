"""A secret that is set, or changed, after an alert was taken does not leave all the same."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from alertlog import AlertHandler
from alertlog.cli import main
from alertlog.draft import Draft
from alertlog.events import Reporter
from alertlog.hindsight import clean_draft
from alertlog.redact import MARK, Redactor
from alertlog.testing import MailServer, ManualClock
from tests.letters import CONTEXT, alert, draft, html_of, incident, repeated, text_of
from tests.support import record

LATE = "set-only-after-the-call"
CONFIG = "version: 1\nhandlers: {alerts: {class: alertlog.AlertHandler, service: etl, outbox: %s}}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The outbox of a deployment whose folder is the current one."""
    place = tmp_path / "alerts.sqlite3"
    (tmp_path / "logging.yaml").write_text(CONFIG % place)
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


def logger_of(handler: AlertHandler) -> logging.Logger:
    made = logging.Logger("shop", logging.DEBUG)
    made.addHandler(handler)
    return made


def log_everywhere(logger: logging.Logger) -> None:
    """Log an alert that has the late secret in each of its parts."""
    logger.info("about to use %s", LATE)
    logger.critical("Login with %s failed", LATE, extra={"detail": f"tried {LATE}"}, exc_info=ValueError(LATE))


def set_all(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def completed_with(shell: ShellComplete) -> str:
    """What a shell shows beside the targets of the commands that mute."""
    items = [item for command in ("mute", "unmute") for item in shell.get_completions([command], "")]
    return repr([(item.value, item.help) for item in items])


# Through a handler, to a server


def test_a_secret_set_between_the_call_and_the_mail_is_not_in_the_mail(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = AlertHandler(outbox=place, service="etl")
    log_everywhere(logger_of(handler))
    handler.flush()  # where to mail to is not known yet
    set_all(monkeypatch, {**server.environ(), "SHOP_API_TOKEN": LATE})
    handler.close()
    (mail,) = server.mails
    assert LATE.encode() not in mail.content
    for part in (mail.text, mail.html):
        assert LATE not in part
        assert part.count(MARK) >= 5
    assert f"Login with {MARK} failed" in mail.subject


def test_a_secret_of_a_rotated_file_is_not_in_the_mail(
    server: MailServer, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("the-first-one\n")
    monkeypatch.setenv("SHOP_API_TOKEN_FILE", str(file))
    handler = AlertHandler(outbox=place, service="etl")
    log_everywhere(logger_of(handler))
    handler.flush()
    file.write_text(f"{LATE}\n")
    set_all(monkeypatch, server.environ())
    handler.close()
    (mail,) = server.mails
    assert LATE not in mail.text + mail.html + mail.subject


def test_a_letter_that_waits_already_is_listed_shown_and_sent_without_a_secret_that_came_later(
    server: MailServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, server.environ())
    server.stop()
    handler = AlertHandler(outbox=place, service="etl")
    log_everywhere(logger_of(handler))
    handler.close()
    assert LATE in run("outbox", "list").stdout
    monkeypatch.setenv("SHOP_API_TOKEN", LATE)
    for words in (["list"], ["list", "--json"], ["show", "1"], ["export"]):
        told = run("outbox", *words)
        assert told.exit_code == 0
        assert LATE not in told.stdout
    shown = message_from_string(run("outbox", "show", "1", "--eml").stdout, EmailMessage, policy=policy.default)
    assert MARK in text_of(shown)
    assert LATE not in text_of(shown) + html_of(shown)
    for form in ("text", "html", "eml"):
        previewed = run("preview", "--letter", "1", "--format", form)
        assert previewed.exit_code == 0
        assert LATE not in previewed.stdout
    server.start()
    run("outbox", "flush")
    (mail,) = server.mails
    assert LATE not in mail.text + mail.html + mail.subject
    assert mail.message["Message-ID"] == shown["Message-ID"]


def test_an_incident_and_a_mute_are_listed_without_a_secret_that_came_later(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = AlertHandler(outbox=place, service="etl")
    log_everywhere(logger_of(handler))
    handler.close()
    run("mute", "quota", "--for", "2h", "--reason", f"{LATE} is being rotated")
    completed = ShellComplete(main, {}, "alertlog", "_ALERTLOG_COMPLETE")
    assert LATE in completed_with(completed)
    listed, exported = run("outbox", "list").stdout, run("outbox", "export").stdout
    assert listed.count(LATE) == 2
    assert exported.count(LATE) >= 5
    monkeypatch.setenv("SHOP_API_TOKEN", LATE)
    assert run("outbox", "list").stdout == listed.replace(LATE, MARK)
    assert run("outbox", "export").stdout == exported.replace(LATE, MARK)
    assert MARK in completed_with(completed)
    assert LATE not in completed_with(completed)


def test_what_is_captured_after_a_round_is_redacted_before_it_is_written_down(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = AlertHandler(outbox=place, service="etl")
    logger_of(handler).critical("the first")
    monkeypatch.setenv("SHOP_API_TOKEN", LATE)
    handler.flush()
    assert handler.alert_of(record(f"tried {LATE}")).message == f"tried {MARK}"
    handler.close()


def test_what_is_captured_after_the_courier_has_looked_is_redacted_though_nothing_was_logged_before(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = AlertHandler(outbox=place, service="etl")
    handler.works.courier.step()
    monkeypatch.setenv("SHOP_API_TOKEN", LATE)
    handler.works.courier.step()
    assert handler.alert_of(record(f"tried {LATE}")).message == f"tried {MARK}"


def test_an_event_is_without_a_secret_that_was_set_just_before(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    reporter = Reporter(Redactor.of(os.environ), ManualClock(), stream)
    monkeypatch.setenv("SHOP_API_TOKEN", LATE)
    with reporter.bypassing():
        reporter.report("smtp_send_failed", f"tried {LATE}", alert=alert(message=f"tried {LATE}").to_dict())
    told = json.loads(stream.getvalue())
    assert LATE not in stream.getvalue()
    assert told["alert"]["message"] == f"tried {MARK}"


# The draft of a mail


def knowing(*secrets: str) -> Redactor:
    return Redactor.of({}, secrets)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": f"for {LATE}"},
        {"mute_reason": f"for {LATE}"},
        {"levelname": f"for {LATE}"},
        {"hosts": ("vps1", f"for {LATE}")},
        {"samples": (alert(message=f"for {LATE}"),)},
        {"alert": alert(message=f"for {LATE}")},
        {"alert": alert(extras=(("detail", f"for {LATE}"),))},
        {"alert": alert(context=(*CONTEXT, (1.0, "INFO", "shop", f"for {LATE}")))},
        {"alert": alert(traceback=f"for {LATE}")},
        {"alert": alert(text=f"for {LATE}", subject=f"for {LATE}", thread=f"for {LATE}")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_no_part_of_a_draft_keeps_a_secret_that_is_known_by_now(changes: dict[str, Any]) -> None:
    made = draft("digest", incident(), repeated(**changes))
    assert LATE in repr(made)
    clean = clean_draft(made, knowing(LATE))
    assert LATE not in repr(clean)
    assert repr(clean) == repr(made).replace(LATE, MARK)
    assert Draft.from_json(clean.to_json()) == clean


def test_numbers_fingerprint_and_thread_of_a_draft_stay() -> None:
    made = draft("follow-up", repeated(hosts=("vps1",)))
    digits = made.incidents[0].fingerprint[:6]
    clean = clean_draft(made, knowing(digits, "Quota used", "first@example.org"))
    assert clean.incidents[0].alert.message.startswith(f"{MARK}: ")
    assert (clean.message_id, clean.count, clean.total, clean.date) == (
        made.message_id,
        made.count,
        made.total,
        made.date,
    )
    for before, after in zip(made.incidents, clean.incidents, strict=True):
        assert (after.fingerprint, after.alert.fingerprint, after.thread) == (
            before.fingerprint,
            before.alert.fingerprint,
            before.thread,
        )


def test_a_draft_without_known_secrets_is_left_as_it_is() -> None:
    made = draft("digest", incident(), repeated())
    assert clean_draft(made, knowing(LATE)) is made
    assert clean_draft(made, Redactor()) is made


def test_what_only_looks_like_a_secret_was_taken_out_before_and_is_not_searched_again() -> None:
    made = draft("opening", incident(alert(message="password=correct-horse")))
    assert clean_draft(made, knowing(LATE)) is made


def test_a_draft_is_cleaned_again_where_there_is_another_secret() -> None:
    redactor = knowing(LATE)
    made = draft("opening", incident(alert(message=f"{LATE} and the-next-one")))
    once = clean_draft(made, redactor)
    redactor.learn({}, ["the-next-one"])
    assert clean_draft(once, redactor) == replace(made, incidents=(incident(alert(message=f"{MARK} and {MARK}")),))
