"""Codes that were issued, and codes that opened a barrier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, Integer, bindparam, delete, exists, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, Wide, spread
from parking.store.statements import insert_new, table_of


class IssuedCode(Table):
    """What a server-issued code stands for: its driver and, where chosen, one vehicle.

    The text is not kept: signing the same claims again gives an equal code.
    """

    __tablename__ = "issued_code"
    __table_args__ = (
        Index("ix_issued_code_expires_at", "expires_at"),
        spread("subject", "code"),
    )

    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    jti: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    kid: Mapped[int] = mapped_column(Integer)
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class CodeUse(Table):
    """A barrier opened on this code. Protects: a code opens one barrier, in the whole city.

    The use hash is of the form and its jti, never of text or signature, which have twins.
    """

    __tablename__ = "code_use"
    __table_args__ = (spread("subject", "code", append_only=True),)

    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    use_hash: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    used_at: Mapped[datetime] = mapped_column(Instant)
    lot_id: Mapped[int] = mapped_column(Integer)
    terminal_id: Mapped[UUID] = mapped_column(Uuid)
    sequence: Mapped[int] = mapped_column(Wide)


@dataclass(frozen=True, slots=True)
class CodeBinding:
    """Whose code it is, and for which vehicle (None: any of the driver's)."""

    driver_id: UUID
    vehicle_key: bytes | None


@dataclass(frozen=True, slots=True)
class FirstUse:
    """The fact on which a code opened a barrier."""

    lot_id: int
    terminal_id: UUID
    sequence: int


@dataclass(frozen=True, slots=True)
class CurrentCode:
    jti: bytes
    vehicle_key: bytes | None
    issued_at: datetime
    expires_at: datetime


_issued, _use = table_of(IssuedCode), table_of(CodeUse)
_ADD_ISSUED = insert(_issued)
_FIND_BINDING = select(_issued.c.driver_id, _issued.c.vehicle_key).where(
    _issued.c.subject == bindparam("subject"), _issued.c.jti == bindparam("jti"))
_IS_USED = select(exists().where(
    _use.c.subject == bindparam("subject"), _use.c.use_hash == bindparam("use_hash")))


def add_issued_code(
    db: Session, *, subject: bytes, jti: bytes, driver_id: UUID, vehicle_key: bytes | None, kid: int,
    issued_at: datetime, expires_at: datetime,
) -> None:
    db.execute(_ADD_ISSUED, {
        "subject": subject, "jti": jti, "driver_id": driver_id, "vehicle_key": vehicle_key, "kid": kid,
        "issued_at": issued_at, "expires_at": expires_at,
    })


def find_binding(db: Session, subject: bytes, jti: bytes) -> CodeBinding | None:
    row = db.execute(_FIND_BINDING, {"subject": subject, "jti": jti}).one_or_none()
    return None if row is None else CodeBinding(*row)


def list_current(
    db: Session, *, subject: bytes, kid: int, vehicle_key: bytes | None, expires_after: datetime
) -> list[CurrentCode]:
    """Codes of a subject under this key, for this vehicle, that last beyond an instant; newest first."""
    rows = db.execute(
        select(IssuedCode.jti, IssuedCode.vehicle_key, IssuedCode.issued_at, IssuedCode.expires_at)
        .where(
            IssuedCode.subject == subject, IssuedCode.kid == kid, IssuedCode.expires_at >= expires_after,
            IssuedCode.vehicle_key.is_(None) if vehicle_key is None else IssuedCode.vehicle_key == vehicle_key,
        )
        .order_by(IssuedCode.issued_at.desc(), IssuedCode.jti)
        .limit(10)
    )
    return [CurrentCode(*row) for row in rows]


def delete_issued_codes(db: Session, *, expired_before: datetime) -> int:
    done = db.execute(delete(IssuedCode).where(IssuedCode.expires_at < expired_before))
    return int(done.rowcount)  # type: ignore[attr-defined]


def is_used(db: Session, subject: bytes, use_hash: bytes) -> bool:
    return bool(db.execute(_IS_USED, {"subject": subject, "use_hash": use_hash}).scalar_one())


def find_use(db: Session, subject: bytes, use_hash: bytes) -> FirstUse | None:
    """Where a code had its use."""
    row = db.execute(select(CodeUse.lot_id, CodeUse.terminal_id, CodeUse.sequence).where(
        CodeUse.subject == subject, CodeUse.use_hash == use_hash)).one_or_none()
    return None if row is None else FirstUse(*row)


def use_code(
    db: Session, *, subject: bytes, use_hash: bytes, used_at: datetime, lot_id: int, terminal_id: UUID, sequence: int
) -> bool:
    """Claim the one use of a code; False if another barrier opened on it."""
    return insert_new(
        db, CodeUse, subject=subject, use_hash=use_hash, used_at=used_at, lot_id=lot_id,
        terminal_id=terminal_id, sequence=sequence,
    )
