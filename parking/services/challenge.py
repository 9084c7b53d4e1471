"""Gates ask a driver's phone to sign a number of theirs: the one defence against a code that is passed on live.

An operator has it done where something odd happened at a lot of its own, without learning whose code it
was; the city has it done by the driver's id. Each decision is kept, with who and why.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.store import anomalies, drivers, facts


class NoDriver(Exception):
    """Nobody knows a driver there."""


class DecidedByAnother(Exception):
    """It is not this operator's to end."""


def find_challenge(db: Session, operator_id: UUID, lot_id: int, anomaly_id: UUID) -> bool | None:
    """Whether the drivers behind an operator's anomaly are all challenged; None where no driver is known."""
    found = _find_drivers(db, operator_id, lot_id, anomaly_id)
    return all(drivers.is_challenged(db, each) for each in found) if found else None


def challenge_behind(
    db: Session, operator_id: UUID, lot_id: int, anomaly_id: UUID, *, is_challenged: bool, by: UUID, why: str,
    now: datetime,
) -> None:
    """Challenge the drivers behind an operator's anomaly, or no more; said again, it changes nothing.

    :raises NoDriver: there is no such anomaly of the operator's, or no driver is known behind it
    :raises DecidedByAnother: the city, or another operator, has the phone asked; they alone ask it no more
    """
    found = _find_drivers(db, operator_id, lot_id, anomaly_id)
    if not found:
        raise NoDriver
    if not is_challenged and any(
            drivers.is_challenged(db, each) and drivers.find_challenger(db, each) != operator_id for each in found):
        raise DecidedByAnother
    for driver_id in found:
        drivers.decide_challenge(
            db, driver_id, is_challenged=is_challenged, decision_id=new_uuid(now), operator_id=operator_id,
            staff_id=by, why=why, now=now)


def challenge_driver(db: Session, driver_id: UUID, *, is_challenged: bool, why: str, now: datetime) -> bool:
    """By the city's own hand; False where it was so already, or there is no such driver."""
    return drivers.decide_challenge(
        db, driver_id, is_challenged=is_challenged, decision_id=new_uuid(now), operator_id=None, staff_id=None,
        why=why, now=now)


def _find_drivers(db: Session, operator_id: UUID, lot_id: int, anomaly_id: UUID) -> list[UUID]:
    """Those who showed a code in the anomaly's facts at this lot."""
    found = anomalies.find_anomaly(db, lot_id, anomaly_id, operator_id=operator_id)
    if found is None:
        return []
    refs = {ref for where, ref in found.anomaly.facts if where == lot_id}
    return sorted({fact.driver_id for fact in facts.list_facts(db, lot_id, refs) if fact.driver_id is not None})
