"""The environment becomes settings, or one error that lists every problem and no secret."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.errors import ConfigError
from alertlog.redact import Redactor
from alertlog.settings import NO_DEFAULTS, SETTINGS, Mailbox, SmtpDefaults, SmtpSettings, describe, read_smtp

Texts = dict[str, str]

BASE = {"SMTP_HOST": "mail.example.org", "SMTP_FROM": "etl@x.org", "SMTP_TO": "ops@x.org"}
NAMES = [f"SMTP_{setting.suffix}" for setting in SETTINGS]
SECRET = "correct horse + battery/staple=é"
LOGIN = {"SMTP_USERNAME": "etl", "SMTP_PASSWORD": SECRET}
XOAUTH2 = {"SMTP_AUTH": "xoauth2", "SMTP_USERNAME": "etl@x.org"}
TOKEN = {**XOAUTH2, "SMTP_TOKEN": "ya29.a-token"}
COMMAND = {**XOAUTH2, "SMTP_TOKEN_COMMAND": "env 'a token' --fresh"}
OAUTH = {
    **XOAUTH2,
    "SMTP_OAUTH_TOKEN_URL": "https://login.example.org/token",
    "SMTP_OAUTH_CLIENT_ID": "etl",
    "SMTP_OAUTH_CLIENT_SECRET": SECRET,
    "SMTP_OAUTH_SCOPE": "send mail",
    "SMTP_OAUTH_REFRESH_TOKEN": "1//refresh",
}
HANDLER = SmtpDefaults(host="relay.example.org", sender="etl@x.org", recipients=("ops@x.org",))


def problems(environ: Texts, prefix: str = "SMTP_", defaults: SmtpDefaults = NO_DEFAULTS) -> Texts:
    with pytest.raises(ConfigError) as caught:
        read_smtp(environ, prefix, defaults)
    error = caught.value
    told = [str(error), repr(error), repr(error.problems), "".join(traceback.format_exception(error))]
    assert not any(SECRET in text or ascii(SECRET)[1:-1] in text for text in told)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.category == "refused"
    # It is told in an event, and has to stay legible there.
    assert Redactor.of(environ).text(str(error)) == str(error)
    return error.problems


def test_the_least_that_is_needed_is_a_server_a_sender_and_a_recipient() -> None:
    assert read_smtp(BASE) == SmtpSettings(
        host="mail.example.org",
        port=587,
        transport="starttls",
        timeout=10.0,
        sender=Mailbox("etl@x.org"),
        recipients=(Mailbox("ops@x.org"),),
        unset_transport="SMTP_TRANSPORT",
    )


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a certificate")
    environ = {
        **BASE,
        **LOGIN,
        "SMTP_TRANSPORT": "None",
        "SMTP_PORT": "2525",
        "SMTP_TIMEOUT_SECONDS": "2.5",
        "SMTP_FROM": "ETL <etl@x.org>",
        "SMTP_TO": '"Doe, Jane" <j@x.org>, k@x.org, k@X.ORG',
        "SMTP_CA_FILE": str(tmp_path / "ca.pem"),
        "SMTP_INSECURE_LOGIN": "allow",
    }
    assert read_smtp(environ) == SmtpSettings(
        host="mail.example.org",
        port=2525,
        transport="none",
        timeout=2.5,
        sender=Mailbox("etl@x.org", "ETL"),
        recipients=(Mailbox("j@x.org", "Doe, Jane"), Mailbox("k@x.org")),
        username="etl",
        password=SECRET,
        ca_file=str(tmp_path / "ca.pem"),
        insecure_login=True,
    )


@pytest.mark.parametrize(("transport", "port"), [("starttls", 587), ("SSL", 465), ("none", 25)])
def test_the_port_follows_from_the_transport(transport: str, port: int) -> None:
    settings = read_smtp({**BASE, "SMTP_TRANSPORT": transport})
    assert (settings.transport, settings.port) == (transport.lower(), port)
    assert settings.unset_transport == ""


def test_white_space_around_a_value_is_no_part_of_it_except_in_a_password() -> None:
    environ = {name: f" \t{value}\r\n" for name, value in {**BASE, **LOGIN, "SMTP_PORT": "25"}.items()}
    settings = read_smtp(environ)
    assert (settings.host, settings.port, settings.username) == ("mail.example.org", 25, "etl")
    assert settings.password == f" \t{SECRET}\r\n"


@pytest.mark.parametrize("password", ["${HOME}", "$$", "{{SMTP_HOST}}", "%(x)s", " ", "\\$", "pa\nss"])
def test_a_password_is_never_expanded_or_stripped(password: str, tmp_path: Path) -> None:
    assert read_smtp({**BASE, "SMTP_USERNAME": "u", "SMTP_PASSWORD": password}).password == password
    (tmp_path / "secret").write_text(f"{password}\n")
    environ = {**BASE, "SMTP_USERNAME": "u", "SMTP_PASSWORD_FILE": str(tmp_path / "secret")}
    assert read_smtp(environ).password == password


def test_each_variable_can_be_a_file_instead(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("a certificate")
    environ = {
        **BASE,
        **LOGIN,
        "SMTP_AUTH": "login",
        "SMTP_TRANSPORT": "none",
        "SMTP_PORT": "26",
        "SMTP_TIMEOUT_SECONDS": "7",
        "SMTP_CA_FILE": str(certificate),
        "SMTP_INSECURE_LOGIN": "allow",
    }
    environs = [environ, {**BASE, **TOKEN}, {**BASE, **COMMAND}, {**BASE, **OAUTH}]
    assert {name for environ in environs for name in environ} == {*NAMES}
    for environ in environs:
        files = {}
        for name, value in environ.items():
            (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
            files[f"{name}_FILE"] = str(tmp_path / name)
        assert read_smtp(files) == read_smtp(environ)


def test_only_the_mapping_that_is_given_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PORT", "99")
    monkeypatch.setenv("SMTP_HOST_FILE", "/nowhere")
    assert read_smtp(BASE).port == 587


def test_the_names_begin_with_the_prefix() -> None:
    environ = {name.replace("SMTP_", "BACKUP_"): value for name, value in BASE.items()}
    settings = read_smtp({**environ, "SMTP_PORT": "0"}, "BACKUP_")
    assert (settings.port, settings.unset_transport) == (587, "BACKUP_TRANSPORT")
    assert list(problems({**environ, "BACKUP_PORT": "0"}, "BACKUP_")) == ["BACKUP_PORT"]


# What is missing, what is wrong


@pytest.mark.parametrize("empty", [{}, {"SMTP_HOST": "", "SMTP_TO": "", "SMTP_FROM": " "}])
def test_what_is_required_and_not_there_is_missing(empty: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_smtp(empty)
    assert list(caught.value.problems) == ["SMTP_HOST", "SMTP_FROM", "SMTP_TO"]
    assert caught.value.missing


def test_what_is_wrong_besides_is_more_than_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        read_smtp({"SMTP_PORT": "0"})
    assert list(caught.value.problems) == ["SMTP_HOST", "SMTP_PORT", "SMTP_FROM", "SMTP_TO"]
    assert not caught.value.missing


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    environ = {
        "SMTP_HOST": "https://x",
        "SMTP_TRANSPORT": "tls",
        "SMTP_PORT": "65536",
        "SMTP_TIMEOUT_SECONDS": "nan",
        "SMTP_USERNAME": "a\0b",
        "SMTP_PASSWORD": SECRET,
        "SMTP_PASSWORD_FILE": str(tmp_path / "x"),
        "SMTP_AUTH": "ntlm",
        "SMTP_TOKEN": "two words",
        "SMTP_TOKEN_COMMAND": "/nowhere/a-command",
        "SMTP_OAUTH_TOKEN_URL": "http://login.example.org/token",
        "SMTP_OAUTH_CLIENT_ID": "é",
        "SMTP_OAUTH_CLIENT_SECRET": f"{SECRET}\0",
        "SMTP_OAUTH_SCOPE": "send\nmail",
        "SMTP_OAUTH_REFRESH_TOKEN": "two words",
        "SMTP_FROM": "a@x.org, b@x.org",
        "SMTP_TO": "jane",
        "SMTP_CA_FILE": "/nowhere",
        "SMTP_INSECURE_LOGIN": "yes",
    }
    found = problems(environ)
    assert set(found) == set(NAMES)
    assert all(found.values())


@pytest.mark.parametrize(
    "host",
    ["localhost", "mail", "Mail.Example.ORG", "mail_server", "127.0.0.1", "[::1]", "fe80::1%eth0", "x.org."],
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert read_smtp({**BASE, "SMTP_HOST": host}).host.lower() == host.strip("[]").lower()


def test_a_host_is_put_into_ascii() -> None:
    assert read_smtp({**BASE, "SMTP_HOST": "mail.bücher.example"}).host == "mail.xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("smtp://mail.x.org", "scheme"),
        ("mail.x.org:25", "port"),
        ("[::1]:25", "port"),
        ("mail.x.org\nEHLO x", "line break"),
        ("mail .x.org", "space"),
        ("mail\u00a0x.org", "space"),
        ("mail\u202ex.org", "control"),
        ("mail\ud800.org", "control"),
        ("x" * 300, "253"),
        ("x" * 64, "domain"),
        ("mail..org", "domain"),
        ("-x.org", "domain"),
        (".", "domain"),
        ("[x", "domain"),
        ("user@x.org", "domain"),
        ("x.org/", "domain"),
        ("1.2.3", "neither"),
        ("999.1.1.1", "neither"),
        ("2130706433", "neither"),
        ("straße.de", "ambiguous"),
    ],
)
def test_what_is_no_host_is_refused(host: str, problem: str) -> None:
    assert problem in problems({**BASE, "SMTP_HOST": host})["SMTP_HOST"]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "+2", "5_8", "2.0", "\uff12", "2 5", "x", "9" * 5000])
def test_what_is_no_port_is_refused(port: str) -> None:
    assert "65535" in problems({**BASE, "SMTP_PORT": port})["SMTP_PORT"]


@pytest.mark.parametrize(("port", "number"), [("1", 1), ("65535", 65535), ("0025", 25)])
def test_a_port_is_a_whole_number(port: str, number: int) -> None:
    assert read_smtp({**BASE, "SMTP_PORT": port}).port == number


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "301", "1e999", "x", "1_0", "\uff15"])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert "seconds" in problems({**BASE, "SMTP_TIMEOUT_SECONDS": text})["SMTP_TIMEOUT_SECONDS"]


@pytest.mark.parametrize(("text", "seconds"), [("300", 300.0), ("0.5", 0.5), (".5", 0.5), ("1e1", 10.0)])
def test_a_time_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert read_smtp({**BASE, "SMTP_TIMEOUT_SECONDS": text}).timeout == seconds


def test_an_unknown_transport_is_refused() -> None:
    assert "starttls, ssl or none" in problems({**BASE, "SMTP_TRANSPORT": "tls"})["SMTP_TRANSPORT"]


def test_an_address_that_is_wrong_is_named() -> None:
    found = problems({**BASE, "SMTP_TO": "a@x.org, jane", "SMTP_FROM": "a@x.org\nBcc: b@x.org"})
    assert found["SMTP_TO"] == "'jane' has no @"
    assert found["SMTP_FROM"].startswith(r"'a@x.org\nBcc: b@x.org'")


@pytest.mark.parametrize("path", ["/nowhere", "a\0b", "."])
def test_a_ca_file_has_to_be_readable(path: str) -> None:
    assert "can't be read" in problems({**BASE, "SMTP_CA_FILE": path})["SMTP_CA_FILE"]


@pytest.mark.parametrize("text", ["yes", "true", "1", "ALLOW", "deny"])
def test_only_one_word_allows_an_insecure_login(text: str) -> None:
    assert "allow" in problems({**BASE, "SMTP_INSECURE_LOGIN": text})["SMTP_INSECURE_LOGIN"]


# Logins


@pytest.mark.parametrize("there", ["USERNAME", "PASSWORD"])
def test_user_name_and_password_go_together(there: str) -> None:
    (absent,) = {"USERNAME", "PASSWORD"} - {there}
    environ = {**BASE, f"SMTP_{there}": SECRET}
    found = problems(environ)
    assert list(found) == [f"SMTP_{absent}"]
    assert f"SMTP_{there}" in found[f"SMTP_{absent}"]
    with pytest.raises(ConfigError) as caught:
        read_smtp(environ)
    assert not caught.value.missing


def test_a_password_whose_file_can_not_be_read_is_one_problem_and_not_two() -> None:
    found = problems({**BASE, "SMTP_USERNAME": "u", "SMTP_PASSWORD_FILE": "/nowhere"})
    assert list(found) == ["SMTP_PASSWORD"]
    assert "SMTP_PASSWORD_FILE" in found["SMTP_PASSWORD"]


@pytest.mark.parametrize("password", [f"{SECRET}\0", f"{SECRET}\udcff"])
def test_a_password_that_can_not_be_sent_is_refused_early(password: str) -> None:
    assert list(problems({**BASE, "SMTP_USERNAME": "u", "SMTP_PASSWORD": password})) == ["SMTP_PASSWORD"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "mail.localhost", "127.0.0.1", "127.8.8.8", "[::1]", "::ffff:127.0.0.1"],
)
def test_a_login_without_tls_is_let_through_to_this_machine(host: str) -> None:
    settings = read_smtp({**BASE, **LOGIN, "SMTP_HOST": host, "SMTP_TRANSPORT": "none"})
    assert not settings.insecure_login


@pytest.mark.parametrize("host", ["mail.x.org", "10.0.0.1", "::2", "localhost.x.org", "mylocalhost"])
def test_a_login_without_tls_to_another_machine_is_refused(host: str) -> None:
    environ = {**BASE, **LOGIN, "SMTP_HOST": host, "SMTP_TRANSPORT": "none"}
    found = problems(environ)
    assert list(found) == ["SMTP_TRANSPORT"]
    assert "SMTP_INSECURE_LOGIN=allow" in found["SMTP_TRANSPORT"]
    assert read_smtp({**environ, "SMTP_INSECURE_LOGIN": "allow"}).insecure_login


def test_without_tls_and_without_a_login_any_server_will_do() -> None:
    assert read_smtp({**BASE, "SMTP_TRANSPORT": "none"}).transport == "none"


# The arguments of the handler


def test_what_moved_over_from_smtphandler_keeps_its_port_and_may_speak_plain_on_loopback() -> None:
    settings = read_smtp({}, defaults=HANDLER)
    assert (settings.host, settings.port, settings.transport) == ("relay.example.org", 25, "starttls")
    assert (settings.sender, settings.recipients) == (Mailbox("etl@x.org"), (Mailbox("ops@x.org"),))
    assert settings.plain_on_loopback
    assert settings.unset_transport == "SMTP_TRANSPORT"
    assert HANDLER.from_arguments
    assert not SmtpDefaults().from_arguments


def test_the_environment_overrides_the_arguments() -> None:
    defaults = replace(HANDLER, port=2525, timeout=5.0)
    settings = read_smtp({**BASE, "SMTP_TIMEOUT_SECONDS": "7"}, defaults=defaults)
    assert (settings.host, settings.timeout) == ("mail.example.org", 7.0)
    assert settings.port == 587  # 2525 belonged to the other host
    assert not settings.plain_on_loopback
    assert read_smtp({}, defaults=defaults).port == 2525
    assert read_smtp({}, defaults=defaults).timeout == 5.0
    assert read_smtp({"SMTP_PORT": "26"}, defaults=defaults).port == 26


@pytest.mark.parametrize(("transport", "port"), [("starttls", 25), ("none", 25), ("ssl", 465)])
def test_a_transport_that_is_chosen_ends_the_guessing(transport: str, port: int) -> None:
    settings = read_smtp({"SMTP_TRANSPORT": transport}, defaults=HANDLER)
    assert (settings.transport, settings.port) == (transport, port)
    assert not settings.plain_on_loopback
    assert settings.unset_transport == ""


def test_with_credentials_nothing_is_spoken_in_the_clear() -> None:
    settings = read_smtp(LOGIN, defaults=HANDLER)
    assert not settings.plain_on_loopback
    assert settings.unset_transport == "SMTP_TRANSPORT"


def test_secure_means_starttls() -> None:
    settings = read_smtp({}, defaults=replace(HANDLER, secure=()))
    assert (settings.transport, settings.unset_transport) == ("starttls", "")
    assert not settings.plain_on_loopback
    assert settings.client_certificate is None


def test_secure_can_name_a_client_certificate(tmp_path: Path) -> None:
    pair = (str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    for path in pair:
        Path(path).write_text("pem")
    assert read_smtp({}, defaults=replace(HANDLER, secure=pair)).client_certificate == pair


@pytest.mark.parametrize("secure", [("key.pem",), ("a", "b", "c"), ("/nowhere", "/nowhere")])
def test_a_client_certificate_is_two_readable_files(secure: tuple[str, ...]) -> None:
    assert list(problems({}, defaults=replace(HANDLER, secure=secure))) == ["secure"]


def test_what_is_wrong_in_an_argument_is_named_by_the_argument() -> None:
    defaults = SmtpDefaults("mail:25", 0, sender="jane", recipients=("a@x.org", "bob"), timeout=float("nan"))
    found = problems({}, defaults=defaults)
    assert sorted(found) == ["fromaddr", "mailhost", "timeout", "toaddrs"]
    assert "a port" in found["mailhost"]
    assert "65535" in found["mailhost"]
    assert found["toaddrs"] == "'bob' has no @"


def test_what_is_wrong_in_a_variable_is_named_by_the_variable_whatever_the_argument() -> None:
    found = problems({"SMTP_HOST": "x:1", "SMTP_FROM": "jane", "SMTP_TO_FILE": "/nowhere"}, defaults=HANDLER)
    assert sorted(found) == ["SMTP_FROM", "SMTP_HOST", "SMTP_TO"]


# Secrets


def test_settings_do_not_show_the_password() -> None:
    settings = read_smtp({**BASE, **LOGIN})
    assert SECRET not in repr(settings)
    assert SECRET not in settings.place
    assert SECRET not in str(describe(settings))


def test_a_password_in_the_wrong_variable_is_not_repeated() -> None:
    found = problems({**BASE, **LOGIN, "SMTP_TO": f"jane, {SECRET}", "SMTP_FROM": f'"{SECRET}'})
    assert found["SMTP_TO"] == "'jane' has no @; '[redacted]' has no @"
    assert found["SMTP_FROM"].startswith("""'"[redacted]' is not""")
    assert problems({**BASE, **LOGIN, "SMTP_HOST": SECRET})["SMTP_HOST"] == "does not name a domain"
    same = {"SMTP_USERNAME": "pass\1word", "SMTP_PASSWORD": "pass\1word"}
    assert problems({**BASE, **same})["SMTP_USERNAME"] == "is wrong, and holds a secret"


def test_a_login_in_an_address_is_not_repeated() -> None:
    found = problems({**BASE, "SMTP_HOST": "smtp://me:hunter2@mail", "SMTP_TO": "smtp://me:hunter2@mail"})
    assert "scheme" in found["SMTP_HOST"]
    assert found["SMTP_TO"] == "'smtp://me:***@mail' is wrong before its @"


@given(text=st.text(max_size=30), name=st.sampled_from(NAMES))
def test_no_text_in_any_variable_brings_the_password_out(text: str, name: str) -> None:
    environ = {**BASE, **LOGIN, name: f"{text}{SECRET}{text}"}
    with suppress(ConfigError):
        read_smtp(environ)
        return
    problems(environ)


@given(environ=st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_of_any_environment_come_settings_or_problems(environ: dict[str, str]) -> None:
    with suppress(ConfigError):
        settings = read_smtp({**BASE, **environ})
        assert 1 <= settings.port <= 65_535
        assert 0 < settings.timeout <= 300
        assert settings.host.isascii()


def test_an_error_survives_pickling() -> None:
    with pytest.raises(ConfigError) as caught:
        read_smtp({})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.problems, again.missing) == (caught.value.problems, True)


# What can be shown


def test_the_description_says_by_variable_what_is_in_force() -> None:
    settings = read_smtp({**BASE, **LOGIN, "SMTP_TO": "Élodie <a@x.org>, b@x.org"})
    assert describe(settings, "MAIL_") == {
        "MAIL_HOST": "mail.example.org",
        "MAIL_TRANSPORT": "starttls",
        "MAIL_PORT": "587",
        "MAIL_TIMEOUT_SECONDS": "10",
        "MAIL_USERNAME": "etl",
        "MAIL_PASSWORD": "********",
        "MAIL_AUTH": "auto",
        "MAIL_TOKEN": "",
        "MAIL_TOKEN_COMMAND": "",
        "MAIL_OAUTH_TOKEN_URL": "",
        "MAIL_OAUTH_CLIENT_ID": "",
        "MAIL_OAUTH_CLIENT_SECRET": "",
        "MAIL_OAUTH_SCOPE": "",
        "MAIL_OAUTH_REFRESH_TOKEN": "",
        "MAIL_FROM": "etl@x.org",
        "MAIL_TO": "Élodie <a@x.org>, b@x.org",
        "MAIL_CA_FILE": "",
        "MAIL_INSECURE_LOGIN": "",
    }
    assert describe(replace(settings, password="", insecure_login=True))["SMTP_PASSWORD"] == ""


@pytest.mark.parametrize("login", [{}, {**COMMAND, "SMTP_TOKEN_COMMAND": "env"}])
def test_the_description_is_an_environment_that_says_the_same(login: Texts) -> None:
    settings = replace(read_smtp({**BASE, **login}), unset_transport="")
    assert read_smtp(describe(settings)) == settings


def test_the_description_leaves_out_the_arguments_of_a_command_since_one_may_be_a_secret() -> None:
    assert describe(read_smtp({**BASE, **COMMAND}))["SMTP_TOKEN_COMMAND"] == "env ..."


@pytest.mark.parametrize("login", [TOKEN, OAUTH])
def test_the_description_masks_what_is_secret_of_a_token(login: Texts) -> None:
    described = describe(read_smtp({**BASE, **login}))
    secrets = [name for name in login if name.endswith(("TOKEN", "SECRET"))]
    assert {described[name] for name in secrets} == {"********"}
    assert {name: described[name] for name in login if name not in secrets} == {
        name: value for name, value in login.items() if name not in secrets
    }


def test_the_place_is_the_same_as_long_as_only_a_secret_or_a_recipient_changes() -> None:
    settings = read_smtp({**BASE, **LOGIN})
    assert settings.place == "mail.example.org:587 starttls etl etl@x.org"
    assert replace(settings, password="x", recipients=(), timeout=1.0).place == settings.place
    for change in ({"host": "x"}, {"port": 1}, {"transport": "ssl"}, {"username": "x"}, {"auth": "plain"}):
        assert replace(settings, **change).place != settings.place
    assert replace(settings, sender=Mailbox("x@x.org")).place != settings.place
    client = read_smtp({**BASE, **OAUTH})
    assert SECRET not in client.place
    assert read_smtp({**BASE, **OAUTH, "SMTP_OAUTH_CLIENT_SECRET": "x"}).place == client.place
    assert read_smtp({**BASE, **OAUTH, "SMTP_OAUTH_CLIENT_ID": "x"}).place != client.place


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        read_smtp(BASE).port = 1  # type: ignore[misc]


def test_the_table_lists_what_the_design_promises() -> None:
    assert [(setting.suffix, setting.default) for setting in SETTINGS] == [
        ("HOST", ""),
        ("TRANSPORT", "starttls"),
        ("PORT", "587, 465, 25 by transport"),
        ("TIMEOUT_SECONDS", "10"),
        ("USERNAME", ""),
        ("PASSWORD", ""),
        ("AUTH", "auto"),
        ("TOKEN", ""),
        ("TOKEN_COMMAND", ""),
        ("OAUTH_TOKEN_URL", ""),
        ("OAUTH_CLIENT_ID", ""),
        ("OAUTH_CLIENT_SECRET", ""),
        ("OAUTH_SCOPE", ""),
        ("OAUTH_REFRESH_TOKEN", ""),
        ("FROM", ""),
        ("TO", ""),
        ("CA_FILE", ""),
        ("INSECURE_LOGIN", ""),
    ]
    assert [setting.suffix for setting in SETTINGS if setting.required] == ["HOST", "FROM", "TO"]
    assert [setting.suffix for setting in SETTINGS if setting.secret] == [
        "PASSWORD",
        "TOKEN",
        "OAUTH_CLIENT_SECRET",
        "OAUTH_REFRESH_TOKEN",
    ]
    assert all(setting.meaning for setting in SETTINGS)


def test_the_environment_of_a_real_process_is_read() -> None:
    script = "import os, alertlog.settings as s; print(s.read_smtp(os.environ).recipients[0].address)"
    environ = {**os.environ, **BASE, "SMTP_TO": "élodie@x.org", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert run.stdout == "élodie@x.org\n"
