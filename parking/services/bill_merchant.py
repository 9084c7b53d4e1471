"""What a merchant owes for a month, visit by visit, and that it paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import start_of_day
from parking.services.enlist import find_merchant
from parking.store import lots, merchant_payments, merchants, transfers, validations
from parking.store.lots import Lot
from parking.store.merchant_payments import MerchantPayment
from parking.store.merchants import Merchant
from parking.store.validations import Given, Sponsorship


class MerchantPaymentIdReused(Exception):
    """The id names another payment."""


@dataclass(frozen=True, slots=True)
class MerchantStatement:
    """A month by the walls of the lot, [since, until).

    lines: what sealed charges came to less by the merchant's validations, and what was taken back of that; booked as a
    car leaves, so that a month that is over does not change. given_count: the validations of the month that stand.
    """

    merchant: Merchant
    lot: Lot
    month: date
    since: datetime
    until: datetime
    opening_fen: int
    lines: tuple[tuple[Sponsorship, Given], ...]
    payments: tuple[MerchantPayment, ...]
    given_count: int
    minutes_spent: int
    fen_spent: int

    @property
    def sponsored_fen(self) -> int:
        return sum(made.signed_fen for made, _ in self.lines)

    @property
    def paid_fen(self) -> int:
        return sum(each.amount_fen for each in self.payments)

    @property
    def closing_fen(self) -> int:
        return self.opening_fen + self.sponsored_fen - self.paid_fen


def make_statement(db: Session, operator_id: UUID, merchant_id: UUID, month: date) -> MerchantStatement:
    """month: any day of it.

    :raises NoMerchant: none of the operator's
    """
    merchant = find_merchant(db, operator_id, merchant_id)
    lot = lots.get_lot(db, merchant.lot_id)
    first = month.replace(day=1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    since, until = start_of_day(first, lot.zone), start_of_day(following, lot.zone)
    spent = merchants.find_spent(db, merchant, first.isoformat()[:7])
    return MerchantStatement(
        merchant, lot, first, since, until,
        validations.sum_sponsored(db, merchant, until=since) - merchant_payments.sum_paid(db, merchant, until=since),
        tuple(validations.list_sponsorships(db, merchant, since=since, until=until)),
        tuple(merchant_payments.list_payments(db, merchant, since=since, until=until)),
        validations.count_given(db, merchant, since=since, until=until), *spent)


def owes_fen(db: Session, merchant: Merchant) -> int:
    """What a merchant owes now; below nothing, it paid ahead."""
    return transfers.balance(db, merchant.lot_id, ledger.merchant(merchant.merchant_id))


def record_payment(
    db: Session, operator_id: UUID, merchant_id: UUID, *, payment_id: UUID, amount_fen: int, reference: str, by: UUID,
    now: datetime,
) -> MerchantPayment:
    """The bank has a merchant's money; told again with the same id, it is the same payment.

    :raises NoMerchant, MerchantPaymentIdReused:
    """
    merchant = find_merchant(db, operator_id, merchant_id)
    made = MerchantPayment(
        merchant.lot_id, payment_id, merchant_id, operator_id, amount_fen, reference, by, now)
    if not merchant_payments.add_payment(db, made):
        known = merchant_payments.find_payment(db, merchant.lot_id, payment_id)
        assert known is not None
        if (known.merchant_id, known.amount_fen, known.reference) != (merchant_id, amount_fen, reference):
            raise MerchantPaymentIdReused
        return known
    transfers.post(db, ledger.transfer(
        "merchant_paid", debit=ledger.MERCHANTS_BANK, credit=ledger.merchant(merchant_id), amount_fen=amount_fen,
        ref_id=payment_id, now=now), lot_id=merchant.lot_id, operator_id=operator_id, now=now)
    return made
