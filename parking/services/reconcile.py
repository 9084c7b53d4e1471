"""A channel's statement is read whole, and laid beside our books: every row in exactly one bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import BinaryIO
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import find_zone
from parking.core.identifier import derived_uuid, new_uuid
from parking.core.reconciliation import BUCKETS, OurRow, Pair, reconcile
from parking.core.statement import StatementRow, read_statement
from parking.store import channel_accounts, outbox_messages, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.statement_imports import OurMovement

ZONE = find_zone("Asia/Shanghai")  # the channel cuts its days by this clock
ROWS_AT_ONCE = 2000
READ_BYTES = 1024 * 1024


class NoAccount(Exception):
    """The operator has no account at this channel."""


class StatementDiffers(Exception):
    """The day has a statement already, and this is another file."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of an account, both sides. pairs: every row of either; ours: our rows by kind and number."""

    account: ChannelAccount
    day: date
    imported_at: datetime | None
    pairs: list[Pair]
    ours: dict[tuple[str, str], OurMovement]
    fee_raw: int

    def sums(self) -> dict[str, dict[str, int]]:
        """For each bucket how many pairs, and the fen of each side; refunds count against payments."""
        made: dict[str, dict[str, int]] = {bucket: {"count": 0, "ours_fen": 0, "theirs_fen": 0} for bucket in BUCKETS}
        for pair in self.pairs:
            bucket = made[pair.bucket]
            bucket["count"] += 1
            bucket["ours_fen"] += _signed(pair.ours)
            bucket["theirs_fen"] += _signed(pair.theirs)
        return made

    @property
    def net_raw(self) -> int:
        """What the channel pays out for the day by its own rows: payments less refunds less fees; as fee_raw."""
        return sum(_signed(pair.theirs) for pair in self.pairs) * 1000 - self.fee_raw

    @property
    def is_balanced(self) -> bool:
        return self.imported_at is not None and all(pair.bucket == "matched" for pair in self.pairs)


def find_own_account(db: Session, operator_id: UUID, channel: str) -> ChannelAccount:
    """:raises NoAccount: there is none"""
    account = channel_accounts.find_connected(db, operator_id, channel)
    if account is None:
        raise NoAccount(channel)
    return account


def import_statement(
    database: Database, file: BinaryIO, *, operator_id: UUID, channel: str, day: date, now: datetime,
    progress: Callable[[int], None] = lambda _: None,
) -> Day:
    """Read a day's statement: all of it or nothing; the same file again changes nothing.

    :param file: seekable; read twice, once to believe it and once to keep it
    :param progress: told how many rows are kept
    :raises BadStatement: the file is refused, with its line and the reason
    :raises StatementDiffers: the day has another one
    :raises NoAccount: the operator has no account at this channel
    """
    with database.reading() as db:
        account = find_own_account(db, operator_id, channel)
        known = statement_imports.find_import(db, account.account_id, day)
    file_hash = _hash(file)
    if known is None:
        count = sum(1 for _ in _rows(file, account, day))
        import_id = new_uuid(now)
        database.write(lambda db: statement_imports.begin_import(
            db, account_id=account.account_id, import_id=import_id, operator_id=operator_id, day=day,
            file_hash=file_hash, row_count=count, now=now))
        _keep(database, file, account, import_id, day, progress)
        database.write(lambda db: _finish(db, account, import_id, day, now))
    elif known.file_hash != file_hash:
        raise StatementDiffers(day.isoformat())
    with database.reading() as db:
        return show_day(db, account, day)


def show_day(db: Session, account: ChannelAccount, day: date) -> Day:
    """Both sides of a day as they now stand."""
    found = statement_imports.find_import(db, account.account_id, day)
    theirs = statement_imports.list_lines(db, account.account_id, found.import_id) if found else []
    since, until = _bounds(day)
    movements = statement_imports.list_our_movements(
        db, account.account_id, since=since, until=until, also=[each.number for each in theirs])
    ours = {(each.kind, each.number): each for each in movements}
    following = statement_imports.find_import(db, account.account_id, day + timedelta(days=1))
    named = statement_imports.list_named(
        db, account.account_id, following.import_id, [each.number for each in movements]) if following else frozenset()
    before = statement_imports.find_import(db, account.account_id, day - timedelta(days=1))
    named_before = statement_imports.list_named(
        db, account.account_id, before.import_id, [each.number for each in movements]) if before else frozenset()
    pairs = reconcile(
        [OurRow(each.kind, each.number, each.amount_fen, since <= each.at < until) for each in movements],  # type: ignore[arg-type]
        theirs, matched_next_day=named | named_before, has_next_day=following is not None,
    )
    return Day(
        account, day, found.imported_at if found else None, pairs, ours, sum(each.fee_raw for each in theirs))


def _keep(
    database: Database, file: BinaryIO, account: ChannelAccount, import_id: UUID, day: date,
    progress: Callable[[int], None],
) -> None:
    """In parts, so that a gate waits for one of them at most."""
    part: list[StatementRow] = []
    kept = 0

    def write() -> None:
        database.write(lambda db: statement_imports.add_lines(
            db, account.account_id, import_id, account.operator_id, part))

    for row in _rows(file, account, day):
        part.append(row)
        if len(part) == ROWS_AT_ONCE:
            write()
            kept += len(part)
            progress(kept)
            part.clear()
    if part:
        write()
        progress(kept + len(part))


def _finish(db: Session, account: ChannelAccount, import_id: UUID, day: date, now: datetime) -> None:
    """The file counts now; what the channel holds for paid and we do not is asked for."""
    if not statement_imports.finish_import(db, account.account_id, import_id):
        raise StatementDiffers(day.isoformat())
    numbers = [
        each.number for each in statement_imports.list_lines(db, account.account_id, import_id)
        if each.kind == "payment"
    ]
    for lot_id, payment_id in statement_imports.list_waiting(db, account.account_id, numbers):
        outbox_messages.add_message(
            db, lot_id=lot_id, message_id=derived_uuid(now, "query_payment", payment_id, import_id),
            kind="query_payment", body={"payment_id": str(payment_id), "even_closed": True}, now=now)


def _rows(file: BinaryIO, account: ChannelAccount, day: date) -> Iterator[StatementRow]:
    file.seek(0)
    return read_statement(_lines(file), merchant_no=account.merchant_no, day=day, zone=ZONE)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, of which none is read longer than the reader will take."""
    while line := file.readline(64 * 1024):
        yield line


def _hash(file: BinaryIO) -> bytes:
    file.seek(0)
    made = sha256()
    while part := file.read(READ_BYTES):
        made.update(part)
    return made.digest()


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), ZONE)
    return start, datetime.combine(day + timedelta(days=1), time(), ZONE)


def _signed(row: OurRow | StatementRow | None) -> int:
    if row is None:
        return 0
    return row.amount_fen if row.kind == "payment" else -row.amount_fen
