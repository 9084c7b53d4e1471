"""What must still be told to someone else: it commits with the fact it follows from.

Delivered at least once; whoever receives must bear a repeat. A message belongs to the lot it
comes from, and a worker leases it before it works, so two workers do not work the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, delete, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new


class OutboxMessage(Table):
    """A message of a lot, until done_at says that it was delivered."""

    __tablename__ = "outbox_message"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts"),
        Index("ix_outbox_message_due", "due_at",
              sqlite_where=text("done_at IS NULL"), postgresql_where=text("done_at IS NULL")),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    message_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    body: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime] = mapped_column(Instant)
    attempts: Mapped[int] = mapped_column(Integer)
    leased_until: Mapped[datetime | None] = mapped_column(Instant)
    done_at: Mapped[datetime | None] = mapped_column(Instant)
    last_error: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Message:
    lot_id: int
    message_id: UUID
    kind: str
    body: dict[str, Any]
    attempts: int


def add_message(
    db: Session, *, lot_id: int, message_id: UUID, kind: str, body: Any, now: datetime, due_at: datetime | None = None
) -> None:
    """Leave a message, for now or for later; the same id again is the same message."""
    insert_new(
        db, OutboxMessage, lot_id=lot_id, message_id=message_id, kind=kind, body=body, created_at=now,
        due_at=due_at or now, attempts=0,
    )


def list_due(db: Session, *, now: datetime, limit: int) -> list[Message]:
    row = OutboxMessage
    rows = db.execute(
        select(row.lot_id, row.message_id, row.kind, row.body, row.attempts)
        .where(row.done_at.is_(None), row.due_at <= now, row.leased_until.is_(None) | (row.leased_until <= now))
        .order_by(row.due_at, row.message_id)
        .limit(limit)
    )
    return [Message(*each) for each in rows]


def lease_message(db: Session, message: Message, *, now: datetime, until: datetime) -> bool:
    """Hold a message for one worker; False if another has it."""
    row = OutboxMessage
    done = db.execute(
        update(row)
        .where(row.lot_id == message.lot_id, row.message_id == message.message_id, row.done_at.is_(None),
               row.leased_until.is_(None) | (row.leased_until <= now))
        .values(leased_until=until, attempts=row.attempts + 1)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def finish_message(db: Session, message: Message, *, now: datetime) -> None:
    row = OutboxMessage
    db.execute(update(row).where(row.lot_id == message.lot_id, row.message_id == message.message_id)
               .values(done_at=now, leased_until=None, last_error=None))


def postpone_message(db: Session, message: Message, *, due_at: datetime, error: str | None) -> None:
    """Try again later; `error` is the name of what went wrong, without its text, None if nothing did."""
    row = OutboxMessage
    db.execute(update(row).where(row.lot_id == message.lot_id, row.message_id == message.message_id)
               .values(due_at=due_at, leased_until=None, last_error=error))


def wake_messages(db: Session, kind: str, *, now: datetime) -> int:
    """All that wait for something of this kind are due now: it has happened. Returns how many."""
    row = OutboxMessage
    done = db.execute(update(row).where(row.kind == kind, row.done_at.is_(None), row.due_at > now).values(due_at=now))
    return int(done.rowcount)  # type: ignore[attr-defined]


def delete_done(db: Session, *, before: datetime) -> int:
    """Forget what was delivered long ago; the facts that came of it stay."""
    done = db.execute(delete(OutboxMessage).where(OutboxMessage.done_at < before))
    return int(done.rowcount)  # type: ignore[attr-defined]
