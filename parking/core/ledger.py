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
    merchant/<merchant>   what a merchant owes the operator for visits that it validated
    bank/merchants        what merchants paid of that
    over_and_short/cash   what counts of drawers found too little (debit) or too much (credit)
    due_from_city/wallet  what the city's ledger owes the lot for visits that were paid from wallets

The city has a ledger of its own, kept like a lot's, under the number CITY; money between the two passes `interlot`, and
what a lot has as due from the city is what the city has as interlot of that lot:

    wallet/<driver>       what a driver's wallet holds (credit)
    clearing/<channel>    what the channel holds of top-ups, at the account of the operator that issues the wallets
    refunding/<channel>   what is taken out of wallets and the channel has not accepted yet
    interlot/<lot>        what the city owes a lot for visits paid from wallets (credit)
    difference/<channel>  as a lot's, of top-ups

    charge    receivable → payable     a charge was sealed
    credit    payable → receivable     it was taken back
    waiver    payable → receivable     the operator takes something off it, for a reason
    unwaived  receivable → payable     it did, and the charge came to less than that
    payment   clearing → receivable    the channel has the driver's money; of cash the drawer, of a wallet the city
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
    sponsored      merchant → payable  a charge was sealed that is lower by what merchants validated
    unsponsored    payable → merchant  that charge was taken back
    merchant_paid  bank → merchant     a merchant paid what it owes
    swept     bank → clearing          taken from the channel to the bank, by its bill of movements
    rounded   clearing ↔ difference    the channel's fees in whole fen, beside those booked with parts of a fen
    opened    clearing ↔ opening       the first day whose movements were read: what the account held
    commission       payable → earned  a settlement was closed: what the city keeps of a lot's payments
    commission_back  earned → payable  more was given back to drivers than was paid
    topup     clearing → wallet        a driver paid into a wallet
    spent     wallet → interlot        a visit is paid from it; at the lot, in the same transaction, the payment
    spent_back  interlot → wallet      that came back into it; at the lot, refund and returned
    withdrawn   wallet → refunding     a driver takes money out of it
    withdrawn_back  refunding → wallet the channel could not give it back

(debit → credit.)

A transfer is `posted` at once, or `pending` first: then it counts among what is expected, until one row
more names it, of the same accounts and amount: `post` (it counts), `void` (it will not come) or
`expire` (its time ran out). A payment is pending while its order can be paid.

An event, which is a kind and what it is for, is posted once; the same one again is the same transfer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from parking.core.identifier import derived_uuid
from parking.core.wallet import CHANNEL as WALLET

Phase = Literal["posted", "pending", "post", "void", "expire"]
PAYABLE = "payable/operator"
TRANSIT, BANK, OVER_AND_SHORT = "transit/cash", "bank/cash", "over_and_short/cash"
COMMISSION = "earned/commission"
MERCHANTS_BANK = "bank/merchants"
DUE_FROM_CITY = f"due_from_city/{WALLET}"
KINDS = (
    "charge", "credit", "waiver", "unwaived", "payment", "refund", "returned", "kept", "moved", "float", "payout",
    "over", "short", "deposit", "banked", "written_off", "written_back", "fee", "fee_back", "commission",
    "commission_back", "topup", "spent", "spent_back", "withdrawn", "withdrawn_back",
    "sponsored", "unsponsored", "merchant_paid",
    "swept", "rounded", "opened",
)
COUNTS: tuple[Phase, ...] = ("posted", "post")
ENDS: tuple[Phase, ...] = ("post", "void", "expire")
VISITS = "receivable"  # all visits' accounts together
WALLETS = "wallet"  # all wallets together
_DRAWER, _MERCHANT = "drawer/", "merchant/"
_HEX = re.compile(r"[0-9a-f]{32}", re.ASCII)


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


def holding(channel: str) -> str:
    """Which account of a lot has what was paid by a channel; of cash it is a drawer."""
    return DUE_FROM_CITY if channel == WALLET else clearing(channel)


def wallet(driver_id: UUID) -> str:
    return f"{WALLETS}/{driver_id.hex}"


def interlot(lot_id: int) -> str:
    return f"interlot/{lot_id}"


def visit_of(account: str) -> UUID | None:
    """The visit that an account is of, if it is a visit's."""
    kind, _, rest = account.partition("/")
    return UUID(rest) if kind == VISITS and rest else None


def drawer(drawer_id: int) -> str:
    return f"{_DRAWER}{drawer_id}"


def is_drawer(account: str) -> bool:
    return account.startswith(_DRAWER)


def merchant(merchant_id: UUID) -> str:
    return f"{_MERCHANT}{merchant_id.hex}"


def merchant_of(account: str) -> UUID | None:
    """The merchant that an account is of, if it is a merchant's."""
    name = account.removeprefix(_MERCHANT)
    return UUID(name) if name != account and _HEX.fullmatch(name) else None


def is_lasting(account: str) -> bool:
    """It gathers transfers for ever, so its balance is kept; a visit's has a handful and is added up."""
    return not account.startswith(f"{VISITS}/")
