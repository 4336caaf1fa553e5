"""The journal: what was appended whole is read, whatever happened between; and who is dead, and who only seems so."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.errors import JournalError
from alertlog.framing import MARK, MAX_PAYLOAD, OWNER_MARK, READ_AT_ONCE, frame, frames
from alertlog.journal import Journal, OtherJournal, journal_paths, owners
from alertlog.ownership import Owner
from tests.support import KEY, OWNER, child, fill, small_disk

OTHER = Owner("shop", "another handler")


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "state" / "alerts.sqlite3"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 256) as place:
        yield place


def payloads(data: bytes) -> list[bytes]:
    return [payload for payload, _end in frames(data)]


def read_all(journal: Journal | OtherJournal) -> list[bytes]:
    """Read to the end, as a courier does: piece by piece."""
    found, offset = list[bytes](), 0
    while some := journal.read(offset):
        found += [payload for payload, _end in some]
        offset = some[-1][1]
    return found


def other(path: Path) -> list[bytes]:
    with closing(OtherJournal(path)) as journal:
        return read_all(journal)


# Frames

TEXTS = st.binary(max_size=40).filter(lambda data: b"\xa1" not in data)
"""A payload is ASCII in truth: nothing in it looks like a frame's mark."""


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_frames_come_back_as_they_were_each_with_its_end(given: list[bytes]) -> None:
    data = b"".join(map(frame, given))
    assert payloads(data) == given
    ends = [end for _payload, end in frames(data)]
    assert ends == [sum(len(frame(payload)) for payload in given[: number + 1]) for number in range(len(given))]


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_a_torn_frame_costs_itself_only(given: list[bytes], data: st.DataObject) -> None:
    whole = [frame(payload) for payload in given]
    torn = data.draw(st.integers(0, len(given) - 1))
    left = data.draw(st.integers(0, len(whole[torn]) - 1))
    parts = [*whole[:torn], whole[torn][:left], *whole[torn + 1 :]]
    assert payloads(b"".join(parts)) == [*given[:torn], *given[torn + 1 :]]


@given(st.lists(TEXTS, max_size=3), st.binary(max_size=60), st.lists(TEXTS, max_size=3))
def test_damage_between_frames_is_passed_over(before: list[bytes], damage: bytes, after: list[bytes]) -> None:
    found = payloads(b"".join(map(frame, before)) + damage + b"".join(map(frame, after)))
    assert found[: len(before)] == before
    assert found[len(found) - len(after) :] == after


@given(st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_a_byte_that_changed_costs_one_frame_only(given: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(frame, given)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    found = payloads(bytes(whole))
    assert len(found) >= len(given) - 1
    assert all(payload in given for payload in found)


@pytest.mark.parametrize("length", [MAX_PAYLOAD + 1, 2**32 - 1])
def test_a_length_that_no_frame_has_is_damage(length: int) -> None:
    assert payloads(MARK + length.to_bytes(4, "big") + bytes(4) + b"abc" + frame(b"next")) == [b"next"]


def test_many_false_marks_cost_little() -> None:
    head = MARK + (500_000).to_bytes(4, "big") + bytes(4)
    assert payloads(head * 20_000 + frame(b"the only one")) == [b"the only one"]


# A journal of one's own


def test_what_is_appended_is_read_from_any_frames_end_on(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    assert journal.read(0) == []
    for text in (b"one", b"", b"three"):
        journal.append(text)
    (_one, first), (_two, second), (_three, third) = journal.read(0)
    assert read_all(journal) == [b"one", b"", b"three"]
    assert journal.read(first) == [(b"", second), (b"three", third)]
    assert journal.read(third) == []
    journal.append(b"four")
    assert [payload for payload, _end in journal.read(third)] == [b"four"]
    assert journal.size == journal.end == journal.path.stat().st_size


def test_only_its_owner_can_read_it_or_look_into_a_folder_that_was_made_for_it(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(outbox.parent.stat().st_mode) == 0o700


def test_the_mode_of_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Journal.create(tmp_path / "alerts.sqlite3", OWNER)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_each_opening_is_a_new_file_beside_the_outbox_and_nothing_else_is_left_there(outbox: Path) -> None:
    journals = [Journal.create(outbox, OWNER) for _ in range(3)]
    assert journal_paths(outbox, KEY) == sorted(journal.path for journal in journals)
    assert len(list(outbox.parent.iterdir())) == 3
    assert all(path.name.startswith(f"alerts.sqlite3.{KEY}.{os.getpid()}-") for path in journal_paths(outbox, KEY))


def test_other_owners_and_other_outboxes_have_other_journals(tmp_path: Path) -> None:
    odd = tmp_path / "a[b]*?.sqlite3"
    mine = Journal.create(odd, OWNER)
    others = [Journal.create(odd, OTHER), Journal.create(tmp_path / "a.sqlite3", OWNER)]
    assert journal_paths(odd, KEY) == [mine.path]
    assert len(others) == 2
    assert journal_paths(tmp_path / "nowhere" / "a", KEY) == []


def test_a_frame_longer_than_what_is_read_at_once_is_read_whole(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    given = [b"first", b"x" * MAX_PAYLOAD, b"y" * (READ_AT_ONCE + 1), b"last"]
    for payload in given:
        journal.append(payload)
    assert read_all(journal) == given


def test_of_many_frames_only_some_are_read_at_once(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    given = [bytes([number]) * 100_000 for number in range(30)]
    for payload in given:
        journal.append(payload)
    assert len(journal.read(0)) == READ_AT_ONCE // 100_000
    assert read_all(journal) == given


@pytest.mark.parametrize("size", [READ_AT_ONCE, 3 * (READ_AT_ONCE + MAX_PAYLOAD)])
def test_what_comes_after_large_damage_is_found(outbox: Path, size: int) -> None:
    journal = Journal.create(outbox, OWNER)
    journal.append(b"before")
    with journal.path.open("ab") as file:
        file.write(b"\xa1" * size)
    journal.append(b"after")
    assert read_all(journal) == [b"before", b"after"]


@pytest.mark.parametrize("at", [READ_AT_ONCE - 5, READ_AT_ONCE + MAX_PAYLOAD, 2 * READ_AT_ONCE + MAX_PAYLOAD - 7])
def test_a_frame_on_the_seam_of_two_pieces_is_read(outbox: Path, at: int) -> None:
    journal = Journal.create(outbox, OWNER)
    with journal.path.open("ab") as file:
        file.write(b"\xa1" * at)
    given = [b"on the seam" * 10, b"x" * MAX_PAYLOAD, b"last"]
    for payload in given:
        journal.append(payload)
    assert read_all(journal) == given


def test_a_payload_that_a_reader_would_take_for_damage_is_refused(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    with pytest.raises(JournalError, match="too many for one frame"):
        journal.append(bytes(MAX_PAYLOAD + 1))
    journal.append(b"next")
    assert read_all(journal) == [b"next"]


def test_where_no_folder_can_be_made_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the place of the folder")
    for wrong in (tmp_path / "state" / "a.sqlite3", tmp_path / ("x" * 300) / "a.sqlite3"):
        with pytest.raises(JournalError) as caught:
            Journal.create(wrong, OWNER)
        assert caught.value.stage == "journal"
        assert str(wrong.parent) in str(caught.value)


def test_where_the_new_file_can_not_get_its_name_nothing_is_left(tmp_path: Path) -> None:
    long = tmp_path / ("x" * (255 - len(f"..{KEY}.{os.getpid()}-{'0' * 12}.new")))  # ".journal" is longer than ".new"
    with pytest.raises(JournalError):
        Journal.create(long, OWNER)
    assert list(tmp_path.iterdir()) == []


def test_a_frame_that_the_disk_does_not_take_whole_is_an_error_and_costs_no_other(disk: Path) -> None:
    journal = Journal.create(disk / "alerts.sqlite3", OWNER)
    journal.append(b"before")
    filler = fill(disk)
    journal.append(b"x")  # there is some room in the last page
    for _ in range(10):
        with pytest.raises(JournalError) as caught:
            journal.append(b"x" * 5_000)
        assert caught.value.stage == "journal"
    filler.unlink()
    journal.append(b"after")
    assert read_all(journal) == [b"before", b"x", b"after"]


def test_a_write_cut_short_by_a_limit_is_an_error_and_what_is_torn_is_passed_over(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from alertlog.errors import JournalError
from alertlog.journal import Journal
from alertlog.ownership import Owner

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.create(Path(sys.argv[1]), Owner("shop", "alerts"))
journal.append(b"before")
for room in (5, 50, 0):  # within the frame's head, within its payload, and nothing at all
    size = journal.path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
    try:
        journal.append(b"x" * 1000)
    except JournalError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append(b"after %d" % room)
"""
    outbox = tmp_path / "alerts.sqlite3"
    with child(tmp_path, program, outbox) as process:
        assert process.line().endswith("the disk took 5 of 1012 bytes")
        assert process.line().endswith("the disk took 50 of 1012 bytes")
        assert process.line().endswith("File too large")
        assert process.line() == ""
    (path,) = journal_paths(outbox, KEY)
    assert other(path) == [b"before", b"after 5", b"after 50", b"after 0"]


def test_threads_append_at_once_and_nothing_is_torn(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    start = threading.Barrier(8)

    def write(name: int) -> None:
        start.wait()
        for number in range(200):
            journal.append(b"%d " % name * 50 + b"%d" % number)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_all(journal)
    assert len(found) == 1_600
    for name in range(8):
        mine = [payload for payload in found if payload.startswith(b"%d " % name)]
        assert mine == [b"%d " % name * 50 + b"%d" % number for number in range(200)]


def test_whoever_reads_meanwhile_sees_each_frame_once_and_in_order(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)

    def write() -> None:
        for number in range(2_000):
            journal.append(b"%d" % number * 100)

    writer = threading.Thread(target=write)
    writer.start()
    found, offset = list[bytes](), 0
    while writer.is_alive() or journal.read(offset):
        for payload, end in journal.read(offset):
            found.append(payload)
            offset = end
    writer.join()
    assert found == [b"%d" % number * 100 for number in range(2_000)]


def test_processes_append_each_to_its_own_journal_and_all_is_read(outbox: Path, tmp_path: Path) -> None:
    program = """
import sys
from alertlog.journal import Journal
from alertlog.ownership import Owner
journal = Journal.create(Path(sys.argv[1]), Owner("shop", "alerts"))
for number in range(500):
    journal.append(f"{sys.argv[2]} {number}".encode())
print("done")
input()
"""
    with child(tmp_path, program, outbox, "a") as a, child(tmp_path, program, outbox, "b") as b:
        assert (a.line(), b.line()) == ("done", "done")
        found = sorted(map(other, journal_paths(outbox, KEY)))
    assert found == [[f"{name} {number}".encode() for number in range(500)] for name in "ab"]


# Whose it is

KEEPS_OPEN = """
import sys
from alertlog.journal import Journal
from alertlog.ownership import Owner
journal = Journal.create(Path(sys.argv[1]), Owner("shop", "alerts"))
journal.append(b"accepted")
print("open")
input()
"""


def test_the_journal_of_a_living_process_is_not_dead_and_that_of_a_killed_one_is(outbox: Path, tmp_path: Path) -> None:
    with child(tmp_path, KEEPS_OPEN, outbox) as process:
        assert process.line() == "open"
        (path,) = journal_paths(outbox, KEY)
        with closing(OtherJournal(path)) as journal:
            assert not journal.dead
            assert read_all(journal) == [b"accepted"]
            assert journal.end == path.stat().st_size
        with closing(OtherJournal(path)) as journal:
            assert not journal.dead, "to have read it takes nothing from its owner"
        process.kill()
        with closing(OtherJournal(path)) as journal:
            assert journal.dead
            assert read_all(journal) == [b"accepted"]


def test_a_dead_processs_journal_is_for_one_reader_at_a_time(outbox: Path, tmp_path: Path) -> None:
    with child(tmp_path, KEEPS_OPEN, outbox) as process:
        assert process.line() == "open"
        process.kill()
    (path,) = journal_paths(outbox, KEY)
    program = """
import sys
from alertlog.journal import OtherJournal
journal = OtherJournal(Path(sys.argv[1]))
print(journal.dead)
input()
"""
    with child(tmp_path, program, path) as reader:
        assert reader.line() == "True"
        with closing(OtherJournal(path)) as journal:
            assert not journal.dead
        reader.kill()
        with closing(OtherJournal(path)) as journal:
            assert journal.dead


def test_a_process_knows_its_own_journals_for_as_long_as_they_are_open(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    path = journal.path
    assert Journal.of_this_process(path) is journal
    assert Journal.of_this_process(path.with_name("other.journal")) is None
    del journal
    assert Journal.of_this_process(path) is None
    with closing(OtherJournal(path)) as reader:
        assert reader.dead, "with its last reference a journal is as a dead process's"


def test_a_thread_that_still_appends_keeps_a_retired_journal_open(outbox: Path, tmp_path: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    path, go_on, done = journal.path, threading.Event(), threading.Event()

    def write(journal: Journal) -> None:
        go_on.wait()
        journal.append(b"late")
        done.set()

    thread = threading.Thread(target=write, args=(journal,))
    thread.start()
    del journal
    assert Journal.of_this_process(path) is not None
    with child(
        tmp_path,
        "import sys\nfrom alertlog.journal import OtherJournal\nprint(OtherJournal(Path(sys.argv[1])).dead)",
        path,
    ) as looker:
        assert looker.line() == "False"
    go_on.set()
    assert done.wait(60)
    thread.join()
    assert other(path) == [b"late"]


def test_a_forked_child_has_no_journal_and_takes_nothing_from_its_parents(outbox: Path, tmp_path: Path) -> None:
    program = """
import os, sys
from alertlog.journal import Journal, OtherJournal
from alertlog.ownership import Owner
journal = Journal.create(Path(sys.argv[1]), Owner("shop", "alerts"))
journal.append(b"parent's")
pid = os.fork()
if pid == 0:
    mine = Journal.of_this_process(journal.path) is None
    alive = not OtherJournal(journal.path).dead
    del journal  # closes the descriptor; in the child only
    os._exit(0 if mine and alive else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(Journal.of_this_process(journal.path) is journal)
input()
"""
    with child(tmp_path, program, outbox) as process:
        assert process.line() == "0"
        assert process.line() == "True"
        (path,) = journal_paths(outbox, KEY)
        with closing(OtherJournal(path)) as journal:
            assert not journal.dead
            assert read_all(journal) == [b"parent's"]


def test_a_journal_says_whether_it_still_is_where_couriers_look(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    seen = [journal.found]
    moved = journal.path.rename(outbox.parent / "moved")
    seen.append(journal.found)
    journal.path.write_bytes(b"another file")
    seen.append(journal.found)
    moved.replace(journal.path)
    seen.append(journal.found)
    assert seen == [True, False, False, True]


def test_a_descriptor_that_the_program_closed_and_used_again_is_left_to_it(outbox: Path, tmp_path: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    journal.append(b"alert")
    with closing(os.fdopen(os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT), "wb", buffering=0)) as theirs:
        os.dup2(theirs.fileno(), journal._descriptor)
        number = journal._descriptor
        assert not journal.open
        assert not journal.found
        del journal
        assert os.path.samestat(os.fstat(number), os.fstat(theirs.fileno()))
        os.close(number)
    assert other(journal_paths(outbox, KEY)[0]) == [b"alert"]


def test_a_journal_whose_descriptor_is_closed_is_gone_quietly(outbox: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    os.close(journal._descriptor)
    assert not journal.open
    del journal


def test_a_link_in_the_place_of_a_journal_is_not_followed(outbox: Path, tmp_path: Path) -> None:
    outbox.parent.mkdir()
    link = outbox.with_name(f"{outbox.name}.{KEY}.1-aa.journal")
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(frame(b"not ours"))
    with pytest.raises(OSError, match="symbolic links"):
        OtherJournal(link)
    with pytest.raises(FileNotFoundError):
        OtherJournal(outbox.with_name("nothing.journal"))


# Whose outbox parts there are


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_journal_names_its_owner_in_a_frame_that_never_counts_as_an_alert(service: str, handler: str) -> None:
    with TemporaryDirectory() as folder:
        outbox, owner = Path(folder) / "alerts.sqlite3", Owner(service, handler)
        journal = Journal.create(outbox, owner)
        assert (read_all(journal), journal.size) == ([], journal.end)
        journal.append(b"one")
        assert read_all(journal) == [b"one"]
        assert owners(outbox) == [owner]


def test_all_owners_of_an_outbox_are_known_each_once_those_of_other_outboxes_not(outbox: Path, tmp_path: Path) -> None:
    kept = [Journal.create(outbox, owner) for owner in (OWNER, OTHER, OWNER)]
    kept += [Journal.create(outbox.with_name(f"{outbox.name}.old"), Owner("another", "service"))]
    odd = Owner("\udcff", "[a]*?")
    with child(tmp_path, KEEPS_OPEN.replace('"shop", "alerts"', '"\\udcff", "[a]*?"'), outbox) as process:
        assert process.line() == "open"
        assert set(owners(outbox)) == {OWNER, OTHER, odd}
        process.kill()
    assert set(owners(outbox)) == {OWNER, OTHER, odd}
    assert len(owners(outbox)) == 3
    assert owners(outbox.parent / "nowhere" / "a") == []


def test_to_look_for_owners_takes_no_journal_from_its_process(outbox: Path, tmp_path: Path) -> None:
    journal = Journal.create(outbox, OWNER)
    assert owners(outbox) == [OWNER]
    program = "import sys\nfrom alertlog.journal import OtherJournal\nprint(OtherJournal(Path(sys.argv[1])).dead)"
    with child(tmp_path, program, journal.path) as other_process:
        assert other_process.line() == "False"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xa1jo1\0",
        frame(b'{"message": "of an older version, which named no owner"}'),
        frame(b'{"service": "shop", "handler": "alerts"}', OWNER_MARK)[:-1],
        frame(b'{"service": "shop", "handler": "alerts"}', OWNER_MARK)[:-1] + b"]",
        frame(b'{"service": "shop"}', OWNER_MARK),
        frame(b"[]", OWNER_MARK),
        frame(b"\xff", OWNER_MARK),
        frame(b'{"service": 1, "handler": "alerts"}', OWNER_MARK),
    ],
)
def test_a_journal_that_does_not_say_whose_it_is_is_left_out(outbox: Path, data: bytes) -> None:
    outbox.parent.mkdir(exist_ok=True)
    outbox.with_name(f"{outbox.name}.{KEY}.1-aa.journal").write_bytes(data)
    outbox.with_name(f"{outbox.name}.{KEY}.1-bb.journal").mkdir()
    outbox.with_name(f"{outbox.name}.{KEY}.1-cc.journal").symlink_to(outbox)
    assert owners(outbox) == []


def test_a_journal_of_an_older_version_is_read_all_the_same(outbox: Path) -> None:
    outbox.parent.mkdir(exist_ok=True)
    path = outbox.with_name(f"{outbox.name}.{KEY}.1-aa.journal")
    path.write_bytes(frame(b"one") + frame(b"two"))
    assert other(path) == [b"one", b"two"]


def test_where_the_owners_name_can_not_be_written_whole_there_is_no_journal(disk: Path) -> None:
    fill(disk)
    with pytest.raises(JournalError):
        Journal.create(disk / "alerts.sqlite3", OWNER)
    assert [path.name for path in disk.iterdir()] == ["filler"]
