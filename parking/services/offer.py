"""A lane's bundle is offered as it was made before, until something in it changes.

A lane asks every minute, and mostly nothing has changed: that is told from eight small reads, whatever is inside.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.code import HONOURED_AT_EXIT
from parking.core.code_wire import City
from parking.core.json_text import canonical_hash
from parking.services.equip import LotBundle, PlateNames, make_lot_bundle
from parking.store import bundle_changes, calendars, credentials, drivers, key_sets, lots, tariffs
from parking.store.key_sets import SignedKeySet
from parking.store.lots import Lot
from parking.store.tariffs import TariffInForce
from parking.store.terminals import TerminalAtGate

LOTS_MAX = 512


@dataclass(frozen=True, slots=True)
class Offered:
    """A bundle for one lane. name: the same while nothing but the time and the lane's numbering has changed."""

    lot: LotBundle
    gate: Mapping[str, Any]
    name: str

    def text(self, *, made_at: str, next_sequence: int) -> str:
        """The whole as JSON."""
        own = json.dumps({"made_at": made_at, "terminal": {**self.gate, "next_sequence": next_sequence}})
        return f"{own[:-1]},{self.lot.text[1:]}"


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a lot's bundle rests on, besides what is known of each driver and vehicle in it.

    Each part is what it stands for, or a number that no change of it leaves as it was: the lot's visits have a
    generation, and the revoked of whom lanes are told since an instant only grow more.
    """

    settings: tuple[object, ...]
    generation: int
    ended_after: datetime
    revoked_count: int
    challenged: frozenset[UUID]
    key_set_id: UUID | None
    tariff: tuple[UUID, int] | None
    calendar_rows: int


@dataclass(frozen=True, slots=True)
class _Kept:
    basis: _Basis
    stripes: Mapping[int, int]
    made: LotBundle


@dataclass
class Bundles:
    """The bundles of the lots that this process was asked for last. At every full hour each is made anew."""

    city: City
    names: PlateNames
    _held: OrderedDict[int, _Kept] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def offer(self, db: Session, terminal: TerminalAtGate, *, now: datetime) -> Offered:
        gate = {"id": str(terminal.terminal_id), "gate_id": terminal.gate_id, "direction": terminal.direction}
        made = self._of_lot(db, terminal.lot, now)
        return Offered(made, gate, canonical_hash([made.digest, gate]))

    def _of_lot(self, db: Session, lot: Lot, now: datetime) -> LotBundle:
        """What it rests on is read before it is made: so it may be newer than its basis, and is never older."""
        with self._lock:
            kept = self._held.get(lot.lot_id)
        stripes, ended_after = bundle_changes.read_stripes(db), _full_hour(now - HONOURED_AT_EXIT)
        in_force, newest = tariffs.find_tariff_of_lot(db, lot.lot_id, at=now), key_sets.find_newest(db)
        basis = _basis(db, lot, ended_after, in_force, newest)
        if kept is not None and kept.basis == basis and kept.made.about.isdisjoint(
            bundle_changes.list_changed(db, kept.stripes, stripes)
        ):
            kept = replace(kept, stripes=stripes)
        else:
            kept = _Kept(basis, stripes, make_lot_bundle(
                db, lot, city=self.city, names=self.names, in_force=in_force, newest=newest,
                challenged=basis.challenged, ended_after=ended_after))
        with self._lock:
            self._held[lot.lot_id] = kept
            self._held.move_to_end(lot.lot_id)
            while len(self._held) > LOTS_MAX:
                self._held.popitem(last=False)
        return kept.made


def _basis(
    db: Session, lot: Lot, ended_after: datetime, in_force: TariffInForce | None, newest: SignedKeySet | None
) -> _Basis:
    return _Basis(
        (lot.time_zone, lot.spaces, lot.collects, lot.is_closed, tuple(lot.turned_reasons)),
        lots.get_generation(db, lot.lot_id), ended_after,
        credentials.count_revoked(db, expiring_after=ended_after), frozenset(drivers.list_challenged(db)),
        newest.key_set_id if newest else None, (in_force.tariff_id, in_force.version) if in_force else None,
        calendars.count_rows(db))


def _full_hour(at: datetime) -> datetime:
    """Entries that time ends leave a bundle together, not one a minute."""
    return at.replace(minute=0, second=0, microsecond=0)
