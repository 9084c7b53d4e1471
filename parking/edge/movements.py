"""Who came in and who went out, as far as the lanes of this lot know it by themselves.

A movement is named by its lane and number, never changes, and is undone by another; so lanes may
exchange them in any order and end with the same. Together with the bundle they say who is inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from parking.core.clock import from_ms, to_ms
from parking.edge.lane_file import LaneFile

Kind = Literal["entry", "exit", "undo"]
KEPT = timedelta(days=40)
_COLUMNS = "terminal, sequence, at_ms, kind, subject, plate_name, corrects, use_ms, use_counter, use_hash, is_sure"


@dataclass(frozen=True, slots=True)
class Movement:
    """subject, plate_name: 16 bytes each, or None where it was not known. corrects: the number that an undo takes back.

    use_ms, use_counter, use_hash: what the code that opened said of its use, for the other lanes' replay tables.
    """

    terminal: str
    sequence: int
    at: datetime
    kind: Kind
    subject: bytes | None = None
    plate_name: bytes | None = None
    corrects: int | None = None
    use_ms: int | None = None
    use_counter: int | None = None
    use_hash: bytes | None = None
    is_sure: bool = True
    told_at: datetime | None = None


class Movements:
    """:param terminal: this lane's own id"""

    def __init__(self, file: LaneFile, terminal: str) -> None:
        self._file = file
        self.terminal = terminal

    def add(self, movement: Movement) -> bool:
        """False if it was known already."""
        with self._file.transaction() as db:
            return db.execute(
                f"INSERT INTO movement ({_COLUMNS}, told_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
                "ON CONFLICT DO NOTHING",
                (movement.terminal, movement.sequence, to_ms(movement.at), movement.kind, movement.subject,
                 movement.plate_name, movement.corrects, movement.use_ms, movement.use_counter, movement.use_hash,
                 int(movement.is_sure), None if movement.told_at is None else to_ms(movement.told_at)),
            ).rowcount == 1

    def find_last(self, *, subject: bytes | None = None, plate_name: bytes | None = None) -> Movement | None:
        """The newest of a subject or of a plate that was not undone."""
        column, value = ("subject", subject) if subject is not None else ("plate_name", plate_name)
        with self._file.reading() as db:
            row = db.execute(
                f"SELECT {_COLUMNS}, told_ms FROM movement m WHERE {column} = ? AND kind <> 'undo' "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM movement u WHERE u.terminal = m.terminal AND u.corrects = m.sequence) "
                "ORDER BY at_ms DESC, terminal DESC, sequence DESC LIMIT 1", (value,)).fetchone()
        return None if row is None else _movement(row)

    def list_plates_inside(self) -> dict[bytes, Movement]:
        """The plates whose last movement is an entry."""
        with self._file.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS}, told_ms FROM movement m WHERE plate_name IS NOT NULL AND kind <> 'undo' "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM movement u WHERE u.terminal = m.terminal AND u.corrects = m.sequence) "
                "ORDER BY at_ms, terminal, sequence").fetchall()
        last = {each.plate_name: each for each in map(_movement, rows) if each.plate_name is not None}
        return {name: each for name, each in last.items() if each.kind == "entry"}

    def note_told(self, sequences: list[int], *, at: datetime) -> None:
        """From now on a bundle that is made later knows of them."""
        with self._file.transaction() as db:
            db.executemany(
                "UPDATE movement SET told_ms = ? WHERE terminal = ? AND sequence = ? AND told_ms IS NULL",
                [(to_ms(at), self.terminal, each) for each in sequences])

    def doubt(self, sequence: int) -> None:
        """Nobody saw whether the vehicle of this movement drove."""
        with self._file.transaction() as db:
            db.execute("UPDATE movement SET is_sure = 0 WHERE terminal = ? AND sequence = ?",
                       (self.terminal, sequence))

    def highest(self) -> dict[str, int]:
        """Of each lane the last number held here."""
        with self._file.reading() as db:
            rows = db.execute("SELECT terminal, max(sequence) FROM movement GROUP BY terminal").fetchall()
        return {str(terminal): int(sequence) for terminal, sequence in rows}

    def list_after(self, terminal: str, sequence: int, count_max: int) -> list[Movement]:
        with self._file.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS}, told_ms FROM movement WHERE terminal = ? AND sequence > ? "  # noqa: S608
                "ORDER BY sequence LIMIT ?", (terminal, sequence, count_max)).fetchall()
        return [_movement(row) for row in rows]

    def forget(self, *, now: datetime) -> None:
        """Of long ago, except where the lane or another may still have to hear of it: its last of each lane."""
        with self._file.transaction() as db:
            db.execute(
                "DELETE FROM movement WHERE at_ms < ? AND sequence < "
                "(SELECT max(sequence) FROM movement o WHERE o.terminal = movement.terminal)", (to_ms(now - KEPT),))


def _movement(row: tuple[object, ...]) -> Movement:
    terminal, sequence, at_ms, kind, subject, plate, corrects, use_ms, counter, use_hash, is_sure, told_ms = row
    return Movement(
        str(terminal), int(sequence), from_ms(int(at_ms)), kind, subject, plate, corrects, use_ms, counter,  # type: ignore[call-overload, arg-type]
        use_hash, bool(is_sure), None if told_ms is None else from_ms(int(told_ms)))  # type: ignore[call-overload, arg-type]
