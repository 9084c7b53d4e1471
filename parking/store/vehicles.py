"""Vehicles by their keys; the one table with plates; and where each vehicle is in the city."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, Select, Text, delete, or_, select, tuple_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.parking_session import ParkingSession
from parking.core.price import Vehicle as PricedVehicle
from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class Vehicle(Table):
    """A vehicle under its key. Plates stand here alone, sealed; None while no plate is known.

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

    until_at: when it left, or when billing stopped because it must have left; None while inside.
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


@dataclass(frozen=True, slots=True)
class Visit:
    """One row of the city-wide index: where and when."""

    lot_id: int
    parking_session_id: UUID
    entered_at: datetime
    until_at: datetime | None


def lock_vehicle(
    db: Session, vehicle_key: bytes, *, plate_sealed: bytes | None, now: datetime, size: str = "small"
) -> str:
    """Hold the vehicle until commit, making its row if it is new; returns its size.

    Every change of a vehicle's sessions, in any lot, happens under this lock.
    """
    query = select(Vehicle.size).where(Vehicle.vehicle_key == vehicle_key).with_for_update()
    found = db.execute(query).scalar_one_or_none()
    if found is None:
        insert_new(db, Vehicle, vehicle_key=vehicle_key, plate_sealed=plate_sealed, size=size, created_at=now)
        found = db.execute(query).scalar_one()
    return found


def get_size(db: Session, vehicle_key: bytes) -> PricedVehicle:
    """The vehicle as a tariff looks at it."""
    size = db.execute(select(Vehicle.size).where(Vehicle.vehicle_key == vehicle_key)).scalar_one()
    return PricedVehicle("large" if size == "large" else "small")


def list_sealed_plates(db: Session, vehicle_keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """The sealed plates of these vehicles; one without a plate is left out."""
    rows = db.execute(
        select(Vehicle.vehicle_key, Vehicle.plate_sealed).where(
            Vehicle.vehicle_key.in_(list(vehicle_keys)), Vehicle.plate_sealed.is_not(None)
        )
    )
    return {key: sealed for key, sealed in rows if sealed is not None}


def find_presence(db: Session, vehicle_key: bytes) -> Visit | None:
    row = db.execute(
        select(VehiclePresence.lot_id, VehiclePresence.parking_session_id, VehiclePresence.entered_at).where(
            VehiclePresence.vehicle_key == vehicle_key
        )
    ).one_or_none()
    return None if row is None else Visit(*row, None)


def place_vehicle(db: Session, vehicle_key: bytes, lot_id: int, inside: ParkingSession | None) -> None:
    """Say where the vehicle is after a lot's facts were folded: the newest entry in the city wins."""
    now_there = find_presence(db, vehicle_key)
    here = VehiclePresence.vehicle_key == vehicle_key
    if inside is None:
        if now_there is not None and now_there.lot_id == lot_id:
            db.execute(delete(VehiclePresence).where(here))
        return
    values = {
        "lot_id": lot_id, "parking_session_id": inside.parking_session_id, "entered_at": inside.entered_at,
    }
    if now_there is None:
        insert_new(db, VehiclePresence, vehicle_key=vehicle_key, **values)
    elif (
        now_there.lot_id == lot_id or now_there.entered_at <= inside.entered_at
    ) and now_there != Visit(lot_id, inside.parking_session_id, inside.entered_at, None):
        db.execute(update(VehiclePresence).where(here).values(**values))


def index_session(db: Session, session: ParkingSession) -> None:
    """Keep the city-wide index beside a session that was folded anew."""
    if session.state == "voided":
        unindex_session(db, session)
        return
    is_new = insert_new(
        db, VehicleParkingSession, vehicle_key=session.vehicle_key, parking_session_id=session.parking_session_id,
        lot_id=session.lot_id, entered_at=session.entered_at, until_at=session.until_at,
    )
    if not is_new:
        db.execute(
            update(VehicleParkingSession)
            .where(
                VehicleParkingSession.vehicle_key == session.vehicle_key,
                VehicleParkingSession.parking_session_id == session.parking_session_id,
            )
            .values(entered_at=session.entered_at, until_at=session.until_at)
        )


def unindex_session(db: Session, session: ParkingSession) -> None:
    db.execute(
        delete(VehicleParkingSession).where(
            VehicleParkingSession.vehicle_key == session.vehicle_key,
            VehicleParkingSession.parking_session_id == session.parking_session_id,
        )
    )


def list_visits_around(db: Session, vehicle_key: bytes, session: ParkingSession) -> list[Visit]:
    """Visits to other lots that overlap a session, or began while it went on; oldest first."""
    visit = VehicleParkingSession
    query = _visits(vehicle_key).where(
        visit.lot_id != session.lot_id, or_(visit.until_at.is_(None), visit.until_at > session.entered_at)
    )
    if session.until_at is not None:
        query = query.where(visit.entered_at < session.until_at)
    return [Visit(*row) for row in db.execute(query)]


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


def _visits(vehicle_key: bytes) -> Select[int, UUID, datetime, datetime | None]:
    visit = VehicleParkingSession
    return (
        select(visit.lot_id, visit.parking_session_id, visit.entered_at, visit.until_at)
        .where(visit.vehicle_key == vehicle_key)
        .order_by(visit.entered_at)
    )
