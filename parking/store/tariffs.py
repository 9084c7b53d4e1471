"""Tariffs, their versions, and which lot charges by which."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Text, UniqueConstraint, bindparam, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.calendar import Calendar
from parking.core.clock import LATEST
from parking.core.tariff import Tariff, read_tariff
from parking.store import calendars
from parking.store.columns import Instant, Table, Uuid, spread
from parking.store.statements import table_of


class TariffRow(Table):
    """A tariff by its code, unique in the city."""

    __tablename__ = "tariff"
    __table_args__ = (spread(None, "reference"),)

    tariff_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    code: Mapped[str] = mapped_column(Text, unique=True)


class TariffVersion(Table):
    """A version in force from an instant until the next one's. Never edited, never deleted."""

    __tablename__ = "tariff_version"
    __table_args__ = (
        CheckConstraint("version >= 1", name="version"),
        UniqueConstraint("tariff_id", "in_force_from"),
        spread(None, "reference", append_only=True),
    )

    tariff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tariff.tariff_id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    in_force_from: Mapped[datetime] = mapped_column(Instant)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime] = mapped_column(Instant)


class TariffAssignment(Table):
    """A lot charges by a tariff for a period [assigned_from, assigned_to)."""

    __tablename__ = "tariff_assignment"
    __table_args__ = (
        CheckConstraint("assigned_to > assigned_from", name="period"),
        spread(None, "reference"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    assigned_from: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    assigned_to: Mapped[datetime | None] = mapped_column(Instant)
    tariff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tariff.tariff_id"))
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))


_version, _assignment = table_of(TariffVersion).c, table_of(TariffAssignment).c
_FIND_OF_LOT = (
    select(_version.tariff_id, _version.version, _version.body)
    .join_from(table_of(TariffVersion), table_of(TariffAssignment), _assignment.tariff_id == _version.tariff_id)
    .where(
        _assignment.lot_id == bindparam("lot_id"), _assignment.assigned_from <= bindparam("at"),
        _assignment.assigned_to.is_(None) | (_assignment.assigned_to > bindparam("at")),
        _version.in_force_from <= bindparam("at"),
    )
    .order_by(_assignment.assigned_from.desc(), _version.in_force_from.desc())
    .limit(1)
)
_LIST_PERIODS = (
    select(_version.tariff_id, _version.version, _version.in_force_from, _assignment.assigned_from,
           _assignment.assigned_to)
    .join_from(table_of(TariffVersion), table_of(TariffAssignment), _assignment.tariff_id == _version.tariff_id)
    .where(
        _assignment.lot_id == bindparam("lot_id"), _assignment.assigned_from <= bindparam("until"),
        _version.in_force_from <= bindparam("until"))
    .order_by(_assignment.assigned_from.desc(), _version.in_force_from.desc())
)
_GET_BODY = select(_version.body).where(
    _version.tariff_id == bindparam("tariff_id"), _version.version == bindparam("version"))


@dataclass(frozen=True, slots=True)
class TariffInForce:
    tariff_id: UUID
    version: int
    tariff: Tariff


def find_tariff_of_lot(db: Session, lot_id: int, *, at: datetime) -> TariffInForce | None:
    """The tariff a lot charges by, in the version in force at an instant."""
    row = db.execute(_FIND_OF_LOT, {"lot_id": lot_id, "at": at}).one_or_none()
    return None if row is None else TariffInForce(row[0], row[1], _stored(db, row[2]))


def find_tariffs_of_lot(db: Session, lot_id: int, instants: Collection[datetime]) -> dict[datetime, TariffInForce]:
    """As find_tariff_of_lot, for many instants; one without a tariff is left out."""
    if len(instants) <= 1:
        found = {at: find_tariff_of_lot(db, lot_id, at=at) for at in instants}
        return {at: each for at, each in found.items() if each is not None}
    periods = db.execute(_LIST_PERIODS, {"lot_id": lot_id, "until": max(instants)}).all()
    versions = {at: next(
        ((row.tariff_id, row.version) for row in periods
         if row.assigned_from <= at and row.in_force_from <= at and (row.assigned_to is None or row.assigned_to > at)),
        None) for at in instants}
    read = {version: get_tariff_version(db, *version) for version in set(versions.values()) if version is not None}
    return {at: read[version] for at, version in versions.items() if version is not None}


def get_tariff_version(db: Session, tariff_id: UUID, version: int) -> TariffInForce:
    body = db.execute(_GET_BODY, {"tariff_id": tariff_id, "version": version}).scalar_one()
    return TariffInForce(tariff_id, version, _stored(db, body))


def find_start_at_lot(db: Session, lot_id: int, found: TariffInForce, *, at: datetime) -> datetime | None:
    """Since when a lot has charged by a version that is in force there at an instant."""
    row = db.execute(
        _FIND_OF_LOT.with_only_columns(_assignment.assigned_from, _version.in_force_from)
        .where(_version.tariff_id == found.tariff_id, _version.version == found.version),
        {"lot_id": lot_id, "at": at}).one_or_none()
    return None if row is None else max(row.assigned_from, row.in_force_from)


def list_starts_at_lot(db: Session, lot_id: int, *, after: datetime) -> list[datetime]:
    """When the tariff or the version that a lot charges by changes next, in order."""
    periods = db.execute(_LIST_PERIODS, {"lot_id": lot_id, "until": LATEST}).all()
    starts = [(max(row.assigned_from, row.in_force_from), row.assigned_to) for row in periods]
    return sorted({start for start, until in starts if start > after and (until is None or until > start)})


def find_tariff_by_code(db: Session, code: str, *, at: datetime) -> TariffInForce | None:
    """A published tariff, in the version in force at an instant."""
    row = db.execute(
        select(TariffVersion.tariff_id, TariffVersion.version, TariffVersion.body)
        .join(TariffRow, TariffRow.tariff_id == TariffVersion.tariff_id)
        .where(TariffRow.code == code, TariffVersion.in_force_from <= at)
        .order_by(TariffVersion.in_force_from.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else TariffInForce(row[0], row[1], _stored(db, row[2]))


def find_version(db: Session, code: str, *, version: int | None = None) -> TariffInForce | None:
    """A published version of a tariff, in force or not; the newest where none is named."""
    query = (
        select(TariffVersion.tariff_id, TariffVersion.version)
        .join(TariffRow, TariffRow.tariff_id == TariffVersion.tariff_id)
        .where(TariffRow.code == code).order_by(TariffVersion.version.desc()).limit(1))
    if version is not None:
        query = query.where(TariffVersion.version == version)
    found = db.execute(query).one_or_none()
    return None if found is None else get_tariff_version(db, *found)


def list_versions_of_operator(db: Session, operator_id: UUID) -> list[tuple[str, int, datetime]]:
    """An operator's published tariffs: code, version, in force from; each code's newest first."""
    found = db.execute(
        select(TariffRow.code, TariffVersion.version, TariffVersion.in_force_from)
        .join(TariffRow, TariffRow.tariff_id == TariffVersion.tariff_id)
        .where(TariffVersion.operator_id == operator_id).order_by(TariffRow.code, TariffVersion.version.desc()))
    return [(code, version, at) for code, version, at in found]


def list_lots_charging(db: Session, code: str, *, since: datetime, until: datetime) -> list[int]:
    """The lots that charged by a tariff at some time of a period."""
    row = TariffAssignment
    return list(db.execute(
        select(row.lot_id).join(TariffRow, TariffRow.tariff_id == row.tariff_id)
        .where(TariffRow.code == code, row.assigned_from < until, row.assigned_to.is_(None) | (row.assigned_to > since))
        .distinct().order_by(row.lot_id)).scalars())


def has_tariff(db: Session, code: str) -> bool:
    return db.execute(select(TariffRow.tariff_id).where(TariffRow.code == code)).first() is not None


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """until: when the next one takes its place; None while there is none."""

    tariff_id: UUID
    version: int
    in_force_from: datetime
    until: datetime | None
    published_at: datetime
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class Assigned:
    """A lot charges by a tariff in [assigned_from, assigned_to); the one that begins last counts."""

    lot_id: int
    code: str
    assigned_from: datetime
    assigned_to: datetime | None


def list_tariffs(db: Session, operator_id: UUID) -> list[tuple[str, UUID]]:
    """An operator's tariffs: code and id, by code."""
    rows = db.execute(select(TariffRow.code, TariffRow.tariff_id).where(
        TariffRow.operator_id == operator_id).order_by(TariffRow.code))
    return [(code, tariff_id) for code, tariff_id in rows]


def find_owner(db: Session, code: str) -> tuple[UUID, UUID] | None:
    """A tariff's id and whose it is."""
    row = db.execute(select(TariffRow.tariff_id, TariffRow.operator_id).where(TariffRow.code == code)).one_or_none()
    return None if row is None else (row[0], row[1])


def list_versions(db: Session, tariff_id: UUID) -> list[PublishedVersion]:
    """By the instant from which they are in force."""
    rows = db.execute(
        select(TariffVersion.version, TariffVersion.in_force_from, TariffVersion.published_at, TariffVersion.body)
        .where(TariffVersion.tariff_id == tariff_id).order_by(TariffVersion.in_force_from)).all()
    ends = (*(row.in_force_from for row in rows[1:]), None)
    return [PublishedVersion(tariff_id, row.version, row.in_force_from, until, row.published_at, _stored(db, row.body))
            for row, until in zip(rows, ends, strict=False)]


def has_version_from(db: Session, code: str, in_force_from: datetime) -> bool:
    """Whether a version of a tariff begins at this very instant."""
    return db.execute(
        select(TariffVersion.version).join(TariffRow, TariffRow.tariff_id == TariffVersion.tariff_id)
        .where(TariffRow.code == code, TariffVersion.in_force_from == in_force_from)).first() is not None


def list_assigned(db: Session, operator_id: UUID) -> list[Assigned]:
    """What an operator's lots charge by, by lot and begin."""
    rows = db.execute(
        select(TariffAssignment.lot_id, TariffRow.code, TariffAssignment.assigned_from, TariffAssignment.assigned_to)
        .join(TariffRow, TariffRow.tariff_id == TariffAssignment.tariff_id)
        .where(TariffAssignment.operator_id == operator_id)
        .order_by(TariffAssignment.lot_id, TariffAssignment.assigned_from))
    return [Assigned(*row) for row in rows]


def list_lots_by(db: Session, operator_id: UUID, code: str, *, at: datetime) -> list[int]:
    """Which of an operator's lots charge by a tariff at an instant."""
    holds: dict[int, str] = {}
    for each in list_assigned(db, operator_id):
        if each.assigned_from <= at and (each.assigned_to is None or each.assigned_to > at):
            holds[each.lot_id] = each.code
    return [lot_id for lot_id, held in holds.items() if held == code]


def is_assigned(db: Session, lot_id: int, *, assigned_from: datetime) -> bool:
    """Whether an assignment of the lot begins at this very instant."""
    return db.execute(select(TariffAssignment.lot_id).where(
        TariffAssignment.lot_id == lot_id, TariffAssignment.assigned_from == assigned_from)).first() is not None


def add_version(
    db: Session, tariff: Tariff, *, tariff_id: UUID, operator_id: UUID, in_force_from: datetime, now: datetime
) -> int:
    """Add a version, and the tariff with its first one; returns the version's number."""
    if not has_tariff(db, tariff.code):
        db.execute(insert(TariffRow).values(tariff_id=tariff_id, operator_id=operator_id, code=tariff.code))
    last = db.execute(
        select(func.max(TariffVersion.version)).where(TariffVersion.tariff_id == tariff_id)
    ).scalar_one_or_none()
    version = (last or 0) + 1
    db.execute(insert(TariffVersion).values(
        tariff_id=tariff_id, version=version, operator_id=operator_id, in_force_from=in_force_from,
        body=tariff.canonical, body_hash=tariff.hash, published_at=now,
    ))
    return version


def assign_tariff(db: Session, **values: Any) -> None:
    db.execute(insert(TariffAssignment).values(**values))


def date_tariff(db: Session, tariff: Tariff) -> Tariff:
    """The tariff with the calendar that it names, as far as that is confirmed."""
    return tariff if tariff.calendar is None else tariff.dated(calendars.get_calendar(db, tariff.calendar))


def _stored(db: Session, body: str) -> Tariff:
    tariff = _read(body)
    return tariff if tariff.calendar is None else _dated(body, calendars.get_calendar(db, tariff.calendar))


@lru_cache(maxsize=512)
def _dated(body: str, calendar: Calendar) -> Tariff:
    return _read(body).dated(calendar)


@lru_cache(maxsize=512)
def _read(body: str) -> Tariff:
    return read_tariff(json.loads(body))


def find_next_start(db: Session, tariff_id: UUID, *, after: datetime) -> datetime | None:
    """When the next version of a tariff is in force, and so the one before it no longer."""
    return db.execute(
        select(func.min(TariffVersion.in_force_from))
        .where(TariffVersion.tariff_id == tariff_id, TariffVersion.in_force_from > after)
    ).scalar_one()


def get_version_row(db: Session, tariff_id: UUID, version: int) -> TariffVersion:
    return db.execute(
        select(TariffVersion).where(TariffVersion.tariff_id == tariff_id, TariffVersion.version == version)
    ).scalar_one()


def list_lots_by_tariff(db: Session, tariff_id: UUID, *, at: datetime) -> list[int]:
    """The lots that charge by a tariff at an instant."""
    return list(db.execute(
        select(TariffAssignment.lot_id)
        .where(
            TariffAssignment.tariff_id == tariff_id, TariffAssignment.assigned_from <= at,
            TariffAssignment.assigned_to.is_(None) | (TariffAssignment.assigned_to > at))
        .order_by(TariffAssignment.lot_id)
    ).scalars())
