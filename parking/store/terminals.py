"""The devices at gates: their tokens, and what they have told so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Select, Text, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, Wide, spread
from parking.store.lots import Gate, Lot
from parking.store.statements import table_of


class Terminal(Table):
    """A device that tells what happens at a gate, or a lot's own service terminal.

    Its token is stored as a hash alone; the one before it holds a little longer. The service terminal
    has no token: the service writes through it what is established later (a correction, a sighting elsewhere).
    """

    __tablename__ = "terminal"
    __table_args__ = (
        CheckConstraint("kind IN ('gate', 'service')", name="kind"),
        CheckConstraint("(kind = 'gate') = (gate_id IS NOT NULL)", name="gate_id"),
        CheckConstraint("(kind = 'gate') = (token_hash IS NOT NULL)", name="token_hash"),
        Index("uq_terminal_old_token_hash", "old_token_hash", unique=True),
        spread(None, "reference"),
    )

    terminal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), index=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    gate_id: Mapped[int | None] = mapped_column(Integer)
    token_hash: Mapped[bytes | None] = mapped_column(Bytes, unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    old_token_hash: Mapped[bytes | None] = mapped_column(Bytes)
    old_token_until: Mapped[datetime | None] = mapped_column(Instant)


class TerminalState(Table):
    """When a terminal was last heard, how far its numbering is, and what its lane knows.

    last_sequence - fact_count is how many of its facts are missing. bundle_made_at: of the newest
    bundle that it said it decides by.
    """

    __tablename__ = "terminal_state"
    __table_args__ = (
        CheckConstraint("fact_count <= last_sequence", name="fact_count"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    terminal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    last_sequence: Mapped[int] = mapped_column(Wide)
    fact_count: Mapped[int] = mapped_column(Wide)
    last_seen_at: Mapped[datetime | None] = mapped_column(Instant)
    bundle_made_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class TerminalAtGate:
    """A terminal with its lot and its gate, as a request comes in."""

    terminal_id: UUID
    lot: Lot
    gate_id: int
    gate_name: str
    direction: str


_state = table_of(TerminalState)
_FIND_BY_TOKEN = (
    select(Terminal.terminal_id, Lot, Gate.gate_id, Gate.name, Gate.direction)
    .join(Lot, Lot.lot_id == Terminal.lot_id)
    .join(Gate, (Gate.lot_id == Terminal.lot_id) & (Gate.gate_id == Terminal.gate_id))
    .where(Terminal.token_hash == bindparam("token_hash"), Terminal.revoked_at.is_(None))
)
_FIND_BY_OLD_TOKEN = (
    select(Terminal.terminal_id, Lot, Gate.gate_id, Gate.name, Gate.direction)
    .join(Lot, Lot.lot_id == Terminal.lot_id)
    .join(Gate, (Gate.lot_id == Terminal.lot_id) & (Gate.gate_id == Terminal.gate_id))
    .where(Terminal.old_token_hash == bindparam("token_hash"), Terminal.old_token_until > bindparam("now"),
           Terminal.revoked_at.is_(None))
)
_LAST_SEQUENCE = select(_state.c.last_sequence).where(
    _state.c.lot_id == bindparam("lot_id"), _state.c.terminal_id == bindparam("terminal_id"))
_LOCK_LAST_SEQUENCE = _LAST_SEQUENCE.with_for_update()
_COUNT_FACT = (
    update(_state)
    .where(_state.c.lot_id == bindparam("in_lot"), _state.c.terminal_id == bindparam("of_terminal"))
    .values(
        last_sequence=bindparam("last"), fact_count=_state.c.fact_count + bindparam("more"),
        last_seen_at=bindparam("seen_at"))
)


def add_terminal(
    db: Session, *, terminal_id: UUID, lot: Lot, now: datetime, gate_id: int | None = None,
    token_hash: bytes | None = None,
) -> None:
    db.execute(insert(Terminal).values(
        terminal_id=terminal_id, lot_id=lot.lot_id, operator_id=lot.operator_id,
        kind="service" if gate_id is None else "gate", gate_id=gate_id, token_hash=token_hash, created_at=now,
    ))
    db.execute(insert(TerminalState).values(
        lot_id=lot.lot_id, terminal_id=terminal_id, operator_id=lot.operator_id, last_sequence=0, fact_count=0,
    ))


def find_terminal_by_token(db: Session, token_hash: bytes, *, now: datetime) -> TerminalAtGate | None:
    """The terminal that holds this token, or held it until a moment ago, unless it was revoked."""
    row = db.execute(_FIND_BY_TOKEN, {"token_hash": token_hash}).one_or_none()
    if row is None:
        row = db.execute(_FIND_BY_OLD_TOKEN, {"token_hash": token_hash, "now": now}).one_or_none()
    return None if row is None else TerminalAtGate(*row)


def get_service_terminal_id(db: Session, lot_id: int) -> UUID:
    return db.execute(
        select(Terminal.terminal_id).where(Terminal.lot_id == lot_id, Terminal.kind == "service")
    ).scalar_one()


def replace_token(
    db: Session, terminal_id: UUID, *, token_hash: bytes, called_with: bytes, old_until: datetime
) -> None:
    """Another token; the one that asked for it holds until an instant, or as long as it held before.

    A caller that did not hear the answer asks again with what it has, and is not shut out.
    """
    row = Terminal
    db.execute(
        update(row).where(row.terminal_id == terminal_id, row.token_hash == called_with)
        .values(old_token_hash=called_with, old_token_until=old_until, token_hash=token_hash))
    db.execute(
        update(row).where(row.terminal_id == terminal_id, row.old_token_hash == called_with)
        .values(token_hash=token_hash))


def revoke_terminal(db: Session, terminal_id: UUID, *, now: datetime) -> bool:
    """False if there is no such terminal, or it was revoked before."""
    done = db.execute(
        update(Terminal)
        .where(Terminal.terminal_id == terminal_id, Terminal.kind == "gate", Terminal.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def lock_last_sequence(db: Session, lot_id: int, terminal_id: UUID) -> int:
    """The highest number the terminal has used; it is held until commit, one scan at a time."""
    return int(db.execute(_LOCK_LAST_SEQUENCE, {"lot_id": lot_id, "terminal_id": terminal_id}).scalar_one())


def get_last_sequence(db: Session, lot_id: int, terminal_id: UUID) -> int:
    return int(db.execute(_LAST_SEQUENCE, {"lot_id": lot_id, "terminal_id": terminal_id}).scalar_one())


def count_fact(
    db: Session, lot_id: int, terminal_id: UUID, *, last_sequence: int, seen_at: datetime, count: int = 1
) -> None:
    """One more fact of this terminal is stored, or more; the row is held by lock_last_sequence."""
    changed = db.execute(_COUNT_FACT, {
        "in_lot": lot_id, "of_terminal": terminal_id, "last": last_sequence, "seen_at": seen_at, "more": count})
    assert changed.rowcount == 1  # type: ignore[attr-defined]


def see_terminal(db: Session, lot_id: int, terminal_id: UUID, *, now: datetime) -> None:
    db.execute(
        update(TerminalState)
        .where(TerminalState.lot_id == lot_id, TerminalState.terminal_id == terminal_id)
        .values(last_seen_at=now)
    )


def note_bundle(db: Session, lot_id: int, terminal_id: UUID, *, made_at: datetime) -> None:
    """A lane said by which bundle it decides; a heartbeat that comes late takes nothing back."""
    row = TerminalState
    db.execute(
        update(row)
        .where(row.lot_id == lot_id, row.terminal_id == terminal_id,
               row.bundle_made_at.is_(None) | (row.bundle_made_at < made_at))
        .values(bundle_made_at=made_at))


@dataclass(frozen=True, slots=True)
class TerminalReport:
    """A line of the list of terminals. missing_count: facts whose numbers never arrived."""

    terminal_id: UUID
    lot_id: int
    gate_name: str
    direction: str
    last_seen_at: datetime | None
    revoked_at: datetime | None
    last_sequence: int
    missing_count: int
    bundle_made_at: datetime | None


def list_gate_names(db: Session, lot_id: int) -> dict[UUID, str]:
    """The gate at which each terminal of a lot stands, or stood."""
    rows = db.execute(
        select(Terminal.terminal_id, Gate.name)
        .join(Gate, (Gate.lot_id == Terminal.lot_id) & (Gate.gate_id == Terminal.gate_id))
        .where(Terminal.lot_id == lot_id))
    return {row.terminal_id: row.name for row in rows}


def find_report(db: Session, operator_id: UUID, terminal_id: UUID) -> TerminalReport | None:
    """One of an operator's terminals at gates, as list_terminals has it."""
    found = db.execute(_report().where(Terminal.terminal_id == terminal_id, Terminal.operator_id == operator_id))
    row = found.one_or_none()
    return None if row is None else TerminalReport(*row)


def list_terminals(
    db: Session, *, lot_id: int | None = None, operator_id: UUID | None = None
) -> list[TerminalReport]:
    query = _report().order_by(Terminal.lot_id, Gate.gate_id, Terminal.created_at)
    if lot_id is not None:
        query = query.where(Terminal.lot_id == lot_id)
    if operator_id is not None:
        query = query.where(Terminal.operator_id == operator_id)
    return [TerminalReport(*row) for row in db.execute(query)]


def _report() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Terminal.terminal_id, Terminal.lot_id, Gate.name, Gate.direction, TerminalState.last_seen_at,
            Terminal.revoked_at, TerminalState.last_sequence,
            TerminalState.last_sequence - TerminalState.fact_count, TerminalState.bundle_made_at,
        )
        .join(TerminalState, (TerminalState.lot_id == Terminal.lot_id)
              & (TerminalState.terminal_id == Terminal.terminal_id))
        .join(Gate, (Gate.lot_id == Terminal.lot_id) & (Gate.gate_id == Terminal.gate_id))
    )
