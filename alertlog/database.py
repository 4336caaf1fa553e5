"""The outbox's file: opening, upgrading and setting it aside, and what SQLite's errors mean.

Write-ahead logging needs shared memory between processes, hence a local disk (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alertlog.errors import OutboxError

VERSION = 1
BUSY_WAIT = 0.25
"""Seconds to wait for another process's transaction; what can't be written then is written a second later."""

IS_DUE = "(due <= :now OR due > :now + :longest)"
"""The condition of a due time; one beyond the longest wait means that the clock has gone back: due now."""

_OTHER_TABLES = re.compile(r"^(no such (table|column)|table \S+ (already exists|has no column|has \d+ columns))")
"""What SQLite says where a file has other tables than the ones below."""
_ADVICE = (
    "; these are not this alertlog's tables: another program made the file, or an alertlog of another time."
    " Move it away, and a new one is begun, or give another outbox"
)

Values = tuple[Any, ...] | Mapping[str, Any]

# An operator names a letter by its number: by then it may be sent, and another one must not have the number.
_SCHEMA = """
CREATE TABLE owner (id INTEGER PRIMARY KEY, service TEXT NOT NULL, handler TEXT NOT NULL, UNIQUE (service, handler));
CREATE TABLE journal (name TEXT PRIMARY KEY, owner INTEGER NOT NULL, read_to INTEGER NOT NULL);
CREATE TABLE gate (
    owner INTEGER NOT NULL, way INTEGER NOT NULL, failures INTEGER NOT NULL, due REAL NOT NULL, category TEXT NOT NULL,
    place TEXT NOT NULL, tried REAL NOT NULL, told REAL NOT NULL, error TEXT NOT NULL, tokens REAL,
    tokens_at REAL NOT NULL, PRIMARY KEY (owner, way)
);
CREATE TABLE mute (
    owner INTEGER NOT NULL, target TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (owner, target)
);
CREATE TABLE letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER NOT NULL, message_id TEXT NOT NULL UNIQUE, draft TEXT NOT NULL,
    created REAL NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
    offered INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0, aside INTEGER NOT NULL DEFAULT 0,
    done TEXT NOT NULL DEFAULT '[]', error TEXT NOT NULL DEFAULT '', doubt INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE incident (
    id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, fingerprint TEXT NOT NULL, kind TEXT NOT NULL,
    level INTEGER NOT NULL, levelname TEXT NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    count INTEGER NOT NULL, accounted INTEGER NOT NULL DEFAULT 0, mails INTEGER NOT NULL DEFAULT 0,
    thread TEXT NOT NULL DEFAULT '', alert TEXT NOT NULL, samples TEXT NOT NULL DEFAULT '[]',
    resolved INTEGER NOT NULL DEFAULT 0, urgent INTEGER NOT NULL DEFAULT 0, seen REAL NOT NULL,
    mailed REAL NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 1,
    news REAL NOT NULL DEFAULT 0, folded INTEGER NOT NULL DEFAULT 0,
    mute_since REAL NOT NULL DEFAULT 0, mute_until REAL NOT NULL DEFAULT 0, mute_reason TEXT NOT NULL DEFAULT '',
    handed INTEGER NOT NULL DEFAULT 0, elsewhere INTEGER NOT NULL DEFAULT 0, hosts TEXT NOT NULL DEFAULT '[]',
    share TEXT NOT NULL DEFAULT '', spoke REAL NOT NULL DEFAULT 0, parting INTEGER NOT NULL DEFAULT 0,
    letter INTEGER REFERENCES letter (id)
);
CREATE UNIQUE INDEX incident_open ON incident (owner, fingerprint) WHERE open = 1;
CREATE INDEX incident_due ON incident (owner, due) WHERE letter IS NULL;
CREATE INDEX incident_share ON incident (owner) WHERE share != '';
CREATE INDEX incident_letter ON incident (letter) WHERE letter IS NOT NULL;
CREATE INDEX letter_due ON letter (owner, due) WHERE aside = 0;
"""


class Database:
    """One connection, whose every method raises OutboxError where SQLite would raise its own.

    Busy, full and failing disks pass; only damage is called corrupt.
    """

    def __init__(self, place: Path | None) -> None:
        """Open the file, made with mode 0600 if need be; None for a database in memory.

        Raises:
            OutboxError: it can't be opened, is damaged (`corrupt`), or is of another format (`foreign`).
        """
        self._name = str(place or "memory")
        if place is not None:
            _make_private(place)
        with self._errors():
            self._connection = sqlite3.connect(
                place or ":memory:", timeout=BUSY_WAIT, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def __del__(self) -> None:
        # One in memory lasts as long as whoever uses it; from Python 3.13 on, to leave it open is a warning.
        with suppress(AttributeError):  # it could not be opened
            self.close()

    def rows(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._execute(statement, values).fetchall()

    def run(self, statement: str, values: Values = ()) -> int:
        """Run one statement and return the number of the row it inserted."""
        with self._errors():
            return self._execute(statement, values).lastrowid or 0

    def used(self) -> int:
        """Return how many bytes of the file are in use."""
        asked = ("page_count", "freelist_count", "page_size")
        pages, free, size = (int(self.rows(f"PRAGMA {name}")[0][0]) for name in asked)
        return (pages - free) * size

    def insert(self, table: str, **values: object) -> int:
        """Insert a row and return its number."""
        names = ", ".join(values)
        return self.run(f"INSERT INTO {table} ({names}) VALUES (:{names.replace(', ', ', :')})", values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, with the write lock from the start, so that nothing fails half-way for being too late.

        One within another is a part of it.
        """
        if self._in_transaction():
            yield
            return
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._in_transaction():  # a full disk makes SQLite roll back by itself
                self.run("ROLLBACK")
            raise

    def _in_transaction(self) -> bool:
        return self._connection.in_transaction

    def _execute(self, statement: str, values: Values) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except UnicodeEncodeError:  # lone surrogates: from a record, or from a name that was not UTF-8
            return self._connection.execute(statement, _encodable(values))

    def _prepare(self) -> None:
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")
        version = self._version()
        if version > VERSION:
            written = f"{self._name} was written by a newer alertlog (format {version}, not {VERSION})"
            raise OutboxError(f"{written}: update this one, or give it another outbox", foreign=True)
        if version < VERSION:
            with self.transaction():
                if self._version() < VERSION:  # nobody was faster
                    for statement in _SCHEMA.split(";\n"):
                        self.run(statement)
                    self.run(f"PRAGMA user_version = {VERSION}")

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            corrupt = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            foreign = bool(code == sqlite3.SQLITE_ERROR and _OTHER_TABLES.search(str(error)))
            advice = _ADVICE if foreign else ""
            # contextlib's frame holds the error, and its traceback that frame: until the next collection they would
            # keep open whatever the callers had in their hands, a journal for one.
            bare = error.with_traceback(None)
            text = f"{self._name}: {error}{advice}"
            raise OutboxError(text, corrupt=corrupt, busy=busy, foreign=foreign) from bare


def _encodable(values: Values) -> Values:
    if isinstance(values, tuple):
        return tuple(map(_escaped, values))
    return {name: _escaped(value) for name, value in values.items()}


def _escaped(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _make_private(place: Path) -> None:
    """Make the file if it is not there. One that is there is left alone.

    To close another descriptor of it would take SQLite's locks from every connection of this process, and another
    process could then remove the log that they write to (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = os.open(os.path.realpath(place), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise OutboxError(f"{place}: {error.strerror}") from error
    os.close(new)


def set_aside(place: Path, now: float) -> Path:
    """Rename a damaged file, with its -wal and -shm, and return its new name.

    Raises:
        OutboxError: the folder does not let us.
    """
    aside = place.with_name(f"{place.name}.corrupt-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}")
    try:
        for suffix in ("-wal", "-shm", ""):
            part = place.with_name(place.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise OutboxError(f"{place}: {error.strerror}") from error
    return aside
