"""Calendars: which days are holidays and which are worked instead, year by year, as they were announced."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CheckConstraint, Integer, Text, bindparam, func, insert, select, type_coerce
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.calendar import Calendar, CalendarYear, read_year
from parking.store.columns import Flag, Instant, Json, Table, spread
from parking.store.statements import table_of


class CalendarYearRow(Table):
    """One year of a country's or region's calendar. Never edited: the newest revision counts.

    body: as CalendarYear.data. is_confirmed: announced, so that prices may rest on it. source: who says so.
    """

    __tablename__ = "calendar_year"
    __table_args__ = (
        CheckConstraint("is_confirmed IN (0, 1)", name="is_confirmed"),
        CheckConstraint("revision >= 1", name="revision"),
        CheckConstraint("year BETWEEN 2000 AND 2199", name="year"),
        spread(None, "reference", append_only=True),
    )

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    is_confirmed: Mapped[bool] = mapped_column(Flag)
    source: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class KeptYear:
    """The newest word on one year."""

    name: str
    days: CalendarYear
    revision: int
    is_confirmed: bool
    source: str
    recorded_at: datetime


_row = table_of(CalendarYearRow).c
_LIST_TEXTS = (
    select(_row.year, _row.is_confirmed, type_coerce(_row.body, Text))
    .where(_row.name == bindparam("of_name")).order_by(_row.year, _row.revision))


_COUNT = select(func.count()).select_from(table_of(CalendarYearRow))


def get_calendar(db: Session, name: str) -> Calendar:
    """A calendar with its confirmed years; with none where nothing is known of it."""
    newest = {year: text if is_confirmed else None for year, is_confirmed, text in db.execute(
        _LIST_TEXTS, {"of_name": name})}
    return _read(name, tuple(text for text in newest.values() if text is not None))


@lru_cache(maxsize=64)
def _read(name: str, texts: tuple[str, ...]) -> Calendar:
    return Calendar(name, {days.year: days for days in (read_year(json.loads(text)) for text in texts)})


def list_years(db: Session, name: str | None = None) -> list[KeptYear]:
    """The newest revision of each year, of one calendar or of all, in their order."""
    query = select(CalendarYearRow).order_by(CalendarYearRow.name, CalendarYearRow.year, CalendarYearRow.revision)
    rows: Iterable[CalendarYearRow] = db.execute(
        query if name is None else query.where(CalendarYearRow.name == name)).scalars()
    newest = {(row.name, row.year): row for row in rows}
    return [
        KeptYear(row.name, read_year(row.body), row.revision, row.is_confirmed, row.source, row.recorded_at)
        for row in newest.values()]


def count_rows(db: Session) -> int:
    """Grows with each revision of any calendar."""
    return db.execute(_COUNT).scalar_one()


def add_year(
    db: Session, name: str, days: CalendarYear, *, revision: int, is_confirmed: bool, source: str, now: datetime
) -> None:
    db.execute(insert(CalendarYearRow).values(
        name=name, year=days.year, revision=revision, body=days.data, is_confirmed=is_confirmed, source=source,
        recorded_at=now))
