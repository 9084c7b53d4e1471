"""A channel's fees of a day, booked in whole fen; what is less than one is carried to the next day that is booked.

Raw is a thousandth of a fen. Up to any day, what an account was booked is the whole fen of all its fees so far,
rounded down, and what each of its lots was booked is within one fen of the lot's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parking.core.share import share_out

RAW = 1000  # of a fen


@dataclass(frozen=True, slots=True)
class FeePart:
    """Raw fees, the raw that was carried to them, and what came of both: fen that are booked, raw that is carried on.

    Fees of refunds are below nothing: so may all of these be, of a lot; an account carries 0 to 999.
    """

    fee_raw: int
    carried_before_raw: int
    booked_fen: int

    @property
    def carried_raw(self) -> int:
        return self.carried_before_raw + self.fee_raw - self.booked_fen * RAW


@dataclass(frozen=True, slots=True)
class DayFee:
    """A day's fees of an account, and of each of its lots by number; the lots' add up to the account's."""

    whole: FeePart
    lots: dict[int, FeePart]


def book_fee(fee_raw: Mapping[int, int], carried_raw: Mapping[int, int]) -> DayFee:
    """A day's fees of each lot, and what was carried to it for each."""
    numbers = sorted({*fee_raw, *(number for number, raw in carried_raw.items() if raw)})
    raws = {number: (fee_raw.get(number, 0), carried_raw.get(number, 0)) for number in numbers}
    whole_raw, before_raw = sum(raw for raw, _ in raws.values()), sum(before for _, before in raws.values())
    booked_fen = (whole_raw + before_raw) // RAW
    parts = share_out(booked_fen, {number: sum(raw) for number, raw in raws.items()}, unit=RAW)
    return DayFee(
        FeePart(whole_raw, before_raw, booked_fen),
        {number: FeePart(*raws[number], parts[number]) for number in numbers})
