"""A driver pays into a wallet: an order is made, announced to the channel, and credited once when it is paid.

The money is at the account of the operator that issues the wallets, and in the city's ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.channel import ChannelPayment, Way
from parking.core.clock import city_date
from parking.core.identifier import derived_uuid
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CITY, TOP_UP_LIFE, check_top_up
from parking.services.connect import Channels
from parking.services.designate import desk_lot, get_issuer
from parking.services.move import move_wallet
from parking.services.pay import FIRST_QUERY_AFTER, set_aside
from parking.services.tell_order import Payer, tell_order
from parking.store import outbox_messages, payments, reckonings, top_ups, transfers, wallets
from parking.store.database import Database
from parking.store.top_ups import TopUp
from parking.store.wallets import Wallet


class TopUpIdReused(Exception):
    """The id names another top-up, or another order."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver wants: to pay so much into the wallet, by this channel, this way."""

    top_up_id: UUID
    driver_id: UUID
    amount_fen: int
    channel: str
    way: Way


def start_top_up(database: Database, channels: Channels, asked: Asked, payer: Payer, *, now: datetime) -> TopUp:
    """Make the order, announce it, and return it with what the driver needs to pay; again, it is the same order.

    One that is paid inside the channel's app is announced once it is known who pays (announce_top_up).

    :raises NoIssuer: the city has no wallets
    :raises BadTopUp, WalletTooFull: as check_top_up()
    :raises TopUpIdReused: the id names another
    :raises NotConnected: the issuer has no account at this channel, or it is not paid inside its app
    :raises ChannelUnavailable: the order stands; ask again with the same id
    :raises ChannelRefused: the channel will not take it
    """
    with database.reading() as db:
        issuer_id = get_issuer(db)
    account_id, _ = channels.of_operator(issuer_id, asked.channel)
    if asked.way == "in_app":
        channels.in_app_of(account_id)
    top_up = database.write(lambda db: _make_order(db, asked, issuer_id, account_id, now))
    return announce_top_up(database, channels, top_up, payer, now=now)


def announce_top_up(database: Database, channels: Channels, top_up: TopUp, payer: Payer, *, now: datetime) -> TopUp:
    """Announce an order that was made, if it is to be (tell_order); returns it with what the driver needs to pay.

    :raises ChannelUnavailable, ChannelRefused: as start_top_up
    """
    shown = tell_order(channels, top_up, payer, says="wallet", now=now)
    if shown is None:
        return top_up
    database.write(lambda db: top_ups.show_top_up(db, top_up, shown))
    with database.reading() as db:
        found = top_ups.find_top_up(db, top_up.top_up_id)
    assert found is not None
    return found


def _make_order(db: Session, asked: Asked, issuer_id: UUID, account_id: UUID, now: datetime) -> TopUp:
    known = _find_order(db, asked)
    if known is not None:
        return known
    wallets.open_wallet(db, asked.driver_id, operator_id=issuer_id, now=now)
    held = wallets.lock_wallet(db, asked.driver_id)
    assert held is not None
    known = _find_order(db, asked)  # somebody was quicker, with the same id
    if known is not None:
        return known
    check_top_up(
        asked.amount_fen, balance_fen=held.balance_fen, expected_fen=top_ups.sum_asked(db, asked.driver_id))
    made = TopUp(
        asked.top_up_id, held.operator_id, asked.driver_id, asked.channel, account_id, asked.way,
        asked.top_up_id.hex, asked.amount_fen, "asked", now, now + TOP_UP_LIFE, None, None, None, 0)
    if not top_ups.add_top_up(db, made):
        raise TopUpIdReused
    transfers.post(db, ledger.transfer(
        "topup", debit=ledger.clearing(asked.channel), credit=ledger.wallet(asked.driver_id),
        amount_fen=asked.amount_fen, ref_id=asked.top_up_id, now=now, pending_until=made.expires_at,
    ), lot_id=CITY, operator_id=held.operator_id, now=now)
    outbox_messages.add_message(
        db, lot_id=desk_lot(db, held.operator_id), kind="query_topup", body={"top_up_id": str(asked.top_up_id)},
        message_id=derived_uuid(now, "query_topup", asked.top_up_id), now=now, due_at=now + FIRST_QUERY_AFTER)
    return made


def _find_order(db: Session, asked: Asked) -> TopUp | None:
    """:raises TopUpIdReused: the id names another"""
    known = top_ups.find_top_up(db, asked.top_up_id)
    if known is None:
        return None
    if (known.driver_id, known.amount_fen, known.channel, known.way) != (
        asked.driver_id, asked.amount_fen, asked.channel, asked.way
    ):
        raise TopUpIdReused
    return known


def confirm_top_up(db: Session, account_id: UUID, said: ChannelPayment, *, now: datetime) -> None:
    """Believe the channel's word about a top-up of an account: credit it, close it, or set it aside."""
    known = payments.find_order(db, said.order_no, kind="topup", account_id=account_id)
    if known is None:
        if said.state == "paid":
            set_aside(db, account_id, said, "unknown_order", now)
        return
    held, top_up = _hold(db, known[1])
    if said.state == "closed" and top_up.state == "asked":
        top_ups.change_top_up(db, top_up, state="closed")
        _end_pending(db, top_up, "expire" if now >= top_up.expires_at else "void", now)
    if said.state != "paid" or (top_up.state == "paid" and top_up.transaction_no == said.transaction_no):
        return
    if top_up.state == "paid":
        set_aside(db, account_id, said, "paid_by_another_transaction", now)
    elif said.amount_fen != top_up.amount_fen:
        _dispute(db, account_id, top_up, said, "amount_differs", now)
    elif said.paid_at is None or not payments.claim_transaction(
        db, said.transaction_no, channel=top_up.channel, order_no=top_up.order_no, now=now
    ):
        _dispute(db, account_id, top_up, said, "transaction_credited_before", now)
    else:
        top_ups.change_top_up(
            db, top_up, state="paid", transaction_no=said.transaction_no, paid_at=said.paid_at)
        move_wallet(
            db, held, "topup", amount_fen=top_up.amount_fen, beside=ledger.clearing(top_up.channel),
            ref_id=top_up.top_up_id, channel=top_up.channel,
            pending=transfers.find_pending(db, CITY, "topup", top_up.top_up_id), now=now)
    day = city_date(said.paid_at, CHANNEL_ZONE) if said.paid_at else None
    reckonings.touch_movement(db, account_id, top_up.operator_id, number=top_up.order_no, day=day)


def _hold(db: Session, top_up_id: UUID) -> tuple[Wallet, TopUp]:
    """The wallet first, and under its lock the order as it now is."""
    found = top_ups.find_top_up(db, top_up_id)
    assert found is not None
    held = wallets.lock_wallet(db, found.driver_id)
    top_up = top_ups.find_top_up(db, top_up_id)
    assert held is not None and top_up is not None
    return held, top_up


def _dispute(db: Session, account_id: UUID, top_up: TopUp, said: ChannelPayment, why: str, now: datetime) -> None:
    """The channel says what our books do not bear: a person must look."""
    top_ups.change_top_up(db, top_up, state="disputed")
    _end_pending(db, top_up, "void", now)
    set_aside(db, account_id, said, why, now)


def _end_pending(db: Session, top_up: TopUp, phase: ledger.Phase, now: datetime) -> None:
    pending = transfers.find_pending(db, CITY, "topup", top_up.top_up_id)
    if pending is not None:
        transfers.post(
            db, ledger.end(pending, phase, now=now), lot_id=CITY, operator_id=top_up.operator_id, now=now)
