"""Errors: each is also the builtin that a caller would catch, and carries its data wherever it goes."""

from __future__ import annotations

import copy
import pickle

import pytest

from alertlog import errors
from alertlog.errors import AlertlogError, ConfigError, DeliveryError, FleetUnavailable, OutboxError

BUILTINS = {
    "ConfigError": ValueError,
    "DeliveryError": OSError,
    "ServerUnavailable": ConnectionError,
    "DeadlineExceeded": TimeoutError,
    "OutcomeUnknown": ConnectionError,
    "SessionRefused": PermissionError,
    "LetterRejected": ValueError,
    "JournalError": OSError,
    "OutboxError": OSError,
    "FleetUnavailable": ConnectionError,
}
CATEGORIES = {"ConfigError": "refused", "SessionRefused": "refused", "LetterRejected": "permanent"}
ALL = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, AlertlogError)]


def of(cls: type[AlertlogError]) -> AlertlogError:
    if cls is ConfigError:
        return ConfigError({"SMTP_HOST": "is not set", "SMTP_TO": "is not set"}, missing=True)
    if cls is OutboxError:
        return OutboxError("alerts.sqlite3: disk image is malformed", corrupt=True, busy=True)
    if cls is FleetUnavailable:
        return FleetUnavailable("no password", problems={"ALERTLOG_REDIS_URL": "is refused"})
    return cls("no reply", stage="rcpt", code=451)


def test_every_error_is_in_these_tables() -> None:
    assert {cls.__name__ for cls in ALL} == BUILTINS.keys() | {"AlertlogError"}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_an_error_is_also_the_builtin_that_a_caller_would_catch(name: str, builtin: type[Exception]) -> None:
    cls = getattr(errors, name)
    assert issubclass(cls, builtin)
    assert issubclass(cls, AlertlogError)


@pytest.mark.parametrize("cls", ALL)
def test_an_error_says_what_is_to_be_done_about_it(cls: type[AlertlogError]) -> None:
    assert cls.category == CATEGORIES.get(cls.__name__, "temporary")


@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", ALL)
def test_an_error_survives_being_copied_or_sent_to_another_process(cls: type[AlertlogError], copied: object) -> None:
    assert callable(copied)
    before = of(cls)
    before.add_note("tried twice")
    after = copied(before)
    assert type(after) is cls
    assert str(after) == str(before)
    assert after.args == before.args
    assert vars(after) == vars(before)


def test_an_errors_text_is_its_message_also_where_the_builtin_would_say_more() -> None:
    error = DeliveryError("no reply", stage="dot", code=421)
    assert str(error) == error.message == "no reply"
    assert (error.stage, error.code) == ("dot", 421)


def test_a_config_error_names_every_variable_and_what_is_wrong_with_it() -> None:
    problems = {"SMTP_HOST": "is not set", "SMTP_PORT": "is no port"}
    error = ConfigError(problems)
    problems.clear()
    assert str(error) == "SMTP_HOST: is not set; SMTP_PORT: is no port"
    assert error.problems == {"SMTP_HOST": "is not set", "SMTP_PORT": "is no port"}
    assert (error.stage, error.missing) == ("settings", False)


def test_an_outbox_error_says_of_itself_whether_the_file_is_damaged_or_only_busy() -> None:
    error = OutboxError("locked", busy=True)
    assert (error.stage, error.corrupt, error.busy) == ("outbox", False, True)
