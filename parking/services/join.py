"""What a driver showed and what a camera read are brought to one vehicle, after facts have landed (core/join.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.join import join_visits
from parking.store import drivers, facts, terminals
from parking.store.facts import NewFact
from parking.store.lots import Lot

JOINED = "joined"
STAY = timedelta(days=31)  # a visit by code alone that lasts longer is left to a person


def join_drivers(
    db: Session, lot: Lot, own_keys: Mapping[UUID, bytes], *, since: datetime, now: datetime
) -> dict[bytes, datetime]:
    """Say through the lot's service terminal whose the scans by code alone were; returns each vehicle that
    this changes, with the earliest of its scans concerned.

    :param own_keys: the drivers of facts that have landed, with the vehicle key of each while no plate is known
    :param since: the earliest of those facts
    """
    moved: list[tuple[Fact, bytes, bytes]] = []
    for driver_id, own_key in sorted(own_keys.items()):
        moved += _moved(db, lot, driver_id, own_key, since)
    changed: dict[bytes, datetime] = {}
    if not moved:
        return changed
    service_id = terminals.get_service_terminal_id(db, lot.lot_id)
    last = terminals.lock_last_sequence(db, lot.lot_id, service_id)
    new = []
    for number, (scan, was, key) in enumerate(moved, start=last + 1):
        fact = Fact(FactRef(service_id, number), "plate_correction", now, vehicle_key=key, corrects=scan.ref)
        cause = derived_uuid(now, JOINED, scan.ref.terminal_id, scan.ref.sequence, number)
        new.append(NewFact(fact, now, reason=JOINED, cause_id=cause))
        for each in (was, key):
            changed[each] = min(changed.get(each, scan.ordered_at), scan.ordered_at)
    facts.add_facts(db, new, lot_id=lot.lot_id, operator_id=lot.operator_id, received_at=now)
    terminals.count_fact(
        db, lot.lot_id, service_id, last_sequence=last + len(new), seen_at=now, count=len(new))
    return changed


def _moved(
    db: Session, lot: Lot, driver_id: UUID, own_key: bytes, since: datetime
) -> list[tuple[Fact, bytes, bytes]]:
    """Scans by code alone that are another vehicle's than is written: the scan, whose it was, whose it is."""
    if not facts.has_scan_of(db, lot.lot_id, own_key, since=since - 2 * STAY):
        return []
    proved = [each.vehicle_key for each in drivers.list_vehicles(db, driver_id) if each.is_proved]
    alone = [key for key in proved if drivers.list_provers(db, key) == [driver_id]]
    scans = facts.list_scans_around(db, lot.lot_id, driver_id, [own_key, *proved], since=since - 2 * STAY)
    found = facts.list_owners(db, lot.lot_id, [scan.ref for scan in scans], recomputed=(None, JOINED))
    standing = [
        replace(scan, vehicle_key=found.fixed.get(scan.ref, scan.vehicle_key))
        for scan in scans if scan.ref not in found.undone]
    vehicle_of = join_visits(
        standing, driver_id=driver_id, own_key=own_key, proved=proved, proved_alone=alone)
    by_ref = {scan.ref: scan for scan in standing}
    return [
        (by_ref[ref], found.joined.get(ref, own_key), key)
        for ref, key in sorted(vehicle_of.items())
        if found.joined.get(ref, own_key) != key and by_ref[ref].ordered_at >= since - STAY
    ]
