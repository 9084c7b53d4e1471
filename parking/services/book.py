"""A channel's fees of a day go into the ledger, once its statement is final and both sides agree, or it was closed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.channel_fee import book_fee
from parking.core.wallet import CITY
from parking.services.reckon import KINDS, ROWS_AT_ONCE, Day, show_day
from parking.store import (
    channel_accounts,
    channel_fees,
    day_closings,
    lots,
    movements,
    reckonings,
    statement_imports,
    transfers,
)
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database


class FeeOfNoLot(Exception):
    """A row has a fee, and its number is of no order of the account."""


def book_fees(database: Database, shown: Day, *, now: datetime) -> bool:
    """Book a day's fees in whole fen, each lot its own; again, it changes nothing. False: the day is not closed.

    A statement's rows and their orders' lots stay as they are, so they are added up before the transaction.
    """
    account, read = shown.account, shown.read
    if read is None or not read.is_final:
        return False
    with database.reading() as db:
        if channel_fees.is_booked(db, account.account_id, read.import_id):
            return True
        is_closed = day_closings.find_closing(db, account.account_id, shown.day) is not None
        own = [lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=account.operator_id)]
    if not shown.is_balanced and not is_closed:
        return False
    fee_raw = add_up_fees(
        database, account.account_id, read.import_id, first_lot=min(own), other_lot=min(own) if is_closed else None)
    return database.write(lambda db: _book(db, shown, fee_raw, now))


def book_due_fees(database: Database, *, now: datetime) -> int:
    """Book every day that is closed and not booked yet; how many."""
    with database.reading() as db:
        due = channel_fees.list_due(db)
        accounts = {each.account_id: each for each in channel_accounts.list_accounts(db)}
    return sum(
        book_fees(database, show_day(database, accounts[account_id], day, now=now), now=now)
        for account_id, day in due)


def add_up_fees(
    database: Database, account_id: UUID, import_id: UUID, *, first_lot: int, other_lot: int | None
) -> dict[int, int]:
    """The raw fees of a statement's rows, by the lots of their orders; read in parts, so that nobody waits.

    :param first_lot: whose the fees of top-ups are: who issues wallets bears what they cost
    :param other_lot: whose the fees of rows are that are of no order of ours, and were explained
    :raises FeeOfNoLot: a row that costs something is of no order of ours
    """
    sums: Counter[int] = Counter()
    after = 0
    while True:
        with database.reading() as db:
            rows = statement_imports.list_fees(db, account_id, import_id, after=after, limit=ROWS_AT_ONCE)
            for kind in KINDS:
                own = [each for each in rows if each.kind == kind and each.fee_raw]
                visits = movements.list_visits(db, account_id, kind, [each.number for each in own])
                for each in own:
                    lot_id = visits[each.number][0] if each.number in visits else other_lot
                    if lot_id is None:
                        raise FeeOfNoLot(f"line {each.row}")
                    sums[first_lot if lot_id == CITY else lot_id] += each.fee_raw
        if len(rows) < ROWS_AT_ONCE:
            return dict(sums)
        after = rows[-1].row


def _book(db: Session, shown: Day, fee_raw: dict[int, int], now: datetime) -> bool:
    account, read = shown.account, shown.read
    assert read is not None
    if channel_fees.is_booked(db, account.account_id, read.import_id):
        return True
    reckoned = reckonings.find_reckoning(db, account.account_id, shown.day)
    is_closed = day_closings.find_closing(db, account.account_id, shown.day) is not None
    if not is_closed and (reckoned is None or not reckoned.is_current or reckoned.difference_count):
        return False
    last, carried_raw = channel_fees.find_carried(db, account.account_id)
    fee = book_fee(fee_raw, carried_raw)
    channel_fees.add_booking(db, account, last + 1, shown.day, read.import_id, fee, now=now)
    for lot_id, part in fee.lots.items():
        _post(db, account, lot_id, read.import_id, part.booked_fen, now)
    return True


def _post(db: Session, account: ChannelAccount, lot_id: int, import_id: UUID, booked_fen: int, now: datetime) -> None:
    """The operator bears it. A day on which a channel gave more back than it took goes the other way."""
    if not booked_fen:
        return
    kind, debit, credit = "fee", ledger.PAYABLE, ledger.clearing(account.channel)
    if booked_fen < 0:
        kind, debit, credit = "fee_back", credit, debit
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=abs(booked_fen), ref_id=import_id, now=now),
        lot_id=lot_id, operator_id=account.operator_id, now=now)
