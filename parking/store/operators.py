"""Who runs lots, and the people who work for them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Text, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.arrears import GRACE_DAYS_DEFAULT
from parking.core.bank import BankAccount
from parking.store.columns import Fen, Instant, Json, Table, Uuid, spread

WAIVER_LIMIT_FEN = 10_000  # until an operator sets another


class Operator(Table):
    """A company or an authority that runs lots (APDS: Organisation).

    waiver_limit_fen: what one person may take off a visit's charge, or be settled; more takes a second one.
    commission_rate: what the city keeps of what the operator's lots take, in ten-thousandths. bank: where it is paid.
    arrears_grace_days: how long after leaving an unpaid visit becomes an arrears case by itself.
    """

    __tablename__ = "operator"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("waiver_limit_fen >= 0", name="waiver_limit_fen"),
        CheckConstraint("commission_rate BETWEEN 0 AND 10000", name="commission_rate"),
        CheckConstraint("arrears_grace_days BETWEEN 0 AND 90", name="arrears_grace_days"),
        spread(None, "reference"),
    )

    operator_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    waiver_limit_fen: Mapped[int] = mapped_column(Fen, server_default=str(WAIVER_LIMIT_FEN))
    commission_rate: Mapped[int] = mapped_column(Integer, server_default="0")
    bank: Mapped[Any | None] = mapped_column(Json)
    arrears_grace_days: Mapped[int] = mapped_column(Integer, server_default=str(GRACE_DAYS_DEFAULT))


class Staff(Table):
    """A person who works for an operator and signs in at its console."""

    __tablename__ = "staff"
    __table_args__ = (spread(None, "reference"),)

    staff_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    created_at: Mapped[datetime] = mapped_column(Instant)


def has_operator(db: Session) -> bool:
    """Whether there is a city in this database."""
    return db.execute(select(Operator.operator_id).limit(1)).first() is not None


def is_operator(db: Session, operator_id: UUID) -> bool:
    return db.execute(select(Operator.operator_id).where(Operator.operator_id == operator_id)).first() is not None


def add_staff(db: Session, *, staff_id: UUID, operator_id: UUID, now: datetime) -> None:
    db.execute(insert(Staff).values(staff_id=staff_id, operator_id=operator_id, created_at=now))


def get_operator(db: Session, operator_id: UUID) -> Operator:
    return db.execute(select(Operator).where(Operator.operator_id == operator_id)).scalar_one()


def set_waiver_limit(db: Session, operator_id: UUID, limit_fen: int) -> bool:
    """False if there is no such operator."""
    done = db.execute(update(Operator).where(Operator.operator_id == operator_id).values(waiver_limit_fen=limit_fen))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def set_commission_rate(db: Session, operator_id: UUID, rate: int) -> bool:
    """rate: ten-thousandths. False if there is no such operator."""
    done = db.execute(update(Operator).where(Operator.operator_id == operator_id).values(commission_rate=rate))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def set_arrears_grace(db: Session, operator_id: UUID, days: int) -> bool:
    """False if there is no such operator."""
    done = db.execute(update(Operator).where(Operator.operator_id == operator_id).values(arrears_grace_days=days))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def set_bank(db: Session, operator_id: UUID, bank: BankAccount | None) -> bool:
    """Where the operator is paid; None: not known. False if there is no such operator."""
    done = db.execute(update(Operator).where(Operator.operator_id == operator_id).values(
        bank=None if bank is None else asdict(bank)))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def find_bank(db: Session, operator_id: UUID) -> BankAccount | None:
    found = get_operator(db, operator_id).bank
    return None if found is None else BankAccount(**found)
