"""Example prices of a tariff, for a poster: each is what the engine asks for such a stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from parking.core.calendar import CalendarNotConfirmed
from parking.core.price import Vehicle, price
from parking.core.tariff import Tariff

HOURS = (1, 2, 4, 24)
Kind = Literal["weekday", "evening", "night", "saturday"]
Size = Literal["small", "large"]
SIZES: tuple[Size, ...] = ("small", "large")
_TUESDAY, _MORNING = 1, 9
_STAYED_IN = (0, 1, 2, 4, 5)  # days after that Tuesday that the stays lie in
_WEEKS = (*range(9), *range(-1, -9, -1))
_LATER: tuple[tuple[int, Kind], ...] = ((20, "evening"), (22, "evening"), (24, "night"), (26, "night"), (28, "night"))


@dataclass(frozen=True, slots=True)
class Example:
    """Stays of HOURS from one start on. amounts_fen: one for each of HOURS."""

    kind: Kind
    start_at: datetime
    size: Size
    amounts_fen: tuple[int, ...]


def find_examples(tariff: Tariff, *, day: date) -> tuple[Example, ...]:
    """For a Tuesday morning on or after `day`; an evening or a night, and a Saturday, where they cost something else.

    Of a week without holidays and make-up days, where the tariff's calendar has one near: the next such, else the last.
    Of small vehicles, and of large ones where any of these costs them something else; nothing is proved, no
    merchant validates, and it is the first stop of the day.

    :raises CannotPrice: as price
    """
    tuesday = _plain_tuesday(tariff, day + timedelta(days=(_TUESDAY - day.weekday()) % 7))
    morning = _start(tariff, tuesday, _MORNING)
    starts: list[tuple[Kind, datetime]] = [("weekday", morning)]
    later = [(kind, _start(tariff, tuesday, hour)) for hour, kind in _LATER]
    saturday: tuple[Kind, datetime] = ("saturday", _start(tariff, tuesday + timedelta(days=4), _MORNING))
    usual = _amounts(tariff, morning)
    for candidates in (later, [saturday]):
        other = next((each for each in candidates if _amounts(tariff, each[1]) != usual), None)
        starts += [other] if other else []
    amounts = [_amounts(tariff, at) for _, at in starts]
    sizes: tuple[Size, ...] = SIZES if any(each["small"] != each["large"] for each in amounts) else ("small",)
    return tuple(Example(kind, at, size, of_size[size])
                 for (kind, at), of_size in zip(starts, amounts, strict=True) for size in sizes)


def _plain_tuesday(tariff: Tariff, tuesday: date) -> date:
    near = (tuesday + timedelta(weeks=weeks) for weeks in _WEEKS)
    return next((each for each in near if _is_plain(tariff, each)), tuesday)


def _is_plain(tariff: Tariff, tuesday: date) -> bool:
    days = [tuesday + timedelta(days=after) for after in _STAYED_IN]
    try:
        return all(tariff.walls.kind_of(each) == each.weekday() for each in days)
    except CalendarNotConfirmed:
        return False


def _start(tariff: Tariff, day: date, hour: int) -> datetime:
    """hour: from 24 on of the next day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=tariff.zone)
    return (midnight + timedelta(hours=hour)).astimezone(UTC)


def _amounts(tariff: Tariff, at: datetime) -> dict[Size, tuple[int, ...]]:
    return {size: tuple(
        price(tariff, entered_at=at, left_at=at + timedelta(hours=hours), vehicle=Vehicle(size)).total_fen
        for hours in HOURS) for size in SIZES}
