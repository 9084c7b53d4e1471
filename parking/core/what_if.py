"""What another tariff would have done to a period's visits: sums, who pays more and less, the largest changes.

A tally is made of a page of visits and added to others, in any order, so that many may count at once. It holds
no plate and no vehicle key.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.clock import format_instant
from parking.core.identifier import format_lot_id
from parking.core.price import Vehicle
from parking.core.pricer import Stay
from parking.core.stretch import minutes_of

LISTED_MAX = 50
CHANGES_FEN = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
LENGTHS_MINUTES = (15, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2880, 10_080)


class Visit(NamedTuple):
    """A charged visit: what it cost, and what that was made of; is_recharged: it was credited and charged anew.
    parking_session_id: its 16 bytes, for few of many visits are ever listed."""

    lot_id: int
    parking_session_id: bytes
    charged_fen: int
    stay: Stay
    is_recharged: bool = False
    is_forgiven: bool = False


@dataclass
class Group:
    """Visits that have something in common; count, and fen that they came to."""

    visits: int = 0
    before_fen: int = 0
    after_fen: int = 0
    more: int = 0
    more_fen: int = 0
    less: int = 0
    less_fen: int = 0

    def count(self, before_fen: int, after_fen: int) -> None:
        change = after_fen - before_fen
        self.visits += 1
        self.before_fen += before_fen
        self.after_fen += after_fen
        if change > 0:
            self.more += 1
            self.more_fen += change
        elif change < 0:
            self.less += 1
            self.less_fen -= change

    def add(self, other: Group) -> None:
        self.visits += other.visits
        self.before_fen += other.before_fen
        self.after_fen += other.after_fen
        self.more += other.more
        self.more_fen += other.more_fen
        self.less += other.less
        self.less_fen += other.less_fen

    @property
    def data(self) -> dict[str, int]:
        return {
            "visits": self.visits, "before_fen": self.before_fen, "after_fen": self.after_fen,
            "difference_fen": self.after_fen - self.before_fen, "more": self.more, "more_fen": self.more_fen,
            "less": self.less, "less_fen": self.less_fen, "same": self.visits - self.more - self.less,
        }


# (place in the list, lot, visit, entered, until, size, charged fen, what is said of it)
Listed = tuple[int, int, bytes, datetime, datetime, str, int, Any]


@dataclass
class Tally:
    """Counts of visits. groups: by kind (lot, hour, length, size, change) and value. lists: sorted, none longer than
    LISTED_MAX."""

    all: Group = field(default_factory=Group)
    groups: dict[tuple[str, int | str], Group] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    unpriced: dict[str, Group] = field(default_factory=dict)
    replayed: Group = field(default_factory=Group)
    not_replayed: int = 0
    recharged: int = 0
    forgiven: Group = field(default_factory=Group)
    allowed: int = 0
    lists: dict[str, list[Listed]] = field(default_factory=dict)

    def leave_out(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def count(self, visit: Visit, after_fen: int, zone: ZoneInfo) -> None:
        """A visit, and what it would have cost."""
        before_fen, stay = visit.charged_fen, visit.stay
        change = after_fen - before_fen
        self.all.count(before_fen, after_fen)
        for place in (
            ("lot", visit.lot_id), ("hour", stay.entered_at.astimezone(zone).hour),
            ("length", bisect_left(LENGTHS_MINUTES, minutes_of(stay.until_at - stay.entered_at))),
            ("size", stay.vehicle.size), ("change", place_of_change(change)),
        ):
            group = self.groups.get(place)
            if group is None:
                group = self.groups[place] = Group()
            group.count(before_fen, after_fen)
        if visit.is_forgiven:
            self.forgiven.count(before_fen, after_fen)
        if change:
            self._list("rises" if change > 0 else "falls", -abs(change), visit, after_fen)

    def count_unpriced(self, visit: Visit, reason: str) -> None:
        """A visit that the tariff cannot price."""
        self.unpriced.setdefault(reason, Group()).count(visit.charged_fen, visit.charged_fen)
        self._list("unpriced", 0, visit, reason)

    def count_replay(self, visit: Visit, replayed_fen: int | None) -> None:
        """What the tariff in force at its entry makes of a visit now; None where it makes nothing."""
        self.recharged += visit.is_recharged
        self.allowed += visit.stay.allowance is not None
        if replayed_fen is None:
            self.not_replayed += 1
        else:
            self.replayed.count(visit.charged_fen, replayed_fen)
        if replayed_fen != visit.charged_fen:
            self._list("differing", 0 if replayed_fen is None else -abs(replayed_fen - visit.charged_fen), visit,
                       replayed_fen)

    def add(self, other: Tally) -> None:
        """Count another tally's visits too."""
        self.all.add(other.all)
        self.replayed.add(other.replayed)
        self.forgiven.add(other.forgiven)
        self.not_replayed += other.not_replayed
        self.recharged += other.recharged
        self.allowed += other.allowed
        for place, group in other.groups.items():
            self.groups.setdefault(place, Group()).add(group)
        for reason, group in other.unpriced.items():
            self.unpriced.setdefault(reason, Group()).add(group)
        for why, count in other.left_out.items():
            self.left_out[why] = self.left_out.get(why, 0) + count
        for name, listed in other.lists.items():
            self.lists[name] = sorted((*self.lists.get(name, ()), *listed), key=_order)[:LISTED_MAX]

    def _list(self, name: str, place: int, visit: Visit, said: Any) -> None:
        """List it, unless the list is full of others that come before it."""
        listed, stay = self.lists.setdefault(name, []), visit.stay
        order = place, visit.lot_id, visit.parking_session_id
        if len(listed) < LISTED_MAX or order < _order(listed[-1]):
            insort(listed, (*order, stay.entered_at, stay.until_at, stay.vehicle.size, visit.charged_fen, said),
                   key=_order)
            del listed[LISTED_MAX:]

    def result(self) -> dict[str, Any]:
        """What is kept and shown (docs/what-if.md): JSON, amounts in fen, instants in UTC."""
        def by(kind: str, values: Iterable[int | str], name: str) -> list[dict[str, Any]]:
            return [{name: value, **self.groups.get((kind, value), Group()).data} for value in values]

        lengths = by("length", range(len(LENGTHS_MINUTES) + 1), "up_to_minutes")
        for place, each in enumerate(lengths):
            each["up_to_minutes"] = LENGTHS_MINUTES[place] if place < len(LENGTHS_MINUTES) else None
        changes = [
            {**dict(zip(("from_fen", "to_fen"), bounds_of_change(place), strict=True)),
             "visits": group.visits, "difference_fen": group.after_fen - group.before_fen}
            for place in range(-len(CHANGES_FEN) - 1, len(CHANGES_FEN) + 2)
            for group in (self.groups.get(("change", place), Group()),)]
        return {
            **self.all.data, "left_out": dict(sorted(self.left_out.items())), "changes": changes,
            "by_lot": by("lot", sorted(value for kind, value in self.groups if kind == "lot"), "lot_id"),
            "by_hour": by("hour", range(24), "hour"), "by_length": lengths,
            "by_size": by("size", ("small", "large"), "size"),
            "rises": self._items("rises", "after_fen"),
            "falls": self._items("falls", "after_fen"),
            "unpriced": {
                "visits": sum(group.visits for group in self.unpriced.values()),
                "before_fen": sum(group.before_fen for group in self.unpriced.values()),
                "reasons": {reason: group.visits for reason, group in sorted(self.unpriced.items())},
                "items": self._items("unpriced", "reason"),
            },
            "replay": {
                "visits": self.replayed.visits, "not_replayed": self.not_replayed,
                "differing": self.replayed.more + self.replayed.less, "charged_fen": self.replayed.before_fen,
                "replayed_fen": self.replayed.after_fen, "recharged": self.recharged, "allowed": self.allowed,
                "items": self._items("differing", "replayed_fen"),
            },
            "forgiven": {"visits": self.forgiven.visits, "before_fen": self.forgiven.before_fen,
                         "after_fen": self.forgiven.after_fen},
        }

    def _items(self, name: str, said: str) -> list[dict[str, Any]]:
        return [_item(each, said) for each in self.lists.get(name, ())]


def _order(listed: Listed) -> tuple[int, int, bytes]:
    return listed[:3]


def _item(listed: Listed, name: str) -> dict[str, Any]:
    _, lot_id, visit, entered_at, until_at, size, charged_fen, said = listed
    return {
        "parking_session_id": format_lot_id(lot_id, UUID(bytes=visit)), "lot_id": lot_id,
        "entered_at": format_instant(entered_at), "until_at": format_instant(until_at), "size": size,
        "before_fen": charged_fen, name: said,
    }


def place_of_change(change_fen: int) -> int:
    """0 for no change, 1 for up to the first of CHANGES_FEN more, -1 for up to the first of them less, and so on."""
    place = bisect_left(CHANGES_FEN, abs(change_fen)) + 1
    return 0 if change_fen == 0 else place if change_fen > 0 else -place


def bounds_of_change(place: int) -> tuple[int | None, int | None]:
    """(from, to) in fen; the bound that is nearer to 0 is not in it, the other one is; None where there is none."""
    if place == 0:
        return 0, 0
    near = 0 if abs(place) == 1 else CHANGES_FEN[abs(place) - 2]
    far = CHANGES_FEN[abs(place) - 1] if abs(place) <= len(CHANGES_FEN) else None
    return (near, far) if place > 0 else (None if far is None else -far, -near)


def read_stay(sealed: str) -> Stay:
    """What a sealed charge (core/charge.py) was made of."""
    body = json.loads(sealed)
    allowance = body["exit_allowance"]
    return Stay(
        datetime.fromisoformat(body["entered_at"]), datetime.fromisoformat(body["billed_until"]),
        _vehicle(*body["vehicle"].items()), body["context"],
        allowance and (datetime.fromisoformat(allowance["paid_until"]), datetime.fromisoformat(allowance["leave_by"])))


@cache
def _vehicle(*sealed: tuple[str, Any]) -> Vehicle:
    return Vehicle(**dict(sealed))
