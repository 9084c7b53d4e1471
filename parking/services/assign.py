"""A lot charges by another tariff from an instant on: one person proposes it, a second one approves it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.services.draft import DraftIdReused
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.publish import StartsInThePast
from parking.store import lots, tariff_drafts, tariffs
from parking.store.tariff_drafts import AssignmentProposal


class NoProposal(Exception):
    """There is no such proposal of this operator's."""


class NoLot(Exception):
    """The operator has no such lot."""


class TariffNotInForce(Exception):
    """The operator has no such tariff, or no version of it is in force when the lot would begin to charge by it."""


class ZoneDiffers(Exception):
    """The tariff tells time by other walls than the lot's."""


class PeriodTaken(Exception):
    """An assignment of this lot begins at this very instant already; it is not replaced."""


def propose_assignment(
    db: Session, *, proposal_id: UUID, operator_id: UUID, lot_id: int, code: str, assigned_from: datetime,
    assigned_to: datetime | None, note: str, by: UUID, now: datetime,
) -> AssignmentProposal:
    """Propose that a lot charges by a tariff in [assigned_from, assigned_to); the same again is the same.

    Visits that entered before keep the tariff of their entry.

    :raises DraftIdReused, StartsInThePast, NoLot, TariffNotInForce, ZoneDiffers, PeriodTaken:
    """
    found = tariff_drafts.find_proposal(db, operator_id, proposal_id)
    if found is not None:
        if (found.lot_id, found.code, found.assigned_from, found.assigned_to, found.note) != (
                lot_id, code, assigned_from, assigned_to, note):
            raise DraftIdReused
        return found
    if tariff_drafts.has_proposal(db, proposal_id):
        raise DraftIdReused
    tariff_id = _check(db, operator_id, lot_id, code, assigned_from, now)
    tariff_drafts.add_proposal(
        db, proposal_id=proposal_id, operator_id=operator_id, lot_id=lot_id, tariff_id=tariff_id, code=code,
        assigned_from=assigned_from, assigned_to=assigned_to, note=note, proposed_by=by, proposed_at=now)
    return _lock(db, operator_id, proposal_id)


def approve_assignment(
    db: Session, *, proposal_id: UUID, operator_id: UUID, by: UUID, now: datetime
) -> AssignmentProposal:
    """:raises NoProposal, AlreadyDecided, SecondPersonNeeded: and what propose_assignment raises"""
    found = _lock_proposed(db, operator_id, proposal_id, by)
    tariff_id = _check(db, operator_id, found.lot_id, found.code, found.assigned_from, now)
    tariffs.assign_tariff(
        db, lot_id=found.lot_id, tariff_id=tariff_id, assigned_from=found.assigned_from,
        assigned_to=found.assigned_to, operator_id=operator_id)
    tariff_drafts.decide_proposal(db, found, state="approved", by=by, why=None, now=now)
    return _lock(db, operator_id, proposal_id)


def reject_assignment(
    db: Session, *, proposal_id: UUID, operator_id: UUID, why: str, by: UUID, now: datetime
) -> AssignmentProposal:
    """:raises NoProposal, AlreadyDecided, SecondPersonNeeded:"""
    found = _lock_proposed(db, operator_id, proposal_id, by)
    tariff_drafts.decide_proposal(db, found, state="rejected", by=by, why=why, now=now)
    return _lock(db, operator_id, proposal_id)


def withdraw_assignment(
    db: Session, *, proposal_id: UUID, operator_id: UUID, by: UUID, now: datetime
) -> AssignmentProposal:
    """:raises NoProposal:
    :raises AlreadyDecided: it was approved or rejected
    """
    found = _lock(db, operator_id, proposal_id)
    if found.state == "withdrawn":
        return found
    if found.state != "proposed":
        raise AlreadyDecided(found.state)
    tariff_drafts.decide_proposal(db, found, state="withdrawn", by=by, why=None, now=now)
    return _lock(db, operator_id, proposal_id)


def _check(
    db: Session, operator_id: UUID, lot_id: int, code: str, assigned_from: datetime, now: datetime
) -> UUID:
    lot = lots.find_lot(db, lot_id)
    if lot is None or lot.operator_id != operator_id:
        raise NoLot
    if assigned_from < now:
        raise StartsInThePast
    owner = tariffs.find_owner(db, code)
    found = tariffs.find_tariff_by_code(db, code, at=assigned_from)
    if owner is None or owner[1] != operator_id or found is None:
        raise TariffNotInForce
    if found.tariff.time_zone != lot.time_zone:
        raise ZoneDiffers
    if tariffs.is_assigned(db, lot_id, assigned_from=assigned_from):
        raise PeriodTaken
    return found.tariff_id


def _lock_proposed(db: Session, operator_id: UUID, proposal_id: UUID, by: UUID) -> AssignmentProposal:
    found = _lock(db, operator_id, proposal_id)
    if found.state != "proposed":
        raise AlreadyDecided(found.state)
    if found.proposed_by == by:
        raise SecondPersonNeeded
    return found


def _lock(db: Session, operator_id: UUID, proposal_id: UUID) -> AssignmentProposal:
    found = tariff_drafts.lock_proposal(db, operator_id, proposal_id)
    if found is None:
        raise NoProposal
    return found
