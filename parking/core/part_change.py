"""Each part of a tariff put otherwise, so that a stay which it bears on costs something else (dead_part.py tries them).

A rule inside another is put at a price that nobody could miss, a cap or free minutes are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from parking.core import rule as language
from parking.core.part import LEFT_OUT, Place, list_parts, with_fields
from parking.core.tariff import Tariff

FEN_NOBODY_MISSES = 9_000_000
UNMISSABLE = language.Flat(kind="flat", fen=FEN_NOBODY_MISSES)


@dataclass(frozen=True, slots=True)
class Change:
    """A part put otherwise. rule: what is found where no stay notices. minutes: lengths of which some stay would."""

    place: Place
    new: Any
    rule: str = "dead_rule"
    minutes: tuple[int, ...] = ()


def list_changes(tariff: Tariff) -> Iterator[Change]:
    """Each part of the tariff put otherwise, from the outside in."""
    for place, part in list_parts(tariff):
        for step, inner in language.inner_parts(part):
            if hasattr(inner, "kind"):
                yield Change(place + step, UNMISSABLE, minutes=_reaching(part, step))
        make = _OWN.get(type(part))
        if make is not None:
            yield from make(part, place)


def _reaching(part: Any, step: Place) -> tuple[int, ...]:
    """Lengths of stays that reach what lies inside, where the part asks for one."""
    if isinstance(part, language.FreeWithin | language.FreeFirst):
        return (part.minutes + 1,)
    if isinstance(part, language.When) and part.if_.stay_up_to is not None:
        return (part.if_.stay_up_to + (step == ("else_",)),)
    return ()


def _dearer(priced: Any) -> Any:
    return with_fields(priced, fen=priced.fen + FEN_NOBODY_MISSES)


def _of_steps(part: language.Steps, place: Place) -> Iterator[Change]:
    done = 0
    for number, step in enumerate(part.steps):
        yield Change((*place, "steps", number), _dearer(step), minutes=(done + 1,))
        done += step.minutes * (step.times or 0)


def _of_ladder(part: language.Ladder, place: Place) -> Iterator[Change]:
    done = 0
    for number, rung in enumerate(part.rungs):
        yield Change((*place, "rungs", number), _dearer(rung), minutes=(done + 1,))
        done = rung.minutes


def _of_cap(part: language.Cap, place: Place) -> Iterator[Change]:
    if part.by_stay is None:
        yield Change(place, part.of, "cap_unreachable")
        return
    done = 0
    for number, cap in enumerate(part.by_stay):
        here, meant = (*place, "by_stay", number), (done + 1,)
        yield Change(here, with_fields(cap, fen=0), minutes=meant)
        yield Change(here, with_fields(cap, fen=FEN_NOBODY_MISSES), "cap_unreachable", meant)
        done = cap.minutes_max or 0


def _of_free(part: language.FreeWithin | language.FreeFirst, place: Place) -> Iterator[Change]:
    yield Change(place, part.then, minutes=(part.minutes,))


def _of_exempt(part: language.Exempt, place: Place) -> Iterator[Change]:
    for number in range(len(part.when)):
        rest = part.when[:number] + part.when[number + 1:]
        yield Change(place, with_fields(part, when=rest) if rest else part.then)


def _of_when(part: language.When, place: Place) -> Iterator[Change]:
    yield Change(place, part.then, "never_matters")


def _of_gather(part: language.Gather, place: Place) -> Iterator[Change]:
    if len(part.within) == 1:
        yield Change(place, part.then, "never_matters")
    yield from _of_spans(part.within, (*place, "within"))


def _of_condition(part: language.Condition, place: Place) -> Iterator[Change]:
    for name in ("entered", "left"):
        yield from _of_spans(getattr(part, name) or (), (*place, name))


def _of_spans(spans: tuple[language.Span, ...], place: Place) -> Iterator[Change]:
    for number in range(len(spans) if len(spans) > 1 else 0):
        yield Change((*place, number), LEFT_OUT)


def _without(inside: str) -> Any:
    def make(part: Any, place: Place) -> Iterator[Change]:
        yield Change(place, getattr(part, inside), "never_matters")

    return make


def _nothing_own(part: Any, place: Place) -> Iterable[Change]:
    """What such a rule says lies all in the rules inside it."""
    return ()


_OWN: dict[type, Any] = {
    language.Steps: _of_steps,
    language.Ladder: _of_ladder,
    language.Cap: _of_cap,
    language.FreeWithin: _of_free,
    language.FreeFirst: _of_free,
    language.Exempt: _of_exempt,
    language.When: _of_when,
    language.Condition: _of_condition,
    language.Gather: _of_gather,
    language.Blocks: _without("each"),
    language.Periods: _without("each"),
    language.VehicleFactor: _without("then"),
    language.Round: _without("then"),
    language.Validated: _without("then"),
    language.Slots: _nothing_own,
    language.Flat: _nothing_own,
    language.ProRata: _nothing_own,
    language.Windows: _nothing_own,
    language.Days: _nothing_own,
    language.Sum: _nothing_own,
    language.LowerOf: _nothing_own,
}
RULES_KNOWN = frozenset(_OWN)
