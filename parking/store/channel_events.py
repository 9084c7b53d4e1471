"""What a channel truly said: which of its events were heard, and those that we cannot credit, kept for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new


class SetAside(Table):
    """An event with a good signature that does not fit our books: another amount, an unknown order."""

    __tablename__ = "channel_event_set_aside"
    __table_args__ = (spread("event_id", "channel_event", append_only=True),)

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid)
    why: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    received_at: Mapped[datetime] = mapped_column(Instant)


class HeardEvent(Table):
    """The channel's number of an event that was heard. Protects: sent again, it changes nothing."""

    __tablename__ = "channel_event_heard"
    __table_args__ = (spread("event_no", "channel_event_no", append_only=True),)

    event_no: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    heard_at: Mapped[datetime] = mapped_column(Instant)


def claim_event(db: Session, *, account_id: UUID, event_no: str, now: datetime) -> bool:
    """Hear an event; False if it was heard before."""
    return insert_new(db, HeardEvent, event_no=event_no, account_id=account_id, heard_at=now)


def set_aside(
    db: Session, *, event_id: UUID, account_id: UUID, why: str, body: dict[str, Any], now: datetime
) -> None:
    """Keep the event; the same one again is one row."""
    insert_new(db, SetAside, event_id=event_id, account_id=account_id, why=why, body=body, received_at=now)


def list_set_aside(db: Session) -> list[tuple[UUID, str, dict[str, Any]]]:
    row = SetAside
    return [(each.account_id, each.why, each.body) for each in
            db.execute(select(row.account_id, row.why, row.body).order_by(row.received_at))]
