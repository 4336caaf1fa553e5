"""What was logged before an alert: each task's own records, as they were at the call, in bounds and without secrets."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import queue
import sys
import threading
import tracemalloc
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from alertlog import AlertHandler, context
from alertlog.alert import Alert, Tally
from alertlog.context import CONTEXTS_A_SECOND, KEPT_LINES, Trails
from alertlog.lines import CONTEXT_LIMIT, LINE_LIMIT
from alertlog.redact import MARK, Redactor
from alertlog.testing import MailServer, ManualClock
from tests.behaviours import PATIENCE
from tests.programs import Site
from tests.support import TIME, Plain, record, some_alert

SECRET = "hunter2-correct-horse-battery"
KNOWING = Redactor.of({"SHOP_PASSWORD": SECRET})


@pytest.fixture
def trails() -> Trails:
    return kept(50)


def kept(lines: int) -> Trails:
    return Trails(lines, ManualClock().monotonic)


def said(trails: Trails) -> list[str]:
    """The texts of what came before, in this task."""
    return [text for *_, text in trails.before(Plain())]


def in_thread(act: Callable[[], Any]) -> Any:
    """What this does in a new thread."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(act).result(PATIENCE)


# What is kept


def test_the_last_records_come_oldest_first_with_time_level_and_logger() -> None:
    trails = kept(2)
    for number in range(5):
        trails.add(record("step %d", number, created=TIME + number, levelname="INFO", name="etl"))
    assert trails.before(Plain()) == ((TIME + 3, "INFO", "etl", "step 3"), (TIME + 4, "INFO", "etl", "step 4"))


def test_with_no_lines_nothing_is_kept() -> None:
    trails = kept(0)
    trails.add(record("step"))
    assert trails.before(Plain()) == ()


def test_before_the_first_record_there_is_nothing(trails: Trails) -> None:
    assert trails.before(Plain()) == ()


class Noted:
    """Counts how often its text is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __str__(self) -> str:
        self.asked += 1
        return f"asked {self.asked}"


class Number(int):
    """An integer that says more than its number, and each time something else."""

    asked = 0

    def __str__(self) -> str:
        self.asked += 1
        return f"asked {self.asked}"


class Braces(logging.LogRecord):
    """A record whose arguments go into braces."""

    def getMessage(self) -> str:
        return str(self.msg).format(*(self.args or ()))


def test_the_text_is_that_of_the_call_though_an_argument_changes_later(trails: Trails) -> None:
    basket, named = ["pear"], {"fruit": ["fig"]}
    trails.add(record("bought %s", basket))
    trails.add(record("bought %(fruit)s", named))
    trails.add(record("it was %s", Noted()))
    trails.add(record("it was %s", Number(1)))
    basket.append("plum")
    named["fruit"].append("date")
    for _ in range(2):
        assert said(trails) == ["bought ['pear']", "bought ['fig']", "it was asked 1", "it was asked 1"]


def test_a_message_that_is_no_string_is_taken_at_the_call_too(trails: Trails) -> None:
    event = {"event": "bought"}
    trails.add(record(event))
    event["event"] = "sold"
    assert said(trails) == ["{'event': 'bought'}"]


@pytest.mark.parametrize(
    ("message", "arguments", "text"),
    [
        ("100 %", (), "100 %"),
        ("%d of %.1f for %s", (1, 2.5, "x"), "1 of 2.5 for x"),
        ("%s", ("x" * 500,), "x" * 500),
        ("%s" * 6, (1, 2, 3, 4, 5, 6), "123456"),
        ("%s", (None,), "None"),
    ],
)
def test_arguments_of_any_kind_are_filled_in(
    trails: Trails, message: str, arguments: tuple[Any, ...], text: str
) -> None:
    trails.add(record(message, *arguments))
    assert said(trails) == [text]


def test_a_record_of_the_programs_own_kind_fills_in_its_arguments_its_own_way(trails: Trails) -> None:
    trails.add(Braces("etl", 20, "etl.py", 1, "{} of {}", (1, 2), None))
    assert said(trails) == ["1 of 2"]


def test_a_text_that_was_asked_already_is_not_asked_again(trails: Trails) -> None:
    noted = Noted()
    trails.add(record("it was %s", noted), "it was asked before")
    assert (said(trails), noted.asked) == (["it was asked before"], 0)


def test_the_line_that_names_the_exception_belongs_to_the_text(trails: Trails) -> None:
    error = TimeoutError("no answer")
    trails.add(record("fetch failed", exc_info=(type(error), error, None)))
    trails.add(record("no exception", exc_info=(None, None, None)))
    assert said(trails) == ["fetch failed\nTimeoutError: no answer", "no exception"]


# Nothing raises


class Silent:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        ("only %d", ("text",), "only %d"),
        ("%s %s", (1,), "%s %s (1,)"),
        ("with %s", (Silent(),), "with %s"),
        (Silent(), (), "str() raised ValueError"),
        ("lone \ud800", (), "lone \ud800"),
    ],
)
def test_a_broken_record_still_gives_a_line(
    trails: Trails, message: Any, arguments: tuple[Any, ...], shown: str
) -> None:
    trails.add(record(message, *arguments))
    (text,) = said(trails)
    assert shown in text


def test_a_record_with_strange_parts_gives_a_line_of_the_right_types(trails: Trails) -> None:
    trails.add(record("strange", created="noon", levelname=5, name=None, exc_info="none"))
    assert trails.before(Plain()) == ((0.0, "5", "None", "strange"),)


def test_a_record_with_parts_missing_gives_none(trails: Trails) -> None:
    made = record("part of it")
    del made.created
    trails.add(made)
    assert said(trails) == []


def test_what_logs_while_it_is_asked_for_its_text_is_kept_and_without_end_is_cut_short(trails: Trails) -> None:
    class Chatty:
        asked = 0

        def __str__(self) -> str:
            self.asked += 1
            trails.add(record("asked again: %s", self))
            trails.add(record(self))
            return "chatty"

    chatty = Chatty()
    trails.add(record("outer %s", chatty))
    trails.add(record("%s", [1]))
    texts = said(trails)
    assert {"outer chatty", "asked again: chatty", "asked again: %s", "[1]"} <= set(texts)
    assert any(text.endswith("Chatty") for text in texts), "what it is, where its text is not asked for"
    assert chatty.asked < 20


# Whose it is


def test_a_thread_sees_its_own_records_only(trails: Trails) -> None:
    def job() -> list[str]:
        trails.add(record("from the thread"))
        return said(trails)

    trails.add(record("from the main thread"))
    assert in_thread(job) == ["from the thread"]
    assert said(trails) == ["from the main thread"]


def test_requests_that_take_turns_in_one_loop_see_their_own_records_only(trails: Trails) -> None:
    async def request(name: str) -> list[str]:
        for step in range(3):
            trails.add(record("%s %d", name, step))
            await asyncio.sleep(0)
        return said(trails)

    async def serve() -> tuple[list[str], list[str]]:
        return await asyncio.gather(request("a"), request("b"))

    for name, lines in zip("ab", asyncio.run(serve()), strict=True):
        assert lines == [f"{name} {step}" for step in range(3)]


def test_a_task_begins_with_what_its_parent_logged_and_leaves_it_alone(trails: Trails) -> None:
    async def child() -> list[str]:
        before_all = said(trails)
        trails.add(record("child"))
        assert before_all == ["thread", "parent"]
        return said(trails)

    async def parent() -> list[str]:
        trails.add(record("parent"))
        assert await asyncio.create_task(child()) == ["thread", "parent", "child"]
        trails.add(record("parent again"))
        return said(trails)

    trails.add(record("thread"))
    assert asyncio.run(parent()) == ["thread", "parent", "parent again"]
    assert said(trails) == ["thread"]


def test_what_runs_in_to_thread_belongs_to_the_task_that_waits_for_it(trails: Trails) -> None:
    async def request(name: str) -> list[str]:
        trails.add(record("%s begins", name))
        await asyncio.to_thread(trails.add, record("%s works", name))
        trails.add(record("%s ends", name))
        return said(trails)

    async def serve() -> tuple[list[str], list[str]]:
        return await asyncio.gather(request("a"), request("b"))

    for name, lines in zip("ab", asyncio.run(serve()), strict=True):
        assert lines == [f"{name} begins", f"{name} works", f"{name} ends"]


def test_where_threads_inherit_the_context_they_have_trails_of_their_own(
    trails: Trails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "_THREADS_INHERIT", True)

    async def request() -> list[str]:
        trails.add(record("begins"))
        await asyncio.to_thread(trails.add, record("works"))
        return said(trails)

    assert asyncio.run(request()) == ["begins"]


def test_a_thread_that_is_given_the_context_of_another_one_leaves_its_trail_alone(trails: Trails) -> None:
    trails.add(record("giver"))
    copy = contextvars.copy_context()

    def job() -> list[str]:
        trails.add(record("taker"))
        return said(trails)

    assert in_thread(lambda: copy.run(job)) == ["giver", "taker"]
    assert said(trails) == ["giver"]


def test_a_callback_of_the_loop_begins_with_the_lines_of_the_task_that_set_it_up(trails: Trails) -> None:
    async def main() -> tuple[list[str], list[str]]:
        trails.add(record("task"))
        called: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        def callback() -> None:
            trails.add(record("callback"))
            called.set_result(said(trails))

        asyncio.get_running_loop().call_soon(callback)
        return await called, said(trails)

    assert asyncio.run(main()) == (["task", "callback"], ["task"])


@pytest.mark.parametrize("module", [None, ModuleType("asyncio")], ids=["not imported", "half imported"])
def test_a_program_without_asyncio_has_threads_only(
    trails: Trails, monkeypatch: pytest.MonkeyPatch, module: ModuleType | None
) -> None:
    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "asyncio")
        if module:
            patched.setitem(sys.modules, "asyncio", module)
        trails.add(record("one"))
        in_thread(lambda: trails.add(record("two")))
    trails.add(record("three"))
    assert said(trails) == ["one", "three"]


def test_two_handlers_keep_apart_what_they_were_given(trails: Trails) -> None:
    other = kept(50)
    trails.add(record("one"))
    other.add(record("other"))
    assert (said(trails), said(other)) == (["one"], ["other"])


# Bounds


class Name(str):
    """A logger's name whose end can be seen."""

    __slots__ = ("__weakref__",)


def test_a_trail_ends_with_its_thread_or_task(trails: Trails) -> None:
    names: list[weakref.ref[Name]] = []

    def log() -> None:
        name = Name("etl.thread")
        names.append(weakref.ref(name))
        trails.add(record("once", name=name))

    async def child() -> None:
        log()

    async def main() -> None:
        await asyncio.create_task(child())
        log()

    thread = threading.Thread(target=log)
    thread.start()
    thread.join(PATIENCE)
    asyncio.run(main())
    gc.collect()
    assert [name() for name in names] == [None, None, None]


class Worker:
    """A thread that does one thing after another, as it is told."""

    def __init__(self, trails: Trails) -> None:
        self._trails = trails
        self._threads = ThreadPoolExecutor(1)

    def add(self, text: str) -> None:
        self._threads.submit(self._trails.add, record(text)).result(PATIENCE)

    def said(self) -> list[str]:
        return self._threads.submit(said, self._trails).result(PATIENCE)

    def end(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def workers() -> Iterator[Callable[[Trails], Worker]]:
    begun: list[Worker] = []

    def begin(trails: Trails) -> Worker:
        begun.append(Worker(trails))
        return begun[-1]

    yield begin
    for worker in begun:
        worker.end()


def test_beyond_the_limit_the_tasks_that_began_first_lose_their_lines_and_begin_anew(
    workers: Callable[[Trails], Worker],
) -> None:
    trails = kept(KEPT_LINES // 2)
    crew = [workers(trails) for _ in range(5)]
    for number, worker in enumerate(crew):
        worker.add(f"worker {number}")
    assert [worker.said() for worker in crew] == [[], [], [], ["worker 3"], ["worker 4"]]
    crew[0].add("anew")
    assert (crew[0].said(), crew[4].said()) == (["anew"], ["worker 4"])


def test_tasks_that_ended_count_no_more(workers: Callable[[Trails], Worker]) -> None:
    trails = kept(KEPT_LINES // 2)
    lasting = workers(trails)
    lasting.add("here from the beginning")
    for _ in range(20):
        in_thread(lambda: trails.add(record("once")))
    assert lasting.said() == ["here from the beginning"]


def test_two_threads_may_thin_out_at_once(workers: Callable[[Trails], Worker]) -> None:
    class Emptied(deque[Any]):
        """Another thread takes out what is in it."""

        def popleft(self) -> Any:
            self.clear()
            return super().popleft()

    trails = kept(KEPT_LINES // 2)
    trails._begun = Emptied()
    crew = [workers(trails) for _ in range(6)]
    for worker in crew:
        worker.add("still there")
    assert [worker.said() for worker in crew] == [["still there"]] * 6


def test_forgetting_empties_all_trails_and_the_next_record_begins_them_again(
    trails: Trails, workers: Callable[[Trails], Worker]
) -> None:
    worker = workers(trails)
    trails.add(record("here"))
    worker.add("there")
    trails.forget()
    assert (said(trails), worker.said()) == ([], [])
    trails.add(record("again"))
    assert said(trails) == ["again"]


@pytest.mark.parametrize("text", ["x" * 10_000_000, "%s" + "x" * 1_500])
def test_a_long_text_is_cut_and_says_so(trails: Trails, text: str) -> None:
    trails.add(record(text, *["x"] * text.count("%")))
    assert said(trails) == ["x" * LINE_LIMIT + " [... cut]"]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (lambda: "x" * 100_000, list),
        (lambda: "%s", lambda: ["x" * 100_000]),
        (lambda: "%s" * 1_000, lambda: [f"{number}" * 50 for number in range(1_000)]),
    ],
    ids=["text", "argument", "arguments"],
)
def test_what_is_kept_is_bounded_in_memory(
    trails: Trails, message: Callable[[], str], arguments: Callable[[], list[str]]
) -> None:
    tracemalloc.start()
    try:
        for _ in range(50):
            trails.add(record(message(), *arguments()))
        kept_bytes, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(said(trails)) > 30
    assert kept_bytes < 50 * 4_000


def test_a_few_lines_of_wide_letters_are_limited_too(trails: Trails) -> None:
    for _ in range(20):
        trails.add(record("\N{GRINNING FACE}" * LINE_LIMIT))
    assert len(said(trails)) == CONTEXT_LIMIT // (4 * LINE_LIMIT)


@pytest.mark.parametrize(("letter", "bytes_each"), [("x", 1), ("é", 2), ("\ud800", 3), ("\N{GRINNING FACE}", 4)])
def test_what_an_alert_carries_is_limited_in_bytes_and_the_oldest_stays_out(letter: str, bytes_each: int) -> None:
    trails = kept(1_000)
    for number in range(500):
        trails.add(record(f"{number:03}" + letter * (LINE_LIMIT - 3)))
    lines = said(trails)
    size = len("".join(lines).encode("utf-8", "surrogatepass"))
    assert CONTEXT_LIMIT - LINE_LIMIT * bytes_each < size <= CONTEXT_LIMIT
    assert [line[:3] for line in lines] == [f"{number:03}" for number in range(500 - len(lines), 500)]


def test_lines_that_fit_are_carried_whole(trails: Trails) -> None:
    texts = [f"{number:02}" + "x" * (CONTEXT_LIMIT // 50 - 2) for number in range(50)]
    for text in texts:
        trails.add(record(text))
    assert said(trails) == texts


def test_in_a_flood_a_few_alerts_of_each_second_carry_context() -> None:
    clock = ManualClock()
    trails = Trails(50, clock.monotonic)
    trails.add(record("step"))
    for _second in range(3):
        carrying = [bool(said(trails)) for _ in range(100)]
        assert carrying == [True] * CONTEXTS_A_SECOND + [False] * (100 - CONTEXTS_A_SECOND)
        clock.advance(1.0)


# Secrets


class Counting(Plain):
    """A redactor that counts its calls."""

    calls = 0

    def harmless(self, text: str) -> bool:
        return KNOWING.harmless(text)

    def text(self, text: str) -> str:
        self.calls += 1
        return KNOWING.text(text)


def test_secrets_are_taken_out_of_all_lines_in_one_go(trails: Trails) -> None:
    redactor = Counting()
    trails.add(record("logged in with %s", SECRET))
    trails.add(record("token=a1b2c3d4e5"))
    trails.add(record("done"))
    texts = [text for *_, text in trails.before(redactor)]
    assert texts == [f"logged in with {MARK}", f"token={MARK}", "done"]
    assert redactor.calls == 1


def test_levels_and_loggers_names_are_without_secrets_too(trails: Trails) -> None:
    trails.add(record("done", levelname=f"a {SECRET}", name=f"shop.{SECRET}"))
    assert [line[1:] for line in trails.before(KNOWING)] == [(f"a {MARK}", f"shop.{MARK}", "done")]


@pytest.mark.parametrize("odd", ["a\n\0\nb", "-----BEGIN PRIVATE KEY-----\nMIIE", "Authorization: Bearer", "password="])
def test_no_line_takes_part_of_another_one_with_it(trails: Trails, odd: str) -> None:
    for text in ("before", odd, "after42 all"):
        trails.add(record(text))
    assert [text for *_, text in trails.before(KNOWING)] == ["before", KNOWING.text(odd), "after42 all"]


@pytest.mark.parametrize("filler", [".", f"{SECRET} "])
def test_no_half_of_a_secret_is_left_where_a_text_was_cut(trails: Trails, filler: str) -> None:
    longest = LINE_LIMIT + 1_024
    text = (filler * longest)[: longest - 10]
    trails.add(record(text + SECRET + text))
    ((*_, shown),) = trails.before(KNOWING)
    assert SECRET[:4] not in shown
    assert shown.endswith(" [... cut]")


# On its way


def test_context_survives_the_journal_and_what_is_none_is_refused() -> None:
    alert = some_alert(context=((TIME, "INFO", "etl", "lone \ud800"), (0.0, "", "", "")))
    assert Tally.from_json(Tally.one(alert).to_json()).alert == alert
    row = json.loads(json.dumps(alert))
    assert Alert.from_list(row[:-1]) == alert._replace(context=())
    for wrong in (["x"], [[1.0, "INFO", "etl"]], [["noon", "INFO", "etl", "x"]]):
        with pytest.raises(ValueError, match=r"unpack|convert"):
            Alert.from_list([*row[:-1], wrong])
    with pytest.raises(TypeError):
        Alert.from_list([*row[:-1], "x"])


def test_an_event_tells_the_alert_without_what_came_before() -> None:
    assert "context" not in some_alert(context=((TIME, "INFO", "etl", "before"),)).to_dict()


# The handler


class Watched:
    """A logger with a handler of its own, and what the handler accepts."""

    def __init__(self, handler: AlertHandler) -> None:
        self.handler = handler
        self.alerts: list[Alert] = []
        self.log = logging.Logger("etl", logging.DEBUG)
        self.log.addHandler(handler)
        accept = handler.works.intake.add

        def add(alert: Alert) -> None:
            self.alerts.append(alert)
            accept(alert)

        handler.works.intake.add = add  # type: ignore[method-assign]

    @property
    def before(self) -> list[str]:
        """What the last alert has as context."""
        return [text for *_, text in self.alerts[-1].context]


Watch = Callable[..., Watched]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    made: list[AlertHandler] = []

    def begin(kind: type[AlertHandler] = AlertHandler, **arguments: Any) -> Watched:
        made.append(kind(outbox=tmp_path / f"{len(made)}.sqlite3", **arguments))
        return Watched(made[-1])

    yield begin
    for handler in made:
        handler.close()


def test_an_alert_carries_what_the_handlers_level_lets_through(watch: Watch) -> None:
    watched = watch()
    watched.handler.setLevel(logging.INFO)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        watched.log.log(level, "at %d", level)
    watched.log.critical("now")
    assert watched.before == ["at 20", "at 30"]


def test_alerts_and_their_repeats_are_context_for_the_next_one(watch: Watch) -> None:
    watched = watch()
    for number in range(3):
        watched.log.critical("disk %d is full", number)
    watched.log.error("no price", exc_info=ValueError("none"), extra={"alert": "missing_price"})
    watched.log.critical("last")
    assert watched.before == [
        *(f"disk {number} is full" for number in range(3)),
        "no price\nValueError: none",
    ]


def test_a_record_that_defeats_capturing_is_context_all_the_same(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch()
    with monkeypatch.context() as patched:
        patched.setattr("alertlog.taking.snapshot", lambda *_given, **_named: 1 / 0)
        watched.log.critical("defeats")
    watched.log.critical("last")
    assert watched.before == ["defeats"]


def test_neither_a_record_that_is_kept_out_nor_an_event_of_alertlogs_is_context(watch: Watch) -> None:
    watched = watch()
    watched.log.critical("kept out", extra={"alert": False})
    watched.log.info("kept out", extra={"alert": False})
    watched.handler.handle(record("an event", name="alertlog", levelno=logging.INFO))
    watched.log.critical("now")
    assert watched.before == []


def test_the_arguments_of_an_alert_are_asked_once(watch: Watch) -> None:
    watched, noted = watch(), Noted()
    watched.log.critical("it was %s", noted)
    watched.log.info("and %s", noted)
    watched.log.critical("last")
    assert watched.before == ["it was asked 1", "and asked 2"]


def test_a_filter_keeps_records_out_and_may_change_them(watch: Watch) -> None:
    class Masking(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.msg = record.msg.replace("Ada", "A.")
            return "private" not in record.msg

    watched = watch()
    watched.log.info("before the filter")
    watched.handler.addFilter(Masking())
    watched.log.info("private matter")
    watched.log.info("Ada logged in")
    watched.log.critical("now")
    assert watched.before == ["before the filter", "A. logged in"]


def test_an_overridden_filter_or_emit_sees_every_record(watch: Watch) -> None:
    seen: list[str] = []

    class Filtering(AlertHandler):
        def filter(self, record: logging.LogRecord) -> Any:
            seen.append(record.getMessage())
            return "private" not in seen[-1]

    class Emitting(AlertHandler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            super().emit(record)

    for kind, before in ((Filtering, ["step"]), (Emitting, ["step", "private"])):
        seen.clear()
        watched = watch(kind)
        for text in ("step", "private"):
            watched.log.info(text)
        watched.log.critical("now")
        assert seen == ["step", "private", "now"]
        assert watched.before == before


def test_what_is_an_alert_goes_by_the_level_that_is_set_now(watch: Watch) -> None:
    watched = watch()
    watched.log.error("context")
    watched.handler.setLevel("ERROR")
    watched.log.error("an alert")
    assert watched.before == ["context"]
    watched.handler.setLevel(logging.INFO)
    watched.log.error("context again")
    assert [alert.message for alert in watched.alerts] == ["an alert"]


def test_a_record_that_is_only_context_starts_the_courier_too(watch: Watch) -> None:
    watched = watch()
    assert watched.handler.works.courier.dormant
    watched.log.info("an earlier process may have left something")
    assert not watched.handler.works.courier.dormant


def test_a_record_whose_level_is_no_number_neither_raises_nor_gets_lost(watch: Watch) -> None:
    watched = watch()
    watched.log.info("first")
    watched.handler.handle(record("strange", levelno="high"))
    assert watched.alerts[-1].message == "strange"


def test_with_no_context_lines_an_alert_has_none(watch: Watch) -> None:
    watched = watch(context_lines=0)
    watched.log.info("before")
    watched.log.critical("now")
    assert watched.before == []


def test_after_close_what_came_before_is_forgotten(watch: Watch) -> None:
    watched = watch()
    watched.log.info("before")
    watched.handler.close()
    watched.log.info("after")
    watched.log.critical("now")
    assert watched.before == ["after"]


@pytest.mark.parametrize("wrong", [-1, 1.0, True, "50", None])
def test_a_number_of_lines_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="context_lines: has to be"):
        AlertHandler(context_lines=wrong)


def test_secrets_of_the_environment_are_not_in_the_context(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    watched = watch()
    watched.log.info("logged in with %s", SECRET)
    watched.log.critical("now")
    assert watched.before == [f"logged in with {MARK}"]


def test_a_signal_or_finalizer_that_logs_in_the_middle_of_an_alert_is_kept_as_context(watch: Watch) -> None:
    watched = watch()

    class Noisy:
        def __str__(self) -> str:
            watched.log.info("from within")
            return "noisy"

    watched.log.critical("outer %s", Noisy())
    watched.log.critical("last")
    assert sorted(watched.before) == ["from within", "outer noisy"]


def test_behind_a_queue_listener_all_records_are_one_threads(watch: Watch) -> None:
    from logging.handlers import QueueHandler, QueueListener

    watched = watch()
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    log = logging.Logger("queued")
    log.addHandler(QueueHandler(waiting))
    listener = QueueListener(waiting, watched.handler)
    listener.start()
    log.info("from here")
    in_thread(lambda: log.info("from there"))
    log.critical("now")
    listener.stop()
    assert watched.before == ["from here", "from there"]


# Real programs


def test_the_mail_about_a_killed_process_tells_what_came_before(tmp_path: Path) -> None:
    with MailServer("none") as server:
        site = Site(tmp_path, None)
        site.run(
            """
            listen()
            log.info("32 holdings to refresh")
            log.critical("out of memory")
            die()
            """
        )
        site = Site(tmp_path, server)
        site.run('listen()\nlog.info("the next process")\nlogging.shutdown()\n')
        (mail,) = server.wait_for(1, PATIENCE)
    assert "INFO     etl: 32 holdings to refresh" in mail.text
    assert ">INFO" in mail.html
    assert ">etl: 32 holdings to refresh</td>" in mail.html
    for part in (mail.text, mail.html):
        assert "the next process" not in part


def test_a_forked_child_begins_with_its_parents_lines_and_adds_its_own(tmp_path: Path) -> None:
    with MailServer("none") as server:
        Site(tmp_path, server).run(
            """
            listen(service="etl")
            log.info("before the fork")
            child = os.fork()
            log.info("in the child" if child == 0 else "in the parent")
            if child:
                os.waitpid(child, 0)
            log.critical("child fails" if child == 0 else "parent fails")
            logging.shutdown()
            os._exit(0)
            """
        )
        mails = {mail.text.split(" fails")[0]: mail.text for mail in server.wait_for(2, PATIENCE)}
    assert {name for name in mails for line in ("before the fork", f"in the {name}") if line in mails[name]} == {
        "child",
        "parent",
    }
    assert "in the parent" not in mails["child"]
    assert "in the child" not in mails["parent"]
