"""The arguments of AlertHandler: what SMTPHandler's users write is understood, and what is wrong is a ValueError."""

from __future__ import annotations

import logging.config
from dataclasses import FrozenInstanceError
from logging.config import BaseConfigurator
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from alertlog import AlertHandler
from alertlog.arguments import (
    LANGUAGES,
    Arguments,
    language_of,
    level_of,
    path_of,
    prefixes_of,
    recipients_of,
    refuse_credentials,
    refuse_unknown,
    reply_to_of,
    secure_of,
    server_of,
)
from alertlog.rules import NO_RULES

SECRET = "hunter2"


def arguments(**changes: Any) -> Arguments:
    given: dict[str, Any] = {
        "host": "mail.example.org",
        "port": None,
        "sender": "etl@example.org",
        "recipients": (),
        "secure": None,
        "timeout": None,
        "subject": "",
    }
    return Arguments(**given | changes)


def by_record(record: logging.LogRecord) -> str:
    """A grouping of the program's own."""
    return record.name


def test_what_is_not_given_has_the_documented_default() -> None:
    made = arguments()
    assert (made.repeat_after, made.quiet_after, made.mails_per_hour) == (300, 3600, 30)
    assert (made.env_prefix, made.language, made.subjects, made.context_lines) == ("SMTP_", "en", {}, 50)
    assert (made.alert_level, made.service, made.shutdown_timeout, made.outbox) == (None,) * 4
    assert (made.outbox_incidents, made.outbox_bytes, made.fingerprint) == (1_000, 64 * 1024 * 1024, None)
    assert made.redact == NO_RULES


def test_arguments_stay_as_they_were_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        arguments().repeat_after = -1  # type: ignore[misc]


# Whatever is wrong, whoever makes the handler

WRONG: dict[str, list[object]] = {
    "mailhost": [
        *(25, ("a",), (), ("a", 25, "c"), (25, "a"), ("a", "25"), ("a", None), ("a", True), {"a": 1, "b": 2}, b"ab"),
        *(("a", 0), ("a", -1), ("a", 65_536), ("a", 25.0), {"a", 5}, f"etl:{SECRET}@mail.example.org"),
    ],
    "fromaddr": [5, True, b"a@x.org", ["a@x.org"]],
    "toaddrs": [5, True, b"a@x.org", {"a": 1}, ["a@x.org", None], [5], [["a@x.org"]], (b"a@x.org",)],
    "subject": [5, True, b"Trouble", ["Trouble"]],
    "credentials": [("etl", SECRET), "etl", (), {}],
    "secure": [True, False, "yes", "", {}, {"key.pem"}, ("a", "b", "c"), (None,), [True], 1],
    "timeout": [0, -1, nan, inf, -inf, "10", True, [], 300.1, 10**400],
    "alert_level": [True, False, "critical", "LOUD", "50", "", 50.0, ["CRITICAL"]],
    "service": [5, True, b"shop", ["shop"]],
    "subjects": ["Trouble", [], [("quota", "x")], {"quota": 5}, {404: "x"}, {"quota": None}, 5],
    "context_lines": [-1, 1.5, "50", None, True, 10_001],
    "repeat_after": [0, -1, nan, inf, "10", True, None, [], 10**9],
    "quiet_after": [0, -1, nan, inf, "10", True, None, 10**9],
    "mails_per_hour": [0, -1, nan, inf, "10", True, None, 0.01],
    "shutdown_timeout": [-0.5, nan, inf, "10", True, 10**12],
    "outbox": ["alerts.sqlite3", "./a", "~/a", "", "/a\0b", b"/a", 5, True, Path("a")],
    "outbox_incidents": [9, 0, -1, 10.0, "1000", True, None, 10**9],
    "outbox_bytes": [1024 * 1024 - 1, 0, 1e9, "64M", True, None, 10**30],
    "fingerprint": [5, True, "nowhere.at_all", "logging.CRITICAL", "", b"len", []],
    "environment": [5, True, b"production", ["production"]],
    "reply_to": [
        5,
        True,
        b"a@x.org",
        {"a": 1},
        [],
        "",
        "ops",
        "a@x.org\nBcc: b@x.org",
        ["a@x.org", None],
        f"{SECRET}@",
    ],
    "templates": ["mail", "./mail", "~/mail", "", "/mail\0", b"/mail", 5, True, Path("mail")],
    "redact": [
        *(5, True, "iban", ["iban"], {"name": ["iban"]}, {"names": 5}, {"names": [5]}, {"names": {"iban": 1}}),
        *({"names": [""]}, {"names": ["_ -"]}, {"names": ["x" * 65]}, {"patterns": [b"a"]}, {"patterns": [None]}),
        *({"patterns": [""]}, {"patterns": [f"({SECRET}"]}, {"patterns": [f"({SECRET}+)+"]}, {"patterns": [".+"]}),
        {"names": [f"name{number}" for number in range(51)]},
    ],
    "capture_uncaught": ["true", "yes", 1, 0, None, []],
    "env_prefix": ["", "_", "SMTP ", "SMTP=", "SMTP\n", "É_", "a-b", "A\0", 5, None, True, b"SMTP_"],
    "language": ["de", "EN", "", None, [], ["en"], 5],
}
EACH_WRONG = pytest.mark.parametrize(
    ("name", "value"), [pytest.param(name, value) for name, values in WRONG.items() for value in values]
)


@EACH_WRONG
def test_a_wrong_argument_is_a_value_error_that_names_it(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        AlertHandler(**{name: value})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


@EACH_WRONG
def test_a_wrong_argument_in_a_configuration_is_named_by_what_dict_config_raises(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="'alerts'") as caught:
        logging.config.dictConfig(configuration(**{name: value}))
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__).startswith(f"{name}: ")


def configuration(**given: object) -> dict[str, Any]:
    handler = {"class": "alertlog.AlertHandler", **given}
    return {"version": 1, "disable_existing_loggers": False, "handlers": {"alerts": handler}}


def test_each_argument_has_its_wrong_values() -> None:
    own = AlertHandler.__init__.__code__
    assert sorted(WRONG) == sorted(RIGHT) == sorted(own.co_varnames[1 : own.co_argcount + own.co_kwonlyargcount])


RIGHT: dict[str, list[object]] = {
    "mailhost": [None, "", "mail.example.org", ("mail.example.org", 1), ["mail.example.org", 65_535]],
    "fromaddr": [None, "", "a@x.org"],
    "toaddrs": [None, [], "a@x.org", ["a@x.org"], ("a@x.org",), {"a@x.org"}, frozenset(["a@x.org"])],
    "subject": [None, "", "Trouble"],
    "credentials": [None],
    "secure": [None, (), [], ("both.pem",), ["key.pem", "cert.pem"]],
    "timeout": [None, 0.001, 10, 300],
    "alert_level": [None, 0, 35, "ERROR", logging.CRITICAL],
    "service": [None, "shop"],
    "subjects": [None, {}, {"quota": "[ETL] API quota alert"}],
    "context_lines": [0, 10_000],
    "repeat_after": [0.001, 86_400],
    "quiet_after": [0.001, 7 * 86_400],
    "mails_per_hour": [0.1, 1_000],
    "shutdown_timeout": [None, 0, 0.0, 0.001, 600],
    "outbox": [None, "/var/lib/app/a.sqlite3", Path("/var/lib/app/a.sqlite3")],
    "outbox_incidents": [10, 1_000_000],
    "outbox_bytes": [1024 * 1024, 10**9],
    "fingerprint": [None, by_record, "tests.test_arguments.by_record", logging.Filter],
    "environment": [None, "", "production"],
    "reply_to": [
        None,
        "ops@example.org",
        "Ops <ops@example.org>, b@x.org",
        ["Ops <ops@example.org>", "b@bücher.example"],
    ],
    "templates": [None, "/etc/app/mail", Path("/etc/app/mail")],
    "redact": [None, {}, {"names": None}, {"names": ["iban"]}, {"names": "iban", "patterns": [r"EMP-[0-9]+"]}],
    "capture_uncaught": [True, False],
    "env_prefix": ["BACKUP_SMTP_", "S"],
    "language": ["en", "fr"],
}


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(name, value) for name, values in RIGHT.items() for value in values]
)
def test_a_right_argument_is_taken_directly_and_from_a_configuration(name: str, value: object) -> None:
    AlertHandler(**{name: value})  # type: ignore[arg-type]
    logging.config.dictConfig(configuration(**{name: value}))


def test_a_callable_in_a_configuration_is_found_by_its_name() -> None:
    for name in ("tests.test_arguments.by_record", "ext://tests.test_arguments.by_record"):
        logging.config.dictConfig(configuration(fingerprint=name))
        handler = logging._handlers["alerts"]  # type: ignore[attr-defined]
        assert handler._arguments.fingerprint is by_record


# What is no argument


@pytest.mark.parametrize("name", ["password", "passwd", "SECRET", "api_token", "Username", "login", "SMTP_PASSWORD"])
@pytest.mark.parametrize("prefix", ["SMTP_", "MAIL_"])
def test_what_looks_like_a_secret_is_refused_by_the_names_of_the_two_variables(name: str, prefix: str) -> None:
    names = rf"^{name}: .*; set {prefix}USERNAME and {prefix}PASSWORD"
    with pytest.raises(ValueError, match=names) as caught:
        AlertHandler(env_prefix=prefix, **{name: SECRET})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match="'alerts'") as caught:
        logging.config.dictConfig(configuration(env_prefix=prefix, **{name: SECRET}))
    assert SECRET not in str(caught.value) + str(caught.value.__cause__)
    assert f"{prefix}PASSWORD" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("repeat_afer", "repeat_afer: no argument of AlertHandler; repeat_after is one"),
        ("to", "to: no argument of AlertHandler"),
        ("mail_host", "mail_host: no argument of AlertHandler; mailhost is one"),
        ("Outbox", "Outbox: no argument of AlertHandler; outbox is one"),
        ("stream", "stream: no argument of AlertHandler"),
    ],
)
def test_any_other_is_named_with_what_was_meant(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$") as caught:
        AlertHandler(**{name: SECRET})  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match="'alerts'") as caught:
        logging.config.dictConfig(configuration(**{name: SECRET}))
    assert str(caught.value.__cause__) == said


def test_nothing_unknown_is_fine() -> None:
    refuse_unknown([], "SMTP_")


# What each reads


def test_a_prefix_is_the_beginning_of_a_variables_name() -> None:
    assert prefixes_of("BACKUP_SMTP_") == ("BACKUP_SMTP_", ())


@pytest.mark.parametrize("given", [["SMTP_", "SMTP_BACKUP_"], ("SMTP_", "SMTP_BACKUP_")])
def test_several_prefixes_are_those_of_several_servers(given: object) -> None:
    assert prefixes_of(given) == ("SMTP_", ("SMTP_BACKUP_",))


@pytest.mark.parametrize("given", [[], (), ["SMTP_", ""], ["SMTP_", 1], ["SMTP_", "SMTP_"], {"SMTP_": 1}, None])
def test_what_is_no_list_of_prefixes_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="env_prefix: "):
        prefixes_of(given)


def test_a_login_in_the_servers_name_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match=r"mailhost: .*set MAIL_USERNAME and MAIL_PASSWORD") as caught:
        arguments(host=f"etl:{SECRET}@mail.example.org", env_prefix="MAIL_")
    assert SECRET not in str(caught.value)


def test_credentials_are_refused_by_the_names_of_the_two_variables() -> None:
    refuse_credentials(None, "SMTP_")
    with pytest.raises(ValueError, match="MAIL_USERNAME and MAIL_PASSWORD") as caught:
        refuse_credentials(("etl", SECRET), "MAIL_")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("mailhost", "server"),
    [
        (None, ("", None)),
        ("", ("", None)),
        ("mail.example.org", ("mail.example.org", None)),
        (("mail.example.org", 587), ("mail.example.org", 587)),
        (["mail.example.org", 25], ("mail.example.org", 25)),
    ],
)
def test_the_server_is_a_host_or_a_pair_as_in_smtphandler(mailhost: Any, server: tuple[str, int | None]) -> None:
    assert server_of(mailhost) == server


@pytest.mark.parametrize(
    ("toaddrs", "recipients"),
    [
        (None, ()),
        ("ada@example.org", ("ada@example.org",)),
        (["ada@example.org", "bob@example.org"], ("ada@example.org", "bob@example.org")),
        (frozenset(["ada@example.org"]), ("ada@example.org",)),
        ([], ()),
    ],
)
def test_recipients_are_one_address_or_several_as_in_smtphandler(toaddrs: Any, recipients: tuple[str, ...]) -> None:
    assert recipients_of(toaddrs) == recipients


def test_a_list_as_dictconfig_passes_it_on_is_a_list() -> None:
    config = BaseConfigurator({"mailhost": ("mail.example.org", 465), "toaddrs": ["ada@example.org"]}).config
    assert server_of(config["mailhost"]) == ("mail.example.org", 465)
    assert recipients_of(config["toaddrs"]) == ("ada@example.org",)


def test_secure_is_none_or_nothing_or_a_client_certificate_whose_key_may_be_in_the_same_file() -> None:
    assert (secure_of(None), secure_of(()), secure_of([])) == (None, (), ())
    assert secure_of(["key.pem", "cert.pem"]) == ("key.pem", "cert.pem")
    assert secure_of(("both.pem",)) == ("both.pem", "both.pem")
    with pytest.raises(ValueError, match=r"^secure: .*: \[\] for STARTTLS"):
        secure_of(True)


def test_a_level_is_a_number_or_a_name_that_logging_knows() -> None:
    assert [level_of(level) for level in (None, 0, 35, "CRITICAL")] == [None, 0, 35, 50]
    logging.addLevelName(35, "NOTICE")
    assert level_of("NOTICE") == 35


def test_an_outbox_is_an_absolute_path() -> None:
    assert [path_of("outbox", path) for path in (None, "/a", Path("/a"))] == [None, "/a", "/a"]


def test_those_who_get_the_answers_are_read_as_in_a_header_and_listed_once() -> None:
    given = ["Ops on call <ops@Example.org>, anna@bücher.example", "ops@example.org"]
    assert [str(mailbox) for mailbox in reply_to_of(given)] == [
        '"Ops on call" <ops@example.org>',
        "anna@xn--bcher-kva.example",
    ]
    assert reply_to_of(None) == ()


def test_an_answer_that_only_some_servers_could_carry_is_refused_by_name_and_not_by_value() -> None:
    with pytest.raises(ValueError, match="in ASCII before the @") as caught:
        reply_to_of("jürgen@example.org")
    assert "rgen" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_mail_is_written_in_a_language_that_there_is() -> None:
    assert [language_of(language) for language in LANGUAGES] == ["en", "fr"]
