"""Vehicles by their keys; the one table with plates; and where each vehicle is in the city."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, Text, bindparam, delete, or_, select, tuple_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.parking_session import ParkingSession
from parking.core.plate import size_of_kind
from parking.core.price import Vehicle as PricedVehicle
from parking.core.secret import SealedPlate
from parking.store.bundle_changes import note_subject
from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.statements import (
    insert_all_new,
    insert_new,
    insert_new_returning,
    put_all,
    table_of,
    write_all,
)


class Vehicle(Table):
    """A vehicle under its key. Plates stand here alone, sealed; None while no plate is known.

    plate_kind: as core/plate.py names it; None too where the plate was read before kinds were kept.

    Erasing the plate here leaves facts, charges and answers as they are, without a person in them.
    """

    __tablename__ = "vehicle"
    __table_args__ = (
        CheckConstraint("length(vehicle_key) = 16", name="vehicle_key"),
        CheckConstraint("size IN ('small', 'large')", name="size"),
        spread("vehicle_key", "vehicle"),
    )

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    plate_sealed: Mapped[bytes | None] = mapped_column(Bytes)
    size: Mapped[str] = mapped_column(Text)
    plate_kind: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class VehiclePresence(Table):
    """Row exists = the vehicle is inside, and there. Protects: one place at a time, city-wide.

    A guard on live decisions, moved by every fact that lands; the truth is in the lots' facts.
    """

    __tablename__ = "vehicle_presence"
    __table_args__ = (spread("vehicle_key", "vehicle"),)

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    entered_at: Mapped[datetime] = mapped_column(Instant)


class VehicleParkingSession(Table):
    """A vehicle's parking sessions in all lots: an index that a lot-keyed table cannot give.

    until_at: when it left, or must have left; None while it may be inside.
    """

    __tablename__ = "vehicle_parking_session"
    __table_args__ = (
        Index("ix_vehicle_parking_session_entered_at", "vehicle_key", "entered_at"),
        spread("vehicle_key", "vehicle"),
    )

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer)
    entered_at: Mapped[datetime] = mapped_column(Instant)
    until_at: Mapped[datetime | None] = mapped_column(Instant)


_vehicle, _presence, _visit = table_of(Vehicle), table_of(VehiclePresence), table_of(VehicleParkingSession)
_LOCK = (
    select(_vehicle.c.vehicle_key, _vehicle.c.size, _vehicle.c.plate_kind)
    .where(_vehicle.c.vehicle_key.in_(bindparam("keys", expanding=True)))
    .order_by(_vehicle.c.vehicle_key)
    .with_for_update()
)
_LEARN_PLATE = (
    update(_vehicle).where(_vehicle.c.vehicle_key == bindparam("of_vehicle")).values(
        plate_sealed=bindparam("sealed"), plate_kind=bindparam("kind"), size=bindparam("by_kind"))
)
_FIND_PRESENCE = select(_presence.c.lot_id, _presence.c.parking_session_id, _presence.c.entered_at).where(
    _presence.c.vehicle_key == bindparam("vehicle_key"))
_LIST_PRESENCES = select(
    _presence.c.vehicle_key, _presence.c.lot_id, _presence.c.parking_session_id, _presence.c.entered_at,
).where(_presence.c.vehicle_key.in_(bindparam("keys", expanding=True)))
_OF_PRESENCE = _presence.c.vehicle_key == bindparam("of_vehicle")
_LEAVE = delete(_presence).where(_presence.c.vehicle_key.in_(bindparam("keys", expanding=True)))
_MOVE = update(_presence).where(_OF_PRESENCE).values(
    lot_id=bindparam("to_lot"), parking_session_id=bindparam("to_session"), entered_at=bindparam("at"))
_FORGET_VISIT = delete(_visit).where(
    _visit.c.vehicle_key == bindparam("of_vehicle"), _visit.c.parking_session_id == bindparam("of_session"))
_LIST_ELSEWHERE = (
    select(_visit.c.vehicle_key, _visit.c.lot_id, _visit.c.parking_session_id, _visit.c.entered_at, _visit.c.until_at)
    .where(
        _visit.c.vehicle_key.in_(bindparam("keys", expanding=True)), _visit.c.lot_id != bindparam("lot_id"),
        or_(_visit.c.until_at.is_(None), _visit.c.until_at > bindparam("since")),
    )
    .order_by(_visit.c.entered_at)
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the city-wide index: where and when."""

    lot_id: int
    parking_session_id: UUID
    entered_at: datetime
    until_at: datetime | None

    def overlaps(self, other: Visit) -> bool:
        """Whether it went on when the other began, or began while the other went on."""
        return (self.until_at is None or self.until_at > other.entered_at) and (
            other.until_at is None or self.entered_at < other.until_at)


def lock_vehicle(
    db: Session, vehicle_key: bytes, *, plate_sealed: SealedPlate | None, now: datetime
) -> PricedVehicle:
    """Hold the vehicle until commit, making its row if it is new; returns it as a tariff looks at it.

    Every change of a vehicle's sessions, in any lot, happens under this lock.
    """
    return lock_vehicles(db, [vehicle_key], vehicle_key, plate_sealed=plate_sealed, now=now)[vehicle_key]


def lock_vehicles(
    db: Session, vehicle_keys: list[bytes], vehicle_key: bytes, *, plate_sealed: SealedPlate | None, now: datetime
) -> dict[bytes, PricedVehicle]:
    """Hold these vehicles, in order, those that there are; one of them is made, or learns its plate.

    :returns: the vehicles held, as a tariff looks at them
    """
    held = _lock(db, vehicle_keys)
    if vehicle_key not in held:
        if insert_new(db, Vehicle, **_new_row(vehicle_key, plate_sealed, now)):
            return {**held, vehicle_key: _as_priced(plate_sealed)}
        held |= _lock(db, [vehicle_key])
    if plate_sealed is not None and held[vehicle_key].plate_kind is None:
        held[vehicle_key] = _learn_plate(db, vehicle_key, plate_sealed)
    return held


def hold_vehicles(
    db: Session, plates_sealed: Mapping[bytes, SealedPlate | None], *, now: datetime
) -> dict[bytes, PricedVehicle]:
    """Hold all of these vehicles, in order, making those that are new; returns them as a tariff looks at them.

    :param plates_sealed: each vehicle with its plate, where that was read
    """
    held = _lock(db, sorted(plates_sealed))
    missing = sorted(plates_sealed.keys() - held.keys())
    if missing:
        made = write_all(db, insert_new_returning(Vehicle, "vehicle_key", db.get_bind().dialect.name), [
            _new_row(key, plates_sealed[key], now) for key in missing])
        held |= {key: _as_priced(plates_sealed[key]) for key in made.scalars()}
        somebody_was_quicker = [key for key in missing if key not in held]
        if somebody_was_quicker:
            held |= _lock(db, somebody_was_quicker)
    for key, sealed in plates_sealed.items():
        if sealed is not None and held[key].plate_kind is None:
            held[key] = _learn_plate(db, key, sealed)
    return held


def _new_row(vehicle_key: bytes, plate: SealedPlate | None, now: datetime) -> dict[str, Any]:
    return {
        "vehicle_key": vehicle_key, "plate_sealed": plate and plate.sealed, "plate_kind": plate and plate.kind,
        "size": _as_priced(plate).size, "created_at": now,
    }


def _as_priced(plate: SealedPlate | None) -> PricedVehicle:
    return PricedVehicle() if plate is None else PricedVehicle(size_of_kind(plate.kind), plate_kind=plate.kind)


def _learn_plate(db: Session, vehicle_key: bytes, plate: SealedPlate) -> PricedVehicle:
    learned = _as_priced(plate)
    db.execute(_LEARN_PLATE, {
        "of_vehicle": vehicle_key, "sealed": plate.sealed, "kind": plate.kind, "by_kind": learned.size})
    note_subject(db, vehicle_key)
    return learned


def _lock(db: Session, vehicle_keys: list[bytes]) -> dict[bytes, PricedVehicle]:
    return {key: _priced(size, kind) for key, size, kind in db.execute(_LOCK, {"keys": vehicle_keys})}


def _priced(size: str, plate_kind: str | None) -> PricedVehicle:
    return PricedVehicle("large" if size == "large" else "small", plate_kind=plate_kind)


def get_vehicle(db: Session, vehicle_key: bytes) -> PricedVehicle:
    """The vehicle as a tariff looks at it."""
    row = db.execute(select(Vehicle.size, Vehicle.plate_kind).where(Vehicle.vehicle_key == vehicle_key)).one()
    return _priced(*row)


def list_vehicles(db: Session, vehicle_keys: Iterable[bytes]) -> dict[bytes, PricedVehicle]:
    """As get_vehicle, for many."""
    rows = db.execute(select(Vehicle.vehicle_key, Vehicle.size, Vehicle.plate_kind).where(
        Vehicle.vehicle_key.in_(list(vehicle_keys))))
    return {key: _priced(size, kind) for key, size, kind in rows}


def list_sealed_plates(db: Session, vehicle_keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """The sealed plates of these vehicles; one without a plate is left out."""
    rows = db.execute(
        select(Vehicle.vehicle_key, Vehicle.plate_sealed).where(
            Vehicle.vehicle_key.in_(list(vehicle_keys)), Vehicle.plate_sealed.is_not(None)
        )
    )
    return {key: sealed for key, sealed in rows if sealed is not None}


def find_presence(db: Session, vehicle_key: bytes) -> Visit | None:
    row = db.execute(_FIND_PRESENCE, {"vehicle_key": vehicle_key}).one_or_none()
    return None if row is None else Visit(*row, None)


def find_presences(db: Session, vehicle_keys: Iterable[bytes]) -> dict[bytes, Visit]:
    """Where each of these vehicles is; one that is nowhere is left out."""
    return {row[0]: Visit(*row[1:], None) for row in db.execute(_LIST_PRESENCES, {"keys": list(vehicle_keys)})}


def place_vehicles(db: Session, lot_id: int, inside: Mapping[bytes, ParkingSession | None]) -> None:
    """Say where vehicles are after a lot's facts were folded: the newest entry in the city wins.

    :param inside: each vehicle with its visit to the lot that goes on, if any
    """
    there = find_presences(db, inside)
    gone: list[bytes] = []
    come, moved = [], []
    for key, session in inside.items():
        now_there = there.get(key)
        if session is None:
            if now_there is not None and now_there.lot_id == lot_id:
                gone.append(key)
            continue
        here = Visit(lot_id, session.parking_session_id, session.entered_at, None)
        if now_there is None:
            come.append({"vehicle_key": key, "lot_id": lot_id, "parking_session_id": here.parking_session_id,
                         "entered_at": here.entered_at})
        elif here != now_there and (now_there.lot_id == lot_id or now_there.entered_at <= here.entered_at):
            moved.append({"of_vehicle": key, "to_lot": lot_id, "to_session": here.parking_session_id,
                          "at": here.entered_at})
    if gone:
        db.execute(_LEAVE, {"keys": gone})
    insert_all_new(db, VehiclePresence, come)
    write_all(db, _MOVE, moved)


def index_sessions(db: Session, sessions: Sequence[ParkingSession]) -> None:
    """Keep the city-wide index beside sessions that were folded anew."""
    unindex_sessions(db, [each for each in sessions if each.state == "voided"])
    put_all(db, VehicleParkingSession, [
        {"vehicle_key": each.vehicle_key, "parking_session_id": each.parking_session_id, "lot_id": each.lot_id,
         "entered_at": each.entered_at, "until_at": each.inside_until}
        for each in sessions if each.state != "voided"], changing=("entered_at", "until_at"))


def unindex_sessions(db: Session, sessions: Sequence[ParkingSession]) -> None:
    write_all(db, _FORGET_VISIT, [
        {"of_vehicle": each.vehicle_key, "of_session": each.parking_session_id} for each in sessions])


def list_visits_elsewhere(
    db: Session, vehicle_keys: Iterable[bytes], lot_id: int, *, since: datetime
) -> dict[bytes, list[Visit]]:
    """Each vehicle's visits to other lots that went on at an instant or began after it, oldest first."""
    found: dict[bytes, list[Visit]] = {}
    for row in db.execute(_LIST_ELSEWHERE, {"keys": list(vehicle_keys), "lot_id": lot_id, "since": since}):
        found.setdefault(row[0], []).append(Visit(*row[1:]))
    return found


def list_lots_left_at(db: Session, vehicle_key: bytes, at: datetime, *, but: int) -> list[int]:
    """The other lots in which a vehicle was when something ended its visit, or may have been, at an instant."""
    row = VehicleParkingSession
    return list(db.execute(select(row.lot_id).distinct().where(
        row.vehicle_key == vehicle_key, row.lot_id != but, row.entered_at < at,
        or_(row.until_at.is_(None), row.until_at >= at)).order_by(row.lot_id)).scalars())


def has_entered_elsewhere(db: Session, vehicle_key: bytes, at: datetime, *, than: int) -> bool:
    row = VehicleParkingSession
    return db.execute(select(row.lot_id).where(
        row.vehicle_key == vehicle_key, row.lot_id != than, row.entered_at == at).limit(1)).first() is not None


def list_entries_after(db: Session, vehicle_key: bytes, at: datetime, *, limit: int) -> list[Visit]:
    """A vehicle's visits, in all lots, that began after an instant, oldest first."""
    visit = VehicleParkingSession
    return [Visit(*row) for row in db.execute(
        select(visit.lot_id, visit.parking_session_id, visit.entered_at, visit.until_at)
        .where(visit.vehicle_key == vehicle_key, visit.entered_at > at).order_by(visit.entered_at).limit(limit))]


def list_visits(
    db: Session, vehicle_keys: Iterable[bytes], *, before: tuple[datetime, UUID] | None, limit: int
) -> list[Visit]:
    """The newest visits of these vehicles in all lots, from a cursor on."""
    visit = VehicleParkingSession
    query = select(visit.lot_id, visit.parking_session_id, visit.entered_at, visit.until_at).where(
        visit.vehicle_key.in_(list(vehicle_keys))
    )
    if before is not None:
        query = query.where(tuple_(visit.entered_at, visit.parking_session_id) < before)
    query = query.order_by(visit.entered_at.desc(), visit.parking_session_id.desc()).limit(limit)
    return [Visit(*row) for row in db.execute(query)]
