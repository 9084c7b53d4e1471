"""Accounts of the local sign-in, and the tokens that stand for a person signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, Index, Integer, Text, delete, func, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, Wide, spread

_STANDING = text("revoked_at IS NULL")
_ONE_PERSON = CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name="person")


@dataclass(frozen=True, slots=True)
class CompanionOf:
    """A companion, and the driver on whose account their code is."""

    driver_id: UUID
    companion_id: UUID


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in: a driver, one of an operator's staff, or a driver's companion, who is no driver.

    A companion's sign-in is no login (store/companions.py): whatever knows logins alone does not know them.
    """

    driver_id: UUID | None
    staff_id: UUID | None
    operator_id: UUID | None
    companion: CompanionOf | None = None


class Account(Table):
    """A login name with a password, of a driver or of an operator's staff.

    failed_count and locked_until protect it against guessing; totp_used_step is the last step of the
    second factor that was used, so that no code of it is taken twice, and totp_failed_count the wrong ones
    since then. Setting a second factor up takes a code that was handed out for it (enrolment_hash).
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
    totp_sealed: Mapped[bytes | None] = mapped_column(Bytes)
    totp_used_step: Mapped[int | None] = mapped_column(Wide)
    totp_failed_count: Mapped[int | None] = mapped_column(Integer)
    enrolment_hash: Mapped[bytes | None] = mapped_column(Bytes)
    enrolment_until: Mapped[datetime | None] = mapped_column(Instant)

    @property
    def person(self) -> Person:
        return Person(self.driver_id, self.staff_id, self.operator_id)


class Login(Table):
    """Someone signed in: a browser's cookie, or a program's bearer token; stored as a hash alone.

    login_id names it where its person lists and ends it; way: how they came in; device: what the
    browser called itself.
    """

    __tablename__ = "login"
    __table_args__ = (
        CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name="person"),
        CheckConstraint("kind IN ('cookie', 'bearer')", name="kind"),
        Index("ix_login_driver", "driver_id", sqlite_where=_STANDING, postgresql_where=_STANDING),
        Index("ix_login_staff", "staff_id", sqlite_where=_STANDING, postgresql_where=_STANDING),
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
    login_id: Mapped[UUID | None] = mapped_column(Uuid)
    way: Mapped[str | None] = mapped_column(Text)
    device: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class StandingLogin:
    """A login that still holds, as its person sees it. token_hash: to tell which one is looking."""

    login_id: UUID | None
    kind: str
    way: str | None
    device: str | None
    created_at: datetime
    expires_at: datetime
    token_hash: bytes


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


def set_totp(db: Session, login: str, *, totp_sealed: bytes) -> None:
    """Set up an account's second factor; the code for setting it up is spent."""
    db.execute(update(Account).where(Account.login == login).values(
        totp_sealed=totp_sealed, totp_used_step=None, totp_failed_count=0, enrolment_hash=None, enrolment_until=None))


def forget_totp(db: Session, login: str, *, enrolment_hash: bytes, until: datetime) -> Person | None:
    """Forget a second factor; this code sets up the next. Returns whose it was; None if there is no account."""
    account = lock_account(db, login)
    if account is None:
        return None
    db.execute(update(Account).where(Account.login == login).values(
        totp_sealed=None, totp_used_step=None, totp_failed_count=0, enrolment_hash=enrolment_hash,
        enrolment_until=until))
    return account.person


def count_totp_failure(db: Session, login: str) -> None:
    db.execute(update(Account).where(Account.login == login).values(
        totp_failed_count=func.coalesce(Account.totp_failed_count, 0) + 1))


def is_without_totp(db: Session, login: str) -> bool:
    """Whether no second factor is set up; holds the account, so that it stays so."""
    return db.execute(
        select(Account.login).where(Account.login == login, Account.totp_sealed.is_(None)).with_for_update()
    ).first() is not None


def use_totp_step(db: Session, login: str, *, step: int) -> bool:
    """Take a step's code; False if it, or a later one, was taken before."""
    done = db.execute(update(Account).where(
        Account.login == login, Account.totp_used_step.is_(None) | (Account.totp_used_step < step),
    ).values(totp_used_step=step, totp_failed_count=0))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def add_login(
    db: Session, *, login_id: UUID, token_hash: bytes, kind: str, person: Person, way: str, device: str, now: datetime,
    expires_at: datetime,
) -> None:
    db.execute(insert(Login).values(
        login_id=login_id, token_hash=token_hash, kind=kind, driver_id=person.driver_id, staff_id=person.staff_id,
        operator_id=person.operator_id, way=way, device=device, created_at=now, expires_at=expires_at,
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


def list_logins(db: Session, person: Person, *, now: datetime) -> list[StandingLogin]:
    """A person's logins that hold, newest first."""
    rows = db.execute(
        select(Login.login_id, Login.kind, Login.way, Login.device, Login.created_at, Login.expires_at,
               Login.token_hash)
        .where(_of(person), Login.revoked_at.is_(None), Login.expires_at > now)
        .order_by(Login.created_at.desc(), Login.login_id))
    return [StandingLogin(*each) for each in rows]


def revoke_logins(
    db: Session, person: Person, *, now: datetime, login_id: UUID | None = None, but: bytes = b""
) -> int:
    """End one login of a person, or every browser's but the one with this hash; returns how many."""
    which = (Login.kind == "cookie") & (Login.token_hash != but) if login_id is None else Login.login_id == login_id
    done = db.execute(
        update(Login).where(_of(person), which, Login.revoked_at.is_(None)).values(revoked_at=now))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _of(person: Person) -> ColumnElement[bool]:
    if person.driver_id is not None:
        return Login.driver_id == person.driver_id
    return Login.staff_id == person.staff_id


def delete_logins(db: Session, *, expired_before: datetime) -> int:
    done = db.execute(delete(Login).where(Login.expires_at < expired_before))
    return int(done.rowcount)  # type: ignore[attr-defined]


def list_names_of_staff(db: Session, operator_id: UUID) -> dict[UUID, str]:
    """The login of each of an operator's staff who has one."""
    rows = db.execute(select(Account.staff_id, Account.login).where(
        Account.operator_id == operator_id, Account.staff_id.is_not(None)).order_by(Account.login.desc()))
    return {staff_id: login for staff_id, login in rows if staff_id is not None}
