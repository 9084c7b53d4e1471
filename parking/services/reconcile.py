"""A channel's statement of a day is read, whole or not at all, and laid beside our books.

Nothing is kept before all of it is believed: until then its rows wait in a temporary file. They are
kept in parts, so that a gate waits for one of them at most, and count together, once the last is there.
"""

from __future__ import annotations

import marshal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Literal
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
from parking.services.reckon import Day, show_day
from parking.store import channel_accounts, reckonings, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database, DatabaseUnavailable
from parking.store.statement_imports import Import, Reading

ZONE = CHANNEL_ZONE
ROWS_AT_ONCE = 5000
READ_BYTES = 4 * 1024 * 1024
LEASE = timedelta(minutes=1)
# (how far, of how much): lines of the file that were believed and then kept
Progress = Callable[[int, int], None]


class NoAccount(Exception):
    """The operator has no account at this channel."""


class StatementDiffers(Exception):
    """The day has a statement already, and this is another file."""


class StatementBeingRead(Exception):
    """Somebody else is reading a statement of this day now; ask again."""


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
            database.write(lambda db: _seal(db, account, day, known.import_id))
    elif known is not None and known.is_final:
        raise StatementDiffers(day.isoformat())
    else:
        ticker = _Ticker(progress, 2 * line_count)
        with TemporaryFile() as believed:
            count, settled_fen, fee_raw = _believe(_rows(file, account, day), believed, ticker)
            reading = Reading(account.account_id, account.operator_id, day, Import(
                new_uuid(now), file_hash, day < today, count, settled_fen, fee_raw, now))
            _keep(database, file, believed, account, reading, ticker, clock)
    return show_day(database, account, day, now=now)


def clock_from(now: datetime) -> Callable[[], datetime]:
    """A long reading goes on by the time that has passed since `now`."""
    started = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - started)


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
        packed = marshal.dumps([tuple(row) for row in part])
        believed.write(len(packed).to_bytes(4) + packed)
        ticker.tick(len(part))
    return count, settled_fen, fee_raw


def believed_parts(believed: BinaryIO) -> Iterator[list[tuple[Any, ...]]]:
    """What was set aside, as tuples that are what a StatementRow is."""
    believed.seek(0)
    rows: list[tuple[Any, ...]] = []
    while length := believed.read(4):
        rows += marshal.loads(believed.read(int.from_bytes(length)))  # noqa: S302  this process wrote it
        if len(rows) >= ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def _keep(
    database: Database, file: BinaryIO, believed: BinaryIO, account: ChannelAccount, reading: Reading,
    ticker: _Ticker, clock: Callable[[], datetime],
) -> None:
    def write(deed: Callable[[Session], None]) -> None:
        database.write(lambda db: _write_as_reader(db, reading, deed, clock() + LEASE))
        database.give_way()

    if not database.write(lambda db: statement_imports.begin_import(
        db, reading, leased_until=clock() + LEASE, now=clock())
    ):
        raise StatementBeingRead(reading.day.isoformat())
    try:
        _forget_abandoned(database, account)
        for rows in believed_parts(believed):
            write(partial(_add_lines, reading, rows))
            ticker.tick(len(rows))
        _keep_file(file, write, reading)
        outcome = database.write(lambda db: _finish(db, reading))
    except Exception:
        with suppress(DatabaseUnavailable):
            database.write(lambda db: statement_imports.abandon_import(db, reading))
        raise
    if outcome != "read":
        _forget_abandoned(database, account)
    if outcome == "differs":
        raise StatementDiffers(reading.day.isoformat())


def _write_as_reader(db: Session, reading: Reading, deed: Callable[[Session], None], until: datetime) -> None:
    if not statement_imports.extend_lease(db, reading, leased_until=until):
        raise StatementBeingRead(reading.day.isoformat())
    deed(db)


def _add_lines(reading: Reading, rows: list[tuple[Any, ...]], db: Session) -> None:
    statement_imports.add_lines(db, reading, rows)


def _keep_file(file: BinaryIO, write: Callable[[Callable[[Session], None]], None], reading: Reading) -> None:
    """The file itself, as it came.

    :raises BadStatement: it is not the one that was believed any more
    """
    file.seek(0)
    number, made = 0, sha256()
    while part := file.read(READ_BYTES):
        made.update(part)
        write(partial(_add_part, reading, number, statement_imports.pack(part)))
        number += 1
    if made.digest() != reading.read.file_hash:
        raise BadStatement(1, "changed_while_read")


def _add_part(reading: Reading, number: int, packed: bytes, db: Session) -> None:
    statement_imports.add_part(db, reading, number, packed)


def _finish(db: Session, reading: Reading) -> Literal["read", "known", "differs"]:
    """The file counts from now on; unless the day has one that is not provisional, or is the same."""
    account_id, day = reading.account_id, reading.day
    known = statement_imports.find_import(db, account_id, day)
    if known is not None and (known.is_final or known.file_hash == reading.read.file_hash):
        statement_imports.abandon_import(db, reading)
        return "known" if known.file_hash == reading.read.file_hash else "differs"
    if known is not None:
        statement_imports.supersede_import(db, account_id, known.import_id)
    if not statement_imports.finish_import(db, reading):
        raise StatementBeingRead(day.isoformat())
    reckonings.touch_statement(db, account_id, reading.operator_id, day)
    return "read"


def _seal(db: Session, account: ChannelAccount, day: date, import_id: UUID) -> None:
    """The day is over, and nothing was added to what was provisional."""
    statement_imports.seal_import(db, account.account_id, import_id)
    reckonings.touch_statement(db, account.account_id, account.operator_id, day)


def _forget_abandoned(database: Database, account: ChannelAccount) -> None:
    while database.write(lambda db: statement_imports.forget_some_abandoned(db, account.account_id)):
        pass


def _rows(file: BinaryIO, account: ChannelAccount, day: date) -> Iterator[list[StatementRow]]:
    form = find_format(account.channel)
    assert form is not None
    with opened(file, form) as lines:
        yield from form.read(
            lines, merchant_no=account.merchant_no, day=day, zone=ZONE,
            at_once=min(ROWS_AT_ONCE, statement.ROWS_AT_ONCE))


def weigh(file: BinaryIO) -> tuple[bytes, int]:
    """The file's SHA-256, and how many lines it has."""
    file.seek(0)
    made, lines = sha256(), 0
    while part := file.read(READ_BYTES):
        made.update(part)
        lines += part.count(b"\n")
    return made.digest(), lines
