"""What an operator is settled for a period: of each of its lots what came in, what went back, and what is left.

    net = gross (payments) - refunded - the channels' fees - commission

Cash is in the operator's hands as it is paid: it is in the net, and what is to be paid out is the net less that cash.

A payment is of the day on which its channel took the money, a refund of the day on which it took that on, a fee of its
statement's day, all by the channel's clock: what is settled for closed days is what their statements say. The
commission is a rate in ten-thousandths of gross less refunded, of all lots together to the nearest fen, half a fen up;
it is shared out to the lots by largest remainder, so the parts add up.

Settlements of an operator follow one another. What changes of a day that is settled already is settled with the next
one: as the day stands now, less what was settled for it.

A settlement's body is one canonical JSON text. It names the hash of the body before it; a reader refuses another `v`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from parking.core.drawer import CHANNEL as CASH
from parking.core.json_text import canonical
from parking.core.share import share_out

RATE_UNIT = 10_000
VERSION = 1
DayState = Literal["balanced", "closed", "counted", "differs", "not_final", "no_statement", "not_connected"]
OPEN: tuple[DayState, ...] = ("differs", "not_final", "no_statement")  # such a day makes a settlement provisional
HELD = frozenset({CASH})  # channels whose money the operator holds itself


class BadBody(ValueError):
    """The text is no settlement that is known here, or does not add up."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Fen and how many; a difference of two may be below nothing."""

    payment_count: int = 0
    gross_fen: int = 0
    refund_count: int = 0
    refunded_fen: int = 0
    fee_fen: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(one - two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))


NOTHING = Sums()


@dataclass(frozen=True, slots=True)
class SettledDay:
    """What is settled for an account's day, of the lots that have anything.

    state: `counted` is a day of a channel that writes no statements: cash, whose shifts are counted.
    generation: which changes of the day are in it; fee_number: the booking of its fees, 0 while there is none.
    """

    account_id: UUID
    channel: str
    day: date
    state: DayState
    generation: int
    fee_number: int
    lots: dict[int, Sums]

    @property
    def total(self) -> Sums:
        return sum(self.lots.values(), NOTHING)


@dataclass(frozen=True, slots=True)
class LotFigures:
    """A lot's line; all lots' together have no lot_id."""

    lot_id: int | None
    sums: Sums
    commission_fen: int

    @property
    def net_fen(self) -> int:
        return self.sums.gross_fen - self.sums.refunded_fen - self.sums.fee_fen - self.commission_fen


@dataclass(frozen=True, slots=True)
class Figures:
    """rate: of the commission, in ten-thousandths. days: corrections of earlier days first, then the period's."""

    first: date
    last: date
    rate: int
    lots: tuple[LotFigures, ...]
    days: tuple[SettledDay, ...]

    @property
    def total(self) -> LotFigures:
        return LotFigures(
            None, sum((each.sums for each in self.lots), NOTHING), sum(each.commission_fen for each in self.lots))

    @property
    def held_fen(self) -> int:
        """What the operator has in its hands already: cash that it took less what it gave back of it."""
        return sum(each.total.gross_fen - each.total.refunded_fen for each in self.days if each.channel in HELD)

    @property
    def to_pay_fen(self) -> int:
        """What goes to the operator's bank; below nothing, the operator owes it."""
        return self.total.net_fen - self.held_fen

    @property
    def corrections(self) -> list[SettledDay]:
        return [each for each in self.days if each.day < self.first]

    @property
    def own_days(self) -> list[SettledDay]:
        return [each for each in self.days if each.day >= self.first]

    @property
    def open_days(self) -> list[SettledDay]:
        """Those of the period that a statement does not bear out yet."""
        return [each for each in self.own_days if each.state in OPEN]

    @property
    def is_provisional(self) -> bool:
        return bool(self.open_days)


@dataclass(frozen=True, slots=True)
class Head:
    """Which settlement a body is. number: an operator's, from 1; previous: the hash of the one before, "" for none."""

    settlement_id: UUID
    operator_id: UUID
    number: int
    previous: str


def figure(days: Iterable[SettledDay], *, first: date, last: date, rate: int) -> Figures:
    """Add days up by lot, and share the commission out."""
    ordered = tuple(sorted(days, key=lambda each: (each.day, each.channel, each.account_id)))
    sums: dict[int, Sums] = {}
    for each in ordered:
        for lot_id, part in each.lots.items():
            sums[lot_id] = sums.get(lot_id, NOTHING) + part
    commission_fen = share_commission({
        lot_id: each.gross_fen - each.refunded_fen for lot_id, each in sums.items()}, rate=rate)
    lots = tuple(LotFigures(lot_id, sums[lot_id], commission_fen[lot_id]) for lot_id in sorted(sums))
    return Figures(first, last, rate, lots, ordered)


def share_commission(kept_fen: dict[int, int], *, rate: int) -> dict[int, int]:
    """Each lot's commission, of what it kept of its payments."""
    whole_fen = (2 * rate * sum(kept_fen.values()) + RATE_UNIT) // (2 * RATE_UNIT)
    return share_out(whole_fen, {lot_id: rate * fen for lot_id, fen in kept_fen.items()}, unit=RATE_UNIT)


def write_body(head: Head, figures: Figures) -> str:
    total = figures.total
    return canonical({
        "v": VERSION, "settlement_id": str(head.settlement_id), "operator_id": str(head.operator_id),
        "number": head.number, "previous": head.previous, "first": figures.first.isoformat(),
        "last": figures.last.isoformat(), "rate": figures.rate, "net_fen": total.net_fen,
        "commission_fen": {str(each.lot_id): each.commission_fen for each in figures.lots},
        "days": [
            {"account_id": str(each.account_id), "channel": each.channel, "day": each.day.isoformat(),
             "state": each.state, "generation": each.generation, "fee_number": each.fee_number,
             "lots": {str(lot_id): list(astuple(sums)) for lot_id, sums in sorted(each.lots.items())}}
            for each in figures.days],
    })


def read_body(text: str) -> tuple[Head, Figures]:
    """:raises BadBody: another version, or its sums are not those of its days"""
    try:
        data: dict[str, Any] = json.loads(text)
        if data["v"] != VERSION:
            raise BadBody(f"version {data['v']}")
        head = Head(UUID(data["settlement_id"]), UUID(data["operator_id"]), data["number"], data["previous"])
        figures = figure(
            (SettledDay(
                UUID(each["account_id"]), each["channel"], date.fromisoformat(each["day"]), each["state"],
                each["generation"], each["fee_number"],
                {int(lot_id): Sums(*sums) for lot_id, sums in each["lots"].items()}) for each in data["days"]),
            first=date.fromisoformat(data["first"]), last=date.fromisoformat(data["last"]), rate=data["rate"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadBody(f"{type(wrong).__name__} {wrong}"[:200]) from None
    said = {str(each.lot_id): each.commission_fen for each in figures.lots}
    if said != data["commission_fen"] or figures.total.net_fen != data["net_fen"]:
        raise BadBody("does not add up")
    return head, figures


def body_hash(text: str) -> str:
    """SHA-256 of a body, in hex."""
    return sha256(text.encode()).hexdigest()
