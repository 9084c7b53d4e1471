"""The two secrets of a city's service, and what is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from parking.core import pseudonym
from parking.core.plate import Plate
from parking.core.seal import Sealer

_PLATE_PURPOSE = "plate"


@dataclass(frozen=True, slots=True)
class SealedPlate:
    """A plate that only the service can open, and its kind, by which tariffs tell vehicles apart."""

    sealed: bytes
    kind: str


@dataclass(frozen=True)
class Secrets:
    """pepper: makes vehicle keys; without it nobody can try plates. sealer: encrypts at rest."""

    pepper: bytes
    sealer: Sealer

    def vehicle_key(self, plate: Plate) -> bytes:
        return pseudonym.vehicle_key(self.pepper, plate.text)

    def driver_key(self, driver_id: UUID) -> bytes:
        return pseudonym.driver_key(self.pepper, driver_id.bytes)

    def citizen_key(self, realm: str, subject: str) -> bytes:
        return pseudonym.citizen_key(self.pepper, realm, subject)

    def shown_hash(self, text: str) -> bytes:
        return pseudonym.shown_hash(self.pepper, text)

    def seal_plate(self, plate: Plate) -> SealedPlate:
        sealed = self.sealer.seal(plate.text.encode(), purpose=_PLATE_PURPOSE, row=self.vehicle_key(plate))
        return SealedPlate(sealed, plate.kind)

    def open_plate(self, vehicle_key: bytes, sealed: bytes) -> str:
        return self.sealer.open(sealed, purpose=_PLATE_PURPOSE, row=vehicle_key).decode()
