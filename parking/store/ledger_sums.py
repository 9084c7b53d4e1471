"""What a period moved between the accounts of an operator's lots, summed up by the database.

The city's ledger is no lot's: what an operator that issues wallets has in it is not among its own books.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, literal, or_, select, tuple_, type_coerce
from sqlalchemy.orm import Session

from parking.core.books import Moved
from parking.core.ledger import COUNTS, VISITS
from parking.core.wallet import CITY
from parking.store.columns import Wide
from parking.store.transfers import LedgerTransfer

QUARTER_MS = 15 * 60 * 1000  # every time zone of today lies a whole number of them from UTC


@dataclass(frozen=True, slots=True)
class Posted:
    """One transfer that counts."""

    lot_id: int
    transfer_id: UUID
    kind: str
    debit: str
    credit: str
    amount_fen: int
    posted_at: datetime


def sum_moved(
    db: Session, operator_id: UUID, *, since: datetime, until: datetime | None, lot_id: int | None
) -> list[Moved]:
    """Of [since, until), or of all that was posted since; of all lots, or of one."""
    row = LedgerTransfer
    debit, credit = _together(row.debit).label("debit"), _together(row.credit).label("credit")
    query = select(row.lot_id, row.kind, debit, credit, func.sum(row.amount_fen), func.count()).where(
        row.operator_id == operator_id, row.posted_at >= since, row.phase.in_(COUNTS), row.lot_id != CITY)
    if until is not None:
        query = query.where(row.posted_at < until)
    if lot_id is not None:
        query = query.where(row.lot_id == lot_id)
    found = db.execute(query.group_by(row.lot_id, row.kind, debit, credit))
    return [Moved(each[0], each[1], each[2], each[3], int(each[4]), int(each[5])) for each in found]


def sum_by_quarter(
    db: Session, operator_id: UUID, *, since: datetime, until: datetime, kinds: Iterable[str],
    lot_id: int | None,
) -> list[tuple[int, str, int]]:
    """For each quarter of an hour (its number since 1970, UTC) and kind the fen; of [since, until)."""
    row = LedgerTransfer
    posted_ms = type_coerce(row.posted_at, Wide())
    quarter = (posted_ms - posted_ms % QUARTER_MS).label("quarter")
    query = select(quarter, row.kind, func.sum(row.amount_fen)).where(
        row.operator_id == operator_id, row.posted_at >= since, row.posted_at < until, row.phase.in_(COUNTS),
        row.lot_id != CITY, row.kind.in_(list(kinds))).group_by(quarter, row.kind)
    found = db.execute(query if lot_id is None else query.where(row.lot_id == lot_id))
    return [(int(each[0]) // QUARTER_MS, each[1], int(each[2])) for each in found]


def list_posted(
    db: Session, operator_id: UUID, account: str, *, lot_id: int | None, since: datetime, until: datetime,
    before: tuple[datetime, UUID] | None, limit: int,
) -> list[Posted]:
    """What was posted to an account in [since, until), newest first, from a cursor on."""
    row = LedgerTransfer
    side = or_(_together(row.debit) == account, _together(row.credit) == account)
    query = select(
        row.lot_id, row.transfer_id, row.kind, row.debit, row.credit, row.amount_fen, row.posted_at,
    ).where(row.operator_id == operator_id, row.posted_at >= since, row.posted_at < until, row.phase.in_(COUNTS),
            row.lot_id != CITY, side)
    if lot_id is not None:
        query = query.where(row.lot_id == lot_id)
    if before is not None:
        query = query.where(tuple_(row.posted_at, row.transfer_id) < before)
    found = db.execute(query.order_by(row.posted_at.desc(), row.transfer_id.desc()).limit(limit))
    return [Posted(*each) for each in found]


def _together(side: Any) -> Any:
    return case((side.like(f"{VISITS}/%"), literal(VISITS)), else_=side)
