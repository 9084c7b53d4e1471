"""Visits whose exit was missed: what drivers say of them, and how operators settled them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.fact import FactRef
from parking.store.columns import Bytes, Instant, Table, Uuid, Wide, spread
from parking.store.statements import insert_new


class ExitClaim(Table):
    """When a driver says to have left. It changes nothing by itself."""

    __tablename__ = "exit_claim"
    __table_args__ = (
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_exit_claim_parking_session", "lot_id", "parking_session_id"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    claim_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    left_at: Mapped[datetime] = mapped_column(Instant)
    note: Mapped[str] = mapped_column(Text)
    claimed_at: Mapped[datetime] = mapped_column(Instant)


class GhostSettlement(Table):
    """What a person made of such a visit, and the fact that says so. The fact rules; this row is how it came to be.

    reading: which one was another vehicle's, with that vehicle's key where it is known.
    claim_id: the driver's word that was accepted.
    """

    __tablename__ = "ghost_settlement"
    __table_args__ = (
        CheckConstraint("way IN ('left', 'other_vehicle', 'waive')", name="way"),
        CheckConstraint("reading IN ('entry', 'next')", name="reading"),
        CheckConstraint("(way = 'other_vehicle') = (reading IS NOT NULL)", name="reading_of_way"),
        CheckConstraint("(way = 'other_vehicle') = (left_at IS NULL)", name="left_at"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_ghost_settlement_parking_session", "lot_id", "parking_session_id"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    settlement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    way: Mapped[str] = mapped_column(Text)
    left_at: Mapped[datetime | None] = mapped_column(Instant)
    reading: Mapped[str | None] = mapped_column(Text)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    claim_id: Mapped[UUID | None] = mapped_column(Uuid)
    why: Mapped[str] = mapped_column(Text)
    settled_by: Mapped[UUID] = mapped_column(Uuid)
    settled_at: Mapped[datetime] = mapped_column(Instant)
    said_lot_id: Mapped[int] = mapped_column(Integer)
    said_terminal_id: Mapped[UUID] = mapped_column(Uuid)
    said_sequence: Mapped[int] = mapped_column(Wide)


@dataclass(frozen=True, slots=True)
class Claim:
    lot_id: int
    claim_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    driver_id: UUID
    left_at: datetime
    note: str
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """way: left, other_vehicle or waive. said: the lot and the fact."""

    lot_id: int
    settlement_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    way: str
    left_at: datetime | None
    reading: str | None
    vehicle_key: bytes | None
    claim_id: UUID | None
    why: str
    settled_by: UUID
    settled_at: datetime
    said: tuple[int, FactRef]


def add_claim(db: Session, claim: Claim) -> bool:
    """False if this id was there."""
    return insert_new(db, ExitClaim, **{name: getattr(claim, name) for name in Claim.__dataclass_fields__})


def find_claim(db: Session, lot_id: int, claim_id: UUID) -> Claim | None:
    found = db.execute(_claims().where(ExitClaim.lot_id == lot_id, ExitClaim.claim_id == claim_id)).one_or_none()
    return None if found is None else Claim(*found)


def list_claims(db: Session, lot_id: int, parking_session_id: UUID) -> list[Claim]:
    """Of a visit, newest first."""
    return [Claim(*each) for each in db.execute(_claims().where(
        ExitClaim.lot_id == lot_id, ExitClaim.parking_session_id == parking_session_id,
    ).order_by(ExitClaim.claimed_at.desc(), ExitClaim.claim_id.desc()))]


def add_settlement(db: Session, made: Settlement) -> bool:
    """False if this id was there."""
    values = {name: getattr(made, name) for name in Settlement.__dataclass_fields__ if name != "said"}
    lot_id, ref = made.said
    return insert_new(db, GhostSettlement, **values, said_lot_id=lot_id, said_terminal_id=ref.terminal_id,
                      said_sequence=ref.sequence)


def find_settlement(db: Session, lot_id: int, settlement_id: UUID) -> Settlement | None:
    found = db.execute(select(GhostSettlement).where(
        GhostSettlement.lot_id == lot_id, GhostSettlement.settlement_id == settlement_id)).scalar_one_or_none()
    return None if found is None else _settlement(found)


def list_settlements(db: Session, lot_id: int, parking_session_id: UUID) -> list[Settlement]:
    """Of a visit, oldest first."""
    row = GhostSettlement
    return [_settlement(each) for each in db.execute(select(row).where(
        row.lot_id == lot_id, row.parking_session_id == parking_session_id,
    ).order_by(row.settled_at, row.settlement_id)).scalars()]


def _claims() -> Any:
    return select(*(getattr(ExitClaim, name) for name in Claim.__dataclass_fields__))


def _settlement(row: GhostSettlement) -> Settlement:
    values = {name: getattr(row, name) for name in Settlement.__dataclass_fields__ if name != "said"}
    return Settlement(**values, said=(row.said_lot_id, FactRef(row.said_terminal_id, row.said_sequence)))
