"""What must still be told to someone else: it commits with the fact it follows from.

Delivered at least once; whoever receives must bear a repeat. A message belongs to the lot it
comes from, and a worker leases it before it works, so two workers do not work the same one. One
that keeps failing becomes a dead letter: it is kept, and tried again only if a person says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Json, Table, Uuid, spread
from parking.store.lots import Lot
from parking.store.statements import insert_new

_DUE = text("done_at IS NULL AND dead_at IS NULL")
_FAILING = text("failing_since IS NOT NULL")


class OutboxMessage(Table):
    """A message of a lot, until done_at says that it was delivered.

    failures: in a row, since failing_since. dead_at: since when nobody tries it any more.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("failures >= 0", name="failures"),
        CheckConstraint("(failing_since IS NULL) = (failures = 0)", name="failing_since"),
        CheckConstraint("dead_at IS NULL OR failing_since IS NOT NULL", name="dead_at"),
        Index("ix_outbox_message_due", "due_at", sqlite_where=_DUE, postgresql_where=_DUE),
        Index("ix_outbox_message_failing", "failing_since", "message_id",
              sqlite_where=_FAILING, postgresql_where=_FAILING),
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
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failing_since: Mapped[datetime | None] = mapped_column(Instant)
    dead_at: Mapped[datetime | None] = mapped_column(Instant)


class OutboxRetry(Table):
    """A person had a dead letter tried again. Protects: of each of its deaths it comes back once."""

    __tablename__ = "outbox_retry"
    __table_args__ = (
        Index("ix_outbox_retry_operator", "operator_id", "retried_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    message_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    dead_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    retried_by: Mapped[UUID] = mapped_column(Uuid)
    retried_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Message:
    lot_id: int
    message_id: UUID
    kind: str
    body: dict[str, Any]
    attempts: int
    failures: int = 0
    failing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as its operator may see it. failures: in a row; last_error: the name of what went wrong."""

    lot_id: int
    message_id: UUID
    kind: str
    body: dict[str, Any]
    attempts: int
    failures: int
    created_at: datetime
    due_at: datetime
    failing_since: datetime | None
    dead_at: datetime | None
    done_at: datetime | None
    last_error: str | None

    @property
    def state(self) -> str:
        if self.done_at is not None:
            return "done"
        if self.dead_at is not None:
            return "dead"
        return "failing" if self.failing_since is not None else "waiting"


@dataclass(frozen=True, slots=True)
class Retry:
    """Who had a dead letter tried again, and how it stands now; message: None once that is forgotten."""

    lot_id: int
    message_id: UUID
    kind: str
    error: str | None
    retried_by: UUID
    retried_at: datetime
    message: StoredMessage | None


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
        select(row.lot_id, row.message_id, row.kind, row.body, row.attempts, row.failures, row.failing_since)
        .where(row.done_at.is_(None), row.dead_at.is_(None), row.due_at <= now,
               row.leased_until.is_(None) | (row.leased_until <= now))
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
               row.dead_at.is_(None), row.leased_until.is_(None) | (row.leased_until <= now))
        .values(leased_until=until, attempts=row.attempts + 1)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def finish_message(db: Session, message: Message, *, now: datetime) -> None:
    _change(db, message, done_at=now, last_error=None, failures=0, failing_since=None)


def postpone_message(db: Session, message: Message, *, due_at: datetime) -> None:
    """It went well, and is to be asked again later."""
    _change(db, message, due_at=due_at, last_error=None, failures=0, failing_since=None)


def fail_message(db: Session, message: Message, *, error: str, due_at: datetime, now: datetime) -> None:
    """Try again later; `error` is the name of what went wrong, without its text."""
    _change(db, message, due_at=due_at, last_error=error, failures=message.failures + 1,
            failing_since=message.failing_since or now)


def bury_message(db: Session, message: Message, *, error: str, now: datetime) -> None:
    """Try no more: a dead letter."""
    _change(db, message, dead_at=now, last_error=error, failures=message.failures + 1,
            failing_since=message.failing_since or now)


def list_failing(
    db: Session, operator_id: UUID, *, is_dead: bool | None, kind: str | None, before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[StoredMessage]:
    """What could not be delivered of an operator's lots, the newest trouble first, from a cursor on."""
    row = OutboxMessage
    query = _stored(operator_id).where(row.failing_since.is_not(None), row.done_at.is_(None))
    if is_dead is not None:
        query = query.where(row.dead_at.is_not(None) if is_dead else row.dead_at.is_(None))
    if kind is not None:
        query = query.where(row.kind == kind)
    if before is not None:
        query = query.where(tuple_(row.failing_since, row.message_id) < before)
    found = db.execute(query.order_by(row.failing_since.desc(), row.message_id.desc()).limit(limit))
    return [StoredMessage(*each) for each in found]


def find_message(db: Session, operator_id: UUID, lot_id: int, message_id: UUID) -> StoredMessage | None:
    found = db.execute(_stored(operator_id).where(
        OutboxMessage.lot_id == lot_id, OutboxMessage.message_id == message_id)).one_or_none()
    return None if found is None else StoredMessage(*found)


def count_dead(db: Session, operator_id: UUID) -> dict[str, int]:
    """How many dead letters of an operator's lots, by kind."""
    row = OutboxMessage
    rows = db.execute(
        select(row.kind, func.count()).join(Lot, Lot.lot_id == row.lot_id)
        .where(Lot.operator_id == operator_id, row.failing_since.is_not(None), row.dead_at.is_not(None))
        .group_by(row.kind).order_by(row.kind))
    return dict(rows.all())


def count_failing(db: Session) -> dict[tuple[str, str], int]:
    """How many of the whole city's are in trouble, by kind and whether they are `failing` or `dead`."""
    row = OutboxMessage
    rows = db.execute(select(row.kind, row.dead_at.is_not(None), func.count())
                      .where(row.failing_since.is_not(None)).group_by(row.kind, row.dead_at.is_not(None)))
    return {(kind, "dead" if is_dead else "failing"): count for kind, is_dead, count in rows}


def revive_message(db: Session, message: StoredMessage, *, operator_id: UUID, by: UUID, now: datetime) -> bool:
    """Have a dead letter tried again, as if it had never failed; False where it is dead no more."""
    row = OutboxMessage
    done = db.execute(
        update(row)
        .where(row.lot_id == message.lot_id, row.message_id == message.message_id, row.dead_at == message.dead_at)
        .values(dead_at=None, failures=0, failing_since=None, due_at=now))
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return False
    db.execute(insert(OutboxRetry).values(
        lot_id=message.lot_id, message_id=message.message_id, dead_at=message.dead_at, operator_id=operator_id,
        kind=message.kind, error=message.last_error, retried_by=by, retried_at=now))
    return True


def list_retries(db: Session, operator_id: UUID, *, limit: int) -> list[Retry]:
    """Newest first."""
    row = OutboxRetry
    query = select(row.lot_id, row.message_id, row.kind, row.error, row.retried_by, row.retried_at).where(
        row.operator_id == operator_id)
    found = db.execute(query.order_by(row.retried_at.desc(), row.message_id.desc()).limit(limit)).all()
    return [Retry(*each, find_message(db, operator_id, each.lot_id, each.message_id)) for each in found]


def wake_messages(db: Session, kind: str, *, now: datetime) -> int:
    """All that wait for something of this kind are due now: it has happened. Returns how many."""
    row = OutboxMessage
    done = db.execute(update(row).where(
        row.kind == kind, row.done_at.is_(None), row.dead_at.is_(None), row.due_at > now).values(due_at=now))
    return int(done.rowcount)  # type: ignore[attr-defined]


def delete_done(db: Session, *, before: datetime) -> int:
    """Forget what was delivered long ago; the facts that came of it stay."""
    done = db.execute(delete(OutboxMessage).where(OutboxMessage.done_at < before))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _change(db: Session, message: Message, **values: object) -> None:
    row = OutboxMessage
    db.execute(update(row).where(row.lot_id == message.lot_id, row.message_id == message.message_id)
               .values(leased_until=None, **values))


def _stored(operator_id: UUID) -> Select[*tuple[Any, ...]]:
    row = OutboxMessage
    return select(*(getattr(row, name) for name in StoredMessage.__dataclass_fields__)).join(
        Lot, Lot.lot_id == row.lot_id).where(Lot.operator_id == operator_id)
