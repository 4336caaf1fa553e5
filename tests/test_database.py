"""The outbox's file: who may read it, what its errors mean, and that a transaction is whole or has not been."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from weakref import ref

import pytest

from alertlog.database import VERSION, Database, set_aside
from alertlog.errors import OutboxError
from tests.support import TIME, child, fill, small_disk


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "alerts.sqlite3"


@pytest.fixture
def database(place: Path) -> Iterator[Database]:
    with closing(Database(place)) as opened:
        yield opened


def owners(database: Database) -> list[str]:
    return [service for (service,) in database.rows("SELECT service FROM owner ORDER BY id")]


def add(database: Database, service: object) -> int:
    return database.insert("owner", service=service, handler="alerts")


def add_all(database: Database, *services: str | BaseException) -> None:
    """Add owners in one transaction, and raise what is among them."""
    with database.transaction():
        for service in services:
            if isinstance(service, BaseException):
                raise service
            add(database, service)


def read(place: Path) -> list[str]:
    with closing(Database(place)) as opened:
        return owners(opened)


# Opening


def test_only_its_owner_can_read_the_file_its_log_and_the_folder_made_for_it(place: Path, database: Database) -> None:
    add(database, "shop")
    parts = [place, *(place.with_name(place.name + suffix) for suffix in ("-wal", "-shm"))]
    assert [stat.S_IMODE(part.stat().st_mode) for part in parts] == [0o600] * 3
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_the_modes_of_a_file_and_a_folder_that_are_there_are_not_touched(place: Path) -> None:
    place.parent.mkdir(mode=0o750)
    place.touch(0o640)
    Database(place).close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o750


def test_a_link_to_a_file_that_is_not_there_yet_makes_that_file(place: Path, tmp_path: Path) -> None:
    place.parent.mkdir()
    place.symlink_to(tmp_path / "real.sqlite3")
    with closing(Database(place)) as database:
        add(database, "shop")
    assert stat.S_IMODE((tmp_path / "real.sqlite3").stat().st_mode) == 0o600


def test_the_file_is_opened_again_as_it_was(place: Path, database: Database) -> None:
    add(database, "shop")
    with closing(Database(place)) as again:
        assert owners(again) == ["shop"]
        assert again.rows("PRAGMA user_version") == [(VERSION,)]
        assert again.rows("PRAGMA journal_mode") == [("wal",)]
        assert again.rows("PRAGMA synchronous") == [(1,)]


def test_a_database_in_memory_is_as_good(tmp_path: Path) -> None:
    with closing(Database(None)) as database:
        add(database, "shop")
        assert owners(database) == ["shop"]
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_nobody_has_any_more_is_closed_without_a_warning(place: Path) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for where in (None, place):
            add(Database(where), "shop")
        gc.collect()
    assert [warning for warning in warned if warning.category is ResourceWarning] == []


def test_processes_that_make_the_same_file_at_once_all_get_it(place: Path, tmp_path: Path) -> None:
    program = """
import sys
from alertlog.database import Database
input()
database = Database(Path(sys.argv[1]))
print(database.insert("owner", service=sys.argv[2], handler="alerts"))
input()
"""
    with child(tmp_path, program, place, "a") as a, child(tmp_path, program, place, "b") as b:
        for process in (a, b):
            assert process.process.stdin is not None
            process.process.stdin.write("\n")
            process.process.stdin.flush()
        assert sorted([a.line(), b.line()]) == ["1", "2"]


def test_where_somebody_was_faster_the_tables_are_made_once(place: Path) -> None:
    class Slow(Database):
        seen = 0

        def _version(self) -> int:
            version = super()._version()
            self.seen += 1
            if self.seen == 1:
                Database(place).close()
            return version

    with closing(Slow(place)) as database:
        assert database.seen == 2
        add(database, "shop")
    assert read(place) == ["shop"]


def test_a_file_of_a_newer_version_is_left_alone(place: Path, database: Database) -> None:
    database.run(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(OutboxError, match=rf"newer alertlog \(format {VERSION + 1}, not {VERSION}\)") as caught:
        Database(place)
    assert not caught.value.corrupt
    assert database.rows("PRAGMA user_version") == [(VERSION + 1,)]


@pytest.mark.parametrize("where", ["in the place of the folder", "in the place of the file", "too long"])
def test_where_there_can_be_no_file_that_is_an_error_and_no_damage(tmp_path: Path, where: str) -> None:
    place = tmp_path / "state" / "alerts.sqlite3"
    if where == "in the place of the folder":
        place.parent.write_text("a file")
    elif where == "in the place of the file":
        place.mkdir(parents=True)
    else:
        place = tmp_path / ("x" * 300)
    with pytest.raises(OutboxError) as caught:
        Database(place)
    assert (caught.value.stage, caught.value.corrupt, caught.value.busy) == ("outbox", False, False)
    assert str(place) in str(caught.value)


@pytest.mark.parametrize("content", [b"This is no database. " * 500, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_a_file_that_is_no_database_is_damaged(place: Path, content: bytes) -> None:
    place.parent.mkdir()
    place.write_bytes(content)
    with pytest.raises(OutboxError) as caught:
        Database(place)
    assert (caught.value.corrupt, caught.value.busy) == (True, False)
    assert place.read_bytes() == content


def test_damage_that_shows_later_is_called_so(place: Path) -> None:
    with closing(Database(place)) as database:
        for number in range(500):
            add(database, f"service {number}")
    content = bytearray(place.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    place.write_bytes(content)
    with pytest.raises(OutboxError) as caught:
        read(place)
    assert caught.value.corrupt


# Statements


def test_what_somebody_else_is_writing_is_busy_and_passes(place: Path, database: Database) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxError) as caught:
            add(database, "shop")
        assert (caught.value.corrupt, caught.value.busy) == (False, True)
        other.execute("COMMIT")
    add(database, "shop")
    assert owners(database) == ["shop"]


def test_a_mistake_in_a_statement_is_neither_damage_nor_busy(database: Database) -> None:
    for statement in ("SELECT * FROM nothing", "no SQL"):
        with pytest.raises(OutboxError) as caught:
            database.rows(statement)
        assert (caught.value.corrupt, caught.value.busy) == (False, False)
        assert isinstance(caught.value.__cause__, sqlite3.Error)


@pytest.mark.parametrize(
    "script",
    [
        "DROP TABLE owner",
        "ALTER TABLE owner RENAME COLUMN handler TO other",
        "ALTER TABLE owner ADD COLUMN more",
        "PRAGMA user_version = 0",
    ],
)
def test_a_file_with_other_tables_is_no_damage_and_is_called_what_it_is(
    place: Path, database: Database, script: str
) -> None:
    database.run(script)
    with pytest.raises(OutboxError, match="these are not this alertlog's tables: ") as caught:
        read_all(place)
    assert (caught.value.foreign, caught.value.corrupt, caught.value.category) == (True, False, "refused")


def read_all(place: Path) -> None:
    with closing(Database(place)) as opened:
        opened.rows("SELECT service, handler FROM owner")
        opened.run("INSERT INTO owner VALUES (1, 'etl', 'alerts')")


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb", "\udc80\ud800\udfff"])
def test_a_text_that_utf_8_does_not_have_is_kept_with_escapes(database: Database, text: str) -> None:
    escaped = text.encode("utf-8", "backslashreplace").decode()
    number = add(database, text)
    assert owners(database) == [escaped]
    assert database.rows("SELECT id FROM owner WHERE service = ?", (text,)) == [(number,)]
    assert database.rows("SELECT id FROM owner WHERE service = :name AND id > :n", {"name": text, "n": 0}) == [
        (number,)
    ]


# Transactions


def test_a_transaction_is_kept_whole(place: Path, database: Database) -> None:
    with database.transaction():
        add(database, "a")
        add(database, "b")
    assert read(place) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError("in the middle"), KeyboardInterrupt()])
def test_an_error_in_the_middle_leaves_nothing_and_the_next_transaction_works(
    database: Database, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        add_all(database, "a", error)
    assert owners(database) == []
    with database.transaction():
        add(database, "b")
    assert owners(database) == ["b"]


def add_within_another(database: Database, service: str, error: BaseException) -> None:
    with database.transaction():
        add_all(database, service)
        raise error


def test_a_transaction_within_another_is_a_part_of_it(place: Path, database: Database) -> None:
    with pytest.raises(KeyError):
        add_within_another(database, "shop", KeyError())
    assert read(place) == []
    with database.transaction():
        add_all(database, "shop")
        add(database, "till")
    assert read(place) == ["shop", "till"]


def test_a_statement_that_fails_in_the_middle_leaves_nothing(database: Database) -> None:
    with pytest.raises(OutboxError, match="UNIQUE"):
        add_all(database, "a", "a")
    assert owners(database) == []


def test_a_kill_in_the_middle_leaves_nothing(place: Path, tmp_path: Path) -> None:
    program = """
import sys
from alertlog.database import Database
database = Database(Path(sys.argv[1]))
database.insert("owner", service="before", handler="alerts")
with database.transaction():
    database.insert("owner", service="within", handler="alerts")
    print("half-way")
    input()
"""
    with child(tmp_path, program, place) as process:
        assert process.line() == "half-way"
        assert read(place) == ["before"]
        process.kill()
        with closing(Database(place)) as after:
            assert owners(after) == ["before"]
            add(after, "later")
            assert owners(after) == ["before", "later"]


def test_a_full_disk_is_an_error_leaves_nothing_and_passes(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1024) as disk, closing(Database(disk / "alerts.sqlite3")) as database:
        add(database, "before")
        filler = fill(disk)
        with pytest.raises(OutboxError) as caught:
            add_all(database, *(f"{number} " * 500 for number in range(500)))
        assert (caught.value.corrupt, caught.value.busy) == (False, False)
        assert owners(database) == ["before"]
        filler.unlink()
        with database.transaction():
            add(database, "after")
        assert owners(database) == ["before", "after"]


# The locks of a POSIX system belong to the process


def test_a_second_connection_of_the_same_process_takes_no_lock_from_the_first(place: Path, tmp_path: Path) -> None:
    """A process that leaves removes the log if it seems to be the last one: then what follows would be lost."""
    program = """
import sys
from alertlog.database import Database
database = Database(Path(sys.argv[1]))
database.insert("owner", service=sys.argv[2], handler="alerts")
database.close()
"""
    with closing(Database(place)) as first, closing(Database(place)) as second:
        add(first, "first")
        with child(tmp_path, program, place, "other") as process:
            assert process.line() == ""
        assert place.with_name(place.name + "-wal").exists()
        add(first, "first again")
        add(second, "second")
    assert read(place) == ["first", "other", "first again", "second"]


def test_no_descriptor_of_the_file_is_closed_but_by_sqlite(place: Path, tmp_path: Path, database: Database) -> None:
    """Asked of another process, because this one can't see its own locks."""
    program = """
import fcntl, struct, sys
with open(sys.argv[1], "rb+") as file:
    # F_GETLK: would an exclusive lock on the bytes that SQLite shares between readers be in anybody's way?
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0x40000002, 510, 0)
    kind, *_rest = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    print(kind == fcntl.F_UNLCK)
"""
    add(database, "shop")
    Database(place).close()
    with child(tmp_path, program, place) as process:
        assert process.line() == "False"


# A damaged file


def test_a_file_is_set_aside_with_its_log_under_a_name_that_tells_when(place: Path) -> None:
    place.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        place.with_name(place.name + suffix).write_text(f"damaged{suffix}")
    aside = set_aside(place, TIME)
    assert aside.name == "alerts.sqlite3.corrupt-20260101T000000Z"
    assert {path.name: path.read_text() for path in place.parent.iterdir()} == {
        aside.name + suffix: f"damaged{suffix}" for suffix in ("", "-wal", "-shm")
    }


def test_a_file_without_a_log_is_set_aside_alone(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("damaged")
    aside = set_aside(place, TIME)
    assert os.listdir(place.parent) == [aside.name]
    assert read(place) == []


def test_where_the_folder_does_not_let_us_that_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 240)
    place.write_text("damaged")
    with pytest.raises(OutboxError, match="File name too long"):
        set_aside(place, TIME)
    assert place.read_text() == "damaged"


def test_an_error_that_is_over_keeps_nothing_of_its_callers(place: Path) -> None:
    """A journal in their hands would stay open until the next collection."""

    class Held:
        pass

    opened = Database(place)

    def fail() -> ref[Held]:
        held = Held()
        known = ref(held)
        with suppress(OutboxError):
            opened.run("no statement")
        return known

    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()
        opened.close()
