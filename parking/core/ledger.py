"""Double entry in whole fen: a transfer is one row with both sides, and is never changed.

The accounts of a lot:

    receivable/<session>  what a visit owes (debit) and was paid (credit); 0 when it is settled
    payable/operator      what is owed to the lot's operator for its charges
    clearing/<channel>    what the channel holds for us
    earned/commission     what the city keeps of it
    refunding/<channel>   what we promised to give back and the channel has not accepted yet
    drawer/<number>       the cash in a booth's drawer
    transit/cash          cash that was handed in, until a second person has taken it over
    bank/cash             cash that was taken over, less what drawers were given to begin with
    bank/<channel>        what was taken from a channel to the bank
    opening/<channel>     what a channel's account held, when its movements were first read, that our books did not know
    difference/<channel>  what statements of a channel said otherwise than our books, and was written off
    over_and_short/cash   what counts of drawers found too little (debit) or too much (credit)

    charge    receivable → payable     a charge was sealed
    credit    payable → receivable     it was taken back
    waiver    payable → receivable     the operator takes something off it, for a reason
    unwaived  receivable → payable     it did, and the charge came to less than that
    payment   clearing → receivable    the channel has the driver's money; of cash, the drawer
    refund    receivable → refunding   we owe it back
    returned  refunding → clearing     the channel accepted that it goes back
    kept      clearing → refunding     it did not: the channel has it still, and we still owe it
    moved     receivable → receivable  a voided visit's money goes to the one that replaced it
    float     drawer → bank            change was brought to a drawer as its shift began
    payout    refunding → drawer       cash was given back at a booth
    over      drawer → over_and_short  a count found more than there should be
    short     over_and_short → drawer  a count found less
    deposit   transit → drawer         a shift handed its takings in
    banked    bank → transit           they were taken over
    written_off   clearing ↔ difference   what a channel's statement says otherwise, by decision of a person
    written_back  difference ↔ clearing   that decision was taken back
    fee       payable → clearing       what a channel keeps of a closed day; the operator bears it
    fee_back  clearing → payable       it gave more of its fees back that day than it took
    withdrawn bank → clearing          taken from the channel to the bank, by its bill of movements
    rounded   clearing ↔ difference    the channel's fees in whole fen, beside those booked with parts of a fen
    opened    clearing ↔ opening       the first day whose movements were read: what the account held
    commission       payable → earned  a settlement was closed: what the city keeps of a lot's payments
    commission_back  earned → payable  more was given back to drivers than was paid

(debit → credit.)

A transfer is `posted` at once, or `pending` first: then it counts among what is expected, until one row
more names it, of the same accounts and amount: `post` (it counts), `void` (it will not come) or
`expire` (its time ran out). A payment is pending while its order can be paid.

An event, which is a kind and what it is for, is posted once; the same one again is the same transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from parking.core.identifier import derived_uuid

Phase = Literal["posted", "pending", "post", "void", "expire"]
PAYABLE = "payable/operator"
TRANSIT, BANK, OVER_AND_SHORT = "transit/cash", "bank/cash", "over_and_short/cash"
COMMISSION = "earned/commission"
KINDS = (
    "charge", "credit", "waiver", "unwaived", "payment", "refund", "returned", "kept", "moved", "float", "payout",
    "over", "short", "deposit", "banked", "written_off", "written_back", "fee", "fee_back", "commission",
    "commission_back", "withdrawn", "rounded", "opened",
)
COUNTS: tuple[Phase, ...] = ("posted", "post")
ENDS: tuple[Phase, ...] = ("post", "void", "expire")
VISITS = "receivable"  # all visits' accounts together
_DRAWER = "drawer/"


@dataclass(frozen=True, slots=True)
class Transfer:
    """amount_fen moves from `credit` to `debit`; ref_id is the charge, payment or refund it is for.

    pending_id: the pending transfer that this row ends. expires_at: when a pending one's time is over.
    """

    transfer_id: UUID
    kind: str
    debit: str
    credit: str
    amount_fen: int
    ref_id: UUID
    phase: Phase = "posted"
    pending_id: UUID | None = None
    expires_at: datetime | None = None

    @property
    def says(self) -> tuple[object, ...]:
        """What a repeat of it must say too."""
        return self.kind, self.phase, self.debit, self.credit, self.amount_fen, self.ref_id, self.pending_id


def transfer(
    kind: str, *, debit: str, credit: str, amount_fen: int, ref_id: UUID, now: datetime,
    pending_until: datetime | None = None,
) -> Transfer:
    """A transfer whose id follows from what it is for; pending_until: it is only expected, until then."""
    assert kind in KINDS and debit != credit and amount_fen > 0
    phase: Phase = "posted" if pending_until is None else "pending"
    return Transfer(
        derived_uuid(now, "transfer", kind, ref_id, phase), kind, debit, credit, amount_fen, ref_id, phase, None,
        pending_until)


def end(pending: Transfer, phase: Phase, *, now: datetime) -> Transfer:
    """The row that ends a pending transfer."""
    assert pending.phase == "pending" and phase in ENDS
    return Transfer(
        derived_uuid(now, "transfer", pending.transfer_id, phase), pending.kind, pending.debit, pending.credit,
        pending.amount_fen, pending.ref_id, phase, pending.transfer_id)


def receivable(parking_session_id: UUID) -> str:
    return f"{VISITS}/{parking_session_id.hex}"


def clearing(channel: str) -> str:
    return f"clearing/{channel}"


def bank(channel: str) -> str:
    return f"bank/{channel}"


def opening(channel: str) -> str:
    return f"opening/{channel}"


def refunding(channel: str) -> str:
    return f"refunding/{channel}"


def visit_of(account: str) -> UUID | None:
    """The visit that an account is of, if it is a visit's."""
    kind, _, rest = account.partition("/")
    return UUID(rest) if kind == VISITS and rest else None


def drawer(drawer_id: int) -> str:
    return f"{_DRAWER}{drawer_id}"


def is_drawer(account: str) -> bool:
    return account.startswith(_DRAWER)


def is_lasting(account: str) -> bool:
    """It gathers transfers for ever, so its balance is kept; a visit's has a handful and is added up."""
    return not account.startswith(f"{VISITS}/")
