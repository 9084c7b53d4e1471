"""Channels' statements as they were read, and our side of the same days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, delete, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.clock import from_ms, to_ms
from parking.core.statement import StatementRow
from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, Wide, spread
from parking.store.payments import ChannelOrder, PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statements import table_of

_READ = text("state = 'read'")
NUMBERS_AT_ONCE = 500


class StatementImport(Table):
    """One file of one day of one account. Protects: a day has one statement (the partial unique index).

    Rows are written in parts, so that no gate waits for them; they count once the state is `read`.
    """

    __tablename__ = "statement_import"
    __table_args__ = (
        CheckConstraint("state IN ('reading', 'read')", name="state"),
        Index("uq_statement_import_day", "account_id", "statement_date", unique=True,
              sqlite_where=_READ, postgresql_where=_READ),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    statement_date: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[bytes] = mapped_column(Bytes)
    state: Mapped[str] = mapped_column(Text)
    row_count: Mapped[int] = mapped_column(Integer)
    imported_at: Mapped[datetime] = mapped_column(Instant)


class StatementLine(Table):
    """A row of the channel's, as it was read; fee_raw in thousandths of a fen."""

    __tablename__ = "statement_line"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund')", name="kind"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        Index("ix_statement_line_number", "account_id", "number"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)
    order_no: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    channel_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    status: Mapped[str] = mapped_column(Text)
    fee_raw: Mapped[int] = mapped_column(Wide)


@dataclass(frozen=True, slots=True)
class Import:
    import_id: UUID
    file_hash: bytes
    row_count: int
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class OurMovement:
    """A payment or an accepted refund of ours, and the visit it was for."""

    kind: str
    number: str
    amount_fen: int
    at: datetime
    state: str
    lot_id: int
    parking_session_id: UUID
    payment_id: UUID


def find_import(db: Session, account_id: UUID, day: date) -> Import | None:
    """The statement of a day, if it has been read."""
    row = StatementImport
    found = db.execute(select(row.import_id, row.file_hash, row.row_count, row.imported_at).where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.state == "read")).one_or_none()
    return None if found is None else Import(*found)


def list_days(db: Session, operator_id: UUID, *, limit: int) -> list[tuple[UUID, str, int]]:
    """The days an operator has statements of, newest first: account, date, rows."""
    row = StatementImport
    found = db.execute(
        select(row.account_id, row.statement_date, row.row_count)
        .where(row.operator_id == operator_id, row.state == "read")
        .order_by(row.statement_date.desc()).limit(limit))
    return [(each.account_id, each.statement_date, each.row_count) for each in found]


def begin_import(
    db: Session, *, account_id: UUID, import_id: UUID, operator_id: UUID, day: date, file_hash: bytes,
    row_count: int, now: datetime,
) -> None:
    """Start anew: what an import that died left of this day is forgotten."""
    row = StatementImport
    dead = list(db.execute(select(row.import_id).where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.state == "reading")).scalars())
    for each in dead:
        db.execute(delete(StatementLine).where(
            StatementLine.account_id == account_id, StatementLine.import_id == each))
        db.execute(delete(row).where(row.account_id == account_id, row.import_id == each))
    db.execute(insert(row).values(
        account_id=account_id, import_id=import_id, operator_id=operator_id, statement_date=day.isoformat(),
        file_hash=file_hash, state="reading", row_count=row_count, imported_at=now))


def add_lines(db: Session, account_id: UUID, import_id: UUID, operator_id: UUID, rows: list[StatementRow]) -> None:
    db.execute(insert(table_of(StatementLine)), [
        {
            "account_id": account_id, "import_id": import_id, "operator_id": operator_id, "row": each.row,
            "kind": each.kind, "at": each.at, "order_no": each.order_no, "number": each.number,
            "channel_no": each.channel_no, "amount_fen": each.amount_fen, "status": each.status,
            "fee_raw": each.fee_raw,
        }
        for each in rows
    ])


def finish_import(db: Session, account_id: UUID, import_id: UUID) -> bool:
    """From now on it counts; False if it was started anew meanwhile."""
    row = StatementImport
    done = db.execute(update(row).where(
        row.account_id == account_id, row.import_id == import_id).values(state="read"))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def list_lines(db: Session, account_id: UUID, import_id: UUID) -> list[StatementRow]:
    row = StatementLine
    found = db.execute(
        select(row.row, row.kind, row.at, row.order_no, row.number, row.channel_no, row.amount_fen, row.status,
               row.fee_raw)
        .where(row.account_id == account_id, row.import_id == import_id).order_by(row.row))
    return [StatementRow(*each) for each in found]  # type: ignore[arg-type]


def list_named(db: Session, account_id: UUID, import_id: UUID, numbers: Iterable[str]) -> frozenset[str]:
    """Which of these numbers a statement names."""
    row, named = StatementLine, set[str]()
    for part in _parts(sorted(set(numbers))):
        named |= set(db.execute(select(row.number).where(
            row.account_id == account_id, row.import_id == import_id, row.number.in_(part))).scalars())
    return frozenset(named)


def list_our_movements(
    db: Session, account_id: UUID, *, since: datetime, until: datetime, also: Iterable[str]
) -> list[OurMovement]:
    """What was paid and given back through an account in [since, until), and what these numbers name."""
    movements: dict[tuple[str, str], OurMovement] = {}
    last = _before(until)
    for each in _movements(
        db, account_id, PaymentRow.paid_at.between(since, last), RefundRow.accepted_at.between(since, last)
    ):
        movements[each.kind, each.number] = each
    missing = sorted(set(also) - {number for _, number in movements})
    for part in _parts(missing):
        ids = {
            kind: [each.subject_id for each in db.execute(select(ChannelOrder.subject_id).where(
                ChannelOrder.order_no.in_(part), ChannelOrder.account_id == account_id, ChannelOrder.kind == kind))]
            for kind in ("payment", "refund")
        }
        for each in _movements(
            db, account_id, PaymentRow.payment_id.in_(ids["payment"]), RefundRow.refund_id.in_(ids["refund"])
        ):
            movements[each.kind, each.number] = each
    return list(movements.values())


def list_waiting(db: Session, account_id: UUID, numbers: Iterable[str]) -> list[tuple[int, UUID]]:
    """The orders among these that we do not hold for paid."""
    row, found = PaymentRow, []
    for part in _parts(sorted(set(numbers))):
        found += [(each.lot_id, each.payment_id) for each in db.execute(
            select(row.lot_id, row.payment_id).where(
                row.account_id == account_id, row.order_no.in_(part), row.state != "paid"))]
    return found


def _movements(db: Session, account_id: UUID, paid: Any, returned: Any) -> Iterator[OurMovement]:
    payment, refund = PaymentRow, RefundRow
    for each in db.execute(
        select(payment.order_no, payment.amount_fen, payment.paid_at, payment.state, payment.lot_id,
               payment.parking_session_id, payment.payment_id)
        .where(payment.account_id == account_id, payment.state == "paid", paid)
    ):
        yield OurMovement("payment", *each)  # type: ignore[arg-type]
    for each in db.execute(
        select(refund.refund_no, refund.amount_fen, refund.accepted_at, refund.state, refund.lot_id,
               payment.parking_session_id, payment.payment_id)
        .join(payment, (payment.lot_id == refund.lot_id) & (payment.payment_id == refund.payment_id))
        .where(payment.account_id == account_id, refund.state.in_(("accepted", "done")), returned)
    ):
        yield OurMovement("refund", *each)  # type: ignore[arg-type]


def _before(instant: datetime) -> datetime:
    """The last instant before: columns hold whole milliseconds, and BETWEEN has both ends."""
    return from_ms(to_ms(instant) - 1)


def _parts(numbers: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(numbers), NUMBERS_AT_ONCE):
        yield numbers[start : start + NUMBERS_AT_ONCE]


