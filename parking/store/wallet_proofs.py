"""What the nightly proof compares of wallets and of the city's ledger (services/prove.py).

Each comparison reads both of its sides in one statement, and gives the rows where they differ.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Subquery, func, literal, select
from sqlalchemy.orm import Session

from parking.core.ledger import COUNTS, DUE_FROM_CITY, WALLETS, interlot, refunding
from parking.core.wallet import CHANNEL, CITY, SIGNS
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.ledger_proofs import Difference, differences
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.top_ups import TopUpRow, WithdrawalRow
from parking.store.transfers import LedgerBalance, LedgerTransfer
from parking.store.wallets import WalletMovement, WalletRow


def compare_held(db: Session) -> list[Difference]:
    """What a wallet's row says it holds, beside its movements, then beside its account in the ledger."""
    row, movement = WalletRow, WalletMovement
    moved = select(movement.driver_id.label("id"), func.sum(movement.amount_fen).label("fen")).where(
        movement.lot_id == CITY).group_by(movement.driver_id).subquery()
    is_sqlite = db.get_bind().dialect.name == "sqlite"
    in_hex = func.lower(func.hex(row.driver_id)) if is_sqlite else func.encode(row.driver_id, "hex")
    held = select((literal(f"{WALLETS}/") + in_hex).label("id"), row.balance_fen.label("fen")).where(
        row.lot_id == CITY).subquery()
    found = differences(db.execute(
        select(row.driver_id, func.coalesce(moved.c.fen, 0), row.balance_fen)
        .outerjoin(moved, moved.c.id == row.driver_id)
        .where(row.lot_id == CITY, func.coalesce(moved.c.fen, 0) != row.balance_fen)))
    return found + _unlike(db, held, _wallet_accounts(), is_nothing_missing=True)


def compare_moved(db: Session) -> list[tuple[str, Difference]]:
    """Each kind of movement with those that are not in the ledger, or not in their own table, as they are here."""
    movement, transfer = WalletMovement, LedgerTransfer
    found: list[tuple[str, Difference]] = []
    for kind, sign in SIGNS.items():
        moved = select(movement.ref_id.label("id"), (sign * movement.amount_fen).label("fen")).where(
            movement.lot_id == CITY, movement.kind == kind).subquery()
        posted = select(transfer.ref_id.label("id"), transfer.amount_fen.label("fen")).where(
            transfer.lot_id == CITY, transfer.kind == kind, transfer.phase.in_(COUNTS)).subquery()
        event = _events()[kind].subquery()
        found += [(f"{kind}_posted", each) for each in _unlike(db, moved, posted)]
        found += [(f"{kind}_moved", each) for each in _unlike(db, event, moved)]
    return found


def compare_withdrawn(db: Session) -> list[Difference]:
    """What a top-up's row says goes back, beside its withdrawals that did not fail."""
    row, withdrawal = TopUpRow, WithdrawalRow
    sums = select(withdrawal.top_up_id.label("id"), func.sum(withdrawal.amount_fen).label("fen")).where(
        withdrawal.lot_id == CITY, withdrawal.state != "failed").group_by(withdrawal.top_up_id).subquery()
    return differences(db.execute(
        select(row.top_up_id, func.coalesce(sums.c.fen, 0), row.withdrawn_fen)
        .outerjoin(sums, sums.c.id == row.top_up_id)
        .where(row.lot_id == CITY, func.coalesce(sums.c.fen, 0) != row.withdrawn_fen)))


def compare_under_way(db: Session) -> list[Difference]:
    """What channels have still to take on, beside the ledger's accounts of it."""
    withdrawal, top_up, balance = WithdrawalRow, TopUpRow, LedgerBalance
    asked = {refunding(each[0]): int(each[1]) for each in db.execute(
        select(top_up.channel, func.sum(withdrawal.amount_fen)).join(
            top_up, (top_up.lot_id == withdrawal.lot_id) & (top_up.top_up_id == withdrawal.top_up_id))
        .where(withdrawal.lot_id == CITY, withdrawal.state == "asked").group_by(top_up.channel))}
    owed = {each[0]: int(each[1]) for each in db.execute(
        select(balance.account, balance.credit_fen - balance.debit_fen).where(
            balance.lot_id == CITY, balance.account.like("refunding/%")))}
    return _list_unlike(asked, owed)


def compare_interlot(db: Session) -> list[Difference]:
    """What the city has as owed to each lot, beside what the lot has as due from the city."""
    balance = LedgerBalance
    due = {interlot(each[0]): int(each[1]) for each in db.execute(
        select(balance.lot_id, balance.debit_fen - balance.credit_fen).where(balance.account == DUE_FROM_CITY))}
    owed = {each[0]: int(each[1]) for each in db.execute(
        select(balance.account, balance.credit_fen - balance.debit_fen).where(
            balance.lot_id == CITY, balance.account.like("interlot/%")))}
    return _list_unlike(due, owed)


def _events() -> dict[str, Select[Any, Any]]:
    """The rows that movements are of: id and fen."""
    top_up, withdrawal, payment, refund = TopUpRow, WithdrawalRow, PaymentRow, RefundRow
    by_wallet = payment.account_id.in_(select(ChannelAccountRow.account_id).where(ChannelAccountRow.channel == CHANNEL))
    taken_out = select(withdrawal.withdrawal_id.label("id"), withdrawal.amount_fen.label("fen")).where(
        withdrawal.lot_id == CITY)
    return {
        "topup": select(top_up.top_up_id.label("id"), top_up.amount_fen.label("fen")).where(
            top_up.lot_id == CITY, top_up.state == "paid"),
        "withdrawn": taken_out,
        "withdrawn_back": taken_out.where(withdrawal.state == "failed"),
        "spent": select(payment.payment_id.label("id"), payment.amount_fen.label("fen")).where(by_wallet),
        "spent_back": select(refund.refund_id.label("id"), refund.amount_fen.label("fen")).join(
            payment, (payment.lot_id == refund.lot_id) & (payment.payment_id == refund.payment_id)).where(by_wallet),
    }


def _wallet_accounts() -> Subquery:
    balance = LedgerBalance
    return select(balance.account.label("id"), (balance.credit_fen - balance.debit_fen).label("fen")).where(
        balance.lot_id == CITY, balance.account.like(f"{WALLETS}/%")).subquery()


def _unlike(db: Session, one: Subquery, other: Subquery, *, is_nothing_missing: bool = False) -> list[Difference]:
    """Rows of either that the other has not, or with another amount.

    :param is_nothing_missing: a row of no fen may be missing
    """
    unlike = func.coalesce(other.c.fen, 0) != one.c.fen if is_nothing_missing else (
        other.c.fen.is_(None) | (other.c.fen != one.c.fen))
    alone = one.c.id.is_(None)
    return differences(db.execute(
        select(one.c.id, one.c.fen, other.c.fen).outerjoin(other, other.c.id == one.c.id).where(unlike))
    ) + differences(db.execute(
        select(other.c.id, one.c.fen, other.c.fen).outerjoin(one, one.c.id == other.c.id).where(
            alone & (other.c.fen != 0) if is_nothing_missing else alone)))


def _list_unlike(expected: dict[str, int], found: dict[str, int]) -> list[Difference]:
    return [Difference(of, expected.get(of, 0), found.get(of, 0)) for of in sorted({*expected, *found})
            if expected.get(of, 0) != found.get(of, 0)]
