"""The rate lines of a collection as one rule of ours, where they have one meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from parking.core import apds_document as form
from parking.core.apds import (
    DAY_MINUTES,
    DURATION_MINUTES_MAX,
    Findings,
    join,
    parse_duration,
    parse_offset,
    to_fen,
    to_offset,
)

_TIMES_MAX = 1000  # of a step


@dataclass(frozen=True, slots=True)
class Readings:
    """What whoever imports says about what the standard leaves open; None: not said.

    tiers: a flatRateTier's value is added to those before it (`each`), or is the whole price (`total`).
    crossing: a stay that crosses into another table is cut there and each part starts anew (`anew`), or the table
    at entry holds for all of it (`at_entry`). beyond: after the last line's end they begin again (`again`), or
    nothing more is charged (`no_more`).
    """

    tiers: Literal["each", "total"] | None = None
    crossing: Literal["anew", "at_entry"] | None = None
    beyond: Literal["again", "no_more"] | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    type: str
    start: int
    end: int | None
    period: int | None
    fen: int
    cap: int | None
    is_tier: bool
    is_untimed: bool
    path: str


@dataclass(frozen=True, slots=True)
class LineReader:
    """currency: that of the first collection, and so of all."""

    readings: Readings
    found: Findings
    currency: str

    def money(self, amount: form.AmountInCurrency | int | float | None, path: str) -> int | None:
        if amount is None:
            return None
        if isinstance(amount, form.AmountInCurrency):
            if amount.currency_type != self.currency:
                self.found.add(join(path, "currencyType"), "currencyType", "currency", currency=amount.currency_type)
            amount = amount.currency_value
        fen = to_fen(amount)
        if fen is None:
            self.found.add(path, path.rpartition(".")[2], "not_whole_fen")
        return fen

    def lines(self, lines: Sequence[form.RateLine], longest: int | None, path: str) -> dict[str, Any]:
        """The rate lines of a collection as one rule; longest: how long a stretch under them can be, None for ever."""
        nothing = {"kind": "flat", "fen": 0}
        read = [self.line(each, len(lines) == 1, join(path, str(number))) for number, each in enumerate(lines)]
        whole = [each for each in read if each is not None]
        if len(whole) < len(lines):
            return nothing
        cap = whole[0].cap
        if any(each.type == "flatRate" and each.is_untimed for each in whole):
            if len(whole) > 1:
                self.found.add(path, "flatRate", "flat_beside_others")
            body: dict[str, Any] = {"kind": "flat", "fen": whole[0].fen}
        else:
            whole.sort(key=lambda each: each.start)
            if not self.covers(whole, path):
                return nothing
            body = self.timed(whole, longest, path)
        return body if cap is None else {"kind": "cap", "fen": cap, "of": body}

    def line(self, line: form.RateLine, is_alone: bool, path: str) -> _Line | None:
        found = self.found
        if line.rate_line_type not in ("flatRate", "flatRateTier", "incrementingRate"):
            found.add(join(path, "rateLineType"), line.rate_line_type, "usage")
            return None
        fen = self.money(line.value, join(path, "value"))
        if self.money(line.min_value, join(path, "minValue")):
            found.add(join(path, "minValue"), "minValue", "minimum")
        cap = self.money(line.max_value, join(path, "maxValue"))
        if cap is not None and not is_alone:
            found.add(join(path, "maxValue"), "maxValue", "line_maximum")
        usual = "unlimited" if line.rate_line_type == "incrementingRate" else "once"
        if line.usage_condition not in (None, usual):
            found.add(join(path, "usageCondition"), "usageCondition", "usage")
        read = {}
        for name, text, parse in (
            ("durationStart", line.duration_start, parse_offset), ("durationEnd", line.duration_end, parse_offset),
            ("incrementPeriod", line.increment_period, parse_duration),
        ):
            read[name] = None if text is None else parse(text)
            if (text is not None and read[name] is None) or (name == "incrementPeriod" and read[name] == 0):
                found.add(join(path, name), name, "not_a_duration")
                return None
        start, end, period = read["durationStart"], read["durationEnd"], read["incrementPeriod"]
        if line.rate_line_type == "incrementingRate" and period is None:
            found.add(join(path, "incrementPeriod"), "incrementPeriod", "no_increment")
            return None
        if end is not None and end <= (start or 0):
            found.add(join(path, "durationEnd"), "durationEnd", "overlap")
            return None
        is_tier = line.rate_line_type != "incrementingRate"
        is_untimed = start is None and end is None and period is None
        if is_tier and period is not None and (end is None or period != end - (start or 0)):
            found.add(join(path, "incrementPeriod"), "incrementPeriod", "tier_length")
            return None
        is_tier_of_no_time = line.rate_line_type == "flatRateTier" and is_untimed
        if is_tier_of_no_time or (start is None and not is_alone and not is_untimed):
            found.add(join(path, "durationStart"), "durationStart", "not_a_duration")
            return None
        return None if fen is None else _Line(
            line.rate_line_type, start or 0, end, period, fen, cap, is_tier, is_untimed, path)

    def covers(self, lines: Sequence[_Line], path: str) -> bool:
        """Whether the lines follow each other from the start on, without a gap or an overlap."""
        at: int | None = 0
        for line in lines:
            if at is None or line.start < at:
                self.found.add(line.path, "durationStart", "overlap")
                return False
            if line.start > at:
                self.found.add(path, "durationStart", "gap", start=to_offset(at), stop=to_offset(line.start))
                return False
            at = line.end
        return True

    def timed(self, lines: Sequence[_Line], longest: int | None, path: str) -> dict[str, Any]:
        """Lines that follow each other. A tier's value is added to those before it, or is the whole price so far:
        which one must be said, but where both come to the same."""
        tiers = [each for each in lines if each.is_tier]
        added = [sum(each.fen for each in tiers[:number + 1]) for number in range(len(tiers))]
        if added == [each.fen for each in tiers] or self.readings.tiers == "each":
            return self.steps(lines, longest, path)
        if self.readings.tiers is None or list(lines[:len(tiers)]) != tiers:
            self.found.add(path, "flatRateTier", "tiers_open")
            return {"kind": "flat", "fen": 0}
        if len(tiers) < len(lines):
            rises = [tiers[0].fen, *(after.fen - before.fen for before, after in pairwise(tiers))]
            if min(rises) < 0:
                self.found.add(path, "flatRateTier", "tiers_open")
                return {"kind": "flat", "fen": 0}
            each = [replace(tier, fen=fen) for tier, fen in zip(tiers, rises, strict=True)]
            return self.steps([*each, *lines[len(tiers):]], longest, path)
        rungs = [{"minutes": tier.end or tier.start + 1, "fen": tier.fen} for tier in tiers]
        return self.beyond({"kind": "ladder", "rungs": rungs}, tiers[-1].end, longest, path)

    def steps(self, lines: Sequence[_Line], longest: int | None, path: str) -> dict[str, Any]:
        steps: list[dict[str, Any]] = []

        def add(minutes: int, fen: int, times: int) -> None:
            while times > 0:
                steps.append({"minutes": minutes, "fen": fen, "times": min(times, _TIMES_MAX)})
                times -= _TIMES_MAX

        for line in lines:
            period = DURATION_MINUTES_MAX if line.is_tier and line.end is None else \
                line.end - line.start if line.is_tier and line.end is not None else line.period or DAY_MINUTES
            if line.end is None:
                return {"kind": "steps", "steps": [*steps, {"minutes": period, "fen": line.fen}]}
            times, rest = divmod(line.end - line.start, period)
            add(period, line.fen, times)
            if rest:
                add(rest, line.fen, 1)
        body = {"kind": "steps", "steps": [*steps, {"minutes": DAY_MINUTES, "fen": 0}]}
        return self.beyond(body, lines[-1].end, longest, path)

    def beyond(self, body: dict[str, Any], end: int | None, longest: int | None, path: str) -> dict[str, Any]:
        """After the last line's end, if a stretch can be longer than that."""
        if end is None or (longest is not None and end >= longest) or self.readings.beyond == "no_more":
            return body
        if self.readings.beyond is None:
            self.found.add(path, "durationEnd", "beyond_open", end=to_offset(end))
        elif end % 60 or end > 744 * 60:
            self.found.add(path, "durationEnd", "beyond_again", end=to_offset(end))
        else:
            return {"kind": "blocks", "hours": end // 60, "each": body}
        return body
