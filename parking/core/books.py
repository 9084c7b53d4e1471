"""The books of a period: what each account stood at, what went through it, and where the money came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from parking.core.ledger import VISITS

CHARGED: Mapping[str, int] = {  # kinds that make revenue
    "charge": 1, "credit": -1, "waiver": -1, "unwaived": 1, "sponsored": 1, "unsponsored": -1}


@dataclass(frozen=True, slots=True)
class Moved:
    """Fen that a lot's transfers of one kind moved between two accounts; all visits' accounts are one, VISITS."""

    lot_id: int
    kind: str
    debit: str
    credit: str
    fen: int
    count: int


@dataclass(frozen=True, slots=True)
class TrialRow:
    """An account in a period, in fen; opening and closing are debits less credits."""

    account: str
    opening_fen: int
    debit_fen: int
    credit_fen: int

    @property
    def closing_fen(self) -> int:
        return self.opening_fen + self.debit_fen - self.credit_fen


@dataclass(slots=True)
class LotRevenue:
    """What a lot charged in a period, what of it was taken back and off; what was paid, by channel, and given back.

    sponsored_fen: what merchants owe it for visits that they validated, beside what it charged for them.
    """

    lot_id: int
    charge_count: int = 0
    charged_fen: int = 0
    credited_fen: int = 0
    waived_fen: int = 0
    sponsored_fen: int = 0
    paid_fen: Counter[str] = field(default_factory=Counter)
    refunded_fen: int = 0

    @property
    def net_fen(self) -> int:
        return self.charged_fen - self.credited_fen - self.waived_fen + self.sponsored_fen


def trial_balance(
    lasting_fen: Mapping[str, int], *, within: Iterable[Moved], after: Iterable[Moved]
) -> list[TrialRow]:
    """Every account of a period, in the order of their names; the rows add up to nothing.

    :param lasting_fen: what the lasting accounts stand at now, after all that is known
    :param within: what the period moved
    :param after: what was moved since its end
    """
    closing = Counter(lasting_fen)
    closing[VISITS] -= sum(lasting_fen.values())  # all transfers together move nothing
    for each in after:
        closing[each.debit] -= each.fen
        closing[each.credit] += each.fen
    debits: Counter[str] = Counter()
    credits: Counter[str] = Counter()
    for each in within:
        debits[each.debit] += each.fen
        credits[each.credit] += each.fen
    return [
        TrialRow(account, closing[account] - debits[account] + credits[account], debits[account], credits[account])
        for account in sorted({*closing, *debits, *credits})
    ]


def revenue(moved: Iterable[Moved]) -> list[LotRevenue]:
    """Of each lot that moved anything, by number."""
    lots: dict[int, LotRevenue] = {}
    for each in moved:
        lot = lots.setdefault(each.lot_id, LotRevenue(each.lot_id))
        if each.kind == "charge":
            lot.charge_count += each.count
            lot.charged_fen += each.fen
        elif each.kind == "credit":
            lot.credited_fen += each.fen
        elif each.kind in ("waiver", "unwaived"):
            lot.waived_fen += each.fen if each.kind == "waiver" else -each.fen
        elif each.kind in ("sponsored", "unsponsored"):
            lot.sponsored_fen += each.fen if each.kind == "sponsored" else -each.fen
        elif each.kind == "payment":
            lot.paid_fen[each.debit.partition("/")[2]] += each.fen
        elif each.kind == "refund":
            lot.refunded_fen += each.fen
    return [lots[number] for number in sorted(lots)]


def by_day_and_hour(
    quarters: Iterable[tuple[datetime, str, int]], zone: ZoneInfo
) -> tuple[dict[str, int], dict[int, int]]:
    """Net revenue of each day (YYYY-MM-DD) and of each hour of the day, by the walls of a zone.

    :param quarters: instant, kind, fen; of kinds of CHARGED
    """
    days: Counter[str] = Counter()
    hours: Counter[int] = Counter()
    for at, kind, fen in quarters:
        wall = at.astimezone(zone)
        days[wall.date().isoformat()] += CHARGED[kind] * fen
        hours[wall.hour] += CHARGED[kind] * fen
    return dict(sorted(days.items())), dict(sorted(hours.items()))
