"""Codes by which a device at a gate is given its token, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Integer, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread


class PairingCode(Table):
    """A code for one device at one gate, kept as a hash. Protects: it pairs one device."""

    __tablename__ = "pairing_code"
    __table_args__ = (spread(None, "reference"),)

    code_hash: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"))
    gate_id: Mapped[int] = mapped_column(Integer)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    made_by: Mapped[UUID] = mapped_column(Uuid)
    made_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Place:
    lot_id: int
    gate_id: int


def add_pairing_code(
    db: Session, *, code_hash: bytes, lot_id: int, gate_id: int, operator_id: UUID, made_by: UUID, made_at: datetime,
    expires_at: datetime,
) -> None:
    db.execute(insert(PairingCode).values(
        code_hash=code_hash, lot_id=lot_id, gate_id=gate_id, operator_id=operator_id, made_by=made_by,
        made_at=made_at, expires_at=expires_at))


def use_pairing_code(db: Session, code_hash: bytes, *, now: datetime) -> Place | None:
    """Take the one use of a code; None if there is none, or it was used or has ended."""
    row = PairingCode
    done = db.execute(
        update(row).where(row.code_hash == code_hash, row.used_at.is_(None), row.expires_at > now)
        .values(used_at=now))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return None
    found = db.execute(select(row.lot_id, row.gate_id).where(row.code_hash == code_hash)).one()
    return Place(*found)


def delete_pairing_codes(db: Session, *, expired_before: datetime) -> int:
    done = db.execute(delete(PairingCode).where(PairingCode.expires_at < expired_before))
    return int(done.rowcount)  # type: ignore[attr-defined]
