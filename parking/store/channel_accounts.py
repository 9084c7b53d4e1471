"""Operators' accounts at payment channels: whose money an order becomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Json, Table, Uuid, spread

_CONNECTED = text("disconnected_at IS NULL")


class ChannelAccountRow(Table):
    """A merchant's account; its keys are sealed. Protects: an operator takes money by one at a time.

    A disconnected one stays: its refunds and statements still come.
    """

    __tablename__ = "channel_account"
    __table_args__ = (
        Index("uq_channel_account_connected", "operator_id", "channel", unique=True,
              sqlite_where=_CONNECTED, postgresql_where=_CONNECTED),
        spread(None, "reference"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    channel: Mapped[str] = mapped_column(Text)
    merchant_no: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    secret_sealed: Mapped[bytes] = mapped_column(Bytes)
    connected_at: Mapped[datetime] = mapped_column(Instant)
    disconnected_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class ChannelAccount:
    """settings: what is no secret; secret_sealed: the keys, sealed for this account."""

    account_id: UUID
    operator_id: UUID
    channel: str
    merchant_no: str
    settings: dict[str, Any]
    secret_sealed: bytes
    disconnected_at: datetime | None


@dataclass(frozen=True, slots=True)
class Connection:
    """An account, and since when and until when it took money."""

    account: ChannelAccount
    connected_at: datetime
    disconnected_at: datetime | None


def find_account(db: Session, account_id: UUID) -> ChannelAccount | None:
    return _one(db, ChannelAccountRow.account_id == account_id)


def find_connected(db: Session, operator_id: UUID, channel: str) -> ChannelAccount | None:
    """The account by which an operator takes money now."""
    row = ChannelAccountRow
    return _one(db, row.operator_id == operator_id, row.channel == channel, row.disconnected_at.is_(None))


def list_connected(db: Session, operator_id: UUID) -> set[str]:
    """The channels by which an operator takes money now."""
    row = ChannelAccountRow
    return set(db.execute(select(row.channel).where(
        row.operator_id == operator_id, row.disconnected_at.is_(None))).scalars())


def list_of_operator(db: Session, operator_id: UUID, channel: str | None = None) -> list[ChannelAccount]:
    """Every account an operator has had, or has had at a channel: connected ones first, then the newest."""
    row = ChannelAccountRow
    found = db.execute(select(row).where(
        row.operator_id == operator_id, *([] if channel is None else [row.channel == channel])).order_by(
        row.disconnected_at.is_not(None), row.connected_at.desc(), row.account_id)).scalars()
    return [_read(each) for each in found]


def list_connections(db: Session, operator_id: UUID) -> list[Connection]:
    """Every account an operator has had, at all channels, in the order in which they were connected."""
    row = ChannelAccountRow
    found = db.execute(select(row).where(row.operator_id == operator_id).order_by(
        row.connected_at, row.account_id)).scalars()
    return [Connection(_read(each), each.connected_at, each.disconnected_at) for each in found]


def list_accounts(db: Session) -> list[ChannelAccount]:
    row = ChannelAccountRow
    return [_read(each) for each in db.execute(select(row).order_by(row.connected_at)).scalars()]


def add_account(db: Session, *, account: ChannelAccount, now: datetime) -> None:
    db.execute(insert(ChannelAccountRow).values(
        account_id=account.account_id, operator_id=account.operator_id, channel=account.channel,
        merchant_no=account.merchant_no, settings=account.settings, secret_sealed=account.secret_sealed,
        connected_at=now))


def renew_account(db: Session, account_id: UUID, *, settings: dict[str, Any], secret_sealed: bytes) -> None:
    """New keys or addresses of the same account; it is connected, if it was not."""
    db.execute(update(ChannelAccountRow).where(ChannelAccountRow.account_id == account_id)
               .values(settings=settings, secret_sealed=secret_sealed, disconnected_at=None))


def disconnect_account(db: Session, account_id: UUID, *, now: datetime) -> None:
    db.execute(update(ChannelAccountRow).where(ChannelAccountRow.account_id == account_id)
               .values(disconnected_at=now))


def _one(db: Session, *where: Any) -> ChannelAccount | None:
    found = db.execute(select(ChannelAccountRow).where(*where)).scalar_one_or_none()
    return None if found is None else _read(found)


def _read(row: ChannelAccountRow) -> ChannelAccount:
    return ChannelAccount(
        row.account_id, row.operator_id, row.channel, row.merchant_no, row.settings, row.secret_sealed,
        row.disconnected_at)
