"""What integrators are told: noted with the fact, written for each endpoint that wants it, and every attempt kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Select,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.identifier import first_uuid, ordered_uuid
from parking.store.columns import Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_all_new, table_of
from parking.store.webhook_endpoints import WebhookEndpointRow

_WAITING = text("delivered_at IS NULL AND given_up_at IS NULL")
_NOTED, _NOTED_COUNT = "events_noted", "events_noted_count"


class WebhookDelivery(Table):
    """An event for an endpoint; its id is the same for all of them, and later events have higher ones.

    failures: in a row, since failing_since. asked_by: who of the operator's has it sent again.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint("delivered_at IS NULL OR given_up_at IS NULL", name="given_up_at"),
        CheckConstraint("(failing_since IS NULL) = (failures = 0)", name="failing_since"),
        Index("ix_webhook_delivery_waiting", "endpoint_id", "due_at", "event_id",
              sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_webhook_delivery_endpoint", "endpoint_id", "event_id"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("webhook_endpoint.endpoint_id"), primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime] = mapped_column(Instant)
    leased_until: Mapped[datetime | None] = mapped_column(Instant)
    attempts: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    failing_since: Mapped[datetime | None] = mapped_column(Instant)
    delivered_at: Mapped[datetime | None] = mapped_column(Instant)
    given_up_at: Mapped[datetime | None] = mapped_column(Instant)
    asked_by: Mapped[UUID | None] = mapped_column(Uuid)


class WebhookAttempt(Table):
    """One try to deliver. status: of the answer, if there was one; ms: how long it took."""

    __tablename__ = "webhook_attempt"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        ForeignKeyConstraint(
            ["lot_id", "event_id", "endpoint_id"],
            ["webhook_delivery.lot_id", "webhook_delivery.event_id", "webhook_delivery.endpoint_id"],
            ondelete="CASCADE"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Instant)
    status: Mapped[int | None] = mapped_column(Integer)
    ms: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)
    asked_by: Mapped[UUID | None] = mapped_column(Uuid)


@dataclass(frozen=True, slots=True)
class Delivery:
    lot_id: int
    event_id: UUID
    endpoint_id: UUID
    kind: str
    body: dict[str, Any]
    occurred_at: datetime
    due_at: datetime
    attempts: int
    failures: int
    failing_since: datetime | None
    delivered_at: datetime | None
    given_up_at: datetime | None
    asked_by: UUID | None

    @property
    def state(self) -> str:
        if self.delivered_at is not None:
            return "delivered"
        if self.given_up_at is not None:
            return "given_up"
        return "failing" if self.failing_since is not None else "waiting"


@dataclass(frozen=True, slots=True)
class Attempt:
    event_id: UUID
    number: int
    at: datetime
    status: int | None
    ms: int
    error: str | None
    asked_by: UUID | None


@dataclass(frozen=True, slots=True)
class _Noted:
    lot_id: int
    operator_id: UUID
    event_id: UUID
    kind: str
    body: dict[str, Any]
    occurred_at: datetime


_endpoint = table_of(WebhookEndpointRow)
_WANTED = select(_endpoint.c.endpoint_id, _endpoint.c.operator_id, _endpoint.c.events).where(
    _endpoint.c.operator_id.in_(bindparam("operators", expanding=True)), _endpoint.c.removed_at.is_(None))


def note_event(
    db: Session, kind: str, *, lot_id: int, operator_id: UUID, subject: object, body: dict[str, Any], now: datetime
) -> None:
    """Something has happened that integrators may want to know (core/webhook.py, EVENTS).

    It is written with the transaction's last statements, if anybody wants it.

    :param subject: whose id the event is about
    """
    number = db.info.get(_NOTED_COUNT, 0)
    db.info[_NOTED_COUNT] = number + 1
    event_id = ordered_uuid(now, number, "webhook", kind, lot_id, subject)
    db.info.setdefault(_NOTED, []).append(_Noted(lot_id, operator_id, event_id, kind, body, now))


def write_noted(db: Session) -> None:
    """Write what was noted in this transaction, for each endpoint that wants it."""
    noted: list[_Noted] = db.info.pop(_NOTED, [])
    if not noted:
        return
    wanted = db.execute(_WANTED, {"operators": sorted({each.operator_id for each in noted})}).all()
    insert_all_new(db, WebhookDelivery, [
        _row(each, endpoint_id) for endpoint_id, operator_id, events in wanted
        for each in noted if each.operator_id == operator_id and each.kind in events])


def add_delivery(
    db: Session, *, lot_id: int, operator_id: UUID, endpoint_id: UUID, kind: str, body: dict[str, Any], now: datetime
) -> UUID:
    """Leave one message for one endpoint; returns its id."""
    event_id = ordered_uuid(now, 0, "webhook", kind, lot_id, endpoint_id)
    insert_all_new(db, WebhookDelivery, [
        _row(_Noted(lot_id, operator_id, event_id, kind, body, now), endpoint_id)])
    return event_id


def list_due_endpoints(db: Session, *, now: datetime) -> list[UUID]:
    """Endpoints that may be sent to now, and that something is due for."""
    row, to = WebhookDelivery, WebhookEndpointRow
    return list(db.execute(select(to.endpoint_id).where(
        to.removed_at.is_(None), to.disabled_at.is_(None), to.paused_until.is_(None) | (to.paused_until <= now),
        exists().where(
            row.endpoint_id == to.endpoint_id, row.delivered_at.is_(None), row.given_up_at.is_(None),
            row.due_at <= now, row.leased_until.is_(None) | (row.leased_until <= now)),
    )).scalars())


def lease_next(db: Session, endpoint_id: UUID, *, now: datetime, until: datetime) -> Delivery | None:
    """Hold the message that is due first; None where nothing is, or another worker was quicker."""
    row = WebhookDelivery
    is_free = row.leased_until.is_(None) | (row.leased_until <= now)
    is_waiting = row.delivered_at.is_(None) & row.given_up_at.is_(None)
    found = db.execute(_select().where(
        row.endpoint_id == endpoint_id, is_waiting, row.due_at <= now, is_free,
    ).order_by(row.due_at, row.event_id).limit(1)).one_or_none()
    if found is None:
        return None
    next_one = Delivery(*found)
    done = db.execute(update(row).where(*_is(next_one), is_waiting, is_free).values(
        leased_until=until, attempts=row.attempts + 1))
    return next_one if done.rowcount == 1 else None  # type: ignore[attr-defined]


def add_attempt(
    db: Session, tried: Delivery, *, status: int | None, ms: int, error: str | None, now: datetime
) -> None:
    """Keep what became of a try that was leased; tried: as it was before."""
    db.execute(insert(WebhookAttempt).values(
        lot_id=tried.lot_id, event_id=tried.event_id, endpoint_id=tried.endpoint_id, number=tried.attempts + 1, at=now,
        status=status, ms=ms, error=error, asked_by=tried.asked_by))


def change_delivery(db: Session, tried: Delivery, **values: object) -> None:
    """It waits for nobody any more, and what else of it is now otherwise."""
    db.execute(update(WebhookDelivery).where(*_is(tried)).values(leased_until=None, asked_by=None, **values))


def find_delivery(db: Session, endpoint_id: UUID, event_id: UUID) -> Delivery | None:
    row = WebhookDelivery
    found = db.execute(_select().where(row.endpoint_id == endpoint_id, row.event_id == event_id)).one_or_none()
    return None if found is None else Delivery(*found)


def list_deliveries(
    db: Session, endpoint_id: UUID, *, state: str | None, before: UUID | None, limit: int
) -> list[Delivery]:
    """Newest first, from a cursor on. state: waiting (also those that fail), delivered or given_up."""
    row = WebhookDelivery
    query = _select().where(row.endpoint_id == endpoint_id)
    if state == "waiting":
        query = query.where(row.delivered_at.is_(None), row.given_up_at.is_(None))
    elif state is not None:
        query = query.where((row.delivered_at if state == "delivered" else row.given_up_at).is_not(None))
    if before is not None:
        query = query.where(row.event_id < before)
    return [Delivery(*each) for each in db.execute(query.order_by(row.event_id.desc()).limit(limit))]


def list_attempts(db: Session, deliveries: Collection[Delivery]) -> dict[UUID, list[Attempt]]:
    """The tries of each of one endpoint's messages, oldest first."""
    row = WebhookAttempt
    found = db.execute(
        select(*(getattr(row, name) for name in Attempt.__dataclass_fields__))
        .where(tuple_(row.lot_id, row.event_id, row.endpoint_id).in_(
            [(each.lot_id, each.event_id, each.endpoint_id) for each in deliveries]))
        .order_by(row.event_id, row.number)) if deliveries else ()
    tries: dict[UUID, list[Attempt]] = {each.event_id: [] for each in deliveries}
    for each in found:
        tries[each.event_id].append(Attempt(*each))
    return tries


def count_waiting(db: Session, operator_id: UUID) -> dict[UUID, int]:
    """How many messages wait, by the operator's endpoint."""
    row = WebhookDelivery
    rows = db.execute(
        select(row.endpoint_id, func.count())
        .join(WebhookEndpointRow, WebhookEndpointRow.endpoint_id == row.endpoint_id)
        .where(WebhookEndpointRow.operator_id == operator_id, WebhookEndpointRow.removed_at.is_(None),
               row.delivered_at.is_(None), row.given_up_at.is_(None))
        .group_by(row.endpoint_id))
    return dict(rows.all())


def ask_again(
    db: Session, endpoint_id: UUID, *, since: UUID, until: UUID, limit: int, by: UUID, now: datetime
) -> tuple[int, UUID | None]:
    """Have messages sent again, from an event on and in the order of events, as if they had never been tried.

    :param since: the first of them; until: the last
    :returns: how many of this part, and the last of them, None where there are none
    """
    row = WebhookDelivery
    part = list(db.execute(
        select(row.event_id).where(row.endpoint_id == endpoint_id, row.event_id >= since, row.event_id <= until)
        .order_by(row.event_id).limit(limit)).scalars())
    if not part:
        return 0, None
    db.execute(
        update(row).where(row.endpoint_id == endpoint_id, row.event_id >= part[0], row.event_id <= part[-1])
        .values(due_at=now, failures=0, failing_since=None, delivered_at=None, given_up_at=None, asked_by=by))
    return len(part), part[-1]


def forget_failures(db: Session, endpoint_id: UUID) -> None:
    """What failed at an endpoint and waits is due again in its old place, as if it had never failed."""
    row = WebhookDelivery
    db.execute(update(row).where(
        row.endpoint_id == endpoint_id, row.delivered_at.is_(None), row.given_up_at.is_(None),
        row.failing_since.is_not(None),
    ).values(due_at=row.occurred_at, failures=0, failing_since=None))


def delete_old(db: Session, *, before: datetime, limit: int) -> int:
    """Forget what happened long ago, with its tries: of each endpoint so many at most; returns how many."""
    row, count = WebhookDelivery, 0
    for endpoint_id in list(db.execute(select(WebhookEndpointRow.endpoint_id)).scalars()):
        old = list(db.execute(
            select(row.lot_id, row.event_id, row.endpoint_id)
            .where(row.endpoint_id == endpoint_id, row.event_id < first_uuid(before)).limit(limit)))
        if old:
            db.execute(delete(row).where(tuple_(row.lot_id, row.event_id, row.endpoint_id).in_(old)))
        count += len(old)
    return count


def _row(noted: _Noted, endpoint_id: UUID) -> dict[str, Any]:
    return {
        "lot_id": noted.lot_id, "event_id": noted.event_id, "endpoint_id": endpoint_id,
        "operator_id": noted.operator_id, "kind": noted.kind, "body": noted.body, "occurred_at": noted.occurred_at,
        "due_at": noted.occurred_at, "attempts": 0, "failures": 0,
    }


def _is(delivery: Delivery) -> tuple[Any, ...]:
    row = WebhookDelivery
    return (row.lot_id == delivery.lot_id, row.event_id == delivery.event_id, row.endpoint_id == delivery.endpoint_id)


def _select() -> Select[*tuple[Any, ...]]:
    row = WebhookDelivery
    return select(*(getattr(row, name) for name in Delivery.__dataclass_fields__))
