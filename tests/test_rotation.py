"""A secret that is changed while the program runs is kept out of alerts and events like the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from alertlog import AlertHandler
from alertlog.redact import MARK
from tests.support import record

NEW = "a-whole-new-passphrase"


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlertHandler:
    file = tmp_path / "password"
    file.write_text("the-passphrase-at-the-start\n")
    environ = {"HOST": "127.0.0.1", "FROM": "a@example.org", "TO": "b@example.org", "USERNAME": "etl"}
    for name, value in {**environ, "PASSWORD_FILE": str(file)}.items():
        monkeypatch.setenv(f"SMTP_{name}", value)
    return AlertHandler(outbox=tmp_path / "alerts.sqlite3")


def test_a_password_whose_file_changes_is_known_from_the_next_round_on(handler: AlertHandler, tmp_path: Path) -> None:
    assert NEW in handler.alert_of(record(f"535 {NEW} refused")).message
    (tmp_path / "password").write_text(f"{NEW}\n")
    settings = handler.works.settings()
    assert settings is not None
    assert settings.password == NEW
    alert = handler.alert_of(record(f"535 {NEW} refused", threadName=f"for {NEW}"))
    assert (alert.message, alert.thread) == (f"535 {MARK} refused", f"for {MARK}")
    assert handler.works.reporter._redactor is handler.works.redactor


def test_a_token_and_the_secrets_of_a_token_server_are_known_from_the_next_round_on(
    handler: AlertHandler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handler.alert_of(record("the first"))
    monkeypatch.delenv("SMTP_PASSWORD_FILE")
    monkeypatch.setenv("SMTP_AUTH", "xoauth2")
    (tmp_path / "token").write_text(f"{NEW}\n")
    monkeypatch.setenv("SMTP_TOKEN_FILE", str(tmp_path / "token"))
    assert handler.works.settings() is not None
    assert handler.alert_of(record(f"tried {NEW}")).message == f"tried {MARK}"


def test_a_token_that_comes_while_mail_is_sent_is_known_from_then_on(handler: AlertHandler) -> None:
    handler.alert_of(record("the first"))
    handler.works.post().learn("ya29.granted")
    assert handler.alert_of(record("tried ya29.granted")).message == f"tried {MARK}"


def test_a_secret_set_after_the_first_record_is_known_from_the_next_round_on(
    handler: AlertHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.alert_of(record("the first"))
    monkeypatch.setenv("SHOP_API_TOKEN", NEW)
    handler.works.settings()
    assert handler.alert_of(record(f"tried {NEW}")).message == f"tried {MARK}"


def test_it_is_learnt_also_where_the_settings_are_wrong(handler: AlertHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    handler.alert_of(record("the first"))
    monkeypatch.setenv("SHOP_API_TOKEN", NEW)
    monkeypatch.delenv("SMTP_USERNAME")
    assert handler.works.settings() is None
    assert handler.alert_of(record(f"tried {NEW}")).message == f"tried {MARK}"
