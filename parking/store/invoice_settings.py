"""How lots are invoiced, and operators' accounts at those who issue their invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.invoice import Kind, TaxRule
from parking.store.columns import Bytes, Instant, Json, Table, Uuid, spread
from parking.store.lots import Lot
from parking.store.statements import insert_new

_CONNECTED = text("disconnected_at IS NULL")


class InvoiceAccountRow(Table):
    """An operator as a seller at a provider; its secret is sealed. Protects: each kind is issued by one at a time.

    A disconnected one stays: what it issued is taken back by it.
    """

    __tablename__ = "invoice_account"
    __table_args__ = (
        CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name="kind"),
        Index("uq_invoice_account_connected", "operator_id", "kind", unique=True,
              sqlite_where=_CONNECTED, postgresql_where=_CONNECTED),
        spread(None, "reference"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    seller_name: Mapped[str] = mapped_column(Text)
    taxpayer_id: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    secret_sealed: Mapped[bytes] = mapped_column(Bytes)
    connected_at: Mapped[datetime] = mapped_column(Instant)
    disconnected_at: Mapped[datetime | None] = mapped_column(Instant)


class LotInvoicingRow(Table):
    """How a lot is invoiced; a lot without it is not."""

    __tablename__ = "lot_invoicing"
    __table_args__ = (
        CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name="kind"),
        CheckConstraint("rate IN (0, 500, 900)", name="rate"),
        CheckConstraint("kind = 'vat_invoice' OR rate = 0", name="no_tax"),
        spread(None, "reference"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    rate: Mapped[int] = mapped_column(Integer)
    free_reason: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    certificate: Mapped[str] = mapped_column(Text)
    changed_by: Mapped[UUID | None] = mapped_column(Uuid)
    changed_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class InvoiceAccount:
    """settings: what is no secret; secret_sealed: sealed for this account."""

    account_id: UUID
    operator_id: UUID
    kind: Kind
    seller_name: str
    taxpayer_id: str
    settings: dict[str, Any]
    secret_sealed: bytes
    disconnected_at: datetime | None


def find_account(db: Session, account_id: UUID) -> InvoiceAccount | None:
    return _one(db, InvoiceAccountRow.account_id == account_id)


def find_connected(db: Session, operator_id: UUID, kind: str) -> InvoiceAccount | None:
    row = InvoiceAccountRow
    return _one(db, row.operator_id == operator_id, row.kind == kind, row.disconnected_at.is_(None))


def list_accounts(db: Session) -> list[InvoiceAccount]:
    row = InvoiceAccountRow
    return [_read(each) for each in db.execute(select(row).order_by(row.connected_at)).scalars()]


def find_of_seller(db: Session, operator_id: UUID, kind: str, taxpayer_id: str) -> InvoiceAccount | None:
    """The account that the operator had under this number, connected or not."""
    row = InvoiceAccountRow
    return _one(db, row.operator_id == operator_id, row.kind == kind, row.taxpayer_id == taxpayer_id)


def add_account(db: Session, account: InvoiceAccount, *, now: datetime) -> None:
    db.execute(insert(InvoiceAccountRow).values(
        account_id=account.account_id, operator_id=account.operator_id, kind=account.kind,
        seller_name=account.seller_name, taxpayer_id=account.taxpayer_id, settings=account.settings,
        secret_sealed=account.secret_sealed, connected_at=now))


def renew_account(
    db: Session, account_id: UUID, *, seller_name: str, settings: dict[str, Any], secret_sealed: bytes
) -> None:
    """Another secret or address of the same account; it is connected, if it was not."""
    db.execute(update(InvoiceAccountRow).where(InvoiceAccountRow.account_id == account_id).values(
        seller_name=seller_name, settings=settings, secret_sealed=secret_sealed, disconnected_at=None))


def disconnect_account(db: Session, account_id: UUID, *, now: datetime) -> None:
    db.execute(update(InvoiceAccountRow).where(InvoiceAccountRow.account_id == account_id).values(
        disconnected_at=now))


def find_rule(db: Session, lot_id: int) -> TaxRule | None:
    found = db.execute(select(LotInvoicingRow).where(LotInvoicingRow.lot_id == lot_id)).scalar_one_or_none()
    return None if found is None else _rule(found)


def list_rules(db: Session, operator_id: UUID) -> list[tuple[Lot, TaxRule | None]]:
    """Each of an operator's lots, and how it is invoiced; by number."""
    found = db.execute(
        select(Lot, LotInvoicingRow).outerjoin(LotInvoicingRow, LotInvoicingRow.lot_id == Lot.lot_id)
        .where(Lot.operator_id == operator_id).order_by(Lot.lot_id))
    return [(lot, None if row is None else _rule(row)) for lot, row in found]


def set_rule(
    db: Session, lot_id: int, operator_id: UUID, rule: TaxRule, *, by: UUID | None, now: datetime
) -> None:
    """From now on the lot is invoiced by this; what was invoiced before stays as it is."""
    values = {"kind": rule.kind, "rate": rule.rate, "free_reason": rule.free_reason, "place": rule.place,
              "certificate": rule.certificate, "changed_by": by, "changed_at": now}
    if not insert_new(db, LotInvoicingRow, lot_id=lot_id, operator_id=operator_id, **values):
        db.execute(update(LotInvoicingRow).where(LotInvoicingRow.lot_id == lot_id).values(**values))


def _rule(row: LotInvoicingRow) -> TaxRule:
    return TaxRule(cast(Kind, row.kind), row.rate, row.free_reason, row.place, row.certificate)


def _one(db: Session, *where: Any) -> InvoiceAccount | None:
    found = db.execute(select(InvoiceAccountRow).where(*where)).scalar_one_or_none()
    return None if found is None else _read(found)


def _read(row: InvoiceAccountRow) -> InvoiceAccount:
    return InvoiceAccount(
        row.account_id, row.operator_id, cast(Kind, row.kind), row.seller_name, row.taxpayer_id, row.settings,
        row.secret_sealed, row.disconnected_at)
