"""The usual shapes of a tariff as a form of few fields, and back.

A usual tariff is free minutes, a first period and further ones, a night at a flat price, a cap per 24 hours or
per calendar day, and a factor for large vehicles. `to_tariff_data` always makes a tariff of the fields;
`find_shape` gives the fields of a tariff only if they make that very tariff again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from parking.core import rule as language
from parking.core.tariff import BadTariff, Tariff, read_tariff

Free = Literal["none", "threshold", "deducted"]
Per = Literal["stay", "period"]
Every = Literal["none", "24h", "day"]


@dataclass(frozen=True, slots=True)
class Shape:
    """free: minutes that cost nothing, as a threshold or taken off, once a stay or in each period of the cap.

    first_minutes None: no first period. night_fen None: the same price day and night. cap_every `none`: no cap.
    """

    step_minutes: int
    step_fen: int
    first_minutes: int | None = None
    first_fen: int = 0
    first_times: int = 1
    free: Free = "none"
    free_minutes: int = 0
    free_per: Per = "stay"
    day_from: str = "07:30"
    day_to: str = "19:30"
    night_fen: int | None = None
    cap_every: Every = "none"
    cap_fen: int = 0
    large: int = 1


def to_rule(shape: Shape) -> dict[str, Any]:
    """The rule of these fields, from the inside out."""
    steps: list[dict[str, Any]] = [{"minutes": shape.step_minutes, "fen": shape.step_fen}]
    if shape.first_minutes is not None:
        steps.insert(0, {"minutes": shape.first_minutes, "fen": shape.first_fen, "times": shape.first_times})
    rule: dict[str, Any] = {"kind": "steps", "steps": steps}
    if shape.night_fen is not None:
        rule = {"kind": "windows", "windows": [
            {"name": "day", "from": shape.day_from, "to": shape.day_to, "each": rule},
            {"name": "night", "from": shape.day_to, "to": shape.day_from,
             "each": {"kind": "flat", "fen": shape.night_fen}}]}
    per_period = shape.free_per == "period" and shape.cap_every != "none"
    if shape.cap_every != "none":
        rule = {"kind": "cap", "fen": shape.cap_fen, "of": rule}
        if per_period:
            rule = _with_free(shape, rule)
        rule = {"kind": "blocks", "hours": 24, "each": rule} if shape.cap_every == "24h" else {
            "kind": "periods", "every": "day", "each": rule}
    if not per_period:
        rule = _with_free(shape, rule)
    return rule if shape.large == 1 else {"kind": "vehicle_factor", "large": shape.large, "then": rule}


def find_shape(tariff: Tariff) -> Shape | None:
    """The fields that make this very tariff; None if none do."""
    shape = _read_shape(tariff.rule)
    if shape is None:
        return None
    try:
        again = read_tariff({
            **tariff.model_dump(mode="json", by_alias=True, exclude={"rule"}), "rule": to_rule(shape)})
    except BadTariff:
        return None
    return shape if again.hash == tariff.hash else None


def _with_free(shape: Shape, rule: dict[str, Any]) -> dict[str, Any]:
    kind = {"threshold": "free_within", "deducted": "free_first", "none": None}[shape.free]
    return rule if kind is None else {"kind": kind, "minutes": shape.free_minutes, "then": rule}


def _read_shape(rule: Any) -> Shape | None:
    """What the fields would be if the tariff has the shape; find_shape looks whether it has."""
    found: dict[str, Any] = {}
    if isinstance(rule, language.VehicleFactor):
        found["large"], rule = rule.large, rule.then
    rule = _read_free(rule, found, "stay")
    if isinstance(rule, language.Blocks | language.Periods):
        found["cap_every"], rule = "24h" if isinstance(rule, language.Blocks) else "day", rule.each
        rule = _read_free(rule, found, "period")
        if not isinstance(rule, language.Cap) or rule.fen is None:
            return None
        found["cap_fen"], rule = rule.fen, rule.of
    if isinstance(rule, language.Windows):
        if len(rule.windows) != 2 or not isinstance(rule.windows[1].each, language.Flat):
            return None
        day, night = rule.windows
        found |= {"day_from": day.from_, "day_to": day.to, "night_fen": rule.windows[1].each.fen}
        rule = day.each if night.from_ == day.to else None
    if not isinstance(rule, language.Steps) or len(rule.steps) > 2:
        return None
    if len(rule.steps) == 2:
        first = rule.steps[0]
        found |= {"first_minutes": first.minutes, "first_fen": first.fen, "first_times": first.times}
    return Shape(step_minutes=rule.steps[-1].minutes, step_fen=rule.steps[-1].fen, **found)


def _read_free(rule: Any, found: dict[str, Any], per: Per) -> Any:
    if "free" in found or not isinstance(rule, language.FreeWithin | language.FreeFirst):
        return rule
    free = "threshold" if isinstance(rule, language.FreeWithin) else "deducted"
    found |= {"free": free, "free_minutes": rule.minutes, "free_per": per}
    return rule.then
