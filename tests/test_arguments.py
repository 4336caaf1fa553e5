"""The arguments of AlertHandler: what SMTPHandler's users write is understood, and what is wrong is a ValueError."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from logging.config import BaseConfigurator
from math import inf, nan
from typing import Any

import pytest

from alertlog.arguments import (
    LANGUAGES,
    Arguments,
    language_of,
    positive,
    recipients_of,
    refuse_credentials,
    server_of,
)

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


def test_what_is_not_given_has_the_documented_default() -> None:
    made = arguments()
    assert (made.repeat_after, made.quiet_after, made.mails_per_hour) == (300, 3600, 30)
    assert (made.env_prefix, made.language, made.subjects, made.context_lines) == ("SMTP_", "en", {}, 50)
    assert (made.alert_level, made.service, made.shutdown_timeout, made.outbox) == (None,) * 4


def test_arguments_stay_as_they_were_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        arguments().repeat_after = -1  # type: ignore[misc]


@pytest.mark.parametrize("name", ["repeat_after", "quiet_after", "mails_per_hour", "timeout", "shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, nan, inf, -inf, "10", "text", True, [], 10 + 1j])
def test_a_number_is_a_finite_one_above_zero_or_the_argument_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: has to be a number "):
        arguments(**{name: value})


@pytest.mark.parametrize("name", ["repeat_after", "quiet_after", "mails_per_hour", "timeout"])
def test_zero_is_no_interval_and_no_ration(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: has to be a number above 0$"):
        arguments(**{name: 0})
    assert getattr(arguments(**{name: 0.001}), name) == 0.001


def test_closing_may_wait_for_nothing_at_all() -> None:
    assert arguments(shutdown_timeout=0).shutdown_timeout == 0
    with pytest.raises(ValueError, match=r"of at least 0$"):
        arguments(shutdown_timeout=-0.5)


def test_a_number_too_large_for_a_float_is_none() -> None:
    with pytest.raises(ValueError, match=r"^timeout: "):
        positive("timeout", 10**400)


@pytest.mark.parametrize("value", [-1, 1.5, "50", None, True])
def test_the_lines_of_context_are_a_whole_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"^context_lines: "):
        arguments(context_lines=value)
    assert arguments(context_lines=0).context_lines == 0


@pytest.mark.parametrize("outbox", ["alerts.sqlite3", "./a", "~/a", ""])
def test_an_outbox_is_an_absolute_path(outbox: str) -> None:
    with pytest.raises(ValueError, match=r"^outbox: has to be an absolute path"):
        arguments(outbox=outbox)
    assert arguments(outbox="/var/lib/app/a.sqlite3").outbox == "/var/lib/app/a.sqlite3"


@pytest.mark.parametrize("prefix", ["", "_", "SMTP ", "SMTP=", "SMTP\n", "É_", "a-b", "A\0"])
def test_a_prefix_is_the_beginning_of_a_variables_name(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"^env_prefix: "):
        arguments(env_prefix=prefix)
    assert arguments(env_prefix="BACKUP_SMTP_").env_prefix == "BACKUP_SMTP_"


def test_a_login_in_the_servers_name_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match=r"mailhost: .*set MAIL_USERNAME and MAIL_PASSWORD") as caught:
        arguments(host=f"etl:{SECRET}@mail.example.org", env_prefix="MAIL_")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("credentials", [("etl", SECRET), "etl", (), {}])
def test_credentials_are_refused_by_the_names_of_the_two_variables(credentials: object) -> None:
    with pytest.raises(ValueError, match="MAIL_USERNAME and MAIL_PASSWORD") as caught:
        refuse_credentials(credentials, "MAIL_")
    assert SECRET not in str(caught.value)


def test_no_credentials_are_fine() -> None:
    refuse_credentials(None, "SMTP_")


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
    "mailhost",
    [
        25,
        ("a",),
        (),
        ("a", 25, "c"),
        (25, "a"),
        ("a", "25"),
        ("a", None),
        ("a", True),
        {"a": 1, "b": 2},
        {"a", 5},
        b"ab",
    ],
)
def test_any_other_server_is_refused(mailhost: Any) -> None:
    with pytest.raises(ValueError, match=r"^mailhost: "):
        server_of(mailhost)


@pytest.mark.parametrize(
    ("toaddrs", "recipients"),
    [
        (None, ()),
        ("ada@example.org", ("ada@example.org",)),
        (["ada@example.org", "bob@example.org"], ("ada@example.org", "bob@example.org")),
        (("ada@example.org",), ("ada@example.org",)),
        (frozenset(["ada@example.org"]), ("ada@example.org",)),
        ([], ()),
    ],
)
def test_recipients_are_one_address_or_several_as_in_smtphandler(toaddrs: Any, recipients: tuple[str, ...]) -> None:
    assert recipients_of(toaddrs) == recipients


@pytest.mark.parametrize("toaddrs", [5, True, b"ada@example.org", object()])
def test_recipients_that_are_neither_are_refused(toaddrs: Any) -> None:
    with pytest.raises(ValueError, match=r"^toaddrs: "):
        recipients_of(toaddrs)


def test_a_list_as_dictconfig_passes_it_on_is_a_list() -> None:
    config = BaseConfigurator({"mailhost": ("mail.example.org", 465), "toaddrs": ["ada@example.org"]}).config
    assert server_of(config["mailhost"]) == ("mail.example.org", 465)
    assert recipients_of(config["toaddrs"]) == ("ada@example.org",)


def test_mail_is_written_in_a_language_that_there_is() -> None:
    assert [language_of(language) for language in LANGUAGES] == ["en", "fr"]
    for wrong in ("de", "EN", "", None, [], ["en"]):
        with pytest.raises(ValueError, match="language: has to be one of en, fr"):
            language_of(wrong)  # type: ignore[arg-type]
