"""Cash that is owed back is paid out at a booth, once, to who comes for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import city_date
from parking.core.drawer import CHANNEL
from parking.core.plate import mask_plate
from parking.core.secret import Secrets
from parking.core.statement import CHANNEL_ZONE
from parking.services.close_shift import held_fen, hold_own_open_shift
from parking.services.refund import tell_of_refund
from parking.store import drawer_movements, parking_sessions, payments, reckonings, refunds, transfers, vehicles
from parking.store.drawer_movements import Movement, Owed


class NoPayout(Exception):
    """Nothing of this id is owed back in cash at this lot."""


class PaidOutBefore(Exception):
    """It was paid out before, in another shift."""


class DrawerTooLow(Exception):
    """The drawer holds less than is to be paid out."""


@dataclass(frozen=True, slots=True)
class Payout:
    """What waits to be fetched. plate: as it is shown to staff, None of a visit without one."""

    owed: Owed
    plate: str | None


def list_payouts(db: Session, lot_id: int, *, secrets: Secrets) -> list[Payout]:
    """What a lot owes back in cash and nobody has fetched, oldest first."""
    owed = drawer_movements.list_owed(db, lot_id, CHANNEL)
    visits = {each.session.parking_session_id: each.session.vehicle_key for each in parking_sessions.list_sessions(
        db, {(lot_id, each.parking_session_id) for each in owed})}
    sealed = vehicles.list_sealed_plates(db, set(visits.values()))
    plates = {key: mask_plate(secrets.open_plate(key, blob)) for key, blob in sealed.items()}
    return [Payout(each, plates.get(visits[each.parking_session_id])) for each in owed]


def pay_out(
    db: Session, lot_id: int, refund_id: UUID, *, shift_id: UUID, operator_id: UUID, by: UUID, now: datetime
) -> Movement:
    """Pay a refund of cash out of the drawer of an open shift; the same again is the same payout.

    :raises NoPayout, NoShift, NotYourShift, ShiftOver: nothing was done
    :raises PaidOutBefore: another shift paid it out
    :raises DrawerTooLow: there is not so much in the drawer
    """
    known = _find_paid_out(db, lot_id, refund_id, shift_id, by)
    if known is not None:
        return known
    shift = hold_own_open_shift(db, operator_id, lot_id, shift_id, by=by)
    if refunds.find_refund(db, lot_id, refund_id) is None:
        raise NoPayout
    refund = refunds.lock_refund(db, lot_id, refund_id)
    payment = payments.find_payment(db, lot_id, refund.payment_id)
    assert payment is not None
    if payment.channel != CHANNEL or payment.operator_id != operator_id:
        raise NoPayout
    if refund.state == "done":
        known = _find_paid_out(db, lot_id, refund_id, shift_id, by)
        assert known is not None
        return known
    if held_fen(db, shift) < refund.amount_fen:
        raise DrawerTooLow
    made = Movement("payout", refund_id, shift_id, refund.amount_fen, None, by, now)
    drawer_movements.add_movement(db, shift, made)
    transfers.post(db, ledger.transfer(
        "payout", debit=ledger.refunding(CHANNEL), credit=ledger.drawer(shift.drawer_id), amount_fen=refund.amount_fen,
        ref_id=refund_id, now=now,
    ), lot_id=lot_id, operator_id=operator_id, now=now)
    tell_of_refund(db, "accepted", payment, refund, now=now)
    refunds.change_refund(db, refund, state="done", accepted_at=now, channel_refund_no=refund.refund_no)
    reckonings.touch_movement(
        db, payment.account_id, operator_id, number=refund.refund_no, day=city_date(now, CHANNEL_ZONE))
    return made


def _find_paid_out(db: Session, lot_id: int, refund_id: UUID, shift_id: UUID, by: UUID) -> Movement | None:
    """:raises PaidOutBefore: another shift did"""
    known = drawer_movements.find_movement(db, lot_id, refund_id)
    if known is None or known.kind != "payout":
        return None
    if (known.shift_id, known.staff_id) != (shift_id, by):
        raise PaidOutBefore
    return known
