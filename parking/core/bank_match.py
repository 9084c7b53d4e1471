"""What was taken from a channel to the bank, and what the bank received: a transfer arrives up to three days later.

A day's receipt is one withdrawal, or several that follow one another; each counts once. One that came back to the
channel cancels the newest of its amount before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

ARRIVES_WITHIN = timedelta(days=3)
WithdrawalState = Literal["arrived", "awaited", "late", "came_back"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Money that left the channel on a day; below nothing, it came back."""

    number: str
    day: date
    fen: int


@dataclass(frozen=True, slots=True)
class Received:
    number: str
    day: date
    fen: int


@dataclass(slots=True)
class BankMatch:
    """states: of each withdrawal; receipts: which receipt each that arrived is of; unmatched: receipts of nothing."""

    states: dict[str, WithdrawalState] = field(default_factory=dict)
    receipts: dict[str, str] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)


def match_bank(taken: Sequence[Taken], received: Sequence[Received], *, today: date) -> BankMatch:
    """Both in the order of their days."""
    made = BankMatch()
    out = [each for each in taken if each.fen > 0]
    for back in (each for each in taken if each.fen < 0):
        for number, each in reversed(list(enumerate(out))):
            if each.fen == -back.fen and each.day <= back.day:
                made.states[each.number] = made.states[back.number] = "came_back"
                del out[number]
                break
    for receipt in received:
        run = _run(out, receipt)
        if not run:
            made.unmatched.append(receipt.number)
        for each in run:
            made.states[each.number], made.receipts[each.number] = "arrived", receipt.number
            out.remove(each)
    for each in out:
        made.states[each.number] = "late" if each.day + ARRIVES_WITHIN < today else "awaited"
    return made


def _run(out: Sequence[Taken], receipt: Received) -> list[Taken]:
    """The withdrawal of the amount, else the first that come to it together."""
    near = [each for each in out if timedelta() <= receipt.day - each.day <= ARRIVES_WITHIN]
    alone = next((each for each in near if each.fen == receipt.fen), None)
    if alone is not None:
        return [alone]
    for start in range(len(near)):
        fen = 0
        for end in range(start, len(near)):
            fen += near[end].fen
            if fen == receipt.fen:
                return list(near[start:end + 1])
            if fen > receipt.fen:
                break
    return []
