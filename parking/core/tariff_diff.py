"""What differs between two tariffs as data: where, what it was, what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from parking.core.reason import LANGUAGES, Words
from parking.core.rule_names import kind_of, name_of, part_of, value_of
from parking.core.tariff import Tariff

WORDS_MAX = 3  # of a place: what stands around it further out is in its path
_WRAPPED_DEEP = 3  # how many rules may have been put around one for it to be known again


@dataclass(frozen=True, slots=True)
class Change:
    """path: in the tariff that has it, such as `rule.each.steps[0].fen`; where: the same in words.

    old and new are values of the data; None for what was added, or is gone.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    old: Any
    new: Any
    where: Words
    old_words: Words | None
    new_words: Words | None


def diff(old: Tariff, new: Tariff) -> tuple[Change, ...]:
    """The differences in the order of the data; empty if both are the same tariff."""
    before, after = json.loads(old.canonical), json.loads(new.canonical)
    return tuple(_diff(before, after, _Place("", (), "")))


@dataclass(frozen=True, slots=True)
class _Place:
    path: str
    words: tuple[Words, ...]
    field: str

    def into(self, field: str, inside: Any = None) -> _Place:
        """A field of what is here; a rule is told by its kind, a list by what stands in it, all else by its name."""
        words = () if isinstance(inside, list) and inside and isinstance(inside[0], Mapping) else (
            kind_of(inside) if isinstance(inside, Mapping) and "kind" in inside else name_of(field),)
        return _Place(f"{self.path}.{field}".lstrip("."), (*self.words, *words), field)

    def item(self, number: int, inside: Mapping[str, Any]) -> _Place:
        name = name_of(self.field)
        words = part_of(inside) if "each" in inside else kind_of(inside) if "kind" in inside else {
            each: f"{name[each]} {number + 1}" for each in LANGUAGES}
        return _Place(f"{self.path}[{number}]", (*self.words, words), self.field)

    @property
    def said(self) -> Words:
        return {each: " › ".join(words[each] for words in self.words[-WORDS_MAX:]) for each in LANGUAGES}


def _diff(old: Any, new: Any, place: _Place) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if old.get("kind") != new.get("kind"):
            yield from _diff_rules(old, new, place)
            return
        for field in [*old, *(each for each in new if each not in old)]:
            yield from _diff(old.get(field), new.get(field), place.into(field, new.get(field) or old.get(field)))
    elif isinstance(old, list) and isinstance(new, list) and old and isinstance(old[0], Mapping):
        yield from _diff_lists(old, new, place)
    else:
        yield _change(old, new, place)


def _diff_rules(old: Mapping[str, Any], new: Mapping[str, Any], place: _Place) -> Iterator[Change]:
    """Another kind of rule: one that was put around the old one, or taken away from around it, is told alone."""
    around = _find_inside(new, str(old.get("kind")), _WRAPPED_DEEP)
    if around is not None:
        path, inner = around
        yield from _wrapping("added", new, inner, place)
        yield from _diff(old, inner, _Place(f"{place.path}.{path}", place.words, place.field))
        return
    around = _find_inside(old, str(new.get("kind")), _WRAPPED_DEEP)
    if around is not None:
        yield from _wrapping("removed", old, around[1], place)
        yield from _diff(around[1], new, place)
        return
    yield _change(old, new, place)


def _wrapping(kind: Any, rule: Any, inner: Any, place: _Place) -> Iterator[Change]:
    while rule is not inner:
        said = kind_of(rule)
        if kind == "added":
            yield Change(place.path, kind, None, rule, place.said, None, said)
        else:
            yield Change(place.path, kind, rule, None, place.said, said, None)
        rule = next(each for name in ("then", "each", "of") if isinstance(each := rule.get(name), Mapping))


def _find_inside(rule: Mapping[str, Any], kind: str, deep: int) -> tuple[str, Any] | None:
    for name in ("then", "each", "of"):
        inner = rule.get(name)
        if isinstance(inner, Mapping) and deep and rule.get("kind") != "when":
            if inner.get("kind") == kind:
                return name, inner
            found = _find_inside(inner, kind, deep - 1)
            if found is not None:
                return f"{name}.{found[0]}", found[1]
    return None


def _diff_lists(old: list[Any], new: list[Any], place: _Place) -> Iterator[Change]:
    """Items that are the same at the beginning and at the end are left out; those between are met one by one."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    tail = 0
    while tail < min(len(old), len(new)) - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    before, after = old[start:len(old) - tail], new[start:len(new) - tail]
    for number in range(max(len(before), len(after))):
        here = place.item(start + number, (after if number < len(after) else before)[number])
        if number >= len(before):
            yield _change(None, after[number], here)
        elif number >= len(after):
            yield _change(before[number], None, here)
        else:
            yield from _diff(before[number], after[number], here)


def _change(old: Any, new: Any, place: _Place) -> Change:
    kind: Literal["added", "removed", "changed"] = "added" if old is None else "removed" if new is None else "changed"
    return Change(
        place.path, kind, old, new, place.said,
        None if old is None else value_of(place.field, old), None if new is None else value_of(place.field, new))
