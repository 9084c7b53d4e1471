"""A lane is given what it must know to decide alone (docs/lanes.md): never a plate, a name or a driver's id."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.charge import vehicle_data
from parking.core.clock import format_instant
from parking.core.code_wire import City
from parking.core.pseudonym import lot_plate_key, plate_name
from parking.core.secret import Secrets
from parking.core.status_list import pack_indexes
from parking.store import credentials, drivers, parking_sessions, tariffs, vehicles
from parking.store.key_sets import SignedKeySet
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.tariffs import TariffInForce

PART = 500
NAMES_MAX = 200_000
Item = TypeVar("Item")


@dataclass
class PlateNames:
    """A plate's name at a lot, by the vehicle's key: opening a sealed plate costs more than remembering."""

    secrets: Secrets
    _held: OrderedDict[tuple[int, bytes], str] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def names(self, db: Session, lot_id: int, vehicle_keys: list[bytes]) -> dict[bytes, str]:
        """Hex names of those whose plates are known."""
        with self._lock:
            found = {key: self._held[lot_id, key] for key in vehicle_keys if (lot_id, key) in self._held}
        lot_key = lot_plate_key(self.secrets.pepper, lot_id)
        for part in _parts([key for key in vehicle_keys if key not in found]):
            for key, sealed in vehicles.list_sealed_plates(db, part).items():
                found[key] = plate_name(lot_key, self.secrets.open_plate(key, sealed)).hex()
        with self._lock:
            self._held |= {(lot_id, key): name for key, name in found.items()}
            while len(self._held) > NAMES_MAX:
                self._held.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class LotBundle:
    """What all lanes of a lot are told alike, as the text of a JSON object. digest: a name for what it says.

    about: the drivers (ids) and vehicles (keys) of whom it speaks, or would if more were known of them.
    """

    text: str
    digest: str
    about: frozenset[bytes]


def make_lot_bundle(
    db: Session, lot: Lot, *, city: City, names: PlateNames, in_force: TariffInForce | None,
    newest: SignedKeySet | None, challenged: frozenset[UUID], ended_after: datetime,
) -> LotBundle:
    """:param ended_after: credentials that ended before it are not told of"""
    inside = parking_sessions.list_open_of_lot(db, lot.lot_id)
    priced = {version: tariffs.get_tariff_version(db, *version).tariff for version in {
        (each.tariff_id, each.tariff_version) for each in inside
        if each.tariff_id is not None and each.tariff_version is not None}}
    hashes = {version: tariff.hash for version, tariff in priced.items()}
    asked = [*priced.values(), *([in_force.tariff] if in_force else [])]
    used = {tariff.hash: json.loads(tariff.canonical) for tariff in asked}
    told = {each.name: each for each in (tariff.walls.calendar for tariff in asked) if each is not None}
    plates = names.names(db, lot.lot_id, [each.session.vehicle_key for each in inside])
    classes = {key: found for part in _parts([each.session.vehicle_key for each in inside])
               for key, found in vehicles.list_vehicles(db, part).items()}
    drivers_of = _drivers_of(db, inside)
    concerned = {driver for found in drivers_of.values() for driver in found} | challenged
    subjects = _live_subjects(db, concerned, ended_after)
    said: dict[str, Any] = {
        "city": {"number": city.number, "name": city.name},
        "lot": {
            "id": lot.lot_id, "time_zone": lot.time_zone, "spaces": lot.spaces, "collects": lot.collects,
            "is_closed": lot.is_closed, "turned": sorted(lot.turned_reasons)},
        "key_set": newest.jws if newest else None,
        "revoked": pack_indexes(credentials.list_revoked_indexes(db, expiring_after=ended_after)),
        "plate_key": base64.b64encode(lot_plate_key(names.secrets.pepper, lot.lot_id)).decode(),
        "inside": [
            {
                "plate": plates.get(each.session.vehicle_key),
                "subjects": _hex_of(subjects, drivers_of[each.session.parking_session_id]),
                "entered_at": format_instant(each.session.entered_at),
                "paid_until": _or_none(each.paid.paid_until_at), "leave_by": _or_none(each.paid.leave_by_at),
                "paid_fen": each.paid.fen, "stop_of_day": each.session.stop_of_day,
                **({"validations": [given.context for given in each.session.validations]}
                   if each.session.validations else {}),
                "vehicle": vehicle_data(classes[each.session.vehicle_key]),
                "tariff": None if each.tariff_id is None or each.tariff_version is None
                else hashes[each.tariff_id, each.tariff_version],
            }
            for each in inside],
        "tariffs": dict(sorted(used.items())),
        "tariff": in_force.tariff.hash if in_force else None,
        "calendars": {name: [days.data for days in each.years.values()] for name, each in sorted(told.items())},
        "challenged": _hex_of(subjects, challenged),
    }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    about = {driver.bytes for driver in concerned} | {each.session.vehicle_key for each in inside}
    return LotBundle(text, sha256(text.encode()).hexdigest(), frozenset(about))


def _drivers_of(db: Session, inside: list[StoredSession]) -> dict[UUID, set[UUID]]:
    """Whose codes may get each visit's car out: who came by one, and who has proved the vehicle."""
    owners: dict[bytes, set[UUID]] = defaultdict(set)
    for part in _parts([each.session.vehicle_key for each in inside]):
        for key, driver_id in drivers.list_proofs(db, part):
            owners[key].add(driver_id)
    return {
        each.session.parking_session_id: {
            *owners[each.session.vehicle_key], *([each.session.driver_id] if each.session.driver_id else [])}
        for each in inside}


def _hex_of(subjects: dict[UUID, set[bytes]], driver_ids: Iterable[UUID]) -> list[str]:
    return sorted(subject.hex() for driver in driver_ids for subject in subjects[driver])


def _live_subjects(db: Session, driver_ids: set[UUID], ended_after: datetime) -> dict[UUID, set[bytes]]:
    found: dict[UUID, set[bytes]] = defaultdict(set)
    for part in _parts(sorted(driver_ids)):
        for driver_id, subject in [
            *drivers.list_code_subjects(db, part),
            *credentials.list_live_subjects(db, part, expiring_after=ended_after),
        ]:
            found[driver_id].add(subject)
    return found


def _parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    listed = list(items)
    for start in range(0, len(listed), PART):
        yield listed[start : start + PART]


def _or_none(instant: datetime | None) -> str | None:
    return format_instant(instant) if instant else None
