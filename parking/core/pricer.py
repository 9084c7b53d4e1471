"""What many stays cost under one tariff: what is sure to cost the same is priced once.

Two stays cost the same where the tariff can tell them apart by nothing: length, vehicle and context are equal,
and the clock and the calendar on the wall look the same, as far as the tariff looks at them. Where that is not
certain (seconds count, the clock is put forward or back, a rule is not known here), each stay is priced by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from parking.core import rule as language
from parking.core.calendar import CannotPrice
from parking.core.clock import to_ms
from parking.core.payment import Paid, price_stay
from parking.core.price import Vehicle
from parking.core.tariff import Tariff

KEPT_MAX = 100_000
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_DAY = timedelta(days=1)
_LENGTH_MAX_MS = 40 * _DAY_MS
_TIMELESS = (
    language.Steps, language.Step, language.Ladder, language.Rung, language.Flat, language.Blocks, language.Cap,
    language.StayCap, language.FreeWithin, language.FreeFirst, language.Exempt, language.VehicleFactor,
    language.ProRata, language.Sum, language.LowerOf, language.When, language.Condition, language.Round,
    language.Validated, language.Slots,
)
_BY_CLOCK = (language.Windows, language.Window, language.Gather, language.Periods, language.Span)
_BY_DAY = (language.Days, language.DayPart)


class Stay(NamedTuple):
    """What a price depends on. allowance: paid until, leave by, where the exit made use of it."""

    entered_at: datetime
    until_at: datetime
    vehicle: Vehicle
    context: Mapping[str, Any]
    allowance: tuple[datetime, datetime] | None = None


def total_fen(tariff: Tariff, stay: Stay) -> int:
    """:raises CannotPrice: as price()"""
    until, leave_by = stay.allowance or (None, None)
    return price_stay(
        tariff, entered_at=stay.entered_at, left_at=stay.until_at, paid=Paid(0, until, leave_by),
        vehicle=stay.vehicle, context=stay.context).total_fen


@dataclass
class Pricer:
    """Prices stays entered in [first, last) under a tariff; longer ones than 40 days each by itself."""

    tariff: Tariff
    first: datetime
    last: datetime
    _kept: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        looks_at = _looks_at(self.tariff)
        offset = _one_offset(self.tariff.zone, self.first - 3 * _DAY, self.last + timedelta(days=45))
        self._looks_at = "each" if looks_at not in ("length", "each") and offset is None else looks_at
        self._offset_ms = (offset or timedelta()) // timedelta(milliseconds=1)
        self._kinds: dict[int, int] = {}
        self._vehicles: dict[Vehicle, int] = {}

    def total_fen(self, stay: Stay) -> int:
        """:raises CannotPrice: as price()"""
        key = self._key(stay)
        if key is None:
            return total_fen(self.tariff, stay)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            found = self._kept[key] = total_fen(self.tariff, stay)
        return found

    def _key(self, stay: Stay) -> tuple[Any, ...] | None:
        """What all stays of the same price share; None where this one is priced by itself."""
        if self._looks_at == "each" or stay.context.keys() != {"stop_of_day"}:
            return None
        start, end = to_ms(stay.entered_at) // _MINUTE_MS, to_ms(stay.until_at) // _MINUTE_MS
        if (end - start) * _MINUTE_MS > _LENGTH_MAX_MS:
            return None
        spared = None
        if stay.allowance is not None:
            if not stay.allowance[0] < stay.until_at <= stay.allowance[1]:
                return None
            spared = max(start, to_ms(stay.allowance[0]) // _MINUTE_MS) - start
        vehicle = self._vehicles.setdefault(stay.vehicle, len(self._vehicles))
        same = (end - start, spared, stay.context["stop_of_day"], vehicle)
        if self._looks_at == "length":
            return same
        start_ms = start * _MINUTE_MS + self._offset_ms
        if self._looks_at == "clock":
            return (start_ms % _DAY_MS, *same)
        end_ms = end * _MINUTE_MS + self._offset_ms
        try:
            return (start_ms % _DAY_MS, *self._days(start_ms // _DAY_MS, end_ms // _DAY_MS), *same)
        except CannotPrice:
            return None

    def _days(self, first: int, last: int) -> Iterator[int]:
        """The weekday of the first day, and the kinds of the days, from two days before on to two days after."""
        yield first % 7
        if self.tariff.calendar is not None:
            for day in range(first - 2, last + 3):
                kind = self._kinds.get(day)
                if kind is None:
                    kind = self._kinds[day] = self.tariff.walls.kind_of(date(1970, 1, 1) + day * _DAY)
                yield kind


def _looks_at(tariff: Tariff) -> str:
    """What a price depends on beside vehicle and context: `length`; `clock`: the time of day too; `days`: the days
    as well; `each`: every stay is priced by itself."""
    parts = list(language.parts_of(tariff.rule))
    if tariff.seconds != "drop" or not all(isinstance(part, (*_TIMELESS, *_BY_CLOCK, *_BY_DAY)) for part in parts):
        return "each"
    if any(isinstance(part, _BY_DAY) or (isinstance(part, language.Span) and part.days is not None)
           or (isinstance(part, language.Periods) and part.every == "week") for part in parts):
        return "days"
    return "clock" if any(isinstance(part, _BY_CLOCK) for part in parts) else "length"


def _one_offset(zone: ZoneInfo, first: datetime, last: datetime) -> timedelta | None:
    """The zone's offset from UTC, where it is one and the same in [first, last]; looked at once a day, for clocks
    that are put forward or back stay so for weeks."""
    offset, at = first.astimezone(zone).utcoffset(), first
    while at < last:
        at = min(at + _DAY, last)
        if at.astimezone(zone).utcoffset() != offset:
            return None
    return offset
