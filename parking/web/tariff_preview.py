"""What a page shows of a tariff before it is charged by: words, example prices, charts, differences, findings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import get_locale, gettext

from parking.core.calendar import CannotPrice
from parking.core.lint import Finding, lint
from parking.core.rule_names import write_minutes
from parking.core.tariff_compare import HORIZON_MINUTES, Side
from parking.core.tariff_words import Clause, describe
from parking.services.compare import Compared, Named, compare_tariffs


@dataclass(frozen=True, slots=True)
class Preview:
    """clauses: the tariff in sentences. made: None where there is no price to show; then `unpriced` says why.
    findings: of the lint.
    """

    clauses: tuple[Clause, ...]
    made: Compared | None
    unpriced: str | None
    findings: tuple[Finding, ...]


def make_preview(old: Named | None, new: Named, *, now: datetime) -> Preview:
    clauses = describe(new.tariff)
    try:
        return Preview(clauses, compare_tariffs(old, new, now=now), None, lint(new.tariff))
    except CannotPrice as wrong:
        return Preview(clauses, None, str(wrong), ())


def start_name(name: str) -> str:
    """A moment at which a car may come in, in the reader's language."""
    words = {"weekday": gettext("Weekday"), "night": gettext("Night"), "weekend": gettext("Weekend"),
             "holiday": gettext("Holiday")}
    return str(words[name])


def length_name(minutes: int) -> str:
    language: Any = str(get_locale())
    return write_minutes(minutes, language)


def chart_data(side: Side, *, old: str, new: str) -> str:
    """What the script draws: (hours, yuan) where a price becomes another, and how each line is called."""
    def line(which: int) -> list[list[float]]:
        made = [[point[0] / 60, point[which] / 100] for point in side.points]  # type: ignore[operator]
        kept = [point for number, point in enumerate(made) if not number or point[1] != made[number - 1][1]]
        return [*kept, [HORIZON_MINUTES / 60, made[-1][1]]]

    lines = [{"name": new, "points": line(2)}]
    if side.points[0][1] is not None:
        lines.insert(0, {"name": old, "points": line(1)})
    return json.dumps({"lines": lines}, ensure_ascii=False)
