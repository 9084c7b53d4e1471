"""A booth of the demo city: yesterday's shift, counted five yuan short, and one that is open now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Direction, Fact, FactRef
from parking.core.identifier import derived_uuid, new_uuid
from parking.core.secret import SealedPlate
from parking.services.close_shift import close_shift, held_fen
from parking.services.enrol import enrol_terminal
from parking.services.open_shift import Counted, Opening, add_drawer, open_shift
from parking.services.owe import due_fen
from parking.services.record import record_fact
from parking.services.refund import settle
from parking.services.take_cash import Given, take_cash
from parking.services.unlock import KeySafe
from parking.store import parking_sessions, terminals, vehicles
from parking.store.drawers import Drawer, Shift
from parking.store.lots import Lot

FLOAT_FEN, SHORT_FEN = 20_000, 500
NAME = "出口岗亭 Exit booth"
WHY = "找零多给了一张五元 / one five-yuan note too many in the change"


@dataclass(frozen=True, slots=True)
class BoothCar:
    """A car that pays at the booth, and its plate, sealed."""

    vehicle_key: bytes
    plate_sealed: SealedPlate


@dataclass
class Booth:
    """The lot with a terminal that tells of its cars."""

    db: Session
    lot: Lot
    terminal_id: UUID
    safe: KeySafe
    now: datetime
    sequence: int = 0

    def pass_gate(self, car: BoothCar, direction: Direction, at: datetime) -> None:
        self.sequence += 1
        fact = Fact(FactRef(self.terminal_id, self.sequence), "scan", at, direction, True, car.vehicle_key)
        record_fact(self.db, self.lot, fact, said_at=at, safe=self.safe, now=self.now)

    def enter(self, car: BoothCar, at: datetime) -> UUID:
        """The car's visit."""
        vehicles.lock_vehicle(self.db, car.vehicle_key, plate_sealed=car.plate_sealed, now=self.now)
        self.pass_gate(car, "entry", at)
        found = parking_sessions.find_last_session(self.db, self.lot.lot_id, car.vehicle_key)
        assert found is not None
        return found.session.parking_session_id

    def pay(self, shift: Shift, parking_session_id: UUID, at: datetime) -> None:
        """With a hundred yuan."""
        stored = parking_sessions.find_session(self.db, self.lot.lot_id, parking_session_id)
        assert stored is not None
        amount_fen = due_fen(self.db, stored, now=at)
        given = Given(
            derived_uuid(at, "demo", parking_session_id), self.lot.lot_id, shift.shift_id, parking_session_id,
            amount_fen, at, max(amount_fen, 10_000))
        take_cash(
            self.db, given, operator_id=self.lot.operator_id, by=shift.staff_id, safe=self.safe, now=at)


def seed_booth(
    db: Session, lot: Lot, cars: list[BoothCar], *, staff: tuple[UUID, UUID], safe: KeySafe, now: datetime
) -> None:
    """A drawer with a closed shift of the first of these staff, and an open one of the second.

    The last car paid for more than it turned out to owe: that waits to be paid out.
    """
    add_drawer(db, Drawer(lot.lot_id, 1, lot.operator_id, NAME), now=now)
    terminal_id, _ = enrol_terminal(db, lot, gate_id=1, now=now - timedelta(days=30))
    booth = Booth(db, lot, terminal_id, safe, now)
    yesterday = open_demo_shift(booth, staff[0], FLOAT_FEN, _before(booth, hours=22))
    for position, car in enumerate(cars[:2]):
        paid_at = _before(booth, hours=18 - position)
        booth.pay(yesterday, booth.enter(car, paid_at - timedelta(hours=3)), paid_at)
        booth.pass_gate(car, "exit", paid_at + timedelta(minutes=6))
    close_shift(
        db, lot.lot_id, yesterday.shift_id, Counted(held_fen(db, yesterday) - SHORT_FEN, why=WHY), left_fen=FLOAT_FEN,
        operator_id=lot.operator_id, by=staff[0], now=_before(booth, hours=14))
    today = open_demo_shift(booth, staff[1], 0, _before(booth, hours=3))
    for position, car in enumerate(cars[2:]):
        paid_at = _before(booth, minutes=60 + 20 * position)
        visit = booth.enter(car, paid_at - timedelta(hours=4))
        booth.pay(today, visit, paid_at)
        left_at = paid_at - timedelta(hours=2) if car is cars[-1] else paid_at + timedelta(minutes=4)
        booth.pass_gate(car, "exit", left_at)
        settle(db, lot.lot_id, visit, now=booth.now)
    terminals.revoke_terminal(db, terminal_id, now=now)


def open_demo_shift(booth: Booth, staff_id: UUID, brought_fen: int, at: datetime) -> Shift:
    return open_shift(booth.db, Opening(
        new_uuid(at), booth.lot.lot_id, 1, Counted(FLOAT_FEN), brought_fen,
    ), operator_id=booth.lot.operator_id, by=staff_id, now=at)


def _before(booth: Booth, **ago: int) -> datetime:
    return booth.now.replace(microsecond=0) - timedelta(**ago)
