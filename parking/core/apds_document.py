"""The members of an APDS document that bear on a price, in the forms of the API specification 4.1, read strictly.

What a class does not list is let in and named afterwards (`extra_members`), so that nothing is passed over in silence.
Of the older forms, a plain amount is taken where 4.1 has an amount with its currency, and `validityStart` and
`validityEnd` where 4.1 has `validity` (API 1.0 of 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Text = Annotated[str, Field(max_length=200)]
Amount = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Identity = Annotated[str, Field(min_length=1, max_length=200)]


class Member(BaseModel):
    """NOTED: members that say nothing about the price."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, alias_generator=to_camel)
    NOTED: ClassVar[frozenset[str]] = frozenset({"extensions"})

    def extra_members(self) -> Iterator[tuple[str, bool]]:
        """Each member that was given and is not read here, but for its identity; whether it bears on no price."""
        for name in self.model_extra or {}:
            if name not in ("id", "version", "className"):
                yield name[:100], name in self.NOTED | {"extensions"}


class AmountInCurrency(Member):
    currency_type: Text
    currency_value: Amount


class RateLine(Member):
    NOTED = frozenset({"description"})

    sequence: Count
    rate_line_type: Text
    value: Amount
    duration_start: Text | None = None
    duration_end: Text | None = None
    increment_period: Text | None = None
    min_value: Amount | None = None
    max_value: Amount | None = None
    usage_condition: Text | None = None


class RateLineCollection(Member):
    collection_sequence: Count
    applicable_currency: Text
    tax_included: bool | None = None
    relative_times: bool = False
    reference_time_start: Text | None = None
    reference_time_end: Text | None = None
    reset_time: Text | None = None
    min_time: Text | None = None
    max_time: Text | None = None
    min_value_collection: AmountInCurrency | Amount | None = None
    max_value_collection: AmountInCurrency | Amount | None = None
    valid_start: Text | None = None
    valid_end: Text | None = None
    rate_lines: Annotated[list[RateLine], Field(min_length=1, max_length=400)]


class TimePeriodOfDay(Member):
    start_time_of_period: Text
    end_time_of_period: Text


WeekDay = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class DayWeekMonth(Member):
    applicable_day: Annotated[list[WeekDay], Field(max_length=7)] = []


class Period(Member):
    NOTED = frozenset({"periodName"})

    recurring_day_week_month_period: Annotated[list[DayWeekMonth], Field(max_length=50)] = []
    recurring_time_period_of_day: Annotated[list[TimePeriodOfDay], Field(max_length=50)] = []


class OverallPeriod(Member):
    overall_start_time: Text
    overall_end_time: Text | None = None
    valid_periods: Annotated[list[Period], Field(max_length=50)] = []
    exception_periods: Annotated[list[Any], Field(max_length=200)] = []


class Validity(Member):
    validity_status: Literal["active", "definedByValidityTimeSpec", "planned", "suspended"] | None = None
    validity_time_specification: OverallPeriod


class LanguageText(Member):
    language: Text
    string: Annotated[str, Field(max_length=1000)]


class RateTable(Member):
    NOTED = frozenset({"rateTableID", "rateResponsibleParty", "additionalInformation"})

    id: Identity
    version: Count
    rate_table_name: Annotated[list[LanguageText], Field(min_length=1, max_length=50)]
    availability: Literal["public", "private", "restricted"]
    rate_type: Literal["contract", "daily", "event", "hourly"] | None = None
    validation: bool | None = None
    validity: Validity | None = None
    validity_start: Text | None = None
    validity_end: Text | None = None
    active_times: Annotated[list[Text], Field(max_length=50)] | None = None
    rate_line_collections: Annotated[list[RateLineCollection], Field(min_length=1, max_length=10)]


class CodeListEntry(Member):
    NOTED = frozenset({"codeListEntryId", "codeListId"})

    entry_defined_value: Text


class UserQualification(Member):
    user_group: CodeListEntry


class Qualification(Member):
    free_to_park: bool = False
    user_qualifications: Annotated[list[UserQualification], Field(max_length=20)] = []
    vehicle_types: Annotated[list[Text], Field(max_length=50)] = []


class Eligibility(Member):
    NOTED = frozenset({"description", "eligibilityName"})

    qualifications: Annotated[list[Qualification], Field(max_length=50)] = []


class Reference(Member):
    id: Identity


class RateEligibility(Member):
    priority: Annotated[int, Field(ge=1, le=1000)] | None = None
    combinable: bool = False
    eligibility: Eligibility | None = None
    rate_table: Reference | None = None


class RightSpecification(Member):
    NOTED = frozenset({
        "description", "type", "financialReference", "transferable", "transferableConditions", "credentials",
        "issuer", "hierarchyElements", "rightPools", "expiry", "rateTransition"})

    validity: Validity | None = None
    rate_eligibility: Annotated[list[RateEligibility], Field(max_length=100)] = []
