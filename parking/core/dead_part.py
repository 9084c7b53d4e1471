"""Parts of a tariff without which, or with other prices in them, each tried stay costs the same.

A part is tried by changing it (part_change.py). Where no stay notices, the caps, roundings and cheaper products
around the part are taken away and it is tried again: what a stay notices then is hidden by these (it never
matters), what no stay notices even then is never reached (it is dead).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain, combinations
from typing import Any

from parking.core import rule as language
from parking.core.finding import Finding, Level
from parking.core.part import (
    LEFT_OUT,
    Place,
    holders,
    list_parts,
    part_at,
    path_of,
    with_fields,
    with_part,
)
from parking.core.part_change import UNMISSABLE, Change, list_changes
from parking.core.rule import DAY_MINUTES
from parking.core.stretch import DAY
from parking.core.tariff import Tariff
from parking.core.trial import Entry, Trials

NEAREST_TRIED = 200


def find_dead_parts(trials: Trials) -> Iterator[Finding]:
    if not trials.tried:
        return
    dead: list[Place] = []
    for change in list_changes(trials.tariff):
        if any(change.place[:len(place)] == place for place in dead):
            continue
        finding = _try(trials, change)
        if finding is not None:
            dead.append(change.place)
            yield finding
    yield from _find_overlaps(trials, {path_of(place) for place in dead})


def _try(trials: Trials, change: Change) -> Finding | None:
    """What is found, where no tried stay notices the change."""
    changed = with_part(trials.tariff, change.place, change.new)
    if _first_noticed(trials, trials.tariff, changed, change.minutes) is not None:
        return None
    bare, bare_place = _bare(trials.tariff, change.place)
    if bare is not trials.tariff:
        noticed = _first_noticed(trials, bare, with_part(bare, bare_place, change.new), change.minutes)
        if noticed is not None:
            return Finding("never_matters", path_of(change.place), "look", trials.example(*noticed))
    if change.rule == "cap_unreachable":
        return _unreached(trials, change)
    level: Level = "look" if change.rule == "never_matters" or trials.is_cut else "wrong"
    return Finding(change.rule, path_of(change.place), level, trials.example(*_meant(trials, change)))


def _unreached(trials: Trials, change: Change) -> Finding:
    """A cap that takes nothing off. One that is met, and would take something off if it were lower, may be meant."""
    cap = part_at(trials.tariff, change.place)

    def lower(fen: int) -> Tariff:
        return with_part(trials.tariff, change.place, with_fields(cap, fen=fen))

    met = _first_noticed(trials, trials.tariff, lower(max(cap.fen - 1, 0)), change.minutes)
    level: Level = "look" if met or trials.is_cut else "wrong"
    example = trials.example(*_nearest(trials, change.place, cap.fen, lower(0)))
    return Finding(change.rule, path_of(change.place), level, example, {"cap": cap.fen})


def _nearest(trials: Trials, place: Place, cap_fen: int, without_price: Tariff) -> tuple[Entry, int]:
    """Of the stays to which a cap speaks, the shortest of those that come nearest to it from below; anybody's before
    somebody's, and one within a block around the cap before one that goes on in the next.
    """
    blocks = [part_at(trials.tariff, holder) for holder in holders(place)]
    longest = min((block.hours * 60 for block in blocks if isinstance(block, language.Blocks)), default=10**9)

    def distance(each: tuple[Entry, int]) -> tuple[Any, ...]:
        total_fen = trials.total(*each) or 0
        return total_fen > cap_fen, each[0].who is not trials.whos[0], each[1] > longest, -total_fen, each[1]

    nearest = sorted(trials.tried, key=distance)
    for entry, minutes in nearest[:NEAREST_TRIED]:
        if trials.total(entry, minutes, without_price) != trials.total(entry, minutes):
            return entry, minutes
    return nearest[0]


def _first_noticed(
    trials: Trials, one: Tariff, other: Tariff, minutes: tuple[int, ...]
) -> tuple[Entry, int] | None:
    likely = [each for each in trials.tried if each[1] in minutes] if minutes else []
    for entry, length in chain(likely, trials.tried):
        before = trials.total(entry, length, None if one is trials.tariff else one)
        if before != trials.total(entry, length, other):
            return entry, length
    return None


def _meant(trials: Trials, change: Change) -> tuple[Entry, int]:
    """The stay in which the part would show, if it were reached."""
    return min(trials.tried, key=lambda each: each[1] not in change.minutes)


def _bare(tariff: Tariff, place: Place) -> tuple[Tariff, Place]:
    """The tariff without what may hide a part: the caps, roundings and other products around it."""
    for around in holders(place):
        part = part_at(tariff, around)
        step = place[len(around):]
        if isinstance(part, language.Cap | language.Round) and step[0] in ("of", "then"):
            inner = part_at(tariff, (*around, step[0]))
            return _bare(with_part(tariff, around, inner), (*around, *step[1:]))
        if isinstance(part, language.LowerOf):
            return _bare(with_part(tariff, around, part.of[int(step[1])]), (*around, *step[2:]))
    return tariff, place


def _find_overlaps(trials: Trials, dead: set[str]) -> Iterator[Finding]:
    for place, part in list_parts(trials.tariff):
        for name in ("within", "entered", "left"):
            spans = getattr(part, name, None)
            if isinstance(spans, tuple):
                yield from _of_overlapping(trials, (*place, name), spans, dead)
    for place, part in list_parts(trials.tariff):
        if isinstance(part, language.LowerOf):
            yield from _of_same_products(trials, place, part)


def _of_overlapping(
    trials: Trials, place: Place, spans: tuple[language.Span, ...], dead: set[str]
) -> Iterator[Finding]:
    for (_, one), (number, other) in combinations(enumerate(spans), 2):
        path = path_of((*place, number))
        shared = next(filter(None, (_shared(trials, one, other, day) for day in trials.days)), None)
        if shared is None or path in dead:
            continue
        without = trials.total(*shared, with_part(trials.tariff, (*place, number), LEFT_OUT))
        if without == trials.total(*shared):
            yield Finding("overlap", path, "look", trials.example(*shared), {"without": without})


def _shared(trials: Trials, one: language.Span, other: language.Span, day: date) -> tuple[Entry, int] | None:
    """A stay that lies in two spans which are both on about this day."""
    for near in (0, 1):
        for first, second in ((one, other), (other, one)):
            if not (_is_on(trials, first, day) and _is_on(trials, second, day + near * DAY)):
                continue
            start = max(first.from_minute, second.from_minute + near * DAY_MINUTES)
            end = min(first.to_minute, second.to_minute + near * DAY_MINUTES)
            if start < end:
                return Entry(trials.instant(day, start), trials.whos[0]), end - start
    return None


def _is_on(trials: Trials, span: language.Span, day: date) -> bool:
    return span.days is None or trials.tariff.walls.day_of(day) in span.days


def _of_same_products(trials: Trials, place: Place, part: language.LowerOf) -> Iterator[Finding]:
    """Two products under one condition, of which one is always the cheaper: the other is never taken."""
    for (number, one), (other_number, other) in combinations(enumerate(part.of), 2):
        if not (isinstance(one, language.When) and isinstance(other, language.When) and one.if_ == other.if_):
            continue
        for here in ((*place, "of", other_number), (*place, "of", number)):
            without = with_part(trials.tariff, here, LEFT_OUT)
            alone = with_part(trials.tariff, place, part_at(trials.tariff, here))
            held = _first_noticed(trials, alone, with_part(alone, (*place, "then"), UNMISSABLE), ())
            if held is not None and _first_noticed(trials, trials.tariff, without, ()) is None:
                level: Level = "look" if trials.is_cut else "wrong"
                yield Finding("overlap", path_of(here), level, trials.example(*held), {
                    "without": trials.total(*held, without)})
                break
