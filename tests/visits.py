"""A few hundred true visits for what-ifs: driven in and out at a city's lots, folded and charged by the service."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from parking.core.clock import format_instant
from parking.core.payment import Paid
from parking.core.tariff import read_tariff
from parking.services.publish import import_tariff, tariff_id
from parking.store import parking_sessions, tariffs
from parking.store.lots import get_lot
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.vehicles import Vehicle
from tests.city import LONG_AGO, City, now

FROM, TO = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)
STREET = {
    "code": "TEST-STREET", "name": {"en": "street"}, "time_zone": "Asia/Shanghai",
    "rule": {"kind": "vehicle_factor", "large": 2, "then": {"kind": "windows", "windows": [
        {"name": "day", "from": "07:30", "to": "19:30", "each": {
            "kind": "steps", "steps": [{"minutes": 60, "fen": 1500, "times": 1}, {"minutes": 30, "fen": 1000}]}},
        {"name": "night", "from": "19:30", "to": "07:30", "each": {"kind": "flat", "fen": 1000}}]}}}
TRIED: dict[str, Any] = {
    "code": "TEST-TRIED", "name": {"en": "tried"}, "time_zone": "Asia/Shanghai",
    "rule": {"kind": "free_within", "minutes": 15, "first_stop_of_day": True, "then": {"kind": "days", "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri"], "each": {"kind": "blocks", "hours": 24, "each": {
            "kind": "cap", "fen": 6000, "of": {"kind": "steps", "steps": [{"minutes": 30, "fen": 700}]}}}},
        {"on": ["sat", "sun"], "each": {"kind": "ladder", "rungs": [
            {"minutes": 60, "fen": 500}, {"minutes": 1440, "fen": 2500}]}}]}}}


@dataclass(frozen=True, slots=True)
class _Drive:
    lot_id: int
    plate: str
    entered_at: datetime
    left_at: datetime | None


def drive(city: City, count: int = 240, *, seed: int = 1) -> None:
    """Cars come to lots 1 and 3, one after another or several times a day, and leave; some are large, some are paid
    for before they leave. Lot 1 charges by another tariff from the fourth day on. One car is still inside, one came
    in twice, one stayed for too long, and what comes before and after the period is none of it.
    """
    extensions, whims = city.app.extensions, random.Random(seed)
    with extensions["database"].writing() as db:
        operator_id = get_lot(db, 1).operator_id
        import_tariff(db, read_tariff(STREET), operator_id=operator_id, in_force_from=LONG_AGO, now=now())
        tariffs.assign_tariff(db, lot_id=1, tariff_id=tariff_id("TEST-STREET"), operator_id=operator_id,
                              assigned_from=FROM + timedelta(days=3))
    drives = [_some_drive(whims, number) for number in range(count)]
    for number, (at, left) in enumerate((
        (FROM, timedelta(hours=2)), (FROM - timedelta(milliseconds=1), timedelta(hours=2)), (TO, timedelta(hours=2)),
        (TO - timedelta(milliseconds=1), timedelta(hours=2)), (FROM + timedelta(days=2), None))):
        drives.append(_Drive(1, f"沪B{number:05d}", at, at + left if left else None))
    entries = [(each.lot_id, each.entered_at, each.plate) for each in drives]
    entries += [(1, FROM + timedelta(days=1, hours=hour), "沪B99999") for hour in (1, 9)]
    exits = [(each.lot_id, each.left_at, each.plate) for each in drives if each.left_at is not None]
    _tell(city, "entry", entries)
    _look_at(city, whims)
    _tell(city, "exit", exits)


def _some_drive(whims: random.Random, number: int) -> _Drive:
    """Every third car comes back to its place later that day."""
    of, again = divmod(number, 3)
    mine = random.Random(of)
    day, lot_id = mine.randrange(14), mine.choice([1, 1, 3])
    entered_at = FROM + timedelta(
        days=day, minutes=60 + 400 * again + whims.randrange(100), seconds=whims.randrange(60))
    minutes = whims.choice([4, 14, 15, 16, 44, 90, 200])
    if again == 2 and mine.random() < 0.3:
        minutes += whims.choice([700, 3000])
    left_at = entered_at + timedelta(minutes=minutes, seconds=whims.randrange(60))
    return _Drive(lot_id, f"沪A{of:05d}", entered_at, left_at)


def _tell(city: City, gate: str, facts: list[tuple[int, datetime, str]]) -> None:
    for lot_id in (1, 3):
        own = sorted((at, plate) for lot, at, plate in facts if lot == lot_id)
        answer = city.tell(lot_id, gate, [
            {"sequence": number, "kind": "scan", "occurred_at": format_instant(at), "direction": gate, "opened": True,
             "reason": "entered" if gate == "entry" else "left", "plate": plate}
            for number, (at, plate) in enumerate(own, start=1)])
        assert all(each["status"] == "stored" for each in answer["results"])


def _look_at(city: City, whims: random.Random) -> None:
    """While they are inside: some are found to be large, and some pay shortly before they leave."""
    with city.app.extensions["database"].writing() as db:
        keys = sorted(db.execute(select(Vehicle.vehicle_key)).scalars())
        large = [key for key in keys if whims.random() < 0.2]
        db.execute(update(Vehicle).where(Vehicle.vehicle_key.in_(large)).values(size="large"))
        row = ParkingSessionRow
        for lot_id, visit, entered_at in db.execute(select(row.lot_id, row.parking_session_id, row.entered_at)).all():
            if whims.random() < 0.4:
                paid_at = entered_at + timedelta(minutes=whims.choice([10, 80, 190]))
                parking_sessions.write_paid(db, lot_id, visit, Paid(0, paid_at, paid_at + timedelta(minutes=15)))


def own_of(city: City, lot_id: int = 1) -> UUID:
    """Whose a lot is."""
    with city.app.extensions["database"].reading() as db:
        return get_lot(db, lot_id).operator_id
