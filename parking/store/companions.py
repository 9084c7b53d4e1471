"""Those who may show a code of their own on a driver's account, and the invitations by which they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Text, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.logins import CompanionOf
from parking.store.statements import table_of


class CompanionRow(Table):
    """A companion of a driver, for a time. Their phone's credentials and logins name them.

    vehicle_key: the one vehicle that the code is for; None: any. joined_at: when the invitation was taken.
    """

    __tablename__ = "companion"
    __table_args__ = (
        CheckConstraint("ends_at > made_at", name="ends_at"),
        spread("driver_id", "driver"),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    companion_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    made_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    joined_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class CompanionInvitation(Table):
    """An invitation, kept as a hash. Protects: it makes one phone a companion's."""

    __tablename__ = "companion_invitation"
    __table_args__ = (spread("code_hash", "companion_invitation"),)

    code_hash: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    companion_id: Mapped[UUID] = mapped_column(Uuid)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class CompanionLogin(Table):
    """A companion's browser, known by the hash of its cookie's token; good for the page of their code alone."""

    __tablename__ = "companion_login"
    __table_args__ = (spread("token_hash", "login"),)

    token_hash: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    companion_id: Mapped[UUID] = mapped_column(Uuid)
    device: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Companion:
    """CompanionRow says what each part is."""

    driver_id: UUID
    companion_id: UUID
    label: str
    vehicle_key: bytes | None
    made_at: datetime
    ends_at: datetime
    joined_at: datetime | None = None
    ended_at: datetime | None = None


_companion = table_of(CompanionRow)
_c = _companion.c
_COLUMNS = (_c.driver_id, _c.companion_id, _c.label, _c.vehicle_key, _c.made_at, _c.ends_at, _c.joined_at, _c.ended_at)


def add_companion(db: Session, companion: Companion, *, code_hash: bytes, expires_at: datetime) -> None:
    """A companion who is invited until an instant."""
    db.execute(insert(_companion), {column.name: getattr(companion, column.name) for column in _COLUMNS})
    db.execute(insert(CompanionInvitation).values(
        code_hash=code_hash, driver_id=companion.driver_id, companion_id=companion.companion_id,
        expires_at=expires_at))


def find_companion(db: Session, driver_id: UUID, companion_id: UUID) -> Companion | None:
    row = db.execute(select(*_COLUMNS).where(
        _c.driver_id == driver_id, _c.companion_id == companion_id)).one_or_none()
    return None if row is None else Companion(*row)


def lock_companion(db: Session, driver_id: UUID, companion_id: UUID) -> Companion | None:
    """As find_companion, and nobody ends them until commit."""
    row = db.execute(select(*_COLUMNS).where(
        _c.driver_id == driver_id, _c.companion_id == companion_id).with_for_update()).one_or_none()
    return None if row is None else Companion(*row)


def list_companions(db: Session, driver_id: UUID, *, now: datetime, invited_since: datetime) -> list[Companion]:
    """A driver's companions, and those whose invitation was made since and is not taken; oldest first."""
    rows = db.execute(select(*_COLUMNS).where(
        _c.driver_id == driver_id, _c.ended_at.is_(None), _c.ends_at > now,
        _c.joined_at.is_not(None) | (_c.made_at > invited_since)).order_by(_c.made_at, _c.companion_id))
    return [Companion(*row) for row in rows]


def find_invited(db: Session, code_hash: bytes) -> UUID | None:
    """The driver whose invitation this is, whether or not it can be taken still."""
    return db.execute(select(CompanionInvitation.driver_id).where(
        CompanionInvitation.code_hash == code_hash)).scalar_one_or_none()


def use_invitation(db: Session, code_hash: bytes, *, now: datetime) -> Companion | None:
    """Take the one use of an invitation; None if there is none, or it was used, or either has ended."""
    row = CompanionInvitation
    done = db.execute(
        update(row).where(row.code_hash == code_hash, row.used_at.is_(None), row.expires_at > now).values(used_at=now))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return None
    driver_id, companion_id = db.execute(
        select(row.driver_id, row.companion_id).where(row.code_hash == code_hash)).one()
    db.execute(
        update(_companion)
        .where(_c.driver_id == driver_id, _c.companion_id == companion_id, _c.ended_at.is_(None), _c.ends_at > now)
        .values(joined_at=now))
    found = find_companion(db, driver_id, companion_id)
    return found if found is not None and found.joined_at == now else None


def end_companion(db: Session, driver_id: UUID, companion_id: UUID, *, now: datetime) -> bool:
    """False where there is none, or it was ended before."""
    done = db.execute(
        update(_companion)
        .where(_c.driver_id == driver_id, _c.companion_id == companion_id, _c.ended_at.is_(None))
        .values(ended_at=now))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def add_login(
    db: Session, of: CompanionOf, *, token_hash: bytes, device: str, now: datetime, expires_at: datetime
) -> None:
    db.execute(insert(CompanionLogin).values(
        token_hash=token_hash, driver_id=of.driver_id, companion_id=of.companion_id, device=device, created_at=now,
        expires_at=expires_at))


def find_login(db: Session, token_hash: bytes, *, now: datetime) -> CompanionOf | None:
    """Whose cookie this is, unless the companion was ended."""
    row = CompanionLogin
    found = db.execute(select(row.driver_id, row.companion_id).where(
        row.token_hash == token_hash, row.expires_at > now)).one_or_none()
    if found is None:
        return None
    companion = find_companion(db, *found)
    return None if companion is None or companion.ended_at is not None else CompanionOf(*found)


def delete_ended(db: Session, *, before: datetime) -> int:
    """Invitations and sign-ins that ended, and companions whom nobody became."""
    gone = (
        delete(CompanionInvitation).where(CompanionInvitation.expires_at < before),
        delete(CompanionLogin).where(CompanionLogin.expires_at < before),
        delete(_companion).where(_c.joined_at.is_(None), _c.made_at < before),
    )
    done: list[Any] = [db.execute(each) for each in gone]
    return sum(int(each.rowcount) for each in done)
