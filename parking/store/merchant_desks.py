"""Phones and tablets at merchants: paired by a code, known by a token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store import merchants
from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.merchants import Merchant

_STANDING = text("revoked_at IS NULL")


class MerchantDeskRow(Table):
    """A phone or tablet at a merchant: paired once by a code, known by a token; both are kept as hashes."""

    __tablename__ = "merchant_desk"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint("(token_hash IS NULL) = (paired_at IS NULL)", name="paired_at"),
        Index("uq_merchant_desk_code", "code_hash", unique=True),
        Index("uq_merchant_desk_token", "token_hash", unique=True),
        Index("ix_merchant_desk_merchant", "merchant_id", sqlite_where=_STANDING, postgresql_where=_STANDING),
        spread(None, "reference"),
    )

    desk_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant.merchant_id"))
    name: Mapped[str] = mapped_column(Text)
    code_hash: Mapped[bytes] = mapped_column(Bytes)
    code_until: Mapped[datetime] = mapped_column(Instant)
    token_hash: Mapped[bytes | None] = mapped_column(Bytes)
    made_by: Mapped[UUID] = mapped_column(Uuid)
    made_at: Mapped[datetime] = mapped_column(Instant)
    paired_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class MerchantDesk:
    desk_id: UUID
    merchant_id: UUID
    name: str
    code_until: datetime
    made_at: datetime
    paired_at: datetime | None
    revoked_at: datetime | None


def add_desk(db: Session, desk: MerchantDesk, *, code_hash: bytes, by: UUID) -> None:
    db.execute(insert(MerchantDeskRow).values(
        **{name: getattr(desk, name) for name in MerchantDesk.__dataclass_fields__}, code_hash=code_hash, made_by=by,
        token_hash=None))


def pair_desk(db: Session, code_hash: bytes, token_hash: bytes, *, now: datetime) -> UUID | None:
    """Give the desk of a code its token, once; the desk's id, None where the code pairs nothing (any more)."""
    row = MerchantDeskRow
    done = db.execute(update(row).where(
        row.code_hash == code_hash, row.paired_at.is_(None), row.revoked_at.is_(None), row.code_until > now,
    ).values(token_hash=token_hash, paired_at=now))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return None
    return UUID(str(db.execute(select(row.desk_id).where(row.code_hash == code_hash)).scalar_one()))


def revoke_desk(db: Session, merchant_id: UUID, desk_id: UUID, *, now: datetime) -> bool:
    """False if the merchant has no such desk; revoked once, it stays so."""
    row = MerchantDeskRow
    of_merchant = row.merchant_id == merchant_id, row.desk_id == desk_id
    db.execute(update(row).where(*of_merchant, row.revoked_at.is_(None)).values(revoked_at=now))
    return db.execute(select(row.desk_id).where(*of_merchant)).first() is not None


def find_desk_by_token(db: Session, token_hash: bytes) -> tuple[MerchantDesk, Merchant] | None:
    """The desk that is not revoked, and its merchant, ended or not."""
    found = db.execute(_select().where(
        MerchantDeskRow.token_hash == token_hash, MerchantDeskRow.revoked_at.is_(None))).one_or_none()
    if found is None:
        return None
    desk = MerchantDesk(*found)
    merchant = merchants.find_merchant(db, desk.merchant_id)
    assert merchant is not None
    return desk, merchant


def list_desks(db: Session, merchant_id: UUID) -> list[MerchantDesk]:
    """Newest first, revoked ones too."""
    row = MerchantDeskRow
    return [MerchantDesk(*each) for each in db.execute(
        _select().where(row.merchant_id == merchant_id).order_by(row.made_at.desc(), row.desk_id))]


def _select() -> Any:
    return select(*(getattr(MerchantDeskRow, name) for name in MerchantDesk.__dataclass_fields__))
