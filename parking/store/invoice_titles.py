"""Whom a driver has invoices made out to: sealed, the driver's own, and gone when the driver deletes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class InvoiceTitleRow(Table):
    """A title, sealed: nobody reads names and numbers in the table."""

    __tablename__ = "invoice_title"
    __table_args__ = (
        ForeignKeyConstraint(["driver_id"], ["driver.driver_id"]),
        spread("driver_id", "driver"),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    title_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    title_sealed: Mapped[bytes] = mapped_column(Bytes)
    created_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class StoredTitle:
    driver_id: UUID
    title_id: UUID
    title_sealed: bytes
    created_at: datetime


def add_title(db: Session, title: StoredTitle) -> bool:
    """False if this id was there."""
    return insert_new(
        db, InvoiceTitleRow, driver_id=title.driver_id, title_id=title.title_id, title_sealed=title.title_sealed,
        created_at=title.created_at)


def find_title(db: Session, driver_id: UUID, title_id: UUID) -> StoredTitle | None:
    row = InvoiceTitleRow
    found = db.execute(select(row.driver_id, row.title_id, row.title_sealed, row.created_at).where(
        row.driver_id == driver_id, row.title_id == title_id)).one_or_none()
    return None if found is None else StoredTitle(*found)


def list_titles(db: Session, driver_id: UUID) -> list[StoredTitle]:
    """Oldest first."""
    row = InvoiceTitleRow
    found = db.execute(select(row.driver_id, row.title_id, row.title_sealed, row.created_at).where(
        row.driver_id == driver_id).order_by(row.created_at, row.title_id))
    return [StoredTitle(*each) for each in found]


def count_titles(db: Session, driver_id: UUID) -> int:
    return int(db.execute(select(func.count()).where(InvoiceTitleRow.driver_id == driver_id)).scalar_one())


def delete_title(db: Session, driver_id: UUID, title_id: UUID) -> bool:
    """False where there is none. What was invoiced by it keeps its own copy."""
    row = InvoiceTitleRow
    done = db.execute(delete(row).where(row.driver_id == driver_id, row.title_id == title_id))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]
