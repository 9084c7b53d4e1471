"""What of a tariff rate lines can say: the rules between which the clock chooses, for vehicles in general.

What they cannot say is named on the way (`Losses`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parking.core import rule as language
from parking.core.apds import Effect, Finding
from parking.core.apds_curve import Size
from parking.core.apds_week import WEEK, days_mask, window_mask
from parking.core.walls import WEEKDAYS


@dataclass(frozen=True, slots=True)
class Leaf:
    """A rule that holds in some minutes of the week, and what it is multiplied by."""

    minutes: int
    rule: Any
    path: str
    factor: int
    label: str


class CannotSay(Exception):
    """The price as a whole cannot be told in rate lines; the finding has been made."""


@dataclass(slots=True)
class Losses:
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, path: str, rule: str, reason: str, effect: Effect = "price", **params: Any) -> None:
        self.findings.setdefault((path, reason), Finding(path, rule, reason, effect, params))

    def cannot(self, path: str, rule: Any, reason: str, **params: Any) -> CannotSay:
        self.add(path, getattr(rule, "kind", str(rule)), reason, **params)
        return CannotSay()


def take_outermost(rule: Any) -> tuple[Any, str, list[str], bool]:
    """Exemptions and validations around everything else, which eligibility and a member of the table say."""
    path, exempt, validation = "rule", list[str](), False
    while isinstance(rule, language.Exempt | language.Validated):
        if isinstance(rule, language.Exempt):
            exempt += [word for word in rule.when if word not in exempt]
        else:
            validation = True
        rule, path = rule.then, f"{path}.then"
    return rule, path, exempt, validation


def asks_size(rule: Any) -> bool:
    return any(
        isinstance(each, language.VehicleFactor) or (isinstance(each, language.When) and each.if_.size is not None)
        for each in language.parts_of(rule))


def find_leaves(rule: Any, path: str, size: Size | None, losses: Losses) -> list[Leaf]:
    """The rules between which the clock chooses, each with its minutes of the week."""
    found: list[Leaf] = []

    def look(rule: Any, path: str, minutes: int, factor: int, label: str) -> None:
        if not minutes:
            return
        rule, path, factor = take_head(rule, path, factor, size, losses)
        if isinstance(rule, language.Days):
            for number, part in enumerate(rule.days):
                days = [day for day in part.on if day in WEEKDAYS]
                if len(days) < len(part.on):
                    losses.add(f"{path}.days.{number}.on", "days", "special_days")
                look(part.each, f"{path}.days.{number}.each", minutes & days_mask(days, rule.at_minute), factor,
                     f"{days[0]}–{days[-1]}" if len(days) > 1 else "".join(days))
        elif isinstance(rule, language.Windows) and len(rule.windows) > 1:
            for number, window in enumerate(rule.windows):
                mask = window_mask(window.from_minute, window.to_minute)
                look(window.each, f"{path}.windows.{number}.each", minutes & mask, factor,
                     f"{label} {window.name}".strip())
        else:
            found.append(Leaf(minutes, rule, path, factor, label))

    look(rule, path, WEEK, 1, "")
    return found


def take_head(rule: Any, path: str, factor: int, size: Size | None, losses: Losses) -> tuple[Any, str, int]:
    """What stands at the head of a rule and asks who parks, answered or named; the rest is the general price."""
    while True:
        if isinstance(rule, language.VehicleFactor):
            factor *= rule.large if size == "large" else 1
            rule, path = rule.then, f"{path}.then"
        elif isinstance(rule, language.When):
            branch = _branch(rule, path, size, losses)
            if branch is None:
                return rule, path, factor
            rule, path = getattr(rule, branch), f"{path}.{branch.removesuffix('_')}"
        elif isinstance(rule, language.Exempt | language.Validated) or _asks_first_stop(rule):
            losses.add(path, rule.kind, "first_stop" if _asks_first_stop(rule) else "not_for_all")
            rule, path = rule.then, f"{path}.then"
        else:
            return rule, path, factor


def _branch(rule: language.When, path: str, size: Size | None, losses: Losses) -> str | None:
    """The branch that holds for vehicles in general; None where the length of the stay decides."""
    asked = rule.if_.model_dump(exclude_none=True)
    wanted = asked.pop("size", None)
    if wanted is not None and wanted != size:
        return "else_"
    if not asked:
        return "then"
    if set(asked) == {"stay_up_to"} and wanted is None:
        return None
    losses.add(f"{path}.if", "when", "condition", asks=", ".join(sorted(asked)))
    return "else_"


def _asks_first_stop(rule: Any) -> bool:
    return isinstance(rule, language.FreeWithin) and rule.first_stop_of_day


def generalise(rule: Any, path: str, size: Size | None, *, is_whole_stay: bool, losses: Losses) -> Any:
    """The rule as the length of the stretch alone decides it, for vehicles in general.

    :raises CannotSay: something in it looks at the clock, or at the whole stay of which this is a part
    """
    def inner(name: str, inside: Any, place: str | None = None) -> Any:
        at = f"{path}.{(place or name).removesuffix('_')}"
        return generalise(inside, at, size, is_whole_stay=is_whole_stay, losses=losses)

    if isinstance(rule, language.When):
        branch = _branch(rule, path, size, losses)
        if branch is not None:
            return inner(branch, getattr(rule, branch))
        if not is_whole_stay:
            raise losses.cannot(f"{path}.if", rule, "whole_stay")
        return rule.model_copy(update={"then": inner("then", rule.then), "else_": inner("else", rule.else_)})
    if isinstance(rule, language.Exempt | language.Validated) or _asks_first_stop(rule):
        losses.add(path, rule.kind, "first_stop" if _asks_first_stop(rule) else "not_for_all")
        return inner("then", rule.then)
    if isinstance(rule, language.Steps | language.Ladder | language.Flat | language.ProRata):
        return rule
    if isinstance(rule, language.Cap):
        if rule.by_stay is not None and not is_whole_stay:
            raise losses.cannot(f"{path}.by_stay", rule, "whole_stay")
        return rule.model_copy(update={"of": inner("of", rule.of)})
    if isinstance(rule, language.Blocks):
        return rule.model_copy(update={"each": inner("each", rule.each)})
    if isinstance(rule, language.FreeWithin | language.FreeFirst | language.VehicleFactor | language.Round):
        return rule.model_copy(update={"then": inner("then", rule.then)})
    if isinstance(rule, language.Sum | language.LowerOf):
        return rule.model_copy(update={"of": tuple(
            inner("of", each, f"of.{number}") for number, each in enumerate(rule.of))})
    raise losses.cannot(path, rule, "clock_inside")
