"""A mall of the demo city: a tea house there pays its guests' parking."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Direction, Fact, FactRef
from parking.core.identifier import new_uuid
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.enlist import make_desk, pair_desk, register_merchant
from parking.services.enrol import enrol_terminal
from parking.services.record import record_fact
from parking.services.unlock import KeySafe
from parking.services.validate import Wanted, give_validation
from parking.store import merchant_desks, terminals, vehicles
from parking.store.lots import Lot
from parking.store.merchants import Merchant

MALL_TARIFF: dict[str, Any] = {
    "code": "MALL-10-VALIDATED", "time_zone": "Asia/Shanghai",
    "name": {"zh": "商场停车库（商户可减免）", "en": "Mall, merchants may validate",
             "fr": "Centre commercial, validations de commerçants"},
    "rule": {"kind": "validated", "then": {"kind": "blocks", "hours": 24, "each": {
        "kind": "cap", "fen": 6000, "of": {"kind": "steps", "steps": [{"minutes": 60, "fen": 1000}]}}}},
}
NAME = "豫园茶馆 Tea house"
EACH_MINUTES, EACH_FEN, MONTH_MINUTES = 120, 2000, 60_000


def seed_mall(
    db: Session, lot: Lot, plates: list[Plate], *, by: UUID, secrets: Secrets, safe: KeySafe, now: datetime
) -> dict[str, Any]:
    """The merchant with a desk, cars that are inside, one with two hours given, and one that left with one.

    :returns: what a person needs to use the desk
    """
    since = now - timedelta(days=30)
    terminal_id, _ = enrol_terminal(db, lot, gate_id=1, now=since)
    numbers = iter(range(1, 2 * len(plates) + 1))

    def pass_gate(plate: Plate, direction: Direction, **ago: int) -> None:
        at, key = now.replace(microsecond=0) - timedelta(**ago), secrets.vehicle_key(plate)
        vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(plate), now=now)
        fact = Fact(FactRef(terminal_id, next(numbers)), "scan", at, direction, True, key)
        record_fact(db, lot, fact, said_at=at, safe=safe, now=now)

    for place, plate in enumerate(plates):
        pass_gate(plate, "entry", minutes=200 - 40 * place)
    merchant = register_merchant(db, Merchant(
        new_uuid(now), lot.lot_id, lot.operator_id, NAME, EACH_MINUTES, EACH_FEN, 2, MONTH_MINUTES, None, since, None,
        None, by, now), now=now)
    made, code = make_desk(db, lot.operator_id, merchant.merchant_id, name="收银台 Till", by=by, now=now)
    token = pair_desk(db, code, now=now)
    desk = next(each for each in merchant_desks.list_desks(db, merchant.merchant_id) if each.desk_id == made.desk_id)
    for plate, minutes in ((plates[0], 60), (plates[1], 120)):
        give_validation(
            db, merchant, desk, Wanted(new_uuid(now), minutes), plate, secrets=secrets, safe=safe,
            now=now - timedelta(minutes=20))
    pass_gate(plates[0], "exit", minutes=5)
    terminals.revoke_terminal(db, terminal_id, now=now)
    return {"lot": lot.lot_id, "name": NAME, "desk": "/merchant/pair", "token": token,
            "plates": [plate.text for plate in plates[1:]]}
