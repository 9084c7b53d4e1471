"""Parking sessions as they were folded from facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.fact import FactRef
from parking.core.parking_session import ParkingSession
from parking.core.payment import Paid
from parking.core.validation import read_validation
from parking.store.columns import Bytes, Fen, Instant, Json, Table, Uuid, Wide, spread
from parking.store.lots import LOT_ID_RANGE, note_change
from parking.store.statements import (
    insert_all_new,
    table_of,
    update_all,
    wanted,
    wanted_values,
    write_all,
)

MONEY_STATES = ("nothing_due", "due", "paid", "pay_later", "arrears", "waived", "refunded")
# Written out, as the indexes have them: an engine that is asked by a parameter does not see that they hold.
_IS_OPEN, _IS_SUSPENDED = text("parking_session.state = 'open'"), text("parking_session.state = 'suspended'")
_UNPAID = text("state = 'closed' AND money_state IN ('pay_later', 'arrears')")


class ParkingSessionRow(Table):
    """A vehicle's visit to a lot (APDS: Session). Protects: one open visit of a vehicle at a lot.

    charged_fen is what its charges less their credits come to, waived_fen what is taken off it, as far as it goes;
    charge_count numbers the next charge. validations: what merchants gave it, for it is priced at every scan
    (store/validations.py has them with who and when).
    """

    __tablename__ = "parking_session"
    __table_args__ = (
        CheckConstraint(LOT_ID_RANGE, name="lot_id"),
        CheckConstraint("state IN ('open', 'suspended', 'closed', 'voided')", name="state"),
        CheckConstraint(f"money_state IN ({', '.join(repr(word) for word in MONEY_STATES)})", name="money_state"),
        CheckConstraint("(state = 'closed') = (left_at IS NOT NULL) OR state = 'voided'", name="left_at"),
        CheckConstraint("left_at >= entered_at", name="order"),
        CheckConstraint("paid_fen >= 0", name="paid_fen"),
        CheckConstraint("charged_fen >= 0", name="charged_fen"),
        CheckConstraint("waived_fen >= 0", name="waived_fen"),
        Index("uq_parking_session_open", "lot_id", "vehicle_key", unique=True,
              sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
        Index("ix_parking_session_vehicle", "lot_id", "vehicle_key", "entered_at"),
        Index("ix_parking_session_driver", "lot_id", "driver_id",
              sqlite_where=text("state IN ('open', 'suspended')"),
              postgresql_where=text("state IN ('open', 'suspended')")),
        Index("ix_parking_session_operator", "operator_id", "entered_at"),
        Index("ix_parking_session_still_open", "lot_id", "entered_at",
              sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
        Index("ix_parking_session_suspended", "operator_id", "entered_at",
              sqlite_where=text("state = 'suspended'"), postgresql_where=text("state = 'suspended'")),
        Index("ix_parking_session_unpaid", "lot_id", "left_at", sqlite_where=_UNPAID, postgresql_where=_UNPAID),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    vehicle_key: Mapped[bytes] = mapped_column(Bytes)
    driver_id: Mapped[UUID | None] = mapped_column(Uuid)
    state: Mapped[str] = mapped_column(Text)
    money_state: Mapped[str] = mapped_column(Text)
    entered_at: Mapped[datetime] = mapped_column(Instant)
    left_at: Mapped[datetime | None] = mapped_column(Instant)
    billed_until: Mapped[datetime | None] = mapped_column(Instant)
    gone_at: Mapped[datetime | None] = mapped_column(Instant)
    opened_by_terminal_id: Mapped[UUID] = mapped_column(Uuid)
    opened_by_sequence: Mapped[int] = mapped_column(Wide)
    closed_by_terminal_id: Mapped[UUID | None] = mapped_column(Uuid)
    closed_by_sequence: Mapped[int | None] = mapped_column(Wide)
    stop_of_day: Mapped[int] = mapped_column(Integer)
    flags: Mapped[list[str]] = mapped_column(Json)
    tariff_id: Mapped[UUID | None] = mapped_column(Uuid)
    tariff_version: Mapped[int | None] = mapped_column(Integer)
    charged_fen: Mapped[int] = mapped_column(Fen)
    charge_count: Mapped[int] = mapped_column(Integer)
    replaced_by: Mapped[UUID | None] = mapped_column(Uuid)
    paid_fen: Mapped[int] = mapped_column(Fen, server_default="0")
    paid_until_at: Mapped[datetime | None] = mapped_column(Instant)
    leave_by_at: Mapped[datetime | None] = mapped_column(Instant)
    waived_fen: Mapped[int] = mapped_column(Fen, server_default="0")
    validations: Mapped[Any] = mapped_column(Json, server_default="[]")


class DriverParkingSession(Table):
    """The sessions in which a driver's own code was shown: what the driver may always see."""

    __tablename__ = "driver_parking_session"
    __table_args__ = (
        Index("ix_driver_parking_session_entered_at", "driver_id", "entered_at"),
        spread("driver_id", "driver"),
    )

    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer)
    entered_at: Mapped[datetime] = mapped_column(Instant)


_session = table_of(ParkingSessionRow)
_s = _session.c
_OF_VEHICLE = (_s.lot_id == bindparam("lot_id")) & (_s.vehicle_key == bindparam("vehicle_key"))
_LIST_OF_VEHICLE = select(_session).where(_OF_VEHICLE).order_by(_s.entered_at)
_LIST_OF_VEHICLE_SINCE = _LIST_OF_VEHICLE.where(_s.entered_at >= bindparam("since"))
_FIND_LAST = (
    select(_session)
    .where(_OF_VEHICLE, _s.state != "voided", _s.entered_at < bindparam("before"))
    .order_by(_s.entered_at.desc(), _s.parking_session_id.desc())
    .limit(1)
)


@cache
def _each_last(count: int) -> Any:
    """The newest session of each of so many vehicles before its instant, in one statement."""
    each, inner = wanted(count), _session.alias("inner")
    newest = (
        select(inner.c.parking_session_id)
        .where(inner.c.lot_id == bindparam("lot_id"), inner.c.vehicle_key == each.c.vehicle_key,
               inner.c.state != "voided", inner.c.entered_at < each.c.at)
        .order_by(inner.c.entered_at.desc(), inner.c.parking_session_id.desc()).limit(1)
        .correlate(each).scalar_subquery())
    return select(_session).join_from(
        each, _session, (_s.lot_id == bindparam("lot_id")) & (_s.parking_session_id == newest))


@cache
def _each_since(count: int) -> Any:
    """The sessions of each of so many vehicles from its instant on, in one statement."""
    each = wanted(count)
    return select(_session).join_from(each, _session, (_s.lot_id == bindparam("lot_id")) & (
        _s.vehicle_key == each.c.vehicle_key) & (_s.entered_at >= each.c.at))


_ADD = insert(_session)
_OF_PAYMENTS = ("paid_fen", "paid_until_at", "leave_by_at")  # written by write_paid alone
_WRITE = (
    update(_session)
    .where(_s.lot_id == bindparam("of_lot"), _s.parking_session_id == bindparam("of_session"))
    .values({
        column.name: bindparam(f"new_{column.name}") for column in _s
        if column.name not in ("lot_id", "parking_session_id", "operator_id", *_OF_PAYMENTS)
    })
)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A folded session with what the books know of it."""

    session: ParkingSession
    operator_id: UUID
    money_state: str
    tariff_id: UUID | None
    tariff_version: int | None
    charged_fen: int
    charge_count: int
    replaced_by: UUID | None
    paid: Paid
    waived_fen: int = 0

    @property
    def taken_off_fen(self) -> int:
        """What of the charge was waived."""
        return min(self.charged_fen, self.waived_fen)

    @property
    def owed_fen(self) -> int:
        """What the visit came to: its charge less what was taken off it."""
        return self.charged_fen - self.taken_off_fen


def list_sessions_of_vehicle(
    db: Session, lot_id: int, vehicle_key: bytes, *, since: datetime | None = None
) -> list[StoredSession]:
    """A vehicle's sessions at a lot that began at or after an instant, voided ones too, oldest first."""
    of: dict[str, Any] = {"lot_id": lot_id, "vehicle_key": vehicle_key}
    if since is None:
        return [_stored(each) for each in db.execute(_LIST_OF_VEHICLE, of)]
    return [_stored(each) for each in db.execute(_LIST_OF_VEHICLE_SINCE, {**of, "since": since})]


def find_last_session(
    db: Session, lot_id: int, vehicle_key: bytes, *, entered_before: datetime | None = None
) -> StoredSession | None:
    """The vehicle's newest session at a lot that is not voided (and began before an instant)."""
    found = db.execute(_FIND_LAST, {
        "lot_id": lot_id, "vehicle_key": vehicle_key, "before": entered_before or _NEVER}).one_or_none()
    return None if found is None else _stored(found)


def find_last_sessions(
    db: Session, lot_id: int, entered_before: Mapping[bytes, datetime]
) -> dict[bytes, StoredSession]:
    """As find_last_session, for many vehicles, each with its instant."""
    rows = db.execute(_each_last(len(entered_before)), {"lot_id": lot_id, **wanted_values(entered_before)})
    return {row.vehicle_key: _stored(row) for row in rows}


def list_sessions_of_vehicles(
    db: Session, lot_id: int, since: Mapping[bytes, datetime]
) -> dict[bytes, list[StoredSession]]:
    """As list_sessions_of_vehicle, for many vehicles, each with its instant."""
    found: dict[bytes, list[StoredSession]] = {key: [] for key in since}
    for row in db.execute(_each_since(len(since)), {"lot_id": lot_id, **wanted_values(since)}):
        found[row.vehicle_key].append(_stored(row))
    return {key: sorted(each, key=lambda stored: stored.session.entered_at) for key, each in found.items()}


def list_inside_of_driver(db: Session, lot_id: int, driver_id: UUID) -> list[ParkingSession]:
    """Sessions at a lot that a driver's code opened and that have not been left."""
    row = ParkingSessionRow
    query = select(row).where(
        row.lot_id == lot_id, row.driver_id == driver_id, row.state.in_(("open", "suspended"))
    ).order_by(row.entered_at.desc())
    return [_stored(each).session for each in db.execute(query).scalars()]


def list_open_of_lot(db: Session, lot_id: int) -> list[StoredSession]:
    """The visits that go on in a lot, in the order of their entry."""
    return [_stored(each) for each in db.execute(
        select(_session).where(_s.lot_id == lot_id, _s.state == "open").order_by(_s.entered_at, _s.parking_session_id))]


def list_entered_before(db: Session, lot_id: int, at: datetime, *, limit: int) -> list[UUID]:
    """The visits to a lot that go on and began before an instant, oldest first."""
    return list(db.execute(
        select(_s.parking_session_id).where(_s.lot_id == lot_id, _IS_OPEN, _s.entered_at < at)
        .order_by(_s.entered_at).limit(limit)).scalars())


def list_suspended(
    db: Session, operator_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int, lot_id: int | None = None
) -> list[StoredSession]:
    """An operator's visits that are being checked, oldest entry first, from a cursor on."""
    query = select(_session).where(_s.operator_id == operator_id, _IS_SUSPENDED)
    if lot_id is not None:
        query = query.where(_s.lot_id == lot_id)
    if after is not None:
        query = query.where(_s.entered_at >= after[0], tuple_(_s.entered_at, _s.parking_session_id) > after)
    return [_stored(each) for each in db.execute(query.order_by(_s.entered_at, _s.parking_session_id).limit(limit))]


def count_suspended(db: Session, operator_id: UUID) -> int:
    return int(db.execute(select(func.count()).select_from(_session).where(
        _s.operator_id == operator_id, _IS_SUSPENDED)).scalar_one())


def find_session(db: Session, lot_id: int, parking_session_id: UUID) -> StoredSession | None:
    row = ParkingSessionRow
    found = db.execute(
        select(row).where(row.lot_id == lot_id, row.parking_session_id == parking_session_id)
    ).scalar_one_or_none()
    return None if found is None else _stored(found)


def list_sessions(db: Session, ids: Iterable[tuple[int, UUID]]) -> list[StoredSession]:
    """Sessions by their ids, newest entry first."""
    asked = list(ids)
    if not asked:
        return []
    row = ParkingSessionRow
    query = (
        select(row)
        .where(row.lot_id.in_({lot_id for lot_id, _ in asked}),
               row.parking_session_id.in_([parking_session_id for _, parking_session_id in asked]))
        .order_by(row.entered_at.desc(), row.parking_session_id.desc())
    )
    return [_stored(each) for each in db.execute(query).scalars()]


def list_sessions_of_operator(
    db: Session, operator_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int,
    state: str | None = None, lot_id: int | None = None,
) -> list[StoredSession]:
    """An operator's sessions in all its lots, newest entry first, from a cursor on."""
    row = ParkingSessionRow
    query: Select[ParkingSessionRow] = select(row).where(row.operator_id == operator_id, row.state != "voided")
    if state is not None:
        query = query.where(row.state == state)
    if lot_id is not None:
        query = query.where(row.lot_id == lot_id)
    if before is not None:
        query = query.where(tuple_(row.entered_at, row.parking_session_id) < before)
    query = query.order_by(row.entered_at.desc(), row.parking_session_id.desc()).limit(limit)
    return [_stored(each) for each in db.execute(query).scalars()]


def list_visits_of_driver(
    db: Session, driver_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[tuple[int, UUID]]:
    """Sessions in which the driver's own code was shown, newest first, from a cursor on."""
    row = DriverParkingSession
    query = select(row.lot_id, row.parking_session_id).where(row.driver_id == driver_id)
    if before is not None:
        query = query.where(tuple_(row.entered_at, row.parking_session_id) < before)
    query = query.order_by(row.entered_at.desc(), row.parking_session_id.desc()).limit(limit)
    return [(lot_id, session_id) for lot_id, session_id in db.execute(query)]


def is_shown_to_driver(db: Session, driver_id: UUID, parking_session_id: UUID) -> bool:
    row = DriverParkingSession
    return bool(db.execute(select(exists().where(
        row.driver_id == driver_id, row.parking_session_id == parking_session_id))).scalar_one())


@dataclass(frozen=True, slots=True)
class BookedSession:
    """A folded session as its row is to say it; tariff: its id and version."""

    session: ParkingSession
    is_new: bool
    operator_id: UUID
    money_state: str
    tariff: tuple[UUID, int] | None
    charged_fen: int
    charge_count: int
    replaced_by: UUID | None = None
    waived_fen: int = 0

    @property
    def taken_off_fen(self) -> int:
        return min(self.charged_fen, self.waived_fen)


def write_sessions(db: Session, booked: Sequence[BookedSession]) -> None:
    """Update the rows of folded sessions, then insert the new ones, each in their order; and show them to the drivers
    whose codes were in them."""
    for lot_id in {each.session.lot_id for each in booked}:
        note_change(db, lot_id)
    update_all(db, _WRITE, [
        {
            "of_lot": each.session.lot_id, "of_session": each.session.parking_session_id,
            **{f"new_{name}": value for name, value in _values(each).items()},
        }
        for each in booked if not each.is_new])
    write_all(db, _ADD, [
        {**_key(each), "operator_id": each.operator_id, **_values(each)} for each in booked if each.is_new])
    insert_all_new(db, DriverParkingSession, [
        {**_key(each), "driver_id": each.session.driver_id, "entered_at": each.session.entered_at}
        for each in booked if each.session.driver_id is not None])


def _key(booked: BookedSession) -> dict[str, Any]:
    return {"lot_id": booked.session.lot_id, "parking_session_id": booked.session.parking_session_id}


def _values(booked: BookedSession) -> dict[str, Any]:
    session, tariff = booked.session, booked.tariff
    return {
        "vehicle_key": session.vehicle_key, "driver_id": session.driver_id, "state": session.state,
        "money_state": booked.money_state, "entered_at": session.entered_at, "left_at": session.left_at,
        "billed_until": session.billed_until, "gone_at": session.gone_at,
        "opened_by_terminal_id": session.opened_by.terminal_id,
        "opened_by_sequence": session.opened_by.sequence,
        "closed_by_terminal_id": session.closed_by.terminal_id if session.closed_by else None,
        "closed_by_sequence": session.closed_by.sequence if session.closed_by else None,
        "stop_of_day": session.stop_of_day, "flags": list(session.flags),
        "tariff_id": tariff[0] if tariff else None, "tariff_version": tariff[1] if tariff else None,
        "charged_fen": booked.charged_fen, "charge_count": booked.charge_count, "replaced_by": booked.replaced_by,
        "waived_fen": booked.waived_fen, "validations": [each.data for each in session.validations],
    }


def write_paid(
    db: Session, lot_id: int, parking_session_id: UUID, paid: Paid, *, money_state: str | None = None
) -> None:
    """What was paid for a visit, as it now stands; and the word for its money, where that changes too."""
    word = {} if money_state is None else {"money_state": money_state}
    note_change(db, lot_id)
    db.execute(
        update(_session).where(_s.lot_id == lot_id, _s.parking_session_id == parking_session_id)
        .values(paid_fen=paid.fen, paid_until_at=paid.paid_until_at, leave_by_at=paid.leave_by_at, **word))


def write_waived(
    db: Session, lot_id: int, parking_session_id: UUID, waived_fen: int, *, money_state: str | None = None
) -> None:
    """What is taken off a visit's charge; and the word for its money, where that changes."""
    word = {} if money_state is None else {"money_state": money_state}
    note_change(db, lot_id)
    db.execute(
        update(_session).where(_s.lot_id == lot_id, _s.parking_session_id == parking_session_id)
        .values(waived_fen=waived_fen, **word))


def clear_validations(db: Session, lot_id: int, parking_session_id: UUID) -> None:
    """What merchants gave a voided visit is another visit's now."""
    note_change(db, lot_id)
    db.execute(
        update(_session).where(_s.lot_id == lot_id, _s.parking_session_id == parking_session_id)
        .values(validations=[]))


def step_aside(db: Session, lot_id: int, parking_session_id: UUID) -> None:
    """Take a session out of its vehicle's one open place, until it is written anew under another."""
    note_change(db, lot_id)
    db.execute(
        update(_session).where(_s.lot_id == lot_id, _s.parking_session_id == parking_session_id)
        .values(state="voided"))


def _stored(row: Any) -> StoredSession:
    closed_by = None
    if row.closed_by_terminal_id is not None and row.closed_by_sequence is not None:
        closed_by = FactRef(row.closed_by_terminal_id, row.closed_by_sequence)
    session = ParkingSession(
        parking_session_id=row.parking_session_id, lot_id=row.lot_id, vehicle_key=row.vehicle_key,
        driver_id=row.driver_id, entered_at=row.entered_at,
        opened_by=FactRef(row.opened_by_terminal_id, row.opened_by_sequence), state=row.state,
        left_at=row.left_at, closed_by=closed_by, billed_until=row.billed_until,
        stop_of_day=row.stop_of_day, flags=tuple(row.flags), gone_at=row.gone_at,
        validations=tuple(read_validation(each) for each in row.validations),
    )
    return StoredSession(
        session, row.operator_id, row.money_state, row.tariff_id, row.tariff_version, row.charged_fen,
        row.charge_count, row.replaced_by, Paid(row.paid_fen, row.paid_until_at, row.leave_by_at),
        row.waived_fen,
    )
