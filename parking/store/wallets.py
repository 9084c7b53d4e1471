"""Drivers' prepaid wallets: what each holds, every movement in it, and which operator issues them.

All wallets are of the city's ledger, and lie beside it: their `lot_id` is CITY.
"""

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
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.wallet import CITY, SIGNS, MovementKind
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class WalletIssuer(Table):
    """The operator that issues the city's wallets. Protects: there is one at a time."""

    __tablename__ = "wallet_issuer"
    __table_args__ = (CheckConstraint("lot_id = 0", name="lot_id"), spread(None, "reference"))

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    designated_at: Mapped[datetime] = mapped_column(Instant)


class WalletRow(Table):
    """A driver's wallet. movement_count: how many there were; the newest has this number.

    Protects: nobody spends what is not there, also when two payments come at once.
    """

    __tablename__ = "wallet"
    __table_args__ = (
        CheckConstraint("lot_id = 0", name="lot_id"),
        CheckConstraint("balance_fen >= 0", name="balance_fen"),
        CheckConstraint("movement_count >= 0", name="movement_count"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    balance_fen: Mapped[int] = mapped_column(Fen)
    movement_count: Mapped[int] = mapped_column(Integer)
    opened_at: Mapped[datetime] = mapped_column(Instant)


class WalletMovement(Table):
    """What came into a wallet (above nothing) or left it, and what it held after; numbered without gaps.

    ref_id: the top-up, the payment, the refund of that payment, or the withdrawal.
    visited_lot_id, channel: where it was spent, and through which channel it came or went.
    """

    __tablename__ = "wallet_movement"
    __table_args__ = (
        CheckConstraint("lot_id = 0", name="lot_id"),
        CheckConstraint("kind IN ('topup', 'spent', 'spent_back', 'withdrawn', 'withdrawn_back')", name="kind"),
        CheckConstraint("(kind IN ('spent', 'withdrawn')) = (amount_fen < 0) AND amount_fen <> 0", name="amount_fen"),
        CheckConstraint("balance_fen >= 0", name="balance_fen"),
        CheckConstraint("(kind IN ('spent', 'spent_back')) = (visited_lot_id IS NOT NULL)", name="visited_lot_id"),
        CheckConstraint("(visited_lot_id IS NULL) = (channel IS NOT NULL)", name="channel"),
        ForeignKeyConstraint(["lot_id", "driver_id"], ["wallet.lot_id", "wallet.driver_id"]),
        Index("uq_wallet_movement_event", "lot_id", "kind", "ref_id", unique=True),
        Index("ix_wallet_movement_moved_at", "lot_id", "moved_at", "ref_id"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    driver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    balance_fen: Mapped[int] = mapped_column(Fen)
    ref_id: Mapped[UUID] = mapped_column(Uuid)
    visited_lot_id: Mapped[int | None] = mapped_column(Integer)
    channel: Mapped[str | None] = mapped_column(Text)
    moved_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Wallet:
    """operator_id: who issues it."""

    driver_id: UUID
    operator_id: UUID
    balance_fen: int
    movement_count: int


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a wallet, as WalletMovement says it."""

    number: int
    kind: MovementKind
    amount_fen: int
    balance_fen: int
    ref_id: UUID
    visited_lot_id: int | None
    channel: str | None
    moved_at: datetime


def find_issuer(db: Session) -> UUID | None:
    """The operator that issues the city's wallets, if one does."""
    return db.execute(select(WalletIssuer.operator_id).where(WalletIssuer.lot_id == CITY)).scalar_one_or_none()


def put_issuer(db: Session, operator_id: UUID, *, now: datetime) -> None:
    if not insert_new(db, WalletIssuer, lot_id=CITY, operator_id=operator_id, designated_at=now):
        db.execute(update(WalletIssuer).where(WalletIssuer.lot_id == CITY).values(
            operator_id=operator_id, designated_at=now))


def has_wallets(db: Session) -> bool:
    """Whether a driver has opened one."""
    return db.execute(select(1).where(WalletRow.lot_id == CITY).limit(1)).first() is not None


def open_wallet(db: Session, driver_id: UUID, *, operator_id: UUID, now: datetime) -> None:
    """Give a driver a wallet that holds nothing, unless there is one."""
    insert_new(db, WalletRow, lot_id=CITY, driver_id=driver_id, operator_id=operator_id, balance_fen=0,
               movement_count=0, opened_at=now)


def find_wallet(db: Session, driver_id: UUID) -> Wallet | None:
    found = db.execute(_wallet(driver_id)).one_or_none()
    return None if found is None else Wallet(*found)


def lock_wallet(db: Session, driver_id: UUID) -> Wallet | None:
    """A wallet that nobody else changes until the commit; the vehicle of what is paid is held before."""
    found = db.execute(_wallet(driver_id).with_for_update()).one_or_none()
    return None if found is None else Wallet(*found)


def add_movement(
    db: Session, held: Wallet, kind: MovementKind, *, amount_fen: int, ref_id: UUID, visited_lot_id: int | None = None,
    channel: str | None = None, now: datetime,
) -> Wallet:
    """Change what a locked wallet holds by an amount above nothing, the way its kind goes; returns it as it then is."""
    signed = SIGNS[kind] * amount_fen
    made = Wallet(held.driver_id, held.operator_id, held.balance_fen + signed, held.movement_count + 1)
    done = db.execute(update(WalletRow).where(
        WalletRow.lot_id == CITY, WalletRow.driver_id == held.driver_id,
        WalletRow.movement_count == held.movement_count,
    ).values(balance_fen=made.balance_fen, movement_count=made.movement_count))
    assert done.rowcount == 1, "the wallet is held"  # type: ignore[attr-defined]
    db.execute(insert(WalletMovement).values(
        lot_id=CITY, driver_id=held.driver_id, number=made.movement_count, operator_id=held.operator_id, kind=kind,
        amount_fen=signed, balance_fen=made.balance_fen, ref_id=ref_id, visited_lot_id=visited_lot_id,
        channel=channel, moved_at=now))
    return made


def list_movements(db: Session, driver_id: UUID, *, before: int | None, limit: int) -> list[Movement]:
    """A wallet's, newest first, from a number on."""
    query = _movements().where(WalletMovement.lot_id == CITY, WalletMovement.driver_id == driver_id)
    if before is not None:
        query = query.where(WalletMovement.number < before)
    return [Movement(*each) for each in db.execute(query.order_by(WalletMovement.number.desc()).limit(limit))]


def list_all_movements(
    db: Session, operator_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[Movement]:
    """Of all wallets that an operator issues, newest first, from a cursor on; whose they are is not told."""
    row = WalletMovement
    query = _movements().where(row.lot_id == CITY, row.operator_id == operator_id)
    if before is not None:
        query = query.where(tuple_(row.moved_at, row.ref_id) < before)
    return [Movement(*each) for each in db.execute(
        query.order_by(row.moved_at.desc(), row.ref_id.desc()).limit(limit))]


def find_spender(db: Session, payment_id: UUID) -> UUID | None:
    """The driver whose wallet paid a payment."""
    row = WalletMovement
    return db.execute(select(row.driver_id).where(
        row.lot_id == CITY, row.kind == "spent", row.ref_id == payment_id)).scalar_one_or_none()


def count_wallets(db: Session, operator_id: UUID) -> int:
    return int(db.execute(select(func.count()).where(
        WalletRow.lot_id == CITY, WalletRow.operator_id == operator_id)).scalar_one())


def _wallet(driver_id: UUID) -> Any:
    row = WalletRow
    return select(row.driver_id, row.operator_id, row.balance_fen, row.movement_count).where(
        row.lot_id == CITY, row.driver_id == driver_id)


def _movements() -> Any:
    row = WalletMovement
    return select(row.number, row.kind, row.amount_fen, row.balance_fen, row.ref_id, row.visited_lot_id, row.channel,
                  row.moved_at)
