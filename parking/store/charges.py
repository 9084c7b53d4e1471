"""Sealed charges and the credits that take them back."""

from __future__ import annotations

from collections.abc import Sequence
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
    insert,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, spread
from parking.store.statements import table_of, write_all


class ChargeRow(Table):
    """A sealed charge, or a credit that names the charge it takes back in full.

    Protects: a charge is credited once (unique credits_charge_id), and nothing is edited.
    """

    __tablename__ = "charge"
    __table_args__ = (
        CheckConstraint("total_fen >= 0", name="total_fen"),
        CheckConstraint("kind IN ('charge', 'credit')", name="kind"),
        CheckConstraint("(kind = 'credit') = (credits_charge_id IS NOT NULL)", name="credits"),
        CheckConstraint("revision >= 1", name="revision"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_charge_parking_session", "lot_id", "parking_session_id"),
        Index("uq_charge_credits", "lot_id", "credits_charge_id", unique=True,
              sqlite_where=text("credits_charge_id IS NOT NULL"),
              postgresql_where=text("credits_charge_id IS NOT NULL")),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    charge_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer)
    credits_charge_id: Mapped[UUID | None] = mapped_column(Uuid)
    total_fen: Mapped[int] = mapped_column(Fen)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(Bytes)
    seal: Mapped[str] = mapped_column(Text)
    sealed_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class StoredCharge:
    charge_id: UUID
    revision: int
    total_fen: int
    body: str
    seal: str
    sealed_at: datetime


_ADD = insert(table_of(ChargeRow))


def add_charges(db: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Charges and credits, each with every column by its name."""
    write_all(db, _ADD, [{"credits_charge_id": None, **row} for row in rows])


def find_standing_charge(db: Session, lot_id: int, parking_session_id: UUID) -> StoredCharge | None:
    """The charge of a session that no credit has taken back."""
    row = ChargeRow
    charges = db.execute(
        select(row.kind, row.credits_charge_id, row.charge_id, row.revision, row.total_fen, row.body, row.seal,
               row.sealed_at)
        .where(row.lot_id == lot_id, row.parking_session_id == parking_session_id)
        .order_by(row.revision.desc())
    ).all()
    credited = {each.credits_charge_id for each in charges if each.kind == "credit"}
    for each in charges:
        if each.kind == "charge" and each.charge_id not in credited:
            return StoredCharge(each.charge_id, each.revision, each.total_fen, each.body, each.seal, each.sealed_at)
    return None


def list_charges_of_session(
    db: Session, lot_id: int, parking_session_id: UUID
) -> list[tuple[datetime, str, int]]:
    """When a visit was charged or credited, and how many fen; oldest first."""
    row = ChargeRow
    found = db.execute(
        select(row.sealed_at, row.kind, row.total_fen)
        .where(row.lot_id == lot_id, row.parking_session_id == parking_session_id).order_by(row.revision))
    return [(each.sealed_at, each.kind, each.total_fen) for each in found]
