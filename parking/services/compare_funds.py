"""What a day's trade bill says is laid beside what moved in the account: the third way (core/fund_match.py).

Reckoned with the day's other two sides (reckon.py), a part at a time; what differs goes into the same inbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import zip_longest
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fund_match import (
    FundDifference,
    FundMove,
    FundSheet,
    Left,
    TradeMove,
    bucket_of,
    chain_difference,
)
from parking.core.reconciliation import Kind
from parking.store import fund_imports, movements
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.fund_imports import Bill
from parking.store.reckonings import Difference
from parking.store.statement_imports import Import

ROWS_AT_ONCE = 5000
LOOKED_UP_AT_ONCE = 500
DAY = timedelta(days=1)
ORDER_KINDS: dict[str, Kind] = {"funds_payment": "payment", "funds_refund": "refund", "funds_fee": "payment"}


@dataclass(frozen=True, slots=True)
class Funds:
    """A day's third way. sums: as FundSheet's, by kind; elsewhere_fen: what moved here and is another day's trade,
    less what is traded here and moved on another day; missing: purses whose bill is not there."""

    sums: dict[str, dict[str, int]]
    elsewhere_fen: int
    pending_count: int
    missing: list[str]
    bills: list[dict[str, Any]]
    differences: list[FundDifference]

    def told(self) -> dict[str, Any]:
        """As it is kept with the day's buckets."""
        return {
            "sums": self.sums, "elsewhere_fen": self.elsewhere_fen, "pending_count": self.pending_count,
            "missing": self.missing, "bills": self.bills, "difference_count": len(self.differences)}


def compare_funds(database: Database, account: ChannelAccount, day: date, read: Import | None) -> Funds | None:
    """None where no bills of movements are read of this day."""
    account_id = account.account_id
    with database.reading() as db:
        purses = [each.purse for each in fund_imports.list_purses(db, account_id, day)]
        if not purses:
            return None
        bills = [each for each in fund_imports.list_bills(db, account_id, day) if each.purse in purses]
        next_day = {each.purse for each in fund_imports.list_bills(db, account_id, day + DAY)}
        missing = sorted(_missing(db, account_id, day, purses, bills))
        chain = [
            found for each in bills for found in chain_difference(
                each.purse, fund_imports.find_closing_before(db, account_id, each.purse, day), each.opening_fen)]
    told = [{"purse": each.purse, "import_id": str(each.import_id), "sha256": each.file_hash.hex(),
             "rows": each.row_count, "opening_fen": each.opening_fen, "closing_fen": each.closing_fen,
             "is_final": each.is_final} for each in bills]
    sheet = FundSheet()
    if read is None or len(bills) < len(purses):  # one side alone: what moved, as far as it is known
        for bill in bills:
            for kind, sums in bill.kinds.items():
                sheet.sums[kind]["count"] += sums["count"]
                sheet.sums[kind]["moved_fen"] += sums["fen"]
        return Funds(sheet.sums, 0, 0, missing, told, chain)
    for trades, moves in zip_longest(
        _trades(database, account_id, read), _moves(database, account_id, bills), fillvalue=()
    ):
        sheet.add(trades, moves)
    left, elsewhere_fen = _take_elsewhere_out(database, account_id, day, sheet.list_left())
    found = [each.difference(bucket_of(each, has_next_day=set(purses) <= next_day)) for each in left]
    return Funds(
        sheet.sums, elsewhere_fen, sum(each.bucket == "pending_cutoff" for each in found), missing, told,
        chain + found + sheet.others)


def _missing(db: Session, account_id: UUID, day: date, purses: list[str], bills: list[Bill]) -> set[str]:
    """Purses without a final bill of this day; or of the day before, where they were read then: the chain has a gap."""
    before = {each.purse for each in fund_imports.list_purses(db, account_id, day - DAY)} & set(purses)
    there = {each.purse for each in bills if each.is_final}
    there_before = {each.purse for each in fund_imports.list_bills(db, account_id, day - DAY) if each.is_final}
    return (set(purses) - there) | (before - there_before)


def _trades(database: Database, account_id: UUID, read: Import) -> Iterator[list[TradeMove]]:
    after = 0
    while True:
        with database.reading() as db:
            part = fund_imports.list_trades(db, account_id, read.import_id, after=after, limit=ROWS_AT_ONCE)
        yield part
        if len(part) < ROWS_AT_ONCE:
            return
        after = part[-1].row


def _moves(database: Database, account_id: UUID, bills: list[Bill]) -> Iterator[list[FundMove]]:
    for bill in bills:
        after = 0
        while True:
            with database.reading() as db:
                part = fund_imports.list_moves(db, account_id, bill.import_id, after=after, limit=2 * ROWS_AT_ONCE)
            yield part
            if len(part) < 2 * ROWS_AT_ONCE:
                break
            after = part[-1].row


def _take_elsewhere_out(
    database: Database, account_id: UUID, day: date, left: list[Left]
) -> tuple[list[Left], int]:
    """The channel cuts its two bills by clocks of their own: what one has at midnight the other has a day later.

    Returns what is a difference all the same, and how much more moved on this day than was traded.
    """
    kept, elsewhere_fen = list[Left](), 0
    for start in range(0, len(left), LOOKED_UP_AT_ONCE):
        part = left[start:start + LOOKED_UP_AT_ONCE]
        moved = _moved_elsewhere(database, account_id, day, [each for each in part if not each.fund_rows])
        traded = _traded_elsewhere(database, account_id, day, [each for each in part if not each.trade_rows])
        for each in part:
            there = (moved if each.trade_rows else traded).get((each.kind, each.channel_no))
            other = Left(each.kind, each.channel_no, each.number, each.trade or (there or 0), 1,
                         each.fund or (there or 0), 1)
            if there is None or (each.trade_rows and each.fund_rows) or not other.is_alike:
                kept.append(each)
            elif each.kind != "fee":  # fees are booked as they moved
                sign = 1 if each.kind == "payment" else -1
                elsewhere_fen += sign * (each.fund - each.trade)
    return kept, elsewhere_fen


def _moved_elsewhere(
    database: Database, account_id: UUID, day: date, wanted: list[Left]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    with database.reading() as db:
        for kind, channel_no, fen in fund_imports.list_moves_elsewhere(
            db, account_id, day, [each.channel_no for each in wanted]
        ):
            key = kind, channel_no
            found[key] = found.get(key, 0) + (fen if kind == "payment" else -fen)
    return found


def _traded_elsewhere(
    database: Database, account_id: UUID, day: date, wanted: list[Left]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    with database.reading() as db:
        for trade in fund_imports.list_trades_elsewhere(
            db, account_id, day, [each.number for each in wanted if each.number]
        ):
            for kind, much in ((trade.kind, trade.amount_fen), ("fee", trade.fee_raw)):
                if much and trade.status != "REVOKED":
                    key = kind, trade.channel_no
                    found[key] = found.get(key, 0) + much
    return found


def to_differences(
    db: Session, account_id: UUID, found: list[FundDifference], *, place: int
) -> list[Difference]:
    """As they are kept and shown, from a place on, with the visits that they were for."""
    visits: dict[tuple[Kind, str], tuple[int, UUID | None]] = {}
    kinds: tuple[Kind, Kind] = ("payment", "refund")
    for kind in kinds:
        numbers = [each.number for each in found if ORDER_KINDS.get(each.kind) == kind]
        for number, visit in movements.list_visits(db, account_id, kind, numbers).items():
            visits[kind, number] = visit
    return [
        Difference(
            place + number, each.bucket, each.kind, each.number, each.trade_fen, each.fund_fen, each.difference_fen,
            None, each.word, each.row,
            *visits.get((ORDER_KINDS.get(each.kind, "payment"), each.number), (None, None)))
        for number, each in enumerate(found, start=1)]
