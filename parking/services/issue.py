"""A driver asks for a code to hold to a gate."""

from __future__ import annotations

import secrets as randomness
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.code import LIFE_SECONDS, REFRESH_SECONDS, issue_code
from parking.core.code_wire import City, Claims
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.unlock import KeySafe
from parking.store import codes, drivers

CURRENT_LEFT = timedelta(seconds=30)


class NotYourVehicle(Exception):
    """The driver has not claimed a vehicle with this plate."""


@dataclass(frozen=True, slots=True)
class CodeNow:
    """A code's digits, when it ends, and when the page should ask for the next."""

    text: str
    expires_at: datetime
    refresh_after: datetime


def issue_new_code(
    db: Session, driver_id: UUID, *, plate: Plate | None, city: City, secrets: Secrets, safe: KeySafe, now: datetime
) -> CodeNow:
    """Issue a code for a driver and, where chosen, one of the driver's vehicles.

    :raises NotYourVehicle: the plate is not among the driver's
    :raises NoKey: no key may sign
    """
    key = find_own_vehicle(db, driver_id, plate, secrets)
    driver = drivers.get_driver(db, driver_id)
    text, claims = issue_code(
        safe.code_key(db, now=now), city=city, subject=driver.code_subject, now=now, jti=randomness.token_bytes(8)
    )
    codes.add_issued_code(
        db, subject=claims.subject, jti=claims.jti, driver_id=driver_id, vehicle_key=key, kid=claims.kid,
        issued_at=claims.issued_at, expires_at=claims.expires_at,
    )
    return _now(text, claims)


def show_current_code(
    db: Session, driver_id: UUID, *, plate: Plate | None, city: City, secrets: Secrets, safe: KeySafe, now: datetime
) -> CodeNow | None:
    """The newest code that is unused and has 30 s left; None where a new one must be issued.

    Codes are not kept: the same claims are signed again, and a use is recorded under the claims.
    """
    key = find_own_vehicle(db, driver_id, plate, secrets)
    driver = drivers.get_driver(db, driver_id)
    issuing = safe.code_key(db, now=now)
    for each in codes.list_current(
        db, subject=driver.code_subject, kid=issuing.kid, vehicle_key=key, expires_after=now + CURRENT_LEFT
    ):
        claims = Claims(
            issuing.kid, city, driver.code_subject, each.jti, each.issued_at, timedelta(seconds=LIFE_SECONDS)
        )
        if not codes.is_used(db, claims.subject, claims.use_hash):
            text, claims = issue_code(
                issuing, city=city, subject=driver.code_subject, now=each.issued_at, jti=each.jti
            )
            return _now(text, claims)
    return None


def find_own_vehicle(db: Session, driver_id: UUID, plate: Plate | None, secrets: Secrets) -> bytes | None:
    """The key of a plate that the driver has claimed; None for none chosen.

    :raises NotYourVehicle: another's, or nobody's
    """
    if plate is None:
        return None
    key = secrets.vehicle_key(plate)
    if key not in {vehicle.vehicle_key for vehicle in drivers.list_vehicles(db, driver_id)}:
        raise NotYourVehicle
    return key


def _now(text: str, claims: Claims) -> CodeNow:
    return CodeNow(text, claims.expires_at, claims.issued_at + timedelta(seconds=REFRESH_SECONDS))
