"""capture_uncaught: what nobody catches is mailed, and everything else about it is as it would be without."""

from __future__ import annotations

import asyncio
import gc
import logging
import logging.config
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alertlog import AlertHandler, deployment
from alertlog.testing import MailServer
from alertlog.uncaught import ASYNCIO, Uncaught
from alertlog.works import Works
from tests.programs import Site, told

Make = Callable[..., "Heard"]


class Heard(AlertHandler):
    """A handler that keeps what it is to mail."""

    def __init__(self, **arguments: Any) -> None:
        self.records: list[logging.LogRecord] = []
        super().__init__(**{"capture_uncaught": True, **arguments})

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hooks that are there before ours, and what they were called for."""
    called: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, _value, _trace: called.append(f"main {kind.__name__}"))
    monkeypatch.setattr(threading, "excepthook", lambda args: called.append(f"thread {args.exc_type.__name__}"))
    monkeypatch.setattr(sys, "unraisablehook", lambda args: called.append(f"unraisable {args.exc_type.__name__}"))
    return called


@pytest.fixture
def make(earlier: list[str]) -> Iterator[Make]:
    made: list[Heard] = []

    def heard(**arguments: Any) -> Heard:
        made.append(Heard(**arguments))
        return made[-1]

    yield heard
    for handler in made:
        handler.close()


def hooks() -> tuple[Any, ...]:
    return sys.excepthook, threading.excepthook, sys.unraisablehook, tuple(logging.getLogger(ASYNCIO).handlers)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def uncaught(error: BaseException) -> None:
    """What the interpreter does with an exception that leaves the main thread."""
    error = raised(error)
    sys.excepthook(type(error), error, error.__traceback__)


def in_a_thread(error: BaseException) -> None:
    def work() -> None:
        raise error

    thread = threading.Thread(target=work, name="worker-7")
    thread.start()
    thread.join()


class Resource:
    def __del__(self) -> None:
        raise KeyError("in del")


# Real programs

PROGRAM = """
import asyncio

class Resource:
    def __del__(self):
        raise LookupError("in a finalizer")

async def job():
    raise OSError("in a task")

async def main():
    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()

def work():
    raise ValueError("in a thread")

logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"alerts": {"class": "alertlog.AlertHandler", "level": "CRITICAL", "capture_uncaught": True}},
    "root": {"handlers": ["alerts"]},
})
thread = threading.Thread(target=work, name="worker")
thread.start()
thread.join()
Resource()
asyncio.run(main())
raise KeyError("ZZZ.TO")
"""


def test_a_program_is_mailed_about_all_that_it_does_not_catch_before_it_is_gone(tmp_path: Path) -> None:
    with MailServer("none") as server:
        outcome = Site(tmp_path, server).run(PROGRAM)
        mails = server.mails
    assert outcome.status == 1
    for said in ("KeyError: 'ZZZ.TO'", "ValueError: in a thread", "LookupError: in a finalizer"):
        assert said in outcome.stderr
    assert sum(int(mail.message["X-Alertlog-Count"]) for mail in mails) == 4
    texts = "\n".join(mail.text for mail in mails)
    for said in (
        "Uncaught KeyError",
        "Uncaught ValueError in thread worker",
        "Ignored LookupError in Resource.__del__",
        "Uncaught OSError in asyncio",
    ):
        assert said in texts


def test_the_mail_about_the_end_has_the_traceback_and_the_place(tmp_path: Path) -> None:
    program = """
        AlertHandler.keep = AlertHandler(capture_uncaught=True)

        def price_of(ticker):
            return {}[ticker]

        price_of("ZZZ.TO")
    """
    with MailServer("none") as server:
        outcome = Site(tmp_path, server).run(program)
        (mail,) = server.mails
    assert outcome.status == 1
    assert "Traceback (most recent call last)" in outcome.stderr
    assert mail.subject == "[etl] CRITICAL: Uncaught KeyError"
    assert "KeyError: 'ZZZ.TO'" in mail.text
    assert "return {}[ticker]" in mail.text
    assert "price_of" in mail.text


# What is taken up


def test_by_default_no_hook_is_touched(earlier: list[str]) -> None:
    before = hooks()
    handler = AlertHandler()
    assert hooks() == before
    handler.close()
    assert hooks() == before


def test_each_hook_gives_a_critical_and_then_the_earlier_one_runs(make: Make, earlier: list[str]) -> None:
    handler = make()
    uncaught(KeyError("a"))
    in_a_thread(ValueError("b"))
    Resource()
    assert handler.messages == [
        "Uncaught KeyError",
        "Uncaught ValueError in thread worker-7",
        "Ignored KeyError in Resource.__del__",
    ]
    assert {record.levelno for record in handler.records} == {logging.CRITICAL}
    assert [record.funcName for record in handler.records] == ["raised", "work", "__del__"]
    assert earlier == ["main KeyError", "thread ValueError", "unraisable KeyError"]


def test_an_exception_without_a_traceback_or_a_thread_is_taken_too(make: Make, earlier: list[str]) -> None:
    handler = make()
    sys.excepthook(KeyError, KeyError("a"), None)
    threading.excepthook(threading.ExceptHookArgs((KeyError, KeyError("b"), None, None)))
    assert handler.messages == ["Uncaught KeyError", "Uncaught KeyError in thread "]
    assert handler.records[0].pathname == ""


@pytest.mark.parametrize(
    "end",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        BaseExceptionGroup("all", [SystemExit(1), BaseExceptionGroup("more", [KeyboardInterrupt()])]),
    ],
    ids=["ctrl-c", "exit", "group"],
)
def test_an_end_that_somebody_asked_for_is_no_alert(make: Make, earlier: list[str], end: BaseException) -> None:
    handler = make()
    uncaught(end)
    in_a_thread(end)
    assert handler.records == []
    assert earlier[0] == f"main {type(end).__name__}"


def test_a_group_in_which_anything_else_is_is_an_alert(make: Make) -> None:
    handler = make()
    uncaught(BaseExceptionGroup("all", [SystemExit(1), ValueError("x")]))
    assert handler.messages == ["Uncaught BaseExceptionGroup"]


def test_level_and_filters_of_the_handler_count_as_for_any_record(make: Make) -> None:
    above, picky = make(), make()
    above.setLevel(logging.CRITICAL + 1)
    picky.addFilter(logging.Filter("etl"))
    uncaught(KeyError("a"))
    assert above.records == picky.records == []


# Nothing of ours hides the program's own trouble


@pytest.mark.parametrize("trouble", [RuntimeError("ours"), SystemExit(5)])
def test_a_handler_that_raises_hides_nothing(make: Make, earlier: list[str], trouble: BaseException) -> None:
    class Broken(Heard):
        def handle(self, _record: logging.LogRecord) -> bool:
            raise trouble

    handler = Broken()
    uncaught(KeyError("a"))
    in_a_thread(ValueError("b"))
    handler.close()
    assert earlier == ["main KeyError", "thread ValueError"]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What is said to be lost, and why."""
    events = [record.__dict__ for record in caplog.records if record.name == "alertlog"]
    assert {event["event"] for event in events} <= {"alert_capture_failed"}
    return [(event["alert"]["message"], event["msg"].split("; ")[0]) for event in events]


@pytest.mark.parametrize("trouble", [RuntimeError("ours"), SystemExit("ours")])
def test_an_alert_that_a_handler_does_not_take_is_told_by_an_event(
    earlier: list[str], caplog: pytest.LogCaptureFixture, asyncio_log: logging.Logger, trouble: BaseException
) -> None:
    class Broken(Heard):
        def handle(self, _record: logging.LogRecord) -> bool:
            raise trouble

    handler = Broken()
    uncaught(KeyError("a"))
    lose_a_task()
    handler.close()
    why = f"alert_capture_failed: {type(trouble).__name__}: ours"
    assert said(caplog) == [("Uncaught KeyError", why), ("Uncaught ValueError in asyncio", why)]
    assert earlier == ["main KeyError"]


def test_what_can_not_even_be_asked_for_its_name_is_told_by_an_event(
    make: Make, earlier: list[str], caplog: pytest.LogCaptureFixture, asyncio_log: logging.Logger
) -> None:
    class Nameless:
        def __getattr__(self, _name: str) -> str:
            raise LookupError("no name")

    handler = make()
    asyncio_log.propagate = False
    sys.unraisablehook(SimpleNamespace(exc_type=KeyError, exc_value=None, exc_traceback=None, object=Nameless()))
    asyncio_log.error("%d", "no number", exc_info=raised(ValueError("x")))
    assert said(caplog) == [
        ("an uncaught exception", "alert_capture_failed: LookupError: no name"),
        ("an uncaught exception", "alert_capture_failed: TypeError: %d format: a real number is required, not str"),
    ]
    assert handler.records == []
    assert earlier == ["unraisable KeyError"]


def test_where_no_event_can_be_written_it_is_told_as_logging_does(
    earlier: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Heard):
        broken = False

        @property
        def works(self) -> Works:
            if self.broken:
                raise SystemExit("no works")
            return super().works

        def handle(self, _record: logging.LogRecord) -> bool:
            raise RuntimeError("ours")

    handler = Broken()
    Broken.broken = True
    uncaught(KeyError("a"))
    Broken.broken = False
    handler.close()
    said = capsys.readouterr().err
    assert "RuntimeError: ours" in said
    assert "no works" in said
    assert earlier == ["main KeyError"]


def test_a_handler_that_is_gone_by_then_has_nobody_to_tell(earlier: list[str]) -> None:
    hooks_of_one = Uncaught(AlertHandler())
    gc.collect()
    hooks_of_one._lost(KeyError("a"))
    assert earlier == []


def test_ctrl_c_in_the_middle_counts_after_the_earlier_hook(make: Make, earlier: list[str]) -> None:
    class Interrupted(Heard):
        def handle(self, _record: logging.LogRecord) -> bool:
            raise KeyboardInterrupt

    handler = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        uncaught(KeyError("a"))
    handler.close()
    assert earlier == ["main KeyError"]


# Put in once, and taken off


def test_close_takes_the_hooks_off(earlier: list[str]) -> None:
    before = hooks()
    handler = Heard()
    assert hooks() != before
    handler.close()
    assert hooks() == before
    uncaught(KeyError("a"))
    assert (handler.records, earlier) == ([], ["main KeyError"])


def test_hooks_that_others_have_put_before_ours_stay_and_ours_does_nothing_more(
    earlier: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.excepthook
    handler = Heard()
    ours = sys.excepthook

    def theirs(*arguments: Any) -> None:
        earlier.append("theirs")
        ours(*arguments)

    monkeypatch.setattr(sys, "excepthook", theirs)
    handler.close()
    assert sys.excepthook is theirs
    uncaught(KeyError("a"))
    assert (handler.records, earlier) == ([], ["theirs", "main KeyError"])
    sys.excepthook = ours
    Heard().close()
    assert sys.excepthook is before


def test_handlers_closed_in_any_order_leave_nothing_behind(earlier: list[str]) -> None:
    before = hooks()
    first, second = Heard(), Heard()
    uncaught(KeyError("a"))
    assert [len(handler.records) for handler in (first, second)] == [1, 1]
    first.close()
    uncaught(KeyError("b"))
    assert [len(handler.records) for handler in (first, second)] == [1, 2]
    second.close()
    assert hooks() == before
    assert earlier == ["main KeyError", "main KeyError"]


def test_a_handler_that_nobody_holds_takes_its_hooks_with_it(earlier: list[str]) -> None:
    before = hooks()
    Heard()
    gc.collect()
    assert hooks() == before


def test_a_second_configuration_does_not_mail_twice(earlier: list[str]) -> None:
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"heard": {"()": Heard}},
        "loggers": {"second.time": {"handlers": ["heard"]}},
    }
    before = hooks()
    for _ in range(2):
        logging.config.dictConfig(config)
    (handler,) = logging.getLogger("second.time").handlers
    assert isinstance(handler, Heard)
    uncaught(KeyError("a"))
    assert handler.messages == ["Uncaught KeyError"]
    logging.getLogger("second.time").removeHandler(handler)
    handler.close()
    assert hooks() == before


def test_a_command_that_builds_a_programs_handler_takes_up_nothing(earlier: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"handlers": {"a": {"class": "alertlog.AlertHandler", "capture_uncaught": true}}}'
    )
    before = hooks()
    handlers = deployment.handlers("a.json", tmp_path)
    assert hooks() == before
    assert [handler.works.arguments.capture_uncaught for handler in handlers] == [True]
    assert hooks() == before
    handlers[0].close()


# asyncio


def lose_a_task() -> None:
    async def job() -> None:
        raise ValueError("in a task")

    async def main() -> None:
        task = asyncio.create_task(job())
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())


@pytest.fixture
def asyncio_log() -> Iterator[logging.Logger]:
    logger = logging.getLogger(ASYNCIO)
    before = logger.propagate, logger.level
    yield logger
    logger.propagate, logger.level = before


def test_an_exception_of_a_task_that_nobody_awaits_is_an_alert_with_what_asyncio_says(
    make: Make, asyncio_log: logging.Logger
) -> None:
    handler = make()
    lose_a_task()
    assert handler.messages == ["Uncaught ValueError in asyncio"]
    assert "Task exception was never retrieved" in handler.records[0].__dict__["asyncio"]
    assert handler.records[0].exc_info is not None


@pytest.mark.parametrize("late", ["import asyncio", "logging.info('a record before')", ""])
def test_a_task_that_fails_before_anything_is_logged_is_an_alert_too(tmp_path: Path, late: str) -> None:
    program = f"""
import gc, logging
from alertlog import AlertHandler
logging.getLogger().addHandler(AlertHandler(capture_uncaught=True))
logging.getLogger().setLevel("INFO")
{late}
import asyncio


async def fails():
    raise LookupError("no price")


async def main():
    for _ in range(2):
        task = asyncio.create_task(fails())
        await asyncio.sleep(0.01)
        del task
        gc.collect()


asyncio.run(main())
"""
    with MailServer("none") as server:
        Site(tmp_path, server).run(program)
        assert told(server.mails) == 2


def test_what_asyncio_says_without_an_exception_is_none(make: Make, asyncio_log: logging.Logger) -> None:
    handler = make()
    asyncio_log.error("Unclosed connection")
    asyncio_log.error("nothing", exc_info=(None, None, None))
    assert handler.messages == ["Uncaught exception in asyncio"]


@pytest.mark.parametrize("propagate", [True, False])
def test_an_error_that_the_handler_would_mail_by_itself_is_mailed_once(
    make: Make, asyncio_log: logging.Logger, propagate: bool
) -> None:
    handler = make(alert_level="ERROR")
    asyncio_log.propagate = propagate
    logging.getLogger().addHandler(handler)
    try:
        lose_a_task()
    finally:
        logging.getLogger().removeHandler(handler)
    assert len(handler.records) == 1
    assert handler.records[0].levelno == (logging.ERROR if propagate else logging.CRITICAL)


def test_a_logger_that_is_not_there_yet_is_not_made_while_logging_is_configured(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Or a `dictConfig` that disables the loggers which exist would disable it."""
    known = logging.root.manager.loggerDict
    monkeypatch.setattr(logging.root.manager, "loggerDict", {})
    handler = make(outbox=tmp_path / "alerts.sqlite3")
    assert logging.root.manager.loggerDict == {}
    assert handler.works.arguments.capture_uncaught
    made = logging.getLogger(ASYNCIO)
    assert len(made.handlers) == 1
    assert known[ASYNCIO] is not made
    handler.close()
    assert made.handlers == []


def test_the_listener_survives_its_handler(make: Make, asyncio_log: logging.Logger) -> None:
    handler = Heard()
    (listener,) = asyncio_log.handlers
    del handler
    gc.collect()
    record = asyncio_log.makeRecord(ASYNCIO, logging.ERROR, "", 0, "late", (), None)
    listener.handle(record)
    assert asyncio_log.handlers == []
