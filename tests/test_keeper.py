"""The keeper: the file where possible, memory while it is not, and every alert counted once on the way."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from alertlog import AlertHandler, framing, keeper
from alertlog.alert import Incident, Tally
from alertlog.clearing import Removed, purge_all
from alertlog.crowd import CROWD
from alertlog.desk import desks
from alertlog.errors import OutboxError
from alertlog.gate import Gate
from alertlog.intake import JOURNAL_LIMIT
from alertlog.journal import journal_paths
from alertlog.keeper import AGAIN, PATIENCE, PIECES, Keeper
from alertlog.outbox import Outbox
from alertlog.ownership import Owner, OwnerLock
from alertlog.policy import HOUR, Bucket, Pace, Plan
from alertlog.reader import PIECE, written_at
from alertlog.testing import ManualClock
from tests.stories import Recorder
from tests.support import OWNER, Taken, child, fill, small_disk, some_alert, tally

NO_DATABASE = b"This is no database. " * 500


class Process(Taken):
    """A process that logs, and whose courier has nobody to send to."""

    def __init__(self, place: Path | None, owner: Owner = OWNER, clock: ManualClock | None = None) -> None:
        super().__init__(place, owner, clock)
        self.recorder = Recorder()
        self.keeper = Keeper(place, owner, Pace(), self.intake, self.recorder, self.clock)
        self.opened: list[Incident] = []

    def work(self, after: float = 1.0) -> Outbox | None:
        """One round, after some time; returns the outbox that was at hand."""
        self.clock.advance(after)
        self.intake.write_counts()
        self.intake.tend_journal()
        for _ in range(2):
            try:
                with self.keeper.lock:
                    outbox = self.keeper.open()
                for opened in self.keeper.ingest(outbox) if outbox else ():
                    self.opened += opened
            except OutboxError as error:
                with self.keeper.lock:
                    self.keeper.failed(error)
            else:
                return outbox
        return None

    def outbox(self) -> Outbox:
        """The outbox of a round that had one."""
        outbox = self.work()
        assert outbox is not None
        return outbox

    def end(self) -> None:
        """It is gone: the kernel closes what it had open."""
        self.keeper.release()
        self.intake.forget()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "alerts.sqlite3"


@pytest.fixture
def begin(place: Path) -> Iterator[Callable[..., Process]]:
    """Begins processes on the same outbox, with the same clock; all end with the test."""
    processes: list[Process] = []
    clock = ManualClock()

    def begin_one(owner: Owner = OWNER, place: Path | None = place) -> Process:
        processes.append(Process(place, owner, clock))
        return processes[-1]

    yield begin_one
    for process in processes:
        with suppress(FileNotFoundError):
            process.end()


@pytest.fixture
def process(begin: Callable[..., Process]) -> Process:
    return begin()


Begin = Callable[..., Process]


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Another program keeps the file to itself."""
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def counted(place: Path, owner: Owner = OWNER) -> dict[str, int]:
    """How many alerts the file holds, by incident."""
    found: dict[str, int] = {}
    with closing(Outbox(owner, Pace(), place)) as outbox:
        for incident in outbox.incidents.all():
            message = incident.alert.message
            found[message] = found.get(message, 0) + incident.count
    return found


def total(*outboxes: Outbox | Path | None) -> int:
    """How many alerts these outboxes hold."""
    held = 0
    for outbox in outboxes:
        if isinstance(outbox, Path):
            held += sum(counted(outbox).values())
        elif outbox is not None:
            held += sum(incident.count for incident in outbox.incidents.all())
    return held


def is_file(outbox: Outbox | None) -> bool:
    return outbox is not None and outbox.place is not None


def told(outbox: Outbox) -> None:
    """Have every incident mailed."""
    for incident in outbox.incidents.due(0.0):
        outbox.claim([Plan("opening", (incident,))], "example.org", incident.seen)
    for letter in outbox.letters.all():
        outbox.accept(letter, ("ada@example.org",), None, letter.created)


# The file


def test_a_program_without_alerts_makes_no_file(process: Process, place: Path) -> None:
    assert process.work() is None
    assert not place.parent.exists()
    assert process.recorder.events == []


def test_what_is_logged_is_read_once(process: Process, place: Path) -> None:
    process.log(times=3)
    assert is_file(process.work())
    assert counted(place) == {"Disk full": 3}
    process.log(times=2)
    for _ in range(3):
        process.work()
    assert counted(place) == {"Disk full": 5}
    assert [incident.alert.message for incident in process.opened] == ["Disk full"]


def test_without_a_place_memory_is_the_outbox(begin: Begin) -> None:
    process = begin(place=None)
    process.log(times=3)
    outbox = process.outbox()
    assert not is_file(outbox)
    assert total(outbox) == 3
    assert process.outbox() is outbox
    assert process.keeper.owns
    assert process.keeper.company.last_one()
    assert not process.keeper.company.left_behind()
    assert process.keeper.resume(outbox) is outbox
    process.keeper.release()


def test_of_two_processes_one_works_and_reads_what_the_other_accepts(begin: Begin, place: Path) -> None:
    first, second = begin(), begin()
    first.log("one", times=2)
    first.work()
    second.log("two", times=3)
    assert second.work() is None
    assert (first.keeper.owns, second.keeper.owns) == (True, False)
    first.work()
    assert counted(place) == {"one": 2, "two": 3}
    second.log("two", times=4)
    first.end()
    assert is_file(second.work())
    assert counted(place) == {"one": 2, "two": 7}


def test_owners_share_a_file_and_nothing_else(begin: Begin, place: Path) -> None:
    other = Owner("shop", "other")
    first, second = begin(), begin(other)
    for process in (first, second):
        process.log(times=2)
        assert is_file(process.work())
    assert counted(place) == counted(place, other) == {"Disk full": 2}


def test_what_an_earlier_process_has_read_is_not_read_again(begin: Begin, place: Path) -> None:
    first = begin()
    first.log(times=3)
    first.work()
    first.log("unread")
    first.end()
    second = begin()
    assert is_file(second.work())
    assert counted(place) == {"Disk full": 3, "unread": 1}
    assert journal_paths(place, OWNER.key) == []
    with closing(Outbox(OWNER, Pace(), place)) as outbox:
        assert outbox.journals.read_to() == {}


def test_after_the_calendar_went_back_between_two_processes_nothing_lies_in_the_future(begin: Begin) -> None:
    first = begin()
    first.log()
    told(first.outbox())
    first.end()
    second = begin()
    second.clock.set_wall(second.clock.wall() - 24 * HOUR)
    (incident,) = second.outbox().incidents.all()
    assert max(incident.seen, incident.mailed) <= second.clock.wall()


# Journals of others

LOGS = """
import sys
from alertlog.clock import SystemClock
from alertlog.intake import Intake
from alertlog.ownership import Owner
from tests.support import some_alert

intake = Intake(Path(sys.argv[1]), Owner("shop", "alerts"), SystemClock(), lambda *_: None)
for number in range(int(sys.argv[2])):
    intake.add(some_alert(f"{number % 3} full"))
print("logged")
input()
intake.add(some_alert("the last one"))
print("logged more")
input()
"""


def test_the_journals_of_killed_processes_are_read_once_and_removed(
    process: Process, place: Path, tmp_path: Path
) -> None:
    with child(tmp_path, LOGS, place, 20) as one, child(tmp_path, LOGS, place, 10) as other:
        assert (one.line(), other.line()) == ("logged", "logged")
        process.work()
        assert counted(place) == {"0 full": 11, "1 full": 10, "2 full": 9}
        assert len(journal_paths(place, OWNER.key)) == 2, "of the living, they stay"
        assert one.next() == "logged more"
        for killed in (one, other):
            killed.kill()
    for _ in range(2):
        process.work()
    assert counted(place) == {"0 full": 11, "1 full": 10, "2 full": 9, "the last one": 1}
    assert journal_paths(place, OWNER.key) == []


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal takes many pieces to read."""
    monkeypatch.setattr(framing, "READ_AT_ONCE", 1_000)


@pytest.mark.usefixtures("small_pieces")
def test_a_long_journal_is_read_over_several_rounds_and_removed_after_the_last_one(begin: Begin, place: Path) -> None:
    first = begin()
    for number in range(200):
        first.log(f"{number} full {'x' * 400}")
    first.end()
    second, seen = begin(), list[int]()
    while not seen or seen[-1] < 200:
        second.work()
        seen.append(total(place))
        assert len(journal_paths(place, OWNER.key)) == (seen[-1] < 200)
    assert seen[0] == PIECES
    assert len(second.opened) == 200


@pytest.mark.usefixtures("small_pieces")
def test_a_long_journal_of_ones_own_whose_folder_is_gone_is_read_to_its_end(process: Process, place: Path) -> None:
    for number in range(50):
        process.log(f"{number} full {'x' * 400}")
    place.parent.rename(place.parent.with_name("moved"))
    for _ in range(6):
        process.work()
    assert len(counted(place)) == 50
    assert not process.intake.retired


def test_of_a_journal_that_is_written_meanwhile_one_round_reads_what_there_was(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.log()
    outbox = process.outbox()
    process.log("one")
    ingest = outbox.ingest_piece

    def slowly(tallies: list[Tally], *rest: Any) -> list[Incident] | None:
        process.log(f"{len(process.written)} full")
        return ingest(tallies, *rest)

    monkeypatch.setattr(outbox, "ingest_piece", slowly)
    process.work()
    assert total(outbox) == 2
    monkeypatch.undo()
    process.work()
    assert total(outbox) == 3


def test_an_end_in_a_new_journal_ends_what_the_long_one_before_it_began(process: Process, place: Path) -> None:
    process.log("x" * 2_000_000)
    process.log("Disk full")
    process.intake.tend_journal()
    process.intake.add(some_alert("Disk fine", fingerprint=some_alert("Disk full").fingerprint, resolved=True))
    process.work()
    with closing(Outbox(OWNER, Pace(), place)) as outbox:
        resolved = [
            (incident.alert.message, incident.count) for incident in outbox.incidents.all() if incident.resolved
        ]
    assert resolved == [("Disk full", 1)]


def test_the_journal_of_another_handler_of_this_process_is_read_and_left_alone(begin: Begin, place: Path) -> None:
    first, second = begin(), begin()
    first.log()
    second.log("two")
    first.work()
    assert counted(place) == {"Disk full": 1, "two": 1}
    assert second.intake.journal is not None
    assert second.intake.journal.found
    second.log("three")
    first.work()
    assert counted(place) == {"Disk full": 1, "two": 1, "three": 1}


def test_what_can_not_be_read_in_a_journal_is_told_once_and_holds_nothing_up(begin: Begin, place: Path) -> None:
    first = begin()
    first.log("before")
    assert first.intake.journal is not None
    for entry in (b"{}", b"\xff", b"[" * 100_000, b'"text"', tally().to_json().replace(b"50", b'"50"')):
        first.intake.journal.append(entry)
    first.log("after")
    first.end()
    second = begin()
    for _ in range(2):
        second.work()
    assert counted(place) == {"before": 1, "after": 1}
    events = second.recorder.named("alert_capture_failed")
    assert [str(event.fields["alert"])[:4] for event in events] == ["{}", "\\xff", "[[[[", '"tex', "[1,["]
    assert journal_paths(place, OWNER.key) == []


def test_a_journal_that_can_not_be_opened_is_told_of_once_and_holds_nothing_up(process: Process, place: Path) -> None:
    process.log()
    link = place.with_name(f"{place.name}.{OWNER.key}.1-aa.journal")
    link.symlink_to(place)
    for _ in range(3):
        process.work()
    (event,) = process.recorder.events
    assert (event.name, event.fields["stage"]) == ("outbox_unavailable", "journal")
    assert str(link) in event.message
    assert counted(place) == {"Disk full": 1}


def test_a_file_that_fails_while_a_journal_is_read_is_not_taken_for_a_journal_that_does(
    begin: Begin, place: Path
) -> None:
    first = begin()
    first.log(times=2)
    first.work()
    first.log("unread")
    first.end()
    second = begin()
    assert is_file(second.work())
    third = begin()
    third.log("three")
    third.end()
    with locked(place):
        assert second.work() is None
    assert second.recorder.events == []
    second.work()
    assert counted(place) == {"Disk full": 2, "unread": 1, "three": 1}


def test_who_is_the_last_one_here_and_whether_others_have_gone(begin: Begin, place: Path, tmp_path: Path) -> None:
    process = begin()
    process.log()
    process.work()
    assert process.keeper.company.last_one()
    with child(tmp_path, LOGS, place, 1) as other:
        assert other.line() == "logged"
        assert not process.keeper.company.last_one()
        assert not process.keeper.company.left_behind()
        other.kill()
        assert process.keeper.company.left_behind()
        assert process.keeper.company.last_one()
    process.work()
    assert process.keeper.company.last_one()
    assert not process.keeper.company.left_behind()


def test_a_journal_that_can_not_be_opened_is_nobodys(process: Process, place: Path) -> None:
    process.log()
    process.work()
    place.with_name(f"{place.name}.{OWNER.key}.1-aa.journal").symlink_to(place)
    assert process.keeper.company.last_one()


# In pieces


@pytest.mark.usefixtures("small_pieces")
def test_between_two_pieces_of_a_backlog_a_fork_finds_the_outbox_free_and_both_go_on(begin: Begin, place: Path) -> None:
    first = begin()
    for number in range(PIECES):
        first.log(f"{number} full {'x' * 400}")
    first.end()
    second = begin()
    with second.keeper.lock:
        outbox = second.keeper.open()
    assert outbox is not None
    forks = 0
    for opened in second.keeper.ingest(outbox):
        assert len(opened) == 1
        assert second.keeper.lock.acquire(0.0)
        second.keeper.close()  # as before a fork
        second.keeper.lock.release()
        forks += 1
    assert forks == total(place) == PIECES


@pytest.mark.usefixtures("small_pieces")
def test_a_file_that_fails_between_two_pieces_costs_and_doubles_nothing(begin: Begin, place: Path) -> None:
    first = begin()
    for number in range(10):
        first.log(f"{number} full {'x' * 400}")
    first.end()
    second = begin()
    with second.keeper.lock:
        outbox = second.keeper.open()
    assert outbox is not None
    pieces = second.keeper.ingest(outbox)
    for _ in range(4):
        next(pieces)
    with locked(place), pytest.raises(OutboxError):
        next(pieces)
    assert total(place) == 4
    second.work()
    assert total(place) == 10


def test_much_that_only_memory_holds_comes_into_the_file_in_pieces(process: Process, place: Path) -> None:
    process.intake.memory.extend(tally(f"{number % 7} full") for number in range(2 * PIECE + 1))
    with process.keeper.lock:
        process.log()
        outbox = process.keeper.open()
    assert outbox is not None
    assert len(list(process.keeper.ingest(outbox))) == 3 + 1
    assert total(place) == 2 * PIECE + 2


def test_the_intake_hears_how_much_of_its_journals_is_read(begin: Begin, place: Path) -> None:
    process, beside = begin(), begin()
    process.log()
    process.work()
    for each in (process, beside):
        each.intake.crowd.written += 2 * CROWD
        each.log("one")
        assert each.intake.crowd.presses(some_alert())
    beside.work()
    assert not beside.intake.crowd.presses(some_alert()), "of its journals there is little to read"
    process.work()
    assert not process.intake.crowd.presses(some_alert())
    assert total(place) == 3


def test_what_memory_has_read_is_still_unread_for_the_intake(process: Process, place: Path) -> None:
    place.mkdir(parents=True)
    for number in range(6):
        process.log(f"{number} {'x' * (CROWD // 4)}")
        process.work()
    assert process.intake.crowd.presses(some_alert())
    place.rmdir()
    process.work()
    assert not process.intake.crowd.presses(some_alert())
    assert total(place) == 6


def test_of_a_flood_of_which_little_was_written_every_alert_is_counted(begin: Begin, place: Path) -> None:
    process = begin()
    for number in range(30_000):
        process.log(f"{number} full {'x' * 600}", kind=f"kind {number % 2}")
    assert sum(path.stat().st_size for path in process.paths) < CROWD + 100_000
    for _ in range(3):
        process.work()
    assert total(place) == 30_000
    process.log("one more", times=2)
    process.work()
    with closing(Outbox(OWNER, Pace(), place)) as outbox:
        assert {each.kind for each in outbox.incidents.all() if each.folded} == {"", "kind 0", "kind 1"}
    assert total(place) == 30_002


# Memory


def test_what_only_memory_holds_goes_into_the_file(process: Process, place: Path) -> None:
    process.intake.memory.append(tally(count=3))
    process.work()
    assert counted(place) == {"Disk full": 3}
    assert len(process.intake.memory) == 0


def test_what_memory_holds_is_put_back_if_the_file_does_not_take_it(process: Process, place: Path) -> None:
    process.log()
    process.work()
    process.intake.memory.extend([tally("one"), tally("two")])
    with locked(place):
        process.work()
        assert [each.alert.message for each in process.intake.memory] == ["one", "two"]
        process.intake.memory.append(Tally(some_alert("wrong"), 2**70, 0.0, 0.0))
    with pytest.raises(OverflowError):
        process.work()
    assert [each.alert.message for each in process.intake.memory] == ["one", "two", "wrong"]
    process.intake.memory.pop()
    process.work()
    assert counted(place) == {"Disk full": 1, "one": 1, "two": 1}


def test_a_file_that_is_busy_for_a_moment_costs_nothing_but_the_moment(process: Process, place: Path) -> None:
    process.log()
    process.work()
    process.log("two")
    with locked(place):
        assert process.work(PATIENCE - 2) is None
        assert process.work(1) is None
    assert is_file(process.work(60))
    assert counted(place) == {"Disk full": 1, "two": 1}
    with locked(place):
        process.log("three")
        assert process.work(60) is None, "its patience begins anew"
    assert process.recorder.events == []


def test_a_file_that_is_busy_for_long_is_stood_in_for_and_gets_what_memory_held(process: Process, place: Path) -> None:
    process.log("told", times=2)
    told(process.outbox())
    process.log("untold", times=3)
    with locked(place):
        assert process.work() is None
        memory = process.work(PATIENCE)
        assert memory is not None
        assert not is_file(memory)
        assert total(memory) == 3
        told(memory)
        process.log("untold", times=4)
        process.log("another", times=5)
        for _ in range(5):
            assert process.work() is memory
        (event,) = process.recorder.events
        assert (event.name, event.fields["stage"]) == ("outbox_unavailable", "outbox")
    assert is_file(process.work())
    assert counted(place) == {"told": 2, "untold": 7, "another": 5}
    with closing(Outbox(OWNER, Pace(), place)) as outbox:
        assert {each.alert.message: each.untold for each in outbox.incidents.all()} == {
            "told": 0,
            "untold": 4,
            "another": 5,
        }


def test_after_memory_stood_in_no_journal_is_read_twice(begin: Begin, place: Path) -> None:
    process = begin()
    process.log("before")
    process.work()
    with locked(place):
        process.log("small")
        process.work()
        memory = process.work(PATIENCE)
        assert total(memory) == 1
        process.log("long" + "x" * 1_100_000)
        process.log("behind it")
        process.work()
        process.log("next journal")
        process.work()
        assert total(memory) == 4, "the long journal is read also though it is another one that grows by now"
        assert len(journal_paths(place, OWNER.key)) == 2
    process.work()
    assert total(place) == 5
    process.work()
    process.end()
    begin().work()
    assert total(place) == 5


def in_the_way(place: Path) -> AbstractContextManager[object]:
    """A folder where the file should be."""

    @contextmanager
    def there() -> Iterator[None]:
        place.mkdir(parents=True)
        yield
        place.rmdir()

    return there()


@pytest.mark.parametrize("unusable", [in_the_way, locked])
def test_while_memory_stands_in_all_journals_of_the_process_are_read_in_their_order_however_long(
    begin: Begin, place: Path, unusable: Callable[[Path], AbstractContextManager[object]]
) -> None:
    process = begin()
    if unusable is locked:
        process.log("before")
        process.work()
    with unusable(place):
        process.log("first")
        process.work()
        for number in range(4):
            process.log(f"{number} {'x' * JOURNAL_LIMIT}")
            process.work(PATIENCE)
        process.intake.add(some_alert("first", resolved=True, level=0))
        memory = process.outbox()
        assert not is_file(memory)
        assert total(memory) == 5
        assert [each.resolved for each in memory.incidents.all() if each.alert.message == "first"] == [True]
        assert len(process.paths) == 5, "none is removed while the file does not have what it holds"
    for _ in range(2):
        process.work()
    assert total(place) == 5 + (unusable is locked)
    assert len(process.paths) == 1


def test_a_second_failure_is_told_again_and_works_as_the_first(process: Process, place: Path) -> None:
    process.log(times=2)
    process.work()
    for turn in (1, 2):
        with locked(place):
            process.log(times=2)
            process.work()
            process.log()
            assert not is_file(process.work(PATIENCE))
        assert is_file(process.work())
        assert total(place) == 2 + 3 * turn
        assert process.recorder.names == ["outbox_unavailable"] * turn


def test_a_file_that_can_be_read_and_takes_no_write_is_stood_in_for_in_the_end(process: Process, place: Path) -> None:
    process.log()
    process.work()
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        process.log("two")
        process.work()
        assert process.work(PATIENCE / 2) is None
        assert not is_file(process.work(PATIENCE / 2 + 1))
        assert process.recorder.names == ["outbox_unavailable"]
    assert is_file(process.work())
    assert counted(place) == {"Disk full": 1, "two": 1}


def test_after_a_failure_of_which_nothing_is_left_to_write_the_file_has_to_take_a_write(
    process: Process, place: Path
) -> None:
    process.log()
    outbox = process.outbox()
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with process.keeper.lock:
            process.keeper.failed(OutboxError("as a letter could not be settled", busy=True))
        assert process.work() is None
        assert not is_file(process.work(PATIENCE))
    assert is_file(process.work())
    assert outbox is not process.outbox()


def test_the_gate_and_the_ration_go_with_the_outbox_into_memory_and_back(process: Process, place: Path) -> None:
    process.log()
    process.outbox().set_gate(Gate(failures=2, bucket=Bucket(3.0, 5.0)))
    process.work()
    with locked(place):
        process.log("two")
        process.work()
        memory = process.work(PATIENCE)
        assert memory is not None
        assert memory.gate() == Gate(failures=2, bucket=Bucket(3.0, 5.0))
        memory.set_gate(Gate(failures=4, bucket=Bucket(1.0, 6.0)))
    assert process.outbox().gate() == Gate(failures=4, bucket=Bucket(1.0, 6.0))


def test_while_memory_stands_in_the_file_is_tried_each_second_and_not_more_often(process: Process, place: Path) -> None:
    process.log()
    process.work()
    with locked(place):
        process.work()
        memory = process.work(PATIENCE)
    assert process.work(AGAIN / 2) is memory
    assert is_file(process.work(AGAIN / 2))


def test_on_a_full_disk_memory_stands_in_is_told_of_once_and_every_alert_is_in_one_place(tmp_path: Path) -> None:
    with small_disk(tmp_path, 2048) as disk:
        place = disk / "alerts.sqlite3"
        process = Process(place)
        process.log("before", times=2)
        process.work()
        filler = fill(disk)
        for number in range(200):
            process.log(f"{number} full {'x' * 20_000}", times=2)
        memory = [process.outbox() for _ in range(5)][-1]
        assert not is_file(memory)
        assert total(memory, place) == 402
        assert 200 <= len(process.refused) <= 400
        assert process.recorder.names == ["outbox_unavailable"]
        filler.unlink()
        for _ in range(3):
            process.log("again, and there is some room, not enough for what memory holds")
            memory = process.outbox()
        assert not is_file(memory)
        assert total(memory, place) == 405
        process.end()


def test_when_there_is_room_again_all_that_memory_held_is_in_the_file(tmp_path: Path) -> None:
    with small_disk(tmp_path, 4096) as disk:
        place = disk / "alerts.sqlite3"
        process = Process(place)
        process.log("before", times=2)
        process.work()
        filler = fill(disk)
        for number in range(60):
            process.log(f"{number} full {'x' * 10_000}", times=2)
        memory = process.outbox()
        assert not is_file(memory)
        told(memory)
        filler.unlink()
        assert is_file(process.work())
        assert total(place) == 122
        process.end()
        again = Process(place)
        assert is_file(again.work())
        assert total(place) == 122
        again.end()


def test_a_write_over_a_limit_is_as_good_as_a_full_disk(place: Path, tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from tests.test_keeper import Process, is_file, total

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
process = Process(Path(sys.argv[1]))
process.log("before", times=2)
process.work()
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
for number in range(30):
    process.log(f"{number} full", times=2)
outbox = process.outbox()
print(is_file(outbox), len(process.refused) >= 30)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(is_file(process.work()), total(process.outbox()))
"""
    with child(tmp_path, program, place) as limited:
        assert limited.line() == "False True"
        assert limited.line() == "True 62"


def test_where_there_can_be_no_folder_memory_is_the_outbox_until_there_can(process: Process, place: Path) -> None:
    place.parent.write_text("a file in the place of the folder")
    process.log(times=3)
    outbox = process.outbox()
    assert not is_file(outbox)
    assert total(outbox) == 3
    process.log("two")
    assert process.outbox() is outbox
    assert process.recorder.names == ["outbox_unavailable"]
    place.parent.unlink()
    assert is_file(process.work())
    assert counted(place) == {"Disk full": 3, "two": 1}


def test_a_file_of_a_newer_version_is_left_alone_and_memory_stands_in(process: Process, place: Path) -> None:
    with closing(Outbox(OWNER, Pace(), place)) as outbox:
        outbox._database.run("PRAGMA user_version = 99")
    content = place.read_bytes()
    process.log(times=3)
    assert total(process.outbox()) == 3
    process.work()
    (event,) = process.recorder.events
    assert "newer alertlog (format 99" in event.message
    assert place.read_bytes() == content


# What an operator clears


def test_what_an_operator_has_cleared_is_not_told_by_the_process_that_wrote_it(process: Process, place: Path) -> None:
    process.log(times=2)
    assert total(process.outbox()) == 2
    process.log(times=3)
    process.intake.write_counts()
    (desk,) = desks([AlertHandler(service=OWNER.service, outbox=place)])
    assert purge_all(desk) == Removed(0, 5)
    assert total(process.outbox()) == 0
    process.log(times=7)
    assert total(process.outbox()) == 7


def test_what_is_written_while_an_operator_clears_is_either_removed_or_told(process: Process, place: Path) -> None:
    process.log(times=2)
    process.outbox()
    (desk,) = desks([AlertHandler(service=OWNER.service, outbox=place)])
    removed, written, counted_in = 0, 2, 0
    for round in range(1, 5):
        process.log(times=round)
        process.intake.write_counts()
        removed += purge_all(desk).alerts
        process.log(times=10)
        written += round + 10
        counted_in = total(process.outbox())
        removed += purge_all(desk).alerts if round < 4 else 0
    assert removed + counted_in == written


# Beside another process that owns the outbox


def test_what_a_process_beside_the_owner_could_not_write_is_written_when_it_can_be(begin: Begin, place: Path) -> None:
    owner, beside = begin(), begin()
    owner.log()
    owner.work()
    beside.intake.memory.append(tally("kept in memory", count=3))
    assert beside.work() is None
    assert len(beside.intake.memory) == 0
    owner.work()
    assert counted(place) == {"Disk full": 1, "kept in memory": 3}


def test_what_a_process_beside_the_owner_can_not_write_it_sends_itself_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path, 512) as disk:
        place = disk / "alerts.sqlite3"
        owner, beside = Process(place), Process(place)
        owner.log("owner's")
        owner.work()
        beside.log("journalled")
        assert beside.work() is None
        filler = fill(disk)
        beside.log("x" * 5_000, times=3)
        memory = beside.outbox()
        assert not is_file(memory)
        assert total(memory) == 3, "what is in its journal is for the owner to read"
        told(memory)
        filler.unlink()
        assert beside.work() is None
        owner.work()
        assert counted(place) == {"owner's": 1, "journalled": 1, "x" * 5_000: 3}
        assert total(place) == 5
        for process in (owner, beside):
            process.end()


def test_what_several_processes_held_in_memory_all_comes_into_the_file(begin: Begin, place: Path) -> None:
    place.parent.write_text("a file in the place of the folder")
    processes = [begin() for _ in range(3)]
    for number, process in enumerate(processes):
        process.log("shared", times=2)
        process.log(f"{number} alone")
        assert not is_file(process.work())
    place.parent.unlink()
    assert is_file(processes[0].work())
    assert [process.work() for process in processes[1:]] == [None, None]
    assert counted(place) == {"shared": 6, "0 alone": 1, "1 alone": 1, "2 alone": 1}
    for process in processes:
        process.work()
    assert total(place) == 9
    assert [process.keeper.owns for process in processes] == [True, False, False]


# A damaged file


def test_a_damaged_file_is_set_aside_and_what_journals_hold_is_read_again(begin: Begin, place: Path) -> None:
    first = begin()
    first.log("read", times=2)
    first.work()
    first.keeper.close()
    for suffix in ("-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    place.write_bytes(NO_DATABASE)
    first.log("unread")
    first.work()
    assert is_file(first.work())
    (aside,) = place.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == NO_DATABASE
    (event,) = first.recorder.events
    assert event.name == "outbox_corrupt"
    assert aside.name in event.message
    assert counted(place) == {"read": 2, "unread": 1}
    for _ in range(2):
        first.work()
    assert total(place) == 3


def test_damage_that_shows_while_the_file_is_open_is_damage(process: Process, place: Path) -> None:
    process.log(times=2)
    for number in range(300):
        process.log(f"{number} full")
    process.work()
    process.keeper.close()
    content = bytearray(place.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    place.write_bytes(content)
    process.log("after")
    for _ in range(3):
        process.work()
    assert process.recorder.names.count("outbox_corrupt") == 1
    assert total(place) == 303


def test_a_file_that_somebody_else_has_set_aside_by_now_is_not_set_aside_again(begin: Begin, place: Path) -> None:
    mine, other = begin(), begin(Owner("shop", "other"))
    for process in (mine, other):
        process.log()
        process.work()
    damaged = OutboxError("damaged", corrupt=True)
    other.keeper.failed(damaged)
    other.work()
    mine.keeper.failed(damaged)
    assert len(list(place.parent.glob("*.corrupt-*Z"))) == 1
    assert mine.recorder.events == []
    assert is_file(mine.work())
    assert counted(place) == counted(place, Owner("shop", "other")) == {"Disk full": 1}


def test_a_journal_that_is_read_anew_is_read_from_its_start_also_if_the_file_was_not_open(
    begin: Begin, place: Path
) -> None:
    first, second = begin(), begin()
    first.log(times=2)
    second.log("two", times=2)
    first.work()
    first.keeper.release()
    second.work()
    place.unlink()
    place.write_bytes(NO_DATABASE)
    for _ in range(2):
        second.work()
    assert counted(place) == {"Disk full": 2, "two": 2}


def test_a_file_that_is_set_aside_while_it_is_opened_is_not_taken_for_the_same(
    begin: Begin, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, others = begin(), begin(Owner("shop", "other"))
    for process in (mine, others):
        process.log(times=2)
        process.work()
        process.keeper.close()

    def open_slowly(*arguments: Any) -> Outbox:
        monkeypatch.undo()
        others.keeper.failed(OutboxError("damaged", corrupt=True))
        return Outbox(*arguments)

    monkeypatch.setattr(keeper, "Outbox", open_slowly)
    for _ in range(2):
        mine.work()
    others.work()
    assert counted(place) == counted(place, Owner("shop", "other")) == {"Disk full": 2}


def test_a_file_that_comes_while_another_is_opened_is_opened_in_its_place(
    process: Process, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.log(times=2)
    process.work()
    process.keeper.close()

    def open_slowly(*arguments: Any) -> Outbox:
        monkeypatch.undo()
        outbox = Outbox(*arguments)
        place.rename(place.with_name("moved"))
        with closing(Outbox(OWNER, Pace(), place)):
            return outbox

    monkeypatch.setattr(keeper, "Outbox", open_slowly)
    process.log("after")
    process.work()
    assert is_file(process.work())
    assert counted(place) == {"after": 1}
    assert process.recorder.events == []


def test_what_a_damaged_file_had_told_is_not_told_again_by_the_process_that_told_it(begin: Begin, place: Path) -> None:
    first, second = begin(), begin()
    first.log("told", times=2)
    second.log("told, too")
    told(first.outbox())
    first.work(0.0)
    first.log("untold", times=3)
    first.work(0.0)
    first.keeper.failed(OutboxError("damaged", corrupt=True))
    first.log("after")
    first.work(0.0)
    assert counted(place) == {"untold": 3, "after": 1}
    first.end()
    assert is_file(second.work(0.0))
    assert counted(place) == {"untold": 3, "after": 1}, "what is noted in the new file, another process does not read"


def test_a_second_damaged_file_is_set_aside_beside_the_first(process: Process, place: Path) -> None:
    place.parent.mkdir()
    for number in range(1, 4):
        process.keeper.close()
        place.write_bytes(NO_DATABASE)
        process.work()
        assert len(list(place.parent.glob("*.corrupt-*"))) == number
        assert process.recorder.names == ["outbox_corrupt"] * number


def test_a_damaged_file_that_can_not_be_set_aside_is_stood_in_for_and_told_of_once(
    begin: Begin, tmp_path: Path
) -> None:
    place = tmp_path / ("x" * 240)  # a name that nothing can be added to
    place.write_bytes(NO_DATABASE)
    process = begin(place=place)
    process.log(times=3)
    outbox = process.outbox()
    assert not is_file(outbox)
    assert total(outbox) == 3
    for _ in range(3):
        assert process.work() is outbox
    assert process.recorder.names == ["outbox_unavailable"]
    assert place.read_bytes() == NO_DATABASE


def test_of_two_processes_that_find_the_damage_one_sets_the_file_aside(place: Path, tmp_path: Path) -> None:
    program = """
import sys
from alertlog.ownership import Owner
from tests.test_keeper import Process, is_file

process = Process(Path(sys.argv[1]), Owner(sys.argv[2], "alerts"))
process.log(sys.argv[2], times=2)
process.work()
process.keeper.close()
print("worked")
input()
while not is_file(process.work()):
    pass
print(process.recorder.names.count("outbox_corrupt"), len(process.recorder.names))
input()
"""
    with child(tmp_path, program, place, "shop") as shop, child(tmp_path, program, place, "bank") as bank:
        assert (shop.line(), bank.line()) == ("worked", "worked")
        place.write_bytes(NO_DATABASE)
        for process in (shop, bank):
            assert process.process.stdin is not None
            process.process.stdin.write("\n")
            process.process.stdin.flush()
        assert sorted([shop.line(), bank.line()]) == ["0 0", "1 1"]
        assert len(list(place.parent.glob("*.corrupt-*"))) == 1
        assert counted(place, Owner("shop", "alerts")) == {"shop": 2}
        assert counted(place, Owner("bank", "alerts")) == {"bank": 2}


def test_what_another_owner_set_aside_is_read_again_from_the_journals(begin: Begin, place: Path) -> None:
    other = Owner("shop", "other")
    mine, others = begin(), begin(other)
    for process in (mine, others):
        process.log(times=2)
        process.work()
    others.keeper.failed(OutboxError("damaged", corrupt=True))
    others.work()
    assert is_file(mine.work())
    assert counted(place) == counted(place, other) == {"Disk full": 2}
    assert mine.recorder.events == []
    mine.work()
    assert counted(place) == {"Disk full": 2}


def test_while_another_owner_sets_the_file_aside_it_is_left_alone(begin: Begin, place: Path) -> None:
    mine, others = begin(), begin(Owner("shop", "other"))
    mine.log(times=2)
    mine.work()
    lock = OwnerLock(place, 0)
    assert lock.acquire()
    mine.keeper.failed(OutboxError("damaged", corrupt=True))
    assert list(place.parent.glob("*.corrupt-*")) == []
    lock.release()
    assert is_file(mine.work())
    assert others.recorder.events == []


# A file that is replaced, and a fork


def test_a_folder_that_is_removed_and_made_anew_while_it_is_used_costs_what_was_in_it_only(
    process: Process, place: Path
) -> None:
    process.log("read, and gone with the folder")
    process.work()
    process.log("before it went")
    place.parent.rename(place.parent.with_name("moved"))
    process.log("after it went")
    assert is_file(process.work())
    process.log("new folder, new journal")
    process.work()
    assert counted(place) == {"before it went": 1, "after it went": 1, "new folder, new journal": 1}
    assert process.recorder.events == []
    assert process.keeper.owns


def test_of_two_processes_one_owns_the_folder_that_was_made_anew(begin: Begin, place: Path) -> None:
    first, second = begin(), begin()
    for process in (first, second):
        process.log()
        process.work()
    place.parent.rename(place.parent.with_name("moved"))
    assert is_file(second.work())
    assert first.work() is None
    assert (first.keeper.owns, second.keeper.owns) == (False, True)
    first.log("after")
    assert first.work() is None
    second.work()
    assert counted(place)["after"] == 1


def test_a_file_that_is_closed_around_a_fork_is_opened_again(process: Process) -> None:
    process.log()
    outbox = process.outbox()
    assert process.keeper.resume(outbox) is outbox
    process.keeper.close()
    process.keeper.close()
    again = process.keeper.resume(outbox)
    assert again is not outbox
    again.set_gate(Gate(failures=1))
    assert process.outbox() is again


def test_a_file_that_was_replaced_meanwhile_is_not_taken_for_the_same(process: Process, place: Path) -> None:
    process.log()
    outbox = process.outbox()
    process.keeper.close()
    place.rename(place.with_name("moved"))
    with pytest.raises(OutboxError, match="was replaced meanwhile"):
        process.keeper.resume(outbox)
    assert is_file(process.work())


def test_memory_is_resumed_as_it_is(begin: Begin, place: Path) -> None:
    place.parent.write_text("a file in the place of the folder")
    process = begin()
    process.log()
    memory = process.outbox()
    assert process.keeper.resume(memory) is memory


def test_who_releases_the_outbox_may_own_it_again(begin: Begin) -> None:
    first, second = begin(), begin()
    first.log()
    first.work()
    first.keeper.release()
    assert not first.keeper.owns
    assert is_file(second.work())
    assert first.work() is None
    second.keeper.release()
    assert is_file(first.work())


@pytest.mark.parametrize("attempt", range(4))
def test_journals_of_dead_processes_are_read_in_the_order_of_their_last_write(begin: Begin, attempt: int) -> None:
    """Their names are chance, and all processes of a container have one number."""
    paths = []
    for resolved in (False, True):
        process = begin()
        process.intake.add(some_alert("Disk full", resolved=resolved))
        assert process.intake.journal is not None
        paths.append(process.intake.journal.path)
        process.end()
    for number, path in enumerate(paths):
        os.utime(path, (attempt + number, attempt + number))
    (incident,) = begin().outbox().incidents.all()
    assert incident.resolved


def test_a_journal_that_another_courier_has_just_removed_is_the_oldest_and_breaks_nothing(place: Path) -> None:
    assert written_at(place) == 0
