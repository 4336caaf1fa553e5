"""The settings of several servers: each by its own variables, and one that is wrong stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from alertlog.errors import ConfigError
from alertlog.settings import SmtpDefaults, SmtpSettings
from alertlog.ways import read_ways
from tests.test_settings import BASE, LOGIN, SECRET

PREFIXES = ("SMTP_", "SMTP_BACKUP_")
BACKUP = {"SMTP_BACKUP_HOST": "backup.example.org"}


def problems(environ: dict[str, str], defaults: SmtpDefaults | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_ways(environ, PREFIXES, defaults or SmtpDefaults())
    return caught.value


def test_one_prefix_is_one_server() -> None:
    settings = read_ways(BASE, ("SMTP_",))
    assert (settings.host, settings.way, settings.backups, settings.problems) == ("mail.example.org", 0, (), {})
    assert settings.ways == (settings,)


def test_a_backup_has_settings_of_its_own_and_its_place_in_the_order() -> None:
    own = {
        "HOST": "backup.example.org",
        "TRANSPORT": "ssl",
        "TIMEOUT_SECONDS": "3",
        "USERNAME": "other",
        "PASSWORD": "another secret",
        "FROM": "backup@x.org",
        "TO": "a@x.org, b@x.org",
    }
    environ = {**BASE, **LOGIN, **{f"SMTP_BACKUP_{name}": value for name, value in own.items()}}
    first, second = read_ways(environ, PREFIXES).ways
    assert (first.username, first.password, first.prefix, first.way) == ("etl", SECRET, "SMTP_", 0)
    assert (second.host, second.port, second.timeout, second.username) == ("backup.example.org", 465, 3.0, "other")
    assert (second.sender.address, [box.address for box in second.recipients]) == (
        "backup@x.org",
        ["a@x.org", "b@x.org"],
    )
    assert (second.prefix, second.way, second.backups) == ("SMTP_BACKUP_", 1, ())
    assert {SECRET, "another secret"} <= {*first.secrets}
    assert "another secret" not in repr(first)


def test_sender_and_recipients_default_to_those_of_the_first_and_nothing_else_does() -> None:
    environ = {**BASE, **LOGIN, **BACKUP, "SMTP_TRANSPORT": "ssl", "SMTP_TO": "a@x.org, Bob <b@x.org>"}
    first, second = read_ways(environ, PREFIXES).ways
    assert (second.sender, second.recipients) == (first.sender, first.recipients)
    assert (second.username, second.password, second.transport, second.port) == ("", "", "starttls", 587)


def test_they_default_to_a_file_of_the_first_too(tmp_path: Path) -> None:
    (tmp_path / "to").write_text("oncall@x.org\n")
    environ = {"SMTP_HOST": "x.org", "SMTP_FROM": "a@x.org", "SMTP_TO_FILE": str(tmp_path / "to"), **BACKUP}
    assert read_ways(environ, PREFIXES).backups[0].recipients[0].address == "oncall@x.org"


def test_the_arguments_of_the_handler_are_those_of_the_first_server_but_for_sender_and_recipients() -> None:
    given = SmtpDefaults("relay.x.org", 2525, "arg@x.org", ("a@x.org", "b@x.org"), (), 4.0)
    first, second = read_ways(BACKUP, PREFIXES, given).ways
    assert (first.host, first.port, first.timeout) == ("relay.x.org", 2525, 4.0)
    assert (second.host, second.port, second.timeout) == ("backup.example.org", 587, 10.0)
    assert (second.sender, second.recipients) == (first.sender, first.recipients)
    assert second.unset_transport == "SMTP_BACKUP_TRANSPORT"
    assert not second.plain_on_loopback


def test_a_backup_that_is_wrong_is_left_out_and_all_that_is_wrong_with_it_is_told() -> None:
    settings = read_ways({**BASE, "SMTP_BACKUP_PORT": "0", "SMTP_BACKUP_PASSWORD": SECRET}, PREFIXES)
    assert settings.backups == ()
    assert list(settings.problems) == ["SMTP_BACKUP_HOST", "SMTP_BACKUP_PORT", "SMTP_BACKUP_USERNAME"]
    assert SECRET not in repr(settings)


def test_a_first_server_that_is_wrong_is_left_out_too() -> None:
    settings = read_ways({**BASE, **BACKUP, "SMTP_PORT": "0"}, PREFIXES)
    assert (settings.host, settings.way, settings.prefix) == ("backup.example.org", 1, "SMTP_BACKUP_")
    assert list(settings.problems) == ["SMTP_PORT"]


def test_if_all_are_wrong_all_problems_of_all_are_told_at_once() -> None:
    error = problems({**BASE, "SMTP_PORT": "0", "SMTP_BACKUP_TRANSPORT": "tls"})
    assert list(error.problems) == ["SMTP_PORT", "SMTP_BACKUP_HOST", "SMTP_BACKUP_TRANSPORT"]
    assert not error.missing


def test_what_a_backup_has_from_the_first_is_told_of_the_first_alone() -> None:
    assert list(problems({"SMTP_HOST": "x.org", **BACKUP}).problems) == ["SMTP_FROM", "SMTP_TO"]
    wrong = {**BASE, **BACKUP, "SMTP_FROM": "nobody", "SMTP_TO_FILE": "/nowhere"}
    assert list(problems(wrong).problems) == ["SMTP_FROM", "SMTP_TO"]
    assert list(problems({**wrong, "SMTP_BACKUP_TO": "nobody"}).problems) == ["SMTP_FROM", "SMTP_TO", "SMTP_BACKUP_TO"]


def test_nothing_at_all_is_what_is_missing() -> None:
    error = problems({})
    assert error.missing
    assert list(error.problems) == ["SMTP_HOST", "SMTP_FROM", "SMTP_TO", "SMTP_BACKUP_HOST"]


def test_an_error_names_the_variable_of_its_own_server() -> None:
    from alertlog.failures import Failures
    from alertlog.login import Credentials

    (backup,) = read_ways({**BASE, **BACKUP}, PREFIXES).backups
    error = Failures(backup, Credentials("", "")).of(TimeoutError(), "dot")
    assert "SMTP_BACKUP_TIMEOUT_SECONDS" in str(error)


def test_settings_with_backups_are_frozen_and_comparable() -> None:
    one, other = read_ways({**BASE, **BACKUP}, PREFIXES), read_ways({**BASE, **BACKUP}, PREFIXES)
    assert one == other
    assert isinstance(one, SmtpSettings)
    assert one != read_ways({**BASE, **BACKUP, "SMTP_BACKUP_PORT": "25"}, PREFIXES)
