"""What a closed settlement comes to goes to the operator's bank account, by a file that a bank takes."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.bank import BankAccount
from parking.core.credit_transfer import CreditTransfer
from parking.services.settle import find_settlement
from parking.store import operators


class CannotRemit(Exception):
    """reason: not_closed, nothing_to_pay, no_bank_account (of the operator's), no_payer (nobody said who pays)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def find_transfer(
    db: Session, operator_id: UUID, settlement_id: UUID, *, payer: BankAccount | None, on: date
) -> CreditTransfer:
    """The one credit transfer of a settlement; its id is the settlement's, so that a bank pays it once.

    :raises NoSettlement: none of the operator's
    :raises CannotRemit: why there is nothing that could be paid
    """
    kept = find_settlement(db, operator_id, settlement_id)
    made, to_pay_fen = kept.settlement, kept.figures.to_pay_fen
    payee = operators.find_bank(db, operator_id)
    for is_so, reason in (
        (made.state != "closed", "not_closed"), (to_pay_fen <= 0, "nothing_to_pay"),
        (payee is None, "no_bank_account"), (payer is None, "no_payer"),
    ):
        if is_so:
            raise CannotRemit(reason)
    assert payee is not None and payer is not None
    return CreditTransfer(
        settlement_id.hex, to_pay_fen, payer, payee, f"Parking settlement {made.number}, {made.first} to {made.last}",
        on)
