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
ATTEMPTS_BEFORE_LOCK = 5
LOCK_MAX = timedelta(minutes=15)
_NO_ACCOUNT = generate_password_hash(secrets.token_urlsafe(16))


class WrongPassword(Exception):
    """Login and password do not belong together, or too many were tried; which of these is not told."""


def sign_in(database: Database, login: str, password: str, *, now: datetime) -> tuple[str, Person]:
    """Check a password and open a login; returns the cookie's token, which is stored as a hash.

    An attempt is counted before the password is looked at, so that many at once are counted too;
    after five the account is closed for a second, and twice as long each time, to 15 minutes. A
    closed account, an unknown one and a wrong password are answered alike, in the same time.

    :raises WrongPassword: no such account, another password, or too many attempts
    """
    account = database.write(lambda db: _count_attempt(db, login, now))
    is_right = check_password_hash(account.password_hash if account else _NO_ACCOUNT, password)
    if account is None or not is_right:
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


def _count_attempt(db: Session, login: str, now: datetime) -> Account | None:
    """The account, if it may be tried now."""
    account = logins.lock_account(db, login)
    if account is None or (account.locked_until is not None and account.locked_until > now):
        return None
    is_long_ago = account.locked_until is not None and now - account.locked_until > LOCK_MAX
    tried = 1 if is_long_ago else account.failed_count + 1
    over = tried - ATTEMPTS_BEFORE_LOCK
    until = now + min(timedelta(seconds=2 ** min(over, 10)), LOCK_MAX) if over >= 0 else None
    logins.note_attempt(db, login, failed_count=tried, locked_until=until)
    return account
