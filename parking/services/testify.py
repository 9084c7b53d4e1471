"""A driver says when they left a car park that did not see them leave, and hears what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.reason import in_all_languages
from parking.services.conclude import NotSuspended, OutsideEvidence
from parking.services.examine import claim_data, weigh_visit
from parking.services.owe import NoVisit, lock_visit
from parking.services.show import Viewer, find_visible
from parking.store import ghosts, lots, parking_sessions
from parking.store.ghosts import Claim, Settlement
from parking.store.parking_sessions import StoredSession

CLAIMS_MAX = 5


class ClaimIdReused(Exception):
    """The id names another claim."""


class TooManyClaims(Exception):
    """A driver says it five times at most."""


def claim_exit(
    db: Session, driver_id: UUID, lot_id: int, parking_session_id: UUID, *, claim_id: UUID, left_at: datetime,
    note: str, now: datetime,
) -> None:
    """Keep what the driver says, for the operator to look at; it changes nothing by itself.

    :raises NoVisit: not one that the driver may see
    :raises NotSuspended: it is not being checked
    :raises OutsideEvidence: before the entry, or in the future
    :raises ClaimIdReused, TooManyClaims:
    """
    if find_visible(db, Viewer(driver_id), lot_id, parking_session_id) is None:
        raise NoVisit
    stored, _ = lock_visit(db, lot_id, parking_session_id, now=now)
    claim = Claim(lot_id, claim_id, stored.operator_id, parking_session_id, driver_id, left_at, note, now)
    known = ghosts.find_claim(db, lot_id, claim_id)
    if known is not None:
        if (known.parking_session_id, known.driver_id, known.left_at, known.note) != (
                parking_session_id, driver_id, left_at, note):
            raise ClaimIdReused
        return
    if stored.session.state != "suspended":
        raise NotSuspended(stored.session.state)
    if not stored.session.entered_at <= left_at <= now:
        raise OutsideEvidence(stored.session.entered_at, now)
    mine = [each for each in ghosts.list_claims(db, lot_id, parking_session_id) if each.driver_id == driver_id]
    if len(mine) >= CLAIMS_MAX:
        raise TooManyClaims
    if not ghosts.add_claim(db, claim):
        raise ClaimIdReused


def recount_check(
    db: Session, driver_id: UUID, lot_id: int, parking_session_id: UUID, *, now: datetime
) -> dict[str, Any] | None:
    """What is known of a visit whose exit was missed, what the driver said of it and what came of it, newest first.

    None where it never was one, or is not the driver's to see and the driver said nothing of it.
    """
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    if stored is None:
        return None
    mine = [each for each in ghosts.list_claims(db, lot_id, parking_session_id) if each.driver_id == driver_id]
    is_visible = find_visible(db, Viewer(driver_id), lot_id, parking_session_id) is not None
    settlements = ghosts.list_settlements(db, lot_id, parking_session_id)
    if not mine and (not is_visible or not (settlements or stored.session.state == "suspended")):
        return None
    lot, evidence = lots.get_lot(db, lot_id), weigh_visit(db, stored)
    gone_by = evidence.gone_by
    outcome, left_at = _outcome(stored, settlements, is_visible=is_visible)
    return {
        "lot_name": in_all_languages(lot.name), "is_visible": is_visible, "outcome": outcome,
        "left_at": format_instant(left_at, lot.zone) if left_at else None,
        "entered_at": format_instant(stored.session.entered_at, lot.zone),
        "here_until": format_instant(evidence.here_until, lot.zone),
        "gone_by": format_instant(gone_by.occurred_at, lot.zone) if gone_by and is_visible else None,
        "flags": list(stored.session.flags) if is_visible else [],
        "claims": [{**_own(claim_data(each, lot, evidence, now)), "is_accepted": any(
            made.claim_id == each.claim_id for made in settlements)} for each in mine],
    }


def _own(claim: dict[str, Any]) -> dict[str, Any]:
    return {name: claim[name] for name in ("id", "left_at", "note", "claimed_at")}


def _outcome(
    stored: StoredSession, settlements: list[Settlement], *, is_visible: bool
) -> tuple[str, datetime | None]:
    """What became of it, and when it ended: being_checked, exit_found, or how the operator settled it."""
    session = stored.session
    if any(made.reading == "entry" for made in settlements) and (not is_visible or session.state == "voided"):
        return "other_vehicle", None
    if session.state == "suspended":
        return "being_checked", None
    if "exit_corrected" in session.flags and settlements:
        return ("waived" if settlements[-1].way == "waive" else "settled"), session.left_at
    return "exit_found" if session.state == "closed" else "reopened", session.left_at
