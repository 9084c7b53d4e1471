"""Money that drivers pay into their wallets through channels, and what of it goes back by the way it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.wallet import CITY
from parking.store import payments
from parking.store.columns import Fen, Instant, Table, Uuid, spread

_ASKED = text("state = 'asked'")


class TopUpRow(Table):
    """An order by which a driver pays into a wallet, until the channel's last word about it.

    Protects: more is never taken back out than was paid in (withdrawn_fen); a paid one names the transaction.
    """

    __tablename__ = "top_up"
    __table_args__ = (
        CheckConstraint("lot_id = 0", name="lot_id"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("state IN ('asked', 'paid', 'closed', 'disputed')", name="state"),
        CheckConstraint("way IN ('qr', 'redirect', 'in_app')", name="way"),
        CheckConstraint("(state = 'paid') = (transaction_no IS NOT NULL)", name="transaction_no"),
        CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="paid_at"),
        CheckConstraint("withdrawn_fen BETWEEN 0 AND amount_fen", name="withdrawn_fen"),
        ForeignKeyConstraint(["lot_id", "driver_id"], ["wallet.lot_id", "wallet.driver_id"]),
        Index("ix_top_up_driver", "lot_id", "driver_id", "paid_at"),
        Index("ix_top_up_asked", "lot_id", "driver_id", sqlite_where=_ASKED, postgresql_where=_ASKED),
        Index("ix_top_up_account", "account_id", "paid_at"),
        Index("ix_top_up_order_no", "order_no"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    top_up_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    channel: Mapped[str] = mapped_column(Text)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"))
    way: Mapped[str] = mapped_column(Text)
    order_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    shown: Mapped[str | None] = mapped_column(Text)
    transaction_no: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    withdrawn_fen: Mapped[int] = mapped_column(Fen)


class WithdrawalRow(Table):
    """Part or all of a top-up that goes back to the driver. request_id: what the driver asked for, of one or several.

    asked_fen: how much that was; None: all there was. accepted: the channel has taken it on.
    """

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("lot_id = 0", name="lot_id"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("state IN ('asked', 'accepted', 'done', 'failed')", name="state"),
        ForeignKeyConstraint(["lot_id", "top_up_id"], ["top_up.lot_id", "top_up.top_up_id"]),
        Index("ix_withdrawal_top_up", "lot_id", "top_up_id"),
        Index("ix_withdrawal_request", "lot_id", "request_id"),
        Index("ix_withdrawal_accepted_at", "operator_id", "accepted_at"),
        Index("ix_withdrawal_refund_no", "refund_no"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    withdrawal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    request_id: Mapped[UUID] = mapped_column(Uuid)
    asked_fen: Mapped[int | None] = mapped_column(Fen)
    top_up_id: Mapped[UUID] = mapped_column(Uuid)
    refund_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    accepted_at: Mapped[datetime | None] = mapped_column(Instant)
    channel_refund_no: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class TopUp:
    """One order. shown: what the driver was given to pay with, once the channel has answered."""

    top_up_id: UUID
    operator_id: UUID
    driver_id: UUID
    channel: str
    account_id: UUID
    way: str
    order_no: str
    amount_fen: int
    state: str
    asked_at: datetime
    expires_at: datetime
    shown: str | None
    transaction_no: str | None
    paid_at: datetime | None
    withdrawn_fen: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One refund at a channel."""

    withdrawal_id: UUID
    operator_id: UUID
    driver_id: UUID
    request_id: UUID
    asked_fen: int | None
    top_up_id: UUID
    refund_no: str
    amount_fen: int
    state: str
    asked_at: datetime
    accepted_at: datetime | None
    channel_refund_no: str | None


def add_top_up(db: Session, top_up: TopUp) -> bool:
    """Take the order's number and write the order; False if the number was taken."""
    if not payments.claim_order_no(
        db, top_up.order_no, kind="topup", account_id=top_up.account_id, lot_id=CITY, subject_id=top_up.top_up_id
    ):
        return False
    db.execute(insert(TopUpRow).values(
        lot_id=CITY, **{name: getattr(top_up, name) for name in TopUp.__dataclass_fields__}))
    return True


def find_top_up(db: Session, top_up_id: UUID) -> TopUp | None:
    found = db.execute(_top_ups().where(TopUpRow.lot_id == CITY, TopUpRow.top_up_id == top_up_id)).one_or_none()
    return None if found is None else TopUp(*found)


def list_paid(db: Session, driver_id: UUID) -> list[TopUp]:
    """A driver's that were paid and of which something is left, newest first."""
    row = TopUpRow
    found = db.execute(_top_ups().where(
        row.lot_id == CITY, row.driver_id == driver_id, row.state == "paid", row.withdrawn_fen < row.amount_fen,
    ).order_by(row.paid_at.desc(), row.asked_at.desc(), row.top_up_id.desc()))
    return [TopUp(*each) for each in found]


def sum_asked(db: Session, driver_id: UUID) -> int:
    """What a driver may still pay into the wallet by orders that were made."""
    row = TopUpRow
    return int(db.execute(select(func.coalesce(func.sum(row.amount_fen), 0)).where(
        row.lot_id == CITY, row.driver_id == driver_id, row.state == "asked")).scalar_one())


def show_top_up(db: Session, top_up: TopUp, shown: str) -> None:
    change_top_up(db, top_up, shown=shown)


def change_top_up(db: Session, top_up: TopUp, **values: object) -> None:
    done = db.execute(update(TopUpRow).where(
        TopUpRow.lot_id == CITY, TopUpRow.top_up_id == top_up.top_up_id).values(**values))
    assert done.rowcount == 1  # type: ignore[attr-defined]


def change_withdrawn(db: Session, top_up_id: UUID, *, by_fen: int) -> None:
    """Reserve what goes back of a top-up, or release it; the table refuses more than was paid."""
    db.execute(update(TopUpRow).where(TopUpRow.lot_id == CITY, TopUpRow.top_up_id == top_up_id).values(
        withdrawn_fen=TopUpRow.withdrawn_fen + by_fen))


def add_withdrawal(db: Session, withdrawal: Withdrawal, *, account_id: UUID) -> bool:
    """Take the refund's number and write it; False if the number was taken."""
    if not payments.claim_order_no(
        db, withdrawal.refund_no, kind="topup_refund", account_id=account_id, lot_id=CITY,
        subject_id=withdrawal.withdrawal_id,
    ):
        return False
    db.execute(insert(WithdrawalRow).values(
        lot_id=CITY, **{name: getattr(withdrawal, name) for name in Withdrawal.__dataclass_fields__}))
    return True


def find_withdrawal(db: Session, withdrawal_id: UUID) -> Withdrawal | None:
    return _withdrawal(db, WithdrawalRow.withdrawal_id == withdrawal_id)


def list_of_request(db: Session, driver_id: UUID, request_id: UUID) -> list[tuple[Withdrawal, str]]:
    """What a driver asked for by an id, in the order in which it was taken from top-ups, each with its channel."""
    found = db.execute(
        _withdrawals(TopUpRow.channel).join(TopUpRow, (TopUpRow.lot_id == WithdrawalRow.lot_id) & (
            TopUpRow.top_up_id == WithdrawalRow.top_up_id))
        .where(WithdrawalRow.lot_id == CITY, WithdrawalRow.request_id == request_id,
               WithdrawalRow.driver_id == driver_id)
        .order_by(TopUpRow.paid_at.desc(), TopUpRow.asked_at.desc(), TopUpRow.top_up_id.desc()))
    return [(Withdrawal(*each[:-1]), each[-1]) for each in found]


def list_unfinished(db: Session, *, asked_before: datetime) -> list[Withdrawal]:
    """Those that were asked for long ago and have not arrived; of one that failed the wallet has the money again."""
    row = WithdrawalRow
    found = db.execute(_withdrawals().where(
        row.lot_id == CITY, row.state.in_(("asked", "accepted")), row.asked_at < asked_before).order_by(row.asked_at))
    return [Withdrawal(*each) for each in found]


def change_withdrawal(
    db: Session, withdrawal: Withdrawal, *, state: str, accepted_at: datetime | None, channel_refund_no: str | None
) -> None:
    db.execute(update(WithdrawalRow).where(
        WithdrawalRow.lot_id == CITY, WithdrawalRow.withdrawal_id == withdrawal.withdrawal_id,
    ).values(state=state, accepted_at=accepted_at, channel_refund_no=channel_refund_no))


def _top_ups() -> Any:
    return select(*(getattr(TopUpRow, name) for name in TopUp.__dataclass_fields__))


def _withdrawals(*more: Any) -> Any:
    return select(*(getattr(WithdrawalRow, name) for name in Withdrawal.__dataclass_fields__), *more)


def _withdrawal(db: Session, *where: Any) -> Withdrawal | None:
    found = db.execute(_withdrawals().where(WithdrawalRow.lot_id == CITY, *where)).one_or_none()
    return None if found is None else Withdrawal(*found)
