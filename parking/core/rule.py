"""The rules that a tariff is made of, each a named shape of data, checked as it is read.

Each rule prices a stretch of time [from, to) and hands parts of it to the rules inside it, so a
reader follows a tariff from the outside in. docs/tariffs.md has every rule with an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from parking.core.walls import DAYS, WEEKDAYS, Day

Fen = Annotated[int, Field(ge=0, le=10_000_000)]
Minutes = Annotated[int, Field(ge=1, le=366 * 24 * 60)]
DAY_MINUTES = 24 * 60
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def _check_clock_time(text: str) -> str:
    if not _CLOCK_TIME.fullmatch(text):
        raise ValueError("a time of day such as 07:30")
    return text


ClockTime = Annotated[str, AfterValidator(_check_clock_time)]


class TariffPart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    ADDED: ClassVar[frozenset[str]] = frozenset()

    @cached_property
    def looks_at_clock(self) -> bool:
        """Whether it, or a rule inside it, prices one hour of the day or one day unlike another."""
        return any(isinstance(rule, _CLOCKED) for rule in parts_of(self))

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unset = {name for name in self.ADDED if getattr(self, name) == fields[name].default}
        return {name: value for name, value in write(self).items() if name not in unset}


class Step(TariffPart):
    """`times` started periods of `minutes` at `fen` each; without `times` it goes on for ever."""

    minutes: Minutes
    fen: Fen
    times: Annotated[int, Field(ge=1, le=1000)] | None = None


class Steps(TariffPart):
    """Started periods one after another: the first hour, then each half hour."""

    kind: Literal["steps"]
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50, strict=False)]

    @model_validator(mode="after")
    def _only_the_last_goes_on(self) -> Steps:
        if any(step.times is None for step in self.steps[:-1]) or self.steps[-1].times is not None:
            raise ValueError("every step but the last has `times`, the last has none")
        return self


class Rung(TariffPart):
    minutes: Minutes
    fen: Fen


class Ladder(TariffPart):
    """One price for the whole stretch, by its length: up to and including `minutes`.

    Longer than the last rung costs the last rung's price.
    """

    kind: Literal["ladder"]
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1, max_length=50, strict=False)]

    @model_validator(mode="after")
    def _rises(self) -> Ladder:
        lengths = [rung.minutes for rung in self.rungs]
        if lengths != sorted(set(lengths)):
            raise ValueError("rungs go from short to long")
        return self


class Flat(TariffPart):
    """One price as soon as the stretch is touched."""

    kind: Literal["flat"]
    fen: Fen


class _TimeOfDay(TariffPart):
    """A time of the lot's day [from, to); `to` at or before `from` is on the next day."""

    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime

    @cached_property
    def from_minute(self) -> int:
        return _minute_of_day(self.from_)

    @cached_property
    def to_minute(self) -> int:
        """Minute after the midnight on which the window begins; above 1440 on the next day."""
        end = _minute_of_day(self.to)
        return end if end > self.from_minute else end + DAY_MINUTES


class Window(_TimeOfDay):
    """A time of day with the rule that prices it."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    each: Rule


class Windows(TariffPart):
    """Cuts the stretch at times of day; each part in a window is priced by itself.

    The windows fill the day, so that no minute is forgotten; a free one says so with a flat 0.
    """

    kind: Literal["windows"]
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=24, strict=False)]

    @model_validator(mode="after")
    def _fills_the_day(self) -> Windows:
        parts = sorted((window.from_minute, window.to_minute) for window in self.windows)
        ends = [*(start for start, _ in parts[1:]), parts[0][0] + DAY_MINUTES]
        if [end for _, end in parts] != ends:
            raise ValueError("the windows must cover each minute of the day exactly once")
        return self


class Blocks(TariffPart):
    """Cuts the stretch every `hours` from its start; each block starts `each` anew."""

    kind: Literal["blocks"]
    hours: Annotated[int, Field(ge=1, le=31 * 24)]
    each: Rule


class StayCap(TariffPart):
    """A cap for stays up to `minutes` long (`below`: shorter than); the last one has neither."""

    minutes: Minutes | None = None
    below: Minutes | None = None
    fen: Fen

    @model_validator(mode="after")
    def _has_one_bound(self) -> StayCap:
        if self.minutes is not None and self.below is not None:
            raise ValueError("`minutes` or `below`, not both")
        return self

    @property
    def minutes_max(self) -> int | None:
        """The longest stay, in started minutes, that it is for."""
        return self.minutes if self.below is None else self.below - 1


class Cap(TariffPart):
    """At most `fen` for the stretch, or a cap that depends on the length of the whole stay."""

    kind: Literal["cap"]
    fen: Fen | None = None
    by_stay: Annotated[tuple[StayCap, ...], Field(min_length=1, max_length=20, strict=False)] | None = None
    of: Rule

    @model_validator(mode="after")
    def _has_one_cap(self) -> Cap:
        if (self.fen is None) == (self.by_stay is None):
            raise ValueError("`fen` or `by_stay`, one of the two")
        if self.by_stay is not None and self.by_stay[-1].minutes_max is not None:
            raise ValueError("the last cap of `by_stay` has no bound")
        return self


class FreeWithin(TariffPart):
    """A stretch of at most `minutes` costs nothing; a longer one is charged from its start.

    first_stop_of_day: only on the vehicle's first session of the city day at the lot.
    """

    kind: Literal["free_within"]
    minutes: Minutes
    first_stop_of_day: bool = False
    then: Rule


class FreeFirst(TariffPart):
    """The first `minutes` of the stretch are taken off; the rest is charged."""

    kind: Literal["free_first"]
    minutes: Minutes
    then: Rule


class Exempt(TariffPart):
    """Costs nothing when `context.exempt` is one of these words, proof being the lot's affair, or when the plate
    itself proves one: `military`, `police`.
    """

    kind: Literal["exempt"]
    when: Annotated[tuple[str, ...], Field(min_length=1, max_length=20, strict=False)]
    then: Rule


class VehicleFactor(TariffPart):
    """The price of a large vehicle is `large` times that of a small one."""

    kind: Literal["vehicle_factor"]
    large: Annotated[int, Field(ge=0, le=10)]
    then: Rule


DaySet = Annotated[tuple[Day, ...], Field(min_length=1, max_length=len(DAYS), strict=False)]
Rounding = Literal["half_up", "up", "down"]


class Span(_TimeOfDay):
    """A time of day on some kinds of day; all of every day where nothing is said."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"days"})

    days: DaySet | None = None
    from_: Annotated[ClockTime, Field(alias="from")] = "00:00"
    to: ClockTime = "00:00"


class DayPart(TariffPart):
    on: DaySet
    each: Rule


class _FromMinute(TariffPart):
    """What counts days from a minute of the clock on."""

    at: ClockTime = "00:00"

    @cached_property
    def at_minute(self) -> int:
        return _minute_of_day(self.at)


class Days(_FromMinute):
    """Cuts the stretch where the kind of day asks for another rule; days that follow with the same
    rule are one stretch. A day begins at `at`. Each day of the week is named once, and where the tariff
    has a calendar, `holiday` and `makeup` too.
    """

    kind: Literal["days"]
    days: Annotated[tuple[DayPart, ...], Field(min_length=1, max_length=7, strict=False)]

    @model_validator(mode="after")
    def _names_each_day_once(self) -> Days:
        named = sorted(day for part in self.days for day in part.on)
        if named not in (sorted(WEEKDAYS), sorted(DAYS)):
            raise ValueError("each of mon to sun is named exactly once, and `holiday` and `makeup` both or neither")
        return self

    @cached_property
    def part_of(self) -> dict[int, int]:
        """For each kind of day, which part holds."""
        return {DAYS.index(day): number for number, part in enumerate(self.days) for day in part.on}


class Periods(_FromMinute):
    """Cuts the stretch where a calendar day or week (from Monday) begins, at `at`; each starts `each` anew."""

    kind: Literal["periods"]
    every: Literal["day", "week"]
    each: Rule


class Gather(TariffPart):
    """Only the time within the spans is charged, laid end to end and priced as one stretch: a first hour in
    it is given once, not once a day. The rules inside look at no clock.
    """

    kind: Literal["gather"]
    within: Annotated[tuple[Span, ...], Field(min_length=1, max_length=24, strict=False)]
    then: Rule

    @model_validator(mode="after")
    def _looks_at_no_clock(self) -> Gather:
        clocked = {rule.kind for rule in parts_of(self.then) if isinstance(rule, _CLOCKED)}
        if clocked:
            raise ValueError(f"inside `gather` no rule looks at the clock: {', '.join(sorted(clocked))}")
        return self


class Slots(TariffPart):
    """Cuts the stretch every `minutes` from its start; a started slot costs what its first minute does,
    so it is priced at the rate that is in force when it starts.
    """

    kind: Literal["slots"]
    minutes: Minutes
    each: Rule


class ProRata(TariffPart):
    """`fen` for `minutes`, and for each started minute its part, rounded to whole fen."""

    kind: Literal["pro_rata"]
    minutes: Minutes
    fen: Fen
    round: Rounding = "half_up"


class Sum(TariffPart):
    """Each of the rules prices the same stretch; the fee is their sum."""

    kind: Literal["sum"]
    of: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=10, strict=False)]


class LowerOf(TariffPart):
    """The rule that is cheapest for the stretch, the first of equal ones."""

    kind: Literal["lower_of"]
    of: Annotated[tuple[Rule, ...], Field(min_length=2, max_length=10, strict=False)]


class Condition(TariffPart):
    """All that is given must hold.

    stay_up_to: the whole stay lasts at most so many minutes. entered: within one of the spans.
    left: after the beginning of one of the spans, and by its end. rail_trip: the driver proved one.
    metro_trip: by the app to which the plate is bound, in at one station and out at another during the
    stay. new_energy: by its plate. first_stop_of_day: of the vehicle at the lot.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({
        "stay_up_to", "entered", "left", "rail_trip", "metro_trip", "new_energy", "size", "first_stop_of_day"})

    stay_up_to: Minutes | None = None
    entered: Annotated[tuple[Span, ...], Field(min_length=1, max_length=24, strict=False)] | None = None
    left: Annotated[tuple[Span, ...], Field(min_length=1, max_length=24, strict=False)] | None = None
    rail_trip: bool | None = None
    metro_trip: bool | None = None
    new_energy: bool | None = None
    size: Literal["small", "large"] | None = None
    first_stop_of_day: bool | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("a condition asks at least one thing")
        return self


class When(TariffPart):
    """`then` where the condition holds, `else` where it does not."""

    kind: Literal["when"]
    if_: Annotated[Condition, Field(alias="if")]
    then: Rule
    else_: Annotated[Rule, Field(alias="else")]


class Round(TariffPart):
    """The sum of the rule inside, rounded to a multiple of `to_fen`."""

    kind: Literal["round"]
    to_fen: Annotated[int, Field(ge=2, le=100_000)]
    how: Rounding
    then: Rule


class Validated(TariffPart):
    """What merchants validated comes off: minutes of the beginning, then money, down to nothing."""

    kind: Literal["validated"]
    then: Rule


Rule = Annotated[
    Steps | Ladder | Flat | Windows | Blocks | Cap | FreeWithin | FreeFirst | Exempt | VehicleFactor
    | Days | Periods | Gather | Slots | ProRata | Sum | LowerOf | When | Round | Validated,
    Field(discriminator="kind"),
]
_CLOCKED = (Windows, Days, Periods, Gather, Slots)


def parts_of(part: Any, *, but_not_in: type | tuple[()] = ()) -> Iterator[Any]:
    """A rule, and every rule, window, span, step and condition inside it; but_not_in: whose inside is left out."""
    yield part
    if not isinstance(part, but_not_in):
        for _, inner in inner_parts(part):
            yield from parts_of(inner, but_not_in=but_not_in)


def inner_parts(part: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """What lies directly inside a part, with its place in it: the field, and in a list the number."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, TariffPart):
            yield (name,), value
        elif isinstance(value, tuple):
            yield from (((name, number), each) for number, each in enumerate(value) if isinstance(each, TariffPart))


def _minute_of_day(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
