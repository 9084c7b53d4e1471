"""Invoices: asked for, issued or refused; and their lines. None is ever deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.invoice import Line
from parking.core.invoicing import Issued
from parking.store.columns import Bytes, Fen, Instant, Json, Table, Uuid, spread
from parking.store.invoice_claims import list_claims
from parking.store.statements import insert_new

_REFUSED = text("state = 'refused'")


class InvoiceRequestRow(Table):
    """What somebody asked for at once, by the id that they gave. Protects: an id names one request.

    asked_hash: a keyed hash of what was asked, the title among it.
    """

    __tablename__ = "invoice_request"
    __table_args__ = (spread("request_id", "invoice_request", append_only=True),)

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    asked_hash: Mapped[bytes] = mapped_column(Bytes)
    asked_at: Mapped[datetime] = mapped_column(Instant)


class InvoiceRow(Table):
    """An invoice, or a red one that takes back what red_of says, in part or whole.

    lot_id: the lot of its first line, where its messages lie. buyer_sealed: the title as it was, sealed under
    buyer_id. after_id: what has to be issued first. attempt: counts requests that were refused and made anew.
    driver_id: None where it was asked for at a payment's own page.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name="kind"),
        CheckConstraint("color IN ('blue', 'red')", name="color"),
        CheckConstraint("(color = 'red') = (red_of IS NOT NULL)", name="red_of"),
        CheckConstraint("state IN ('asked', 'issued', 'refused')", name="state"),
        CheckConstraint("(state = 'issued') = (number IS NOT NULL)", name="number"),
        CheckConstraint("(state = 'refused') = (refused_why IS NOT NULL)", name="refused_why"),
        CheckConstraint("gross_fen > 0 AND tax_fen >= 0 AND net_fen >= 0", name="amounts"),
        CheckConstraint("gross_fen = net_fen + tax_fen", name="adds_up"),
        Index("ix_invoice_driver", "driver_id", "asked_at"),
        Index("ix_invoice_operator", "operator_id", "asked_at"),
        Index("ix_invoice_request", "request_id"),
        Index("ix_invoice_red_of", "red_of"),
        Index("ix_invoice_refused", "operator_id", sqlite_where=_REFUSED, postgresql_where=_REFUSED),
        spread("invoice_id", "invoice"),
    )

    invoice_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    request_id: Mapped[UUID] = mapped_column(Uuid)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("invoice_account.account_id"))
    lot_id: Mapped[int] = mapped_column(Integer)
    driver_id: Mapped[UUID | None] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    color: Mapped[str] = mapped_column(Text)
    red_of: Mapped[UUID | None] = mapped_column(Uuid)
    after_id: Mapped[UUID | None] = mapped_column(Uuid)
    buyer_id: Mapped[UUID] = mapped_column(Uuid)
    buyer_sealed: Mapped[bytes] = mapped_column(Bytes)
    gross_fen: Mapped[int] = mapped_column(Fen)
    net_fen: Mapped[int] = mapped_column(Fen)
    tax_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    number: Mapped[str | None] = mapped_column(Text)
    issued_at: Mapped[datetime | None] = mapped_column(Instant)
    formats: Mapped[list[str]] = mapped_column(Json)
    refused_why: Mapped[str | None] = mapped_column(Text)


class InvoiceLineRow(Table):
    """A payment on an invoice; of a red one, what is taken back of it."""

    __tablename__ = "invoice_line"
    __table_args__ = (
        CheckConstraint("gross_fen > 0 AND tax_fen >= 0 AND net_fen >= 0", name="amounts"),
        CheckConstraint("gross_fen = net_fen + tax_fen", name="adds_up"),
        ForeignKeyConstraint(["invoice_id"], ["invoice.invoice_id"]),
        spread("invoice_id", "invoice", append_only=True),
    )

    invoice_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    lot_id: Mapped[int] = mapped_column(Integer)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    payment_id: Mapped[UUID] = mapped_column(Uuid)
    gross_fen: Mapped[int] = mapped_column(Fen)
    net_fen: Mapped[int] = mapped_column(Fen)
    tax_fen: Mapped[int] = mapped_column(Fen)
    rate: Mapped[int] = mapped_column(Integer)
    free_reason: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    certificate: Mapped[str] = mapped_column(Text)
    entered_at: Mapped[datetime] = mapped_column(Instant)
    left_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Invoice:
    invoice_id: UUID
    request_id: UUID
    operator_id: UUID
    account_id: UUID
    lot_id: int
    driver_id: UUID | None
    kind: Any
    color: str
    red_of: UUID | None
    after_id: UUID | None
    buyer_id: UUID
    buyer_sealed: bytes
    gross_fen: int
    net_fen: int
    tax_fen: int
    state: str
    attempt: int
    asked_at: datetime
    number: str | None = None
    issued_at: datetime | None = None
    formats: tuple[str, ...] = ()
    refused_why: str | None = None

    @property
    def request_no(self) -> str:
        """By which the provider knows it; a request that was refused is never made again under its number."""
        return f"{self.invoice_id.hex}{self.attempt:02d}"


@dataclass(frozen=True, slots=True)
class Total:
    """How many invoices of a kind, color and state, and what they come to."""

    kind: str
    color: str
    state: str
    count: int
    gross_fen: int
    tax_fen: int


def add_request(db: Session, request_id: UUID, *, asked_hash: bytes, now: datetime) -> bool:
    """False if this id was there."""
    return insert_new(db, InvoiceRequestRow, request_id=request_id, asked_hash=asked_hash, asked_at=now)


def find_request(db: Session, request_id: UUID) -> bytes | None:
    """The hash of what was asked under this id."""
    return db.execute(select(InvoiceRequestRow.asked_hash).where(
        InvoiceRequestRow.request_id == request_id)).scalar_one_or_none()


def add_invoice(db: Session, invoice: Invoice, lines: Sequence[Line]) -> None:
    values = {name: getattr(invoice, name) for name in Invoice.__dataclass_fields__}
    db.execute(insert(InvoiceRow).values(**{**values, "formats": list(invoice.formats)}))
    db.execute(insert(InvoiceLineRow), [
        {"invoice_id": invoice.invoice_id, "number": number,
         **{name: getattr(line, name) for name in Line.__dataclass_fields__}}
        for number, line in enumerate(lines, start=1)])


def find_invoice(db: Session, invoice_id: UUID) -> Invoice | None:
    return _one(db, invoice_id, is_held=False)


def lock_invoice(db: Session, invoice_id: UUID) -> Invoice | None:
    """Held until the end of the transaction."""
    return _one(db, invoice_id, is_held=True)


def list_lines(db: Session, invoice_id: UUID) -> tuple[Line, ...]:
    row = InvoiceLineRow
    found = db.execute(select(*(getattr(row, name) for name in Line.__dataclass_fields__)).where(
        row.invoice_id == invoice_id).order_by(row.number))
    return tuple(Line(*each) for each in found)


def list_of_request(db: Session, request_id: UUID) -> list[Invoice]:
    """What came of a request, what was corrected later among it; oldest first."""
    return _list(db, InvoiceRow.request_id == request_id)


def list_reds(db: Session, invoice_id: UUID) -> list[Invoice]:
    """What takes an invoice back; oldest first."""
    return _list(db, InvoiceRow.red_of == invoice_id)


def list_invoices(db: Session, invoice_ids: Collection[UUID]) -> list[Invoice]:
    return _list(db, InvoiceRow.invoice_id.in_(list(invoice_ids))) if invoice_ids else []


def list_of_payment(db: Session, lot_id: int, payment_id: UUID) -> list[Invoice]:
    """Every invoice that a payment was on, and the red ones of it; oldest first."""
    claims = {each.invoice_id for each in list_claims(db, lot_id, payment_id)}
    return _list(db, InvoiceRow.invoice_id.in_(claims) | InvoiceRow.red_of.in_(claims)) if claims else []


def list_page(
    db: Session, *, driver_id: UUID | None = None, operator_id: UUID | None = None, state: str | None = None,
    from_at: datetime | None = None, before_at: datetime | None = None, before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Invoice]:
    """A driver's or an operator's, of an interval or of all time; newest first, from a cursor on."""
    row = InvoiceRow
    query = _select().where(*_of(driver_id, operator_id, state, from_at, before_at))
    if before is not None:
        query = query.where(tuple_(row.asked_at, row.invoice_id) < before)
    found = db.execute(query.order_by(row.asked_at.desc(), row.invoice_id.desc()).limit(limit))
    return [_read(each) for each in found]


def add_up(
    db: Session, operator_id: UUID, *, from_at: datetime | None = None, before_at: datetime | None = None
) -> list[Total]:
    """What an operator's invoices come to, by kind, color and state."""
    row = InvoiceRow
    found = db.execute(
        select(row.kind, row.color, row.state, func.count(), func.sum(row.gross_fen), func.sum(row.tax_fen))
        .where(*_of(None, operator_id, None, from_at, before_at))
        .group_by(row.kind, row.color, row.state).order_by(row.kind, row.color, row.state))
    return [Total(*each[:3], *(int(fen) for fen in each[3:])) for each in found]


def count_refused(db: Session, operator_id: UUID, *, since: datetime) -> int:
    """Red ones, which their operator alone has asked for again; and others that were asked for since an instant."""
    row = InvoiceRow
    return int(db.execute(select(func.count()).where(
        row.operator_id == operator_id, row.state == "refused",
        (row.color == "red") | (row.asked_at >= since))).scalar_one())


def note_issued(db: Session, invoice: Invoice, said: Issued, *, now: datetime) -> bool:
    """False if its end was known before."""
    return _end(db, invoice, state="issued", number=said.number, issued_at=said.issued_at or now,
                formats=list(said.formats))


def note_refused(db: Session, invoice: Invoice, why: str) -> bool:
    """False if its end was known before."""
    return _end(db, invoice, state="refused", refused_why=why)


def ask_anew(db: Session, invoice: Invoice, *, account_id: UUID) -> bool:
    """A refused one is asked for again, under another number; False if it is not refused any more."""
    row = InvoiceRow
    done = db.execute(update(row).where(
        row.invoice_id == invoice.invoice_id, row.state == "refused", row.attempt == invoice.attempt,
    ).values(state="asked", refused_why=None, attempt=row.attempt + 1, account_id=account_id))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _of(
    driver_id: UUID | None, operator_id: UUID | None, state: str | None, from_at: datetime | None,
    before_at: datetime | None,
) -> list[Any]:
    row = InvoiceRow
    return [
        *([row.driver_id == driver_id] if driver_id is not None else []),
        *([row.operator_id == operator_id] if operator_id is not None else []),
        *([row.state == state] if state is not None else []),
        *([row.asked_at >= from_at] if from_at is not None else []),
        *([row.asked_at < before_at] if before_at is not None else []),
    ]


def _end(db: Session, invoice: Invoice, **values: Any) -> bool:
    row = InvoiceRow
    done = db.execute(update(row).where(
        row.invoice_id == invoice.invoice_id, row.state == "asked", row.attempt == invoice.attempt).values(**values))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _one(db: Session, invoice_id: UUID, *, is_held: bool) -> Invoice | None:
    query = _select().where(InvoiceRow.invoice_id == invoice_id)
    found = db.execute(query.with_for_update() if is_held else query).one_or_none()
    return None if found is None else _read(found)


def _list(db: Session, *where: Any) -> list[Invoice]:
    found = db.execute(_select().where(*where).order_by(InvoiceRow.asked_at, InvoiceRow.invoice_id))
    return [_read(each) for each in found]


def _select() -> Any:
    return select(*(getattr(InvoiceRow, name) for name in Invoice.__dataclass_fields__))


def _read(row: Any) -> Invoice:
    values = dict(zip(Invoice.__dataclass_fields__, row, strict=True))
    return Invoice(**{**values, "formats": tuple(values["formats"] or ())})
