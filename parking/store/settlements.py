"""What operators were settled: proposed by one, above a limit agreed to by another, and never changed."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.settlement import NOTHING, Figures, Sums
from parking.store.columns import Fen, Flag, Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new, table_of

_STANDS = text("state <> 'rejected'")


class SettlementRow(Table):
    """A settlement, and who decided on it. number: among the operator's that were not rejected, from 1.

    Protects: settlements follow one another, and one waits at a time (the number is the last one's and one more).
    """

    __tablename__ = "settlement"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("last_date >= first_date", name="dates"),
        CheckConstraint("is_provisional IN (0, 1)", name="is_provisional"),
        CheckConstraint("state IN ('waiting', 'closed', 'rejected')", name="state"),
        CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name="decided_at"),
        CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_by"),
        Index("uq_settlement_number", "operator_id", "number", unique=True,
              sqlite_where=_STANDS, postgresql_where=_STANDS),
        Index("ix_settlement_asked", "operator_id", "asked_at"),
        spread("operator_id", "settlement"),
    )

    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"), primary_key=True)
    settlement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    first_date: Mapped[str] = mapped_column(Text)
    last_date: Mapped[str] = mapped_column(Text)
    is_provisional: Mapped[bool] = mapped_column(Flag)
    net_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID] = mapped_column(Uuid)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    note: Mapped[str | None] = mapped_column(Text)


class SettlementBody(Table):
    """The figures as they were proposed, and their SHA-256 (core/settlement.py)."""

    __tablename__ = "settlement_body"
    __table_args__ = (
        ForeignKeyConstraint(["operator_id", "settlement_id"], ["settlement.operator_id", "settlement.settlement_id"]),
        spread("operator_id", "settlement", append_only=True),
    )

    operator_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    settlement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[str] = mapped_column(Text)


class SettlementDay(Table):
    """What a closed settlement settled for a day of an account, by lot; the sum of all is what was settled for it."""

    __tablename__ = "settlement_day"
    __table_args__ = (
        ForeignKeyConstraint(["operator_id", "settlement_id"], ["settlement.operator_id", "settlement.settlement_id"]),
        Index("ix_settlement_day_account", "operator_id", "account_id", "statement_date"),
        spread("operator_id", "settlement", append_only=True),
    )

    operator_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    settlement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    statement_date: Mapped[str] = mapped_column(Text, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer)
    fee_number: Mapped[int] = mapped_column(Integer)
    lots: Mapped[Any] = mapped_column(Json)


class SettlementLot(Table):
    """What a closed settlement settled for a lot."""

    __tablename__ = "settlement_lot"
    __table_args__ = (
        CheckConstraint("net_fen = gross_fen - refunded_fen - fee_fen - commission_fen", name="net_fen"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    settlement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    gross_fen: Mapped[int] = mapped_column(Fen)
    refunded_fen: Mapped[int] = mapped_column(Fen)
    fee_fen: Mapped[int] = mapped_column(Fen)
    commission_fen: Mapped[int] = mapped_column(Fen)
    net_fen: Mapped[int] = mapped_column(Fen)


@dataclass(frozen=True, slots=True)
class Settlement:
    """first, last: its days, both in it."""

    operator_id: UUID
    settlement_id: UUID
    number: int
    first: date
    last: date
    is_provisional: bool
    net_fen: int
    state: str
    asked_by: UUID
    asked_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Noted:
    """How far a settled day is settled, and what was settled for its lots where that was asked for."""

    generation: int
    fee_number: int
    lots: dict[int, Sums] = field(default_factory=dict)


def add_settlement(db: Session, made: Settlement, *, body: str, body_hash: str) -> bool:
    """False if this id was there, or another settlement of the operator has the number."""
    columns = {name: getattr(made, name) for name in Settlement.__dataclass_fields__ if name not in ("first", "last")}
    is_new = insert_new(
        db, SettlementRow, first_date=made.first.isoformat(), last_date=made.last.isoformat(), **columns)
    if is_new:
        db.execute(insert(SettlementBody).values(
            operator_id=made.operator_id, settlement_id=made.settlement_id, body=body, body_hash=body_hash))
    return is_new


def find_settlement(db: Session, operator_id: UUID, settlement_id: UUID) -> Settlement | None:
    found = db.execute(_select().where(
        SettlementRow.operator_id == operator_id, SettlementRow.settlement_id == settlement_id)).one_or_none()
    return None if found is None else _read(found)


def find_last(db: Session, operator_id: UUID) -> Settlement | None:
    """The newest one of an operator that is closed or waits."""
    found = db.execute(_select().where(
        SettlementRow.operator_id == operator_id, SettlementRow.state != "rejected",
    ).order_by(SettlementRow.number.desc()).limit(1)).one_or_none()
    return None if found is None else _read(found)


def get_body(db: Session, operator_id: UUID, settlement_id: UUID) -> tuple[str, str]:
    """A settlement's body and its hash."""
    row = SettlementBody
    found = db.execute(select(row.body, row.body_hash).where(
        row.operator_id == operator_id, row.settlement_id == settlement_id)).one()
    return found[0], found[1]


def list_closed(db: Session, operator_id: UUID) -> list[Settlement]:
    """By number."""
    found = db.execute(_select().where(
        SettlementRow.operator_id == operator_id, SettlementRow.state == "closed").order_by(SettlementRow.number))
    return [_read(each) for each in found]


def list_of_operator(
    db: Session, operator_id: UUID, *, state: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Settlement]:
    """Newest first, from a cursor on."""
    row = SettlementRow
    query = _select().where(row.operator_id == operator_id)
    if state is not None:
        query = query.where(row.state == state)
    if before is not None:
        query = query.where(tuple_(row.asked_at, row.settlement_id) < before)
    found = db.execute(query.order_by(row.asked_at.desc(), row.settlement_id.desc()).limit(limit))
    return [_read(each) for each in found]


def decide_settlement(db: Session, made: Settlement, *, state: str, by: UUID, note: str | None, now: datetime) -> bool:
    """End a waiting one; False if somebody else did."""
    row = SettlementRow
    done = db.execute(update(row).where(
        row.operator_id == made.operator_id, row.settlement_id == made.settlement_id, row.state == "waiting",
    ).values(state=state, decided_by=by, decided_at=now, note=note))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def add_settled(db: Session, made: Settlement, figures: Figures) -> None:
    """What a settlement that is closed now has settled, by day and by lot."""
    own = {"operator_id": made.operator_id, "settlement_id": made.settlement_id}
    days = [
        {**own, "account_id": each.account_id, "statement_date": each.day.isoformat(), "generation": each.generation,
         "fee_number": each.fee_number,
         "lots": {str(lot_id): list(astuple(sums)) for lot_id, sums in each.lots.items()}}
        for each in figures.days]
    lots = [
        {**own, "lot_id": each.lot_id, "gross_fen": each.sums.gross_fen, "refunded_fen": each.sums.refunded_fen,
         "fee_fen": each.sums.fee_fen, "commission_fen": each.commission_fen, "net_fen": each.net_fen}
        for each in figures.lots]
    for table, rows in ((SettlementDay, days), (SettlementLot, lots)):
        if rows:
            db.execute(insert(table_of(table)), rows)


def list_noted(db: Session, operator_id: UUID) -> dict[tuple[UUID, date], Noted]:
    """Every day of an operator's accounts that was settled, and how far."""
    row = SettlementDay
    found = db.execute(
        select(row.account_id, row.statement_date, func.max(row.generation), func.max(row.fee_number))
        .where(row.operator_id == operator_id).group_by(row.account_id, row.statement_date))
    return {(each[0], date.fromisoformat(each[1])): Noted(each[2], each[3]) for each in found}


def sum_settled(db: Session, operator_id: UUID, account_id: UUID, day: date) -> dict[int, Sums]:
    """What was settled for a day so far, by lot."""
    row = SettlementDay
    sums: dict[int, Sums] = {}
    for (lots,) in db.execute(select(row.lots).where(
        row.operator_id == operator_id, row.account_id == account_id, row.statement_date == day.isoformat())):
        for lot_id, part in _lots(lots).items():
            sums[lot_id] = sums.get(lot_id, NOTHING) + part
    return sums


def list_settled_days(db: Session, operator_id: UUID, settlement_id: UUID) -> dict[tuple[UUID, date], Noted]:
    """What a closed settlement settled, by account and day: how far, and of which lots."""
    row = SettlementDay
    found = db.execute(select(row.account_id, row.statement_date, row.generation, row.fee_number, row.lots).where(
        row.operator_id == operator_id, row.settlement_id == settlement_id))
    return {(each[0], date.fromisoformat(each[1])): Noted(each[2], each[3], _lots(each[4])) for each in found}


def list_settled_lots(db: Session, operator_id: UUID) -> dict[UUID, dict[int, tuple[int, ...]]]:
    """Of each closed settlement what each lot was settled: gross, refunded, fee, commission, net."""
    row = SettlementLot
    made: dict[UUID, dict[int, tuple[int, ...]]] = {}
    for each in db.execute(select(
        row.settlement_id, row.lot_id, row.gross_fen, row.refunded_fen, row.fee_fen, row.commission_fen, row.net_fen,
    ).where(row.operator_id == operator_id)):
        made.setdefault(each[0], {})[each[1]] = tuple(each[2:])
    return made


def count_waiting(db: Session, operator_id: UUID) -> int:
    return int(db.execute(select(func.count()).where(
        SettlementRow.operator_id == operator_id, SettlementRow.state == "waiting")).scalar_one())


def _lots(kept: dict[str, list[int]]) -> dict[int, Sums]:
    return {int(lot_id): Sums(*part) for lot_id, part in kept.items()}


def _select() -> Any:
    row = SettlementRow
    return select(
        row.operator_id, row.settlement_id, row.number, row.first_date, row.last_date, row.is_provisional, row.net_fen,
        row.state, row.asked_by, row.asked_at, row.decided_by, row.decided_at, row.note)


def _read(row: Any) -> Settlement:
    return Settlement(row[0], row[1], row[2], date.fromisoformat(row[3]), date.fromisoformat(row[4]), *row[5:])

