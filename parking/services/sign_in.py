"""Someone signs in with a login and a password, and out again.

Stands for the city's identity provider where there is none (a demo, a small lot).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from parking.core.pseudonym import token_hash
from parking.store import logins
from parking.store.database import Database
from parking.store.logins import Account, Person

COOKIE_LIFE = timedelta(hours=12)
FAILURES_BEFORE_LOCK = 5
LOCK_MAX = timedelta(minutes=15)
_NO_ACCOUNT = generate_password_hash(secrets.token_urlsafe(16))


class WrongPassword(Exception):
    """Login and password do not belong together; which of them is wrong is not told."""


class TooManyAttempts(Exception):
    """The account is locked for a while."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


def sign_in(database: Database, login: str, password: str, *, now: datetime) -> tuple[str, Person]:
    """Check a password and open a login; returns the cookie's token, which is stored as a hash.

    The password is checked between two short transactions: it takes long on purpose.

    :raises WrongPassword: no such account, or another password
    :raises TooManyAttempts: locked after five failures, longer with each further one
    """
    with database.reading() as db:
        account = logins.find_account(db, login)
    if account is not None and account.locked_until is not None and account.locked_until > now:
        raise TooManyAttempts(account.locked_until)
    is_right = check_password_hash(account.password_hash if account else _NO_ACCOUNT, password)
    if account is None or not is_right:
        if account is not None:
            database.write(lambda db: _note_failure(db, login, now))
        raise WrongPassword
    person = Person(account.driver_id, account.staff_id, account.operator_id)
    token = secrets.token_urlsafe(32)
    database.write(lambda db: _open(db, account, token, person, now))
    return token, person


def sign_out(db: Session, token: str, *, now: datetime) -> None:
    logins.revoke_login(db, token_hash(token), now=now)


def open_bearer(
    db: Session, token: str, person: Person, *, now: datetime, life: timedelta = timedelta(days=365)
) -> None:
    """A program's token, for a driver's or an operator's API client."""
    logins.add_login(
        db, token_hash=token_hash(token), kind="bearer", person=person, now=now, expires_at=now + life
    )


def hash_password(password: str) -> str:
    """scrypt, with a salt of its own."""
    return generate_password_hash(password)


def _open(db: Session, account: Account, token: str, person: Person, now: datetime) -> None:
    logins.note_attempt(db, account.login, failed_count=0, locked_until=None)
    logins.add_login(
        db, token_hash=token_hash(token), kind="cookie", person=person, now=now, expires_at=now + COOKIE_LIFE
    )


def _note_failure(db: Session, login: str, now: datetime) -> None:
    account = logins.lock_account(db, login)
    if account is None:
        return
    failed = account.failed_count + 1
    over = failed - FAILURES_BEFORE_LOCK
    until = now + min(timedelta(seconds=2 ** min(over, 10)), LOCK_MAX) if over >= 0 else None
    logins.note_attempt(db, login, failed_count=failed, locked_until=until)
