"""The intake: each alert is accepted once, each repeat is counted once, whoever else is at work meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alertlog.alert import Tally
from alertlog.bounds import is_folded
from alertlog.crowd import CROWD, KINDS, LOOSE
from alertlog.intake import JOURNAL_LIMIT, MARKS_LIMIT, MEMORY_LIMIT, OPEN_FOR, OPEN_LIMIT, Intake
from alertlog.journal import Journal
from alertlog.testing import ManualClock
from tests.support import OWNER, TIME, Taken, all_of, child, fill, small_disk, some_alert


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    return Taken(tmp_path / "state" / "alerts.sqlite3")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 256) as place:
        yield place


def in_threads(work: Callable[[int], None], number: int) -> None:
    """Do it in so many threads at once, each with its number."""
    threads = [threading.Thread(target=work, args=(name,)) for name in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Accepting


def test_an_intake_opens_nothing_before_the_first_alert(taken: Taken) -> None:
    assert taken.intake.nothing_there()
    assert taken.place is not None
    assert not taken.place.parent.exists()
    taken.log()
    assert not taken.intake.nothing_there()
    assert len(taken.paths) == 1


def test_an_alert_is_in_the_journal_when_add_returns(taken: Taken) -> None:
    taken.log("Disk full")
    (tally,) = taken.written
    assert tally == Tally(some_alert("Disk full"), 1, TIME, TIME)
    assert taken.refused == []


def test_what_only_memory_holds_is_told_before_add_returns(taken: Taken) -> None:
    assert taken.place is not None
    taken.place.parent.write_text("a file in the place of the folder")
    taken.log("Disk full")
    taken.log("Disk full", times=2)
    ((alert, error),) = taken.refused
    assert (alert, error.stage) == (some_alert("Disk full"), "journal")
    assert [tally.count for tally in taken.intake.memory] == [1]
    taken.intake.write_counts()
    assert [tally.count for tally in taken.intake.memory] == [1, 2]


def test_without_a_place_memory_holds_it() -> None:
    taken = Taken(None)
    assert taken.intake.nothing_there()
    taken.log()
    assert len(taken.intake.memory) == len(taken.refused) == 1
    assert not taken.intake.nothing_there()


def test_memory_holds_so_many_alerts_the_others_are_counted_by_kind_and_each_is_told_whole() -> None:
    taken = Taken(None)

    def flood(name: int) -> None:
        for number in range(6_000):
            taken.intake.add(some_alert(f"{name}-{number} full", kind=f"{number % 3}"))

    in_threads(flood, 4)
    assert len(taken.intake.memory) <= MEMORY_LIMIT + 4
    assert len(taken.refused) == len({alert.message for alert, _error in taken.refused}) == 24_000
    held = list[Tally]()
    while some := taken.intake.take_memory(1_000):
        held += some
    assert sum(tally.count for tally in held) == 24_000
    assert len(held) <= MEMORY_LIMIT + 2 * LOOSE
    assert not taken.intake.in_memory
    folded = [tally for tally in held if is_folded(tally.alert)]
    assert sum(tally.count for tally in folded) == 24_000 - (len(held) - len(folded))
    assert {tally.alert.kind for tally in folded} == {"0", "1", "2"}


def test_of_too_many_kinds_memory_counts_the_alerts_together_and_none_ends_anything() -> None:
    taken = Taken(None)
    for number in range(MEMORY_LIMIT + 4 * LOOSE):
        taken.intake.add(some_alert(f"{number} full", kind=f"{number}", resolved=number >= MEMORY_LIMIT + 3 * LOOSE))
    held, folded = taken.intake.take_memory(MEMORY_LIMIT), taken.intake.take_memory(MEMORY_LIMIT)
    assert (len(held), sum(tally.count for tally in folded)) == (MEMORY_LIMIT, 3 * LOOSE)
    assert len(folded) <= LOOSE
    assert max(folded, key=lambda tally: tally.count).alert.kind == ""
    assert not any(tally.alert.resolved for tally in folded)


def test_a_test_that_is_counted_with_others_makes_no_test_of_them(taken: Taken) -> None:
    taken.intake.crowd.written = 2 * CROWD + 1
    taken.intake.add(some_alert("a test", test=True))
    taken.log("one", times=2)
    taken.intake.write_counts()
    assert [(tally.alert.message, tally.alert.test, tally.count) for tally in taken.written] == [
        ("a test", False, 1),
        ("a test", False, 2),
    ]


def test_what_was_folded_in_memory_is_written_when_there_is_a_journal_again(taken: Taken) -> None:
    assert taken.place is not None
    taken.place.parent.write_text("a file in the place of the folder")
    for number in range(MEMORY_LIMIT + 20):
        taken.intake.add(some_alert(f"{number} full"))
    taken.intake.write_memory()
    assert taken.paths == []
    taken.place.parent.unlink()
    taken.intake.write_memory()
    assert not taken.intake.in_memory
    assert sum(taken.counts) == MEMORY_LIMIT + 20


# More than is read


def test_of_a_flood_that_nobody_reads_the_journals_stay_bounded_and_the_counts_exact(taken: Taken) -> None:
    def flood(name: int) -> None:
        for number in range(25_000):
            taken.intake.add(some_alert(f"{name}-{number} full {'x' * 200}", kind=f"{number % 3}"))

    in_threads(flood, 4)
    size = sum(path.stat().st_size for path in taken.paths)
    assert CROWD < size < CROWD + 100_000
    taken.intake.write_counts()
    assert sum(taken.counts) == 100_000
    folded = [tally for tally in taken.written if is_folded(tally.alert)]
    assert {tally.alert.kind for tally in folded} == {"0", "1", "2"}
    assert len(folded) < 100
    assert taken.refused == []


def test_once_what_was_written_is_read_alerts_are_written_whole_again(taken: Taken) -> None:
    crowd = taken.intake.crowd
    crowd.written = CROWD + 1
    taken.log("one", kind="a")
    taken.log("two", kind="a")
    crowd.tell(CROWD + 1, crowd.written)
    crowd.tell(0, crowd.written)
    taken.log("three", kind="a")
    taken.intake.write_counts()
    assert [(tally.alert.message, tally.count) for tally in taken.written] == [("one", 1), ("three", 1), ("one", 1)]


def test_a_worse_alert_of_a_crowd_is_written_whole_and_an_end_while_there_is_twice_the_room(taken: Taken) -> None:
    taken.log("one")
    crowd = taken.intake.crowd
    crowd.written += CROWD
    taken.log("two", level=40)
    taken.log("three", level=50)
    taken.intake.add(some_alert("one", resolved=True))
    taken.intake.add(some_alert("a test", test=True))
    crowd.written += CROWD
    taken.intake.add(some_alert("another end", resolved=True))
    taken.intake.add(some_alert("another test", test=True))
    taken.intake.write_counts()
    assert [(tally.alert.message, tally.alert.resolved, tally.count) for tally in taken.written] == [
        ("one", False, 1),
        ("two", False, 1),
        ("three", False, 1),
        ("one", True, 0),
        ("a test", False, 1),
        ("three", False, 1),
    ]


def test_a_crowd_of_many_kinds_is_counted_as_so_many_and_one_for_the_rest(taken: Taken) -> None:
    taken.intake.crowd.written = CROWD + 1
    for number in range(3 * KINDS):
        taken.log(f"{number} full", kind=f"kind {number}")
    taken.intake.write_counts()
    kinds = Counter(tally.alert.kind for tally in taken.written)
    assert len(kinds) == KINDS + 1
    assert sum(taken.counts) == 3 * KINDS
    assert sum(tally.count for tally in taken.written if tally.alert.kind == "") == 2 * KINDS


def test_where_nothing_can_be_written_any_more_a_crowd_is_told_whole(disk: Path) -> None:
    taken = Taken(disk / "alerts.sqlite3")
    taken.log("before")
    taken.intake.crowd.written = CROWD + 1
    fill(disk)
    for number in range(20):
        taken.log(f"{number} full {'x' * 5_000}")
    assert {alert.message.split()[0] for alert, _error in taken.refused} >= {str(number) for number in range(1, 20)}
    assert sum(tally.count for tally in taken.intake.memory) == 20


def test_on_a_full_disk_nothing_is_lost_and_when_there_is_room_it_is_written_in_order(disk: Path) -> None:
    taken = Taken(disk / "alerts.sqlite3")
    taken.log("before")
    filler = fill(disk)
    for number in range(10):
        taken.log(f"{number} while the disk is full {'x' * 5_000}")
    taken.intake.write_memory()
    assert [tally.alert.message[0] for tally in taken.intake.memory] == list("0123456789")
    assert len(taken.refused) == 10
    filler.unlink()
    taken.intake.write_memory()
    taken.intake.write_memory()
    assert list(taken.intake.memory) == []
    assert [tally.alert.message[0] for tally in taken.written] == list("b0123456789")


# Repeats


def test_a_repeat_costs_a_count_and_the_counts_are_written_when_asked_for(taken: Taken) -> None:
    taken.log(times=5)
    assert taken.counts == [1]
    taken.clock.advance(2)
    taken.log(times=2)
    taken.intake.write_counts()
    taken.intake.write_counts()
    assert taken.counts == [1, 6]
    assert taken.written[1] == Tally(some_alert(created=TIME), 6, TIME, TIME + 2)
    taken.log()
    taken.intake.write_counts()
    assert taken.counts == [1, 6, 1]
    assert taken.written[2].first == TIME + 2


def test_an_incident_is_open_here_for_five_seconds_then_the_alert_is_written_whole(taken: Taken) -> None:
    taken.log()
    taken.clock.advance(OPEN_FOR)
    taken.log()
    taken.clock.advance(0.1)
    taken.log("Disk still full")
    assert [tally.alert.message for tally in taken.written] == ["Disk full", "Disk still full"]
    taken.intake.write_counts()
    assert taken.counts == [1, 1, 1]


def test_a_repeat_at_a_higher_level_is_written_whole_and_one_at_a_lower_is_counted(taken: Taken) -> None:
    taken.log(level=40)
    taken.log(level=40)
    taken.log(level=50)
    taken.log(level=40)
    taken.intake.write_counts()
    assert sorted((tally.alert.level, tally.count) for tally in taken.written) == [(40, 1), (40, 1), (50, 1), (50, 1)]


def test_what_says_that_it_is_over_comes_after_the_repeats_before_it(taken: Taken) -> None:
    taken.log(times=3)
    taken.intake.add(some_alert("Disk fine", fingerprint=some_alert("Disk full").fingerprint, resolved=True))
    taken.log()
    assert [(tally.count, tally.alert.resolved) for tally in taken.written] == [
        (1, False),
        (2, False),
        (0, True),
        (1, False),
    ]


def test_a_test_is_never_a_repeat(taken: Taken) -> None:
    for _ in range(2):
        taken.intake.add(some_alert(test=True))
    assert not taken.intake.repeat(some_alert().fingerprint, 50, TIME)
    assert taken.counts == [1, 1]


def test_many_incidents_are_open_at_once_and_the_oldest_go_first(taken: Taken) -> None:
    for number in range(OPEN_LIMIT + 1):
        taken.log(f"{number} full")
        taken.log(f"{number} full")
    assert not taken.intake.repeat(some_alert("0 full").fingerprint, 50, TIME)
    assert taken.intake.repeat(some_alert(f"{OPEN_LIMIT} full").fingerprint, 50, TIME)
    taken.intake.write_counts()
    assert sum(taken.counts) == 2 * (OPEN_LIMIT + 1) + 1


def test_repeats_that_nobody_comes_for_are_written_by_the_thread_that_brings_them(taken: Taken) -> None:
    taken.log(times=MARKS_LIMIT + 2)
    assert taken.counts == [1, MARKS_LIMIT + 1]


@pytest.mark.parametrize("when", ["2026-01-01", None, float("nan"), Decimal(5), -1.0])
def test_a_repeat_without_a_real_time_is_counted(taken: Taken, when: Any) -> None:
    taken.log()
    assert taken.intake.repeat(some_alert().fingerprint, 50, when)
    taken.intake.write_counts()
    assert taken.counts == [1, 1]
    assert taken.written[1].last >= 5


def test_who_leaves_writes_everything_and_counts_no_more_until_somebody_tends_the_journal(taken: Taken) -> None:
    taken.log(times=3)
    taken.intake.retire()
    assert taken.intake.journal is None
    taken.log(times=2)
    assert sorted(taken.counts) == [1, 1, 1, 2]
    taken.intake.tend_journal()
    taken.log(times=2)
    assert sorted(taken.counts) == [1, 1, 1, 1, 2]
    taken.intake.write_counts()
    assert sum(taken.counts) == 7


def test_a_repeat_while_its_incident_is_closed_is_counted_or_written_whole(taken: Taken) -> None:
    taken.log()
    known = taken.intake._open[some_alert().fingerprint]

    class Closing(ManualClock):
        def monotonic(self) -> float:
            taken.intake.count_no_more()
            return super().monotonic()

    taken.intake._clock = Closing(TIME)
    assert not taken.intake.repeat(some_alert().fingerprint, 50, TIME), "nobody would come for the mark"
    assert not known.marks


def test_a_mark_that_somebody_took_meanwhile_is_not_counted_twice(taken: Taken) -> None:
    taken.log()

    class Slow(dict[str, Any]):
        looks = 0

        def get(self, key: str, default: Any = None) -> Any:
            self.looks += 1
            if self.looks == 2:
                taken.intake.count_no_more()
                taken.intake.write_counts()
            return super().get(key, default)

    taken.intake._open = Slow(taken.intake._open)
    assert taken.intake.repeat(some_alert().fingerprint, 50, TIME)
    assert taken.counts == [1, 1]


def test_two_threads_that_open_the_same_incident_lose_no_count(taken: Taken) -> None:
    taken.log()
    before = taken.intake._open[some_alert().fingerprint]

    class Late(dict[str, Any]):
        """Another thread is a moment faster, twice; and a third one closes what that opened the second time."""

        turns = 0

        def setdefault(self, key: str, default: Any = None) -> Any:
            self.turns += 1
            if self.turns == 1:
                before.marks.append(None)
                self[key] = before
            return before if self.turns == 2 else super().setdefault(key, default)

    taken.intake._open = Late()
    taken.intake.add(some_alert())
    taken.intake.write_counts()
    assert taken.counts == [1, 1, 1]


@pytest.mark.parametrize("kinds", [1, 7])
def test_threads_that_log_while_counts_are_written_lose_and_double_nothing(taken: Taken, kinds: int) -> None:
    done = threading.Event()
    raised: Counter[str] = Counter()
    start = threading.Barrier(5)

    def log(name: int) -> None:
        start.wait()
        for number in range(3_000):
            taken.log(f"{(name + number) % kinds} full")

    def write() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            taken.intake.write_counts()
            taken.intake.tend_journal()
            taken.clock.advance(0.5)
            if turn % 10 == 0:
                taken.intake.retire()

    threads = [threading.Thread(target=log, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    writer = threading.Thread(target=write)
    writer.start()
    start.wait()
    for thread in threads:
        thread.join()
    done.set()
    writer.join()
    taken.intake.write_counts()
    for tally in taken.written:
        raised[tally.alert.message] += tally.count
    assert sum(raised.values()) == 12_000
    assert taken.refused == []


# The journal


def test_a_long_journal_is_left_to_be_removed_and_a_new_one_begun(taken: Taken) -> None:
    taken.log()
    taken.intake.tend_journal()
    taken.log("x" * JOURNAL_LIMIT)
    assert len(taken.paths) == 1
    taken.intake.tend_journal()
    assert taken.intake.journal is None
    assert not taken.intake.retired
    taken.log("next")
    assert len(taken.paths) == 2
    assert sorted(taken.intake.begun) == [path.name for path in taken.paths]


@pytest.mark.parametrize("again", [True, False])
def test_a_journal_whose_folder_is_gone_is_kept_to_be_read(taken: Taken, again: bool) -> None:
    taken.log("before")
    assert taken.place is not None
    moved = taken.place.parent.rename(taken.place.parent.with_name("moved"))
    if again:
        taken.place.parent.mkdir()
    taken.log("lost to everyone else")
    taken.intake.tend_journal()
    (journal,) = taken.intake.retired
    assert [tally.alert.message for tally in all_of(journal.read)] == ["before", "lost to everyone else"]
    assert not taken.intake.nothing_there(), "it has to be read"
    taken.log("after")
    assert [tally.alert.message for tally in taken.written] == ["after"]
    assert len(list(moved.iterdir())) == 1


@pytest.mark.parametrize("there", ["the outbox", "a journal", "a journal in here"])
def test_what_an_earlier_process_left_is_something(taken: Taken, there: str) -> None:
    assert taken.place is not None
    taken.place.parent.mkdir()
    kept: list[Journal] = []
    if there == "the outbox":
        taken.place.touch()
    elif there == "a journal":
        Journal.create(taken.place, OWNER)
    else:
        kept.append(Journal.create(taken.place, OWNER))
    assert not taken.intake.nothing_there()
    assert Intake(taken.place.with_name("other"), OWNER, taken.clock, lambda *_: None).nothing_there()


def test_a_place_that_can_not_be_looked_at_holds_nothing(tmp_path: Path) -> None:
    taken = Taken(tmp_path / ("x" * 300) / "alerts.sqlite3")
    assert taken.intake.nothing_there()


def test_a_forked_child_begins_with_nothing(taken: Taken) -> None:
    taken.log(times=3)
    taken.intake.memory.append(Tally.one(some_alert()))
    journal = taken.intake.journal
    taken.intake.forget()
    assert (taken.intake.journal, len(taken.intake.memory), len(taken.intake.begun)) == (None, 0, 0)
    taken.intake.write_counts()
    assert taken.counts == [1]
    taken.log()
    assert taken.intake.journal not in (None, journal)


def test_what_was_accepted_survives_the_kill_of_its_process(taken: Taken, tmp_path: Path) -> None:
    program = """
import sys
from alertlog.clock import SystemClock
from alertlog.intake import Intake
from alertlog.ownership import Owner
from tests.support import some_alert

intake = Intake(Path(sys.argv[1]), Owner("shop", "alerts"), SystemClock(), lambda *_: None)
for number in range(100):
    intake.add(some_alert(f"{number} full"))
    print(number)
    if number == 30:
        input()
"""
    with child(tmp_path, program, taken.place) as process:
        for number in range(31):
            assert process.line() == str(number)
        process.kill()
    assert [tally.alert.message for tally in taken.written] == [f"{number} full" for number in range(31)]
