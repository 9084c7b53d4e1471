"""Signing keys: the public half for everyone, the private half sealed, or erased."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Row, Text, UniqueConstraint, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Json, Table, Uuid, spread
from parking.store.statements import table_of


class SigningKey(Table):
    """A key of one purpose. kid: "1".."255" for codes, an RFC 7638 thumbprint for receipts.

    Unique (purpose, kid), for ever: a kid is not reused, so a cached public key is never wrong.
    """

    __tablename__ = "signing_key"
    __table_args__ = (
        CheckConstraint("purpose IN ('code', 'receipt')", name="purpose"),
        CheckConstraint("algorithm IN ('ES256')", name="algorithm"),
        UniqueConstraint("purpose", "kid"),
        spread(None, "reference"),
    )

    key_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    kid: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str] = mapped_column(Text)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(Json)
    private_sealed: Mapped[bytes | None] = mapped_column(Bytes)
    created_at: Mapped[datetime] = mapped_column(Instant)
    used_from: Mapped[datetime] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


_key = table_of(SigningKey)
_FIND_ISSUING = (
    select(_key.c.key_id, _key.c.kid, _key.c.private_sealed)
    .where(
        _key.c.purpose == bindparam("purpose"), _key.c.used_from <= bindparam("now"),
        _key.c.retired_at.is_(None) | (_key.c.retired_at > bindparam("now")),
        _key.c.revoked_at.is_(None), _key.c.private_sealed.is_not(None),
    )
    .order_by(_key.c.used_from.desc(), _key.c.key_id.desc())
    .limit(1)
)
_FIND_REVOKED_AT = select(_key.c.revoked_at).where(
    _key.c.purpose == bindparam("purpose"), _key.c.kid == bindparam("kid"))


def add_key(db: Session, **values: Any) -> None:
    db.execute(insert(SigningKey).values(**values))


def list_keys(db: Session, purpose: str | None = None) -> list[SigningKey]:
    """Every key, oldest first."""
    query = select(SigningKey).order_by(SigningKey.created_at, SigningKey.kid)
    if purpose is not None:
        query = query.where(SigningKey.purpose == purpose)
    return list(db.execute(query).scalars())


def find_issuing_key(db: Session, purpose: str, *, now: datetime) -> Row[UUID, str, bytes] | None:
    """key_id, kid and private_sealed of the newest key that may sign at `now`."""
    return db.execute(_FIND_ISSUING, {"purpose": purpose, "now": now}).one_or_none()


def get_public(db: Session, purpose: str, kid: str) -> dict[str, Any]:
    """The public half of a key, as a JWK."""
    found: dict[str, Any] = db.execute(
        select(SigningKey.public_jwk).where(SigningKey.purpose == purpose, SigningKey.kid == kid)).scalar_one()
    return found


def is_revoked(db: Session, purpose: str, kid: str) -> bool:
    return db.execute(_FIND_REVOKED_AT, {"purpose": purpose, "kid": kid}).scalar_one_or_none() is not None


def find_revoked_at(db: Session, purpose: str, kid: str) -> datetime | None:
    found: datetime | None = db.execute(_FIND_REVOKED_AT, {"purpose": purpose, "kid": kid}).scalar_one_or_none()
    return found


def retire_key(db: Session, key_id: UUID, *, at: datetime) -> None:
    db.execute(update(SigningKey).where(SigningKey.key_id == key_id).values(retired_at=at))


def revoke_key(db: Session, purpose: str, kid: str, *, now: datetime) -> bool:
    """Refuse what the key signed, from now on, and erase its private half."""
    done = db.execute(
        update(SigningKey)
        .where(SigningKey.purpose == purpose, SigningKey.kid == kid, SigningKey.revoked_at.is_(None))
        .values(revoked_at=now, private_sealed=None)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]
