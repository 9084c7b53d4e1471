"""Which showings have opened a barrier of this lot: each opens one, after any restart.

Of a subject the last (time, counter) counts, and only a greater one opens again; what has no time
(a server-issued code, an answered challenge) is known by its use hash. Never by text or signature:
both have twins that verify as well (core/code_wire.py). A code on paper is not single use.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from parking.core.clock import to_ms
from parking.core.code_wire import PRINTED, Claims
from parking.edge.lane_file import LaneFile

KEPT = timedelta(days=40)  # longer than any code that is used once can live, whatever a clock did


class Replay:
    def __init__(self, file: LaneFile) -> None:
        self._file = file

    def is_used(self, claims: Claims) -> bool:
        if claims.form == PRINTED:
            return False
        with self._file.reading() as db:
            if claims.showing is None:
                found = db.execute(
                    "SELECT 1 FROM use WHERE subject = ? AND use_hash = ?", (claims.subject, claims.use_hash))
                return found.fetchone() is not None
            last = db.execute(
                "SELECT shown_ms, counter FROM last_use WHERE subject = ?", (claims.subject,)).fetchone()
        return last is not None and (to_ms(claims.showing.at), claims.showing.counter) <= tuple(last)

    def note_use(self, claims: Claims, *, now: datetime) -> None:
        """Expects the transaction that also writes the fact which opened the barrier."""
        if claims.form == PRINTED:
            return
        with self._file.transaction() as db:
            if claims.showing is None:
                add_use(db, claims.subject, claims.use_hash, to_ms(now))
            else:
                raise_last_use(db, claims.subject, to_ms(claims.showing.at), claims.showing.counter)

    def forget(self, *, now: datetime) -> None:
        with self._file.transaction() as db:
            db.execute("DELETE FROM use WHERE used_ms < ?", (to_ms(now - KEPT),))
            db.execute("DELETE FROM last_use WHERE shown_ms < ?", (to_ms(now - KEPT),))


def raise_last_use(db: sqlite3.Connection, subject: bytes, shown_ms: int, counter: int) -> None:
    """Keep the greater of what is known and this one; in any order it ends in the same."""
    db.execute(
        "INSERT INTO last_use VALUES (?, ?, ?) ON CONFLICT (subject) DO UPDATE "
        "SET shown_ms = excluded.shown_ms, counter = excluded.counter "
        "WHERE (excluded.shown_ms, excluded.counter) > (shown_ms, counter)", (subject, shown_ms, counter))


def add_use(db: sqlite3.Connection, subject: bytes, use_hash: bytes, used_ms: int) -> None:
    db.execute("INSERT INTO use VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (subject, use_hash, used_ms))
