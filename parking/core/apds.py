"""Tariffs in the words of the parking trade: what APDS rate tables and our rules tell each other.

Follows the APDS API specification 4.1 (ISO/TS 5206-1; github.com/parkingdata/spec) for the members' names and
forms, and the APDS information model and data dictionary 4.0 for what they mean. docs/apds.md has the mapping,
member by member. Export is apds_export.py, import apds_import.py; what both need is here.

Evolution: the extension's name ends in its version. What `apds-ext:parking-by-code:tariff@1.0` holds is never
changed; another form gets another number, and both are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from parking.core.apds_words import FINDINGS
from parking.core.reason import LANGUAGES, Words

EXTENSION = "apds-ext:parking-by-code:tariff@1.0"
HEAVY, LIGHT = "heavyVehicle", "carOrLightVehicle"  # our `large` and `small`
WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_MINUTES, WEEK_MINUTES = 1440, 7 * 1440
DURATION_MINUTES_MAX = 366 * DAY_MINUTES
FINDINGS_MAX = 200

Effect = Literal["price", "reading", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A part that one side cannot say.

    path: where it stands in what was given. rule: the rule of ours, or the member of theirs, that it is.
    effect: `price`: what a stay costs may be another without it; `reading`: it is told, and the standard leaves
    open how to read it; `note`: it changes no price.
    """

    path: str
    rule: str
    reason: str
    effect: Effect = "price"
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def why(self) -> Words:
        return {language: FINDINGS[self.reason][language].format(**self.params) for language in LANGUAGES}


def finding_answer(finding: Finding) -> dict[str, Any]:
    return {"path": finding.path, "rule": finding.rule, "reason": finding.reason, "effect": finding.effect,
            "why": finding.why}


@dataclass(slots=True)
class Findings:
    """bar: one of them bears on the price; it stays so where the list is full."""

    made: list[Finding] = field(default_factory=list)
    bar: bool = False

    def add(self, path: str, rule: str, reason: str, effect: Effect = "price", **params: Any) -> None:
        finding = Finding(path[:300], rule, reason, effect, params)
        if finding not in self.made:
            if len(self.made) == FINDINGS_MAX and effect == "price" and self.made[-1].effect != "price":
                self.made.pop()
            if len(self.made) < FINDINGS_MAX:
                self.made.append(finding)
        self.bar = self.bar or effect == "price"


def join(path: str, name: str) -> str:
    """The path of a member of what stands at a path."""
    return f"{path}.{name}" if path else name


def to_amount(fen: int) -> int | float:
    """Hundredths as a JSON number of whole ones: 4.35, and 4 where nothing is left over."""
    return fen // 100 if fen % 100 == 0 else float(Decimal(fen) / 100)


def to_fen(amount: int | float) -> int | None:
    """Whole hundredths of an amount; None where there are parts of one, or less than nothing."""
    fen = Decimal(str(amount)) * 100
    return int(fen) if fen == fen.to_integral_value() and 0 <= fen <= 10_000_000 else None


def to_offset(minutes: int) -> str:
    """A time since the start as a rate line writes it: hh:mm, from a day on dd:hh:mm."""
    days, rest = divmod(minutes, DAY_MINUTES)
    text = f"{rest // 60:02}:{rest % 60:02}"
    return f"{days:02}:{text}" if days else text


def parse_offset(text: str) -> int | None:
    """Minutes since the start: hh:mm or dd:hh:mm, or an ISO 8601 duration; None for anything else."""
    if text.startswith("P"):
        return parse_duration(text)
    match = re.fullmatch(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})", text, re.ASCII)
    if match is None:
        return None
    days, hours, minutes = int(match[1] or 0), int(match[2]), int(match[3])
    if minutes > 59 or (match[1] is not None and hours > 23):
        return None
    return _bounded(days * DAY_MINUTES + hours * 60 + minutes)


def to_duration(minutes: int) -> str:
    """ISO 8601, such as P1DT12H30M."""
    days, rest = divmod(minutes, DAY_MINUTES)
    hours, minutes = divmod(rest, 60)
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock or not days else "") + \
        ("" if clock or days else "0M")


def parse_duration(text: str) -> int | None:
    """Minutes of an ISO 8601 duration of weeks, days and a time; None for months, years, parts of a minute."""
    match = re.fullmatch(
        r"P(?!$)(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?",
        text, re.ASCII)
    if match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if seconds % 60:
        return None
    return _bounded(weeks * WEEK_MINUTES + days * DAY_MINUTES + hours * 60 + minutes + seconds // 60)


def to_clock(minute: int) -> str:
    """A time of day; midnight at the end of a day is 00:00 too."""
    return f"{minute // 60 % 24:02}:{minute % 60:02}"


def parse_clock(text: str) -> int | None:
    """The minute of the day of hh:mm, or of hh:mm:00."""
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?", text, re.ASCII)
    return None if match is None else int(match[1]) * 60 + int(match[2])


def _bounded(minutes: int) -> int | None:
    return minutes if minutes <= DURATION_MINUTES_MAX else None
