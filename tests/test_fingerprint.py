"""Which records report the same trouble, whoever made them, and which never do."""

from __future__ import annotations

import json
import logging
import pickle
import re
import time
import traceback
from logging.handlers import QueueHandler, SocketHandler
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.fingerprint import alert_kind, fingerprint
from alertlog.shape import _VARIES, shape
from alertlog.values import NAME_LIMIT
from tests.support import record
from tests.test_traces import caught, chain, fail, from_a_cause, from_none
from tests.test_values import VALUES, Proxy, Raises


def raised(error: BaseException, text: object = "Prices failed", **fields: Any) -> logging.LogRecord:
    return record(text, exc_info=(type(error), error, error.__traceback__), **fields)


def same(*records: logging.LogRecord) -> bool:
    """Whether these report the same trouble."""
    found = set(map(fingerprint, records))
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in found)
    return len(found) == 1


# What is the same trouble


def test_a_template_with_other_arguments_is_the_same_trouble() -> None:
    assert same(record("Quota used: %d of %d", 99, 100), record("Quota used: %d of %d", 100, 100))
    assert same(record("%(used)s", {"used": 1}), record("%(used)s", {"used": 2}))


def test_another_template_logger_or_level_is_other_trouble() -> None:
    assert not same(record("Quota used: %d", 5), record("Quota used %d", 5))
    assert not same(record(), record(name="shop.prices"))
    assert not same(record(), record(levelno=logging.ERROR))


def test_where_a_record_comes_from_does_not_matter() -> None:
    assert same(record(), record(lineno=99, pathname="/other.py", funcName="save", created=5.0, thread=7, process=9))


def test_with_a_kind_only_the_kind_and_its_key_matter() -> None:
    first = record("Quota of %s", "A", alert="quota")
    assert same(first, record("No quota", name="x", levelno=10, alert="quota"), record(Proxy(), alert="quota"))
    assert not same(first, record("Quota of %s", "A", alert="price"))
    assert not same(first, record("Quota of %s", "A", alert="quota", alert_key="A"))
    assert not same(record(alert="quota", alert_key="B"), record(alert="quota", alert_key="A"))
    assert same(record(alert="quota", alert_key=7), record(alert="quota", alert_key="7"))


@pytest.mark.parametrize(
    ("extra", "kind"),
    [({}, None), ({"alert": None}, None), ({"alert": False}, None), ({"alert": True}, ""), ({"alert": ""}, ""),
     ({"alert": "quota"}, "quota"), ({"alert": 7}, "7"),
     ({"alert": Raises()}, "<Raises: str() raised ZeroDivisionError>"),
     ({"alert": "x" * 5_000}, f"{'x' * NAME_LIMIT} [... cut, 5,000 characters in all]")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_kind_is_what_the_extra_names(extra: dict[str, Any], kind: str | None) -> None:
    assert alert_kind(record(**extra)) == kind


def test_without_a_name_a_kind_groups_as_any_other_record() -> None:
    assert same(record(alert=True), record(), record(alert=""))
    assert not same(record("a", alert=True), record("b", alert=True))


def test_another_exception_behind_the_same_text_is_other_trouble() -> None:
    def elsewhere() -> NoReturn:
        raise ValueError("a")

    one, other = caught(lambda: fail(ValueError("a"))), caught(lambda: fail(KeyError("a")))
    assert same(raised(one), raised(caught(lambda: fail(ValueError("another text")))))
    assert not same(raised(one), raised(other))
    assert not same(raised(one), raised(caught(elsewhere)))
    assert not same(raised(one), record("Prices failed"))


def test_another_cause_is_other_trouble() -> None:
    assert same(raised(caught(from_a_cause)), raised(caught(from_a_cause)))
    assert not same(raised(caught(from_a_cause)), raised(caught(from_none)))


def test_another_member_of_a_group_is_other_trouble() -> None:
    def group(*members: Exception) -> logging.LogRecord:
        return raised(ExceptionGroup("some failed", members))

    assert same(group(ValueError("a")), group(ValueError("b")))
    assert not same(group(ValueError("a")), group(KeyError("a")))


def test_of_a_long_chain_the_outer_links_tell_what_trouble_it_is() -> None:
    started = time.perf_counter()
    assert same(raised(chain(2_000)), raised(chain(3_000)))
    assert time.perf_counter() - started < 5


SHAPES = [
    ("Order {} failed", ["17", "4711", "1,024", "12.5"]),
    ("Price {} of SHOP", ["-0.5", "+17", "1e-05", "1234567.5", "2.5E+10"]),
    ("Job job_{} failed", ["550e8400-e29b-41d4-a716-446655440000", "8403f96586027427e5e0b097fd830f4774e9c87d"]),
    ("Digest {} differs", ["00e9c87d" * 16, "a1b2c3d", "00e9c87d" * 4]),
    ("Host {} is dead", ["fe80::1", "::1", "2001:db8::8a2e:370:7334", "00:1a:2b:3c:4d:5e", "10.0.0.1"]),
    ("Late since {}.", ["Wed, 25 Nov 2026", "1 Jan 2026", "Nov 5, 2026", "September 17", "25-Nov-2026"]),
    ("No file in data/{}", ["2026/in.csv/x", "a/b/c.csv", "x/y"]),
    ("User {} is locked", ["ada@example.org", "bob.smith+etl@mail.example.co.uk"]),
    ("Session {} expired", ["550e8400-e29b-41d4-a716-446655440000", "ABCDEF01-2345-6789-abcd-ef0123456789"]),
    ("Object at {} is gone", ["0x7f3a9c001d40", "0XFF", "0x0"]),
    ("Commit {} broke it", ["8403f96586027427e5e0b097fd830f4774e9c87d", "00e9c87d", "a1b2c3d4"]),
    ("No file {}", ["/var/lib/etl/2026-01-02.csv", "/tmp/a/b", "C:\\data\\in.csv", "D:\\x\\y.z"]),
    ("Late since {}", ["2026-01-02", "2026-01-02T03:04:05", "2026/01/02", "03:04:05.678", "5"]),
    ("Server 10.0.0.{}:{} is dead", ["1", "254"]),
    ("Late since {} UTC", ["2026-01-02 03:04:05", "02.01.2026 3:04"]),
    ("took {}s", ["1", "1.5", "1234.56789"]),
    ("GET https://api.example.org/v2/{} failed", ["prices/17", "prices/AAPL", "quotes/MSFT/2026"]),
]


@pytest.mark.parametrize(("text", "values"), SHAPES, ids=[text for text, _values in SHAPES])
def test_a_formatted_text_groups_by_its_shape(text: str, values: list[str]) -> None:
    texts = [text.replace("{}", value) for value in values]
    assert same(*map(record, texts))
    assert same(*(record({"event": each, "id": each}) for each in texts))
    assert same(*(record(ValueError(each)) for each in texts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Quota used up", "Price missing"),
        ("Could not load", "Could not save"),
        ("Order 17 failed", "Order 17 refused"),
        ("dead beef", "bad face"),
        ("facade", "decade"),
        ("deadbeefs", "defaced"),
        ("Vendor a/b failed", "Vendor c/d failed"),
        ("Symbol AAPL", "Symbol MSFT"),
    ],
)
def test_different_words_are_different_trouble(one: str, other: str) -> None:
    assert not same(record(one), record(other))
    assert not same(record({"event": one}), record({"event": other}))


def test_a_dict_groups_by_its_event_and_without_one_by_its_shape() -> None:
    assert same(record({"event": "order %s failed", "id": 1}), record({"event": "order %s failed", "user": "ada"}))
    assert not same(record({"event": "order failed"}), record({"event": "order refused"}))
    assert same(record({"order": 17}), record({"order": 18}))
    assert not same(record({"order": 17}), record({"user": 17}))


def test_an_object_groups_by_its_kind_and_shape() -> None:
    assert same(record(ValueError("order 17")), record(ValueError("order 18")))
    assert not same(record(ValueError("order 17")), record(KeyError("order 17")))
    assert not same(record("5"), record(5))
    assert same(record(Raises()), record(Raises()))


def test_a_shape_is_taken_of_the_beginning_only() -> None:
    assert shape("x " * 500 + "a") == shape("x " * 500 + "b")
    assert shape("x " * 499 + "a") != shape("x " * 499 + "b")


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "/",
        "/a",
        "\\a",
        "a@b.",
        "a.a@",
        "1:",
        "0x",
        "f",
        "-",
        "12345678-",
        "a@" + "b." * 9,
        "x.y",
        "C:",
        " ",
        "\u0661",
    ],
)
def test_the_work_on_a_shape_is_linear_in_the_text(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    started = time.perf_counter()
    _VARIES.sub("#", f"{text}!")
    assert time.perf_counter() - started < 20


@given(st.text(st.characters(), max_size=50))
def test_any_text_has_a_shape_without_a_digit(text: str) -> None:
    assert not re.search(r"\d", shape(text))


@given(VALUES, VALUES, VALUES)
def test_any_record_has_a_fingerprint_the_same_each_time(message: Any, kind: Any, key: Any) -> None:
    made = record(message, alert=kind, alert_key=key)
    assert same(made, made)


@pytest.mark.parametrize(
    "made",
    [record(name=None), record(name=Raises()), record(exc_info=True), record(exc_info="text"), record(exc_info=(1,)),
     record(Proxy()), record({"event": Proxy()}), record("\ud800"), record(name="\udcff"), record(None)],
    ids=["name", "hostile name", "flag", "text", "tuple", "proxy", "event", "surrogate", "bytes", "none"],
)  # fmt: skip
def test_a_broken_record_has_a_fingerprint(made: logging.LogRecord) -> None:
    assert same(made, made)


# As other libraries make records


def at(line: int, error: Exception) -> Exception:
    """Raise an error at a place of its own, and return it."""
    code = compile("\n" * line + "raise error", "/srv/prices.py", "exec")
    try:
        exec(code, {"error": error})
    except Exception as caught_one:
        return caught_one
    raise AssertionError


def formatted(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def structlog(**event: Any) -> logging.LogRecord:
    """What structlog's `wrap_for_formatter` makes."""
    return record(event, _logger=object(), _name="critical")


def test_structlogs_events_group_whatever_their_values_are() -> None:
    one = structlog(event="quota used", used=5, timestamp="2026-01-02T03:04:05.6Z", ticker="SHOP.TO")
    assert same(one, structlog(ticker="AAPL", event="quota used", used=7, timestamp="2026-02-03T04:05:06.7Z"))
    assert same(structlog(event="order 17 failed"), structlog(event="order 18 failed"))
    assert not same(one, structlog(event="quota exceeded", used=5))


def test_structlogs_json_groups_by_its_event() -> None:
    def line(**event: Any) -> logging.LogRecord:
        return record(json.dumps(event))

    one = line(used=5, ticker="SHOP.TO", event='quota "used"', timestamp="2026-01-02T03:04:05Z")
    assert same(one, line(used=7, ticker="AAPL", event='quota "used"', timestamp="2026-02-03T04:05:06Z"))
    assert not same(one, line(used=5, event='quota "exceeded"'))
    assert not same(line(error="no price"), line(error="no quota"))
    failures = [line(event="failed", exception=formatted(at(3, kind("no")))) for kind in (ValueError, KeyError)]
    assert not same(*failures)
    assert same(failures[0], line(event="failed", exception=formatted(at(3, ValueError("yes"))), order=5))


def test_an_exception_in_structlogs_event_tells_troubles_apart() -> None:
    error, other = at(3, ValueError("a")), at(3, KeyError("a"))
    for shown in (lambda each: each, lambda each: (type(each), each, each.__traceback__)):
        assert not same(*(structlog(event="failed", exc_info=shown(each)) for each in (error, other)))
        assert same(*(structlog(event="failed", exc_info=shown(each)) for each in (error, at(3, ValueError("b")))))
    assert not same(*(structlog(event="failed", exception=formatted(each)) for each in (error, other)))
    current = []
    for each in (error, other):
        try:
            raise each
        except Exception:
            current.append(fingerprint(structlog(event="failed", exc_info=True)))
    assert current[0] != current[1]
    assert same(structlog(event="failed", exc_info=True), structlog(event="failed", exc_info=None))


def loguru(text: str, error: Exception | None = None, value: object = "SHOP.TO") -> logging.LogRecord:
    """What loguru's default format makes for a standard handler: the traceback, with values, is a part of the text."""
    if error is None:
        return record(f"2026-01-02 03:04:05.678 | CRITICAL | shop:load:17 - {text}", extra={})
    trace = formatted(error).replace("raise error", f"raise error\n          └ {value!r}")
    made = f"2026-01-02 03:04:05.678 | ERROR    | shop:load:17 - {text}\n{trace}"
    return record(made, exc_info=(type(error), error, error.__traceback__), exc_text="\n")


def test_texts_of_loguru_group_by_their_shape_and_the_exceptions_that_were_raised() -> None:
    assert same(loguru("order 17 failed"), loguru("order 18 failed"))
    assert not same(loguru("order 17 failed"), loguru("order 17 refused"))
    error = at(3, ValueError("a"))
    assert same(loguru("order 17 failed", error), loguru("order 5 failed", at(3, ValueError("b")), value={"x": "y"}))
    assert not same(loguru("order 17 failed", error), loguru("order 17 failed", at(4, ValueError("a"))))
    assert not same(loguru("order 17 failed", error), loguru("order 17 failed", at(3, KeyError("a"))))


@pytest.mark.parametrize("depth", [1, 40])
def test_records_from_a_queue_or_another_process_tell_exceptions_apart_by_their_text(depth: int) -> None:
    def deep(error: Exception, left: int = depth) -> NoReturn:
        if left:
            deep(error, left - 1)
        raise error

    def queued(error: Exception) -> logging.LogRecord:
        made: logging.LogRecord = QueueHandler(None).prepare(raised(caught(lambda: deep(error))))  # type: ignore[arg-type]
        return made

    def sent(error: Exception) -> logging.LogRecord:
        pickled = SocketHandler("localhost", 0).makePickle(raised(caught(lambda: deep(error))))
        return logging.makeLogRecord(pickle.loads(pickled[4:]))

    for passed in (queued, sent):
        assert same(passed(ValueError("a")), passed(ValueError("b")))
        assert not same(passed(ValueError("a")), passed(KeyError("a")))


def test_a_formatted_group_tells_its_members_and_text_that_is_no_traceback_its_end() -> None:
    def told(*members: Exception) -> logging.LogRecord:
        return record("failed", exc_text=formatted(ExceptionGroup("some", members)))

    assert same(told(ValueError("a"), KeyError("b")), told(ValueError("c"), KeyError("d")))
    assert not same(told(ValueError("a")), told(KeyError("a")))
    assert same(record(exc_text="5 went wrong: "), record(exc_text="6 went wrong: "))
    assert not same(record(exc_text="all went wrong"), record(exc_text="some went wrong"))


# A different exception is never behind the same text

KINDS = [ValueError, KeyError, OSError, type("Error", (Exception,), {"__module__": "a"})]
KINDS.append(type("Error", (Exception,), {"__module__": "b"}))
KIND = st.sampled_from(range(len(KINDS)))
WAYS = ["exc_info", "argument", "mapping", "message", "cause", "context", "member", "deep", "exc_text", "text argument"]


def told(way: str, error: Exception) -> logging.LogRecord:
    """A record with the same text whatever the exception is, which it has in one of many ways."""
    outer = RuntimeError("failed")
    if way == "cause":
        outer.__cause__ = error
    elif way == "context":
        outer.__context__ = error
    group = ExceptionGroup("failed", [ValueError("x"), ExceptionGroup("more", [*[KeyError()] * 20, error])])
    for _ in range(50):
        group = ExceptionGroup("failed", [group])
    return {
        "exc_info": lambda: raised(error),
        "argument": lambda: record("failed: %s", error),
        "mapping": lambda: record("failed: %(error)s", {"error": error}),
        "message": lambda: record(error),
        "cause": lambda: raised(outer),
        "context": lambda: raised(outer),
        "member": lambda: raised(group),
        "deep": lambda: raised(ExceptionGroup("failed", [chained(error)])),
        "exc_text": lambda: record("failed", exc_text=formatted(error)),
        "text argument": lambda: record("failed:\n%s", formatted(error)),
    }[way]()


def chained(error: Exception) -> Exception:
    outer = error
    for _ in range(100):
        wrapper = RuntimeError("failed")
        wrapper.__cause__ = outer
        outer = wrapper
    return outer


@given(way=st.sampled_from(WAYS), one=KIND, other=KIND, line=st.integers(0, 3), lines=st.integers(0, 3))
def test_grouping_never_hides_a_different_exception_behind_the_same_text(
    way: str, one: int, other: int, line: int, lines: int
) -> None:
    records = (told(way, at(line, KINDS[one]("the same"))), told(way, at(lines, KINDS[other]("the same"))))
    assert same(*records) == ((one, line) == (other, lines))


def test_the_order_and_number_of_members_and_retries_do_not_matter() -> None:
    first, second = at(3, ValueError("a")), at(4, KeyError("b"))
    assert same(raised(ExceptionGroup("x", [first, second])), raised(ExceptionGroup("x", [second, first, first])))
    assert same(raised(chain(3)), raised(chain(30)))


def test_an_exception_that_is_its_own_cause_is_looked_at_once() -> None:
    error = ValueError("a")
    error.__cause__ = error
    assert same(raised(error), raised(error))


def test_of_more_exceptions_than_one_can_look_at_some_tell_the_trouble() -> None:
    started = time.perf_counter()
    crowd = raised(ExceptionGroup("x", [ValueError(str(number)) for number in range(100_000)]))
    assert same(crowd, crowd)
    assert time.perf_counter() - started < 10


@given(
    st.lists(
        st.sampled_from(["Order", "failed", "for", "since", "by"]) | st.sampled_from(range(7)), min_size=1, max_size=8
    ),
    st.data(),
)
def test_what_varies_does_not_matter_and_words_do(parts: list[str | int], data: st.DataObject) -> None:
    varying = (
        st.integers(0, 10**12).map(str),
        st.floats(0, 1e6).map(lambda number: f"{number:.4f}"),
        st.uuids().map(str),
        st.binary(min_size=4, max_size=32).map(lambda raw: f"0x{raw.hex()}"),
        st.ip_addresses(v=4).map(str),
        st.datetimes().map(lambda when: when.strftime("%Y-%m-%d %H:%M:%S")),
        st.lists(st.sampled_from(["srv", "x.csv", "17", "a-b"]), min_size=2, max_size=4).map(
            lambda names: f"/{'/'.join(names)}"
        ),
    )
    texts = [" ".join(part if isinstance(part, str) else data.draw(varying[part]) for part in parts) for _ in range(2)]
    assert same(*map(record, texts))
    words = {part for part in parts if isinstance(part, str)}
    assert all(word in shape(texts[0]) for word in words)


def test_arguments_that_are_neither_a_tuple_nor_a_dict_break_nothing() -> None:
    first, second = record("Quota used: %d"), record("Quota used: %d")
    first.args, second.args = [1], [2]  # type: ignore[assignment]
    assert fingerprint(first) == fingerprint(second)
