"""Who sends: at most one at a time for each owner, whatever dies, forks or is replaced."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.errors import OutboxError
from alertlog.ownership import Owner, OwnerLock
from tests.support import child

BYTE = Owner("shop", "alerts").byte
TRIES = """
import sys
from alertlog.ownership import Owner, OwnerLock
lock = OwnerLock(Path(sys.argv[1]), Owner("shop", "alerts").byte)
while True:
    print(lock.acquire())
    if input() == "release":
        lock.release()
"""


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "state" / "alerts.sqlite3"


def lock_file(outbox: Path) -> Path:
    return outbox.with_name("alerts.sqlite3.lock")


# Owners


@given(st.tuples(st.text(st.characters()), st.text(st.characters())))
def test_an_owner_has_eight_digits_for_file_names_and_a_byte_of_its_own(names: tuple[str, str]) -> None:
    owner = Owner(*names)
    assert len(owner.key) == 8
    assert 1 <= owner.byte == 1 + int(owner.key, 16) <= 2**32


def test_service_and_handler_together_make_the_owner() -> None:
    keys = {Owner(*names).key for names in (("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a", ""), ("a", "b "))}
    assert len(keys) == 6
    assert Owner("a", "b").key == Owner("a", "b").key


# Within a process


def test_of_two_objects_in_one_process_one_holds_the_lock(outbox: Path) -> None:
    first, second = OwnerLock(outbox, BYTE), OwnerLock(outbox, BYTE)
    assert first.acquire()
    assert first.acquire(), "who holds it may ask again"
    assert not second.acquire()
    assert (first.held, second.held) == (True, False)
    second.release()
    assert not second.acquire(), "to release what one does not hold takes it from nobody"
    first.release()
    assert second.acquire()
    assert not first.acquire()
    second.release()
    second.release()
    assert first.acquire()
    first.release()


def test_owners_do_not_stand_in_each_others_way(outbox: Path) -> None:
    locks = [OwnerLock(outbox, byte) for byte in (0, BYTE, 2**32)]
    assert all(lock.acquire() for lock in locks)
    for lock in locks:
        lock.release()


def test_of_many_threads_one_gets_the_lock(outbox: Path) -> None:
    start, got = threading.Barrier(8), list[OwnerLock]()

    def ask() -> None:
        lock = OwnerLock(outbox, BYTE)
        start.wait()
        if lock.acquire():
            got.append(lock)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lock,) = got
    lock.release()


def test_the_lock_file_and_its_folder_are_its_owners_alone(outbox: Path) -> None:
    lock = OwnerLock(outbox, BYTE)
    assert lock.acquire()
    assert stat.S_IMODE(lock_file(outbox).stat().st_mode) == 0o600
    assert stat.S_IMODE(outbox.parent.stat().st_mode) == 0o700
    lock.release()


def test_where_there_can_be_no_lock_file_that_is_an_error(outbox: Path) -> None:
    outbox.parent.write_text("a file in the place of the folder")
    lock = OwnerLock(outbox, BYTE)
    with pytest.raises(OutboxError) as caught:
        lock.acquire()
    assert (caught.value.corrupt, caught.value.busy, lock.held) == (False, False, False)
    lock.release()
    outbox.parent.unlink()
    assert lock.acquire()
    lock.release()


def test_a_byte_that_can_not_be_locked_is_an_error(outbox: Path) -> None:
    with pytest.raises(OutboxError, match=r"alerts\.sqlite3\.lock: Invalid argument"):
        OwnerLock(outbox, -1).acquire()


# Between processes


def test_of_two_processes_one_holds_the_lock_until_it_lets_go(outbox: Path, tmp_path: Path) -> None:
    mine = OwnerLock(outbox, BYTE)
    with child(tmp_path, TRIES, outbox) as process:
        assert process.line() == "True"
        assert not mine.acquire()
        assert process.next() == "True"
        assert process.process.stdin is not None
        process.process.stdin.write("release\n")
        assert process.process.stdin is not None
        process.process.stdin.flush()
        assert process.line() == "True", "nobody else wanted it"
    assert mine.acquire()
    with child(tmp_path, TRIES, outbox) as process:
        assert process.line() == "False"
        assert not OwnerLock(outbox, BYTE).acquire(), "a failed attempt in this process gives nothing up"
        assert process.next() == "False"
        mine.release()
        assert process.next() == "True"
        assert not mine.acquire()


def test_a_killed_process_lets_go(outbox: Path, tmp_path: Path) -> None:
    with child(tmp_path, TRIES, outbox) as process:
        assert process.line() == "True"
        process.kill()
        mine = OwnerLock(outbox, BYTE)
        assert mine.acquire()
        mine.release()


def test_another_owner_of_the_same_process_closes_nothing(outbox: Path, tmp_path: Path) -> None:
    mine, other = OwnerLock(outbox, BYTE), OwnerLock(outbox, 0)
    assert mine.acquire()
    assert other.acquire()
    other.release()
    with child(tmp_path, TRIES, outbox) as process:
        assert process.line() == "False"
    mine.release()


def test_a_forked_child_inherits_no_lock_and_takes_none_away(outbox: Path, tmp_path: Path) -> None:
    program = """
import os, sys
from alertlog.ownership import OwnerLock
lock = OwnerLock(Path(sys.argv[1]), int(sys.argv[2]))
print(lock.acquire())
pid = os.fork()
if pid == 0:
    same, another = lock.acquire(), OwnerLock(Path(sys.argv[1]), int(sys.argv[2])).acquire()
    lock.release()
    os._exit(0 if (same, another, lock.held) == (False, False, False) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(lock.acquire())
input()
"""
    with child(tmp_path, program, outbox, BYTE) as process:
        assert [process.line() for _ in range(3)] == ["True", "0", "True"]
        mine = OwnerLock(outbox, BYTE)
        assert not mine.acquire()
        process.kill()
        assert mine.acquire()
        mine.release()


def test_a_child_can_own_what_its_parent_gives_up(outbox: Path, tmp_path: Path) -> None:
    program = """
import os, sys
from alertlog.ownership import OwnerLock
lock = OwnerLock(Path(sys.argv[1]), int(sys.argv[2]))
lock.acquire()
if os.fork():
    input()
    os._exit(0)
while not lock.acquire():
    pass
print("child's")
os.kill(os.getpid(), 9)
"""
    with child(tmp_path, program, outbox, BYTE) as process:
        assert process.next() == "child's"


# A lock file that is replaced


@pytest.mark.parametrize("replacing", ["removed", "another", "folder"])
def test_a_lock_on_a_file_that_nobody_else_can_find_is_none(outbox: Path, tmp_path: Path, replacing: str) -> None:
    mine = OwnerLock(outbox, BYTE)
    assert mine.acquire()
    lock_file(outbox).unlink()
    if replacing == "another":
        lock_file(outbox).write_bytes(b"")
    elif replacing == "folder":
        outbox.parent.rmdir()
    with child(tmp_path, TRIES, outbox) as process:
        assert process.line() == "True"
        assert not mine.acquire()
        assert not mine.held
        mine.release()
        process.kill()
        assert mine.acquire()
    mine.release()


def test_whoever_finds_first_that_the_file_was_replaced_may_have_the_new_one(outbox: Path) -> None:
    first, second = OwnerLock(outbox, BYTE), OwnerLock(outbox, BYTE)
    assert first.acquire()
    lock_file(outbox).unlink()
    assert second.acquire()
    assert not first.acquire()
    first.release()
    assert not first.acquire()
    second.release()
    assert first.acquire()
    first.release()


def test_no_descriptor_is_left_behind(outbox: Path) -> None:
    lock = OwnerLock(outbox, BYTE)
    assert lock.acquire()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        lock_file(outbox).unlink()
        assert lock.acquire()
    assert len(os.listdir("/proc/self/fd")) == before
    lock.release()
