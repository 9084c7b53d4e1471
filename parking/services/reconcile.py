"""A channel's statement of a day is read, whole or not at all (keep_file.py), and laid beside our books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import statement
from parking.core.clock import city_date
from parking.core.identifier import new_uuid
from parking.core.statement import (
    CHANNEL_ZONE,
    BadStatement,
    StatementRow,
)
from parking.core.statement_file import find_format, opened
from parking.services import keep_file
from parking.services.keep_file import Keeping, StatementDiffers, clock_from, keep, seal, set_aside, weigh
from parking.services.reckon import Day, show_day
from parking.store import channel_accounts, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.statement_imports import Import, Reading

ZONE = CHANNEL_ZONE
# (how far, of how much): lines of the file that were believed and then kept
Progress = Callable[[int, int], None]


class NoAccount(Exception):
    """The operator has no account at this channel."""


def find_own_account(
    db: Session, operator_id: UUID, channel: str | None = None, account_id: UUID | None = None
) -> ChannelAccount:
    """The account asked for, else the one that is connected, else the last that was; at a channel, or at any.

    :raises NoAccount: there is none
    """
    for account in list_own_accounts(db, operator_id, channel):
        if account_id in (None, account.account_id):
            return account
    raise NoAccount(channel or "any channel")


def list_own_accounts(db: Session, operator_id: UUID, channel: str | None = None) -> list[ChannelAccount]:
    """An operator's accounts at channels that write statements."""
    if channel is not None and find_format(channel) is None:
        return []
    found = channel_accounts.list_of_operator(db, operator_id, channel)
    return [account for account in found if find_format(account.channel) is not None]


def import_statement(
    database: Database, file: BinaryIO, *, operator_id: UUID, channel: str, day: date, now: datetime,
    account_id: UUID | None = None, progress: Progress = lambda done, total: None,
) -> Day:
    """Read a day's statement: all of it or nothing; the same file again changes nothing.

    The account is the one of the merchant that the file names; account_id says whose day was without
    trade. A day that is not over has a provisional statement, and the next file takes its place.

    :param file: seekable; read for its hash, for its rows and to be kept
    :raises BadStatement: the file is refused, with its line and the reason
    :raises StatementDiffers: the day has another one
    :raises StatementBeingRead: another file of the day is being read
    :raises NoAccount: the operator has no account at this channel
    """
    today, clock = city_date(now, ZONE), clock_from(now)
    if day > today:
        raise BadStatement(1, "day_not_over", day.isoformat())
    with database.reading() as db:
        account = _account_of(db, file, operator_id, channel, account_id)
        known = statement_imports.find_import(db, account.account_id, day)
    file_hash, line_count = weigh(file)
    if known is not None and known.file_hash == file_hash:
        if day < today and not known.is_final:
            database.write(lambda db: seal(db, statement_imports.SHELF, account, day, known.import_id))
    elif known is not None and known.is_final:
        raise StatementDiffers(day.isoformat())
    else:
        ticker = _Ticker(progress, 2 * line_count)
        with TemporaryFile() as believed:
            count, settled_fen, fee_raw = _believe(_rows(file, account, day), believed, ticker)
            reading = Reading(account.account_id, account.operator_id, day, Import(
                new_uuid(now), file_hash, day < today, count, settled_fen, fee_raw, now))
            keep(database, file, believed, _keeping(reading), clock=clock, tick=ticker.tick)
    return show_day(database, account, day, now=now)


def _account_of(
    db: Session, file: BinaryIO, operator_id: UUID, channel: str, account_id: UUID | None
) -> ChannelAccount:
    """Of the operator's accounts the file's; a file of a merchant that is none of them is refused later."""
    form = find_format(channel)
    if form is None:
        raise NoAccount(channel)
    with opened(file, form) as lines:
        merchant_no = form.find_merchant(lines)
    found = channel_accounts.list_of_operator(db, operator_id, channel)
    own = find_own_account(db, operator_id, channel, account_id)
    return next((account for account in found if account.merchant_no == merchant_no), own)


@dataclass(slots=True)
class _Ticker:
    """Tells how far a reading has come."""

    progress: Progress
    total: int
    done: int = 0

    def tick(self, lines: int) -> None:
        self.done += lines
        self.progress(min(self.done, self.total), self.total)


def _believe(parts: Iterator[list[StatementRow]], believed: BinaryIO, ticker: _Ticker) -> tuple[int, int, int]:
    """Read to the end and set the rows aside: how many there are, what they settle, and the fees."""
    count = settled_fen = fee_raw = 0
    for part in parts:
        count += len(part)
        settled_fen += sum(row.settled_fen for row in part)
        fee_raw += sum(row.fee_raw for row in part)
        set_aside(part, believed)
        ticker.tick(len(part))
    return count, settled_fen, fee_raw


def _keeping(reading: Reading) -> Keeping:
    return Keeping(
        statement_imports.SHELF, reading.account_id, reading.operator_id, reading.read.import_id, reading.day,
        reading.read.file_hash, begin=lambda db, **until: statement_imports.begin_import(db, reading, **until),
        add_lines=lambda db, rows: statement_imports.add_lines(db, reading, rows),
        find_known=partial(statement_imports.find_import, account_id=reading.account_id, day=reading.day))


def _rows(file: BinaryIO, account: ChannelAccount, day: date) -> Iterator[list[StatementRow]]:
    form = find_format(account.channel)
    assert form is not None
    with opened(file, form) as lines:
        yield from form.read(
            lines, merchant_no=account.merchant_no, day=day, zone=ZONE,
            at_once=min(keep_file.ROWS_AT_ONCE, statement.ROWS_AT_ONCE))
