"""An operator settles a visit whose exit was missed: when it left, that it was another vehicle, or that all is waived.

What is settled is a fact of the lot's service terminal, with who and why; an exit that was seen still counts for more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Fact, FactRef
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services import waive
from parking.services.attest import NotCharged
from parking.services.examine import find_next_entry, weigh_visit
from parking.services.owe import NoVisit, find_tariff
from parking.services.record import say_of_visit
from parking.services.unlock import KeySafe
from parking.services.waive import ask_waiver
from parking.store import charges, ghosts, lots, parking_sessions, terminals, vehicles
from parking.store.ghosts import Settlement
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession

Way = Literal["left", "other_vehicle", "waive"]
Reading = Literal["entry", "next"]


class NotSuspended(Exception):
    """The visit is not being checked, or no more; `state` says what it is."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class OutsideEvidence(Exception):
    """It cannot have left before `earliest`, nor after `latest`."""

    def __init__(self, earliest: datetime, latest: datetime) -> None:
        super().__init__("outside what was seen")
        self.earliest, self.latest = earliest, latest


class ConclusionIdReused(Exception):
    """The id names another settlement."""


class NoClaim(Exception):
    """No driver said this of the visit."""


class NoReading(Exception):
    """Nothing later was read at a lot of this operator's."""


class SameVehicle(Exception):
    """The plate is the very one that was read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a visit is settled, and why.

    left_at: for `left`, unless it is what a driver claimed. reading, plate: for `other_vehicle`, which reading was
    wrong, and whose it was, where that is known.
    """

    settlement_id: UUID
    lot_id: int
    parking_session_id: UUID
    way: Way
    why: str
    left_at: datetime | None = None
    claim_id: UUID | None = None
    reading: Reading | None = None
    plate: Plate | None = None


def conclude(
    db: Session, operator_id: UUID, asked: Asked, *, by: UUID, secrets: Secrets, safe: KeySafe, now: datetime
) -> Settlement:
    """Settle it; asked again with the same id, it is the same settlement.

    :raises NoVisit: not one of the operator's
    :raises NotSuspended: it is not being checked; somebody else may have settled it
    :raises OutsideEvidence: it was here later than that, or seen again before
    :raises NoClaim, NoReading, SameVehicle, ConclusionIdReused:
    :raises NotCharged: all is to be waived, and nothing can be charged yet
    """
    key = secrets.vehicle_key(asked.plate) if asked.plate else None
    stored = _hold(db, operator_id, asked, secrets, now)
    known = ghosts.find_settlement(db, asked.lot_id, asked.settlement_id)
    if known is not None:
        if not _is_same(known, asked, key, by):
            raise ConclusionIdReused
        return known
    if stored.session.state != "suspended":
        raise NotSuspended(stored.session.state)
    at = None if asked.way == "other_vehicle" else _exit_time(db, stored, asked, now)
    lot, fact = _fact(db, stored, asked, at, key, now)
    said = say_of_visit(
        db, lot, fact, cause_id=asked.settlement_id, safe=safe, now=now, reason=asked.way,
        body={"by": str(by), "why": asked.why},
        plates_sealed={key: secrets.seal_plate(asked.plate)} if key and asked.plate else None)
    if said is None:
        raise ConclusionIdReused
    made = Settlement(
        asked.lot_id, asked.settlement_id, operator_id, asked.parking_session_id, asked.way, at, asked.reading, key,
        asked.claim_id, asked.why, by, now, (lot.lot_id, said))
    if not ghosts.add_settlement(db, made):
        raise ConclusionIdReused
    if asked.way == "waive":
        _waive(db, operator_id, asked, by, now)
    return made


def _hold(db: Session, operator_id: UUID, asked: Asked, secrets: Secrets, now: datetime) -> StoredSession:
    """Hold the vehicle of the visit, and the one that it is said to have been, in their one order."""
    held: set[bytes] = set()
    while True:
        stored = parking_sessions.find_session(db, asked.lot_id, asked.parking_session_id)
        if stored is None or stored.operator_id != operator_id:
            raise NoVisit
        key = stored.session.vehicle_key
        if key in held:
            return stored
        wanted = {key: None, **({secrets.vehicle_key(asked.plate): secrets.seal_plate(asked.plate)}
                                if asked.plate else {})}
        held = set(vehicles.hold_vehicles(db, wanted, now=now))


def _is_same(known: Settlement, asked: Asked, key: bytes | None, by: UUID) -> bool:
    said = (known.parking_session_id, known.way, known.why, known.claim_id, known.reading, known.vehicle_key,
            known.settled_by)
    is_of_time = asked.way != "left" or asked.claim_id is not None or known.left_at == asked.left_at
    return is_of_time and said == (
        asked.parking_session_id, asked.way, asked.why, asked.claim_id, asked.reading, key, by)


def _exit_time(db: Session, stored: StoredSession, asked: Asked, now: datetime) -> datetime:
    """When it left: as a person says, as the driver claimed, or when it was last seen here if all is waived."""
    evidence = weigh_visit(db, stored)
    if asked.way == "waive":
        return evidence.here_until
    earliest, left_at = stored.session.entered_at, asked.left_at
    if asked.claim_id is not None:
        claim = ghosts.find_claim(db, asked.lot_id, asked.claim_id)
        if claim is None or claim.parking_session_id != asked.parking_session_id:
            raise NoClaim
        earliest, left_at = evidence.here_until, claim.left_at
    assert left_at is not None
    if not earliest <= left_at <= evidence.latest(now):
        raise OutsideEvidence(earliest, evidence.latest(now))
    return left_at


def _fact(
    db: Session, stored: StoredSession, asked: Asked, at: datetime | None, key: bytes | None, now: datetime
) -> tuple[Lot, Fact]:
    """What is said, and at which lot; the terminal numbers it."""
    session = stored.session
    lot, of = lots.get_lot(db, session.lot_id), session.opened_by
    if asked.reading == "next":
        following = find_next_entry(db, stored, weigh_visit(db, stored))
        if following is None or following[0].operator_id != stored.operator_id:
            raise NoReading
        lot, of = following
    if asked.way == "other_vehicle" and key == session.vehicle_key:
        raise SameVehicle
    ref = FactRef(terminals.get_service_terminal_id(db, lot.lot_id), 1)
    if at is None:
        return lot, Fact(ref, "plate_correction", now, vehicle_key=key, corrects=of)
    return lot, Fact(ref, "exit_correction", at, vehicle_key=session.vehicle_key, corrects=of)


def _waive(db: Session, operator_id: UUID, asked: Asked, by: UUID, now: datetime) -> None:
    """Take off what the visit came to, if it came to anything; above the operator's limit a second person decides."""
    stored = parking_sessions.find_session(db, asked.lot_id, asked.parking_session_id)
    assert stored is not None
    if find_tariff(db, stored) is not None and charges.find_standing_charge(
            db, asked.lot_id, asked.parking_session_id) is None:
        raise NotCharged
    if stored.owed_fen:
        ask_waiver(db, operator_id, waive.Asked(
            asked.settlement_id, asked.lot_id, asked.parking_session_id, None, asked.why), by=by, now=now)
