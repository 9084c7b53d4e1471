"""What was said to payment channels and what they answered, masked, for a while."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, Text, delete, select, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.channel_message import ChannelMessage
from parking.store.columns import Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_all_new


class ChannelMessageRow(Table):
    """A call and its answer (core/channel_message.py). order_no: "" where it names no order and no refund."""

    __tablename__ = "channel_message"
    __table_args__ = (
        CheckConstraint("direction IN ('sent', 'received')", name="direction"),
        Index("ix_channel_message_at", "at"),
        spread("order_no", "channel_message"),
    )

    order_no: Mapped[str] = mapped_column(Text, primary_key=True)
    message_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid)
    at: Mapped[datetime] = mapped_column(Instant)
    direction: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    request_headers: Mapped[dict[str, str]] = mapped_column(Json)
    request_body: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(Integer)
    answer_headers: Mapped[dict[str, str] | None] = mapped_column(Json)
    answer_body: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    ms: Mapped[int] = mapped_column(Integer)


@dataclass(frozen=True, slots=True)
class KeptMessage:
    message_id: UUID
    account_id: UUID
    at: datetime
    says: ChannelMessage


def add_messages(db: Session, kept: Sequence[KeptMessage]) -> None:
    insert_all_new(db, ChannelMessageRow, [
        {"message_id": each.message_id, "account_id": each.account_id, "at": each.at, **asdict(each.says)}
        for each in kept])


def list_of_orders(db: Session, order_nos: Collection[str], *, limit: int) -> list[KeptMessage]:
    """The newest that name one of these orders or refunds, oldest first."""
    row = ChannelMessageRow
    found = db.execute(
        select(row).where(row.order_no.in_(order_nos)).order_by(row.at.desc(), row.message_id.desc()).limit(limit)
    ).scalars().all() if order_nos else []
    return [KeptMessage(each.message_id, each.account_id, each.at, _read(each)) for each in reversed(found)]


def delete_old(db: Session, *, before: datetime, limit: int) -> int:
    """Forget so many at most of those from before; returns how many."""
    row = ChannelMessageRow
    old = list(db.execute(select(row.order_no, row.message_id).where(row.at < before).limit(limit)))
    if old:
        db.execute(delete(row).where(tuple_(row.order_no, row.message_id).in_(old)))
    return len(old)


def _read(row: ChannelMessageRow) -> ChannelMessage:
    return ChannelMessage(**{name: getattr(row, name) for name in ChannelMessage.__dataclass_fields__})
