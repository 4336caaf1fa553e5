"""An event reaches whoever listens, else stderr, says no secret, and never disturbs the program that logs."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertlog import events
from alertlog.event_lines import FORMATTER
from alertlog.events import EVENTS, FIELDS, LOGGER, Reporter
from alertlog.redact import MARK, Redactor
from alertlog.testing import ManualClock

ROOT = Path(__file__).parent.parent
SECRET = "hunter2hunter2"
CLOCK = ManualClock(wall=1_700_000_000.25)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The logger `alertlog` under a root of its own: the test runner has put handlers on the real one."""
    logger = logging.getLogger(LOGGER)
    before = (logger.parent, logger.propagate, logger.handlers, logger.level, logger.disabled)
    logger.parent, logger.propagate, logger.handlers, logger.disabled = logging.RootLogger(0), True, [], False
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.parent, logger.propagate, logger.handlers, level, logger.disabled = before
    logger.setLevel(level)


@pytest.fixture
def stream(logger: logging.Logger) -> io.StringIO:
    assert not logger.handlers
    return io.StringIO()


@pytest.fixture
def reporter(stream: io.StringIO) -> Reporter:
    return Reporter(Redactor.of({"SMTP_PASSWORD": SECRET}), CLOCK, stream)


class Listener(logging.Handler):
    """A program's own handler, which keeps what reaches it."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Deaf(Listener):
    alertlog_handler = True


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> NoReturn:
        raise OSError(f"can't write {record.msg}")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    text = stream.getvalue()
    assert text.isascii()
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


# The vocabulary


def test_each_event_has_a_level_and_a_meaning() -> None:
    assert {event.level for event in EVENTS.values()} <= {logging.INFO, logging.WARNING, logging.ERROR}
    assert all(event.meaning for event in EVENTS.values())
    assert EVENTS["smtp_send_failed"].level == logging.ERROR
    assert EVENTS["smtp_send_succeeded"].level == logging.INFO


def test_no_field_is_called_like_an_attribute_of_every_record() -> None:
    taken = {*vars(logging.makeLogRecord({})), "message", "taskName", "level", "logger", "timestamp"}
    assert not {"event", *FIELDS} & taken


def test_an_unknown_event_or_field_is_a_programmers_mistake(reporter: Reporter, stream: io.StringIO) -> None:
    with pytest.raises(KeyError):
        reporter.report("no_such_event", "x")
    with pytest.raises(KeyError):
        reporter.report("smtp_send_failed", "x", name="x")
    assert stream.getvalue() == ""


# The fallback stream


def test_an_event_is_one_json_object_a_line(reporter: Reporter, stream: io.StringIO) -> None:
    reporter.report("smtp_send_failed", "no luck", kind="quota", smtp_code=450, retry_in_s=1.5, stage=None)
    reporter.report("incident_opened", "é\nnext\x1b[31m\u2028")
    assert lines(stream) == [
        {
            "event": "smtp_send_failed",
            "timestamp": "2023-11-14T22:13:20.250000+00:00",
            "level": "ERROR",
            "logger": "alertlog",
            "message": "smtp_send_failed: no luck",
            "kind": "quota",
            "smtp_code": 450,
            "retry_in_s": 1.5,
        },
        {
            "event": "incident_opened",
            "timestamp": "2023-11-14T22:13:20.250000+00:00",
            "level": "INFO",
            "logger": "alertlog",
            "message": "incident_opened: é next [31m ",
        },
    ]
    assert list(lines(stream)[0])[:5] == ["event", "timestamp", "level", "logger", "message"]


def test_all_fields_can_be_told(reporter: Reporter, stream: io.StringIO) -> None:
    fields = {name: f"value of {name}" for name in FIELDS}
    reporter.report("smtp_send_failed", "x", **fields)  # type: ignore[arg-type]
    (line,) = lines(stream)
    assert {name: line[name] for name in FIELDS} == fields


def test_the_level_can_be_another_one(reporter: Reporter, stream: io.StringIO) -> None:
    reporter.report("smtp_send_failed", "x", level=logging.WARNING)
    reporter.report("smtp_send_failed", "x", level=logging.DEBUG)
    assert [line["level"] for line in lines(stream)] == ["WARNING"]


def test_the_level_of_the_logger_decides_where_it_is_set(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    logger.setLevel(logging.ERROR)
    reporter.report("incident_opened", "x")
    reporter.report("smtp_send_failed", "y")
    assert [line["message"] for line in lines(stream)] == ["smtp_send_failed: y"]


@pytest.mark.parametrize("way", ["message", "text", "list", "dict", "alert", "object", "base64"])
def test_no_secret_is_told_wherever_it_stands(reporter: Reporter, stream: io.StringIO, way: str) -> None:
    said = f"535 {SECRET} refused"
    encoded = "AGV0bABodW50ZXIyaHVudGVyMg=="
    values: dict[str, dict[str, Any]] = {
        "message": {},
        "text": {"stage": said},
        "list": {"recipients": [[said]]},
        "dict": {"problems": {said: (said,)}},
        "alert": {"alert": {"message": said, "extras": {"detail": said}}},
        "object": {"alert": OSError(said)},
        "base64": {"stage": f"535 {encoded}"},
    }
    reporter.report("smtp_send_failed", said if way == "message" else "x", **values[way])
    assert SECRET not in stream.getvalue()
    assert encoded not in stream.getvalue()
    assert MARK in stream.getvalue()


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _circle() -> list[object]:
    circle: list[object] = [1]
    circle.append({"again": circle})
    return circle


def _deep() -> object:
    value: object = "bottom"
    for _ in range(100):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (10**5000, hex(10**5000)),
        (True, True),
        ("\ud800", "\ud800"),
        (b"\xff", "b'\\xff'"),
        ({1: None, "x": {2}}, {"1": None, "x": "{2}"}),
        ((1, 2), [1, 2]),
        (_circle(), [1, {"again": "[1, {'again': [...]}]"}]),
        (Unspeakable(), "<Unspeakable: RuntimeError when it was shown>"),
        (Path("/srv"), "/srv"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_loses_the_event(reporter: Reporter, stream: io.StringIO, value: object, shown: Any) -> None:
    reporter.report("smtp_send_failed", "x", alert=value)
    assert lines(stream)[0]["alert"] == shown


def test_a_deep_value_is_shown_as_text_from_some_depth_on(reporter: Reporter, stream: io.StringIO) -> None:
    reporter.report("smtp_send_failed", "x", alert=_deep())
    assert "bottom" in str(lines(stream)[0]["alert"])


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # no example changes it
@given(message=st.text(), value=VALUES)
def test_whatever_is_told_is_one_line_of_json(logger: logging.Logger, message: str, value: object) -> None:
    assert not logger.handlers
    stream = io.StringIO()
    Reporter(Redactor(), CLOCK, stream).report("smtp_send_failed", message, alert=value)
    (line,) = lines(stream)
    assert line["message"].startswith("smtp_send_failed: ")


class Refusing:
    """A redactor that fails."""

    def refresh(self) -> None:
        """There is nothing new."""

    def text(self, text: str) -> str:
        raise ValueError(text)


def test_where_redacting_fails_nothing_is_shown_of_the_text(stream: io.StringIO) -> None:
    Reporter(Refusing(), CLOCK, stream).report("smtp_send_failed", SECRET, stage=SECRET)
    assert SECRET not in stream.getvalue()
    assert lines(stream)[0]["event"] == "smtp_send_failed"


def test_without_python_json_logger_the_line_is_the_same(
    reporter: Reporter, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module(FORMATTER)
    fields: dict[str, object] = {"kind": "quota", "recipients": ["a@x.org"]}
    reporter.report("smtp_send_failed", "x", **fields)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, FORMATTER)
    reporter.report("smtp_send_failed", "x", **fields)  # type: ignore[arg-type]
    full, plain = lines(stream)
    assert plain["timestamp"] == "2023-11-14T22:13:20.250000+00:00"
    assert list(full.items()) == list(plain.items())


def test_whoever_tells_an_event_imports_nothing_for_it(tmp_path: Path) -> None:
    """Another thread may fork in the middle of the import, and the child would wait for its end for ever."""
    program = """
import sys
from alertlog.clock import SystemClock
from alertlog.events import Reporter
from alertlog.redact import Redactor
before = set(sys.modules)
Reporter(Redactor(), SystemClock()).report("smtp_send_failed", "x")
print(sorted(set(sys.modules) - before))
"""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, '"event": "smtp_send_failed"' in done.stderr) == ("[]\n", True)


class Slow(io.StringIO):
    """A stream that takes its time for each line."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.end = threading.Event(), threading.Event()
        self.busy = False

    def write(self, text: str) -> int:
        self.busy = True
        self.begun.set()
        self.end.wait(60)
        self.busy = False
        return super().write(text)


@pytest.mark.usefixtures("logger")
def test_a_fork_waits_for_a_line_that_is_being_written() -> None:
    stream = Slow()
    reporter = Reporter(Redactor(), ManualClock(), stream)
    writer = threading.Thread(target=reporter.report, args=("smtp_send_failed", "x"), daemon=True)
    writer.start()
    assert stream.begun.wait(60)
    threading.Timer(0.1, stream.end.set).start()
    child = os.fork()
    if child == 0:
        os._exit(2 if stream.busy else 0)
    assert os.waitpid(child, 0)[1] == 0
    writer.join(60)
    reporter.report("smtp_send_failed", "y")
    assert len(lines(stream)) == 2


@pytest.mark.usefixtures("logger")
def test_a_child_of_a_fork_that_could_not_wait_tells_its_own_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FORK_WAIT", 0.0)
    stream = io.StringIO()
    reporter = Reporter(Redactor(), ManualClock(), stream)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with reporter._turn():
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:
        reporter.report("smtp_send_failed", "x")
        os._exit(0 if len(lines(stream)) == 1 else 2)
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    holder.join(60)
    late = Reporter(Redactor(), ManualClock(), stream)
    late.after_fork()  # made while a fork was under way
    late.report("smtp_send_failed", "y")
    assert len(lines(stream)) == 1


def test_a_broken_clock_does_not_lose_the_event(stream: io.StringIO) -> None:
    Reporter(Redactor(), ManualClock(wall=float("inf")), stream).report("smtp_send_failed", "x")
    assert lines(stream)[0]["message"] == "smtp_send_failed can't be reported: OverflowError"


class Broken(io.StringIO):
    def write(self, text: str) -> NoReturn:
        raise BrokenPipeError(text)


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.usefixtures("logger")
@pytest.mark.parametrize("stderr", [None, Broken(), _closed(), 5], ids=["none", "broken", "closed", "odd"])
def test_a_broken_stderr_changes_nothing(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    Reporter(Redactor(), CLOCK).report("smtp_send_failed", "x")


@pytest.mark.usefixtures("logger")
def test_stderr_is_what_it_is_at_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter(Redactor(), CLOCK)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    reporter.report("smtp_send_failed", "x")
    assert len(lines(stderr)) == 1


def test_events_of_several_threads_do_not_mix(reporter: Reporter, stream: io.StringIO) -> None:
    def work(number: int) -> None:
        for attempt in range(50):
            reporter.report("smtp_send_failed", "x" * 500, attempt=number * 50 + attempt)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(line["attempt"] for line in lines(stream)) == list(range(400))


@pytest.mark.usefixtures("logger")
def test_a_thread_that_stopped_in_the_middle_of_an_event_holds_no_other_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, go_on = threading.Event(), threading.Event()

    class Stopping(io.StringIO):
        def write(self, text: str) -> int:
            if "first" in text:
                stopped.set()
                go_on.wait(60)
            return super().write(text)

    monkeypatch.setattr(events, "TURN", 0.01)
    stream = Stopping()
    reporter = Reporter(Redactor.of({}), CLOCK, stream)
    thread = threading.Thread(target=reporter.report, args=("smtp_send_failed", "the first"))
    thread.start()
    assert stopped.wait(60)
    reporter.report("smtp_send_failed", "the second")
    go_on.set()
    thread.join(60)
    assert [line["message"].split()[-1] for line in lines(stream)] == ["second", "first"]


# Whoever listens


class Quits(logging.Handler):
    """A listener that wants to end the program."""

    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(record.getMessage())


def test_a_listener_that_calls_exit_ends_nothing_and_the_event_is_told(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    logger.addHandler(Quits())
    reporter.report("smtp_send_failed", "told all the same")
    assert [line["event"] for line in lines(stream)] == ["smtp_send_failed"]


def test_a_listener_gets_a_record_with_the_fields_as_attributes(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    listener = Listener()
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    reporter.report("smtp_send_failed", f"said {SECRET}", kind="quota", problems={"A": "b"}, stage=None)
    (record,) = listener.records
    assert record.getMessage() == f"smtp_send_failed: said {MARK}"
    told = vars(record)
    assert (told["event"], told["kind"], told["problems"]) == ("smtp_send_failed", "quota", {"A": "b"})
    assert "stage" not in told
    assert (record.name, record.levelname, record.created) == ("alertlog", "ERROR", CLOCK.wall())
    assert record.msecs == 250
    assert stream.getvalue() == ""


def test_a_listener_on_the_root_logger_is_one(
    reporter: Reporter,
    stream: io.StringIO,
    logger: logging.Logger,
) -> None:
    listener = Listener()
    assert logger.parent is not None
    logger.parent.addHandler(listener)
    reporter.report("smtp_send_failed", "heard")
    logger.propagate = False
    reporter.report("smtp_send_failed", "not propagated")
    assert [record.getMessage() for record in listener.records] == ["smtp_send_failed: heard"]
    assert [line["message"] for line in lines(stream)] == ["smtp_send_failed: not propagated"]


def test_a_handler_that_takes_no_events_is_no_listener(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    logger.addHandler(Deaf())
    reporter.report("smtp_send_failed", "x")
    assert len(lines(stream)) == 1
    logger.addHandler(Listener())
    reporter.report("smtp_send_failed", "x")
    assert len(lines(stream)) == 1


def test_a_disabled_logger_does_not_lose_events(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    logger.addHandler(Listener())
    logger.disabled = True
    reporter.report("smtp_send_failed", "x")
    assert len(lines(stream)) == 1


def test_for_a_listener_the_levels_of_logging_decide(reporter: Reporter, logger: logging.Logger) -> None:
    listener = Listener()
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    reporter.report("incident_opened", "too low for the logger")
    logging.disable(logging.ERROR)
    try:
        reporter.report("smtp_send_failed", "too low for the program")
    finally:
        logging.disable(logging.NOTSET)
    assert listener.records == []


@pytest.mark.parametrize(("own", "told"), [(logging.NOTSET, ["smtp_send_failed"]), (logging.CRITICAL, [])])
def test_an_error_that_only_an_inherited_level_hides_is_told_on_the_stream(
    reporter: Reporter, logger: logging.Logger, stream: io.StringIO, own: int, told: list[str]
) -> None:
    logger.addHandler(Listener())
    logger.setLevel(own)
    assert logger.parent is not None
    logger.parent.setLevel(logging.CRITICAL)
    reporter.report("smtp_send_failed", "no server")
    reporter.report("incident_closed", "quiet")
    assert [line["event"] for line in lines(stream)] == told


def test_a_listener_that_raises_changes_nothing_and_loses_nothing(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    logger.addHandler(Failing())
    reporter.report("smtp_send_failed", "x", kind="quota")
    assert lines(stream)[0]["kind"] == "quota"


def test_the_programs_record_factory_is_used_and_may_fail(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    factory = logging.getLogRecordFactory()

    def own(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.request = circle
        return record

    def failing(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"{args} {kwargs}")

    circle = _circle()
    listener = Listener()
    logger.addHandler(listener)
    try:
        logging.setLogRecordFactory(own)
        reporter.report("smtp_send_failed", "with the factory")
        logging.setLogRecordFactory(failing)
        reporter.report("smtp_send_failed", "without it")
        logging.setLogRecordFactory(own)
        logger.handlers.clear()
        reporter.report("smtp_send_failed", "on the stream")
    finally:
        logging.setLogRecordFactory(factory)
    assert [hasattr(record, "request") for record in listener.records] == [True, False]
    assert "request" not in lines(stream)[0]


# While someone waits with a lock of logging


def test_meanwhile_events_go_past_the_listener(
    reporter: Reporter,
    stream: io.StringIO,
    logger: logging.Logger,
) -> None:
    listener = Listener()
    logger.addHandler(listener)
    with reporter.bypassing(), reporter.bypassing():
        reporter.report("smtp_send_failed", "1")
    with pytest.raises(ValueError, match="in its middle"), reporter.bypassing():
        raise ValueError("in its middle")
    with reporter.bypassing():
        reporter.report("smtp_send_failed", "2")
    reporter.report("smtp_send_failed", "3")
    assert [line["message"][-1] for line in lines(stream)] == ["1", "2"]
    assert [record.getMessage()[-1] for record in listener.records] == ["3"]


def test_meanwhile_no_lock_of_logging_is_waited_for(
    reporter: Reporter, stream: io.StringIO, logger: logging.Logger
) -> None:
    listener = Listener()
    logger.addHandler(listener)
    lock = listener.lock
    assert lock is not None
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with logging._lock, lock:  # type: ignore[attr-defined]
            held.set()
            done.wait(30)

    def report() -> None:
        with reporter.bypassing():
            reporter.report("smtp_send_failed", "x")

    holder, waiter = threading.Thread(target=hold), threading.Thread(target=report)
    holder.start()
    assert held.wait(30)
    waiter.start()
    waiter.join(30)
    hung = waiter.is_alive()
    done.set()
    holder.join(30)
    assert not hung
    assert len(lines(stream)) == 1


# Real processes


def run(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    preamble = """
import logging, os, sys
from alertlog.clock import SystemClock
from alertlog.events import Reporter
from alertlog.redact import Redactor
reporter = Reporter(Redactor.of(os.environ), SystemClock())
"""
    command = [sys.executable, "-c", preamble + script]
    env = {**os.environ, **environ}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)


def test_with_nothing_configured_json_goes_to_the_real_stderr() -> None:
    done = run(f"reporter.report('smtp_send_failed', 'said {SECRET}')", SMTP_PASSWORD=SECRET)
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == f"smtp_send_failed: said {MARK}"


def test_an_event_at_the_programs_exit_is_told() -> None:
    script = "import atexit; atexit.register(reporter.report, 'smtp_send_failed', 'the last word')"
    assert json.loads(run(script).stderr)["message"] == "smtp_send_failed: the last word"


def test_a_child_does_not_take_over_the_bypass_of_its_parent() -> None:
    script = """
logging.basicConfig(format="heard %(message)s", stream=sys.stdout)
with reporter.bypassing():
    child = os.fork()
    reporter.report("smtp_send_failed", "child" if child == 0 else "parent")
    if child == 0:
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = run(script)
    assert done.stdout == "heard smtp_send_failed: child\n"
    assert json.loads(done.stderr)["message"] == "smtp_send_failed: parent"


def test_the_json_formatter_of_the_shipped_configuration_shows_each_field() -> None:
    script = f"""
import logging.config, yaml
shipped = yaml.safe_load(open("logging.yaml"))
logging.config.dictConfig({{
    "version": 1,
    "formatters": {{"json": shipped["formatters"]["json"]}},
    "handlers": {{"out": {{"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}}}},
    "loggers": {{"alertlog": {{"handlers": ["out"], "level": "INFO"}}}},
}})
reporter.report("smtp_send_failed", "x", **{{name: [float("nan"), name] for name in {FIELDS!r}}})
"""
    done = run(script)
    line = json.loads(done.stdout)
    assert {name: line[name] for name in FIELDS} == {name: ["nan", name] for name in FIELDS}
    assert (line["event"], line["level"], line["logger"]) == ("smtp_send_failed", "ERROR", "alertlog")
    assert line["message"] == "smtp_send_failed: x"
    assert line["timestamp"].endswith("+00:00")
    assert not {"levelname", "name", "taskName"} & set(line)
    assert done.stderr == ""
