"""Whose visit is it? A code, a plate, or both are brought to one vehicle key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.code_wire import CHALLENGE, PROOF_ONLY, SERVER_ISSUED, Showing
from parking.core.fact import Direction
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.verify import Citizen, CodeCheck
from parking.services.welcome import meet_citizen
from parking.store import codes, credentials, drivers, identities, parking_sessions
from parking.store.codes import CodeBinding
from parking.store.credentials import Credential


@dataclass(frozen=True, slots=True)
class Shown:
    """A code that holds, as the store knows it.

    subject, use_hash: under what its one use is claimed; paper is not single-use.
    kid: the key that signed it; None: the city vouches for it, or the credential is held here.
    binding: whose it is; None: nobody's that is known.
    credential, showing, is_expired: of the forms that are bound to a credential (core/code_wire.py).
    is_answer: it was signed over a number of the gate's, so its phone stands there now.
    is_unknown: it names a credential that is not in the books, so it cannot be told from a revoked one.
    """

    subject: bytes
    use_hash: bytes
    kid: str | None = None
    binding: CodeBinding | None = None
    credential: Credential | None = None
    showing: Showing | None = None
    is_expired: bool = False
    is_unknown: bool = False
    is_answer: bool = False

    @property
    def is_single_use(self) -> bool:
        return self.credential is None or self.credential.kind != "printed"


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of who stands at the gate.

    vehicle_key: of the plate where one is known, else of the driver; None: nobody can tell.
    driver_vehicle_key: under which the driver may have entered before the plate was known.
    is_mismatched: the code is for one vehicle and the camera read another.
    """

    vehicle_key: bytes | None = None
    driver_id: UUID | None = None
    driver_vehicle_key: bytes | None = None
    is_mismatched: bool = False


def look_up(db: Session, check: CodeCheck, *, direction: Direction | None, now: datetime) -> Shown | None:
    """The code that was shown; None where none holds, and at an exit for a citizen who never came here."""
    if check.citizen is not None:
        return _look_up_citizen(db, check.citizen, direction, now)
    claims = check.claims
    if claims is None:
        return None
    if claims.form == SERVER_ISSUED:
        binding = codes.find_binding(db, claims.subject, claims.jti)
        return Shown(claims.subject, claims.use_hash, str(claims.kid), binding)
    credential = credentials.find_credential(db, claims.subject)
    binding = None if credential is None else CodeBinding(credential.driver_id, credential.vehicle_key)
    kid = None if claims.form == PROOF_ONLY else str(claims.kid)
    return Shown(claims.subject, claims.use_hash, kid, binding, credential, claims.showing, claims.is_expired,
                 is_unknown=credential is None, is_answer=claims.form == CHALLENGE)


def identify(
    db: Session, *, lot_id: int, direction: Direction | None, shown: Shown | None, plate: Plate | None,
    secrets: Secrets,
) -> Identity:
    """Bring a verified code and a confident plate together.

    A code for one vehicle is that vehicle. A code for the driver alone is the plate that was
    read; without a reading, at an exit, it is the one visit that the driver can be leaving.
    A plate alone at an exit may be that of a driver who entered by code, and proved the plate.
    """
    read_key = secrets.vehicle_key(plate) if plate else None
    binding = None if shown is None else shown.binding
    if binding is None:
        return _plate_alone(db, lot_id, direction, read_key, secrets)
    own_key = secrets.driver_key(binding.driver_id)
    if binding.vehicle_key and read_key and binding.vehicle_key != read_key:
        return Identity(read_key, binding.driver_id, own_key, is_mismatched=True)
    key = read_key or binding.vehicle_key
    if key is None:
        key = _driver_alone(db, lot_id, direction, binding, own_key)
    return Identity(key, binding.driver_id, own_key)


def _look_up_citizen(db: Session, citizen: Citizen, direction: Direction | None, now: datetime) -> Shown | None:
    """Who comes for the first time becomes a driver, and finds the visit later by signing in."""
    driver_id = identities.find_driver_id(db, citizen.key)
    if driver_id is None:
        if direction == "exit":
            return None
        driver_id = meet_citizen(db, citizen.key, linked_by="identity_code", now=now)
    subject = drivers.get_driver(db, driver_id).code_subject
    return Shown(subject, citizen.use_hash, binding=CodeBinding(driver_id, None))


def _plate_alone(
    db: Session, lot_id: int, direction: Direction | None, read_key: bytes | None, secrets: Secrets
) -> Identity:
    if read_key is None or direction != "exit" or _is_inside(db, lot_id, read_key):
        return Identity(vehicle_key=read_key)
    owners = [secrets.driver_key(driver_id) for driver_id in drivers.list_provers(db, read_key)]
    inside = [key for key in owners if _is_inside(db, lot_id, key)]
    return Identity(read_key, driver_vehicle_key=inside[0] if len(inside) == 1 else None)


def _driver_alone(
    db: Session, lot_id: int, direction: Direction | None, binding: CodeBinding, own_key: bytes
) -> bytes:
    """The vehicle of a code that names none: at an exit, what the driver has inside, if it is one."""
    if direction == "entry":
        return own_key
    visits = parking_sessions.list_inside_of_driver(db, lot_id, binding.driver_id)
    # A visit whose exit was missed is not what leaves now, while there is another.
    visits = [each for each in visits if each.state == "open"] or visits
    inside = {each.vehicle_key for each in visits}
    if not inside:
        claimed = [vehicle.vehicle_key for vehicle in drivers.list_vehicles(db, binding.driver_id)]
        inside = {key for key in claimed if _is_inside(db, lot_id, key)}
    return inside.pop() if len(inside) == 1 else own_key


def _is_inside(db: Session, lot_id: int, vehicle_key: bytes) -> bool:
    last = parking_sessions.find_last_session(db, lot_id, vehicle_key)
    return last is not None and last.session.state == "open"
