"""What may be known of a stay beside its times and its vehicle: stops before it, trips, exemptions, validations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from parking.core.clock import BadInstant, parse_instant

NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})


class UnknownContext(ValueError):
    """A context key, or a value, that pricing does not know."""


def validated(context: Mapping[str, Any], unit: Literal["minutes", "fen"]) -> int:
    """How much merchants validated, all together."""
    return sum(each.get(unit, 0) for each in context.get("validations", ()))


def check_context(context: Mapping[str, Any]) -> None:
    """:raises UnknownContext: a key or a value that pricing does not know"""
    for key, value in context.items():
        is_right = _IS_RIGHT.get(key)
        if is_right is None:
            raise UnknownContext(f"context.{key} is not known; known are {', '.join(CONTEXT_KEYS)}")
        if not is_right(value):
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


_IS_RIGHT: dict[str, Callable[[Any], bool]] = {
    "stop_of_day": lambda value: type(value) is int and 1 <= value <= 1000,
    "rail_trip": lambda value: isinstance(value, bool),
    "bound_app": lambda value: isinstance(value, str),
    "metro_trips": lambda value: isinstance(value, list) and all(_is_trip(each) for each in value),
    "exempt": lambda value: value is None or isinstance(value, str),
    "validations": lambda value: isinstance(value, list) and all(_is_validation(each) for each in value),
    "passes": lambda value: isinstance(value, list),
    "reservation": lambda value: value is None or isinstance(value, dict),
}
CONTEXT_KEYS = tuple(_IS_RIGHT)
