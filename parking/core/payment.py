"""What was paid for a visit, and the time that paying gives to leave.

A driver who has paid all that was due may leave until `leave_by_at` without paying more; the fee
of that time is taken off in a line of its own. Times of payments are the channel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from parking.core.context import NO_CONTEXT
from parking.core.price import SMALL, Line, Quote, Vehicle, price
from parking.core.tariff import Tariff

EXIT_ALLOWANCE = timedelta(minutes=15)
ORDER_LIFE = timedelta(minutes=5)
LEAST_TO_PAY_IN = timedelta(minutes=1)  # an order with less is not begun inside an app; WeChat lets none live shorter
MoneyState = Literal["nothing_due", "due", "paid", "pay_later", "arrears", "waived", "refunded"]


def is_too_late_in_app(expires_at: datetime, *, now: datetime) -> bool:
    """Whether an order ends too soon to be begun inside a channel's app."""
    return now > expires_at - LEAST_TO_PAY_IN


@dataclass(frozen=True, slots=True)
class Paid:
    """fen: paid less refunded. Everything until paid_until_at is paid; leave_by_at is when that ends."""

    fen: int = 0
    paid_until_at: datetime | None = None
    leave_by_at: datetime | None = None

    def lets_leave(self, at: datetime) -> bool:
        return self.paid_until_at is not None and self.leave_by_at is not None and (
            self.paid_until_at < at <= self.leave_by_at)

    def allowance_at(self, left_at: datetime | None) -> tuple[datetime, datetime] | None:
        """The allowance, if a visit that ended then makes use of it."""
        if left_at is None or not self.lets_leave(left_at):
            return None
        assert self.paid_until_at is not None and self.leave_by_at is not None
        return self.paid_until_at, self.leave_by_at

    def joined(self, other: Paid) -> Paid:
        """Both together; in either order."""
        untils = [each.paid_until_at for each in (self, other) if each.paid_until_at]
        ends = [each.leave_by_at for each in (self, other) if each.leave_by_at]
        return Paid(self.fen + other.fen, max(untils, default=None), max(ends, default=None))


NOTHING_PAID = Paid()


def price_stay(
    tariff: Tariff, *, entered_at: datetime, left_at: datetime, paid: Paid = NOTHING_PAID,
    vehicle: Vehicle = SMALL, context: Mapping[str, Any] = NO_CONTEXT,
) -> Quote:
    """The price of a stay, less what it grew by during the exit allowance.

    :raises CannotPrice: as price()
    """
    quote = price(tariff, entered_at=entered_at, left_at=left_at, vehicle=vehicle, context=context)
    allowance = paid.allowance_at(left_at)
    if allowance is None:
        return quote
    start = max(entered_at, allowance[0])
    before = price(tariff, entered_at=entered_at, left_at=start, vehicle=vehicle, context=context)
    spared = quote.total_fen - before.total_fen
    if spared <= 0:
        return quote
    minutes = EXIT_ALLOWANCE // timedelta(minutes=1)
    line = Line(start, left_at, "exit_allowance", 1, -spared, {"minutes": minutes})
    return Quote((*quote.lines, line))


def money_state(
    *, is_closed: bool, charged_fen: int, paid_fen: int, collects: bool, waived_fen: int = 0, is_refunded: bool = False,
    is_deducted: bool = False,
) -> MoneyState:
    """The one word for a visit's money. While the car is inside it is what has been paid so far.

    waived_fen: what is taken off the charge, as far as it goes. is_refunded: something was given back, so a visit that
    owes and holds nothing is not as if nothing had been. is_deducted: what is owed is being deducted.
    """
    owed_fen = max(0, charged_fen - waived_fen)
    if owed_fen == 0 and paid_fen == 0:
        return "refunded" if is_refunded else "waived" if waived_fen else "nothing_due"
    if not is_closed:
        return "paid" if paid_fen else "nothing_due"
    if paid_fen >= owed_fen:
        return "paid"
    return "arrears" if collects and not is_deducted else "pay_later"
