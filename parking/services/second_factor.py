"""An operator's staff proves a second time who they are: six digits of the moment (TOTP, RFC 6238).

Setting it up takes a code that was handed out for it, so that a password alone, which somebody else
may have written down, sets up nothing. Six digits are taken once. Wrong ones count like wrong
passwords, and besides by themselves: fifty in a row close the second factor until it is set up anew.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy.orm import Session

from parking.core.pseudonym import token_hash
from parking.core.seal import Sealer
from parking.services.sign_in import WrongPassword, count_attempt, open_login
from parking.store import logins
from parking.store.database import Database
from parking.store.logins import Account, Person

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
FAILURES_MAX = 50
ENROLMENT_LIFE = timedelta(days=3)
_PURPOSE = "totp"
_STEPS_LOOKED_AT = (0, -1, 1)  # a phone's clock may be half a minute off


class WrongCode(Exception):
    """Not the code of now, one that was used, or too many were tried; which of these is not told."""


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """Base32, as people type it into an authenticator."""
    return base64.b32encode(secret).decode().rstrip("=")


def setup_address(secret: bytes, login: str, *, issuer: str) -> str:
    """`otpauth://…`, for an authenticator's camera."""
    return _totp(secret).get_provisioning_uri(login, issuer)


def code_at(secret: bytes, at: datetime) -> str:
    return _totp(secret).generate(int(at.timestamp())).decode()


def set_second_factor(db: Session, login: str, secret: bytes, *, sealer: Sealer) -> None:
    logins.set_totp(db, login, totp_sealed=sealer.seal(secret, purpose=_PURPOSE, row=login.encode()))


def hand_out_enrolment(db: Session, login: str, *, now: datetime) -> str | None:
    """A code to set up a second factor with, for three days; what was set up is forgotten, and its person's
    browsers are signed out. None if there is no such account."""
    code = secrets.token_hex(5)
    person = logins.forget_totp(db, login, enrolment_hash=token_hash(code), until=now + ENROLMENT_LIFE)
    if person is None:
        return None
    logins.revoke_logins(db, person, now=now)
    return code


def pass_second_factor(
    database: Database, login: str, code: str, *, offered: bytes | None, enrolment: str, sealer: Sealer, device: str,
    now: datetime,
) -> tuple[str, Person]:
    """Check the digits of an account whose password was right, and open the login; returns its cookie's token.

    :param offered: the secret that was shown for the set-up; not looked at once one is set up
    :param enrolment: the code that was handed out for the set-up
    :raises WrongCode: nobody is signed in
    """
    try:
        account = database.write(lambda db: count_attempt(db, login, now))
    except WrongPassword:
        raise WrongCode from None
    if (account.totp_failed_count or 0) >= FAILURES_MAX:
        raise WrongCode
    is_new = account.totp_sealed is None
    secret = offered if is_new else _secret_of(account, sealer)
    step = None if secret is None else _step_of(secret, code, now)
    if secret is None or step is None or (is_new and not _may_enrol(account, enrolment, now)):
        database.write(lambda db: logins.count_totp_failure(db, login))
        raise WrongCode

    def use(db: Session) -> str:
        if is_new:
            if not logins.is_without_totp(db, login):
                raise WrongCode
            set_second_factor(db, login, secret, sealer=sealer)
        if not logins.use_totp_step(db, login, step=step):
            raise WrongCode
        return open_login(db, account.person, way="password", device=device, now=now, login=login)

    return database.write(use), account.person


def _may_enrol(account: Account, enrolment: str, now: datetime) -> bool:
    if account.enrolment_hash is None or account.enrolment_until is None or now >= account.enrolment_until:
        return False
    return hmac.compare_digest(account.enrolment_hash, token_hash(enrolment.strip().lower()))


def _secret_of(account: Account, sealer: Sealer) -> bytes:
    assert account.totp_sealed is not None
    return sealer.open(account.totp_sealed, purpose=_PURPOSE, row=account.login.encode())


def _step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code this is, near now; every step is looked at, so that the time tells nothing."""
    said = code.replace(" ", "").encode()
    step, found = int(now.timestamp()) // STEP_SECONDS, None
    for shift in _STEPS_LOOKED_AT:
        made = _totp(secret).generate((step + shift) * STEP_SECONDS)
        if bytes_eq(made, said):
            found = step + shift
    return found


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303
