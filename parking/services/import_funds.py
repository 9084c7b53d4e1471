"""A channel's bill of an account's movements is read, whole or not at all, and laid beside the trade bill of its day.

It is kept as a trade statement is (keep_file.py). An account's bills are read of the purses that were switched on, from
a day on.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import city_date
from parking.core.fund_bill import FundTotals, Purse
from parking.core.identifier import new_uuid
from parking.core.statement import BadStatement
from parking.core.statement_file import FUND_FORMATS, opened
from parking.services.keep_file import Keeping, StatementDiffers, clock_from, keep, seal, set_aside, weigh
from parking.services.reckon import Day, show_day
from parking.services.reconcile import ZONE, NoAccount, find_own_account
from parking.store import channel_accounts, fund_imports, reckonings, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.fund_imports import Bill, ReadingBill

SAMPLED = 50  # trades of a bill that names no merchant, which the day's trade bill is asked about


class FundsOff(Exception):
    """Bills of this purse are not read of this day: they were not switched on."""


class FundsOn(Exception):
    """They were switched on before."""


def switch_funds_on(
    db: Session, account: ChannelAccount, purse: Purse, since: date
) -> None:
    """From this day on a day of the account closes only once this purse's bill agrees too.

    :raises NoAccount: the channel has no such bills
    :raises FundsOn: they are read already
    """
    if account.channel not in FUND_FORMATS or (account.channel != "wechat_pay" and purse != "BASIC"):
        raise NoAccount(account.channel)
    if not fund_imports.switch_on(db, account.account_id, account.operator_id, purse, since):
        raise FundsOn
    reckonings.touch_statement(db, account.account_id, account.operator_id, since)


def switch_funds_off(db: Session, account: ChannelAccount, purse: Purse, last: date) -> None:
    """After this day its bills are not read any more.

    :raises FundsOff: they were not, or not yet on this day
    """
    if not fund_imports.switch_off(db, account.account_id, purse, last):
        raise FundsOff
    reckonings.touch_statement(db, account.account_id, account.operator_id, last)


def import_funds(
    database: Database, file: BinaryIO, *, operator_id: UUID, channel: str, day: date, now: datetime,
    purse: Purse = "BASIC", account_id: UUID | None = None,
) -> Day:
    """Read a day's bill of movements: all of it or nothing; the same file again changes nothing.

    :param file: seekable; read for its hash, for its rows and to be kept
    :raises BadStatement: the file is refused, with its line and the reason
    :raises FundsOff: bills of this purse are not read of this day
    :raises StatementDiffers, StatementBeingRead, NoAccount: as import_statement
    """
    today, clock = city_date(now, ZONE), clock_from(now)
    if day > today:
        raise BadStatement(1, "day_not_over", day.isoformat())
    with database.reading() as db:
        account = _account_of(db, file, operator_id, channel, account_id)
        if not any(each.purse == purse for each in fund_imports.list_purses(db, account.account_id, day)):
            raise FundsOff
        known = fund_imports.find_bill(db, account.account_id, purse, day)
    file_hash, _ = weigh(file)
    if known is not None and known.file_hash == file_hash:
        if day < today and not known.is_final:
            database.write(lambda db: seal(db, fund_imports.SHELF, account, day, known.import_id))
    elif known is not None and known.is_final:
        raise StatementDiffers(day.isoformat())
    else:
        with TemporaryFile() as waiting:
            totals = _believe(database, file, waiting, account, day)
            reading = ReadingBill(account.account_id, account.operator_id, Bill(
                new_uuid(now), purse, day.isoformat(), file_hash, day < today, totals.count, totals.opening_fen,
                totals.closing_fen, totals.kinds, now))
            keep(database, file, waiting, _keeping(reading, day), clock=clock)
    return show_day(database, account, day, now=now)


def _account_of(
    db: Session, file: BinaryIO, operator_id: UUID, channel: str, account_id: UUID | None
) -> ChannelAccount:
    """The one that the file names, where it names one; else the one that was asked for, or that is connected."""
    if channel not in FUND_FORMATS:
        raise NoAccount(channel)
    own = find_own_account(db, operator_id, channel, account_id)
    with opened(file, FUND_FORMATS[channel]) as lines:
        merchant_no = FUND_FORMATS[channel].find_merchant(lines)
    found = channel_accounts.list_of_operator(db, operator_id, channel)
    return next((account for account in found if account.merchant_no == merchant_no), own)


def _believe(
    database: Database, file: BinaryIO, waiting: BinaryIO, account: ChannelAccount, day: date
) -> FundTotals:
    """Read to the end and set the rows aside."""
    form, totals = FUND_FORMATS[account.channel], FundTotals()
    sample: list[str] = []
    with opened(file, form) as lines:
        for part in form.read(lines, totals, merchant_no=account.merchant_no, day=day, zone=ZONE):
            sample += [each.number for each in part if each.kind == "payment" and each.number][:SAMPLED - len(sample)]
            set_aside(part, waiting)
    _check_merchant(database, account, day, sample)
    return totals


def _check_merchant(database: Database, account: ChannelAccount, day: date, sample: list[str]) -> None:
    """A bill that names no merchant is of another one where the day's trade bill knows none of its trades.

    :raises BadStatement: other_merchant
    """
    with database.reading() as db:
        read = statement_imports.find_import(db, account.account_id, day)
        if not sample or read is None or not read.row_count:
            return
        if not fund_imports.has_trade_of(db, account.account_id, sample):
            raise BadStatement(2, "other_merchant", sample[0])


def _keeping(reading: ReadingBill, day: date) -> Keeping:
    bill = reading.bill
    return Keeping(
        fund_imports.SHELF, reading.account_id, reading.operator_id, bill.import_id, day, bill.file_hash,
        begin=lambda db, **until: fund_imports.begin(db, reading, **until),
        add_lines=lambda db, rows: fund_imports.add_lines(db, reading, rows),
        find_known=partial(fund_imports.find_bill, account_id=reading.account_id, purse=bill.purse, day=day))
