"""Money goes into a wallet or out of it: what it holds, its line and the city's ledger, in one transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.wallet import CITY, SIGNS, MovementKind
from parking.store import transfers, wallets
from parking.store.payments import Payment
from parking.store.wallets import Wallet


def move_wallet(
    db: Session, held: Wallet, kind: MovementKind, *, amount_fen: int, beside: str, ref_id: UUID,
    visited_lot_id: int | None = None, channel: str | None = None, pending: ledger.Transfer | None = None,
    now: datetime,
) -> Wallet:
    """Move an amount between a locked wallet and another account of the city's; returns the wallet as it then is.

    The table refuses more than the wallet holds: who takes something out has looked.

    :param pending: the transfer that was expected, and counts by this
    """
    made = wallets.add_movement(
        db, held, kind, amount_fen=amount_fen, ref_id=ref_id, visited_lot_id=visited_lot_id, channel=channel, now=now)
    own = ledger.wallet(held.driver_id)
    debit, credit = (beside, own) if SIGNS[kind] > 0 else (own, beside)
    posted = ledger.end(pending, "post", now=now) if pending is not None else ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=amount_fen, ref_id=ref_id, now=now)
    transfers.post(db, posted, lot_id=CITY, operator_id=held.operator_id, now=now)
    return made


def restore(db: Session, payment: Payment, *, refund_id: UUID, amount_fen: int, now: datetime) -> None:
    """Give part or all of a payment from a wallet back into it, however much it then holds."""
    driver_id = wallets.find_spender(db, payment.payment_id)
    held = None if driver_id is None else wallets.lock_wallet(db, driver_id)
    assert held is not None, "the wallet that paid"
    move_wallet(
        db, held, "spent_back", amount_fen=amount_fen, beside=ledger.interlot(payment.lot_id), ref_id=refund_id,
        visited_lot_id=payment.lot_id, now=now)
