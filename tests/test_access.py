"""The variables of a login: which go together, which exclude each other, and what they come to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from alertlog.access import FixedToken, OAuthClient, TokenCommand
from alertlog.errors import ConfigError
from alertlog.settings import read_smtp
from tests.test_settings import BASE, COMMAND, LOGIN, OAUTH, SECRET, TOKEN, XOAUTH2, Texts, problems


def without(environ: Texts, *suffixes: str) -> Texts:
    return {name: value for name, value in environ.items() if name.removeprefix("SMTP_") not in suffixes}


def test_a_login_is_by_a_password_where_nobody_chooses() -> None:
    settings = read_smtp({**BASE, **LOGIN})
    assert (settings.auth, settings.token_source) == ("auto", None)


@pytest.mark.parametrize("kind", ["auto", "PLAIN", "Login", "cram-md5"])
def test_a_way_to_log_in_by_a_password_can_be_chosen(kind: str) -> None:
    settings = read_smtp({**BASE, **LOGIN, "SMTP_AUTH": kind})
    assert (settings.auth, settings.username, settings.password) == (kind.lower(), "etl", SECRET)


def test_a_way_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    found = problems({**BASE, **LOGIN, "SMTP_AUTH": "ntlm"})
    assert found == {"SMTP_AUTH": "has to be one of auto, plain, login, cram-md5, xoauth2"}


def test_a_token_comes_from_a_variable() -> None:
    settings = read_smtp({**BASE, **TOKEN, "SMTP_TOKEN": " ya29.a-token\r\n"})
    assert settings.token_source == FixedToken("ya29.a-token")
    assert (settings.username, settings.password) == ("etl@x.org", "")
    assert "ya29.a-token" in settings.secrets


def test_a_token_comes_from_a_command() -> None:
    settings = read_smtp({**BASE, **COMMAND})
    assert settings.token_source == TokenCommand(("env", "a token", "--fresh"))
    assert settings.secrets == ("",)


def test_a_token_comes_from_a_token_server() -> None:
    settings = read_smtp({**BASE, **OAUTH, "SMTP_CA_FILE": __file__})
    expected = OAuthClient("https://login.example.org/token", "etl", SECRET, "send mail", "1//refresh", __file__)
    assert settings.token_source == expected
    assert {SECRET, "1//refresh"} <= {*settings.secrets}
    assert SECRET not in repr(settings)
    assert "1//refresh" not in repr(settings)


@pytest.mark.parametrize("absent", ["OAUTH_CLIENT_SECRET", "OAUTH_REFRESH_TOKEN", "OAUTH_SCOPE"])
def test_a_client_needs_its_secret_or_a_refresh_token_and_no_scope(absent: str) -> None:
    assert read_smtp({**BASE, **without(OAUTH, absent)}).token_source is not None


@pytest.mark.parametrize(
    "url",
    ["https://login.example.org", "http://localhost:8080/token?tenant=1", "http://127.0.0.1/t", "http://[::1]:1/t"],
)
def test_a_token_url_is_https_or_on_this_machine(url: str) -> None:
    assert read_smtp({**BASE, **OAUTH, "SMTP_OAUTH_TOKEN_URL": url}).token_source is not None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://login.example.org/token", "https://"),
        ("ftp://login.example.org/token", "https://"),
        ("login.example.org/token", "no URL"),
        ("https://", "no URL"),
        ("https://login.example.org:0/", "no URL"),
        ("https://login.example.org:x/", "no URL"),
        ("https://etl:correct/token", "no URL"),
        ("https://etl:correct@[login/token", "no URL"),
        ("https://[correct]/token", "no URL"),
        ("https://correct\u2100.example.org/token", "no URL"),
        ("https://login.example.org/a b", "no URL"),
        ("https://login.example.org/token#part", "fragment"),
        (f"https://me:{SECRET.split()[0]}@login.example.org/token", "login"),
    ],
)
def test_what_is_no_token_url_is_refused(url: str, problem: str) -> None:
    found = problems({**BASE, **OAUTH, "SMTP_OAUTH_TOKEN_URL": url})
    assert list(found) == ["SMTP_OAUTH_TOKEN_URL"]
    assert problem in found["SMTP_OAUTH_TOKEN_URL"]
    assert "correct" not in found["SMTP_OAUTH_TOKEN_URL"]


@pytest.mark.parametrize("command", ["/nowhere/a-command", "no-such-program-anywhere x", "'", "\\", "''", "#"])
def test_a_command_is_a_program_that_is_there(command: str) -> None:
    assert list(problems({**BASE, **COMMAND, "SMTP_TOKEN_COMMAND": command})) == ["SMTP_TOKEN_COMMAND"]


@pytest.mark.parametrize("token", ["two words", "é", "a\nb", "x" * 20_000])
def test_what_can_not_be_a_token_is_refused_without_showing_it(token: str) -> None:
    found = problems({**BASE, **TOKEN, "SMTP_TOKEN": token})
    assert list(found) == ["SMTP_TOKEN"]
    assert token not in found["SMTP_TOKEN"]


# What goes together


@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        (without(TOKEN, "USERNAME"), ["USERNAME"]),
        (TOKEN | {"SMTP_PASSWORD": SECRET}, ["PASSWORD"]),
        (XOAUTH2, ["TOKEN"]),
        (TOKEN | COMMAND, ["TOKEN_COMMAND"]),
        (TOKEN | COMMAND | OAUTH, ["TOKEN_COMMAND", "OAUTH_TOKEN_URL"]),
        (COMMAND | {"SMTP_OAUTH_SCOPE": "mail"}, ["OAUTH_SCOPE"]),
        (without(OAUTH, "OAUTH_TOKEN_URL"), ["OAUTH_TOKEN_URL"]),
        (without(OAUTH, "OAUTH_CLIENT_ID"), ["OAUTH_CLIENT_ID"]),
        (without(OAUTH, "OAUTH_CLIENT_SECRET", "OAUTH_REFRESH_TOKEN"), ["OAUTH_CLIENT_SECRET"]),
        (XOAUTH2 | {"SMTP_OAUTH_SCOPE": "mail"}, ["OAUTH_TOKEN_URL", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"]),
        (without(TOKEN, "AUTH"), ["TOKEN", "PASSWORD"]),
        (LOGIN | {"SMTP_TOKEN": "ya29"}, ["TOKEN"]),
        (LOGIN | without(COMMAND, "AUTH", "USERNAME") | {"SMTP_AUTH": "plain"}, ["TOKEN_COMMAND"]),
        ({"SMTP_AUTH": "login"}, ["PASSWORD", "USERNAME"]),
        (TOKEN | {"SMTP_USERNAME_FILE": "/nowhere"}, ["USERNAME"]),
        (XOAUTH2 | {"SMTP_TOKEN_FILE": "/nowhere"}, ["TOKEN"]),
    ],
)
def test_what_is_missing_or_too_much_is_named_and_all_of_it_at_once(environ: Texts, wrong: list[str]) -> None:
    found = problems({**BASE, **environ})
    assert sorted(found) == sorted(f"SMTP_{suffix}" for suffix in wrong)


def test_the_names_in_a_problem_have_the_prefix() -> None:
    base = {name.replace("SMTP_", "BACKUP_"): value for name, value in BASE.items()}
    found = problems({**base, "BACKUP_AUTH": "xoauth2", "BACKUP_USERNAME": "etl"}, "BACKUP_")
    assert found == {
        "BACKUP_TOKEN": "is not set, nor are BACKUP_TOKEN_COMMAND and BACKUP_OAUTH_TOKEN_URL:"
        " BACKUP_AUTH is xoauth2, which takes one of them"
    }


def test_a_token_without_tls_to_another_machine_is_refused() -> None:
    found = problems({**BASE, **TOKEN, "SMTP_TRANSPORT": "none"})
    assert list(found) == ["SMTP_TRANSPORT"]
    assert "a token" in found["SMTP_TRANSPORT"]


def test_without_the_extra_a_token_server_is_a_problem_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oauthlib", None)
    found = problems({**BASE, **OAUTH})
    assert found == {"SMTP_OAUTH_TOKEN_URL": "needs the extra: pip install 'alertlog[oauth]'"}
    assert read_smtp({**BASE, **TOKEN}).auth == "xoauth2"


def test_settings_that_name_a_token_server_import_nothing_of_it_until_it_is_asked() -> None:
    program = (
        "import os, sys, alertlog.smtp, alertlog.settings, alertlog.tokens\n"
        "print(alertlog.settings.read_smtp(os.environ).auth, 'oauthlib' in sys.modules)"
    )
    environ = {**os.environ, **BASE, **OAUTH}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "xoauth2 False\n"


def test_what_is_missing_of_a_login_is_no_configuration_that_is_missing_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        read_smtp({**BASE, **XOAUTH2})
    assert not caught.value.missing
