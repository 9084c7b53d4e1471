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

from parking.core import rule as language
from parking.core.apds import (
    DAY_MINUTES,
    EXTENSION,
    HEAVY,
    LIGHT,
    Finding,
    finding_answer,
    to_amount,
    to_clock,
)
from parking.core.apds_curve import Curve, Size, TooMuchToAsk, lines_of
from parking.core.apds_leaves import (
    CannotSay,
    Leaf,
    Losses,
    asks_size,
    find_leaves,
    generalise,
    take_head,
    take_outermost,
)
from parking.core.apds_week import longest_run, periods_of
from parking.core.clock import format_instant
from parking.core.reason import LANGUAGES
from parking.core.tariff import Tariff

HORIZON_MINUTES = 7 * DAY_MINUTES  # how far a stay is told whose price never settles into one increment
LINES_MAX = 200
LONGER_DAY_MINUTES = 60  # by which a day may be longer where clocks go back


@dataclass(frozen=True, slots=True)
class Exported:
    """data: {"rightSpecifications": […], "rateTables": […]}; no table where the price as a whole cannot be told."""

    data: dict[str, Any]
    unexpressed: tuple[Finding, ...]


def export_rate_table(
    tariff: Tariff, *, version: int, in_force_from: datetime, in_force_to: datetime | None = None,
    operator_id: str, lot_ids: Sequence[str] = (),
) -> Exported:
    """A version of a tariff as APDS objects.

    :param lot_ids: the places where it is charged; a right specification of none says so
    Source of the forms: the APDS API specification 4.1; docs/apds.md has what goes where.
    """
    losses = Losses()
    losses.add("time_zone", "time_zone", "time_zone_elsewhere", "note")
    losses.add("seconds", "seconds", "seconds_not_said", "reading")
    if tariff.exit_minute == "charged":
        losses.add("exit_minute", "exit_minute", "exit_minute")
    rule, path, exempt, validation = take_outermost(tariff.rule)
    sizes: tuple[Size | None, ...] = ("small", "large") if asks_size(rule) else (None,)
    writer = _Writer(tariff, version, in_force_from, in_force_to, operator_id, validation)
    try:
        for size in sizes:
            writer.add_tables(find_leaves(rule, path, size, losses), size, losses)
    except CannotSay:
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

    def add_tables(self, leaves: list[Leaf], size: Size | None, losses: Losses) -> None:
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


def _collection(leaf: Leaf, size: Size | None, currency: str, losses: Losses) -> dict[str, Any]:
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
        rule, path, factor = take_head(inner, path, factor, size, losses)
        longest = min(longest or DAY_MINUTES, DAY_MINUTES)
    if isinstance(rule, language.Cap) and rule.fen is not None:
        made["maxValueCollection"] = {"currencyType": currency, "currencyValue": to_amount(rule.fen * factor)}
        rule, path, factor = take_head(rule.of, f"{path}.of", factor, size, losses)
    rule = generalise(rule, path, size, is_whole_stay=longest is None, losses=losses)
    if isinstance(rule, language.Flat):
        return made | {"rateLines": [
            {"rateLineType": "flatRate", "value": to_amount(rule.fen * factor), "usageCondition": "once"}]}
    lines = _rate_lines(rule, path, factor, size, longest, losses)
    if len(lines) > LINES_MAX:
        raise losses.cannot(path, rule, "too_many_lines", lines=len(lines))
    return made | {"rateLines": lines}


def _rate_lines(
    rule: Any, path: str, factor: int, size: Size | None, longest: int | None, losses: Losses
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
