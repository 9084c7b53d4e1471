"""Invoices in the demo city: how its lots are invoiced, and a driver with a company's title and paid visits."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.invoice import TaxRule, Title
from parking.core.secret import Secrets
from parking.services.close_shift import close_shift, held_fen
from parking.services.engage import set_rule
from parking.services.enrol import enrol_terminal
from parking.services.entitle import add_title
from parking.services.open_shift import Counted, add_drawer
from parking.services.seed_booth import FLOAT_FEN, Booth, BoothCar, open_demo_shift
from parking.services.unlock import KeySafe
from parking.store import terminals
from parking.store.drawers import Drawer
from parking.store.lots import Lot

# The number checks, and is nobody's we know of.
TITLE = Title("company", "演示科技有限公司 Demo Ltd", "91310115DEMA000018", email="invoices@demo.example")
_STREETS, _SIMPLIFIED = frozenset((1, 2, 10, 11, 14)), frozenset((8, 13))
# Lot: so many days ago the driver's car was there, and paid. One seller's garage, another's, and a street.
PAID_VISITS = {9: (45, 31, 12, 3), 3: (33, 5), 11: (4,)}


def seed_invoices(
    db: Session, lots: list[Lot], car: BoothCar, driver_id: UUID, *, staff: dict[UUID, UUID], secrets: Secrets,
    safe: KeySafe, now: datetime,
) -> None:
    """:param staff: of each operator somebody who took the money"""
    for lot in lots:
        set_rule(db, lot.operator_id, lot.lot_id, _rule_of(lot), by=None, now=now)
    add_title(db, driver_id, new_uuid(now), TITLE, sealer=secrets.sealer, now=now)
    for lot in lots:
        if lot.lot_id in PAID_VISITS:
            _pay_visits(db, lot, car, PAID_VISITS[lot.lot_id], staff[lot.operator_id], safe, now)


def _rule_of(lot: Lot) -> TaxRule:
    if lot.lot_id in _STREETS:
        return TaxRule("non_tax_receipt")
    return TaxRule("vat_invoice", 500 if lot.lot_id in _SIMPLIFIED else 900, place=f"上海市 {lot.name['zh']}")


def _pay_visits(
    db: Session, lot: Lot, car: BoothCar, days_ago: tuple[int, ...], staff_id: UUID, safe: KeySafe, now: datetime
) -> None:
    """In cash, at a booth that has been closed since."""
    add_drawer(db, Drawer(lot.lot_id, 1, lot.operator_id, "岗亭 Booth"), now=now)
    terminal_id, _ = enrol_terminal(db, lot, gate_id=1, now=now - timedelta(days=60))
    booth = Booth(db, lot, terminal_id, safe, now)
    noon = now.replace(minute=0, second=0, microsecond=0)
    shift = open_demo_shift(booth, staff_id, FLOAT_FEN, noon - timedelta(days=60))
    for days in days_ago:
        paid_at = noon - timedelta(days=days)
        booth.pay(shift, booth.enter(car, paid_at - timedelta(hours=3)), paid_at)
        booth.pass_gate(car, "exit", paid_at + timedelta(minutes=5))
    close_shift(
        db, lot.lot_id, shift.shift_id, Counted(held_fen(db, shift)), left_fen=FLOAT_FEN,
        operator_id=lot.operator_id, by=staff_id, now=noon - timedelta(days=1))
    terminals.revoke_terminal(db, terminal_id, now=now)
