"""What a payment channel is to us: the calls we make, the events it sends, and how each can fail.

An adapter for each channel stands in `parking/adapters`; one contract test holds for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, Literal, Protocol

from parking.core.fund_bill import Purse

Way = Literal["qr", "redirect"]
PaymentState = Literal["unknown", "waiting", "paid", "closed"]
RefundState = Literal["accepted", "done", "failed"]


class ChannelUnavailable(Exception):
    """No answer, or one that says "later": the same call may be made again."""


class ChannelRefused(Exception):
    """The channel understood, and will not; `reason` is its own word. Nothing was moved."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoStatement(ChannelRefused):
    """The channel has no statement of that day: nothing was traded, or it is not made yet."""


class BadEvent(Exception):
    """What came is not this channel's word; `reason` says which check failed. Nothing is believed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Order:
    """What we ask a driver to pay. order_no: 32 hex digits, ours; it names one order for ever."""

    order_no: str
    amount_fen: int
    says: str
    expires_at: datetime
    way: Way
    return_url: str
    payer_ip: str = "127.0.0.1"


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
class ChannelEvent:
    """A callback that is believed. event_no: the channel's number of it, the same each time it is sent again."""

    event_no: str
    says: ChannelPayment | ChannelRefund


class Channel(Protocol):
    """A payment channel. Calls raise ChannelUnavailable or ChannelRefused; each can be repeated."""

    @property
    def name(self) -> str: ...

    @property
    def thanks(self) -> str:
        """The body that answers an event once it is written; without it the event is sent again."""

    def create_order(self, order: Order, *, now: datetime) -> str:
        """Announce an order; returns the text of the QR to show, or the address to go to.

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
