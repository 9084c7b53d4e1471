"""A driver pays for a visit from the wallet, in one step: nobody is asked, and it is paid or it is not.

From there on it is a payment like any other, of the channel `wallet`: time to leave, receipt, books; and what turns
out to have been too much goes back into the wallet (refund.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.auto_pay import Agreement
from parking.core.calendar import CannotPrice
from parking.core.clock import EPOCH, city_date
from parking.core.identifier import derived_uuid
from parking.core.payment import ORDER_LIFE
from parking.core.price import Vehicle
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CHANNEL, WAY
from parking.services.move import move_wallet
from parking.services.owe import due_fen, lock_visit
from parking.services.pay import NothingDue, PaymentIdReused, credit_payment
from parking.services.unlock import KeySafe
from parking.store import channel_accounts, deductions, parking_sessions, payments, reckonings, wallets
from parking.store.channel_accounts import ChannelAccount
from parking.store.deductions import StoredDeduction
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment


class WalletTooLow(Exception):
    """The wallet holds less than is due, or there is none."""


class MoreIsDue(Exception):
    """More is due by now than the driver was shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """To pay for this visit from the wallet. shown_fen: what the driver saw as due, where a page showed it."""

    payment_id: UUID
    lot_id: int
    parking_session_id: UUID
    driver_id: UUID
    shown_fen: int | None = None


def pay_from_wallet(db: Session, asked: Asked, *, safe: KeySafe, now: datetime) -> Payment:
    """Pay all that is due; the same id again is the same payment.

    :raises NothingDue: there is nothing to pay, or no such visit
    :raises MoreIsDue: than was shown; nothing was done
    :raises WalletTooLow: nothing was done
    :raises PaymentIdReused: the id names another payment
    """
    found = parking_sessions.find_session(db, asked.lot_id, asked.parking_session_id)
    if found is None:
        raise NothingDue
    stored, vehicle = lock_visit(db, asked.lot_id, asked.parking_session_id, now=now)
    known = _find_spent(db, asked.payment_id, asked.driver_id)
    if known is not None:
        if (known.lot_id, known.parking_session_id) != (asked.lot_id, asked.parking_session_id):
            raise PaymentIdReused
        return known
    if stored.session.state == "voided":
        raise NothingDue
    try:
        amount_fen = due_fen(db, stored, now=now)
    except CannotPrice:
        raise NothingDue from None
    if amount_fen <= 0:
        raise NothingDue
    if asked.shown_fen is not None and amount_fen > asked.shown_fen:
        raise MoreIsDue
    payment = spend_from_wallet(
        db, stored, vehicle, asked.driver_id, amount_fen, asked.payment_id, safe=safe, now=now)
    if payment is None:
        raise WalletTooLow
    return payment


def spend_from_wallet(
    db: Session, stored: StoredSession, vehicle: Vehicle, driver_id: UUID, amount_fen: int, payment_id: UUID, *,
    safe: KeySafe, now: datetime,
) -> Payment | None:
    """Pay an amount for a visit from a driver's wallet, within the caller's transaction.

    The caller holds the visit's vehicle (`owe.lock_visit`), and gives both as they were then; `stored` is out of date
    afterwards. Who may spend from whose wallet is the caller's to know. None: the wallet does not hold so much, or the
    driver has none; nothing was done. The same id for the same visit, driver and amount is the same payment.

    :raises PaymentIdReused: the id names another payment, or another order
    """
    assert amount_fen > 0
    lot_id, session_id = stored.session.lot_id, stored.session.parking_session_id
    known = _find_spent(db, payment_id, driver_id)
    if known is not None:
        if (known.lot_id, known.parking_session_id, known.amount_fen) != (lot_id, session_id, amount_fen):
            raise PaymentIdReused
        return known
    held = wallets.lock_wallet(db, driver_id)
    if held is None or held.balance_fen < amount_fen:
        return None
    account_id = account_of(db, stored.operator_id, now)
    if not payments.add_payment(
        db, lot_id=lot_id, payment_id=payment_id, operator_id=stored.operator_id, parking_session_id=session_id,
        channel=CHANNEL, account_id=account_id, way=WAY, amount_fen=amount_fen, quoted_at=now,
        expires_at=now + ORDER_LIFE,
    ):
        raise PaymentIdReused
    order = _get_payment(db, lot_id, payment_id)
    is_paid = payments.pay(db, order, transaction_no=order.order_no, paid_at=now, now=now)
    assert is_paid
    move_wallet(
        db, held, "spent", amount_fen=amount_fen, beside=ledger.interlot(lot_id), ref_id=payment_id,
        visited_lot_id=lot_id, now=now)
    credit_payment(db, _get_payment(db, lot_id, payment_id), stored, vehicle, now, safe, now)
    reckonings.touch_movement(
        db, account_id, stored.operator_id, number=order.order_no, day=city_date(now, CHANNEL_ZONE))
    return _get_payment(db, lot_id, payment_id)


def pay_at_once(
    db: Session, stored: StoredSession, vehicle: Vehicle, agreement: Agreement, *, payment_id: UUID, amount_fen: int,
    safe: KeySafe, now: datetime,
) -> StoredSession:
    """Pay the fee from the driver's wallet, which defer.find_bar held ready, as it leaves; returns the visit."""
    session = stored.session
    paid = spend_from_wallet(
        db, stored, vehicle, agreement.driver_id, amount_fen, payment_id, safe=safe, now=now)
    assert paid is not None, "the wallet was held"
    deductions.add_deduction(db, StoredDeduction(
        session.lot_id, payment_id, stored.operator_id, agreement.agreement_id, agreement.driver_id,
        agreement.vehicle_key, now))
    found = parking_sessions.find_session(db, session.lot_id, session.parking_session_id)
    assert found is not None
    return found


def _find_spent(db: Session, payment_id: UUID, driver_id: UUID) -> Payment | None:
    """What was paid by this id from this driver's wallet.

    :raises PaymentIdReused: the id names another's payment, or one by another channel
    """
    known = payments.find_order(db, payment_id.hex, kind="payment")
    if known is None:
        return None
    payment = _get_payment(db, *known)
    if payment.channel != CHANNEL or wallets.find_spender(db, payment_id) != driver_id:
        raise PaymentIdReused
    return payment


def account_of(db: Session, operator_id: UUID, now: datetime) -> UUID:
    """The account by which an operator takes money from wallets: made with the first."""
    account = channel_accounts.find_connected(db, operator_id, CHANNEL)
    if account is not None:
        return account.account_id
    account_id = derived_uuid(EPOCH, "channel_account", CHANNEL, operator_id)
    channel_accounts.add_account(
        db, account=ChannelAccount(account_id, operator_id, CHANNEL, CHANNEL, {}, b"", None), now=now)
    return account_id


def _get_payment(db: Session, lot_id: int, payment_id: UUID) -> Payment:
    payment = payments.find_payment(db, lot_id, payment_id)
    assert payment is not None
    return payment
