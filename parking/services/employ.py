"""Somebody begins to work for an operator: an account with a password, and a code to set up the second factor."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.services.second_factor import hand_out_enrolment
from parking.services.sign_in import hash_password
from parking.store import logins, operators


class LoginTaken(Exception):
    """Another account has this login."""


class NoOperator(Exception):
    """There is no such operator."""


def employ(db: Session, operator_id: UUID, login: str, *, now: datetime) -> tuple[str, str]:
    """Returns the password and the set-up code; neither is kept, and both are told once.

    :raises NoOperator, LoginTaken: nothing was made
    """
    if not operators.is_operator(db, operator_id):
        raise NoOperator
    if logins.lock_account(db, login) is not None:
        raise LoginTaken
    staff_id, password = new_uuid(now), secrets.token_urlsafe(12)
    operators.add_staff(db, staff_id=staff_id, operator_id=operator_id, now=now)
    logins.add_account(
        db, login=login, password_hash=hash_password(password), staff_id=staff_id, operator_id=operator_id)
    enrolment = hand_out_enrolment(db, login, now=now)
    assert enrolment is not None
    return password, enrolment
