"""A channel's file is kept with its rows: nothing before all of it is believed, and then in parts under a lease.

So nobody waits for a long file: each part is a transaction of its own, and gates go between them. A reader that died
leaves its lease to run out and what it wrote to be forgotten; the next one begins anew.
"""

from __future__ import annotations

import marshal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, BinaryIO, Literal, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.statement import BadStatement
from parking.store import kept_files, reckonings
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database, DatabaseUnavailable
from parking.store.kept_files import Shelf

ROWS_AT_ONCE = 5000
READ_BYTES = 4 * 1024 * 1024
LEASE = timedelta(minutes=1)
Outcome = Literal["read", "known", "differs"]


class StatementDiffers(Exception):
    """The day has a statement already, and this is another file."""


class StatementBeingRead(Exception):
    """Somebody else is reading a statement of this day now; ask again."""


class Known(Protocol):
    """The file that counts for a day now."""

    @property
    def import_id(self) -> UUID: ...

    @property
    def file_hash(self) -> bytes: ...

    @property
    def is_final(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """A file that was believed, and where it goes.

    begin: hold its day; False while another's lease lives. find_known: the file that counts for the day now.
    """

    shelf: Shelf
    account_id: UUID
    operator_id: UUID
    import_id: UUID
    day: date
    file_hash: bytes
    begin: Callable[..., bool]
    add_lines: Callable[[Session, list[tuple[Any, ...]]], None]
    find_known: Callable[[Session], Known | None]


def clock_from(now: datetime) -> Callable[[], datetime]:
    """A long reading goes on by the time that has passed since `now`."""
    started = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - started)


def weigh(file: BinaryIO) -> tuple[bytes, int]:
    """The file's SHA-256, and how many lines it has."""
    file.seek(0)
    made, lines = sha256(), 0
    while part := file.read(READ_BYTES):
        made.update(part)
        lines += part.count(b"\n")
    return made.digest(), lines


def set_aside(rows: Iterable[tuple[Any, ...]], believed: BinaryIO) -> None:
    """Rows wait in a file of this process's until the last of them is believed."""
    packed = marshal.dumps([tuple(row) for row in rows])
    believed.write(len(packed).to_bytes(4) + packed)


def believed_parts(believed: BinaryIO) -> Iterator[list[tuple[Any, ...]]]:
    """What was set aside, as tuples, so many at a time."""
    believed.seek(0)
    rows: list[tuple[Any, ...]] = []
    while length := believed.read(4):
        rows += marshal.loads(believed.read(int.from_bytes(length)))  # noqa: S302  this process wrote it
        if len(rows) >= ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def keep(
    database: Database, file: BinaryIO, believed: BinaryIO, keeping: Keeping, *, clock: Callable[[], datetime],
    tick: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write a file's rows and the file itself; it counts from the last of them on.

    :param tick: told how many rows more were written
    :raises StatementBeingRead: another reader holds the day
    :raises StatementDiffers: the day has another file, that is final
    :raises BadStatement: the file is not the one that was believed any more
    """
    def write(deed: Callable[[Session], None]) -> None:
        database.write(lambda db: _write_as_reader(db, keeping, deed, clock() + LEASE))
        database.give_way()

    if not database.write(lambda db: keeping.begin(db, leased_until=clock() + LEASE, now=clock())):
        raise StatementBeingRead(keeping.day.isoformat())
    try:
        _forget_abandoned(database, keeping)
        for rows in believed_parts(believed):
            write(partial(_add_lines, keeping, rows))
            tick(len(rows))
        _keep_parts(file, write, keeping)
        outcome = database.write(lambda db: _finish(db, keeping))
    except Exception:
        with suppress(DatabaseUnavailable):
            database.write(lambda db: _abandon(db, keeping))
        raise
    if outcome != "read":
        _forget_abandoned(database, keeping)
    if outcome == "differs":
        raise StatementDiffers(keeping.day.isoformat())


def seal(db: Session, shelf: Shelf, account: ChannelAccount, day: date, import_id: UUID) -> None:
    """The day is over, and nothing was added to what was provisional."""
    kept_files.change_import(db, shelf, account.account_id, import_id, "read", is_final=True)
    reckonings.touch_statement(db, account.account_id, account.operator_id, day)


def _write_as_reader(db: Session, keeping: Keeping, deed: Callable[[Session], None], until: datetime) -> None:
    if not _change(db, keeping, leased_until=until):
        raise StatementBeingRead(keeping.day.isoformat())
    deed(db)


def _add_lines(keeping: Keeping, rows: list[tuple[Any, ...]], db: Session) -> None:
    keeping.add_lines(db, rows)


def _keep_parts(file: BinaryIO, write: Callable[[Callable[[Session], None]], None], keeping: Keeping) -> None:
    """The file itself, as it came."""
    file.seek(0)
    number, made = 0, sha256()
    while part := file.read(READ_BYTES):
        made.update(part)
        write(partial(
            kept_files.add_part, shelf=keeping.shelf, account_id=keeping.account_id, import_id=keeping.import_id,
            operator_id=keeping.operator_id, part=number, packed=kept_files.pack(part)))
        number += 1
    if made.digest() != keeping.file_hash:
        raise BadStatement(1, "changed_while_read")


def _finish(db: Session, keeping: Keeping) -> Outcome:
    """The file counts from now on; unless the day has one that is not provisional, or is the same."""
    known = keeping.find_known(db)
    if known is not None and (known.is_final or known.file_hash == keeping.file_hash):
        _abandon(db, keeping)
        return "known" if known.file_hash == keeping.file_hash else "differs"
    if known is not None:
        kept_files.change_import(
            db, keeping.shelf, keeping.account_id, known.import_id, "read", state="superseded")
    if not _change(db, keeping, state="read", leased_until=None):
        raise StatementBeingRead(keeping.day.isoformat())
    reckonings.touch_statement(db, keeping.account_id, keeping.operator_id, keeping.day)
    return "read"


def _abandon(db: Session, keeping: Keeping) -> None:
    _change(db, keeping, state="abandoned", leased_until=None)


def _change(db: Session, keeping: Keeping, **values: Any) -> bool:
    return kept_files.change_import(
        db, keeping.shelf, keeping.account_id, keeping.import_id, "reading", **values)


def _forget_abandoned(database: Database, keeping: Keeping) -> None:
    while database.write(lambda db: kept_files.forget_some_abandoned(db, keeping.shelf, keeping.account_id)):
        pass
