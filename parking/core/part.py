"""The parts of a tariff, each by its path, and the same tariff with one part changed or left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from parking.core.rule import inner_parts
from parking.core.tariff import Tariff

Place = tuple[str | int, ...]
LEFT_OUT = object()


def list_parts(tariff: Tariff) -> list[tuple[Place, Any]]:
    """Each rule and each part of a rule with its place, from the outside in."""
    return list(_walk(tariff.rule, ("rule",)))


def with_part(tariff: Tariff, place: Place, new: Any) -> Tariff:
    """The tariff with another part at a place, or without the part there; it is not checked again."""
    made: Tariff = _put(tariff, place, new)
    return made


def with_fields(part: Any, **fields: Any) -> Any:
    """The part with other values in some fields."""
    made = part.model_copy(update=fields)
    for kept in set(made.__dict__) - set(type(part).model_fields):  # what was worked out from the old fields
        del made.__dict__[kept]
    return made


def part_at(tariff: Tariff, place: Place) -> Any:
    found: Any = tariff
    for step in place:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return found


def path_of(place: Place) -> str:
    """As the data names it: `rule.windows.0.each`."""
    return ".".join(str(step).removesuffix("_") for step in place)


def holders(place: Place) -> Iterable[Place]:
    """The places of what holds a part, from the outside in."""
    return (place[:length] for length in range(1, len(place)))


def _walk(part: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    yield place, part
    for step, inner in inner_parts(part):
        yield from _walk(inner, place + step)


def _put(part: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    name, *rest = place
    value = getattr(part, str(name))
    if rest and isinstance(number := rest[0], int):
        made = _put(value[number], tuple(rest[1:]), new)
        value = (*value[:number], *(() if made is LEFT_OUT else (made,)), *value[number + 1:])
    else:
        value = _put(value, tuple(rest), new)
    return with_fields(part, **{str(name): value})
