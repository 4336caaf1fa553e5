"""What a handler says of an alert that does not go the usual way, and of an environment that is wrong: events."""

from __future__ import annotations

from logging import LogRecord
from typing import Any

from alertlog.alert import Alert
from alertlog.capture import text_of
from alertlog.errors import ConfigError, JournalError
from alertlog.events import Reports


def capture_failed(reporter: Reports, record: LogRecord, problem: str) -> None:
    """Something of the program's own failed about a record."""
    name, said = record.__dict__.get("name"), record.__dict__.get("msg")  # any may be missing
    reporter.report(
        "alert_capture_failed",
        f"{problem}; the record was: {text_of(said, 1_000)}",
        alert={"logger": text_of(name, 200), "message": text_of(said, 10_000)},
    )


def unwritable(reporter: Reports, alert: Alert, error: JournalError) -> None:
    """No journal takes the alert, so the event carries it whole."""
    _report(
        reporter,
        "outbox_unavailable",
        f"the alert is in memory only: {alert.levelname} {alert.summary} ({error})",
        alert,
        stage=error.stage,
    )


def no_thread(reporter: Reports, alert: Alert) -> None:
    """Nobody here can send the alert."""
    said = f"no thread to send from; the alert waits for the next process: {alert.summary}"
    _report(reporter, "smtp_send_failed", said, alert, stage="courier", category="temporary")


def left_behind(reporter: Reports, alert: Alert) -> None:
    """The process ends in the middle of an attempt."""
    said = f"the process goes before the mail is accepted; the alert stays for the next one: {alert.summary}"
    _report(reporter, "smtp_send_failed", said, alert, stage="shutdown", category="temporary")


def settings_wrong(reporter: Reports, error: ConfigError, outcome: str) -> None:
    """The environment says something that can't be, and this is what is done instead."""
    reporter.report(
        "smtp_config_invalid",
        f"{outcome}: {error}",
        stage="settings",
        category="refused",
        problems=error.problems,
    )


def _report(reporter: Reports, event: str, said: str, alert: Alert, **fields: Any) -> None:
    told: dict[str, Any] = {"kind": alert.kind, "fingerprint": alert.fingerprint, "alert": alert.to_dict()}
    reporter.report(event, said, **told, **fields)
