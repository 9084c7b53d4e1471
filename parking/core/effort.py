"""About how much work a price is: a search over many prices then ends in time, and at the same price each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parking.core import rule as language
from parking.core.rule import DAY_MINUTES


def effort(part: Any, minutes: int) -> int:
    """How many rules, steps and times of day price() comes by in a stretch so long, about."""
    own, times, length = _cuts(part, minutes)
    return own + times * sum(effort(inner, min(minutes, length)) for _, inner in language.inner_parts(part))


def _cuts(part: Any, minutes: int) -> tuple[int, int, int]:
    """The effort of the part itself, and into how many stretches it cuts this one, each how long."""
    days = minutes // DAY_MINUTES + 1
    edges = 2 * (days + 1)  # a look at a time of day is one at its beginning and its end, on the day before too
    match part:
        case language.Windows():
            return (days + 1) * (len(part.windows) + 1), days, DAY_MINUTES
        case language.Window():
            return 0, 1, part.to_minute - part.from_minute
        case language.Periods():
            length = DAY_MINUTES * (7 if part.every == "week" else 1)
            return edges, minutes // length + 1, length
        case language.Days():
            return edges, 1, minutes
        case language.Gather():
            return edges * len(part.within), 1, minutes
        case language.Condition():
            return 4 * len((*(part.entered or ()), *(part.left or ()))), 1, 0
        case language.Blocks():
            return 1, minutes // (part.hours * 60) + 1, part.hours * 60
        case language.Ladder():
            return 1 + len(part.rungs) // 8, 0, 0  # its rungs are only compared
        case language.Slots() if any(each.looks_at_clock for each in _rates(part.each)):
            return 1, minutes // part.minutes + 1, 0
    return 1, 1, minutes


def _rates(part: Any) -> Iterator[Any]:
    """What prices single slots; such as lie in windows or days are cut there, and priced all at once."""
    if isinstance(part, language.Windows | language.Window | language.Days | language.DayPart | language.When):
        for _, inner in language.inner_parts(part):
            yield from _rates(inner)
    else:
        yield part
