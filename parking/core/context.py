"""What may be known of a stay beside its times and its vehicle: stops before it, trips, exemptions, validations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from parking.core.clock import BadInstant, parse_instant

CONTEXT_KEYS = (
    "stop_of_day", "rail_trip", "bound_app", "metro_trips", "exempt", "validations", "passes", "reservation",
)
NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})


class UnknownContext(ValueError):
    """A context key, or a value, that pricing does not know."""


def validated(context: Mapping[str, Any], unit: Literal["minutes", "fen"]) -> int:
    """How much merchants validated, all together."""
    return sum(each.get(unit, 0) for each in context.get("validations", ()))


def check_context(context: Mapping[str, Any]) -> None:
    """:raises UnknownContext: a key or a value that pricing does not know"""
    for key, value in context.items():
        if key not in CONTEXT_KEYS:
            raise UnknownContext(f"context.{key} is not known; known are {', '.join(CONTEXT_KEYS)}")
        right = {
            "stop_of_day": isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000,
            "rail_trip": isinstance(value, bool),
            "bound_app": isinstance(value, str),
            "exempt": value is None or isinstance(value, str),
            "metro_trips": isinstance(value, list) and all(_is_trip(each) for each in value),
            "validations": isinstance(value, list) and all(_is_validation(each) for each in value),
            "passes": isinstance(value, list), "reservation": value is None or isinstance(value, dict),
        }[key]
        if not right:
            raise UnknownContext(f"context.{key} has a value of the wrong kind")


def _is_trip(value: Any) -> bool:
    """{"app", "in", "out", "stations": [where in, …, where out]}"""
    if not isinstance(value, Mapping) or set(value) != {"app", "in", "out", "stations"}:
        return False
    stations = value["stations"]
    if not isinstance(stations, list) or len(stations) < 2 or not all(isinstance(each, str) for each in stations):
        return False
    try:
        return isinstance(value["app"], str) and parse_instant(value["in"]) <= parse_instant(value["out"])
    except (BadInstant, TypeError):
        return False


def _is_validation(value: Any) -> bool:
    """{"minutes"} or {"fen"}, or both"""
    return isinstance(value, Mapping) and bool(value) and set(value) <= {"minutes", "fen"} and all(
        type(each) is int and 0 < each <= 10_000_000 for each in value.values())
