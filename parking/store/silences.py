"""When a terminal was not heard, from when until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Table, Uuid, spread
from parking.store.statements import insert_new, table_of
from parking.store.terminals import Terminal, TerminalState

_LASTS = text("restored_at IS NULL")


class TerminalSilence(Table):
    """A terminal fell silent, and was heard again. Protects: it falls silent once until it is heard."""

    __tablename__ = "terminal_silence"
    __table_args__ = (
        Index("uq_terminal_silence_lasts", "lot_id", "terminal_id", unique=True,
              sqlite_where=_LASTS, postgresql_where=_LASTS),
        Index("ix_terminal_silence_operator", "operator_id", "lost_at"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    terminal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lost_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    restored_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Silence:
    """lost_at: when it was last heard; restored_at: when it was heard again, None while it is not."""

    lot_id: int
    terminal_id: UUID
    lost_at: datetime
    restored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A terminal with when it was last heard."""

    lot_id: int
    terminal_id: UUID
    operator_id: UUID
    last_seen_at: datetime


_silence, _state, _terminal = table_of(TerminalSilence).c, table_of(TerminalState).c, table_of(Terminal).c


def list_fallen_silent(db: Session, *, seen_before: datetime) -> list[Quiet]:
    """Gate terminals in use that were heard once, not since an instant, and are not noted as silent."""
    lasts = select(_silence.terminal_id).where(
        _silence.lot_id == _state.lot_id, _silence.terminal_id == _state.terminal_id, _silence.restored_at.is_(None))
    rows = db.execute(
        select(_state.lot_id, _state.terminal_id, _state.operator_id, _state.last_seen_at)
        .join_from(table_of(TerminalState), table_of(Terminal), _terminal.terminal_id == _state.terminal_id)
        .where(_state.last_seen_at < seen_before, _terminal.kind == "gate", _terminal.revoked_at.is_(None),
               ~lasts.exists()))
    return [Quiet(*row) for row in rows]


def list_heard_again(db: Session) -> list[Quiet]:
    """Terminals that are noted as silent and were heard since."""
    rows = db.execute(
        select(_state.lot_id, _state.terminal_id, _state.operator_id, _state.last_seen_at)
        .join_from(table_of(TerminalState), table_of(TerminalSilence),
                   (_silence.lot_id == _state.lot_id) & (_silence.terminal_id == _state.terminal_id))
        .where(_silence.restored_at.is_(None), _state.last_seen_at > _silence.lost_at))
    return [Quiet(*row) for row in rows]


def add_silence(db: Session, quiet: Quiet) -> bool:
    return insert_new(
        db, TerminalSilence, lot_id=quiet.lot_id, terminal_id=quiet.terminal_id, operator_id=quiet.operator_id,
        lost_at=quiet.last_seen_at, restored_at=None)


def end_silence(db: Session, quiet: Quiet) -> None:
    row = TerminalSilence
    db.execute(
        update(row)
        .where(row.lot_id == quiet.lot_id, row.terminal_id == quiet.terminal_id, row.restored_at.is_(None))
        .values(restored_at=quiet.last_seen_at))


def list_silences(db: Session, operator_id: UUID, *, limit: int) -> list[Silence]:
    """An operator's, newest first."""
    row = TerminalSilence
    rows: Any = db.execute(
        select(row.lot_id, row.terminal_id, row.lost_at, row.restored_at)
        .where(row.operator_id == operator_id).order_by(row.lost_at.desc()).limit(limit))
    return [Silence(*each) for each in rows]
