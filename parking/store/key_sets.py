"""Key sets that the offline root signed: what lanes may trust while nobody can be asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Json, Table, Uuid, spread


class SignedKeySet(Table):
    """The public code keys as they were at an instant, a compact JWS, and the root's public key.

    Never edited; the newest counts.
    """

    __tablename__ = "signed_key_set"
    __table_args__ = (spread(None, "reference", append_only=True),)

    key_set_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    issued_at: Mapped[datetime] = mapped_column(Instant, unique=True)
    root: Mapped[dict[str, Any]] = mapped_column(Json)
    jws: Mapped[str] = mapped_column(Text)


def add_key_set(db: Session, *, key_set_id: UUID, issued_at: datetime, root: dict[str, Any], jws: str) -> None:
    db.execute(insert(SignedKeySet).values(key_set_id=key_set_id, issued_at=issued_at, root=root, jws=jws))


def find_newest(db: Session) -> SignedKeySet | None:
    return db.execute(select(SignedKeySet).order_by(SignedKeySet.issued_at.desc()).limit(1)).scalar_one_or_none()
