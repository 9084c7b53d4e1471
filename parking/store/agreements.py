"""By what drivers let fees be deducted: agreements for vehicles, and the stays that a channel was told of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, bindparam, delete, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.auto_pay import CEILING_MAX_FEN, Agreement
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new, table_of

_STANDING, _GOES_ON = text("state <> 'ended'"), text("ended_at IS NULL")


class AutoPayAgreement(Table):
    """A driver lets an operator deduct the fees of a vehicle. Protects: one standing of each driver, vehicle, account.

    agreement_id: in hex the number by which the channel knows it; channel_no: the channel's own. Once ended it stays.
    refused_at, refused_why: when it last bore no fee, and the word why (core/auto_pay.py).
    """

    __tablename__ = "auto_pay_agreement"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'active', 'ended')", name="state"),
        CheckConstraint(f"ceiling_fen BETWEEN 1 AND {CEILING_MAX_FEN}", name="ceiling_fen"),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended_at"),
        CheckConstraint("(refused_at IS NULL) = (refused_why IS NULL)", name="refused_at"),
        Index("uq_auto_pay_agreement_standing", "vehicle_key", "driver_id", "account_id", unique=True,
              sqlite_where=_STANDING, postgresql_where=_STANDING),
        Index("ix_auto_pay_agreement_driver", "driver_id", "asked_at"),
        Index("ix_auto_pay_agreement_id", "agreement_id"),
        spread("vehicle_key", "vehicle"),
    )

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    agreement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"))
    means: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    ceiling_fen: Mapped[int] = mapped_column(Fen)
    channel_no: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    signed_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_why: Mapped[str | None] = mapped_column(Text)
    refused_at: Mapped[datetime | None] = mapped_column(Instant)
    refused_why: Mapped[str | None] = mapped_column(Text)


class ChannelStayRow(Table):
    """A stay as a channel was told of it. Protects: one of a vehicle goes on at an account at a time.

    stay_id: of the visit that it was told for, in hex its number; parking_session_id: of the visit that it stands for
    now. state: asked until the channel has answered; said_at: when what it says now came to be, by its clock.
    """

    __tablename__ = "channel_stay"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'normal', 'blocked')", name="state"),
        Index("uq_channel_stay_goes_on", "vehicle_key", "account_id", unique=True,
              sqlite_where=_GOES_ON, postgresql_where=_GOES_ON),
        Index("ix_channel_stay_id", "stay_id"),
        spread("vehicle_key", "vehicle"),
    )

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    stay_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"))
    lot_id: Mapped[int] = mapped_column(Integer)
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    state: Mapped[str] = mapped_column(Text)
    channel_no: Mapped[str | None] = mapped_column(Text)
    why: Mapped[str | None] = mapped_column(Text)
    said_at: Mapped[datetime | None] = mapped_column(Instant)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class StoredAgreement:
    """An agreement with how it came about, as its driver may see it."""

    agreement: Agreement
    state: str
    asked_at: datetime
    signed_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None
    refused_at: datetime | None
    refused_why: str | None


@dataclass(frozen=True, slots=True)
class StoredStay:
    vehicle_key: bytes
    stay_id: UUID
    account_id: UUID
    lot_id: int
    parking_session_id: UUID
    state: str
    channel_no: str | None
    why: str | None
    said_at: datetime | None
    asked_at: datetime
    ended_at: datetime | None


_a, _c, _s = table_of(AutoPayAgreement).c, table_of(ChannelAccountRow).c, table_of(ChannelStayRow).c
_OF_AGREEMENT = (
    _a.vehicle_key, _a.agreement_id, _a.driver_id, _a.operator_id, _a.account_id, _a.means, _a.ceiling_fen,
    _a.channel_no, _s.state.label("service"))
_JOINED = table_of(AutoPayAgreement).join(
    table_of(ChannelStayRow),
    (_s.vehicle_key == _a.vehicle_key) & (_s.account_id == _a.account_id) & _s.ended_at.is_(None), isouter=True)
# A scan runs these two: at an exit that something is due at, and at an entry, of a lot that collects.
_LIST_ACTIVE = (
    select(*_OF_AGREEMENT)
    .select_from(_JOINED.join(
        table_of(ChannelAccountRow), (_c.account_id == _a.account_id) & _c.disconnected_at.is_(None)))
    .where(_a.vehicle_key == bindparam("vehicle_key"), _a.operator_id == bindparam("operator_id"),
           _a.state == "active")
    .order_by(_a.asked_at, _a.agreement_id)
)
_LIST_TOLD = (
    select(_a.vehicle_key, _a.account_id).distinct()
    .select_from(table_of(AutoPayAgreement).join(
        table_of(ChannelAccountRow), (_c.account_id == _a.account_id) & _c.disconnected_at.is_(None)))
    .where(_a.vehicle_key.in_(bindparam("keys", expanding=True)), _a.operator_id == bindparam("operator_id"),
           _a.state == "active", _a.means == "wechat_pay")
)


def add_agreement(db: Session, made: StoredAgreement) -> bool:
    """False where one of this driver, vehicle and account stands, or the id is taken for the vehicle."""
    of = made.agreement
    return insert_new(
        db, AutoPayAgreement, vehicle_key=of.vehicle_key, agreement_id=of.agreement_id, driver_id=of.driver_id,
        operator_id=of.operator_id, account_id=of.account_id, means=of.means, state=made.state,
        ceiling_fen=of.ceiling_fen, channel_no=of.channel_no, asked_at=made.asked_at, signed_at=made.signed_at)


def list_active(db: Session, vehicle_key: bytes, operator_id: UUID) -> list[Agreement]:
    """By what the fees of a vehicle may be deducted now at an operator's lots, oldest first."""
    return [Agreement(*row) for row in db.execute(
        _LIST_ACTIVE, {"vehicle_key": vehicle_key, "operator_id": operator_id})]


def list_told(db: Session, vehicle_keys: Collection[bytes], operator_id: UUID) -> list[tuple[bytes, UUID]]:
    """Of these vehicles, those whose entries an operator tells a channel, with the account."""
    return [(row[0], row[1]) for row in db.execute(
        _LIST_TOLD, {"keys": list(vehicle_keys), "operator_id": operator_id})]


def find_agreement(db: Session, agreement_id: UUID) -> StoredAgreement | None:
    """By its id alone, as a channel names it: asks the whole city."""
    row = db.execute(_select().where(_a.agreement_id == agreement_id)).one_or_none()
    return None if row is None else _read(row)


def get_agreement(db: Session, agreement_id: UUID) -> StoredAgreement:
    """One that is known to be there."""
    found = find_agreement(db, agreement_id)
    assert found is not None
    return found


def list_of_driver(db: Session, driver_id: UUID, *, standing: bool = False) -> list[StoredAgreement]:
    """A driver's agreements, newest first; asks the whole city."""
    query = _select().where(_a.driver_id == driver_id)
    if standing:
        query = query.where(_a.state != "ended")
    return [_read(row) for row in db.execute(query.order_by(_a.asked_at.desc(), _a.agreement_id.desc()))]


def activate(db: Session, agreement: Agreement, *, channel_no: str | None, at: datetime) -> None:
    _change(db, agreement, state="active", channel_no=channel_no, signed_at=at)


def end_agreement(db: Session, agreement: Agreement, *, why: str, now: datetime) -> None:
    _change(db, agreement, state="ended", ended_at=now, ended_why=why)


def change_ceiling(db: Session, agreement: Agreement, ceiling_fen: int) -> None:
    _change(db, agreement, ceiling_fen=ceiling_fen)


def note_refused(db: Session, agreement: Agreement, why: str, *, now: datetime) -> None:
    """A fee was not deducted, and the driver may want to know why."""
    _change(db, agreement, refused_at=now, refused_why=why)


def find_stay(db: Session, vehicle_key: bytes, account_id: UUID) -> StoredStay | None:
    """The stay of a vehicle that goes on at an account."""
    row = ChannelStayRow
    return _one_stay(db, row.vehicle_key == vehicle_key, row.account_id == account_id, row.ended_at.is_(None))


def find_stay_by_number(db: Session, stay_id: UUID, account_id: UUID) -> StoredStay | None:
    """As the channel names it: asks the whole city."""
    return _one_stay(db, ChannelStayRow.stay_id == stay_id, ChannelStayRow.account_id == account_id)


def find_stay_of_visit(
    db: Session, vehicle_key: bytes, account_id: UUID, parking_session_id: UUID
) -> StoredStay | None:
    row = ChannelStayRow
    return _one_stay(
        db, row.vehicle_key == vehicle_key, row.account_id == account_id,
        row.parking_session_id == parking_session_id)


def add_stay(db: Session, made: StoredStay) -> bool:
    return insert_new(db, ChannelStayRow, **{name: getattr(made, name) for name in StoredStay.__dataclass_fields__})


def change_stay(db: Session, stay: StoredStay, **values: Any) -> None:
    done = db.execute(update(ChannelStayRow).where(
        ChannelStayRow.vehicle_key == stay.vehicle_key, ChannelStayRow.stay_id == stay.stay_id).values(**values))
    assert done.rowcount == 1  # type: ignore[attr-defined]


def delete_stays(db: Session, *, ended_before: datetime) -> int:
    """Forget stays that ended long ago; a deduction of theirs is a payment, and stays."""
    done = db.execute(delete(ChannelStayRow).where(ChannelStayRow.ended_at < ended_before))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _select() -> Any:
    return select(
        *_OF_AGREEMENT, _a.state.label("stands"), _a.asked_at, _a.signed_at, _a.ended_at, _a.ended_why, _a.refused_at,
        _a.refused_why).select_from(_JOINED)


def _read(row: Any) -> StoredAgreement:
    return StoredAgreement(Agreement(*row[:9]), *row[9:])


def _one_stay(db: Session, *where: Any) -> StoredStay | None:
    row = ChannelStayRow
    found = db.execute(select(*(getattr(row, name) for name in StoredStay.__dataclass_fields__)).where(*where)
                       .order_by(row.asked_at.desc()).limit(1)).one_or_none()
    return None if found is None else StoredStay(*found)


def _change(db: Session, agreement: Agreement, **values: Any) -> None:
    done = db.execute(update(AutoPayAgreement).where(
        AutoPayAgreement.vehicle_key == agreement.vehicle_key,
        AutoPayAgreement.agreement_id == agreement.agreement_id).values(**values))
    assert done.rowcount == 1  # type: ignore[attr-defined]
