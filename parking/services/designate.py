"""An operator issues the city's wallets: drivers pay into them through its accounts at channels."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.store import lots, operators, wallets


class NoIssuer(Exception):
    """The city has no wallets: no operator was designated to issue them."""


class CannotIssue(Exception):
    """There is no such operator, it has no lot, or another one's wallets are in use."""


def designate_issuer(db: Session, operator_id: UUID, *, now: datetime) -> None:
    """Have an operator issue the city's wallets from now on; the same again changes nothing.

    Once a driver has a wallet it stays with its issuer, whose accounts hold the money.

    :raises CannotIssue: with the reason
    """
    issuer_id = wallets.find_issuer(db)
    if issuer_id == operator_id:
        return
    if not operators.is_operator(db, operator_id):
        raise CannotIssue(f"there is no operator {operator_id}")
    if not lots.list_lots_with_occupancy(db, operator_id=operator_id):
        raise CannotIssue("the operator has no lot")
    if issuer_id is not None and wallets.has_wallets(db):
        raise CannotIssue(f"drivers have wallets of operator {issuer_id}")
    wallets.put_issuer(db, operator_id, now=now)


def get_issuer(db: Session) -> UUID:
    """:raises NoIssuer:"""
    issuer_id = wallets.find_issuer(db)
    if issuer_id is None:
        raise NoIssuer
    return issuer_id


def desk_lot(db: Session, issuer_id: UUID) -> int:
    """Where what the worker must do for wallets stands: the issuer's first lot, whose people see what fails."""
    return min(lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=issuer_id))
