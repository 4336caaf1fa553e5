"""The courier's thread: when it starts, gathers, answers and leaves, what it survives, and the forks around it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from alertlog import AlertHandler
from alertlog.alert import Alert
from alertlog.courier import GATHER, LAST_LOOKS, Courier
from alertlog.intake import Intake
from alertlog.letter import Wording
from alertlog.planning import Post
from alertlog.policy import Pace
from alertlog.rounds import Rounds
from alertlog.settings import read_smtp
from alertlog.testing import MailServer, ManualClock
from tests.behaviours import PATIENCE
from tests.programs import Site, address, told
from tests.sessions import eventually
from tests.stories import OWNER, Recorder, Story, alert, count

NO_STACK = 2**46
"""Bytes; no machine has the memory for a thread with such a stack."""


class Watched(Rounds):
    """Rounds that a test can follow, hold up and disturb."""

    def __init__(self, story: Threaded) -> None:
        post = Post(Pace(), lambda: Wording(OWNER.service), lambda: read_smtp(story.environ))
        super().__init__(story.place, OWNER, post, story.intake, story.recorder, story.clock)
        self.starts: list[float] = []
        self.done: list[bool] = []
        self.idents: set[int] = set()
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.released = 0
        self.errors: list[Exception] = []
        self.at_release: Callable[[], object] = lambda: None
        self.after_round: Callable[[], object] = lambda: None

    def once(self, *, leaving: bool) -> None:
        self.starts.append(time.monotonic())
        self.idents.add(threading.get_ident())
        self.began.set()
        assert self.go_on.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop(0)
        super().once(leaving=leaving)
        self.done.append(leaving)
        self.after_round()

    def release(self) -> bool:
        left_behind = super().release()
        self.released += 1
        self.at_release()
        return left_behind


class Threaded:
    """A courier with a thread of its own; what its rounds do can be watched."""

    def __init__(self, place: Path, server: MailServer) -> None:
        self.place = place
        self.environ = address(server)
        self.clock = ManualClock()
        self.recorder = Recorder()
        self.intake = Intake(place, OWNER, self.clock, lambda _alert, _error: None)
        self.rounds = Watched(self)
        self.prepared = 0
        self.courier = Courier(self._prepare, self.intake, self.recorder)

    def _prepare(self) -> Watched:
        self.prepared += 1
        return self.rounds

    def alert(self, message: str = "Disk full") -> Alert:
        made = alert(message, self.clock)
        self.intake.add(made)
        return made

    def ask(self, *, leaving: bool = False) -> None:
        assert self.courier.ask(leaving=leaving, timeout=PATIENCE)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as running:
        yield running


@pytest.fixture
def threaded(tmp_path: Path, server: MailServer) -> Iterator[Threaded]:
    made = Threaded(tmp_path / "alerts.sqlite3", server)
    yield made
    made.rounds.go_on.set()
    made.rounds.at_release = lambda: None
    while made.courier.ident:
        made.courier.ask(leaving=True, timeout=PATIENCE)


@pytest.fixture
def no_threads(threaded: Threaded) -> Iterator[Threaded]:
    """Meanwhile no thread can be started; the server has its own already."""
    before = threading.stack_size(NO_STACK)
    yield threaded
    threading.stack_size(before)


def couriers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "alertlog-courier"]


# Start, wake, gather


def test_a_courier_sleeps_until_it_is_started_and_starts_but_once(threaded: Threaded) -> None:
    dormant = [threaded.courier.dormant]
    threaded.alert()
    threaded.courier.wake()
    assert (threaded.courier.ident, couriers()) == (0, [])
    assert threaded.courier.start()
    assert threaded.courier.start()
    dormant.append(threaded.courier.dormant)
    assert dormant == [True, False]
    (thread,) = couriers()
    assert thread.daemon  # it must not keep a program from ending
    assert eventually(lambda: threaded.courier.ident == thread.ident)


def test_of_many_threads_that_start_a_courier_one_does(threaded: Threaded) -> None:
    together = threading.Barrier(8)

    def start() -> None:
        together.wait(PATIENCE)
        threaded.courier.start()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            starting = [threading.Thread(target=start) for _ in range(8)]
            for thread in starting:
                thread.start()
            for thread in starting:
                thread.join(PATIENCE)
            assert len(couriers()) == 1
            threaded.ask(leaving=True)
            assert eventually(lambda: not couriers())
    finally:
        sys.setswitchinterval(before)


def test_an_alert_is_mailed_without_anybody_waiting_for_it(threaded: Threaded, server: MailServer) -> None:
    threaded.courier.start()
    threaded.alert()
    threaded.courier.wake()
    (mail,) = server.wait_for(1)
    assert count(mail) == 1
    assert threaded.rounds.idents == {threaded.courier.ident}


def test_a_courier_looks_by_itself_too(threaded: Threaded, server: MailServer) -> None:
    threaded.courier.start()
    threaded.alert()  # as another process would, which wakes nobody here
    server.wait_for(1)
    assert threaded.prepared == 1


def test_a_burst_is_one_piece_of_work_however_often_it_wakes(threaded: Threaded, server: MailServer) -> None:
    for number in range(1_000):
        threaded.alert(f"Disk {'abcdefghij'[number % 10]} full")
        threaded.courier.wake()
    threaded.ask()
    assert threaded.rounds.done == [False]
    opening, digest = server.mails
    assert (count(opening), count(digest)) == (100, 900)


def test_while_a_burst_lasts_rounds_begin_no_more_often_than_once_a_second(
    threaded: Threaded, server: MailServer
) -> None:
    threaded.courier.start()
    raised = 0
    while len(threaded.rounds.starts) < 3:
        raised += 1
        threaded.alert(f"Trouble of kind {'abcdefghij'[raised % 10]}")
        threaded.courier.wake()
        threading.Event().wait(0.02)
    threaded.ask(leaving=True)
    first, second, third = threaded.rounds.starts[:3]
    # Less than the whole second between them only by as much as the first of two was late for its turn.
    assert min(second - first, third - second) > 0.5
    assert told(server.mails) == raised


def test_the_first_alert_after_a_pause_is_worked_on_soon_and_what_follows_it_when_the_second_is_over(
    threaded: Threaded, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertlog.courier.IDLE", PATIENCE)
    threaded.courier.start()
    threaded.alert("Disk a full")
    threaded.courier.wake()
    server.wait_for(1)
    for letter in "bc":
        threaded.alert(f"Disk {letter} full")
        threaded.courier.wake()
        threading.Event().wait(2 * GATHER)
    assert len(threaded.rounds.done) == 1
    threaded.ask()  # who waits ends it at once
    assert len(threaded.rounds.done) == 2
    assert told(server.mails) == 3


def test_after_a_round_that_somebody_waited_for_the_next_alert_is_the_first_after_a_pause(
    threaded: Threaded, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertlog.courier.IDLE", PATIENCE)
    for number in range(2):
        threaded.alert(f"Disk {'ab'[number]} full")
        threaded.ask()
    threaded.alert("Disk c full")
    threaded.courier.wake()
    server.wait_for(3)


def test_what_comes_while_it_gathers_is_part_of_the_same_work(threaded: Threaded, server: MailServer) -> None:
    threaded.courier.start()
    threaded.alert("Disk a full")
    threaded.courier.wake()
    while not server.mails:
        threaded.alert("Disk a full")
        threaded.courier.wake()
        threading.Event().wait(0.01)
    assert count(server.mails[0]) > 1


def test_a_program_without_alerts_costs_no_rounds_and_no_file(threaded: Threaded) -> None:
    threaded.ask()
    threaded.ask(leaving=True)
    assert threaded.prepared == 0
    assert list(threaded.place.parent.iterdir()) == []


# Ask and leave


def test_who_asks_gets_what_is_due_delivered(threaded: Threaded, server: MailServer) -> None:
    threaded.alert()
    threaded.ask()
    assert len(server.mails) == 1
    threaded.alert("Another trouble")
    threaded.ask()
    assert len(server.mails) == 2
    assert couriers()


def test_who_asks_waits_no_longer_than_allowed_and_the_work_goes_on(threaded: Threaded, server: MailServer) -> None:
    threaded.rounds.go_on.clear()
    threaded.alert()
    assert not threaded.courier.ask(leaving=False, timeout=0.05)
    threaded.rounds.go_on.set()
    server.wait_for(1)


def test_all_who_ask_meanwhile_are_answered_by_the_next_round(threaded: Threaded) -> None:
    threaded.rounds.go_on.clear()
    threaded.alert()
    threaded.courier.start()
    assert threaded.rounds.began.wait(PATIENCE)
    asking = [threading.Thread(target=threaded.ask) for _ in range(5)]
    for thread in asking:
        thread.start()
    threaded.rounds.go_on.set()
    for thread in asking:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in asking)


def test_leaving_is_the_last_round_it_tells_what_is_untold_and_gives_the_outbox_up(
    threaded: Threaded, server: MailServer
) -> None:
    made = threaded.alert()
    threaded.ask()
    assert threaded.intake.repeat(made.fingerprint, made.level, made.created)
    threaded.ask(leaving=True)
    assert threaded.rounds.done[-1] is True
    assert threaded.rounds.released == 1
    assert threaded.courier.ident == 0
    assert eventually(lambda: not couriers())
    assert told(server.mails) == 2


def test_after_leaving_everything_begins_anew(threaded: Threaded, server: MailServer) -> None:
    for number in range(3):
        threaded.alert(f"Disk {'abc'[number]} full")
        threaded.courier.wake()
        assert threaded.courier.start()
        threaded.ask(leaving=True)
        assert len(server.mails) == number + 1
    assert threaded.prepared == 1
    assert threaded.rounds.released == 3


def test_an_alert_while_it_leaves_is_not_left_behind(threaded: Threaded, server: MailServer) -> None:
    def interrupt() -> None:
        threaded.rounds.at_release = lambda: None
        threaded.alert("The last trouble")
        threaded.courier.wake()

    threaded.rounds.at_release = interrupt
    threaded.alert()
    threaded.ask(leaving=True)
    server.wait_for(2)
    assert threaded.courier.ident != 0
    assert len(couriers()) == 1


def test_a_courier_that_is_started_while_the_last_one_leaves_takes_over(threaded: Threaded, server: MailServer) -> None:
    def start(frame: FrameType, _event: str, _value: object) -> None:
        if frame.f_code is threading.current_thread.__code__:  # asked for between the two looks at who is there
            sys.setprofile(None)
            threaded.courier.start()

    def interrupt() -> None:
        threaded.rounds.at_release = lambda: None
        threaded.alert("The last trouble")
        threaded.courier.wake()
        sys.setprofile(start)

    threaded.rounds.at_release = interrupt
    threaded.alert()
    threaded.ask(leaving=True)
    server.wait_for(2)
    assert len(threaded.rounds.idents) == 2
    assert eventually(lambda: [thread.ident for thread in couriers()] == [threaded.courier.ident])


@pytest.mark.parametrize(("leaving", "looks"), [(2, 2), (9, LAST_LOOKS)])
def test_what_processes_leave_just_before_the_last_courier_does_is_taken_along_but_not_for_ever(
    threaded: Threaded, server: MailServer, leaving: int, looks: int
) -> None:
    left = [f"Disk {number} full" for number in range(leaving)]

    def leave() -> None:
        if left:
            other = Intake(threaded.place, OWNER, threaded.clock, lambda _alert, _error: None)
            other.add(alert(left.pop(), threaded.clock))
            other.forget()

    threaded.rounds.after_round = leave
    threaded.alert("Disk a full")
    threaded.ask(leaving=True)
    assert threaded.courier.ident == 0
    assert threaded.rounds.done == [True] * (1 + looks)
    assert told(server.mails) == 1 + looks


# Nothing ends it


def test_where_no_thread_is_to_be_had_nobody_waits_and_a_later_try_succeeds(
    no_threads: Threaded, server: MailServer
) -> None:
    no_threads.alert()
    assert not no_threads.courier.start()
    began = time.monotonic()
    assert not no_threads.courier.ask(leaving=False, timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    assert not no_threads.courier.dormant
    threading.stack_size(0)
    assert no_threads.courier.start()
    server.wait_for(1)


def test_when_the_interpreter_is_ending_no_thread_is_asked_for(
    threaded: Threaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ending:
        ending.setattr(sys, "is_finalizing", lambda: True)
        assert not threaded.courier.start()
    assert not couriers()
    threaded.ask()


def test_an_unexpected_error_is_reported_once_and_the_thread_goes_on(threaded: Threaded, server: MailServer) -> None:
    threaded.rounds.errors = [RuntimeError("strange"), RuntimeError("strange"), ValueError("stranger")]
    threaded.alert()
    for _ in range(3):
        threaded.ask()
    troubles = [event.message for event in threaded.recorder.named("smtp_send_failed")]
    assert troubles == ["the courier failed: RuntimeError: strange", "the courier failed: ValueError: stranger"]
    threaded.ask()
    assert len(server.mails) == 1
    threaded.rounds.errors = [ValueError("stranger")]
    threaded.ask()
    assert len(threaded.recorder.named("smtp_send_failed")) == 3


def test_rounds_that_cannot_be_prepared_are_tried_again_at_each_look(tmp_path: Path, server: MailServer) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    failures: list[Exception] = [ImportError("no module named sqlite3")]

    def prepare() -> Rounds:
        if failures:
            raise failures.pop()
        return story._prepare()

    story.courier = Courier(prepare, story.intake, story.recorder)
    story.alert()
    story.work()
    assert [event.fields["stage"] for event in story.recorder.events] == ["courier"]
    story.work(1)
    assert len(server.mails) == 1


def test_each_look_is_one_for_secrets_first_even_where_nothing_is_there(tmp_path: Path) -> None:
    story, seen = Story(tmp_path / "alerts.sqlite3", None), list[str]()

    def prepare() -> Rounds:
        seen.append("prepared")
        return story._prepare()

    courier = Courier(prepare, story.intake, story.recorder, lambda: seen.append("learnt"))
    courier.step()
    assert seen == ["learnt"]
    story.alert()
    courier.step()
    courier.step()
    assert seen == ["learnt", "learnt", "prepared", "learnt"]


def test_a_record_from_the_couriers_own_thread_is_never_an_alert(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever listens to events, and logs them as his own, would have mail about mail for ever."""
    for name, value in address(server).items():
        monkeypatch.setenv(name, value)
    program, events = logging.getLogger("courier.test"), logging.getLogger("alertlog")
    threads: list[int] = []

    class Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            threads.append(threading.get_ident())
            program.critical("An event: %s", record.getMessage())

    handler, echo = AlertHandler(outbox=tmp_path / "alerts.sqlite3"), Echo()
    program.addHandler(handler)
    events.addHandler(echo)
    events.setLevel(logging.INFO)
    try:
        program.critical("Disk full")
        server.wait_for(1)
        assert eventually(lambda: len(threads) >= 2)
        assert set(threads) == {handler.works.courier.ident}
        handler.flush()
        assert len(server.mails) == 1
    finally:
        events.removeHandler(echo)
        events.setLevel(logging.NOTSET)
        program.removeHandler(handler)
        handler.close()
    assert told(server.mails) == 1


# Forks


def test_a_child_forgets_what_its_parent_accepted_and_has_a_courier_of_its_own(
    tmp_path: Path, server: MailServer
) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    story.alert()
    story.work()
    story.alert(times=3)
    story.courier.start()
    assert eventually(lambda: story.courier.ident != 0)
    story.courier.ask(leaving=True, timeout=PATIENCE)
    story.courier.before_fork()
    story.courier.after_fork()
    story.courier.before_fork()
    story.courier.after_fork_in_child()
    assert story.courier.dormant
    assert story.courier.ident == 0
    assert story.intake.journal is None


def test_a_fork_before_there_was_anything_changes_nothing(tmp_path: Path, server: MailServer) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    for _ in range(2):
        story.courier.before_fork()
        story.courier.after_fork()
    story.alert()
    story.work()
    assert len(server.mails) == 1


def test_a_fork_that_the_courier_did_not_let_in_gives_no_lock_back(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertlog.rounds.FORK_WAIT", 0.05)
    story = Story(tmp_path / "alerts.sqlite3", server)
    story.alert()
    story.work()
    assert story.rounds is not None
    assert story.rounds.before_fork()  # who holds the lock now is not this courier's fork
    story.courier.before_fork()
    story.courier.after_fork()
    story.rounds.after_fork()
    story.alert("Another trouble")
    story.work(1)
    assert told(server.mails) == 2


def test_a_courier_that_was_made_during_a_fork_has_nothing_to_give_back(tmp_path: Path, server: MailServer) -> None:
    story = Story(tmp_path / "alerts.sqlite3", server)
    story.courier.after_fork()
    story.alert()
    story.work()
    story.courier.after_fork()
    story.alert("Another trouble")
    story.work(1)
    assert told(server.mails) == 2


def test_a_child_does_not_even_close_a_database_that_was_in_use_when_it_was_forked(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertlog.rounds.FORK_WAIT", 0.05)
    story = Story(tmp_path / "alerts.sqlite3", server)
    story.alert()
    story.work()
    assert story.rounds is not None
    assert story.rounds.before_fork()  # by whom the database is in use
    story.courier.before_fork()
    story.courier.after_fork_in_child()
    story.rounds.after_fork()
    in_use = story.rounds
    story.alert("In the child")
    story.work(1)
    assert story.rounds is not in_use
    assert in_use.owns  # nothing of it was touched
    in_use.release()
    story.work(1)
    assert told(server.mails) == 2


def test_parent_and_child_of_a_real_fork_both_tell_what_they_accepted_and_nothing_twice(
    tmp_path: Path, server: MailServer
) -> None:
    program = """
        handler = AlertHandler()
        log.addHandler(handler)
        log.critical("Before the fork")
        log.critical("Before the fork")
        child = os.fork()
        log.critical("In the child" if child == 0 else "In the parent")
        if child == 0:
            handler.close()
            os._exit(0)
        os.waitpid(child, 0)
        handler.close()
    """
    outcome = Site(tmp_path, server).run(program)
    assert outcome.status == 0
    assert told(server.mails) == 4
