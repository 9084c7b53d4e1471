"""What a closed visit cost, how it was paid and what proves it, for those who may see the visit."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.charge import read_body, sealing_kid
from parking.core.identifier import format_lot_id
from parking.core.plate import mask_plate
from parking.core.reason import in_all_languages
from parking.core.receipt import Receipt, ReceiptPayment, ReceiptRefund
from parking.core.receipt_stamp import write_stamp
from parking.core.secret import Secrets
from parking.services.owe import find_tariff
from parking.services.show import Viewer, find_visible
from parking.services.unlock import KeySafe
from parking.store import charges, keys, lots, operators, payments, refunds, vehicles


class NotCharged(Exception):
    """No charge of the visit stands: it goes on, is being checked, or nothing is priced there."""


def find_receipt(
    db: Session, viewer: Viewer, lot_id: int, parking_session_id: UUID, *, secrets: Secrets
) -> Receipt | None:
    """The receipt of a visit by its standing charge; None if there is none, or it is not the viewer's.

    :raises NotCharged: the viewer may see the visit, and no charge of it stands
    """
    stored = find_visible(db, viewer, lot_id, parking_session_id)
    if stored is None:
        return None
    charge = charges.find_standing_charge(db, lot_id, parking_session_id)
    if charge is None:
        raise NotCharged
    tariff = find_tariff(db, stored)
    assert tariff is not None, "a visit is charged by a tariff, and keeps it"
    lot, key = lots.get_lot(db, lot_id), stored.session.vehicle_key
    sealed_plate = vehicles.list_sealed_plates(db, [key]).get(key)
    return Receipt(
        parking_session_id=format_lot_id(lot_id, parking_session_id),
        lot_name=in_all_languages(lot.name),
        operator_name=operators.get_operator(db, stored.operator_id).name,
        zone=lot.zone,
        plate=mask_plate(secrets.open_plate(key, sealed_plate)) if sealed_plate else None,
        charge_id=charge.charge_id,
        charge=read_body(charge.body),
        sealed_at=charge.sealed_at,
        sealed_text=charge.body,
        seal=charge.seal,
        tariff_text=tariff.tariff.canonical,
        key=keys.get_public(db, "receipt", sealing_kid(charge.seal)),
        payments=_list_paid(db, lot_id, parking_session_id),
        waived_fen=stored.taken_off_fen,
    )


def stamp_receipt(db: Session, receipt: Receipt, *, safe: KeySafe, now: datetime) -> str:
    """The text of the receipt's stamp (core/receipt_stamp.py), without an address."""
    return write_stamp(receipt, safe.receipt_key(db, now=now))


def _list_paid(db: Session, lot_id: int, parking_session_id: UUID) -> tuple[ReceiptPayment, ...]:
    """The visit's orders that were paid, oldest first, each with what went back of it."""
    made = []
    for payment in payments.list_payments_of_session(db, lot_id, parking_session_id):
        if payment.transaction_no is not None and payment.paid_at is not None:
            back = tuple(
                ReceiptRefund(each.refund_no, each.asked_at, each.state, each.amount_fen)
                for each in refunds.list_refunds_of_payment(db, lot_id, payment.payment_id))
            made.append(ReceiptPayment(
                payment.channel, payment.order_no, payment.transaction_no, payment.paid_at, payment.amount_fen, back))
    return tuple(sorted(made, key=lambda payment: payment.paid_at))
