"""What happened at this lane, in order and without gaps, until the service has been told.

An event's number is given in the transaction that writes it, so none is missing and none is given
twice, whenever the machine stops. `asked` is a live scan under way; `untold` waits; `told` is known
to the service; `refused` stays for a person to look at.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from parking.core.clock import to_ms
from parking.core.json_text import canonical
from parking.edge.lane_file import LaneFile

KEPT_AFTER_TELLING = timedelta(days=30)
KEPT_EVENTS_MIN = 1_000
State = Literal["asked", "untold", "told", "refused"]


@dataclass(frozen=True, slots=True)
class Event:
    """body: as it goes out, without `sequence` and `kind`."""

    sequence: int
    kind: str
    state: State
    body: dict[str, Any]


class Journal:
    def __init__(self, file: LaneFile, *, first_sequence: int = 1) -> None:
        """:param first_sequence: where a new journal begins; one that has begun goes on where it was"""
        self._file = file
        if file.read_note("last_sequence") is None:
            file.write_note("last_sequence", str(first_sequence - 1))

    @property
    def last_sequence(self) -> int:
        return int(self._file.read_note("last_sequence") or 0)

    def append(self, kind: str, body: dict[str, Any], *, at: datetime, state: State = "untold") -> int:
        """Write an event down; it is on the disk when the transaction around it, or this call, has ended."""
        with self._file.transaction() as db:
            sequence = self.last_sequence + 1
            db.execute("INSERT INTO event (sequence, kind, state, noted_ms, body) VALUES (?, ?, ?, ?, ?)",
                       (sequence, kind, state, to_ms(at), canonical(body)))
            self._file.write_note("last_sequence", str(sequence))
        return sequence

    def settle(self, sequence: int, body: dict[str, Any], state: State) -> None:
        """Say what came of a scan that was asked."""
        with self._file.transaction() as db:
            changed = db.execute("UPDATE event SET body = ?, state = ? WHERE sequence = ? AND state = 'asked'",
                                 (canonical(body), state, sequence))
            assert changed.rowcount == 1

    def skip_to(self, sequence: int) -> None:
        """Go on from a number that the service says is free, where others below it are somebody else's."""
        with self._file.transaction():
            if sequence - 1 > self.last_sequence:
                self._file.write_note("last_sequence", str(sequence - 1))

    def asked(self) -> list[Event]:
        """Live scans of which it is not known what came of them; more than none only after a stop."""
        return self._list("SELECT sequence, kind, state, body FROM event WHERE state = 'asked' ORDER BY sequence", ())

    def waiting(self, count_max: int) -> list[Event]:
        """The oldest that the service has not been told, in order, up to the first that is still asked."""
        return self._list(
            "SELECT sequence, kind, state, body FROM event WHERE state = 'untold' AND sequence < coalesce("
            "(SELECT min(sequence) FROM event WHERE state = 'asked'), 9223372036854775807) "
            "ORDER BY sequence LIMIT ?", (count_max,))

    def has_untold_decision(self) -> bool:
        """Whether the service, asked now, would answer from before something that this lane decided."""
        with self._file.reading() as db:
            row = db.execute("SELECT 1 FROM event WHERE state = 'untold' AND kind IN ('scan', 'undo') LIMIT 1")
            return row.fetchone() is not None

    def is_waiting(self, kind: str) -> bool:
        with self._file.reading() as db:
            row = db.execute("SELECT 1 FROM event WHERE state = 'untold' AND kind = ? LIMIT 1", (kind,))
            return row.fetchone() is not None

    def note_told(self, sequences: list[int]) -> None:
        with self._file.transaction() as db:
            db.executemany("UPDATE event SET state = 'told' WHERE sequence = ? AND state = 'untold'",
                           [(each,) for each in sequences])

    def note_refused(self, sequence: int, reason: str) -> None:
        with self._file.transaction() as db:
            db.execute("UPDATE event SET state = 'refused', refusal = ? WHERE sequence = ? AND state = 'untold'",
                       (reason, sequence))

    def find(self, sequence: int) -> Event | None:
        found = self._list("SELECT sequence, kind, state, body FROM event WHERE sequence = ?", (sequence,))
        return found[0] if found else None

    def of_scan(self, sequence: int) -> list[Event]:
        """What followed on a scan: its barrier, acknowledgement, passages."""
        return self._list(
            "SELECT sequence, kind, state, body FROM event WHERE sequence > ? AND "
            "coalesce(json_extract(body, '$.of'), json_extract(body, '$.corrects')) = ? ORDER BY sequence",
            (sequence, sequence))

    def last_opened(self) -> Event | None:
        """The last scan on which the barrier was told to open."""
        found = self._list(
            "SELECT s.sequence, s.kind, s.state, s.body FROM event b JOIN event s ON s.sequence = "
            "json_extract(b.body, '$.of') WHERE b.kind = 'barrier' AND json_extract(b.body, '$.fault') IS NULL "
            "ORDER BY b.sequence DESC LIMIT 1", ())
        return found[0] if found else None

    def last_number(self, kind: str) -> int:
        """The highest number of an event of this kind; 0 if there is none."""
        with self._file.reading() as db:
            return int(db.execute(
                "SELECT coalesce(max(sequence), 0) FROM event WHERE kind = ?", (kind,)).fetchone()[0])

    def count(self, state: State) -> int:
        with self._file.reading() as db:
            return int(db.execute("SELECT count(*) FROM event WHERE state = ?", (state,)).fetchone()[0])

    def list_all(self) -> list[Event]:
        return self._list("SELECT sequence, kind, state, body FROM event ORDER BY sequence", ())

    def forget(self, *, now: datetime) -> int:
        """Delete what was told long ago; returns how many. The newest stay, and what was not told always does."""
        with self._file.transaction() as db:
            return db.execute(
                "DELETE FROM event WHERE state = 'told' AND noted_ms < ? AND sequence <= ?",
                (to_ms(now - KEPT_AFTER_TELLING), self.last_sequence - KEPT_EVENTS_MIN)).rowcount

    def _list(self, statement: str, values: tuple[Any, ...]) -> list[Event]:
        with self._file.reading() as db:
            return [_event(row) for row in db.execute(statement, values).fetchall()]


def _event(row: sqlite3.Row | tuple[Any, ...]) -> Event:
    return Event(int(row[0]), str(row[1]), row[2], json.loads(row[3]))
