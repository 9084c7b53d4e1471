"""What was said of a day's differences, and the days that were closed upon it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, and_, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, spread
from parking.store.reckonings import KINDS_CHECK, StatementDifference
from parking.store.statements import insert_new

_STANDS = text("state IN ('waiting', 'stands')")


class ExplanationRow(Table):
    """Why a pair of a day does not match. booked_fen: what it moved into the channel's account, if it moves money.

    Protects: a difference has one explanation that stands or waits. waiting: a second person is to decide.
    """

    __tablename__ = "statement_explanation"
    __table_args__ = (
        CheckConstraint(KINDS_CHECK, name="kind"),
        CheckConstraint("state IN ('waiting', 'stands', 'rejected', 'withdrawn')", name="state"),
        Index("uq_statement_explanation_difference", "account_id", "statement_date", "kind", "number", "bucket",
              unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    explanation_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    statement_date: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    bucket: Mapped[str] = mapped_column(Text)
    difference_fen: Mapped[int] = mapped_column(Fen)
    cause: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    lot_id: Mapped[int | None] = mapped_column(Integer)
    booked_fen: Mapped[int | None] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID] = mapped_column(Uuid)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)


class DayClosing(Table):
    """A day that was closed: body is canonical JSON of all its sums and explanations, seal a JWS over it."""

    __tablename__ = "day_closing"
    __table_args__ = (spread("account_id", "statement", append_only=True),)

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    statement_date: Mapped[str] = mapped_column(Text, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    closed_by: Mapped[UUID] = mapped_column(Uuid)
    closed_at: Mapped[datetime] = mapped_column(Instant)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(Bytes)
    seal: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Explanation:
    account_id: UUID
    explanation_id: UUID
    operator_id: UUID
    statement_date: str
    kind: str
    number: str
    bucket: str
    difference_fen: int
    cause: str
    note: str
    lot_id: int | None
    booked_fen: int | None
    state: str
    asked_by: UUID
    asked_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None

    @property
    def about(self) -> tuple[str, str, str, int]:
        """The difference that it explains; it fits as long as the difference is still this one."""
        return self.kind, self.number, self.bucket, self.difference_fen


@dataclass(frozen=True, slots=True)
class Closing:
    account_id: UUID
    statement_date: str
    operator_id: UUID
    closed_by: UUID
    closed_at: datetime
    body: str
    body_hash: bytes
    seal: str


def add_explanation(db: Session, explanation: Explanation) -> bool:
    """False if the id was there, or the difference has an explanation."""
    return insert_new(db, ExplanationRow, **{
        name: getattr(explanation, name) for name in Explanation.__dataclass_fields__})


def find_explanation(db: Session, operator_id: UUID, explanation_id: UUID) -> Explanation | None:
    found = db.execute(_select().where(
        ExplanationRow.operator_id == operator_id, ExplanationRow.explanation_id == explanation_id)).one_or_none()
    return None if found is None else Explanation(*found)


def list_explanations(db: Session, account_id: UUID, day: date) -> list[Explanation]:
    """All that was said of a day, what was withdrawn too; oldest first."""
    found = db.execute(_select().where(
        ExplanationRow.account_id == account_id, ExplanationRow.statement_date == day.isoformat(),
    ).order_by(ExplanationRow.asked_at, ExplanationRow.explanation_id))
    return [Explanation(*each) for each in found]


def count_unexplained(db: Session, account_id: UUID, day: date, reckoning: int) -> int:
    """Differences without an explanation that fits and stands."""
    row, difference = ExplanationRow, StatementDifference
    return int(db.execute(select(func.count()).select_from(difference).where(
        difference.account_id == account_id, difference.statement_date == day.isoformat(),
        difference.reckoning == reckoning,
        ~select(1).where(_fits(), row.state == "stands").exists())).scalar_one())


def list_unfounded(db: Session, account_id: UUID, day: date, reckoning: int) -> list[Explanation]:
    """Explanations that wait or stand, and whose difference there is no more; oldest first."""
    row = ExplanationRow
    found = db.execute(_select().where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.state.in_(("waiting", "stands")),
        ~select(1).where(_fits(), StatementDifference.reckoning == reckoning).exists(),
    ).order_by(row.asked_at, row.explanation_id))
    return [Explanation(*each) for each in found]


def _fits() -> Any:
    """What makes an explanation and a difference belong together: the account, the day and `about`."""
    row, difference = ExplanationRow, StatementDifference
    return and_(*(getattr(row, name) == getattr(difference, name) for name in (
        "account_id", "statement_date", "kind", "number", "bucket", "difference_fen")))


def change_explanation(
    db: Session, explanation: Explanation, *, state: str, by: UUID, now: datetime, booked_fen: int | None
) -> bool:
    """False if somebody else changed it first."""
    row = ExplanationRow
    done = db.execute(update(row).where(
        row.account_id == explanation.account_id, row.explanation_id == explanation.explanation_id,
        row.state == explanation.state,
    ).values(state=state, decided_by=by, decided_at=now, booked_fen=booked_fen))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def add_closing(db: Session, closing: Closing) -> bool:
    """False if the day was closed before."""
    return insert_new(db, DayClosing, **{name: getattr(closing, name) for name in Closing.__dataclass_fields__})


def find_closing(db: Session, account_id: UUID, day: date) -> Closing | None:
    row = DayClosing
    found = db.execute(select(*(getattr(row, name) for name in Closing.__dataclass_fields__)).where(
        row.account_id == account_id, row.statement_date == day.isoformat())).one_or_none()
    return None if found is None else Closing(*found)


def _select() -> Any:
    return select(*(getattr(ExplanationRow, name) for name in Explanation.__dataclass_fields__))
