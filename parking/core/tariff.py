"""A tariff is data: a tree of named rules, read and checked here, priced in price.py.

Each rule prices a stretch of time [from, to) and hands parts of it to the rules inside it, so a
reader follows a tariff from the outside in. docs/tariffs.md has every rule with an example.

Evolution: `language` is 1. A rule kind is added, never changed; a tariff that uses a kind which
an older release does not know is refused there, not half priced. A field that is added to a kind is
named in its `ADDED` and written only where it is set, so that the hashes of older tariffs stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from parking.core.calendar import NAME_PATTERN, Calendar
from parking.core.clock import UnknownZone, find_zone
from parking.core.json_text import canonical, canonical_hash
from parking.core.money import has_hundredths
from parking.core.walls import DAYS, WEEKDAYS, Day, Walls

Fen = Annotated[int, Field(ge=0, le=10_000_000)]
Minutes = Annotated[int, Field(ge=1, le=366 * 24 * 60)]
DAY_MINUTES = 24 * 60
RULES_MAX = 200
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class BadTariff(ValueError):
    """The data is not a tariff; `errors` are (path, message) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in errors))
        self.errors = errors


def _check_clock_time(text: str) -> str:
    if not _CLOCK_TIME.fullmatch(text):
        raise ValueError("a time of day such as 07:30")
    return text


ClockTime = Annotated[str, AfterValidator(_check_clock_time)]


class _Data(BaseModel):
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


class Step(_Data):
    """`times` started periods of `minutes` at `fen` each; without `times` it goes on for ever."""

    minutes: Minutes
    fen: Fen
    times: Annotated[int, Field(ge=1, le=1000)] | None = None


class Steps(_Data):
    """Started periods one after another: the first hour, then each half hour."""

    kind: Literal["steps"]
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50, strict=False)]

    @model_validator(mode="after")
    def _only_the_last_goes_on(self) -> Steps:
        if any(step.times is None for step in self.steps[:-1]) or self.steps[-1].times is not None:
            raise ValueError("every step but the last has `times`, the last has none")
        return self


class Rung(_Data):
    minutes: Minutes
    fen: Fen


class Ladder(_Data):
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


class Flat(_Data):
    """One price as soon as the stretch is touched."""

    kind: Literal["flat"]
    fen: Fen


class _TimeOfDay(_Data):
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


class Windows(_Data):
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


class Blocks(_Data):
    """Cuts the stretch every `hours` from its start; each block starts `each` anew."""

    kind: Literal["blocks"]
    hours: Annotated[int, Field(ge=1, le=31 * 24)]
    each: Rule


class StayCap(_Data):
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


class Cap(_Data):
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


class FreeWithin(_Data):
    """A stretch of at most `minutes` costs nothing; a longer one is charged from its start.

    first_stop_of_day: only on the vehicle's first session of the city day at the lot.
    """

    kind: Literal["free_within"]
    minutes: Minutes
    first_stop_of_day: bool = False
    then: Rule


class FreeFirst(_Data):
    """The first `minutes` of the stretch are taken off; the rest is charged."""

    kind: Literal["free_first"]
    minutes: Minutes
    then: Rule


class Exempt(_Data):
    """Costs nothing when `context.exempt` is one of these words, proof being the lot's affair, or when the plate
    itself proves one: `military`, `police`.
    """

    kind: Literal["exempt"]
    when: Annotated[tuple[str, ...], Field(min_length=1, max_length=20, strict=False)]
    then: Rule


class VehicleFactor(_Data):
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


class DayPart(_Data):
    on: DaySet
    each: Rule


class _FromMinute(_Data):
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


class Gather(_Data):
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


class Slots(_Data):
    """Cuts the stretch every `minutes` from its start; a started slot costs what its first minute does,
    so it is priced at the rate that is in force when it starts.
    """

    kind: Literal["slots"]
    minutes: Minutes
    each: Rule


class ProRata(_Data):
    """`fen` for `minutes`, and for each started minute its part, rounded to whole fen."""

    kind: Literal["pro_rata"]
    minutes: Minutes
    fen: Fen
    round: Rounding = "half_up"


class Sum(_Data):
    """Each of the rules prices the same stretch; the fee is their sum."""

    kind: Literal["sum"]
    of: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=10, strict=False)]


class LowerOf(_Data):
    """The rule that is cheapest for the stretch, the first of equal ones."""

    kind: Literal["lower_of"]
    of: Annotated[tuple[Rule, ...], Field(min_length=2, max_length=10, strict=False)]


class Condition(_Data):
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


class When(_Data):
    """`then` where the condition holds, `else` where it does not."""

    kind: Literal["when"]
    if_: Annotated[Condition, Field(alias="if")]
    then: Rule
    else_: Annotated[Rule, Field(alias="else")]


class Round(_Data):
    """The sum of the rule inside, rounded to a multiple of `to_fen`."""

    kind: Literal["round"]
    to_fen: Annotated[int, Field(ge=2, le=100_000)]
    how: Rounding
    then: Rule


class Validated(_Data):
    """What merchants validated comes off: minutes of the beginning, then money, down to nothing."""

    kind: Literal["validated"]
    then: Rule


Rule = Annotated[
    Steps | Ladder | Flat | Windows | Blocks | Cap | FreeWithin | FreeFirst | Exempt | VehicleFactor
    | Days | Periods | Gather | Slots | ProRata | Sum | LowerOf | When | Round | Validated,
    Field(discriminator="kind"),
]
_CLOCKED = (Windows, Days, Periods, Gather, Slots)


class Tariff(_Data):
    """A tariff as it is published.

    seconds: `drop` cuts entry and exit to the minute before pricing; `count` keeps them, and a
    started period is still charged whole. exit_minute: `free`, so that 60 minutes are one hour; `charged`,
    so that the minute in which the car leaves counts and they are the first of a second one. calendar: tells
    holidays and make-up working days from weekdays; without one there are weekdays alone. currency: ISO 4217,
    one with hundredths; amounts are these hundredths.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"calendar", "exit_minute"})

    language: Literal[1] = 1
    code: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{1,62}[A-Z0-9]$")]
    name: dict[Literal["zh", "en", "fr"], Annotated[str, Field(min_length=1, max_length=200)]]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    time_zone: str
    calendar: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    seconds: Literal["drop", "count"] = "drop"
    exit_minute: Literal["free", "charged"] = "free"
    rule: Rule
    _calendar: Calendar | None = PrivateAttr(default=None)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            find_zone(name)
        except UnknownZone as wrong:
            raise ValueError(str(wrong)) from None
        return name

    @field_validator("currency")
    @classmethod
    def _has_hundredths(cls, currency: str) -> str:
        if not has_hundredths(currency):
            raise ValueError(f"{currency} has no hundredths")
        return currency

    @model_validator(mode="after")
    def _knows_the_days_it_names(self) -> Tariff:
        for rule in parts_of(self.rule):
            if isinstance(rule, Days) and len(rule.part_of) != len(DAYS if self.calendar else WEEKDAYS):
                raise ValueError(
                    "`holiday` and `makeup` are named where the tariff has a calendar, and only there")
            if isinstance(rule, Span) and rule.days and not self.calendar and not set(rule.days) <= set(WEEKDAYS):
                raise ValueError("`holiday` and `makeup` need a calendar")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return find_zone(self.time_zone)

    @cached_property
    def walls(self) -> Walls:
        """How the lot's walls show time."""
        return Walls(self.zone, self._calendar or (Calendar(self.calendar) if self.calendar else None))

    def dated(self, calendar: Calendar) -> Tariff:
        """The same tariff, with the calendar that it names; until then no year is known to it."""
        assert calendar.name == self.calendar
        made = self.model_copy()
        made.__dict__.pop("walls", None)
        made._calendar = calendar
        return made

    @cached_property
    def grows_by_the_minute(self) -> bool:
        """Whether a rule of it prices to the minute, so that the fee may change between the edges that rules name."""
        return any(isinstance(rule, ProRata) for rule in parts_of(self.rule))

    @cached_property
    def tells_sizes_apart(self) -> bool:
        """Whether a large vehicle may pay another price than a small one."""
        return any(isinstance(part, VehicleFactor) or (isinstance(part, Condition) and part.size is not None)
                   for part in parts_of(self.rule))

    @cached_property
    def tells_new_energy_apart(self) -> bool:
        """Whether a new-energy vehicle may pay another price than others."""
        return any(isinstance(part, Condition) and part.new_energy is not None for part in parts_of(self.rule))

    @cached_property
    def canonical(self) -> str:
        """The text that is hashed and sealed into charges."""
        return canonical(self.model_dump(by_alias=True))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical text, in hex."""
        return canonical_hash(self.model_dump(by_alias=True))


def read_tariff(data: Any) -> Tariff:
    """Check the data of a tariff (as json.loads gives it).

    :raises BadTariff: with the path of each thing that is wrong
    """
    if _count_rules(data) > RULES_MAX:
        raise BadTariff([("rule", f"more than {RULES_MAX} parts")])
    try:
        return Tariff.model_validate(data)
    except ValidationError as wrong:
        raise BadTariff(
            [(".".join(str(part) for part in error["loc"]) or "tariff", error["msg"]) for error in wrong.errors()]
        ) from None


def _count_rules(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + sum(_count_rules(item) for item in data.values())
    if isinstance(data, list):
        return sum(_count_rules(item) for item in data)
    return 0


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
        if isinstance(value, _Data):
            yield (name,), value
        elif isinstance(value, tuple):
            yield from (((name, number), each) for number, each in enumerate(value) if isinstance(each, _Data))


def _minute_of_day(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
