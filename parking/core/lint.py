"""What in a tariff would surprise a driver or its operator, each shown by a stay.

The lint prices stays that the tariff's own times and lengths suggest (core/trial.py), under the tariff and
under the same one with a part changed or left out. What it tells it has priced; what no tried stay shows it does
not tell. It asks nothing but `price()`, so a rule that the language gets later is linted by its prices too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from parking.core import rule as language
from parking.core.clock import city_date
from parking.core.dead_part import find_dead_parts
from parking.core.finding import RULES, Example, Finding, Level, Stay, finding_answer, says
from parking.core.part import Place, list_parts, path_of, with_fields, with_part
from parking.core.rule import DAY_MINUTES
from parking.core.stretch import MINUTE
from parking.core.tariff import Tariff
from parking.core.trial import WORK_MAX, Entry, Trials, WorkSpent, dated_for_trial

__all__ = ["RULES", "Example", "Finding", "Level", "Stay", "finding_answer", "lint", "says"]
ROOT: Place = ("rule",)
CROSSING_MINUTES = 5  # on either side of a time of day
TRAP_TIMES = 1.5  # what a crossing costs more than the dearer of its neighbours, to be a trap
PARTS_MAX = 12
SAVED_PART = 10  # a tenth must be saved for parts to be cheaper
WHOLE_STAYS = (120, 60, 240, 480, 720, 1440, 1470, 2880)


def lint(tariff: Tariff) -> tuple[Finding, ...]:
    """What is odd, by rule and path; the same for the same tariff.

    A tariff with a calendar is tried in its latest confirmed year that has holidays and make-up days; where none
    has, 18 and 19 March 2026 are taken for holidays, and Sunday the 22nd for a working day.
    """
    trials = Trials(dated_for_trial(tariff))
    found: dict[tuple[str, str], Finding] = {}
    for search, percent in _SEARCHES:
        trials.allowed = WORK_MAX * percent // 100
        try:
            for finding in search(trials):
                found.setdefault((finding.rule, finding.path), finding)
        except WorkSpent:
            trials.is_cut = True
    if trials.is_cut and trials.last is not None:
        cut = Finding("search_cut_short", path_of(ROOT), "look", trials.again(*trials.last), {"count": trials.count})
        found[cut.rule, cut.path] = cut
    order = list(RULES)
    return tuple(sorted(found.values(), key=lambda each: (each.level != "wrong", order.index(each.rule), each.path)))


def _find_falls(trials: Trials) -> Iterator[Finding]:
    """The worst fall that each part explains."""
    falls: list[tuple[int, int, Entry, int, int]] = []
    for entry, curve in trials.curves:
        falls += _falls_of(entry, curve)
    for entry, lengths in _near_bounds(trials):
        totals = ((minutes, trials.total(entry, minutes)) for minutes in lengths)
        falls += _falls_of(entry, [(minutes, fen) for minutes, fen in totals if fen is not None])
    told: set[str] = set()
    for _, _, entry, shorter, longer in sorted(falls, key=lambda each: each[:2])[:40]:
        level, place = _blame_fall(trials, entry, shorter, longer)
        if path_of(place) in told:
            continue
        told.add(path_of(place))
        before = trials.total(entry, shorter)
        assert before is not None
        yield Finding("price_falls", path_of(place), level, trials.example(
            entry, longer, [trials.stay(entry, shorter, before)]))


def _falls_of(entry: Entry, curve: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, Entry, int, int]]:
    """(−fen, minutes, entry, shorter, longer) of each fall below what a shorter stay costs."""
    high, at = -1, 0
    for minutes, fen in curve:
        if fen >= high:
            high, at = fen, minutes
        elif fen < high:
            yield fen - high, minutes, entry, at, minutes


def _near_bounds(trials: Trials) -> Iterator[tuple[Entry, list[int]]]:
    """Entries all over the day, with the stays about each bound of a whole stay and each end of a product."""
    lengths, ends = set[int](), set[int]()
    for _, part in list_parts(trials.tariff):
        if isinstance(part, language.Condition):
            lengths |= {part.stay_up_to or 0}
            ends |= {minute for span in part.left or () for minute in (span.from_minute, span.to_minute)}
        elif isinstance(part, language.StayCap):
            lengths |= {part.minutes_max or 0}
        elif isinstance(part, language.Rung):
            lengths |= {part.minutes}
    lengths.discard(0)
    if not lengths and not ends:
        return
    whos = trials.whos[:4]
    for day in trials.days:
        for minute in sorted({*range(0, DAY_MINUTES, 60), *trials.marks}):
            for who in whos:
                entry = Entry(trials.instant(day, minute), who)
                near = {each for length in lengths for each in trials.around(length)}
                for end in ends:
                    away = (end - minute) % DAY_MINUTES
                    near |= {each for late in (0, DAY_MINUTES) for each in trials.around(away + late)}
                yield entry, sorted(near)


def _blame_fall(trials: Trials, entry: Entry, shorter: int, longer: int) -> tuple[Level, Place]:
    """The part that, put otherwise, lets the price not fall."""
    for place, other, level in _suspects(trials.tariff):
        made = with_part(trials.tariff, place, other)
        before, after = trials.total(entry, shorter, made), trials.total(entry, longer, made)
        if before is not None and after is not None and after >= before:
            return level, place
    return "wrong", ROOT


def _suspects(tariff: Tariff) -> Iterator[tuple[Place, Any, Level]]:
    """Parts that may make a price fall, each put so that it does not. A product by its exit, or a trip on the way,
    may be meant.
    """
    parts = list_parts(tariff)
    for place, part in parts:
        if isinstance(part, language.When) and (part.if_.left is not None or part.if_.metro_trip is not None):
            asked = with_fields(part.if_, left=None, metro_trip=None)
            is_empty = all(getattr(asked, name) is None for name in type(asked).model_fields)
            yield place, part.then if is_empty else with_fields(part, if_=asked), "look"
    for place, part in parts:
        if isinstance(part, language.Ladder):
            yield place, with_fields(part, rungs=_never_falling(part.rungs)), "wrong"
        elif isinstance(part, language.Cap) and part.by_stay is not None:
            yield place, with_fields(part, by_stay=_never_falling(part.by_stay)), "wrong"
    for place, part in parts:
        if isinstance(part, language.When):
            yield place, part.then, "wrong"
            yield place, part.else_, "wrong"


def _never_falling(priced: Iterable[Any]) -> tuple[Any, ...]:
    made: list[Any] = []
    for each in priced:
        made.append(with_fields(each, fen=max(each.fen, made[-1].fen if made else 0)))
    return tuple(made)


def _find_jumps(trials: Trials) -> Iterator[Finding]:
    """The highest rise by one minute, where it is more than any price that the tariff names."""
    named = max((part.fen for _, part in list_parts(trials.tariff) if isinstance(part, _PRICED)), default=0)
    worst: tuple[int, Entry, int] | None = None
    for entry, curve in trials.curves:
        if entry.who.vehicle.size == "large":
            continue
        for (minutes, fen), (longer, more) in pairwise(curve):
            if longer == minutes + 1 and more - fen > (worst[0] if worst else named):
                worst = more - fen, entry, longer
    if worst is not None:
        rise, entry, longer = worst
        before = trials.total(entry, longer - 1)
        assert before is not None
        yield Finding(
            "jump", path_of(ROOT), "look", trials.example(entry, longer, [trials.stay(entry, longer - 1, before)]),
            {"rise": rise})


_PRICED = (language.Step, language.Rung, language.Flat, language.ProRata)


def _find_traps(trials: Trials) -> Iterator[Finding]:
    """A few minutes across a time of day that cost more than as many before it or after it."""
    length, worst = 2 * CROSSING_MINUTES, dict[Place, tuple[int, Finding]]()
    for entry in trials.entries:
        over, before, after = (
            Entry(entry.at + shift * MINUTE, entry.who) for shift in (-CROSSING_MINUTES, -length, 0))
        totals = [trials.total(each, length) for each in (over, before, after)]
        crossing, *sides = [fen for fen in totals if fen is not None] or [0]
        place = _names_minute(trials.tariff, entry)
        if len(sides) < 2 or crossing < TRAP_TIMES * max(sides) or crossing == 0 or place is None:
            continue
        more = crossing - max(sides)
        if place not in worst or more > worst[place][0]:
            compared = [trials.stay(each, length, fen) for each, fen in zip((before, after), sides, strict=True)]
            worst[place] = more, Finding(
                "midnight_trap", path_of(place), "look", trials.example(over, length, compared))
    yield from (finding for _, finding in worst.values())


def _names_minute(tariff: Tariff, entry: Entry) -> Place | None:
    """The part that names this time of day."""
    local = entry.at.astimezone(tariff.zone)
    minute = local.hour * 60 + local.minute
    parts = list_parts(tariff)
    for place, part in sorted(parts, key=lambda each: isinstance(each[1], language.Span)):
        named = [getattr(part, name) for name in ("from_minute", "to_minute", "at_minute") if hasattr(part, name)]
        if minute in {each % DAY_MINUTES for each in named}:
            return place[:-2] if isinstance(part, language.Window | language.Span) else place
    return None


def _find_gaps(trials: Trials) -> Iterator[Finding]:
    """The longest time, from one time of day to another, of which no line of the fee speaks."""
    longest: dict[Place, tuple[int, Entry]] = {}
    for entry in trials.entries:
        minutes = 0
        for end in trials.next_marks(entry, days=4):
            quote = trials.quote(entry, end)
            if quote is None or quote.lines:
                break
            minutes = end
        if minutes:
            place = _blame_gap(trials, entry, minutes)
            if minutes > longest.get(place, (0, entry))[0]:
                longest[place] = minutes, entry
    for place, (minutes, entry) in longest.items():
        yield Finding("gap", path_of(place), "look", trials.example(entry, minutes))


def _blame_gap(trials: Trials, entry: Entry, minutes: int) -> Place:
    for place, part in list_parts(trials.tariff):
        if isinstance(part, language.Gather):
            quote = trials.quote(entry, minutes, with_part(trials.tariff, place, part.then))
            if quote is not None and quote.lines:
                return place
    return ROOT


def _find_parts(trials: Trials) -> Iterator[Finding]:
    """The stays that cost least against one stay of the same time: by free minutes, and otherwise."""
    unfree = _without_free_minutes(trials.tariff)
    chained, parted, looked = False, False, 0
    for _, entry, cuts in sorted(_partings(trials), key=lambda each: each[0]):
        looked += 1
        if (chained and parted) or looked > 60:
            return
        minutes = cuts[-1]
        stays = _in_parts(trials, entry, cuts, trials.tariff)
        is_free = not any(stay.total_fen for stay in stays) or not _saves(trials, entry, cuts, unfree)
        if (chained if is_free else parted):
            continue
        chained, parted = chained or is_free, parted or not is_free
        yield Finding(
            "free_minutes_chained" if is_free else "cheaper_in_parts", path_of(_free_place(trials.tariff, is_free)),
            "look", trials.example(entry, minutes, stays))


def _partings(trials: Trials) -> Iterator[tuple[tuple[float, int, int], Entry, list[int]]]:
    """Ways to leave and come back that save a tenth; the first element is the lower, the better."""
    short = [minutes for minutes in trials.named_lengths if minutes <= DAY_MINUTES][:14]
    alone = [entry for entry in trials.entries if not entry.who.context and not entry.who.rides_metro]
    for entry in alone[:6]:
        for order, whole in enumerate(WHOLE_STAYS):
            ways = [list(range(each, whole, each)) for each in short if whole / PARTS_MAX <= each < whole]
            ways += [[each] for each in {*short, *(whole - each for each in short), *trials.next_marks(entry, days=1)}
                     if 0 < each < whole]
            for cuts in sorted(map(tuple, ways)):
                saved = _saves(trials, entry, [*cuts, whole], trials.tariff)
                if saved:
                    yield (-saved, order, len(cuts)), entry, [*cuts, whole]


def _saves(trials: Trials, entry: Entry, cuts: list[int], tariff: Tariff) -> float:
    """The part of the price that leaving and coming back saves; 0 where it is less than a tenth."""
    whole = trials.total(entry, cuts[-1], None if tariff is trials.tariff else tariff)
    parts = sum(stay.total_fen for stay in _in_parts(trials, entry, cuts, tariff))
    return 0 if not whole or (whole - parts) * SAVED_PART < whole else (whole - parts) / whole


def _in_parts(trials: Trials, entry: Entry, cuts: list[int], tariff: Tariff) -> list[Stay]:
    """The stays between the cuts; each but a day's first is a later stop of that day."""
    made: list[Stay] = []
    stops: dict[Any, int] = {}
    for start, end in zip([0, *cuts], cuts, strict=False):
        at = entry.at + start * MINUTE
        day = city_date(at, tariff.zone)
        stops[day] = stops.get(day, entry.who.context.get("stop_of_day", 1) - 1) + 1
        part = Entry(at, trials.as_stop(entry.who, stops[day]))
        total_fen = trials.total(part, end - start, None if tariff is trials.tariff else tariff)
        made.append(trials.stay(part, end - start, total_fen or 0))
    return made


def _without_free_minutes(tariff: Tariff) -> Tariff:
    while (found := next(_free_parts(tariff), None)) is not None:
        tariff = with_part(tariff, found[0], found[1].then)
    return tariff


def _free_parts(tariff: Tariff) -> Iterator[tuple[Place, Any]]:
    return ((place, part) for place, part in list_parts(tariff)
            if isinstance(part, language.FreeWithin | language.FreeFirst))


def _free_place(tariff: Tariff, is_free: bool) -> Place:
    return next((place for place, _ in _free_parts(tariff)), ROOT) if is_free else ROOT


_SEARCHES: tuple[tuple[Callable[[Trials], Iterator[Finding]], int], ...] = (  # and how much work may be done by its end
    (_find_jumps, 35), (_find_falls, 45), (find_dead_parts, 80), (_find_traps, 85), (_find_gaps, 90),
    (_find_parts, 100))
