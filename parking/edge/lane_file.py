"""The one file in which a lane keeps what it must not forget, and its transactions.

`synchronous=FULL`, and WAL only where the linked SQLite has the fix of its WAL-reset bug, else the
rollback journal in TRUNCATE mode (docs/decisions/0002). A transaction that ended is on the disk: a
barrier may be told to open after it, never before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

BUSY_TIMEOUT_MS = 2_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS event (
  sequence INTEGER PRIMARY KEY CHECK (sequence >= 1),
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'untold', 'told', 'refused')),
  noted_ms INTEGER NOT NULL,
  body TEXT NOT NULL,
  refusal TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS event_waiting ON event (sequence) WHERE state IN ('asked', 'untold');
CREATE TABLE IF NOT EXISTS movement (
  terminal TEXT NOT NULL, sequence INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('entry', 'exit', 'undo')),
  subject BLOB, plate_name BLOB, corrects INTEGER, use_ms INTEGER, use_counter INTEGER, use_hash BLOB,
  is_sure INTEGER NOT NULL DEFAULT 1, told_ms INTEGER,
  PRIMARY KEY (terminal, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS movement_subject ON movement (subject, at_ms) WHERE subject IS NOT NULL;
CREATE INDEX IF NOT EXISTS movement_plate ON movement (plate_name, at_ms) WHERE plate_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS movement_corrects ON movement (terminal, corrects) WHERE corrects IS NOT NULL;
CREATE TABLE IF NOT EXISTS last_use (
  subject BLOB PRIMARY KEY, shown_ms INTEGER NOT NULL, counter INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS use (
  subject BLOB NOT NULL, use_hash BLOB NOT NULL, used_ms INTEGER NOT NULL,
  PRIMARY KEY (subject, use_hash)) STRICT, WITHOUT ROWID;
"""


class CannotWrite(Exception):
    """The disk is full, or does not do what it should; nothing of the transaction was written."""


class LaneFile:
    """The lane's SQLite file, shared by its threads: one of them at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        self._db.execute(f"PRAGMA journal_mode={journal_mode()}").fetchall()
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA trusted_schema=OFF")
        self._db.executescript(_SCHEMA)
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; within another it is part of that one, which makes it durable.

        :raises CannotWrite: nothing was written
        """
        with self._lock:
            if self._depth:
                yield self._db
                return
            with _translated():
                self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                with _translated():
                    yield self._db
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            yield self._db

    def read_note(self, name: str) -> str | None:
        with self.reading() as db:
            row = db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_note(self, name: str, value: str) -> None:
        with self.transaction() as db:
            db.execute("INSERT INTO note VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                       (name, value))

    def close(self) -> None:
        with self._lock:
            self._db.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as wrong:
        raise CannotWrite(f"{type(wrong).__name__}: {wrong}") from wrong


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """WAL where its reset bug is fixed, else TRUNCATE; the rule of the service's own store."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "TRUNCATE"
