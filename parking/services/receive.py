"""An accountant says what the bank received of a channel's account, and sees which withdrawals have arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.bank_match import BankMatch, Received, Taken, match_bank
from parking.core.clock import city_date
from parking.core.statement import CHANNEL_ZONE
from parking.services.book_funds import Position, find_position, is_only_one
from parking.store import fund_bookings, fund_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.fund_bookings import Receipt
from parking.store.fund_imports import PurseOn, Withdrawal

LOOKED_BACK = timedelta(days=60)


class ReceiptIdReused(Exception):
    """The id names another receipt."""


class NoReceipt(Exception):
    """There is no such receipt, or it is another operator's."""


class ReceiptNotYet(Exception):
    """A bank has received nothing yet on a day that has not begun."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's movements as they stand. position: None until a day was booked, or where another account's movements
    of the same channel are read too."""

    account: ChannelAccount
    purses: list[PurseOn]
    position: Position | None
    withdrawals: list[Withdrawal]
    receipts: list[Receipt]
    matched: BankMatch

    def state(self, each: Withdrawal) -> str:
        return self.matched.states.get(name_of(each), "came_back")


def show_standing(db: Session, account: ChannelAccount, *, now: datetime) -> Standing:
    """Of the last two months."""
    today = city_date(now, CHANNEL_ZONE)
    first = today - LOOKED_BACK
    withdrawals = fund_imports.list_withdrawals(db, account.account_id, first=first, last=today)
    receipts = fund_bookings.list_receipts(db, account.account_id, first=first, last=today)
    matched = match_bank(
        [Taken(name_of(each), date.fromisoformat(each.statement_date), -each.moved_fen) for each in withdrawals],
        [Received(str(each.receipt_id), date.fromisoformat(each.received_date), each.amount_fen)
         for each in receipts if each.taken_back_at is None], today=today)
    return Standing(
        account, fund_imports.list_purses(db, account.account_id),
        find_position(db, account) if is_only_one(db, account) else None, withdrawals, receipts, matched)


def name_of(each: Withdrawal) -> str:
    return f"{each.import_id}/{each.row}"


def enter_receipt(
    db: Session, account: ChannelAccount, receipt_id: UUID, *, day: date, amount_fen: int, note: str, by: UUID,
    now: datetime,
) -> Receipt:
    """The bank received this on a day; the same id again is the same receipt.

    :raises ReceiptNotYet: the day has not begun
    :raises ReceiptIdReused: the id names another
    """
    if day > city_date(now, CHANNEL_ZONE):
        raise ReceiptNotYet
    made = Receipt(account.account_id, receipt_id, account.operator_id, day.isoformat(), amount_fen, note, by, now)
    known = fund_bookings.find_receipt(db, account.operator_id, receipt_id)
    if known is None and fund_bookings.add_receipt(db, made):
        return made
    known = known or fund_bookings.find_receipt(db, account.operator_id, receipt_id)
    said = (made.account_id, made.received_date, made.amount_fen, made.note, made.entered_by)
    if known is None or said != (
        known.account_id, known.received_date, known.amount_fen, known.note, known.entered_by
    ):
        raise ReceiptIdReused
    return known


def take_receipt_back(db: Session, operator_id: UUID, receipt_id: UUID, *, by: UUID, now: datetime) -> Receipt:
    """It was entered by mistake, and counts no more; again, it changes nothing.

    :raises NoReceipt: there is none
    """
    known = fund_bookings.find_receipt(db, operator_id, receipt_id)
    if known is None:
        raise NoReceipt
    fund_bookings.take_receipt_back(db, known, by=by, now=now)
    found = fund_bookings.find_receipt(db, operator_id, receipt_id)
    assert found is not None
    return found
