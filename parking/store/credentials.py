"""What drivers show at gates besides server-issued codes: keys of their phones, and codes on paper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, Text, bindparam, func, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.bundle_changes import note_subject
from parking.store.columns import Bytes, Instant, Table, Uuid, Wide, spread
from parking.store.statements import insert_new, table_of

_REVOKED = text("revoked_at IS NOT NULL")


class CredentialRow(Table):
    """A phone's key, or a printed code, that stands for a driver and, where chosen, one vehicle.

    subject: of a phone, a hash of its key; of paper, random. kid, issued_at, expires_at: of the
    newest issue, for the same key is renewed. companion_id: whose phone it is, where not the driver's own.
    Protects: revoked, it stays so.
    """

    __tablename__ = "credential"
    __table_args__ = (
        CheckConstraint("kind IN ('phone', 'printed')", name="kind"),
        CheckConstraint("length(subject) = 16", name="subject"),
        CheckConstraint("(kind = 'phone') = (holder_key IS NOT NULL)", name="holder_key"),
        CheckConstraint("expires_at > issued_at", name="expires_at"),
        Index("ix_credential_driver", "driver_id"),
        Index("ix_credential_revoked", "expires_at", sqlite_where=_REVOKED, postgresql_where=_REVOKED),
        spread("subject", "code"),
    )

    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    holder_key: Mapped[bytes | None] = mapped_column(Bytes)
    status_index: Mapped[int] = mapped_column(Wide)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    label: Mapped[str] = mapped_column(Text)
    kid: Mapped[int] = mapped_column(Integer)
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    companion_id: Mapped[UUID | None] = mapped_column(Uuid)


class StatusIndex(Table):
    """Whose a place in the status list is. Protects: a place is one credential's, in the whole city."""

    __tablename__ = "status_index"
    __table_args__ = (
        CheckConstraint("status_index BETWEEN 1 AND 4294967295", name="status_index"),
        spread("status_index", "status_index"),
    )

    status_index: Mapped[int] = mapped_column(Wide, primary_key=True, autoincrement=False)
    subject: Mapped[bytes] = mapped_column(Bytes)


class CodeLastUse(Table):
    """The newest showing that opened a barrier. Protects: an older one opens none, wherever it comes from."""

    __tablename__ = "code_last_use"
    __table_args__ = (CheckConstraint("counter BETWEEN 0 AND 255", name="counter"), spread("subject", "code"))

    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    shown_at: Mapped[datetime] = mapped_column(Instant)
    counter: Mapped[int] = mapped_column(Integer)


@dataclass(frozen=True, slots=True)
class Credential:
    subject: bytes
    driver_id: UUID
    kind: str
    holder_key: bytes | None
    status_index: int
    vehicle_key: bytes | None
    label: str
    kid: int
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    companion_id: UUID | None = None


_credential = table_of(CredentialRow)
_c = _credential.c
_COLUMNS = (
    _c.subject, _c.driver_id, _c.kind, _c.holder_key, _c.status_index, _c.vehicle_key, _c.label, _c.kid, _c.issued_at,
    _c.expires_at, _c.revoked_at, _c.companion_id,
)
_FIND = select(*_COLUMNS).where(_c.subject == bindparam("subject"))
_LOCK = _FIND.with_for_update()
_DRIVER_IF_ENDED = select(_c.driver_id).where(_c.subject == bindparam("subject"), _c.expires_at <= bindparam("at"))
_COUNT_REVOKED = select(func.count()).where(_c.revoked_at.is_not(None), _c.expires_at > bindparam("after"))


def find_credential(db: Session, subject: bytes) -> Credential | None:
    row = db.execute(_FIND, {"subject": subject}).one_or_none()
    return None if row is None else Credential(*row)


def lock_credential(db: Session, subject: bytes) -> Credential | None:
    row = db.execute(_LOCK, {"subject": subject}).one_or_none()
    return None if row is None else Credential(*row)


def find_by_index(db: Session, status_index: int) -> Credential | None:
    subject = db.execute(
        select(StatusIndex.subject).where(StatusIndex.status_index == status_index)).scalar_one_or_none()
    return None if subject is None else find_credential(db, subject)


def list_credentials(db: Session, driver_id: UUID, *, now: datetime) -> list[Credential]:
    """A driver's credentials that hold, newest first."""
    rows = db.execute(select(*_COLUMNS).where(
        _c.driver_id == driver_id, _c.revoked_at.is_(None), _c.expires_at > now
    ).order_by(_c.issued_at.desc(), _c.subject))
    return [Credential(*row) for row in rows]


def list_live_subjects(db: Session, driver_ids: list[UUID], *, expiring_after: datetime) -> list[tuple[UUID, bytes]]:
    """Every subject under which these drivers may be at a gate: not revoked, and ending after an instant."""
    if not driver_ids:
        return []
    rows = db.execute(select(_c.driver_id, _c.subject).where(
        _c.driver_id.in_(driver_ids), _c.revoked_at.is_(None), _c.expires_at > expiring_after).order_by(_c.subject))
    return [(row.driver_id, row.subject) for row in rows]


def list_revoked_indexes(db: Session, *, expiring_after: datetime) -> list[int]:
    """The status list: places of revoked credentials that would still hold, sorted."""
    rows = db.execute(select(_c.status_index).where(
        _c.revoked_at.is_not(None), _c.expires_at > expiring_after).order_by(_c.status_index))
    return list(rows.scalars())


def count_revoked(db: Session, *, expiring_after: datetime) -> int:
    """How many the status list names. It only grows as long as the instant stays: another list has another count."""
    return int(db.execute(_COUNT_REVOKED, {"after": expiring_after}).scalar_one())


def find_highest_index(db: Session) -> int:
    return int(db.execute(select(func.coalesce(func.max(StatusIndex.status_index), 0))).scalar_one())


def claim_index(db: Session, status_index: int, subject: bytes) -> bool:
    """Take a place in the status list; False if it is another's."""
    return insert_new(db, StatusIndex, status_index=status_index, subject=subject)


def add_credential(db: Session, credential: Credential) -> None:
    db.execute(insert(_credential), {
        "subject": credential.subject, "driver_id": credential.driver_id, "kind": credential.kind,
        "holder_key": credential.holder_key, "status_index": credential.status_index,
        "vehicle_key": credential.vehicle_key, "label": credential.label, "kid": credential.kid,
        "issued_at": credential.issued_at, "expires_at": credential.expires_at,
        "companion_id": credential.companion_id,
    })
    note_subject(db, credential.driver_id.bytes)


def renew_credential(
    db: Session, subject: bytes, *, vehicle_key: bytes | None, kid: int, issued_at: datetime, expires_at: datetime
) -> None:
    """One that had ended comes back to life by it, and lanes must be told; else they know it already."""
    ended = db.execute(_DRIVER_IF_ENDED, {"subject": subject, "at": issued_at}).scalar_one_or_none()
    if ended is not None:
        note_subject(db, ended.bytes)
    db.execute(update(_credential).where(_c.subject == subject).values(
        vehicle_key=vehicle_key, kid=kid, issued_at=issued_at, expires_at=expires_at))


def revoke_credentials(
    db: Session, driver_id: UUID, *, now: datetime, subject: bytes | None = None, but: bytes | None = None,
    companion_id: UUID | None = None,
) -> int:
    """Refuse one credential of a driver, a companion's, or all but one; returns how many."""
    which = [_c.driver_id == driver_id, _c.revoked_at.is_(None)]
    if subject is not None:
        which.append(_c.subject == subject)
    if companion_id is not None:
        which.append(_c.companion_id == companion_id)
    if but is not None:
        which.append(_c.subject != but)
    done = db.execute(update(_credential).where(*which).values(revoked_at=now))
    return int(done.rowcount)  # type: ignore[attr-defined]


def advance_last_use(db: Session, subject: bytes, *, shown_at: datetime, counter: int) -> bool:
    """Say that this showing opened a barrier; False if it is not newer than the last that did."""
    if insert_new(db, CodeLastUse, subject=subject, shown_at=shown_at, counter=counter):
        return True
    row = CodeLastUse
    newer = or_(row.shown_at < shown_at, (row.shown_at == shown_at) & (row.counter < counter))
    done: Any = db.execute(update(row).where(row.subject == subject, newer).values(shown_at=shown_at, counter=counter))
    return bool(done.rowcount == 1)


def find_last_use(db: Session, subject: bytes) -> tuple[datetime, int] | None:
    row = db.execute(select(CodeLastUse.shown_at, CodeLastUse.counter).where(
        CodeLastUse.subject == subject)).one_or_none()
    return None if row is None else (row.shown_at, row.counter)
