"""Issued invoices as their providers' files, kept as long as the invoices."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class InvoiceDocumentRow(Table):
    """An issued invoice as the provider's file."""

    __tablename__ = "invoice_document"
    __table_args__ = (
        CheckConstraint("form IN ('pdf', 'ofd', 'xml')", name="form"),
        ForeignKeyConstraint(["invoice_id"], ["invoice.invoice_id"]),
        spread("invoice_id", "invoice", append_only=True),
    )

    invoice_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    form: Mapped[str] = mapped_column(Text, primary_key=True)
    body: Mapped[bytes] = mapped_column(Bytes)
    fetched_at: Mapped[datetime] = mapped_column(Instant)


def add_document(db: Session, invoice_id: UUID, form: str, body: bytes, *, now: datetime) -> None:
    """The same again changes nothing."""
    insert_new(db, InvoiceDocumentRow, invoice_id=invoice_id, form=form, body=body, fetched_at=now)


def find_document(db: Session, invoice_id: UUID, form: str) -> bytes | None:
    row = InvoiceDocumentRow
    found = db.execute(select(row.body).where(row.invoice_id == invoice_id, row.form == form)).scalar_one_or_none()
    return None if found is None else bytes(found)


def list_forms(db: Session, invoice_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The files that are there of each."""
    row, made = InvoiceDocumentRow, {each: [] for each in invoice_ids}  # type: ignore[var-annotated]
    for invoice_id, form in db.execute(select(row.invoice_id, row.form).where(
        row.invoice_id.in_(list(invoice_ids))).order_by(row.form.desc())) if invoice_ids else ():
        made[invoice_id].append(form)
    return made
