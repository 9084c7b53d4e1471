"""A tariff is data: a tree of named rules (rule.py), read and checked here, priced in price.py.

Evolution: `language` is 1. A rule kind is added, never changed; a tariff that uses a kind which
an older release does not know is refused there, not half priced. A field that is added to a kind is
named in its `ADDED` and written only where it is set, so that the hashes of older tariffs stay.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from parking.core.calendar import NAME_PATTERN, Calendar
from parking.core.clock import UnknownZone, find_zone
from parking.core.json_text import canonical, canonical_hash
from parking.core.money import has_hundredths
from parking.core.rule import Condition, Days, ProRata, Rule, Span, TariffPart, VehicleFactor, parts_of
from parking.core.walls import DAYS, WEEKDAYS, Walls

RULES_MAX = 200


class BadTariff(ValueError):
    """The data is not a tariff; `errors` are (path, message) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in errors))
        self.errors = errors


class Tariff(TariffPart):
    """A tariff as it is published.

    seconds: `drop` cuts entry and exit to the minute before pricing; `count` keeps them, and a
    started period is still charged whole. exit_minute: `free`, so that 60 minutes are one hour; `charged`,
    so that the minute in which the car leaves counts and they are the first of a second one. calendar: tells
    holidays and make-up working days from weekdays; without one there are weekdays alone. currency: ISO 4217,
    one with hundredths; amounts are these hundredths.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"calendar", "exit_minute"})

    language: Literal[1] = 1
    code: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{1,62}[A-Z0-9]$")]
    name: dict[Literal["zh", "en", "fr"], Annotated[str, Field(min_length=1, max_length=200)]]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    time_zone: str
    calendar: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    seconds: Literal["drop", "count"] = "drop"
    exit_minute: Literal["free", "charged"] = "free"
    rule: Rule
    _calendar: Calendar | None = PrivateAttr(default=None)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            find_zone(name)
        except UnknownZone as wrong:
            raise ValueError(str(wrong)) from None
        return name

    @field_validator("currency")
    @classmethod
    def _has_hundredths(cls, currency: str) -> str:
        if not has_hundredths(currency):
            raise ValueError(f"{currency} has no hundredths")
        return currency

    @model_validator(mode="after")
    def _knows_the_days_it_names(self) -> Tariff:
        for rule in parts_of(self.rule):
            if isinstance(rule, Days) and len(rule.part_of) != len(DAYS if self.calendar else WEEKDAYS):
                raise ValueError(
                    "`holiday` and `makeup` are named where the tariff has a calendar, and only there")
            if isinstance(rule, Span) and rule.days and not self.calendar and not set(rule.days) <= set(WEEKDAYS):
                raise ValueError("`holiday` and `makeup` need a calendar")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return find_zone(self.time_zone)

    @cached_property
    def walls(self) -> Walls:
        """How the lot's walls show time."""
        return Walls(self.zone, self._calendar or (Calendar(self.calendar) if self.calendar else None))

    def dated(self, calendar: Calendar) -> Tariff:
        """The same tariff, with the calendar that it names; until then no year is known to it."""
        assert calendar.name == self.calendar
        made = self.model_copy()
        made.__dict__.pop("walls", None)
        made._calendar = calendar
        return made

    @cached_property
    def grows_by_the_minute(self) -> bool:
        """Whether a rule of it prices to the minute, so that the fee may change between the edges that rules name."""
        return any(isinstance(rule, ProRata) for rule in parts_of(self.rule))

    @cached_property
    def tells_sizes_apart(self) -> bool:
        """Whether a large vehicle may pay another price than a small one."""
        return any(isinstance(part, VehicleFactor) or (isinstance(part, Condition) and part.size is not None)
                   for part in parts_of(self.rule))

    @cached_property
    def tells_new_energy_apart(self) -> bool:
        """Whether a new-energy vehicle may pay another price than others."""
        return any(isinstance(part, Condition) and part.new_energy is not None for part in parts_of(self.rule))

    @cached_property
    def canonical(self) -> str:
        """The text that is hashed and sealed into charges."""
        return canonical(self.model_dump(by_alias=True))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical text, in hex."""
        return canonical_hash(self.model_dump(by_alias=True))


def read_tariff(data: Any) -> Tariff:
    """Check the data of a tariff (as json.loads gives it).

    :raises BadTariff: with the path of each thing that is wrong
    """
    if _count_rules(data) > RULES_MAX:
        raise BadTariff([("rule", f"more than {RULES_MAX} parts")])
    try:
        return Tariff.model_validate(data)
    except ValidationError as wrong:
        raise BadTariff(
            [(".".join(str(part) for part in error["loc"]) or "tariff", error["msg"]) for error in wrong.errors()]
        ) from None


def _count_rules(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + sum(_count_rules(item) for item in data.values())
    if isinstance(data, list):
        return sum(_count_rules(item) for item in data)
    return 0
