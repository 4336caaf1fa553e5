"""From a record to an Alert: what counts as the same trouble, and that no broken record can break it."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.alert import Alert, Tally
from alertlog.capture import (
    EXTRA_LIMIT,
    EXTRAS_LIMIT,
    MESSAGE_LIMIT,
    Redacts,
    fingerprint,
    snapshot,
    stub,
)
from alertlog.framing import MAX_PAYLOAD
from alertlog.redact import MARK, Redactor
from alertlog.traces import traceback_text
from alertlog.values import NAME_LIMIT
from tests.support import TIME, Plain, record
from tests.test_traces import caught, chain, fail, from_a_cause
from tests.test_values import VALUES, Proxy, Raises, Text, looped

SECRET = "hunter2-correct-horse-battery"
REDACTOR = Redactor.of({"SHOP_PASSWORD": SECRET})
SHOWN = ("message", "text", "subject", "exception", "traceback", "problem")


def taken(made: logging.LogRecord, redactor: Redacts | None = None, **given: Any) -> Alert:
    """A record's snapshot; that it has the right types, the journal makes sure of."""
    alert = snapshot(made, fingerprint(made), redactor or Plain(), **given)
    assert Tally.from_json(Tally.one(alert).to_json()).alert.message is not None
    return alert


def raised(error: BaseException) -> logging.LogRecord:
    return record("Prices failed", exc_info=(type(error), error, error.__traceback__))


def same(*records: logging.LogRecord) -> bool:
    """Whether these report the same trouble."""
    found = set(map(fingerprint, records))
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in found)
    return len(found) == 1


# What is taken of it


def test_a_snapshot_has_all_that_a_mail_needs() -> None:
    error = caught(from_a_cause)
    made = record(
        "Quota used: %d", 100, alert="quota", provider="marketstack", used=100, created=TIME, process=7,
        processName="Main", threadName="T", taskName="job", exc_info=(type(error), error, error.__traceback__),
        resolved=True, alert_key="k",
    )  # fmt: skip
    alert = taken(made, host="vps1", text="formatted", subject="[ETL] quota", problem="a filter raised")
    assert alert == Alert(
        fingerprint(made), "quota", 50, "CRITICAL", "shop", "Quota used: 100", TIME,
        extras=(("provider", "marketstack"), ("used", "100")), text="formatted", subject="[ETL] quota",
        exception="tests.test_traces.Named: no price", traceback=traceback_text(error), path="/srv/shop.py", line=12,
        function="load", host="vps1", pid=7, process="Main", thread="T", task="job", problem="a filter raised",
        resolved=True,
    )  # fmt: skip


def test_what_logging_sets_itself_is_no_extra_and_what_a_factory_adds_is_one() -> None:
    plain = logging.makeLogRecord({"asctime": "now", "message": "m", "taskName": None, "request_id": "r1"})
    assert taken(plain).extras == (("request_id", "r1"),)


def test_only_true_says_that_the_trouble_is_over() -> None:
    assert taken(record(resolved=True)).resolved is True
    assert not any(taken(record(resolved=value)).resolved for value in (1, "yes", None, False, Raises()))


def test_a_stack_and_a_traceback_that_was_kept_as_text_are_taken() -> None:
    assert (
        taken(record(exc_text="Traceback: kept", stack_info="Stack: here")).traceback == "Traceback: kept\nStack: here"
    )
    assert taken(record(stack_info="Stack: here")).traceback == "Stack: here"
    error = ValueError("no price")
    assert taken(record(exc_info=error)).traceback == "ValueError: no price\n"
    assert taken(record(exc_info=(None, None, None))).exception == ""


def test_a_program_whose_record_factory_can_not_make_an_empty_record_can_import_this(tmp_path: Path) -> None:
    program = """
import logging

class Strict(logging.LogRecord):
    def __init__(self, name, *arguments, **named):
        super().__init__(name.upper(), *arguments, **named)
        self.request_id = "r1"

logging.setLogRecordFactory(Strict)
from alertlog.capture import snapshot
from tests.support import Plain

record = logging.getLogger("shop").makeRecord("shop", 50, "", 1, "Disk full", (), None)
print(snapshot(record, "0" * 16, Plain()).extras)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "(('request_id', 'r1'),)\n"
    assert list(tmp_path.iterdir()) == []


# Bad input


def test_where_arguments_do_not_fit_the_raw_parts_are_shown_and_the_failure_is_named() -> None:
    alert = taken(record("Quota %d of %d", "many"))
    assert alert.message == "Quota %d of %d ('many')"
    assert alert.problem.startswith("the message could not be formatted: TypeError: ")
    alert = taken(record("%(a)s", 5), problem="a filter raised")
    assert alert.message == "%(a)s (5)"
    assert alert.problem.startswith("a filter raised; the message could not be formatted: TypeError: ")
    assert taken(record("%s", Raises())).message == "%s (<Raises: repr() raised ZeroDivisionError>)"


def test_a_message_whose_str_raises_is_named() -> None:
    alert = taken(record(Raises()))
    assert alert.message == "<Raises: str() raised ZeroDivisionError>"
    assert alert.problem.startswith("the message could not be formatted: ZeroDivisionError")


def test_a_record_that_returns_no_text_is_taken_as_text() -> None:
    class Own(logging.LogRecord):
        returned: Any

        def getMessage(self) -> Any:
            return self.returned

    made = Own("shop", 50, "", 1, "template", (), None)
    for made.returned in (5, None, ["a"], Text("text"), Raises(), Proxy()):
        assert taken(made).message != ""
    assert taken(made).extras == (("returned", str(made.returned)),)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (looped(), "[1, [1, [1, [1, [1, [1, ...]]]]]]"),
        (Raises(), "<Raises: str() raised ZeroDivisionError>"),
        ({"lock": 1, "raises": Raises()}, "{'lock': 1, 'raises': <Raises: repr() raised ZeroDivisionError>}"),
        (json, str(json)),
        ("\ud800\x00\u202e", "\ud800\x00\u202e"),
        (b"\xff", "b'\\xff'"),
        (None, "None"),
    ],
    ids=["recursive", "raises", "within", "module", "surrogate", "bytes", "none"],
)
def test_an_extra_that_is_recursive_or_unserialisable_is_shown_as_text(value: object, shown: str) -> None:
    assert taken(record(thing=value)).extras == (("thing", shown),)


def test_a_lock_or_a_thread_as_an_extra_is_shown() -> None:
    ((_name, shown),) = taken(record(thing=threading.Lock())).extras
    assert shown.startswith("<unlocked _thread.lock")


@given(
    st.dictionaries(
        st.text(st.characters(), min_size=1, max_size=10).filter(lambda name: name not in vars(record())),
        VALUES,
        max_size=4,
    )
)
def test_any_extras_are_taken(extras: dict[str, Any]) -> None:
    made = record()
    made.__dict__.update(extras)
    assert len(taken(made).extras) == len(extras.keys() - {"alert", "alert_key", "resolved", "message", "asctime"})


FIELDS = sorted(vars(record()).keys() | {"taskName"})


@given(st.sampled_from(FIELDS), VALUES)
def test_any_value_in_any_field_of_a_record_is_survived(name: str, value: Any) -> None:
    made = record("%s", 5)
    made.__dict__[name] = value
    assert taken(made).fingerprint == fingerprint(made)


@pytest.mark.parametrize(
    ("given", "kept"), [(2**70, 2**63 - 1), (-(2**70), 1 - 2**63), ("50", 0), (None, 0), (True, 1)]
)
def test_a_level_is_a_number_that_a_database_can_hold(given: Any, kept: int) -> None:
    assert taken(record(levelno=given)).level == kept


@pytest.mark.parametrize("created", ["2026-01-01", None, float("nan"), float("inf"), -1.0, 1e20])
def test_a_record_without_a_real_time_is_taken_to_be_of_now(created: Any) -> None:
    before = time.time()
    assert before <= taken(record(created=created)).created <= time.time()


def test_a_traceback_that_can_not_be_made_is_named() -> None:
    class Wrong(ValueError):
        @property
        def __notes__(self) -> NoReturn:  # type: ignore[override]
            raise KeyError("gone")

    alert = taken(raised(Wrong("no price")))
    assert alert.traceback == "the traceback could not be formatted: KeyError: 'gone'"
    assert alert.exception.endswith("Wrong: no price")


def test_extras_that_another_thread_adds_meanwhile_do_no_harm() -> None:
    class Adding:
        def __str__(self) -> str:
            made.__dict__[f"more{len(made.__dict__)}"] = 1
            return "added"

    made = record(first=Adding(), second=Adding())
    assert taken(made).extras == (("first", "added"), ("second", "added"))


# Limits


def test_a_message_of_10_mb_is_cut_with_a_note_of_its_size() -> None:
    message = taken(record("x" * 10_000_000)).message
    assert len(message) < MESSAGE_LIMIT + 100
    assert message.endswith("x [... cut, 10,000,000 characters in all]")
    broken = taken(record("x" * 10_000_000, 5)).message
    assert broken.endswith("x [... cut, 10,000,004 characters in all]")


def test_a_long_extra_is_cut_with_a_note_of_its_size() -> None:
    extras = taken(record(text="x" * 100_000, items=list(range(10_000)), **{"n" * 1_000: 1})).extras
    assert extras[0][1] == f"{'x' * EXTRA_LIMIT} [... cut, 100,000 characters in all]"
    assert extras[1][1].endswith(" [... cut, 10,000 items in all]")
    assert len(extras[1][1]) < EXTRA_LIMIT + 100
    assert extras[2][0] == f"{'n' * NAME_LIMIT} [... cut, 1,000 characters in all]"


def test_what_is_just_above_the_limit_is_cut_as_well() -> None:
    for size in (EXTRA_LIMIT + 1, EXTRA_LIMIT + 1_024, EXTRA_LIMIT + 1_025):
        ((_name, value),) = taken(record(text="x" * size)).extras
        assert value == f"{'x' * EXTRA_LIMIT} [... cut, {size:,} characters in all]"
    assert taken(record(text="x" * EXTRA_LIMIT)).extras[0][1] == "x" * EXTRA_LIMIT


def test_more_extras_than_a_mail_can_show_are_counted() -> None:
    extras = taken(record(**{f"extra{number}": number for number in range(1_000)})).extras
    assert len(extras) == EXTRAS_LIMIT + 1
    assert extras[0] == ("extra0", "0")
    assert extras[-1] == ("...", f"{1_000 - EXTRAS_LIMIT} further extras are left out")


def test_2_000_chained_exceptions_are_taken_in_bounded_work() -> None:
    started = time.perf_counter()
    alert = taken(raised(chain(2_000)))
    assert time.perf_counter() - started < 5
    assert "[1,980 exceptions of this chain are left out here]" in alert.traceback
    assert alert.exception == "ValueError: number 1999"


def test_the_largest_alert_there_can_be_still_is_one_frame_of_a_journal() -> None:
    wide = "\U0001f600" * 200_000
    error = caught(lambda: fail(ValueError(wide)))
    made = record(
        wide, **{f"{number}{wide}": wide for number in range(100)}, alert=wide, name=wide, pathname=wide, funcName=wide,
        processName=wide, threadName=wide, taskName=wide, levelname=wide, stack_info=wide,
        exc_info=(ValueError, error, error.__traceback__),
    )  # fmt: skip
    alert = taken(made, text=wide, subject=wide, problem=wide, host="h" * 64)
    assert len(Tally.one(alert).to_json()) < MAX_PAYLOAD


# Secrets stay out of the journal


@pytest.mark.parametrize(
    "at", [0, 100, MESSAGE_LIMIT - 10, MESSAGE_LIMIT, MESSAGE_LIMIT + 1_010, MESSAGE_LIMIT + 1_024]
)
def test_no_part_of_a_secret_is_in_a_text_wherever_that_is_cut(at: int) -> None:
    text = f"{'x' * at}{SECRET}{'y' * 200_000}"
    error = caught(lambda: fail(ValueError(text)))
    made = record(
        text, **{"note": "x" * (at % EXTRA_LIMIT) + SECRET + "y" * 5_000}, stack_info=text,
        exc_info=(ValueError, error, error.__traceback__),
    )  # fmt: skip
    alert = taken(made, REDACTOR, text=text, subject=text, problem=text)
    for name in SHOWN:
        assert SECRET[:10] not in getattr(alert, name), name
    assert SECRET[:10] not in alert.extras[0][1]


def test_a_text_that_redaction_makes_much_shorter_does_not_end_in_half_a_secret() -> None:
    tokens = " ".join([SECRET] * 10_000)
    alert = taken(record(tokens, note=tokens), REDACTOR)
    for text in (alert.message, alert.extras[0][1]):
        assert "hunter" not in text
        assert text.startswith(f"{MARK} {MARK}")
        assert re.search(r" \[\.\.\. cut, [\d,]+ characters in all\]$", text)


def test_a_secret_in_an_exceptions_long_text_is_not_cut_in_half_before_it_is_known() -> None:
    for before in range(19_970, 20_001):
        error = caught(lambda before=before: fail(ValueError(f"{'x' * before} {SECRET} {'y ' * 9_000}")))  # type: ignore[misc]
        assert "hunter" not in taken(raised(error), REDACTOR).traceback


def test_an_extra_with_a_secret_name_or_deep_within_is_redacted() -> None:
    alert = taken(record(api_key="abc", deep={"list": ["x" * 600 + SECRET + "y" * 600]}), REDACTOR)
    assert alert.extras[0] == ("api_key", MARK)
    assert "hunter" not in alert.extras[1][1]


def test_arguments_that_do_not_fit_are_redacted() -> None:
    alert = taken(record("Login %d", [SECRET]), REDACTOR)
    assert alert.message == f"Login %d (['{MARK}'])"
    assert "hunter" not in alert.problem


def secretive(**fields: Any) -> logging.LogRecord:
    """A record that has a secret in every text it can have one in."""
    texts = (
        "levelname",
        "name",
        "pathname",
        "funcName",
        "processName",
        "threadName",
        "taskName",
        "exc_text",
        "stack_info",
    )
    made = record(f"Login with {SECRET}", **dict.fromkeys(texts, f"a {SECRET} b"))
    made.__dict__.update({f"x {SECRET}": SECRET, "alert": f"login {SECRET}", "alert_key": SECRET} | fields)
    return made


@pytest.mark.parametrize("long", ["", "x" * 100_000])
def test_no_field_of_an_alert_carries_a_secret_of_the_environment(long: str) -> None:
    said = {"text": SECRET, "subject": SECRET, "problem": SECRET, "host": f"vps {SECRET}"}
    made = secretive(more=f"{long}{SECRET}", alert=f"login {SECRET} {long}")
    assert "hunter2" not in Tally.one(taken(made, REDACTOR, **said)).to_json().decode()
    failed = raised(ValueError(f"no {SECRET}"))
    assert "hunter2" not in Tally.one(taken(failed, REDACTOR, **said)).to_json().decode()
    assert "hunter2" not in Tally.one(stub(made, "0" * 16, ValueError(SECRET), REDACTOR)).to_json().decode()


@pytest.mark.parametrize("name", ["levelname", "name", "funcName", "processName", "threadName", "taskName", "alert"])
def test_no_part_of_a_secret_is_left_where_a_name_is_cut(name: str) -> None:
    made = record(**{name: f"{'x' * (NAME_LIMIT - 5)}{SECRET}"})
    assert "hunte" not in Tally.one(taken(made, REDACTOR)).to_json().decode()


def test_a_kind_that_only_looks_like_a_secret_stays_what_subjects_and_mutes_go_by() -> None:
    alert = taken(record("password=a1b2c3", alert="token:expired"), REDACTOR)
    assert (alert.kind, alert.message) == ("token:expired", f"password={MARK}")


def test_an_extra_that_was_there_before_the_records_own_fields_is_taken() -> None:
    made = record()
    made.__dict__ = {"tenant": "a", **made.__dict__}
    assert taken(made).extras == (("tenant", "a"),)


def test_a_kind_that_is_no_text_is_cleaned_as_text() -> None:
    assert taken(record(alert=Text(f"login {SECRET}")), REDACTOR).kind == f"login {MARK}"


def test_names_that_are_no_texts_or_too_long_are_taken_as_far_as_they_go() -> None:
    alert = taken(record(threadName=5, processName=None, taskName=["a"], **{"x" * 300: "y"}))
    assert (alert.thread, alert.process, alert.task) == ("5", "", "['a']")
    assert alert.extras == ((f"{'x' * NAME_LIMIT} [... cut, 300 characters in all]", "y"),)
    made = record()
    made.__dict__[5] = "five"  # type: ignore[index]
    assert taken(made).extras == (("5", "five"),)


# What can't be taken


class Broken(Plain):
    """A redactor that is at the end of the stack."""

    def harmless(self, text: str) -> bool:
        raise RecursionError(text[:5])

    def text(self, text: str) -> str:
        raise RecursionError(text[:5])


def test_a_stub_says_the_least_and_why() -> None:
    made = record("Login with %s", SECRET, levelno="high", name=5)
    before = time.time()
    alert = stub(made, "0" * 16, RecursionError(f"too deep for {SECRET}"), REDACTOR)
    assert before <= alert.created <= time.time()
    assert alert.message == "Login with %s"
    assert alert.problem == f"the record could not be captured: RecursionError: too deep for {MARK}"
    assert (alert.level, alert.logger, alert.fingerprint) == (logging.CRITICAL, "5", "0" * 16)
    assert Tally.from_json(Tally.one(alert).to_json()).alert == alert


def test_a_stub_keeps_the_level_and_cuts_the_message_behind_its_secrets() -> None:
    made = record(f"{'x' * (MESSAGE_LIMIT - 5)}{SECRET}{'y' * 5_000}", levelno=logging.ERROR)
    alert = stub(made, "0" * 16, ValueError("no"), REDACTOR)
    assert alert.level == logging.ERROR
    assert "hunter" not in alert.message
    assert alert.message.endswith(" characters in all]")


@pytest.mark.parametrize("act", [taken, lambda made, redactor: stub(made, "0" * 16, ValueError("no"), redactor)])
def test_what_the_redactor_has_not_seen_goes_nowhere(act: Callable[..., Alert]) -> None:
    with pytest.raises(RecursionError):
        act(record(), Broken())
