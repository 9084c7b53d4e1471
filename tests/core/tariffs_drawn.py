"""Tariffs and stays drawn at random: shapes that lots use and shapes that none does, and stays at their edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from parking.core.calendar import Calendar, read_year
from parking.core.price import Vehicle
from parking.core.tariff import Tariff, read_tariff
from tests.core.oracle import DAY, DAYS

Data = dict[str, Any]

MINUTE = timedelta(minutes=1)
# Beside zones that every city knows: half an hour of summer time, clocks that change at midnight, a lost day.
ZONES = (
    "Asia/Shanghai", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC", "America/Havana",
    "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "America/St_Johns")
YEARS = (2011, 2018, 2026)  # Apia lost a day in the first, clocks of Sao Paulo and Cairo change in one of the others.
CALENDAR = {
    year: {"holidays": [f"{year}-01-01", f"{year}-03-29", f"{year}-10-01", f"{year}-10-02", f"{year}-11-01"],
           "makeup": [f"{year}-03-28", f"{year}-10-10"]}
    for year in YEARS}
# Of each whether it is a new-energy vehicle's, and which exemption it proves.
PLATES: dict[str | None, tuple[bool, str | None]] = {
    None: (False, None), "沪A12345": (False, None), "沪AD12345": (True, None), "沪A12345F": (True, None),
    "沪A1234警": (False, "police"), "AB12345": (False, "military"), "NOT A PLATE": (False, None)}
WORDS = ("disabled", "military", "police")

any_minutes = st.one_of(
    st.sampled_from([60, 30, 15, 20, 90, 120, 240, 300, 480, 720, 1440, 2880, 1, 2, 5]), st.integers(1, 3000))
any_fen = st.one_of(st.sampled_from([200, 500, 800, 1000, 1500, 6000, 1, 0]), st.integers(1, 9999))
any_time = st.one_of(
    st.sampled_from(["00:00", "00:30", "01:00", "02:00", "02:30", "03:00", "07:30", "08:00", "19:30", "23:59"]),
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)))
any_rounding = st.sampled_from(["half_up", "up", "down"])


@dataclass(frozen=True)
class Drawn:
    """A tariff, with the years of its calendar that are confirmed, and a stay under it."""

    tariff: Data
    entered_at: datetime
    left_at: datetime
    size: str = "small"
    plate: str | None = None
    context: Data = field(default_factory=dict)
    years: dict[int, Data] = field(default_factory=dict)

    @cached_property
    def asked(self) -> Data:
        """What the engine is asked."""
        return {"vehicle": Vehicle(self.size, self.plate), "context": self.context}  # type: ignore[arg-type]

    @cached_property
    def told(self) -> Data:
        """What the oracle is."""
        is_new_energy, proved = PLATES[self.plate]
        return {"size": self.size, "is_new_energy": is_new_energy, "proved": proved, "context": self.context,
                "years": self.years}

    @cached_property
    def read(self) -> Tariff:
        return read(self.tariff, self.years)


def read(tariff: Data, years: dict[int, Data] | None = None) -> Tariff:
    made = read_tariff(tariff)
    if made.calendar is None:
        return made
    return made.dated(Calendar(made.calendar, {
        year: read_year({"year": year, **said}) for year, said in (years or {}).items()}))


def tariff_of(rule: Data, **more: Any) -> Data:
    return {"code": "DRAWN", "name": {"en": "drawn"}, "time_zone": "UTC", **more, "rule": rule}


@st.composite
def tariffs(draw: st.DrawFn, deepest: int = 3) -> Data:
    depth = draw(st.sampled_from([min(each, deepest) for each in (1, 2, 2, 3, 3)]))
    calendar = draw(st.sampled_from([None, None, "CN"]))
    made = tariff_of(
        draw(rules(depth, days=(*DAYS, "holiday", "makeup") if calendar else tuple(DAYS))),
        time_zone=draw(st.sampled_from(ZONES)), seconds=draw(st.sampled_from(["drop", "drop", "count"])),
        exit_minute=draw(st.sampled_from(["free", "free", "charged"])))
    return {**made, "calendar": calendar} if calendar else made


@st.composite
def rules(draw: st.DrawFn, depth: int = 2, *, days: tuple[str, ...] = tuple(DAYS), plain: bool = False) -> Data:
    """plain: none that looks at a clock, as inside `gather`."""
    groups = [LEAVES] if depth == 0 else [HOLDERS, HOLDERS, HOLDERS, LEAVES] if plain else [
        HOLDERS, HOLDERS, CLOCKED, CLOCKED, LEAVES]
    group = draw(st.sampled_from(groups))
    kind = draw(st.sampled_from(sorted(group)))
    inner = rules(depth - 1, days=days, plain=plain or kind == "gather")
    return draw(group[kind](inner, days) if kind in ("days", "gather", "when") else group[kind](inner))


@st.composite
def _steps(draw: st.DrawFn, _: Any) -> Data:
    step = st.fixed_dictionaries({"minutes": any_minutes, "fen": any_fen, "times": st.integers(1, 4)})
    return {"kind": "steps", "steps": [
        *draw(st.lists(step, max_size=3)), {"minutes": draw(any_minutes), "fen": draw(any_fen)}]}


@st.composite
def _ladder(draw: st.DrawFn, _: Any) -> Data:
    lengths = sorted(draw(st.sets(any_minutes, min_size=1, max_size=4)))
    return {"kind": "ladder", "rungs": [{"minutes": length, "fen": draw(any_fen)} for length in lengths]}


def _flat(_: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("flat"), "fen": any_fen})


def _pro_rata(_: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries(
        {"kind": st.just("pro_rata"), "minutes": any_minutes, "fen": any_fen}, optional={"round": any_rounding})


@st.composite
def _windows(draw: st.DrawFn, inner: Any) -> Data:
    times = sorted(draw(st.sets(any_time, min_size=1, max_size=4)))
    windows = [
        {"name": f"from {start}", "from": start, "to": end, "each": draw(inner)}
        for start, end in pairwise([*times, times[0]])]
    return {"kind": "windows", "windows": draw(st.permutations(windows))}


def _blocks(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries(
        {"kind": st.just("blocks"), "hours": st.sampled_from([24, 24, 1, 2, 12, 25, 48, 168]), "each": inner})


@st.composite
def _cap(draw: st.DrawFn, inner: Any) -> Data:
    if draw(st.booleans()):
        return {"kind": "cap", "fen": draw(any_fen), "of": draw(inner)}
    bound = st.fixed_dictionaries({"fen": any_fen}, optional={"minutes": any_minutes}) | st.fixed_dictionaries(
        {"fen": any_fen, "below": any_minutes})
    return {"kind": "cap", "of": draw(inner), "by_stay": [
        *draw(st.lists(bound, max_size=3)), {"fen": draw(any_fen)}]}


def _free_within(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries(
        {"kind": st.just("free_within"), "minutes": any_minutes, "then": inner},
        optional={"first_stop_of_day": st.booleans()})


def _free_first(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("free_first"), "minutes": any_minutes, "then": inner})


def _exempt(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({
        "kind": st.just("exempt"), "when": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2), "then": inner})


def _vehicle_factor(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("vehicle_factor"), "large": st.integers(0, 3), "then": inner})


def _sum(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("sum"), "of": st.lists(inner, min_size=1, max_size=3)})


def _lower_of(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("lower_of"), "of": st.lists(inner, min_size=2, max_size=3)})


@st.composite
def _round(draw: st.DrawFn, inner: Any) -> Data:
    return {"kind": "round", "to_fen": draw(st.sampled_from([2, 3, 10, 50, 100, 1000])),
            "how": draw(any_rounding), "then": draw(inner)}


def _validated(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("validated"), "then": inner})


@st.composite
def _when(draw: st.DrawFn, inner: Any, days: tuple[str, ...]) -> Data:
    asked = {
        "stay_up_to": any_minutes, "entered": spans(days), "left": spans(days), "rail_trip": st.booleans(),
        "metro_trip": st.booleans(), "new_energy": st.booleans(), "size": st.sampled_from(["small", "large"]),
        "first_stop_of_day": st.booleans()}
    names = draw(st.lists(st.sampled_from(sorted(asked)), min_size=1, max_size=2, unique=True))
    return {"kind": "when", "if": {name: draw(asked[name]) for name in names}, "then": draw(inner),
            "else": draw(inner)}


@st.composite
def _days(draw: st.DrawFn, inner: Any, days: tuple[str, ...]) -> Data:
    part_of = {day: draw(st.integers(0, 2)) for day in days}
    parts = [[day for day in days if part_of[day] == part] for part in sorted(set(part_of.values()))]
    made = {"kind": "days", "days": [{"on": on, "each": draw(inner)} for on in parts]}
    return made | ({"at": draw(any_time)} if draw(st.booleans()) else {})


def _periods(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries(
        {"kind": st.just("periods"), "every": st.sampled_from(["day", "day", "week"]), "each": inner},
        optional={"at": any_time})


def _slots(inner: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("slots"), "minutes": any_minutes, "each": inner})


def _gather(inner: Any, days: tuple[str, ...]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"kind": st.just("gather"), "within": spans(days), "then": inner})


def spans(days: tuple[str, ...]) -> st.SearchStrategy[list[Data]]:
    span = st.fixed_dictionaries({}, optional={
        "days": st.lists(st.sampled_from(days), min_size=1, max_size=5, unique=True), "from": any_time, "to": any_time})
    return st.lists(span, min_size=1, max_size=3)


LEAVES: dict[str, Any] = {"steps": _steps, "ladder": _ladder, "flat": _flat, "pro_rata": _pro_rata}
HOLDERS: dict[str, Any] = {
    "blocks": _blocks, "cap": _cap, "free_within": _free_within, "free_first": _free_first, "exempt": _exempt,
    "vehicle_factor": _vehicle_factor, "sum": _sum, "lower_of": _lower_of, "round": _round, "validated": _validated,
    "when": _when}
CLOCKED: dict[str, Any] = {"windows": _windows, "days": _days, "periods": _periods, "slots": _slots, "gather": _gather}


@st.composite
def stays(draw: st.DrawFn, tariff: Data, *, longest: int = 90 * DAY) -> Drawn:
    """A stay of up to `longest` minutes, that begins and ends near where the tariff or the clocks may cut it."""
    zone, near = ZoneInfo(tariff["time_zone"]), st.sampled_from([0, 0, 0, 1, -1])
    begin = draw(_edges_of_the_clock(tariff)) + draw(near | st.integers(-90, 90) | st.integers(-DAY, DAY)) * MINUTE
    if draw(st.sampled_from(["length", "length", "clock"])) == "length":
        lengths = sorted({each for each in _lengths(tariff["rule"]) if each <= longest}) or [60]
        chosen = draw(st.lists(st.sampled_from(lengths), min_size=1, max_size=draw(st.sampled_from([1, 1, 3]))))
        minutes = sum(chosen) + draw(near)
    else:
        until = draw(st.sampled_from(_times(tariff["rule"])))
        later = begin.astimezone(zone) + timedelta(days=draw(st.integers(0, 3)))
        hour, minute = until.split(":")
        end = later.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0).astimezone(UTC)
        minutes = (end - begin) // MINUTE + draw(near)
    minutes += draw(st.sampled_from([0] * 8 + [60, 300, DAY, 2 * DAY, 7 * DAY, 30 * DAY]))
    minutes = max(0, min(minutes, longest))
    if tariff.get("seconds") == "count":  # A stay is as many ticks as its seconds ask for.
        seconds = st.sampled_from([0, 0, 15, 30, 45]) if minutes > 8 * 60 else st.sampled_from([0, 0.5, 1, 30, 59])
        minutes = min(minutes, 14 * DAY)
    else:
        seconds = st.sampled_from([0, 0, 1, 30, 59.999])
    begin += timedelta(seconds=draw(seconds))
    end = begin + minutes * MINUTE + timedelta(seconds=draw(seconds))
    return Drawn(
        tariff, begin, end, draw(st.sampled_from(["small", "large"])), draw(st.sampled_from(sorted(
            PLATES, key=str))), draw(_contexts(begin, end)), CALENDAR if "calendar" in tariff else {})


@st.composite
def drawn(draw: st.DrawFn, *, deepest: int = 3, longest: int = 90 * DAY) -> Drawn:
    return draw(stays(draw(tariffs(deepest)), longest=longest))


@st.composite
def _contexts(draw: st.DrawFn, entered_at: datetime, left_at: datetime) -> Data:
    near = st.integers(-2, 2).map(lambda minutes: minutes * MINUTE)
    start, end = entered_at.replace(second=0, microsecond=0), left_at.replace(second=0, microsecond=0)

    @st.composite
    def trips(draw: st.DrawFn) -> Data:
        times = sorted([start + draw(near), end + draw(near)])
        return {"app": draw(st.sampled_from(["metro", "metro", "other"])), "in": times[0].isoformat(),
                "out": times[1].isoformat(), "stations": draw(st.sampled_from([["A", "B"], ["A", "B", "A"]]))}

    return draw(st.fixed_dictionaries({}, optional={
        "stop_of_day": st.integers(1, 3), "rail_trip": st.booleans(),
        "exempt": st.sampled_from([None, *WORDS, "other"]),
        "bound_app": st.sampled_from(["metro", "metro", "other"]), "metro_trips": st.lists(trips(), max_size=2),
        "validations": st.lists(st.one_of(
            st.fixed_dictionaries({"minutes": any_minutes}), st.fixed_dictionaries({"fen": any_fen.filter(bool)})),
            max_size=2)}))


def _edges_of_the_clock(tariff: Data) -> st.SearchStrategy[datetime]:
    """A change of the clocks, or a time of day that the tariff names, on some day."""
    zone = ZoneInfo(tariff["time_zone"])

    def on(day: int, time: str, year: int) -> datetime:
        return datetime.fromisoformat(f"{date(year, 1, 1) + timedelta(days=day)}T{time}").replace(
            tzinfo=zone).astimezone(UTC)

    named = st.builds(on, st.integers(0, 364), st.sampled_from(_times(tariff["rule"])), st.sampled_from(YEARS))
    changes = _changes(tariff["time_zone"])
    return st.one_of(named, st.sampled_from(changes)) if changes else named


@cache
def _changes(name: str) -> list[datetime]:
    """Every change of the zone's clocks in these years."""
    zone, found = ZoneInfo(name), []
    for year in YEARS:
        start = datetime(year, 1, 5, tzinfo=UTC)
        hours = [start + timedelta(hours=hour) for hour in range(24 * 361)]
        for before, after in pairwise(hours):
            if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
                found += [at for at in (before + minute * MINUTE for minute in range(1, 61))
                          if at.astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset()][:1]
    return found


def _lengths(rule: Any) -> Iterator[int]:
    """The lengths, in minutes, that a rule names."""
    for data in _objects(rule):
        for name in ("minutes", "below", "stay_up_to"):
            if type(data.get(name)) is int:
                yield from (data[name], data[name] * data.get("times", 1))
        yield from [data["hours"] * 60] if "hours" in data else []


def _times(rule: Any) -> list[str]:
    named = {data[name] for data in _objects(rule) for name in ("from", "to", "at") if name in data}
    return sorted({"00:00", "12:00", *named})


def _objects(data: Any) -> Iterator[Data]:
    if isinstance(data, dict):
        yield data
        data = data.values()
    if not isinstance(data, str | int | None):
        for each in data:
            yield from _objects(each)
