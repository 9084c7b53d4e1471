"""Facts that were not asked about first: a barrier opened, and we are told later.

The same fact again changes nothing; facts may land in any order (core/parking_session.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import OF_VISIT, Fact, FactRef
from parking.core.price import Vehicle
from parking.core.secret import SealedPlate
from parking.services.fold import refold
from parking.services.join import join_drivers
from parking.services.unlock import KeySafe
from parking.store import facts, terminals, vehicles
from parking.store.facts import NewFact
from parking.store.lots import Lot

_FOLDED = ("undo", "plate_correction", "seen_elsewhere", "manual_lift", *OF_VISIT)


class FactDiffers(Exception):
    """The terminal's number names another fact already: evidence of a fault, or worse."""


@dataclass
class _Concerned:
    """The vehicles that new facts bear on. since: those to be folded anew, each with the earliest fact that is new."""

    keys: set[bytes] = field(default_factory=set)
    since: dict[bytes, datetime] = field(default_factory=dict)


def record_fact(
    db: Session, lot: Lot, fact: Fact, *, said_at: datetime, safe: KeySafe, now: datetime,
    clock_offset_ms: int = 0,
) -> bool:
    """Store one fact of a lot and bring its vehicles' sessions up to date; False if it was known.

    :raises FactDiffers: the number was used for something else
    """
    last = terminals.lock_last_sequence(db, lot.lot_id, fact.ref.terminal_id)
    body = {"of": [fact.kind, fact.direction, fact.opened, fact.vehicle_key.hex() if fact.vehicle_key else None,
                   said_at.isoformat(), clock_offset_ms]}
    known = facts.find_fact_body(db, lot.lot_id, fact.ref) if fact.ref.sequence <= last else None
    if known is not None:
        if known != (fact.kind, body):
            raise FactDiffers
        return False
    land_facts(
        db, lot, [NewFact(fact, said_at, clock_offset_ms, body=body)], last_sequence=last, safe=safe, now=now)
    return True


def land_facts(
    db: Session, lot: Lot, new: Sequence[NewFact], *, last_sequence: int, safe: KeySafe, now: datetime,
    plates_sealed: Mapping[bytes, SealedPlate | None] | None = None, own_keys: Mapping[UUID, bytes] | None = None,
) -> None:
    """Store new facts of one terminal, whose numbering is held, and bring their vehicles' sessions up to date.

    Vehicles are held before the facts are stored, in the one order in which everybody does; what was
    said of the facts is then asked again, for it may have grown while we waited.

    :param plates_sealed: the plates that were read, by the vehicle's key
    :param own_keys: drivers who showed a code at an open barrier, or who may have entered by one, with their own keys
    """
    landing = [each.fact for each in new]
    found, held = _hold(db, lot.lot_id, landing, plates_sealed or {}, now)
    facts.add_facts(db, new, lot_id=lot.lot_id, operator_id=lot.operator_id, received_at=now)
    terminals.count_fact(
        db, lot.lot_id, landing[0].ref.terminal_id, seen_at=now, count=len(new),
        last_sequence=max(last_sequence, *(fact.ref.sequence for fact in landing)))
    joined: dict[bytes, datetime] = {}
    if own_keys:
        earliest = min(fact.ordered_at for fact in landing)
        joined = join_drivers(db, lot, own_keys, since=earliest, now=now)
        held |= vehicles.hold_vehicles(db, dict.fromkeys(joined.keys() - held.keys()), now=now) if joined else {}
    since = {
        key: min(each for each in (found.since.get(key), joined.get(key)) if each is not None)
        for key in sorted(found.since.keys() | joined.keys())}
    if since:
        speaks = bool(joined) or any(fact.corrects is not None for fact in landing)
        refold(
            db, lot=lot, since=since, held=held, safe=safe, now=now,
            landed=[] if speaks else [fact.ref for fact in landing])


def say_of_visit(
    db: Session, lot: Lot, said: Fact, *, cause_id: UUID, safe: KeySafe, now: datetime, reason: str | None = None,
    body: Any = None, plates_sealed: Mapping[bytes, SealedPlate | None] | None = None,
) -> FactRef | None:
    """Say something of a visit's entry (`said.corrects`) through the lot's service terminal, which numbers it, and
    bring the vehicles' sessions up to date; None if it was said for this cause before.

    The vehicles are held before the terminal's numbering, as at a gate that corrects a plate.
    """
    _hold(db, lot.lot_id, [said], plates_sealed or {}, now)
    if facts.has_cause(db, lot.lot_id, cause_id):
        return None
    service_id = said.ref.terminal_id
    last = terminals.lock_last_sequence(db, lot.lot_id, service_id)
    fact = replace(said, ref=FactRef(service_id, last + 1))
    new = NewFact(fact, fact.occurred_at, reason=reason, cause_id=cause_id, body=body)
    land_facts(db, lot, [new], last_sequence=last, safe=safe, now=now, plates_sealed=plates_sealed)
    return fact.ref


def _hold(
    db: Session, lot_id: int, landing: Sequence[Fact], plates_sealed: Mapping[bytes, SealedPlate | None], now: datetime
) -> tuple[_Concerned, dict[bytes, Vehicle]]:
    """Hold the vehicles that facts bear on, making those that are new."""
    found = _concerned(db, lot_id, landing)
    held: dict[bytes, Vehicle] = {}
    while found.keys - held.keys():
        held = vehicles.hold_vehicles(db, {key: plates_sealed.get(key) for key in found.keys}, now=now)
        found = _concerned(db, lot_id, landing)
    return found, held


def _concerned(db: Session, lot_id: int, landing: Sequence[Fact]) -> _Concerned:
    """Every vehicle that has, had or will have one of these facts or one that they correct, and since when it matters.

    Corrections and what they correct may land in either order, and more than one may speak of a fact.
    """
    abouts = {fact.corrects or fact.ref for fact in landing}
    new = {fact.ref for fact in landing}
    scans = {fact.ref: fact for fact in landing} | {
        fact.ref: fact for fact in facts.list_facts(db, lot_id, abouts - new)}
    said: dict[FactRef, list[Fact]] = defaultdict(list)
    for fact in [*facts.list_corrections(db, lot_id, abouts), *(each for each in landing if each.corrects)]:
        assert fact.corrects is not None
        said[fact.corrects].append(fact)
    found = _Concerned()
    for about in abouts:
        group = [*([scans[about]] if about in scans else []), *said[about]]
        keys = {each.vehicle_key for each in group if each.vehicle_key is not None}
        found.keys |= keys
        if any(_is_folded(fact, said[about]) for fact in group):
            earliest = min(fact.ordered_at for fact in group)
            for key in keys:
                found.since[key] = min(found.since.get(key, earliest), earliest)
    return found


def _is_folded(fact: Fact, said: Collection[Fact]) -> bool:
    """Whether the fold looks at it: an entry at which the barrier stayed shut is none of its business."""
    return fact.kind in _FOLDED or (fact.kind == "scan" and (fact.opened or fact.direction == "exit" or bool(said)))
