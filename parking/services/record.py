"""Facts that were not asked about first: a barrier opened, and we are told later.

The same fact again changes nothing; facts may land in any order (core/parking_session.py).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from parking.core.fact import Fact
from parking.services.fold import refold
from parking.services.unlock import KeySafe
from parking.store import facts, terminals, vehicles
from parking.store.lots import Lot


class FactDiffers(Exception):
    """The terminal's number names another fact already: evidence of a fault, or worse."""


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
    keys, since = _concerned(db, lot.lot_id, fact)
    sizes = {key: vehicles.lock_vehicle(db, key, plate_sealed=None, now=now) for key in keys}
    facts.add_fact(
        db, fact, lot_id=lot.lot_id, operator_id=lot.operator_id, said_at=said_at, received_at=now,
        clock_offset_ms=clock_offset_ms, body=body,
    )
    terminals.count_fact(
        db, lot.lot_id, fact.ref.terminal_id, last_sequence=max(last, fact.ref.sequence), seen_at=now
    )
    if keys:
        refold(db, lot=lot, vehicle_keys=keys, since=since, sizes=sizes, safe=safe, now=now)
    return True


def _concerned(db: Session, lot_id: int, fact: Fact) -> tuple[list[bytes], datetime]:
    """Every vehicle that has, had or will have this fact or the one it corrects, and since when it matters.

    Corrections and what they correct may land in either order, and more than one may speak of a fact.
    """
    about = fact if fact.corrects is None else facts.find_fact(db, lot_id, fact.corrects)
    said = facts.list_corrections(db, lot_id, [fact.corrects or fact.ref])
    known = [each for each in (fact, about, *said) if each is not None]
    keys = sorted({each.vehicle_key for each in known if each.vehicle_key is not None})
    return keys, min(each.ordered_at for each in known)
