"""What drivers look for first in a tariff: the free time, the cap, the unit of charging, who is exempt.

Told of the rules that price every stay; what is found in a branch alone (by day, by time, under a condition) is
pointed at, for in short it would not be true.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parking.core import rule as data
from parking.core import tariff_words, time_words
from parking.core.phrase import LIST, SEMICOLON, capital, head, join, say
from parking.core.reason import Words
from parking.core.tariff import Tariff

_TOLD_MAX = 2
_IN_THE_PRICES = say("见收费标准", "see the prices", "voir les prix")
_SMALL = say("小型车", "small vehicles", "petits véhicules")
_OTHER_UNITS: tuple[tuple[type, Words], ...] = (
    (data.ProRata, say("分钟", "minute", "minute")),
    (data.Ladder, say("按停放时长", "by length of stay", "selon la durée")),
    (data.Flat, say("次", "flat price", "forfait")),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Each in words; None where the tariff has no rule for it."""

    free: Words | None
    cap: Words | None
    unit: Words | None
    exempt: Words | None


@dataclass
class _Found:
    """On the way inwards; scope: the stretch that the next words speak of, where it is not the stay."""

    scope: Words | None = None
    is_by_size: bool = False
    free: list[Words] = field(default_factory=list)
    cap: list[Words] = field(default_factory=list)
    exempt: list[Words] = field(default_factory=list)

    def told(self, text: Words) -> Words:
        return text if self.scope is None else head(self.scope, text)


def find_facts(tariff: Tariff) -> Facts:
    found = _Found()
    inside = list(data.parts_of(_follow(tariff.rule, found)))
    kinds = {type(each) for each in inside}
    is_free_inside = bool(kinds & {data.FreeWithin, data.FreeFirst, data.Gather}) or any(
        getattr(each, "fen", None) == 0 for each in inside)
    return Facts(
        free=_told(found.free, is_inside=is_free_inside and not found.free),
        cap=_told(found.cap, is_inside=data.Cap in kinds),
        unit=_units(tariff.rule),
        exempt=_told(found.exempt, is_inside=data.Exempt in kinds),
    )


def _follow(rule: Any, found: _Found) -> Any:
    """Gather what holds for every stay; returns the first rule after which that ends."""
    while True:
        if isinstance(rule, data.Cap):
            text = found.told(tariff_words.at_most(rule))
            found.cap.append(head(_SMALL, text) if found.is_by_size else text)
            rule = rule.of
        elif isinstance(rule, data.FreeWithin | data.FreeFirst) and not found.free:
            free = tariff_words.free_up_to(rule) if isinstance(rule, data.FreeWithin) else tariff_words.first_free(rule)
            found.free.append(found.told(free))
            rule = rule.then
        elif isinstance(rule, data.Exempt):
            found.exempt.append(tariff_words.exempt_ones(rule))
            rule = rule.then
        elif isinstance(rule, data.VehicleFactor):
            found.is_by_size = True
            rule = rule.then
        elif isinstance(rule, data.Validated):
            rule = rule.then
        elif isinstance(rule, data.Blocks):
            found.scope, rule = tariff_words.per_block(rule), rule.each
        elif isinstance(rule, data.Periods):
            found.scope, rule = tariff_words.per_period(rule), rule.each
        else:
            return rule


def _told(parts: list[Words], *, is_inside: bool) -> Words | None:
    told = [*(parts if len(parts) <= _TOLD_MAX else []),
            *([_IN_THE_PRICES] if is_inside or len(parts) > _TOLD_MAX else [])]
    return capital(join(told, SEMICOLON)) if told else None


def _units(rule: Any) -> Words | None:
    """Every unit that time is charged by, the longest first, then what is charged otherwise."""
    charged = [each for each in data.parts_of(rule, but_not_in=data.Slots)  # what is inside prices one slot
               if getattr(each, "fen", None) != 0]
    minutes = {each.minutes for each in charged if isinstance(each, data.Step | data.Slots)}
    kinds = {type(each) for each in charged}
    words = [time_words.length(each) for each in sorted(minutes, reverse=True)]
    words += [word for kind, word in _OTHER_UNITS if kind in kinds]
    return capital(join(words, LIST)) if words else None
