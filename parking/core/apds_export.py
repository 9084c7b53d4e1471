"""A tariff as APDS rate tables, with every part named that their rate lines cannot say.

A rule that asks only how long a stay is has a price curve that goes up in jumps: each run of equal jumps is one
rate line that charges at the start of each increment. Day windows and days of the week are rate tables of their own
with the times at which they hold; a daily reset and a cap are members of the collection. What is left is named, and
the tariff itself travels whole in an extension, so that our own import reads it back to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from parking.core import tariff as language
from parking.core.apds import (
    DAY_MINUTES,
    EXTENSION,
    HEAVY,
    LIGHT,
    Effect,
    Finding,
    finding_answer,
    to_amount,
    to_clock,
)
from parking.core.apds_curve import Curve, Size, TooMuchToAsk, lines_of
from parking.core.apds_week import WEEK, days_mask, longest_run, periods_of, window_mask
from parking.core.clock import format_instant
from parking.core.reason import LANGUAGES
from parking.core.tariff import Tariff
from parking.core.walls import WEEKDAYS

HORIZON_MINUTES = 7 * DAY_MINUTES  # how far a stay is told whose price never settles into one increment
LINES_MAX = 200
LONGER_DAY_MINUTES = 60  # by which a day may be longer where clocks go back


@dataclass(frozen=True, slots=True)
class Exported:
    """data: {"rightSpecifications": […], "rateTables": […]}; no table where the price as a whole cannot be told."""

    data: dict[str, Any]
    unexpressed: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A rule that holds in some minutes of the week, and what it is multiplied by."""

    minutes: int
    rule: Any
    path: str
    factor: int
    label: str


class _CannotSay(Exception):
    """The price as a whole cannot be told in rate lines; the finding has been made."""


@dataclass(slots=True)
class _Losses:
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, path: str, rule: str, reason: str, effect: Effect = "price", **params: Any) -> None:
        self.findings.setdefault((path, reason), Finding(path, rule, reason, effect, params))

    def cannot(self, path: str, rule: Any, reason: str, **params: Any) -> _CannotSay:
        self.add(path, getattr(rule, "kind", str(rule)), reason, **params)
        return _CannotSay()


def export_rate_table(
    tariff: Tariff, *, version: int, in_force_from: datetime, in_force_to: datetime | None = None,
    operator_id: str, lot_ids: Sequence[str] = (),
) -> Exported:
    """A version of a tariff as APDS objects.

    :param lot_ids: the places where it is charged; a right specification of none says so
    Source of the forms: the APDS API specification 4.1; docs/apds.md has what goes where.
    """
    losses = _Losses()
    losses.add("time_zone", "time_zone", "time_zone_elsewhere", "note")
    losses.add("seconds", "seconds", "seconds_not_said", "reading")
    if tariff.exit_minute == "charged":
        losses.add("exit_minute", "exit_minute", "exit_minute")
    rule, path, exempt, validation = _outermost(tariff.rule)
    sizes: tuple[Size | None, ...] = ("small", "large") if _asks_size(rule) else (None,)
    writer = _Writer(tariff, version, in_force_from, in_force_to, operator_id, validation)
    try:
        for size in sizes:
            writer.add_tables(_leaves(rule, path, size, losses), size, losses)
    except _CannotSay:
        writer.tables, writer.eligibilities = [], []
    else:
        if sizes != (None,):
            losses.add(path, "vehicle_factor", "size_as_type", "reading")
        if len(writer.tables) > len(sizes):
            losses.add(path, rule.kind, "crossing_open", "reading")
        if exempt:
            writer.add_exemption(exempt)
    found = tuple(losses.findings.values())
    right = {
        "id": tariff.code, "version": version, "type": "oneTimeUseParking", "transferable": False,
        "issuer": writer.operator, "description": writer.name(""), "validity": writer.validity([]),
        "hierarchyElements": [{"id": each, "version": 1, "className": "Place"} for each in lot_ids],
        "rateEligibility": writer.eligibilities,
        "extensions": {EXTENSION: {
            "tariff": json.loads(tariff.canonical), "hash": tariff.hash,
            "unexpressed": [finding_answer(each) for each in found]}},
    }
    return Exported({"rightSpecifications": [right], "rateTables": writer.tables}, found)


@dataclass(slots=True)
class _Writer:
    tariff: Tariff
    version: int
    in_force_from: datetime
    in_force_to: datetime | None
    operator_id: str
    validation: bool
    tables: list[dict[str, Any]] = field(default_factory=list)
    eligibilities: list[dict[str, Any]] = field(default_factory=list)

    @property
    def operator(self) -> dict[str, Any]:
        return {"id": self.operator_id, "version": 1, "className": "Organisation"}

    def name(self, label: str) -> list[dict[str, str]]:
        suffix = f" ({label})" if label else ""
        return [{"language": each, "string": self.tariff.name[each] + suffix}
                for each in LANGUAGES if each in self.tariff.name]

    def validity(self, periods: list[dict[str, Any]]) -> dict[str, Any]:
        specification: dict[str, Any] = {"overallStartTime": format_instant(self.in_force_from)}
        if self.in_force_to is not None:
            specification["overallEndTime"] = format_instant(self.in_force_to)
        if periods:
            specification["validPeriods"] = periods
        return {"validityStatus": "definedByValidityTimeSpec", "validityTimeSpecification": specification}

    def add_tables(self, leaves: list[_Leaf], size: Size | None, losses: _Losses) -> None:
        qualification = {} if size is None else {
            "qualifications": [{"vehicleTypes": [LIGHT if size == "small" else HEAVY]}]}
        for leaf in leaves:
            number = len(self.tables) + 1
            table_id = f"{self.tariff.code}.{number}"
            collection = _collection(leaf, size, self.tariff.currency, losses)
            collection |= {
                "id": f"{table_id}.1", "version": self.version, "collectionSequence": 1,
                "applicableCurrency": self.tariff.currency, "validStart": format_instant(self.in_force_from),
                "relativeTimes": False, "taxIncluded": True}
            for position, line in enumerate(collection["rateLines"], start=1):
                line |= {"id": f"{table_id}.1.{position}", "version": self.version, "sequence": position}
            self.tables.append({
                "id": table_id, "version": self.version, "rateTableName": self.name(leaf.label),
                "availability": "public", "rateResponsibleParty": self.operator, "validation": self.validation,
                "validity": self.validity(periods_of(leaf.minutes)),
                # The API's schema asks for these two and defines neither: the start again, and all day.
                "validityStart": format_instant(self.in_force_from), "activeTimes": ["P1D"],
                "rateLineCollections": [collection]})
            self._add_eligibility(qualification, 2, table_id)

    def add_exemption(self, words: list[str]) -> None:
        self._add_eligibility({"qualifications": [
            {"freeToPark": True, "userQualifications": [{"userGroup": {"entryDefinedValue": word}}]}
            for word in words]}, 1, None)

    def _add_eligibility(self, qualification: dict[str, Any], priority: int, table_id: str | None) -> None:
        eligibility_id = f"{self.tariff.code}.e{len(self.eligibilities) + 1}"
        made: dict[str, Any] = {
            "id": eligibility_id, "version": self.version, "priority": priority, "combinable": False,
            "eligibility": {"id": f"{eligibility_id}.1", "version": self.version, **qualification}}
        if table_id is not None:
            made["rateTable"] = {"id": table_id, "version": self.version, "className": "RateTable"}
        self.eligibilities.append(made)


def _outermost(rule: Any) -> tuple[Any, str, list[str], bool]:
    """Exemptions and validations around everything else, which eligibility and a member of the table say."""
    path, exempt, validation = "rule", list[str](), False
    while isinstance(rule, language.Exempt | language.Validated):
        if isinstance(rule, language.Exempt):
            exempt += [word for word in rule.when if word not in exempt]
        else:
            validation = True
        rule, path = rule.then, f"{path}.then"
    return rule, path, exempt, validation


def _asks_size(rule: Any) -> bool:
    return any(
        isinstance(each, language.VehicleFactor) or (isinstance(each, language.When) and each.if_.size is not None)
        for each in language.parts_of(rule))


def _leaves(rule: Any, path: str, size: Size | None, losses: _Losses) -> list[_Leaf]:
    """The rules between which the clock chooses, each with its minutes of the week."""
    found: list[_Leaf] = []

    def look(rule: Any, path: str, minutes: int, factor: int, label: str) -> None:
        if not minutes:
            return
        rule, path, factor = _head(rule, path, factor, size, losses)
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
            found.append(_Leaf(minutes, rule, path, factor, label))

    look(rule, path, WEEK, 1, "")
    return found


def _head(rule: Any, path: str, factor: int, size: Size | None, losses: _Losses) -> tuple[Any, str, int]:
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


def _branch(rule: language.When, path: str, size: Size | None, losses: _Losses) -> str | None:
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


def _collection(leaf: _Leaf, size: Size | None, currency: str, losses: _Losses) -> dict[str, Any]:
    """Reset time, cap and rate lines of what holds in some minutes of the week."""
    rule, path, factor, made = leaf.rule, leaf.path, leaf.factor, dict[str, Any]()
    longest = longest_run(leaf.minutes)
    if isinstance(rule, language.Periods | language.Windows):
        if isinstance(rule, language.Windows):
            at, inner, path = rule.windows[0].from_minute, rule.windows[0].each, f"{path}.windows.0.each"
        elif rule.every == "day":
            at, inner, path = rule.at_minute, rule.each, f"{path}.each"
        else:
            raise losses.cannot(path, rule, "week")
        made["resetTime"] = to_clock(at)
        rule, path, factor = _head(inner, path, factor, size, losses)
        longest = min(longest or DAY_MINUTES, DAY_MINUTES)
    if isinstance(rule, language.Cap) and rule.fen is not None:
        made["maxValueCollection"] = {"currencyType": currency, "currencyValue": to_amount(rule.fen * factor)}
        rule, path, factor = _head(rule.of, f"{path}.of", factor, size, losses)
    rule = _general(rule, path, size, is_whole_stay=longest is None, losses=losses)
    if isinstance(rule, language.Flat):
        return made | {"rateLines": [
            {"rateLineType": "flatRate", "value": to_amount(rule.fen * factor), "usageCondition": "once"}]}
    lines = _rate_lines(rule, path, factor, size, longest, losses)
    if len(lines) > LINES_MAX:
        raise losses.cannot(path, rule, "too_many_lines", lines=len(lines))
    return made | {"rateLines": lines}


def _general(rule: Any, path: str, size: Size | None, *, is_whole_stay: bool, losses: _Losses) -> Any:
    """The rule as the length of the stretch alone decides it, for vehicles in general.

    :raises _CannotSay: something in it looks at the clock, or at the whole stay of which this is a part
    """
    def inner(name: str, inside: Any, place: str | None = None) -> Any:
        at = f"{path}.{(place or name).removesuffix('_')}"
        return _general(inside, at, size, is_whole_stay=is_whole_stay, losses=losses)

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


def _rate_lines(
    rule: Any, path: str, factor: int, size: Size | None, longest: int | None, losses: _Losses
) -> list[dict[str, Any]]:
    by_the_minute = any(isinstance(each, language.ProRata) for each in language.parts_of(rule))
    told = DAY_MINUTES if by_the_minute else HORIZON_MINUTES
    end = min(longest + LONGER_DAY_MINUTES, told) if longest else told
    curve = Curve(rule, factor, size or "small")
    try:
        jumps = curve.jumps(end)
    except TooMuchToAsk:
        raise losses.cannot(path, rule, "too_much_to_ask") from None
    if any(jump.fen < 0 for jump in jumps):
        raise losses.cannot(path, rule, "price_falls")
    tail = None if longest and longest + LONGER_DAY_MINUTES <= end else curve.tail(jumps, end)
    if tail is None and (longest is None or longest > end):
        losses.add(path, rule.kind, "beyond", days=end // DAY_MINUTES)
    return lines_of(jumps, end, tail)
