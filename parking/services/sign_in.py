"""Someone signs in, and out again: by password, or as a citizen whom the city's provider vouches for.

Passwords are for an operator's staff, who prove themselves a second time (second_factor.py), and for
drivers where there is no provider. Every sign-in is a row: its person sees it and can end it.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from parking.core.identifier import new_uuid
from parking.core.pseudonym import token_hash
from parking.services.welcome import meet_citizen
from parking.store import logins
from parking.store.database import Database
from parking.store.logins import Account, Person

COOKIE_LIFE = timedelta(hours=12)
ATTEMPTS_BEFORE_LOCK = 5
LOCK_MAX = timedelta(minutes=15)
_NO_ACCOUNT = generate_password_hash(secrets.token_urlsafe(16))


class WrongPassword(Exception):
    """Login and password do not belong together, or too many were tried; which of these is not told."""


def check_password(
    database: Database, login: str, password: str, *, now: datetime, is_known_browser: bool = False
) -> Account:
    """The account that a password opens, as far as a password alone does.

    An attempt is counted before the password is looked at, so that many at once are counted too;
    after five the account is closed for a second, and twice as long each time, to 15 minutes. A
    closed account, an unknown one and a wrong password are answered alike, in the same time. The
    count ends with a login, not before: who has the password may not try second factors for ever.

    :param is_known_browser: this login was signed in here before: then what strangers tried does not close it
    :raises WrongPassword: no such account, another password, or too many attempts
    """
    account = None
    with suppress(WrongPassword):
        account = database.write(lambda db: count_attempt(db, login, now, is_known_browser=is_known_browser))
    is_right = check_password_hash(account.password_hash if account else _NO_ACCOUNT, password)
    if account is None or not is_right:
        raise WrongPassword
    return account


def sign_in_citizen(
    database: Database, citizen_key: bytes, *, way: str, device: str, now: datetime
) -> tuple[str, Person]:
    """Open a login for a citizen; the first time, they become a driver. Returns the cookie's token."""
    def open_for(db: Session) -> tuple[str, Person]:
        person = Person(meet_citizen(db, citizen_key, linked_by=way, now=now), None, None)
        return open_login(db, person, way=way, device=device, now=now), person

    return database.write(open_for)


def open_login(
    db: Session, person: Person, *, way: str, device: str, now: datetime, login: str | None = None
) -> str:
    """A browser's login; its token is stored as a hash alone. login: the account whose attempts end here."""
    token = secrets.token_urlsafe(32)
    if login is not None:
        logins.note_attempt(db, login, failed_count=0, locked_until=None)
    logins.add_login(
        db, login_id=new_uuid(now), token_hash=token_hash(token), kind="cookie", person=person, way=way,
        device=device, now=now, expires_at=now + COOKIE_LIFE)
    return token


def sign_out(db: Session, token: str, *, now: datetime) -> None:
    logins.revoke_login(db, token_hash(token), now=now)


def open_bearer(
    db: Session, token: str, person: Person, *, now: datetime, life: timedelta = timedelta(days=365)
) -> None:
    """A program's token, for a driver's or an operator's API client."""
    logins.add_login(
        db, login_id=new_uuid(now), token_hash=token_hash(token), kind="bearer", person=person, way="token", device="",
        now=now, expires_at=now + life)


def hash_password(password: str) -> str:
    """scrypt, with a salt of its own."""
    return generate_password_hash(password)


def count_attempt(db: Session, login: str, now: datetime, *, is_known_browser: bool = False) -> Account:
    """The account, one more attempt counted; a known browser's are limited where it asks (web/sign_in.py).

    :raises WrongPassword: there is none, or it may not be tried now
    """
    account = logins.lock_account(db, login)
    if account is not None and is_known_browser:
        return account
    if account is None or (account.locked_until is not None and account.locked_until > now):
        raise WrongPassword
    is_long_ago = account.locked_until is not None and now - account.locked_until > LOCK_MAX
    tried = 1 if is_long_ago else account.failed_count + 1
    over = tried - ATTEMPTS_BEFORE_LOCK
    until = now + min(timedelta(seconds=2 ** min(over, 10)), LOCK_MAX) if over >= 0 else None
    logins.note_attempt(db, login, failed_count=tried, locked_until=until)
    return account
