"""An operator takes something off what a visit was charged; what was paid of it goes back the way it came.

The sealed charge stays as it is: a waiver is an entry of its own, with its reason. Above the operator's limit,
which counts all that is taken off one visit, a second person decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.identifier import format_lot_id
from parking.services.attest import NotCharged
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.owe import NoVisit, lock_visit, word_for_money
from parking.services.refund import settle
from parking.services.track import track_visit
from parking.store import charges, lots, operators, parking_sessions, transfers, waivers, webhook_deliveries
from parking.store.parking_sessions import StoredSession
from parking.store.waivers import Waiver


class NoWaiver(Exception):
    """There is no such waiver, or it is another operator's."""


class WaiverIdReused(Exception):
    """The id names another waiver."""


class MoreThanCharged(Exception):
    """No more than `left_fen` is left of the charge."""

    def __init__(self, left_fen: int) -> None:
        super().__init__(f"{left_fen} fen are left of the charge")
        self.left_fen = left_fen


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be taken off which visit. amount_fen: None for all that is left of its charge."""

    waiver_id: UUID
    lot_id: int
    parking_session_id: UUID
    amount_fen: int | None
    why: str


def ask_waiver(db: Session, operator_id: UUID, asked: Asked, *, by: UUID, now: datetime) -> Waiver:
    """Take it off, or leave it for a second person; asked again with the same id, it is the same waiver.

    :raises NoVisit: not one of the operator's
    :raises NotCharged: the visit is not over, or was not charged
    :raises MoreThanCharged: more than is left of the charge
    :raises WaiverIdReused: the id names another waiver
    """
    stored = _lock(db, operator_id, asked.lot_id, asked.parking_session_id, now)
    known = waivers.find_waiver(db, operator_id, asked.lot_id, asked.waiver_id)
    if known is not None:
        said = known.parking_session_id, known.why, known.asked_by
        if said != (asked.parking_session_id, asked.why, by) or asked.amount_fen not in (None, known.amount_fen):
            raise WaiverIdReused
        return known
    amount_fen = stored.owed_fen if asked.amount_fen is None else asked.amount_fen
    _check(db, stored, amount_fen)
    limit_fen = operators.get_operator(db, operator_id).waiver_limit_fen
    waiver = Waiver(
        asked.lot_id, asked.waiver_id, operator_id, asked.parking_session_id, amount_fen, asked.why, "waiting", by, now,
        None, None, None)
    if stored.waived_fen + amount_fen <= limit_fen:
        waiver = replace(waiver, state="done", decided_by=by, decided_at=now)
    if not waivers.add_waiver(db, waiver):
        raise WaiverIdReused
    if waiver.state == "done":
        _take_off(db, waiver, stored, now)
    return waiver


def approve_waiver(db: Session, operator_id: UUID, lot_id: int, waiver_id: UUID, *, by: UUID, now: datetime) -> Waiver:
    """A second person agrees.

    :raises NoWaiver, AlreadyDecided, SecondPersonNeeded:
    :raises NotCharged, MoreThanCharged: the charge has changed since
    """
    waiver = _find_waiting(db, operator_id, lot_id, waiver_id, by)
    stored = _lock(db, operator_id, lot_id, waiver.parking_session_id, now)
    _decide(db, waiver, "done", by, None, now)
    _check(db, stored, waiver.amount_fen)
    _take_off(db, waiver, stored, now)
    return _find(db, operator_id, lot_id, waiver_id)


def reject_waiver(
    db: Session, operator_id: UUID, lot_id: int, waiver_id: UUID, *, why: str, by: UUID, now: datetime
) -> Waiver:
    """A second person does not agree, and says why.

    :raises NoWaiver, AlreadyDecided, SecondPersonNeeded:
    """
    waiver = _find_waiting(db, operator_id, lot_id, waiver_id, by)
    _decide(db, waiver, "rejected", by, why, now)
    return _find(db, operator_id, lot_id, waiver_id)


def _find_waiting(db: Session, operator_id: UUID, lot_id: int, waiver_id: UUID, by: UUID) -> Waiver:
    waiver = _find(db, operator_id, lot_id, waiver_id)
    if waiver.state != "waiting":
        raise AlreadyDecided(waiver.state)
    if waiver.asked_by == by:
        raise SecondPersonNeeded
    return waiver


def _find(db: Session, operator_id: UUID, lot_id: int, waiver_id: UUID) -> Waiver:
    found = waivers.find_waiver(db, operator_id, lot_id, waiver_id)
    if found is None:
        raise NoWaiver
    return found


def _decide(db: Session, waiver: Waiver, state: str, by: UUID, note: str | None, now: datetime) -> None:
    if not waivers.decide_waiver(db, waiver, state=state, by=by, note=note, now=now):
        raise AlreadyDecided("decided")


def _lock(db: Session, operator_id: UUID, lot_id: int, parking_session_id: UUID, now: datetime) -> StoredSession:
    """Hold the visit as scans and payments do."""
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    if stored is None or stored.operator_id != operator_id:
        raise NoVisit
    return lock_visit(db, lot_id, parking_session_id, now=now)[0]


def _check(db: Session, stored: StoredSession, amount_fen: int) -> None:
    session = stored.session
    if session.state != "closed" or charges.find_standing_charge(
        db, session.lot_id, session.parking_session_id
    ) is None:
        raise NotCharged
    if not 0 < amount_fen <= stored.owed_fen:
        raise MoreThanCharged(stored.owed_fen)


def _take_off(db: Session, waiver: Waiver, stored: StoredSession, now: datetime) -> None:
    lot_id, session_id = waiver.lot_id, waiver.parking_session_id
    webhook_deliveries.note_event(
        db, "waiver.done", lot_id=lot_id, operator_id=waiver.operator_id, subject=waiver.waiver_id, now=now,
        body={"parking_session_id": format_lot_id(lot_id, session_id),
              "waiver_id": format_lot_id(lot_id, waiver.waiver_id), "amount_fen": waiver.amount_fen})
    transfers.post(db, ledger.transfer(
        "waiver", debit=ledger.PAYABLE, credit=ledger.receivable(session_id), amount_fen=waiver.amount_fen,
        ref_id=waiver.waiver_id, now=now), lot_id=lot_id, operator_id=waiver.operator_id, now=now)
    waived_fen = stored.waived_fen + waiver.amount_fen
    parking_sessions.write_waived(
        db, lot_id, session_id, waived_fen,
        money_state=word_for_money(db, lots.get_lot(db, lot_id), stored, waived_fen=waived_fen))
    track_visit(db, lot_id, session_id, now=now)
    settle(db, lot_id, session_id, now=now)
