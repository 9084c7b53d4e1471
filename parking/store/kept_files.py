"""Files of statements and bills: their imports, their rows and the files themselves, in packed parts.

Both kinds have three tables of their own of one shape, a shelf.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from parking.store.statements import table_of

ROWS_FORGOTTEN_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Shelf:
    """imports: by account and import, with a state; lines: of each its rows; files: of each its parts."""

    imports: Any
    lines: Any
    files: Any


def change_import(db: Session, shelf: Shelf, account_id: UUID, import_id: UUID, was: str, **values: Any) -> bool:
    """False if the import is not in this state any more."""
    row = shelf.imports
    done = db.execute(update(row).where(
        row.account_id == account_id, row.import_id == import_id, row.state == was).values(**values))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def pack(part: bytes) -> bytes:
    """A part of a file as it is kept; made before the transaction, for it takes longer than the writing."""
    return zlib.compress(part, level=1)


def add_part(
    db: Session, shelf: Shelf, account_id: UUID, import_id: UUID, *, operator_id: UUID, part: int, packed: bytes
) -> None:
    db.execute(insert(table_of(shelf.files)), {
        "account_id": account_id, "import_id": import_id, "operator_id": operator_id, "part": part, "body": packed})


def find_part(db: Session, shelf: Shelf, account_id: UUID, import_id: UUID, part: int) -> bytes | None:
    """A part of the file, as it came; the first is 0, None after the last."""
    row = shelf.files
    found = db.execute(select(row.body).where(
        row.account_id == account_id, row.import_id == import_id, row.part == part)).scalar_one_or_none()
    return None if found is None else zlib.decompress(found)


def forget_some_abandoned(db: Session, shelf: Shelf, account_id: UUID) -> bool:
    """Delete a part of what abandoned imports left; True if there may be more."""
    row, line, file = shelf.imports, table_of(shelf.lines).c, table_of(shelf.files).c
    found = db.execute(select(row.import_id).where(
        row.account_id == account_id, row.state == "abandoned").limit(1)).scalar_one_or_none()
    if found is None:
        return False
    for columns, place in ((line, line.row), (file, file.part)):
        some = select(place).where(columns.account_id == account_id, columns.import_id == found).order_by(
            place).limit(ROWS_FORGOTTEN_AT_ONCE)
        last = db.execute(select(some.subquery().c[0]).order_by(text("1 DESC")).limit(1)).scalar_one_or_none()
        if last is not None:
            db.execute(delete(place.table).where(
                columns.account_id == account_id, columns.import_id == found, place <= last))
            return True
    db.execute(delete(row).where(row.account_id == account_id, row.import_id == found))
    return True
