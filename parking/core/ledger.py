"""Double entry in whole fen: a transfer is one row with both sides, and is never changed.

The accounts of a lot:

    receivable/<session>  what a visit owes (debit) and was paid (credit); 0 when it is settled
    payable/operator      what is owed to the lot's operator for its charges
    clearing/<channel>    what the channel holds for us
    refunding/<channel>   what we promised to give back and the channel has not accepted yet

    charge    receivable → payable     a charge was sealed
    credit    payable → receivable     it was taken back
    payment   clearing → receivable    the channel has the driver's money
    refund    receivable → refunding   we owe it back
    returned  refunding → clearing     the channel accepted that it goes back
    kept      clearing → refunding     it did not: the channel has it still, and we still owe it
    moved     receivable → receivable  a voided visit's money goes to the one that replaced it

(debit → credit.) The rows of one kind and one ref are one: the same event twice is one transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from parking.core.identifier import derived_uuid

PAYABLE = "payable/operator"
KINDS = ("charge", "credit", "payment", "refund", "returned", "kept", "moved")


@dataclass(frozen=True, slots=True)
class Transfer:
    """amount_fen moves from `credit` to `debit`; ref_id is the charge, payment or refund it is for."""

    transfer_id: UUID
    kind: str
    debit: str
    credit: str
    amount_fen: int
    ref_id: UUID


def transfer(kind: str, *, debit: str, credit: str, amount_fen: int, ref_id: UUID, now: datetime) -> Transfer:
    """A transfer whose id follows from what it is for."""
    assert kind in KINDS and debit != credit and amount_fen > 0
    return Transfer(derived_uuid(now, "transfer", kind, ref_id), kind, debit, credit, amount_fen, ref_id)


def receivable(parking_session_id: UUID) -> str:
    return f"receivable/{parking_session_id.hex}"


def clearing(channel: str) -> str:
    return f"clearing/{channel}"


def refunding(channel: str) -> str:
    return f"refunding/{channel}"
