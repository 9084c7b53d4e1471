"""Where integrators want to be told, and how well that goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Select, Text, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new

_STANDING = text("removed_at IS NULL")


class WebhookEndpointRow(Table):
    """An address of an operator's integrator, the events it wants, and the secret, sealed, that messages are signed by.

    failures: of any messages in a row, since failing_since; until paused_until nothing is sent.
    disabled_why: by_hand; failing: nothing arrived for days; gone: it said so (410).
    """

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        CheckConstraint("disabled_why IN ('by_hand', 'failing', 'gone')", name="disabled_why"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_why IS NULL)", name="disabled_at"),
        CheckConstraint("(old_secret_sealed IS NULL) = (old_secret_until IS NULL)", name="old_secret_until"),
        CheckConstraint("(failing_since IS NULL) = (failures = 0)", name="failing_since"),
        Index("ix_webhook_endpoint_operator", "operator_id", sqlite_where=_STANDING, postgresql_where=_STANDING),
        spread(None, "reference"),
    )

    endpoint_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(Json)
    created_by: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(Instant)
    secret_sealed: Mapped[bytes] = mapped_column(Bytes)
    old_secret_sealed: Mapped[bytes | None] = mapped_column(Bytes)
    old_secret_until: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(Integer)
    failing_since: Mapped[datetime | None] = mapped_column(Instant)
    paused_until: Mapped[datetime | None] = mapped_column(Instant)
    last_error: Mapped[str | None] = mapped_column(Text)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)
    disabled_why: Mapped[str | None] = mapped_column(Text)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Endpoint:
    endpoint_id: UUID
    operator_id: UUID
    url: str
    events: list[str]
    created_by: UUID
    created_at: datetime
    secret_sealed: bytes
    old_secret_sealed: bytes | None
    old_secret_until: datetime | None
    failures: int
    failing_since: datetime | None
    paused_until: datetime | None
    last_error: str | None
    disabled_at: datetime | None
    disabled_why: str | None


def add_endpoint(
    db: Session, *, endpoint_id: UUID, operator_id: UUID, url: str, events: list[str], secret_sealed: bytes, by: UUID,
    now: datetime,
) -> bool:
    """False if this id was there."""
    return insert_new(
        db, WebhookEndpointRow, endpoint_id=endpoint_id, operator_id=operator_id, url=url, events=events,
        created_by=by, created_at=now, secret_sealed=secret_sealed, failures=0)


def find_endpoint(db: Session, operator_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """One that was not removed."""
    found = db.execute(_select().where(
        WebhookEndpointRow.endpoint_id == endpoint_id, WebhookEndpointRow.operator_id == operator_id)).one_or_none()
    return None if found is None else Endpoint(*found)


def find_enabled(db: Session, endpoint_id: UUID) -> Endpoint | None:
    """One of whatever operator that messages are sent to."""
    row = WebhookEndpointRow
    found = db.execute(_select().where(row.endpoint_id == endpoint_id, row.disabled_at.is_(None))).one_or_none()
    return None if found is None else Endpoint(*found)


def list_endpoints(db: Session, operator_id: UUID) -> list[Endpoint]:
    """Oldest first."""
    row = WebhookEndpointRow
    found = db.execute(_select().where(row.operator_id == operator_id).order_by(row.created_at, row.endpoint_id))
    return [Endpoint(*each) for each in found]


def count_disabled(db: Session, operator_id: UUID) -> int:
    """How many were disabled, and by no person of the operator's."""
    row = WebhookEndpointRow
    return int(db.execute(select(func.count()).where(
        row.operator_id == operator_id, row.removed_at.is_(None), row.disabled_why.in_(("failing", "gone")),
    )).scalar_one())


def change_endpoint(db: Session, endpoint_id: UUID, **values: object) -> None:
    row = WebhookEndpointRow
    db.execute(update(row).where(row.endpoint_id == endpoint_id).values(**values))


def _select() -> Select[*tuple[Any, ...]]:
    row = WebhookEndpointRow
    return select(*(getattr(row, name) for name in Endpoint.__dataclass_fields__)).where(row.removed_at.is_(None))
