"""What a lane writes down, each thing in one transaction with what follows from it.

A fact goes into the journal together with the use of the code, the movement and the command that it
stands for, so that no stop leaves one without the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from parking.core.clock import format_instant, to_ms
from parking.core.code_wire import Claims
from parking.core.fact import Direction
from parking.edge.clock import LaneClock, Reading
from parking.edge.journal import Journal, State
from parking.edge.lane_file import LaneFile
from parking.edge.movements import Movement, Movements
from parking.edge.passage import Followed
from parking.edge.replay import Replay
from parking.edge.risk import RiskBudget

ORDERS_KEPT = timedelta(days=1)  # a lane carries an order out once; it stands for seconds

_PROOFS = frozenset({"acknowledged", "passage", "undo"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a showing, whoever decided. name: the plate's, under which the movement is remembered.

    taken_for, asks_nonce, is_risked, due_fen: as in a Verdict (decide.py). says: the service's own words.
    """

    opens: bool
    reason: str
    direction: Direction
    name: bytes | None = None
    taken_for: bytes | None = None
    asks_nonce: bytes | None = None
    is_risked: bool = False
    due_fen: int = 0
    says: Mapping[str, str] | None = None


class Record:
    """The lane's file with all that stands in it. terminal: the lane's id at the service."""

    def __init__(self, file: LaneFile, clock: LaneClock, *, terminal: str, journal: Journal, risk: RiskBudget) -> None:
        self.file, self.clock, self.journal, self.risk = file, clock, journal, risk
        self.movements = Movements(file, terminal)
        self.replay = Replay(file)

    def add(self, kind: str, reading: Reading, body: dict[str, Any], *, state: State = "untold") -> int:
        """Append an event with its times; returns its number."""
        return self.journal.append(kind, _timed(reading, body), at=reading.at, state=state)

    def settle_live(
        self, number: int, outcome: Outcome, claims: Claims | None, reading: Reading, body: dict[str, Any]
    ) -> None:
        """The service answered in time: its fact stands under this number, and is not told again."""
        with self.file.transaction():
            said = {**body, "direction": outcome.direction, "opened": outcome.opens, "reason": outcome.reason}
            self.journal.settle(number, _timed(reading, said), "told")
            if outcome.opens:
                self.note_opened(number, outcome, claims, reading, told_at=self.clock.read().at)
                self.add("barrier", reading, {"command": "open", "of": number})

    def add_alone(
        self, outcome: Outcome, claims: Claims | None, reading: Reading, body: dict[str, Any], *,
        asked: int | None = None, free: int | None = None,
    ) -> int:
        """What the lane decided, under a number of its own; what was asked is taken back (docs/lanes.md).

        :param free: the service's next number, where the one that was asked under is somebody else's fact
        """
        with self.file.transaction():
            of = {}
            if asked is not None and free is None:
                self.take_back(asked, outcome.reason)
                of = {"of": asked}
            elif asked is not None:
                self._give_up(asked, outcome.reason, free or 0)
            taken_for = {"taken_for": outcome.taken_for.hex()} if outcome.taken_for else {}
            number = self.add("scan", reading, {
                **body, "direction": outcome.direction, "opened": outcome.opens, "reason": outcome.reason,
                **of, **taken_for})
            if outcome.opens:
                self.note_opened(number, outcome, claims, reading)
                self.add("barrier", reading, {"command": "open", "of": number})
        return number

    def note_opened(
        self, number: int, outcome: Outcome, claims: Claims | None, reading: Reading, *,
        told_at: datetime | None = None,
    ) -> None:
        """The use of the code and the movement, in the transaction of the fact that opened the barrier."""
        if claims is not None:
            self.replay.note_use(claims, now=reading.at)
        if outcome.is_risked:
            self.risk.spend(reading.at)
        self.movements.add(Movement(
            self.movements.terminal, number, reading.at, outcome.direction,
            None if claims is None else claims.subject, outcome.name, told_at=told_at, **_use_of(claims)))

    def take_back(self, asked: int, reason: str) -> None:
        """Whatever the service decided under this number moved no barrier here."""
        with self.file.transaction():
            self.journal.settle(asked, {**self._body(asked), "opened": False, "reason": reason}, "untold")
            self.add("undo", self.clock.read(), {"corrects": asked})

    def take_back_asked(self) -> None:
        """Of a scan that was asked before this, and whose outcome could not be written, nothing opened."""
        for event in self.journal.asked():
            self.take_back(event.sequence, "not_decided")

    def follow(self, followed: Followed, reading: Reading) -> None:
        """What barrier and loop said, and when."""
        with self.file.transaction():
            number = self.add(followed.kind, reading, followed.body)
            if followed.kind == "undo":
                self.movements.add(Movement(
                    self.movements.terminal, number, reading.at, "undo", corrects=followed.body["corrects"]))

    def recover(self) -> None:
        """After a stop: what was asked is taken back; a barrier whose answer was not seen is in doubt."""
        with self.file.transaction():
            self.take_back_asked()
            last = self.journal.last_opened()
            after = [] if last is None else self.journal.of_scan(last.sequence)
            if last is None or any(each.kind in _PROOFS or "fault" in each.body for each in after):
                return
            self.add("barrier", self.clock.read(), {"command": "open", "fault": "restarted", "of": last.sequence})
            self.movements.doubt(last.sequence)

    def forget(self, *, now: datetime) -> None:
        """Let go of what was told, or cannot matter, for a month and more."""
        self.journal.forget(now=now)
        self.movements.forget(now=now)
        self.replay.forget(now=now)
        with self.file.transaction() as db:
            db.execute("DELETE FROM note WHERE name LIKE 'order %' AND CAST(value AS INTEGER) < ?", (
                to_ms(now - ORDERS_KEPT),))

    def _give_up(self, asked: int, reason: str, free: int) -> None:
        """The service holds another fact there; it is not this lane's to undo. A person looks at it."""
        self.journal.settle(asked, {**self._body(asked), "opened": False, "reason": reason}, "refused")
        self.journal.skip_to(free)

    def _body(self, asked: int) -> dict[str, Any]:
        event = self.journal.find(asked)
        assert event is not None
        return event.body


def _timed(reading: Reading, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "occurred_at": format_instant(reading.said_at), "clock_offset_ms": reading.offset_ms,
        "is_degraded": reading.is_degraded, "run": reading.run, **body}


def _use_of(claims: Claims | None) -> dict[str, Any]:
    """How a movement carries the use of its code to the lot's other lanes."""
    if claims is None:
        return {}
    if claims.showing is not None:
        return {"use_ms": to_ms(claims.showing.at), "use_counter": claims.showing.counter}
    return {"use_hash": claims.use_hash}
