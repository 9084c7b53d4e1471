"""What merchants took off a charge they owe from when it is sealed, and no more once it is credited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.charge import Charge, price_session
from parking.core.identifier import derived_uuid
from parking.core.parking_session import ParkingSession
from parking.core.payment import Paid
from parking.core.price import Vehicle
from parking.core.tariff import Tariff
from parking.core.validation import share_taken_off
from parking.store import validations
from parking.store.lots import Lot
from parking.store.validations import Sponsorship


def price_shares(
    session: ParkingSession, total_fen: int, *, tariff: Tariff, vehicle: Vehicle, paid: Paid
) -> list[int]:
    """How much of a visit's fee each of its validations took off: it is priced again without them.

    :raises CannotPrice: without one of them it has no price
    """
    without = [
        price_session(replace(session, validations=session.validations[:count]), tariff=tariff, vehicle=vehicle,
                      paid=paid).total_fen
        for count in range(len(session.validations))]
    return share_taken_off([*without, total_fen])


def sponsor(
    lot: Lot, session: ParkingSession, charge: Charge, shares_fen: list[int], now: datetime
) -> list[Sponsorship]:
    """What each merchant owes of a charge that is sealed, in the order of the visit's validations."""
    return [
        _make(lot, session, charge.charge_id, each.merchant_id, each.validation_id, fen, now)
        for each, fen in zip(session.validations, shares_fen, strict=True) if fen]


def unsponsor(
    db: Session, lot: Lot, session: ParkingSession, *, charged: UUID, credit_id: UUID, now: datetime
) -> list[Sponsorship]:
    """What a credit takes back of that."""
    return [
        _make(lot, session, credit_id, each.merchant_id, each.validation_id, -each.signed_fen, now)
        for each in validations.list_of_charge(db, lot.lot_id, charged)]


def transfers_of(made: Iterable[Sponsorship], *, now: datetime) -> list[ledger.Transfer]:
    """As the ledger has them: what a merchant owes is earned by the lot's operator."""
    found = []
    for each in made:
        sides = [ledger.merchant(each.merchant_id), ledger.PAYABLE]
        debit, credit = sides if each.kind == "sponsored" else sides[::-1]
        found.append(ledger.transfer(
            each.kind, debit=debit, credit=credit, amount_fen=each.amount_fen, ref_id=each.sponsorship_id, now=now))
    return found


def _make(
    lot: Lot, session: ParkingSession, charge_id: UUID, merchant_id: UUID, validation_id: UUID, fen: int, now: datetime
) -> Sponsorship:
    """fen: below nothing where a charge is taken back."""
    kind = "sponsored" if fen > 0 else "unsponsored"
    return Sponsorship(
        lot.lot_id, derived_uuid(now, kind, charge_id, validation_id), merchant_id, lot.operator_id,
        session.parking_session_id, charge_id, validation_id, kind, abs(fen), now)
