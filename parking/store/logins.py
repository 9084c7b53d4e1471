"""Accounts of the local sign-in, and the tokens that stand for a person signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Integer, Text, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread

_ONE_PERSON = CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name="person")


class Account(Table):
    """A login name with a password, of a driver or of an operator's staff.

    failed_count and locked_until protect it against guessing.
    """

    __tablename__ = "account"
    __table_args__ = (_ONE_PERSON, spread("login", "account"))

    login: Mapped[str] = mapped_column(Text, primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)
    driver_id: Mapped[UUID | None] = mapped_column(Uuid)
    staff_id: Mapped[UUID | None] = mapped_column(Uuid)
    operator_id: Mapped[UUID | None] = mapped_column(Uuid)
    failed_count: Mapped[int] = mapped_column(Integer)
    locked_until: Mapped[datetime | None] = mapped_column(Instant)


class Login(Table):
    """Someone signed in: a browser's cookie, or a program's bearer token; stored as a hash alone."""

    __tablename__ = "login"
    __table_args__ = (
        CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name="person"),
        CheckConstraint("kind IN ('cookie', 'bearer')", name="kind"),
        spread("token_hash", "login"),
    )

    token_hash: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    driver_id: Mapped[UUID | None] = mapped_column(Uuid)
    staff_id: Mapped[UUID | None] = mapped_column(Uuid)
    operator_id: Mapped[UUID | None] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Person:
    """Who a login stands for: a driver, or one of an operator's staff."""

    driver_id: UUID | None
    staff_id: UUID | None
    operator_id: UUID | None


def add_account(
    db: Session, *, login: str, password_hash: str, driver_id: UUID | None = None,
    staff_id: UUID | None = None, operator_id: UUID | None = None,
) -> None:
    db.execute(insert(Account).values(
        login=login, password_hash=password_hash, driver_id=driver_id, staff_id=staff_id,
        operator_id=operator_id, failed_count=0,
    ))


def lock_account(db: Session, login: str) -> Account | None:
    return db.execute(select(Account).where(Account.login == login).with_for_update()).scalar_one_or_none()


def note_attempt(db: Session, login: str, *, failed_count: int, locked_until: datetime | None) -> None:
    db.execute(
        update(Account).where(Account.login == login).values(failed_count=failed_count, locked_until=locked_until)
    )


def add_login(
    db: Session, *, token_hash: bytes, kind: str, person: Person, now: datetime, expires_at: datetime
) -> None:
    db.execute(insert(Login).values(
        token_hash=token_hash, kind=kind, driver_id=person.driver_id, staff_id=person.staff_id,
        operator_id=person.operator_id, created_at=now, expires_at=expires_at,
    ))


def find_person(db: Session, token_hash: bytes, *, kind: str, now: datetime) -> Person | None:
    """Whom a token stands for, while it is neither expired nor revoked."""
    row = db.execute(
        select(Login.driver_id, Login.staff_id, Login.operator_id).where(
            Login.token_hash == token_hash, Login.kind == kind, Login.revoked_at.is_(None), Login.expires_at > now
        )
    ).one_or_none()
    return None if row is None else Person(*row)


def revoke_login(db: Session, token_hash: bytes, *, now: datetime) -> None:
    db.execute(
        update(Login).where(Login.token_hash == token_hash, Login.revoked_at.is_(None)).values(revoked_at=now)
    )


def delete_logins(db: Session, *, expired_before: datetime) -> int:
    done = db.execute(delete(Login).where(Login.expires_at < expired_before))
    return int(done.rowcount)  # type: ignore[attr-defined]
