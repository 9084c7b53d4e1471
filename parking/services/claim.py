"""A driver says which plates are theirs, and takes it back.

A claimed plate can be chosen for a code. It shows nothing of the car: else anyone could look up
anyone's visits. Only a proved one does; proof is the city's or an operator's to give.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.agree import end_agreements_of_vehicle
from parking.store import drivers, vehicles

VEHICLES_MAX = 10


class TooManyVehicles(Exception):
    """A driver claims ten vehicles at most."""


def claim_plate(db: Session, driver_id: UUID, plate: Plate, *, secrets: Secrets, now: datetime) -> None:
    """Claim a plate; claimed already, nothing changes.

    :raises TooManyVehicles: ten are claimed
    """
    key = secrets.vehicle_key(plate)
    claimed = drivers.list_vehicles(db, driver_id)
    if any(each.vehicle_key == key for each in claimed):
        return
    if len(claimed) >= VEHICLES_MAX:
        raise TooManyVehicles
    vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(plate), now=now)
    drivers.claim_again(db, driver_id=driver_id, vehicle_key=key, now=now)


def release_plate(db: Session, driver_id: UUID, plate: Plate, *, secrets: Secrets, now: datetime) -> None:
    """It is not the driver's any more: no new code for it, its visits are not shown, nor its fees deducted."""
    key = secrets.vehicle_key(plate)
    drivers.release_vehicle(db, driver_id=driver_id, vehicle_key=key, now=now)
    end_agreements_of_vehicle(db, driver_id, key, now=now)
