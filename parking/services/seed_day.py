"""Yesterday at a lot of the demo city: cars that came, paid by a channel and left, as the books have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Direction, Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.enrol import enrol_terminal
from parking.services.owe import due_fen, lock_visit
from parking.services.pay import credit_payment
from parking.services.record import record_fact
from parking.services.unlock import KeySafe
from parking.store import parking_sessions, payments, terminals, vehicles
from parking.store.channel_accounts import ChannelAccount
from parking.store.lots import Lot

STAY, EVERY, PAID_BEFORE_EXIT = timedelta(hours=2), timedelta(minutes=50), timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class PaidOrder:
    """An order as the channel must know it too."""

    order_no: str
    transaction_no: str
    amount_fen: int
    paid_at: datetime


def seed_paid_day(
    db: Session, lot: Lot, account: ChannelAccount, plates: list[Plate], *, first_entry: datetime, secrets: Secrets,
    safe: KeySafe, now: datetime,
) -> list[PaidOrder]:
    """A visit of two hours for each plate, one after another, paid shortly before its exit."""
    terminal_id, _ = enrol_terminal(db, lot, gate_id=1, now=first_entry - timedelta(days=1))
    sequence, made = 0, list[PaidOrder]()

    def pass_gate(key: bytes, direction: Direction, at: datetime) -> None:
        nonlocal sequence
        sequence += 1
        fact = Fact(FactRef(terminal_id, sequence), "scan", at, direction, True, key)
        record_fact(db, lot, fact, said_at=at, safe=safe, now=now)

    for position, plate in enumerate(plates):
        key, entered_at = secrets.vehicle_key(plate), first_entry + position * EVERY
        vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(plate), now=now)
        pass_gate(key, "entry", entered_at)
        found = parking_sessions.find_last_session(db, lot.lot_id, key)
        assert found is not None
        made.append(_pay(db, lot, account, found.session.parking_session_id,
                         at=entered_at + STAY - PAID_BEFORE_EXIT, safe=safe, now=now))
        pass_gate(key, "exit", entered_at + STAY)
    terminals.revoke_terminal(db, terminal_id, now=now)
    return made


def _pay(
    db: Session, lot: Lot, account: ChannelAccount, parking_session_id: UUID, *, at: datetime, safe: KeySafe,
    now: datetime,
) -> PaidOrder:
    stored, vehicle = lock_visit(db, lot.lot_id, parking_session_id, now=now)
    amount_fen, payment_id = due_fen(db, stored, now=at), derived_uuid(at, "demo_day", parking_session_id)
    assert payments.add_payment(
        db, lot_id=lot.lot_id, payment_id=payment_id, operator_id=lot.operator_id,
        parking_session_id=stored.session.parking_session_id, channel=account.channel, account_id=account.account_id,
        way="qr", amount_fen=amount_fen, quoted_at=at, expires_at=at + PAID_BEFORE_EXIT)
    payment = payments.find_payment(db, lot.lot_id, payment_id)
    assert payment is not None
    transaction_no = f"42{payment_id.int % 10**26:026d}"
    payments.pay(db, payment, transaction_no=transaction_no, paid_at=at, now=now)
    paid = payments.find_payment(db, lot.lot_id, payment_id)
    assert paid is not None
    credit_payment(db, paid, stored, vehicle, at, safe, now)
    return PaidOrder(paid.order_no, transaction_no, amount_fen, at)
