"""APDS rate tables by others as a tariff of ours, or the list of what stands in the way; never a guessed price.

A tariff comes out only if every member that bears on a price is in our language and has one meaning. Where the
standard leaves the meaning open, whoever imports says which is meant (`Readings`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from parking.core import apds_document as form
from parking.core.apds import (
    EXTENSION,
    HEAVY,
    LIGHT,
    WEEK_MINUTES,
    Finding,
    Findings,
    join,
)
from parking.core.apds_export import export_rate_table
from parking.core.apds_lines import Readings
from parking.core.apds_tables import Table, TableReader, find_in_force, read_instant, read_member
from parking.core.apds_week import at_minute, cut_rule, entry_rule
from parking.core.tariff import BadTariff, Tariff, read_tariff

TABLES_MAX = 50
_ANY_TIME = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Imported:
    """tariff: None as soon as one finding bears on the price. in_force_from, in_force_to: as the document says."""

    tariff: Tariff | None
    in_force_from: datetime | None
    in_force_to: datetime | None
    findings: tuple[Finding, ...]


def import_rate_table(
    data: Any, *, code: str, time_zone: str, readings: Readings | None = None
) -> Imported:
    """A RateTable, a list of them ({"data": […]}), or an export of ours, as a tariff.

    An export of ours comes back as the very tariff, under its own code, if its lines are still those of the tariff.

    :param time_zone: of the place; a rate table has none
    """
    found = Findings()
    tables, rights, root = _parts(data)
    if tables is None or len(tables) > TABLES_MAX or len(rights) > TABLES_MAX:
        found.add(root, "RateTable", "not_a_rate_table")
        return Imported(None, None, None, tuple(found.made))
    own = next((number for number, each in enumerate(rights) if _has_extension(each)), None)
    if own is not None:
        return _own(own, tables, rights, found)
    if root != "":
        for name in sorted(set(data) - {"meta", "data", "rateTables", "rightSpecifications"}):
            found.add(name[:100], name[:100], "unknown_member")
    read = [read_member(form.RateTable, each, f"{root}{number}" if root != "" else "", found)
            for number, each in enumerate(tables)]
    specifications = [
        read_member(form.RightSpecification, each, f"rightSpecifications.{number}", found)
        for number, each in enumerate(rights)]
    if found.bar:
        return _none(found)
    readings = readings or Readings()
    first = next(each for each in read if each is not None)
    currency = first.rate_line_collections[0].applicable_currency
    paths = [f"{root}{number}" if root != "" else "" for number in range(len(tables))]
    reader = TableReader(readings, found, currency)
    made = [reader.read(table, path) for table, path in zip(read, paths, strict=True) if table is not None]
    start, end = find_in_force([each for each in read if each is not None], paths, found)
    together = _Together(readings, found, made)
    rule = None if found.bar else together.rule([each for each in specifications if each is not None])
    if rule is None or found.bar:
        return _none(found, start, end)
    name = {text.language: text.string[:200] for text in first.rate_table_name
            if text.language in ("zh", "en", "fr") and text.string}
    for position, text in enumerate(first.rate_table_name):
        if text.language not in name:
            found.add(join(paths[0], f"rateTableName.{position}"), "rateTableName", "language", "note")
    try:
        tariff = read_tariff({
            "code": code, "name": name or {"en": first.id}, "currency": currency, "time_zone": time_zone,
            "seconds": "drop", "rule": rule})
    except BadTariff as wrong:
        for path, message in wrong.errors[:20]:
            found.add(path, "tariff", "bad_tariff", message=message)
        return _none(found, start, end)
    return Imported(tariff, start, end, tuple(found.made))


def _none(found: Findings, start: datetime | None = None, end: datetime | None = None) -> Imported:
    return Imported(None, start, end, tuple(found.made))


def _parts(data: Any) -> tuple[list[Any] | None, list[Any], str]:
    """Rate tables, right specifications, and the path before each table's number."""
    if not isinstance(data, dict):
        return None, [], ""
    if "rateLineCollections" in data:
        return [data], [], ""
    rights = data.get("rightSpecifications", [])
    for name in ("rateTables", "data"):
        if isinstance(data.get(name), list) and isinstance(rights, list):
            has_own = any(_has_extension(each) for each in rights)
            return (data[name] if data[name] or has_own else None), rights, f"{name}."
    return None, [], ""


def _has_extension(right: Any) -> bool:
    return isinstance(right, dict) and isinstance(right.get("extensions"), dict) and EXTENSION in right["extensions"]


def _own(number: int, tables: Sequence[Any], rights: Sequence[Any], found: Findings) -> Imported:
    """The tariff in the extension, if the lines beside it are what we make of it: a changed line is no quiet change."""
    path, own = f"rightSpecifications.{number}.extensions.{EXTENSION}", rights[number]["extensions"][EXTENSION]
    try:
        tariff = read_tariff(own.get("tariff") if isinstance(own, dict) else None)
    except BadTariff as wrong:
        for place, message in wrong.errors[:20]:
            found.add(f"{path}.tariff.{place}", "tariff", "bad_tariff", message=message)
        return _none(found)
    again = export_rate_table(tariff, version=1, in_force_from=_ANY_TIME, operator_id="-")
    if _priced(tables, rights) != _priced(again.data["rateTables"], again.data["rightSpecifications"]):
        found.add(path, "tariff", "extension_differs")
        return _none(found)
    start, end = _bounds(rights[number], f"rightSpecifications.{number}", found)
    return Imported(tariff, start, end, tuple(found.made)) if not found.bar else _none(found)


_HEADERS = {"id", "version", "validStart", "validityStart", "overallStartTime", "overallEndTime", "issuer",
            "rateResponsibleParty", "hierarchyElements", "className", "description", "extensions"}


def _priced(tables: Any, rights: Any) -> Any:
    """The document without names of things and times in force, which are not the tariff's."""
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(each) for name, each in value.items() if name not in _HEADERS}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return strip([tables, rights])


def _bounds(data: Any, path: str, found: Findings) -> tuple[datetime | None, datetime | None]:
    """From when to when an export of ours holds."""
    read = read_member(form.Validity, data.get("validity"), join(path, "validity"), found)
    if read is None:
        return None, None
    times = read.validity_time_specification
    return read_instant(times.overall_start_time, path, found), read_instant(times.overall_end_time, path, found)


@dataclass(slots=True)
class _Together:
    """The tables of one document, as one rule."""

    readings: Readings
    found: Findings
    tables: list[Table]

    def rule(self, rights: Sequence[form.RightSpecification]) -> dict[str, Any] | None:
        """All tables together: by who parks, then by the clock."""
        groups, exempt = self.groups(rights)
        if self.found.bar:
            return None
        if set(groups) == {LIGHT}:
            self.found.add("rightSpecifications", LIGHT, "eligibility")
            return None
        made = {who: self.by_clock(tables) for who, tables in groups.items()}
        other = made.get(None, made.get(LIGHT))
        rule = other if HEAVY not in made else {
            "kind": "when", "if": {"size": "large"}, "then": made[HEAVY], "else": other}
        if None in made and LIGHT in made:
            rule = {"kind": "when", "if": {"size": "small"}, "then": made[LIGHT], "else": made.get(HEAVY, made[None])}
        if set(made) == {HEAVY}:
            self.found.add("rightSpecifications", HEAVY, "eligibility")
            return None
        if len({each.is_validated for each in self.tables}) > 1:
            self.found.add("validation", "validation", "validation_differs")
        elif self.tables[0].is_validated:
            rule = {"kind": "validated", "then": rule}
        return {"kind": "exempt", "when": exempt, "then": rule} if exempt else rule

    def groups(
        self, rights: Sequence[form.RightSpecification]
    ) -> tuple[dict[str | None, list[Table]], list[str]]:
        """The tables for everybody (None), or by type of vehicle; and for whom parking is free."""
        by_id: Mapping[str, Table] = {each.id: each for each in self.tables}
        groups: dict[str | None, list[Table]] = {}
        exempt: list[str] = []
        named = [(f"rightSpecifications.{number}.rateEligibility.{position}", each)
                 for number, right in enumerate(rights) for position, each in enumerate(right.rate_eligibility)]
        if len(by_id) < len(self.tables):
            self.found.add(self.tables[0].path, "id", "same_id")
        for number, right in enumerate(rights):
            times = right.validity.validity_time_specification if right.validity else None
            if times and (times.valid_periods or times.exception_periods):
                self.found.add(f"rightSpecifications.{number}.validity", "validity", "period")
        if not named:
            return {None: self.tables}, []
        for path, each in named:
            qualifications = each.eligibility.qualifications if each.eligibility else []
            if each.combinable:
                self.found.add(join(path, "combinable"), "combinable", "combined")
            if qualifications and all(one.free_to_park for one in qualifications):
                words = [group.user_group.entry_defined_value for one in qualifications
                         for group in one.user_qualifications]
                if any(one.vehicle_types or len(one.user_qualifications) != 1 for one in qualifications) or \
                        each.rate_table is not None:
                    self.found.add(path, "eligibility", "eligibility")
                exempt += [word for word in words if word not in exempt]
                continue
            who: str | None = None
            if qualifications:
                only = qualifications[0]
                types = only.vehicle_types
                if len(qualifications) > 1 or only.user_qualifications or only.free_to_park or types not in (
                        [HEAVY], [LIGHT], ["anyVehicle"], []):
                    self.found.add(join(path, "eligibility"), "eligibility", "eligibility")
                    continue
                who = types[0] if types and types != ["anyVehicle"] else None
            table = by_id.get(each.rate_table.id) if each.rate_table else None
            if table is None:
                self.found.add(join(path, "rateTable"), "rateTable", "no_table")
                continue
            groups.setdefault(who, []).append(replace(table, priority=each.priority or 1))
        unused = set(by_id) - {each.id for tables in groups.values() for each in tables}
        for table in (by_id[name] for name in sorted(unused)):
            self.found.add(table.path, "rateTable", "no_table")
        if not groups and not self.found.bar:
            self.found.add("rightSpecifications", "rateEligibility", "no_table")
        return groups, exempt

    def by_clock(self, tables: Sequence[Table]) -> dict[str, Any]:
        """Tables that share out the week between them, as one rule."""
        nothing = {"kind": "flat", "fen": 0}
        owner: list[int | None] = [None] * WEEK_MINUTES
        for number in sorted(range(len(tables)), key=lambda each: tables[each].priority):
            for minute in range(WEEK_MINUTES):
                other = owner[minute]
                is_held = tables[number].minutes >> minute & 1
                if not is_held or (other is not None and tables[other].priority < tables[number].priority):
                    continue
                if other is not None:
                    self.found.add(tables[number].path, "validPeriods", "covered_twice", "price", **at_minute(minute))
                    return nothing
                owner[minute] = number
        if None in owner:
            self.found.add(tables[0].path, "validPeriods", "not_covered", "price", **at_minute(owner.index(None)))
            return nothing
        week = [each for each in owner if each is not None]
        bodies = [each.body for each in tables]
        if len(set(week)) == 1:
            return bodies[week[0]]
        if self.readings.crossing is None:
            self.found.add(tables[0].path, "validity", "crossing_unsaid")
            return nothing
        if self.readings.crossing == "at_entry":
            return entry_rule(week, bodies)
        cut = cut_rule(week, bodies, [each.name for each in tables])
        if cut is None:
            self.found.add(tables[0].path, "validPeriods", "cut")
            return nothing
        return cut
