"""Drivers: who they are towards gates, and the vehicles they say are theirs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, bindparam, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.bundle_changes import note_subject
from parking.store.columns import Bytes, Flag, Instant, Table, Uuid, spread
from parking.store.statements import insert_new, table_of

_CHALLENGED = text("challenged_at IS NOT NULL")
_PROVED = text("status = 'proved' AND released_at IS NULL")


class Driver(Table):
    """A person who parks. code_subject is what gates are told: random, and tells nothing else.

    challenged_at: since when a gate must ask the driver's phone to sign a nonce.
    """

    __tablename__ = "driver"
    __table_args__ = (
        CheckConstraint("length(code_subject) = 16", name="code_subject"),
        Index("ix_driver_challenged", "driver_id", sqlite_where=_CHALLENGED, postgresql_where=_CHALLENGED),
        spread("driver_id", "driver"),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    code_subject: Mapped[bytes] = mapped_column(Bytes)
    created_at: Mapped[datetime] = mapped_column(Instant)
    challenged_at: Mapped[datetime | None] = mapped_column(Instant)


class DriverVehicle(Table):
    """A vehicle that a driver claims. Only a proved one shows its history to the driver."""

    __tablename__ = "driver_vehicle"
    __table_args__ = (
        CheckConstraint("status IN ('claimed', 'proved')", name="status"),
        Index("ix_driver_vehicle_proved", "vehicle_key", sqlite_where=_PROVED, postgresql_where=_PROVED),
        spread("driver_id", "driver"),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    status: Mapped[str] = mapped_column(Text)
    claimed_at: Mapped[datetime] = mapped_column(Instant)
    released_at: Mapped[datetime | None] = mapped_column(Instant)


class ChallengeDecision(Table):
    """Who decided that gates ask a driver's phone for an answer, or ask it no more, and why.

    operator_id, staff_id: None where the city's own hand did it.
    """

    __tablename__ = "challenge_decision"
    __table_args__ = (
        CheckConstraint("is_challenged IN (0, 1)", name="is_challenged"),
        spread("driver_id", "driver", append_only=True),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    decision_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    is_challenged: Mapped[bool] = mapped_column(Flag)
    operator_id: Mapped[UUID | None] = mapped_column(Uuid)
    staff_id: Mapped[UUID | None] = mapped_column(Uuid)
    why: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class ClaimedVehicle:
    vehicle_key: bytes
    is_proved: bool


_vehicle = table_of(DriverVehicle).c
_LIST_PROVERS = select(_vehicle.driver_id).where(
    _vehicle.vehicle_key.in_(bindparam("keys", expanding=True)), _vehicle.status == "proved",
    _vehicle.released_at.is_(None)).distinct()
_CHALLENGED_SINCE = select(Driver.challenged_at).where(Driver.driver_id == bindparam("driver_id"))


def add_driver(db: Session, *, driver_id: UUID, code_subject: bytes, now: datetime) -> None:
    db.execute(insert(Driver).values(driver_id=driver_id, code_subject=code_subject, created_at=now))


def get_driver(db: Session, driver_id: UUID) -> Driver:
    return db.execute(select(Driver).where(Driver.driver_id == driver_id)).scalar_one()


def lock_driver(db: Session, driver_id: UUID) -> None:
    """One after another: what counts a driver's things counts them alone."""
    db.execute(select(Driver.driver_id).where(Driver.driver_id == driver_id).with_for_update()).one()


def claim_vehicle(db: Session, *, driver_id: UUID, vehicle_key: bytes, is_proved: bool, now: datetime) -> None:
    db.execute(insert(DriverVehicle).values(
        driver_id=driver_id, vehicle_key=vehicle_key, status="proved" if is_proved else "claimed", claimed_at=now))
    note_subject(db, vehicle_key)


def claim_again(db: Session, *, driver_id: UUID, vehicle_key: bytes, now: datetime) -> None:
    """A claim, also where there was one that was released; proof does not outlive a release."""
    row = DriverVehicle
    if not insert_new(db, row, driver_id=driver_id, vehicle_key=vehicle_key, status="claimed", claimed_at=now):
        db.execute(
            update(row)
            .where(row.driver_id == driver_id, row.vehicle_key == vehicle_key, row.released_at.is_not(None))
            .values(status="claimed", claimed_at=now, released_at=None))


def release_vehicle(db: Session, *, driver_id: UUID, vehicle_key: bytes, now: datetime) -> None:
    row = DriverVehicle
    db.execute(
        update(row).where(row.driver_id == driver_id, row.vehicle_key == vehicle_key, row.released_at.is_(None))
        .values(released_at=now))
    note_subject(db, vehicle_key)


def list_vehicles(db: Session, driver_id: UUID) -> list[ClaimedVehicle]:
    """The vehicles a driver claims now, oldest claim first."""
    rows = db.execute(
        select(DriverVehicle.vehicle_key, DriverVehicle.status)
        .where(DriverVehicle.driver_id == driver_id, DriverVehicle.released_at.is_(None))
        .order_by(DriverVehicle.claimed_at, DriverVehicle.vehicle_key)
    )
    return [ClaimedVehicle(key, status == "proved") for key, status in rows]


def list_provers(db: Session, vehicle_key: bytes) -> list[UUID]:
    """The drivers who proved that this vehicle is theirs; asks the whole city."""
    return list_provers_of(db, [vehicle_key])


def list_provers_of(db: Session, vehicle_keys: Collection[bytes]) -> list[UUID]:
    """The drivers who proved one of these vehicles; asks the whole city."""
    return list(db.execute(_LIST_PROVERS, {"keys": list(vehicle_keys)}).scalars())


def list_proofs(db: Session, vehicle_keys: Collection[bytes]) -> list[tuple[bytes, UUID]]:
    """Each of these vehicles that was proved, with the driver who did; asks the whole city."""
    row = DriverVehicle
    rows = db.execute(select(row.vehicle_key, row.driver_id).where(
        row.vehicle_key.in_(vehicle_keys), row.status == "proved", row.released_at.is_(None)))
    return [(key, driver_id) for key, driver_id in rows]


def list_code_subjects(db: Session, driver_ids: Collection[UUID]) -> list[tuple[UUID, bytes]]:
    """The subject of each of these drivers' server-issued codes."""
    rows = db.execute(select(Driver.driver_id, Driver.code_subject).where(Driver.driver_id.in_(driver_ids)))
    return [(driver_id, subject) for driver_id, subject in rows]


def is_challenged(db: Session, driver_id: UUID) -> bool:
    """Whether a gate must ask this driver's phone to sign a nonce."""
    return db.execute(_CHALLENGED_SINCE, {"driver_id": driver_id}).scalar_one_or_none() is not None


def find_challenger(db: Session, driver_id: UUID) -> UUID | None:
    """The operator who decided last about a driver's phone; None where it was the city, or nobody."""
    row = ChallengeDecision
    return db.execute(select(row.operator_id).where(row.driver_id == driver_id).order_by(
        row.decided_at.desc(), row.decision_id.desc()).limit(1)).scalar_one_or_none()


def decide_challenge(
    db: Session, driver_id: UUID, *, is_challenged: bool, decision_id: UUID, operator_id: UUID | None,
    staff_id: UUID | None, why: str, now: datetime,
) -> bool:
    """Have gates ask a driver's phone, or no more, and keep who said so; False where it was so already."""
    was = Driver.challenged_at.is_(None) if is_challenged else Driver.challenged_at.is_not(None)
    done = db.execute(update(Driver).where(Driver.driver_id == driver_id, was).values(
        challenged_at=now if is_challenged else None))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return False
    db.execute(insert(ChallengeDecision).values(
        driver_id=driver_id, decision_id=decision_id, is_challenged=is_challenged, operator_id=operator_id,
        staff_id=staff_id, why=why, decided_at=now))
    return True


def list_challenged(db: Session) -> list[UUID]:
    """The drivers whose phones a gate must ask to sign a nonce; asks the whole city."""
    return list(db.execute(select(Driver.driver_id).where(Driver.challenged_at.is_not(None))).scalars())
