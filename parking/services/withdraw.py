"""A driver takes money out of a wallet: it goes back by the way top-ups came, the newest first.

It leaves the wallet at once; what a channel cannot give back comes back into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.channel import ChannelRefund
from parking.core.clock import city_date
from parking.core.identifier import derived_uuid, sibling_uuid
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CITY, take_from
from parking.services.designate import desk_lot
from parking.services.move import move_wallet
from parking.services.refund import set_refund_aside
from parking.store import outbox_messages, payments, reckonings, top_ups, transfers, wallets
from parking.store.top_ups import TopUp, Withdrawal
from parking.store.wallets import Wallet

WHY = "wallet"  # what the channel is told


class WithdrawalIdReused(Exception):
    """The id was used before, for another amount."""


class MoreThanHeld(Exception):
    """The wallet does not hold so much, or nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver wants back. amount_fen: None for all there is."""

    request_id: UUID
    driver_id: UUID
    amount_fen: int | None


def withdraw(db: Session, asked: Asked, *, now: datetime) -> list[tuple[Withdrawal, str]]:
    """Take money out; what goes back through each channel. The same id again is the same withdrawal.

    :raises MoreThanHeld: nothing was done
    :raises WithdrawalIdReused: the id was used for another amount
    """
    held = wallets.lock_wallet(db, asked.driver_id)
    known = top_ups.list_of_request(db, asked.driver_id, asked.request_id)
    if known:
        if any(each.asked_fen != asked.amount_fen for each, _ in known):
            raise WithdrawalIdReused
        return known
    amount_fen = asked.amount_fen if asked.amount_fen is not None or held is None else held.balance_fen
    if held is None or not amount_fen or not 0 < amount_fen <= held.balance_fen:
        raise MoreThanHeld
    paid = top_ups.list_paid(db, asked.driver_id)
    for top_up, part in zip(
        paid, take_from((each.amount_fen - each.withdrawn_fen for each in paid), amount_fen), strict=True
    ):
        if part:
            held = _give_back(db, held, asked, top_up, part, now)
    return top_ups.list_of_request(db, asked.driver_id, asked.request_id)


def _give_back(db: Session, held: Wallet, asked: Asked, top_up: TopUp, fen: int, now: datetime) -> Wallet:
    withdrawal_id = sibling_uuid(asked.request_id, "withdrawal", asked.driver_id, top_up.top_up_id)
    made = Withdrawal(
        withdrawal_id, held.operator_id, asked.driver_id, asked.request_id, asked.amount_fen, top_up.top_up_id,
        withdrawal_id.hex, fen, "asked", now, None, None)
    is_new = top_ups.add_withdrawal(db, made, account_id=top_up.account_id)
    assert is_new, "its id is of the request and the top-up"
    top_ups.change_withdrawn(db, top_up.top_up_id, by_fen=fen)
    outbox_messages.add_message(
        db, lot_id=desk_lot(db, held.operator_id), kind="send_withdrawal", body={"withdrawal_id": str(withdrawal_id)},
        message_id=derived_uuid(now, "send_withdrawal", withdrawal_id), now=now)
    return move_wallet(
        db, held, "withdrawn", amount_fen=fen, beside=ledger.refunding(top_up.channel), ref_id=withdrawal_id,
        channel=top_up.channel, now=now)


def note_withdrawal(db: Session, account_id: UUID, said: ChannelRefund, *, now: datetime) -> None:
    """Believe the channel's word about what goes back.

    Once it said that it cannot give it back the wallet has the money again: another word after that is set aside.
    """
    known = payments.find_order(db, said.refund_no, kind="topup_refund", account_id=account_id)
    if known is None:
        return
    held, withdrawal, top_up = _hold(db, known[1])
    if said.amount_fen not in (0, withdrawal.amount_fen):  # 0: it did not say
        set_refund_aside(db, account_id, said, "refund_differs", withdrawal.asked_at, now)
        return
    if withdrawal.state in ("done", said.state) or (withdrawal.state == "failed" and said.state == "accepted"):
        return
    if withdrawal.state == "failed":
        set_refund_aside(db, account_id, said, "refunded_after_failure", withdrawal.asked_at, now)
        return
    was_accepted = withdrawal.state == "accepted"
    if said.state == "failed":
        if was_accepted:
            _post(db, "kept", withdrawal, top_up.channel, now)
        top_ups.change_withdrawn(db, top_up.top_up_id, by_fen=-withdrawal.amount_fen)
        move_wallet(
            db, held, "withdrawn_back", amount_fen=withdrawal.amount_fen, beside=ledger.refunding(top_up.channel),
            ref_id=withdrawal.withdrawal_id, channel=top_up.channel, now=now)
    elif not was_accepted:
        _post(db, "returned", withdrawal, top_up.channel, now)
    accepted_at = withdrawal.accepted_at or said.accepted_at or now
    top_ups.change_withdrawal(
        db, withdrawal, state=said.state, accepted_at=accepted_at,
        channel_refund_no=said.channel_refund_no or withdrawal.channel_refund_no)
    reckonings.touch_movement(
        db, account_id, withdrawal.operator_id, number=withdrawal.refund_no, day=city_date(accepted_at, CHANNEL_ZONE))


def _hold(db: Session, withdrawal_id: UUID) -> tuple[Wallet, Withdrawal, TopUp]:
    """The wallet first, and under its lock the withdrawal as it now is."""
    found = top_ups.find_withdrawal(db, withdrawal_id)
    assert found is not None
    held = wallets.lock_wallet(db, found.driver_id)
    withdrawal, top_up = top_ups.find_withdrawal(db, withdrawal_id), top_ups.find_top_up(db, found.top_up_id)
    assert held is not None and withdrawal is not None and top_up is not None
    return held, withdrawal, top_up


def _post(db: Session, kind: str, withdrawal: Withdrawal, channel: str, now: datetime) -> None:
    sides = [ledger.refunding(channel), ledger.clearing(channel)]
    debit, credit = sides if kind == "returned" else sides[::-1]
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=withdrawal.amount_fen, ref_id=withdrawal.withdrawal_id, now=now,
    ), lot_id=CITY, operator_id=withdrawal.operator_id, now=now)
