"""A family member or a companion shows a code of their own on a driver's account, for a time, until the driver ends it.

A companion is no driver: they see neither visits nor plates, claim nothing and sign in nowhere else. What they
park is the driver's, and the driver pays. Two at a time, as the travel code of Shanghai has it (docs/field.md).
"""

from __future__ import annotations

import secrets as randomness
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.code import HONOURED_AT_EXIT
from parking.core.identifier import new_uuid
from parking.core.plate import Plate
from parking.core.pseudonym import token_hash
from parking.core.secret import Secrets
from parking.core.typed_code import new_typed_code, typed_code_hash
from parking.services.issue import find_own_vehicle
from parking.store import companions, credentials, drivers, logins
from parking.store.companions import Companion
from parking.store.logins import CompanionOf

COMPANIONS_MAX = 2
INVITED_FOR = timedelta(minutes=15)
LIVES = {"day": timedelta(days=1), "month": timedelta(days=30), "year": timedelta(days=365)}
_PURPOSE = "companion"


class TooManyCompanions(Exception):
    """Two at most, with those who are invited; end one."""


class BadInvitation(ValueError):
    """No such invitation, or it was taken, or has ended; nobody is told which."""


def invite_companion(
    db: Session, driver_id: UUID, *, label: str, plate: Plate | None, life: timedelta, secrets: Secrets, now: datetime
) -> tuple[str, Companion]:
    """The code that makes one phone a companion's, within fifteen minutes; it is told once.

    :param plate: the one vehicle that the companion's code is for; None: any
    :raises NotYourVehicle: the plate is not among the driver's
    :raises TooManyCompanions: two stand, or are invited
    """
    drivers.lock_driver(db, driver_id)
    if len(list_companions(db, driver_id, now=now)) >= COMPANIONS_MAX:
        raise TooManyCompanions
    vehicle_key = find_own_vehicle(db, driver_id, plate, secrets)
    made, code = Companion(driver_id, new_uuid(now), label, vehicle_key, now, now + life), new_typed_code()
    companions.add_companion(db, made, code_hash=typed_code_hash(_PURPOSE, code), expires_at=now + INVITED_FOR)
    return code, made


def join_driver(
    db: Session, code: str, *, device: str, now: datetime, instead_of: str = ""
) -> tuple[str, Companion]:
    """Take an invitation; returns the token of the companion's browser, good as long as their code lets a car out.

    :param instead_of: the token of whoever was signed in there: a driver is signed out, a companion has left
    :raises BadInvitation: it lets nobody in
    """
    code_hash = typed_code_hash(_PURPOSE, code)
    driver_id = companions.find_invited(db, code_hash)
    if driver_id is not None:
        drivers.lock_driver(db, driver_id)
    found = companions.use_invitation(db, code_hash, now=now)
    if found is None or len(_list_joined(db, found.driver_id, now=now)) > COMPANIONS_MAX:
        raise BadInvitation
    if instead_of:
        logins.revoke_login(db, token_hash(instead_of), now=now)
        before = companions.find_login(db, token_hash(instead_of), now=now)
        if before is not None:
            end_companion(db, before.driver_id, before.companion_id, now=now)
    token, of = randomness.token_urlsafe(32), CompanionOf(found.driver_id, found.companion_id)
    companions.add_login(
        db, of, token_hash=token_hash(token), device=device, now=now, expires_at=found.ends_at + HONOURED_AT_EXIT)
    return token, found


def end_companion(db: Session, driver_id: UUID, companion_id: UUID, *, now: datetime) -> None:
    """From now on their codes open nothing: at once where there is a network, else at the lane's next contact."""
    companions.end_companion(db, driver_id, companion_id, now=now)
    credentials.revoke_credentials(db, driver_id, companion_id=companion_id, now=now)


def list_companions(db: Session, driver_id: UUID, *, now: datetime) -> list[Companion]:
    """Those who stand or are invited, oldest first."""
    return companions.list_companions(db, driver_id, now=now, invited_since=now - INVITED_FOR)


def _list_joined(db: Session, driver_id: UUID, *, now: datetime) -> list[Companion]:
    return [each for each in list_companions(db, driver_id, now=now) if each.joined_at is not None]
