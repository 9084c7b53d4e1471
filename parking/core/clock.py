"""One place where instants are read, written and turned into city days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_WALL = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::00)?", re.ASCII)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class BadInstant(ValueError):
    """The text is not an RFC 3339 instant between 2000 and 2200."""


class UnknownZone(ValueError):
    """The name is not one of the IANA time zones."""


def parse_instant(text: str, *, earliest: datetime = EARLIEST) -> datetime:
    """Read an RFC 3339 instant, to the millisecond, as UTC.

    A leap second (:60) is refused, like every day and hour that no calendar has.

    :param earliest: another one for what a clock says that has lost its time
    :raises BadInstant: not RFC 3339, not a real time, or outside 2000..2200
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise BadInstant("not an RFC 3339 time with an offset, such as 2026-03-10T09:00:00+08:00")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    milliseconds = int((match[7] or "0").ljust(3, "0")[:3])
    offset = timedelta()
    if match[8] not in "Zz":
        sign = -1 if match[8][0] == "-" else 1
        hours, minutes = int(match[8][1:3]), int(match[8][4:6])
        if hours > 23 or minutes > 59:
            raise BadInstant("the offset is not one of a day")
        offset = sign * timedelta(hours=hours, minutes=minutes)
    try:
        local = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)
        instant = local - offset
    except (ValueError, OverflowError) as wrong:
        raise BadInstant(f"no such time: {wrong}") from None
    if not earliest <= instant < LATEST:
        raise BadInstant(f"outside the years {earliest.year} to {LATEST.year}")
    return instant


def parse_wall(text: str, zone: ZoneInfo) -> datetime:
    """Read what a form gives of a date and a time on the city's walls, such as 2026-03-10T09:00, to the minute.

    Of a time that comes twice, the first is meant.

    :raises BadInstant: not such a text, or the walls never show this time
    """
    match = _WALL.fullmatch(text)
    if match is None:
        raise BadInstant("not a date and a time such as 2026-03-10T09:00")
    try:
        year, month, day, hour, minute = (int(part) for part in match.groups())
        wall = datetime(year, month, day, hour, minute, tzinfo=zone)
        instant = wall.astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise BadInstant(f"no such time: {wrong}") from None
    if instant.astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None):
        raise BadInstant("the clocks leap over this time")
    if not EARLIEST <= instant < LATEST:
        raise BadInstant(f"outside the years {EARLIEST.year} to {LATEST.year}")
    return instant


def format_instant(instant: datetime, zone: ZoneInfo | None = None) -> str:
    """Write RFC 3339; milliseconds only where there are some, Z where no zone is asked for."""
    local = instant.astimezone(zone or UTC)
    text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z" if zone is None else text


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00:00Z, rounded down."""
    return (instant - EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    return EPOCH + milliseconds * _MILLISECOND


def find_zone(name: str) -> ZoneInfo:
    """:raises UnknownZone: no such IANA zone, or one that means another on another machine"""
    if name != "UTC" and not re.fullmatch(r"[A-Z][A-Za-z]+(/[A-Z][A-Za-z0-9_+-]*)+", name):
        raise UnknownZone(f"no such time zone: {name!r}")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(f"no such time zone: {name!r}") from None


def city_date(instant: datetime, zone: ZoneInfo) -> date:
    """The day on the calendar of the city's walls."""
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a city day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def drop_seconds(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)
