"""Which invoice a payment's money is on. Protects: it is on one at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Integer, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.outbox_messages import OutboxMessage
from parking.store.payments import PaymentRow
from parking.store.statements import insert_new

_LIVE = text("released_at IS NULL")
CORRECT = "correct_invoice"


class InvoiceClaimRow(Table):
    """A payment's money on a blue invoice, and how much of it red ones take back.

    Protects: of the claims of a payment one lives; no more is taken back than was invoiced.
    """

    __tablename__ = "invoice_claim"
    __table_args__ = (
        CheckConstraint("gross_fen > 0", name="gross_fen"),
        CheckConstraint("red_fen BETWEEN 0 AND gross_fen", name="red_fen"),
        ForeignKeyConstraint(["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"]),
        Index("uq_invoice_claim_live", "lot_id", "payment_id", unique=True,
              sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_invoice_claim_invoice", "invoice_id"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    payment_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    invoice_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    gross_fen: Mapped[int] = mapped_column(Fen)
    red_fen: Mapped[int] = mapped_column(Fen, server_default="0")
    claimed_at: Mapped[datetime] = mapped_column(Instant)
    released_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Claim:
    lot_id: int
    payment_id: UUID
    invoice_id: UUID
    gross_fen: int
    red_fen: int
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unlike:
    """A live claim that is not of what its payment comes to."""

    payment_id: UUID
    invoice_id: UUID
    paid_fen: int
    invoiced_fen: int


def claim(db: Session, lot_id: int, payment_id: UUID, invoice_id: UUID, *, gross_fen: int, now: datetime) -> bool:
    """False if the payment is on another invoice."""
    return insert_new(
        db, InvoiceClaimRow, lot_id=lot_id, payment_id=payment_id, invoice_id=invoice_id, gross_fen=gross_fen,
        red_fen=0, claimed_at=now)


def find_live(db: Session, lot_id: int, payment_id: UUID) -> Claim | None:
    row = InvoiceClaimRow
    found = db.execute(_select().where(
        row.lot_id == lot_id, row.payment_id == payment_id, row.released_at.is_(None))).one_or_none()
    return None if found is None else Claim(*found)


def list_claims(db: Session, lot_id: int, payment_id: UUID) -> list[Claim]:
    """All of a payment's, released ones too."""
    row = InvoiceClaimRow
    return [Claim(*each) for each in db.execute(_select().where(row.lot_id == lot_id, row.payment_id == payment_id))]


def list_live(db: Session, lot_id: int, payment_ids: Collection[UUID]) -> dict[UUID, Claim]:
    row = InvoiceClaimRow
    found = db.execute(_select().where(
        row.lot_id == lot_id, row.payment_id.in_(list(payment_ids)), row.released_at.is_(None)))
    return {each.payment_id: Claim(*each) for each in found}


def list_of_invoice(db: Session, invoice_id: UUID) -> list[Claim]:
    row = InvoiceClaimRow
    return [Claim(*each) for each in db.execute(_select().where(row.invoice_id == invoice_id).order_by(
        row.lot_id, row.payment_id))]


def list_with_paid(db: Session, invoice_id: UUID) -> list[tuple[Claim, int]]:
    """The live claims of an invoice, and what each payment comes to now; the payments are held."""
    row, payment = InvoiceClaimRow, PaymentRow
    found = db.execute(
        _select().add_columns(payment.amount_fen - payment.refunded_fen)
        .join(payment, (payment.lot_id == row.lot_id) & (payment.payment_id == row.payment_id))
        .where(row.invoice_id == invoice_id, row.released_at.is_(None))
        .order_by(row.lot_id, row.payment_id).with_for_update(of=payment))
    return [(Claim(*each[:-1]), int(each[-1])) for each in found]


def take_back(db: Session, claim: Claim, *, red_fen: int) -> None:
    """So much more of it is on a red invoice; the table refuses more than was invoiced."""
    row = InvoiceClaimRow
    done = db.execute(update(row).where(
        row.lot_id == claim.lot_id, row.payment_id == claim.payment_id, row.invoice_id == claim.invoice_id,
        row.red_fen == claim.red_fen).values(red_fen=row.red_fen + red_fen))
    assert done.rowcount == 1  # type: ignore[attr-defined]


def release(db: Session, invoice_id: UUID, *, now: datetime) -> None:
    """The invoice does not come, or is taken back whole: its payments may be on another."""
    row = InvoiceClaimRow
    db.execute(update(row).where(row.invoice_id == invoice_id, row.released_at.is_(None)).values(released_at=now))


def claim_again(db: Session, claim: Claim) -> None:
    """A refused invoice is asked for anew. Another live claim of the payment makes the database refuse."""
    row = InvoiceClaimRow
    db.execute(update(row).where(
        row.lot_id == claim.lot_id, row.payment_id == claim.payment_id, row.invoice_id == claim.invoice_id,
    ).values(released_at=None))


def is_correction_waiting(db: Session, lot_id: int) -> bool:
    message = OutboxMessage
    return db.execute(select(message.message_id).where(
        message.lot_id == lot_id, message.kind == CORRECT, message.done_at.is_(None)).limit(1)).first() is not None


def sum_paid(db: Session, lot_id: int) -> int:
    """What was paid at a lot less what goes back."""
    payment = PaymentRow
    return int(db.execute(select(func.coalesce(func.sum(payment.amount_fen - payment.refunded_fen), 0)).where(
        payment.lot_id == lot_id, payment.state == "paid")).scalar_one())


def list_unlike(db: Session, lot_id: int) -> list[Unlike]:
    """A lot's live claims that come to something else than was paid less what went back.

    Not those of a payment that a message waits for, which is about to correct them.
    """
    row, payment, message = InvoiceClaimRow, PaymentRow, OutboxMessage
    paid = payment.amount_fen - payment.refunded_fen
    found = db.execute(
        select(row.payment_id, row.invoice_id, paid, row.gross_fen - row.red_fen)
        .join(payment, (payment.lot_id == row.lot_id) & (payment.payment_id == row.payment_id))
        .where(row.lot_id == lot_id, row.released_at.is_(None), paid != row.gross_fen - row.red_fen))
    unlike = [Unlike(each[0], each[1], int(each[2]), int(each[3])) for each in found]
    if not unlike:
        return []
    waiting = {each["payment_id"] for each in db.execute(select(message.body).where(
        message.lot_id == lot_id, message.kind == CORRECT, message.done_at.is_(None))).scalars()}
    return [each for each in unlike if str(each.payment_id) not in waiting]


def sum_by_invoice(db: Session, lot_id: int, invoice_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """What a lot's claims of these invoices come to: invoiced, and taken back."""
    row = InvoiceClaimRow
    found = db.execute(select(row.invoice_id, func.sum(row.gross_fen), func.sum(row.red_fen)).where(
        row.lot_id == lot_id, row.invoice_id.in_(list(invoice_ids))).group_by(row.invoice_id))
    return {each[0]: (int(each[1]), int(each[2])) for each in found}


def _select() -> Any:
    row = InvoiceClaimRow
    return select(row.lot_id, row.payment_id, row.invoice_id, row.gross_fen, row.red_fen, row.released_at)
