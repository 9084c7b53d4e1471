"""What a payment channel is to us: the calls we make, the events it sends, and how each can fail.

An adapter for each channel stands in `parking/adapters`; one contract test holds for all of them. What a channel must
know to take a fee when the driver has left is apart (`Deducts`), with a contract test of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, Literal, Protocol, runtime_checkable

from parking.core.fund_bill import Purse

Way = Literal["qr", "redirect", "in_app"]
PaymentState = Literal["unknown", "waiting", "paid", "closed"]
RefundState = Literal["accepted", "done", "failed"]
AgreementState = Literal["unknown", "active", "ended"]
StayState = Literal["normal", "blocked"]


class ChannelUnavailable(Exception):
    """No answer, or one that says "later": the same call may be made again."""


class ChannelRefused(Exception):
    """The channel understood, and will not; `reason` is its own word. Nothing was moved."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DeductionRefused(ChannelRefused):
    """No money was taken. may_later: for want of money, so the same deduction may be asked again on another day."""

    def __init__(self, reason: str, *, may_later: bool) -> None:
        super().__init__(reason)
        self.may_later = may_later


class BadPayerCode(ChannelRefused):
    """What came back from the channel's app tells nobody: used before, too old, or made up."""


class NoStatement(ChannelRefused):
    """The channel has no statement of that day: nothing was traded, or it is not made yet."""


class BadEvent(Exception):
    """What came is not this channel's word; `reason` says which check failed. Nothing is believed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Order:
    """What we ask a driver to pay. order_no: 32 hex digits, ours; it names one order for ever.

    payer: who pays, of an order that is paid inside the channel's app (InApp).
    """

    order_no: str
    amount_fen: int
    says: str
    expires_at: datetime
    way: Way
    return_url: str
    payer_ip: str = "127.0.0.1"
    payer: str = ""


@dataclass(frozen=True, slots=True)
class ChannelPayment:
    """What the channel says of an order. amount_fen, transaction_no and paid_at: once it is paid."""

    order_no: str
    state: PaymentState
    amount_fen: int = 0
    transaction_no: str = ""
    paid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelRefund:
    """What the channel says of a refund; its own number once it was accepted.

    accepted_at: by the channel's clock, by which its statement puts the refund into a day; None: it did not say.
    """

    refund_no: str
    state: RefundState
    channel_refund_no: str = ""
    amount_fen: int = 0
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelAgreement:
    """What the channel says of an agreement of ours. channel_no: its own number of it, once it was signed.

    at: when it came to this, by the channel's clock; None: it did not say.
    """

    agreement_no: str
    state: AgreementState
    channel_no: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle's stay as a channel is told of it. stay_no: 32 hex digits, ours; it names one stay for ever.

    plate: in clear; the adapter needs it, and what is kept of its messages does not show it.
    """

    stay_no: str
    plate: str
    plate_kind: str
    entered_at: datetime
    lot_name: str
    free_seconds: int = 0


@dataclass(frozen=True, slots=True)
class ChannelStay:
    """What the channel says of a stay: may its fee be deducted? why: its own word where not.

    at: when it came to this, by the channel's clock; None: it did not say.
    """

    stay_no: str
    state: StayState
    channel_no: str = ""
    why: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deduction:
    """A fee to be taken by an agreement. order_no: as of an Order; agreement_no: the channel's number.

    stay, stay_channel_no: where the channel is told of stays; left_at: when it ended; gate: where, in a few letters.
    """

    order_no: str
    amount_fen: int
    says: str
    agreement_no: str
    expires_at: datetime
    left_at: datetime
    gate: str
    stay: Stay | None = None
    stay_channel_no: str = ""


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """A callback that is believed. event_no: the channel's number of it, the same each time it is sent again."""

    event_no: str
    says: ChannelPayment | ChannelRefund | ChannelAgreement | ChannelStay

    @property
    def number(self) -> str:
        """Ours, of what it is about."""
        if isinstance(self.says, ChannelPayment):
            return self.says.order_no
        if isinstance(self.says, ChannelRefund):
            return self.says.refund_no
        return self.says.agreement_no if isinstance(self.says, ChannelAgreement) else self.says.stay_no


class Channel(Protocol):
    """A payment channel. Calls raise ChannelUnavailable or ChannelRefused; each can be repeated."""

    @property
    def name(self) -> str: ...

    @property
    def thanks(self) -> str:
        """The body that answers an event once it is written; without it the event is sent again."""

    def create_order(self, order: Order, *, now: datetime) -> str:
        """Announce an order; returns the text of the QR to show, the address to go to, or what the app is handed.

        The same order again is the same order, whatever text it comes with; one with another amount is
        refused as soon as the channel knows the first, and so is one that is paid or closed: by this call, or
        where the address leads to.
        """

    def query_order(self, order_no: str, *, now: datetime) -> ChannelPayment:
        """The channel's truth about an order.

        `unknown` if it never heard of it; some channels hear of an order only once somebody opens it.
        """

    def close_order(self, order_no: str, *, now: datetime) -> None:
        """From now on nobody can pay it; one that is unknown, or over already, stays as it is.

        An order that nobody opened may be unknown and opened yet: it ends by its expires_at.
        """

    def refund(
        self, *, order_no: str, refund_no: str, amount_fen: int, total_fen: int, why: str, now: datetime
    ) -> ChannelRefund:
        """Give money back; the same refund_no again is the same refund. Refused: more than was paid."""

    def query_refund(self, refund_no: str, *, order_no: str, now: datetime) -> ChannelRefund:
        """What became of a refund of this order; refused if there is none of this number."""

    def fetch_statement(self, day: date, into: BinaryIO, *, now: datetime) -> int:
        """Write the channel's statement of a day that is over, as the channel keeps it; returns its bytes.

        :raises NoStatement: there is none, or not yet
        """

    def fetch_funds(self, day: date, purse: Purse, into: BinaryIO, *, now: datetime) -> int:
        """Write the channel's bill of the movements of a purse, of a day that is over; returns its bytes.

        :raises NoStatement: there is none, or not yet, or no such purse
        """

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ChannelEvent:
        """What a callback says, once its signature, age and addressee were checked.

        :raises BadEvent: it is not to be believed
        """


@runtime_checkable
class InApp(Protocol):
    """What a channel does to be paid inside its own app, which must know who pays: orders of the way `in_app`.

    What create_order returns of one is a JSON object, which the page hands to the app. It is for that payer alone.
    """

    @property
    def asks_payers(self) -> bool:
        """Whether it can be found out who holds the phone; else the caller must know the payer."""

    def ask_payer(self, *, return_url: str) -> str:
        """Where the app's browser is sent; it comes back to return_url with a `code`."""

    def find_payer(self, code: str) -> str:
        """Who came back with a code, as the channel names a payer to this account. A code counts once.

        :raises BadPayerCode: no code, an old one, or one that was used
        :raises ChannelRefused: it tells us nothing of payers
        """


@runtime_checkable
class Deducts(Protocol):
    """What a channel does to take a fee after the vehicle has left. Calls fail as a Channel's do, and can be repeated.

    Its callbacks come as the Channel's do, and its deductions are refunded and stand in its statements as payments.
    """

    @property
    def is_signed(self) -> bool:
        """The driver signs an agreement at the channel; else it deducts by stays that it was told of."""

    def sign(self, agreement_no: str, *, return_url: str, now: datetime) -> str:
        """Where the driver goes to sign; "" where nothing is to be signed."""

    def query_agreement(self, agreement_no: str, *, now: datetime) -> ChannelAgreement:
        """The channel's truth about an agreement; `unknown` until it was signed."""

    def end_agreement(self, agreement_no: str, *, channel_no: str, now: datetime) -> None:
        """From now on it allows no new deduction; one that is unknown, or over already, stays as it is."""

    def announce_stay(self, stay: Stay, *, now: datetime) -> ChannelStay:
        """Tell of an entry; the same stay_no again is the same stay, and another number another stay."""

    def deduct(self, deduction: Deduction, *, now: datetime) -> ChannelPayment:
        """Ask for the fee: `paid` at once, or `waiting` where the channel took it on and tells later.

        The same deduction again is the same deduction: no money is taken twice.

        :raises DeductionRefused: none was taken
        """

    def query_deduction(self, order_no: str, *, now: datetime) -> ChannelPayment:
        """The channel's truth about a deduction: as query_order; `closed` where it was taken on and came to nothing."""
