"""Channels' fees as they were booked, in whole fen: once for each final and balanced statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, insert, select
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from parking.core.channel_fee import DayFee, FeePart
from parking.store.channel_accounts import ChannelAccount
from parking.store.columns import Fen, Instant, Table, Uuid, Wide, spread
from parking.store.day_closings import DayClosing
from parking.store.reckonings import StatementDay
from parking.store.statement_imports import StatementImport
from parking.store.statements import table_of

_ADDS_UP = "carried_before_raw + fee_raw = booked_fen * 1000 + carried_raw"


class ChannelFee(Table):
    """An account's fees of a day. number: its bookings in their order, from 1; raw: thousandths of a fen.

    Protects: a statement is booked once (the unique indexes), after one other (the number), and no fen is lost.
    """

    __tablename__ = "channel_fee"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint(_ADDS_UP, name="adds_up"),
        CheckConstraint("carried_before_raw BETWEEN 0 AND 999 AND carried_raw BETWEEN 0 AND 999", name="carried"),
        Index("uq_channel_fee_import", "account_id", "import_id", unique=True),
        Index("uq_channel_fee_day", "account_id", "statement_date", unique=True),
        Index("ix_channel_fee_operator", "operator_id", "booked_at"),
        spread("account_id", "statement", append_only=True),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    statement_date: Mapped[str] = mapped_column(Text)
    import_id: Mapped[UUID] = mapped_column(Uuid)
    fee_raw: Mapped[int] = mapped_column(Wide)
    carried_before_raw: Mapped[int] = mapped_column(Wide)
    booked_fen: Mapped[int] = mapped_column(Fen)
    carried_raw: Mapped[int] = mapped_column(Wide)
    booked_at: Mapped[datetime] = mapped_column(Instant)


class ChannelFeeLot(Table):
    """A lot's part of a booking: what its own rows cost, and the whole fen that its ledger has for it."""

    __tablename__ = "channel_fee_lot"
    __table_args__ = (
        CheckConstraint(_ADDS_UP, name="adds_up"),
        CheckConstraint("carried_before_raw BETWEEN -999 AND 999 AND carried_raw BETWEEN -999 AND 999", name="carried"),
        Index("ix_channel_fee_lot_account", "account_id", "number"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    import_id: Mapped[UUID] = mapped_column(Uuid)
    fee_raw: Mapped[int] = mapped_column(Wide)
    carried_before_raw: Mapped[int] = mapped_column(Wide)
    booked_fen: Mapped[int] = mapped_column(Fen)
    carried_raw: Mapped[int] = mapped_column(Wide)


@dataclass(frozen=True, slots=True)
class Booked:
    """A booking and its lots' parts by their numbers."""

    account_id: UUID
    number: int
    day: date
    import_id: UUID
    whole: FeePart
    lots: dict[int, FeePart]


def add_booking(
    db: Session, account: ChannelAccount, number: int, day: date, import_id: UUID, fee: DayFee, *, now: datetime
) -> None:
    said = {"account_id": account.account_id, "number": number, "operator_id": account.operator_id,
            "import_id": import_id}
    db.execute(insert(table_of(ChannelFee)).values(
        **said, **_columns(fee.whole), statement_date=day.isoformat(), booked_at=now))
    if fee.lots:
        db.execute(insert(table_of(ChannelFeeLot)), [
            {**said, **_columns(part), "lot_id": lot_id} for lot_id, part in fee.lots.items()])


def is_booked(db: Session, account_id: UUID, import_id: UUID) -> bool:
    return db.execute(select(1).where(
        ChannelFee.account_id == account_id, ChannelFee.import_id == import_id)).first() is not None


def find_carried(db: Session, account_id: UUID) -> tuple[int, dict[int, int]]:
    """The number of an account's last booking, 0 for none, and the raw that it carries on, by lot."""
    last = db.execute(select(func.max(ChannelFee.number)).where(
        ChannelFee.account_id == account_id)).scalar_one_or_none() or 0
    row = ChannelFeeLot
    found = db.execute(select(row.lot_id, row.carried_raw).where(
        row.account_id == account_id, row.number == last, row.carried_raw != 0))
    return last, {each[0]: each[1] for each in found}


def list_of_days(db: Session, account_ids: Iterable[UUID], *, first: date, last: date) -> list[Booked]:
    """What accounts were booked for the days from first to last, both in it; by account and number."""
    return _list(db, ChannelFee.account_id.in_(list(account_ids)),
                 ChannelFee.statement_date.between(first.isoformat(), last.isoformat()))


def find_of_day(db: Session, account_id: UUID, day: date) -> Booked | None:
    found = list_of_days(db, [account_id], first=day, last=day)
    return found[0] if found else None


def list_numbers(db: Session, operator_id: UUID) -> dict[tuple[UUID, date], int]:
    """The number of each booking of an operator's accounts, by account and day."""
    row = ChannelFee
    found = db.execute(select(row.account_id, row.statement_date, row.number).where(row.operator_id == operator_id))
    return {(each[0], date.fromisoformat(each[1])): each[2] for each in found}


def list_booked_since(db: Session, operator_id: UUID, since: datetime | None) -> list[Booked]:
    """What an operator's accounts were booked since an instant, or ever; by account and number."""
    more = [] if since is None else [ChannelFee.booked_at >= since]
    return _list(db, ChannelFee.operator_id == operator_id, *more)


def list_due(db: Session) -> list[tuple[UUID, date]]:
    """Days with a final statement not booked yet that, as far as was reckoned, may be balanced, or were closed.

    Oldest first.
    """
    statement, fee, day, closing = StatementImport, aliased(ChannelFee), StatementDay, DayClosing
    is_apart = select(1).where(
        day.account_id == statement.account_id, day.statement_date == statement.statement_date,
        day.reckoned_generation == day.generation, day.difference_count > 0,
        ~select(1).where(closing.account_id == day.account_id, closing.statement_date == day.statement_date).exists(),
    ).exists()
    found = db.execute(
        select(statement.account_id, statement.statement_date).where(
            statement.state == "read", statement.is_final == True,  # noqa: E712
            ~select(1).where(fee.account_id == statement.account_id, fee.import_id == statement.import_id).exists(),
            ~is_apart).order_by(statement.statement_date, statement.account_id))
    return [(each[0], date.fromisoformat(each[1])) for each in found]


def _list(db: Session, *where: Any) -> list[Booked]:
    row, lot = ChannelFee, ChannelFeeLot
    found = db.execute(select(
        row.account_id, row.number, row.statement_date, row.import_id, row.fee_raw, row.carried_before_raw,
        row.booked_fen).where(*where).order_by(row.account_id, row.number)).all()
    parts: dict[tuple[UUID, int], dict[int, FeePart]] = {(each[0], each[1]): {} for each in found}
    for account_id in {each[0] for each in found}:
        numbers = [number for of, number in parts if of == account_id]
        for each in db.execute(
            select(lot.number, lot.lot_id, lot.fee_raw, lot.carried_before_raw, lot.booked_fen)
            .where(lot.account_id == account_id, lot.number.between(min(numbers), max(numbers)))
            .order_by(lot.lot_id)
        ):
            if (account_id, each[0]) in parts:
                parts[account_id, each[0]][each[1]] = FeePart(each[2], each[3], each[4])
    return [
        Booked(each[0], each[1], date.fromisoformat(each[2]), each[3], FeePart(each[4], each[5], each[6]),
               parts[each[0], each[1]]) for each in found]


def _columns(part: FeePart) -> dict[str, int]:
    return {"fee_raw": part.fee_raw, "carried_before_raw": part.carried_before_raw, "booked_fen": part.booked_fen,
            "carried_raw": part.carried_raw}
