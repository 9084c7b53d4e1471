"""Fees that are deducted after the vehicle has left, and who has one that is not paid yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.payments import Payment, PaymentRow
from parking.store.statements import insert_new


class DeductionRow(Table):
    """Whose agreement a payment of the way `auto` is made by. tries: how often the channel refused it.

    refused_why: its last word; None where it did not refuse.
    """

    __tablename__ = "deduction"
    __table_args__ = (
        CheckConstraint("tries >= 0", name="tries"),
        ForeignKeyConstraint(["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"]),
        Index("ix_deduction_driver", "driver_id", "asked_at"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    payment_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    agreement_id: Mapped[UUID] = mapped_column(Uuid)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    vehicle_key: Mapped[bytes] = mapped_column(Bytes)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    tries: Mapped[int] = mapped_column(Integer)
    refused_why: Mapped[str | None] = mapped_column(Text)


class CreditTaken(Table):
    """Row exists = this driver, or this vehicle, has left and not paid yet. Protects: one at a time, in the whole city.

    subject: a driver's id or a vehicle's key, 16 bytes either. A guard on live decisions, as vehicle_presence is:
    whether the visit is unpaid still, its own row tells.
    """

    __tablename__ = "credit_taken"
    __table_args__ = (
        CheckConstraint("length(subject) = 16", name="subject"),
        spread("subject", "credit_taken"),
    )

    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer)
    payment_id: Mapped[UUID] = mapped_column(Uuid)
    taken_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class StoredDeduction:
    lot_id: int
    payment_id: UUID
    operator_id: UUID
    agreement_id: UUID
    driver_id: UUID
    vehicle_key: bytes
    asked_at: datetime
    tries: int = 0
    refused_why: str | None = None

    @property
    def subjects(self) -> list[bytes]:
        """Whose credit it takes, in the order in which they are held."""
        return sorted({self.driver_id.bytes, self.vehicle_key})


@dataclass(frozen=True, slots=True)
class Taken:
    """By which payment a subject's credit is taken."""

    subject: bytes
    lot_id: int
    payment_id: UUID


def add_deduction(db: Session, made: StoredDeduction) -> None:
    insert_new(db, DeductionRow, **{name: getattr(made, name) for name in StoredDeduction.__dataclass_fields__})


def find_deduction(db: Session, lot_id: int, payment_id: UUID) -> StoredDeduction | None:
    row = DeductionRow
    found = db.execute(_select().where(row.lot_id == lot_id, row.payment_id == payment_id)).one_or_none()
    return None if found is None else StoredDeduction(*found)


def note_refused(db: Session, deduction: StoredDeduction, why: str) -> None:
    row = DeductionRow
    done = db.execute(update(row).where(
        row.lot_id == deduction.lot_id, row.payment_id == deduction.payment_id
    ).values(tries=row.tries + 1, refused_why=why))
    assert done.rowcount == 1  # type: ignore[attr-defined]


def note_taken_on(db: Session, deduction: StoredDeduction) -> None:
    """The channel had refused it, and has taken it on now: its result is waited for."""
    row = DeductionRow
    db.execute(update(row).where(
        row.lot_id == deduction.lot_id, row.payment_id == deduction.payment_id).values(refused_why=None))


def list_of_driver(db: Session, driver_id: UUID, *, limit: int) -> list[tuple[StoredDeduction, Payment]]:
    """What was deducted from a driver, or is to be, newest first; asks the whole city."""
    row = DeductionRow
    found = db.execute(
        select(*(getattr(row, name) for name in StoredDeduction.__dataclass_fields__),
               *(getattr(PaymentRow, name) for name in Payment.__dataclass_fields__))
        .join(PaymentRow, (PaymentRow.lot_id == row.lot_id) & (PaymentRow.payment_id == row.payment_id))
        .where(row.driver_id == driver_id).order_by(row.asked_at.desc(), row.payment_id.desc()).limit(limit))
    count = len(StoredDeduction.__dataclass_fields__)
    return [(StoredDeduction(*each[:count]), Payment(*each[count:])) for each in found]


def take_credit(db: Session, subject: bytes, *, lot_id: int, payment_id: UUID, now: datetime) -> Taken | None:
    """Take a subject's one credit; where it is taken, by what. Held until commit, either way it went."""
    if insert_new(db, CreditTaken, subject=subject, lot_id=lot_id, payment_id=payment_id, taken_at=now):
        return None
    return find_taken(db, subject, hold=True) or take_credit(
        db, subject, lot_id=lot_id, payment_id=payment_id, now=now)


def find_taken(db: Session, subject: bytes, *, hold: bool = False) -> Taken | None:
    row = CreditTaken
    query = select(row.subject, row.lot_id, row.payment_id).where(row.subject == subject)
    found = db.execute(query.with_for_update() if hold else query).one_or_none()
    return None if found is None else Taken(*found)


def give_credit_back(db: Session, subjects: Collection[bytes], *, payment_id: UUID) -> None:
    """What this payment took is free again; what another took in the meantime stays taken."""
    for subject in sorted(subjects):
        db.execute(delete(CreditTaken).where(CreditTaken.subject == subject, CreditTaken.payment_id == payment_id))


def _select() -> Any:
    return select(*(getattr(DeductionRow, name) for name in StoredDeduction.__dataclass_fields__))
