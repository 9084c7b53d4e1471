"""What a stay costs from now on, told ahead: a phone shows the fee as it grows, also without a network."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from parking.core.calendar import CannotPrice
from parking.core.clock import drop_seconds, format_instant
from parking.core.context import NO_CONTEXT
from parking.core.next_step import NextStep, changes_ahead
from parking.core.payment import NOTHING_PAID, Paid, price_stay
from parking.core.price import SMALL, STAY_MAX, Vehicle, grain_of
from parking.core.stretch import MINUTE
from parking.core.tariff import Tariff

HORIZON = timedelta(hours=24)
POINTS_MAX = 200
LINES_MAX = 2_000  # of all quotes for one curve: what it may cost to look ahead
_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Curve:
    """From each point's instant on, and until the next one's, a stay that ends then costs the point's total.

    points: in order, at least one, no two neighbours of one total. known_until: from then on nothing is told; it
    may be the first point's own instant, where not even a moment can be told ahead.
    """

    points: tuple[NextStep, ...]
    known_until: datetime

    def total_fen(self, at: datetime) -> int | None:
        """None before the first point, and from known_until on."""
        place = bisect_right(self.points, at, key=lambda point: point.at) - 1
        return self.points[place].total_fen if place >= 0 and at < self.known_until else None


def curve_answer(curve: Curve, zone: ZoneInfo) -> dict[str, Any]:
    """As it goes out."""
    return {
        "points": [{"at": format_instant(each.at, zone), "total_fen": each.total_fen} for each in curve.points],
        "known_until": format_instant(curve.known_until, zone),
    }


def price_curve(
    tariff: Tariff, *, entered_at: datetime, from_at: datetime, paid: Paid = NOTHING_PAID, vehicle: Vehicle = SMALL,
    context: Mapping[str, Any] = NO_CONTEXT, ahead: timedelta = HORIZON,
) -> Curve:
    """What price_stay() will say of this stay at every instant from `from_at` on, for as long as `ahead`.

    Ends earlier after 200 points, where long stays make too many lines to price so often, at the end of the years
    that the tariff's calendar knows, and when a stay gets too long to be priced.

    :raises CannotPrice: as price(), of a stay that ends at `from_at`
    """
    first = max(entered_at, from_at).astimezone(UTC)
    lines_left = LINES_MAX

    def total(left_at: datetime) -> int:
        nonlocal lines_left
        quote = price_stay(
            tariff, entered_at=entered_at, left_at=left_at, paid=paid, vehicle=vehicle, context=context)
        lines_left -= len(quote.lines)
        return quote.total_fen

    points, last = [NextStep(first, total(first))], first
    end = max(first, _end(tariff, entered_at, first, first + ahead))
    try:
        for at in _looks(tariff, (entered_at, end), first, paid, context):
            if lines_left <= 0 or len(points) == POINTS_MAX:
                return Curve(tuple(points), at)
            fen = total(at)
            if fen != points[-1].total_fen:
                points.append(NextStep(at, fen))
            last = at
    except CannotPrice:  # somewhere after the last instant that was looked at
        return Curve((points[0], *(each for each in points[1:] if each.at < last)), last)
    return Curve(tuple(points), end)


def _end(tariff: Tariff, entered_at: datetime, first: datetime, horizon: datetime) -> datetime:
    """The horizon, or before it the end of what is known: a change is looked for a minute beyond."""
    return min(horizon, entered_at.astimezone(UTC) + STAY_MAX, tariff.walls.known_until(first) - MINUTE)


def _looks(
    tariff: Tariff, stay: tuple[datetime, datetime], first: datetime, paid: Paid, context: Mapping[str, Any]
) -> list[datetime]:
    """The instants after `first` at which the total may become another, in order."""
    (entered_at, end), is_cut = stay, tariff.seconds == "drop"
    start, seen = ((drop_seconds(at) if is_cut else at).astimezone(UTC) for at in (entered_at, first))
    # Edges lie a grain before the change that they make, and an exit minute that is charged puts them back by it.
    looks = set(changes_ahead(
        tariff, (start, end + grain_of(tariff)), seen=seen, context=context, by_minute=True))
    if paid.leave_by_at is not None:
        looks.add(paid.leave_by_at + _MOMENT)  # the last instant of the allowance is part of it
    return sorted(at for at in looks if first < at < end)
