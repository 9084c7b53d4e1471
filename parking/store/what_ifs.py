"""What-ifs: which period's visits are priced anew under which tariff, how far that is, and what came of it.

Whoever works on one holds a lease, and each write for it names its holder: one that died leaves the lease to
run out, and the next one starts anew. The result holds sums and the largest changes; no plate, no vehicle key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, delete, or_, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Json, Table, Uuid, Wide, spread
from parking.store.statements import insert_new

_UNFINISHED = text("state IN ('waiting', 'running')")


class WhatIf(Table):
    """A question of an operator's; the visits are those entered in [entered_from, entered_to) at the lots.

    asked_by: of its staff; None from the shell. tries: how often somebody began to work on it.
    Protects: one works on it at a time (held_by), and it has a result exactly when it is done.
    """

    __tablename__ = "what_if"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"),
        CheckConstraint("(state = 'running') = (held_by IS NOT NULL)", name="held_by"),
        CheckConstraint("(held_by IS NULL) = (leased_until IS NULL)", name="leased_until"),
        CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="result"),
        CheckConstraint("(state IN ('waiting', 'running')) = (ended_at IS NULL)", name="ended_at"),
        CheckConstraint("entered_to > entered_from", name="period"),
        Index("ix_what_if_unfinished", "asked_at", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
        spread("operator_id", "what_if"),
    )

    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"), primary_key=True)
    what_if_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_ids: Mapped[list[int]] = mapped_column(Json)
    entered_from: Mapped[datetime] = mapped_column(Instant)
    entered_to: Mapped[datetime] = mapped_column(Instant)
    tariff_code: Mapped[str] = mapped_column(Text)
    tariff_hash: Mapped[str] = mapped_column(Text)
    tariff_body: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID | None] = mapped_column(Uuid)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text)
    done_count: Mapped[int] = mapped_column(Wide)
    total_count: Mapped[int | None] = mapped_column(Wide)
    held_by: Mapped[UUID | None] = mapped_column(Uuid)
    leased_until: Mapped[datetime | None] = mapped_column(Instant)
    tries: Mapped[int] = mapped_column(Integer)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    failure: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the visits entered in [entered_from, entered_to) at these lots, under this tariff."""

    what_if_id: UUID
    operator_id: UUID
    lot_ids: tuple[int, ...]
    entered_from: datetime
    entered_to: datetime
    tariff_code: str
    tariff_hash: str
    tariff_body: str


@dataclass(frozen=True, slots=True)
class StoredWhatIf:
    """total_count: None until the visits were counted. failure: a word, where it failed. result: where it was read."""

    question: Question
    asked_at: datetime
    state: str
    done_count: int
    total_count: int | None
    tries: int
    ended_at: datetime | None
    failure: str | None
    result: dict[str, Any] | None


_row = WhatIf
_QUESTION = (_row.what_if_id, _row.operator_id, _row.lot_ids, _row.entered_from, _row.entered_to, _row.tariff_code,
             _row.tariff_hash, _row.tariff_body)
_STAND = (_row.asked_at, _row.state, _row.done_count, _row.total_count, _row.tries, _row.ended_at, _row.failure)


def add_what_if(
    db: Session, question: Question, *, asked_by: UUID | None, now: datetime,
    held_by: UUID | None = None, leased_until: datetime | None = None,
) -> bool:
    """Keep a question; it waits, unless who asks works on it at once. False if there is one of this id."""
    return insert_new(
        db, WhatIf, what_if_id=question.what_if_id, operator_id=question.operator_id,
        lot_ids=list(question.lot_ids), entered_from=question.entered_from, entered_to=question.entered_to,
        tariff_code=question.tariff_code, tariff_hash=question.tariff_hash, tariff_body=question.tariff_body,
        asked_by=asked_by, asked_at=now, state="running" if held_by else "waiting", done_count=0, total_count=None,
        held_by=held_by, leased_until=leased_until, tries=1 if held_by else 0, ended_at=None, failure=None, result=None)


def find_what_if(db: Session, operator_id: UUID, what_if_id: UUID) -> StoredWhatIf | None:
    found = db.execute(select(*_QUESTION, *_STAND, _row.result).where(
        _row.operator_id == operator_id, _row.what_if_id == what_if_id)).one_or_none()
    return None if found is None else _stored(tuple(found))


def list_what_ifs(db: Session, operator_id: UUID, *, before: UUID | None, limit: int) -> list[StoredWhatIf]:
    """An operator's, newest first, from an id on; without their results."""
    query = select(*_QUESTION, *_STAND).where(_row.operator_id == operator_id)
    if before is not None:
        query = query.where(_row.what_if_id < before)
    found = db.execute(query.order_by(_row.what_if_id.desc()).limit(limit))
    return [_stored((*each, None)) for each in found]


def count_unfinished(db: Session, operator_id: UUID) -> int:
    return len(db.execute(select(_row.what_if_id).where(
        _row.operator_id == operator_id, _row.state.in_(("waiting", "running")))).all())


def find_next(db: Session, *, now: datetime) -> StoredWhatIf | None:
    """The oldest that waits, or that one who died left behind."""
    found = db.execute(select(*_QUESTION, *_STAND).where(_takeable(now)).order_by(
        _row.asked_at, _row.what_if_id).limit(1)).one_or_none()
    return None if found is None else _stored((*found, None))


def take(db: Session, question: Question, *, by: UUID, now: datetime, leased_until: datetime) -> bool:
    """Hold one to work on it; False if somebody else was first, or it was cancelled."""
    return _change(db, question, _takeable(now), state="running", held_by=by, leased_until=leased_until,
                   tries=_row.tries + 1, done_count=0, total_count=None)


def extend(
    db: Session, question: Question, *, by: UUID, leased_until: datetime, done_count: int, total_count: int | None
) -> bool:
    """Say how far it is, and hold it longer; False if it is no longer this holder's: cancelled, deleted or taken."""
    return _change(db, question, _row.held_by == by, leased_until=leased_until, done_count=done_count,
                   total_count=total_count)


def finish(db: Session, question: Question, *, by: UUID, result: dict[str, Any], total: int, now: datetime) -> bool:
    return _change(db, question, _row.held_by == by, state="done", result=result, done_count=total, total_count=total,
                   held_by=None, leased_until=None, ended_at=now)


def fail(db: Session, question: Question, *, by: UUID, failure: str, now: datetime) -> bool:
    return _change(db, question, _row.held_by == by, state="failed", failure=failure, held_by=None, leased_until=None,
                   ended_at=now)


def release(db: Session, question: Question, *, by: UUID, is_tried: bool = True) -> bool:
    """Leave it to the next one; is_tried: whether this counts as a try."""
    return _change(db, question, _row.held_by == by, state="waiting", held_by=None, leased_until=None,
                   tries=_row.tries - (0 if is_tried else 1))


def cancel(db: Session, operator_id: UUID, what_if_id: UUID, *, now: datetime) -> bool:
    """Stop one that waits or runs; False if it has ended. Who works on it notices at the next `extend`."""
    done = db.execute(update(_row).where(
        _row.operator_id == operator_id, _row.what_if_id == what_if_id, _row.state.in_(("waiting", "running"))
    ).values(state="cancelled", held_by=None, leased_until=None, ended_at=now))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def delete_what_if(db: Session, operator_id: UUID, what_if_id: UUID) -> bool:
    done = db.execute(delete(_row).where(_row.operator_id == operator_id, _row.what_if_id == what_if_id))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _takeable(now: datetime) -> Any:
    return or_(_row.state == "waiting", (_row.state == "running") & (_row.leased_until < now))


def _change(db: Session, question: Question, where: Any, **values: Any) -> bool:
    done = db.execute(update(_row).where(
        _row.operator_id == question.operator_id, _row.what_if_id == question.what_if_id, where).values(**values)
        .execution_options(synchronize_session=False))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _stored(found: tuple[Any, ...]) -> StoredWhatIf:
    identifier, operator_id, lot_ids, *rest = found[:8]
    return StoredWhatIf(Question(identifier, operator_id, tuple(lot_ids), *rest), *found[8:])
