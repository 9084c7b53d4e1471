"""The ledger: what was posted, and what an account stands at (core/ledger.py)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, UniqueConstraint, case, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.ledger import Transfer
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_all_new


class LedgerTransfer(Table):
    """One movement of money, both sides in one row, so every transaction adds up to nothing.

    Protects: an event is posted once (kind, ref_id); nothing is edited or deleted.
    """

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("debit <> credit", name="sides"),
        CheckConstraint("kind IN ('charge', 'credit', 'payment', 'refund', 'returned', 'kept', 'moved')", name="kind"),
        UniqueConstraint("lot_id", "kind", "ref_id", name="uq_ledger_transfer_event"),
        Index("ix_ledger_transfer_debit", "lot_id", "debit"),
        Index("ix_ledger_transfer_credit", "lot_id", "credit"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    transfer_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    debit: Mapped[str] = mapped_column(Text)
    credit: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    ref_id: Mapped[UUID] = mapped_column(Uuid)
    posted_at: Mapped[datetime] = mapped_column(Instant)


def post(db: Session, *posted: Transfer, lot_id: int, operator_id: UUID, now: datetime) -> None:
    """Write transfers; one whose event was posted before is left as it is."""
    insert_all_new(db, LedgerTransfer, [
        {
            "lot_id": lot_id, "transfer_id": each.transfer_id, "operator_id": operator_id, "kind": each.kind,
            "debit": each.debit, "credit": each.credit, "amount_fen": each.amount_fen, "ref_id": each.ref_id,
            "posted_at": now,
        }
        for each in posted])


def balance(db: Session, lot_id: int, account: str) -> int:
    """Debits less credits of an account of a lot, in fen."""
    row = LedgerTransfer
    signed = case((row.debit == account, row.amount_fen), else_=-row.amount_fen)
    found = db.execute(select(func.coalesce(func.sum(signed), 0)).where(
        row.lot_id == lot_id, or_(row.debit == account, row.credit == account)))
    return int(found.scalar_one())
