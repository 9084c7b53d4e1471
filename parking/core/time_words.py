"""Lengths of time, times of day and days of the week in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parking.core import rule as data
from parking.core.phrase import LIST, OR, join, same, say
from parking.core.reason import Words
from parking.core.walls import WEEKDAYS, Day

_DAYS: dict[str, Words] = {
    "mon": say("周一", "Mon", "lun."), "tue": say("周二", "Tue", "mar."), "wed": say("周三", "Wed", "mer."),
    "thu": say("周四", "Thu", "jeu."), "fri": say("周五", "Fri", "ven."), "sat": say("周六", "Sat", "sam."),
    "sun": say("周日", "Sun", "dim."),
}
_BY_CALENDAR: dict[str, Words] = {
    "holiday": say("节假日", "public holidays", "jours fériés"),
    "makeup": say("调休工作日", "make-up working days", "jours de repos travaillés"),
}
_HOURS_FROM = 120  # minutes; the first hour is told as 60 min, as it is on the wall


def length(minutes: int) -> Words:
    """Such as "20 min", "60 min", "24 h": whole hours from two on."""
    if minutes % 60 or minutes < _HOURS_FROM:
        return say("{0}分钟", "{0} min", "{0} min", same(str(minutes)))
    return say("{0}小时", "{0} h", "{0} h", same(str(minutes // 60)))


def time_of_day(span: data.Span | data.Window) -> Words:
    """Such as "19:30–07:30"; midnight as an end is 24:00."""
    end = "24:00" if span.to_minute == data.DAY_MINUTES else span.to
    between = "–次日" if span.to_minute > data.DAY_MINUTES else "–"
    return say(f"{span.from_}{between}{end}", f"{span.from_}–{end}", f"{span.from_}–{end}")


def days(names: Iterable[str]) -> Words:
    """Such as "Mon–Fri" or "Sat, Sun, public holidays"."""
    given = set(names)
    runs = _runs([day for day in WEEKDAYS if day in given])
    others = [says for word, says in _BY_CALENDAR.items() if word in given]
    return join([*(_run(run) for run in runs), *others], LIST)


def spans(of: Sequence[data.Span]) -> Words:
    """Such as "Mon–Fri 09:00–18:00 or Sat 10:00–14:00"."""
    return join([_span(span) for span in of], OR)


def _span(span: data.Span) -> Words:
    is_whole = (span.from_, span.to) == ("00:00", "00:00")
    if span.days is None:
        return say("任何时间", "any time", "toute heure") if is_whole else time_of_day(span)
    return days(span.days) if is_whole else say("{0} {1}", "{0} {1}", "{0} {1}", days(span.days), time_of_day(span))


def _runs(known: list[Day]) -> list[list[Day]]:
    """Days that follow each other, from three on; the others each by itself."""
    runs: list[list[Day]] = []
    for day in known:
        if runs and WEEKDAYS.index(day) == WEEKDAYS.index(runs[-1][-1]) + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [part for run in runs for part in ([run] if len(run) > 2 else [[day] for day in run])]


def _run(run: list[Day]) -> Words:
    first, last = _DAYS[run[0]], _DAYS[run[-1]]
    return first if len(run) == 1 else say("{0}至{1}", "{0}–{1}", "{0}–{1}", first, last)
