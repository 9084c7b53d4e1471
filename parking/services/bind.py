"""A driver's phone binds a key of its own, or a code goes to paper; either can be revoked at once."""

from __future__ import annotations

import secrets as randomness
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.code import CREDENTIAL_LIFE, issue_credential, issue_printed_code
from parking.core.code_wire import City, subject_of
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.issue import find_own_vehicle
from parking.services.unlock import KeySafe
from parking.store import credentials, drivers
from parking.store.companions import Companion
from parking.store.credentials import Credential

CREDENTIALS_MAX = 10
PRINTED_DAYS = 365
LIFE_UNIT = timedelta(minutes=15)
_INDEX_GAP_MAX = 8  # the list stays dense, and two that bind at once seldom want one place


class TooManyCredentials(Exception):
    """Ten phones and papers at most are bound at a time; revoke one."""


class CompanionEnded(Exception):
    """The driver ended this companion, or their time is over."""


class KeyOfAnother(Exception):
    """This key is bound to another driver, or was revoked: a phone makes a new one."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The credential as a JWT, and the bytes that each code of it begins with."""

    token: str
    wire: bytes
    credential: Credential


def bind_phone(
    db: Session, driver_id: UUID, holder_key: bytes, *, plate: Plate | None, label: str, city: City, secrets: Secrets,
    safe: KeySafe, now: datetime, companion: Companion | None = None,
) -> Bound:
    """Issue a credential to a phone's key, or issue it anew; the same key keeps its place in the status list.

    :param companion: of the driver, whose phone it is: for the companion's vehicle, and as long as they stand
    :raises NotYourVehicle: the plate is not among the driver's
    :raises CompanionEnded: the companion does not stand any more, or for less than a quarter of an hour, or the
        driver gave their vehicle up
    :raises KeyOfAnother: another driver's key, or one that was revoked
    :raises TooManyCredentials: ten are bound
    :raises NoKey: no key may sign
    """
    vehicle_key, life, companion_id = None, CREDENTIAL_LIFE, None
    if companion is None:
        vehicle_key = find_own_vehicle(db, driver_id, plate, secrets)
    else:
        vehicle_key, companion_id, label = companion.vehicle_key, companion.companion_id, companion.label
        life = min(life, (companion.ends_at - now) // LIFE_UNIT * LIFE_UNIT)
        if companion.ended_at is not None or life < LIFE_UNIT or not _has_vehicle(db, driver_id, vehicle_key):
            raise CompanionEnded
    subject = subject_of(holder_key)
    known = credentials.lock_credential(db, subject)
    if known is not None and (
            (known.driver_id, known.companion_id) != (driver_id, companion_id) or known.revoked_at is not None):
        raise KeyOfAnother
    if known is None and companion_id is not None:  # a companion has one phone
        credentials.revoke_credentials(db, driver_id, companion_id=companion_id, now=now)
    index = known.status_index if known is not None else _place(
        db, driver_id, subject, now, is_own=companion_id is None)
    signing = safe.code_key(db, now=now)
    token, wire, claims = issue_credential(
        signing, city=city, holder_key=holder_key, status_index=index, now=now, life=life)
    made = Credential(
        subject, driver_id, "phone", holder_key, index, vehicle_key, label if known is None else known.label,
        claims.kid, claims.issued_at, claims.expires_at, None, companion_id)
    if known is None:
        credentials.add_credential(db, made)
    else:
        credentials.renew_credential(
            db, subject, vehicle_key=vehicle_key, kid=claims.kid, issued_at=claims.issued_at,
            expires_at=claims.expires_at)
    return Bound(token, wire, made)


def print_code(
    db: Session, driver_id: UUID, *, plate: Plate | None, label: str, city: City, secrets: Secrets, safe: KeySafe,
    now: datetime,
) -> tuple[str, Credential]:
    """Make a code for paper, of a year: it enters only with a plate of the driver's. Its digits are told once.

    :raises NotYourVehicle, TooManyCredentials, NoKey: as bind_phone
    """
    vehicle_key = find_own_vehicle(db, driver_id, plate, secrets)
    subject = randomness.token_bytes(16)
    index = _place(db, driver_id, subject, now)
    digits, claims = issue_printed_code(
        safe.code_key(db, now=now), city=city, subject=subject, status_index=index, days=PRINTED_DAYS, now=now)
    made = Credential(
        subject, driver_id, "printed", None, index, vehicle_key, label, claims.kid, claims.issued_at,
        claims.expires_at, None)
    credentials.add_credential(db, made)
    return digits, made


def _has_vehicle(db: Session, driver_id: UUID, vehicle_key: bytes | None) -> bool:
    return vehicle_key is None or vehicle_key in {each.vehicle_key for each in drivers.list_vehicles(db, driver_id)}


def _place(db: Session, driver_id: UUID, subject: bytes, now: datetime, *, is_own: bool = True) -> int:
    """is_own: of the driver's ten, which companions do not count among."""
    held = [each for each in credentials.list_credentials(db, driver_id, now=now) if each.companion_id is None]
    if is_own and len(held) >= CREDENTIALS_MAX:
        raise TooManyCredentials
    while True:
        index = credentials.find_highest_index(db) + 1 + randomness.randbelow(_INDEX_GAP_MAX)
        if credentials.claim_index(db, index, subject):
            return index
