"""A visit whose exit was missed, with everything that shows when the vehicle may have left."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.calendar import CannotPrice
from parking.core.clock import format_instant
from parking.core.evidence import Evidence, weigh
from parking.core.fact import FactRef
from parking.core.identifier import format_lot_id
from parking.core.payment import price_stay
from parking.core.reason import REASONS, in_all_languages
from parking.core.secret import Secrets
from parking.services.owe import find_tariff
from parking.services.show import open_plates, read_cursor, session_row, write_cursor
from parking.store import facts, ghosts, lots, parking_sessions, terminals, vehicles
from parking.store.facts import ToldFact
from parking.store.ghosts import Claim, Settlement
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.vehicles import Visit

PAGE_MAX = 20
LATER_MAX = 5  # what the vehicle did afterwards, as far as anybody needs it
BEFORE_ENTRY = timedelta(minutes=10)


def list_ghosts(
    db: Session, operator_id: UUID, *, secrets: Secrets, now: datetime, cursor: str | None = None, limit: int = 10,
    lot_id: int | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """An operator's visits that are being checked, oldest first, and the cursor of the next page.

    :raises BadCursor: not one of ours
    """
    limit = min(limit, PAGE_MAX)
    after = None if cursor is None else read_cursor(cursor)
    page = parking_sessions.list_suspended(db, operator_id, after=after, limit=limit + 1, lot_id=lot_id)
    shown = [_ghost(db, each, secrets=secrets, now=now) for each in page[:limit]]
    last = page[limit - 1].session if len(page) > limit else None
    return shown, write_cursor(last.entered_at, last.parking_session_id) if last else None


def find_ghost(
    db: Session, operator_id: UUID, lot_id: int, parking_session_id: UUID, *, secrets: Secrets, now: datetime
) -> dict[str, Any] | None:
    """One of them, also once it was settled; None where it is neither, or another operator's."""
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    if stored is None or stored.operator_id != operator_id:
        return None
    if stored.session.state != "suspended" and not ghosts.list_settlements(db, lot_id, parking_session_id):
        return None
    return _ghost(db, stored, secrets=secrets, now=now)


def weigh_visit(db: Session, stored: StoredSession) -> Evidence:
    session = stored.session
    return weigh(facts.list_facts_of_vehicle(
        db, session.lot_id, session.vehicle_key, since=session.entered_at - BEFORE_ENTRY),
        session.entered_at, session.opened_by)


def find_next_entry(db: Session, stored: StoredSession, evidence: Evidence) -> tuple[Lot, FactRef] | None:
    """The entry, here or elsewhere, that shows the vehicle was here no more: its lot and its fact. Whoever's lot."""
    session, gone_by = stored.session, evidence.gone_by
    if gone_by is None:
        return None
    if gone_by.kind == "scan":
        return lots.get_lot(db, session.lot_id), gone_by.ref
    for visit in vehicles.list_entries_after(db, session.vehicle_key, session.entered_at, limit=LATER_MAX):
        if visit.entered_at == gone_by.occurred_at and visit.lot_id != session.lot_id:
            found = parking_sessions.find_session(db, visit.lot_id, visit.parking_session_id)
            assert found is not None
            return lots.get_lot(db, visit.lot_id), found.session.opened_by
    return None


def _ghost(db: Session, stored: StoredSession, *, secrets: Secrets, now: datetime) -> dict[str, Any]:
    session = stored.session
    lot = lots.get_lot(db, session.lot_id)
    evidence = weigh_visit(db, stored)
    gone_by = evidence.gone_by
    following = find_next_entry(db, stored, evidence)
    claims = ghosts.list_claims(db, session.lot_id, session.parking_session_id)
    settlements = ghosts.list_settlements(db, session.lot_id, session.parking_session_id)
    return {
        **session_row(stored, lot, open_plates(db, secrets, [stored])),
        "paid_fen": stored.paid.fen,
        "inside_minutes": (now - session.entered_at) // timedelta(minutes=1),
        "here_until": format_instant(evidence.here_until, lot.zone),
        "gone_by": format_instant(gone_by.occurred_at, lot.zone) if gone_by else None,
        "fee_here_fen": _fee(db, stored, evidence.here_until),
        "fee_gone_fen": _fee(db, stored, gone_by.occurred_at) if gone_by else None,
        "is_next_ours": following is not None and following[0].operator_id == stored.operator_id,
        "here": _told_here(db, stored, lot, evidence),
        "later": _told_later(db, stored, evidence, lot),
        "claims": [claim_data(each, lot, evidence, now) for each in claims],
        "settlements": [settlement_data(each, lot) for each in settlements],
    }


def claim_data(claim: Claim, lot: Lot, evidence: Evidence, now: datetime) -> dict[str, Any]:
    """fits: nothing that was seen speaks against it."""
    return {
        "id": str(claim.claim_id), "left_at": format_instant(claim.left_at, lot.zone), "note": claim.note,
        "claimed_at": format_instant(claim.claimed_at, lot.zone), "fits": evidence.allows(claim.left_at, now),
    }


def settlement_data(made: Settlement, lot: Lot) -> dict[str, Any]:
    return {
        "id": str(made.settlement_id), "parking_session_id": format_lot_id(made.lot_id, made.parking_session_id),
        "way": made.way, "left_at": format_instant(made.left_at, lot.zone) if made.left_at else None,
        "reading": made.reading, "claim_id": str(made.claim_id) if made.claim_id else None, "why": made.why,
        "settled_by": str(made.settled_by), "settled_at": format_instant(made.settled_at, lot.zone),
    }


def _fee(db: Session, stored: StoredSession, left_at: datetime) -> int | None:
    """What the visit would have cost, had it ended then; None where nothing can be priced."""
    session, tariff = stored.session, find_tariff(db, stored)
    if tariff is None:
        return None
    try:
        return price_stay(
            tariff.tariff, entered_at=session.entered_at, left_at=left_at, paid=stored.paid,
            vehicle=vehicles.get_vehicle(db, session.vehicle_key), context=session.pricing_context).total_fen
    except CannotPrice:
        return None


def _told_here(db: Session, stored: StoredSession, lot: Lot, evidence: Evidence) -> list[dict[str, Any]]:
    """What was told of the vehicle at the lot while it may have been there, its entry first."""
    session, gone_by = stored.session, evidence.gone_by
    opened_by = (session.opened_by.terminal_id, session.opened_by.sequence)
    told = facts.list_told(
        db, lot.lot_id, session.vehicle_key, since=session.entered_at, also=[opened_by],
        until=gone_by.occurred_at if gone_by else None)
    gates = terminals.list_gate_names(db, lot.lot_id)
    ends = {(gone_by.ref.terminal_id, gone_by.ref.sequence)} if gone_by else set()
    own = [each for each in told if (each.terminal_id, each.sequence) not in ends]
    return [_told(each, lot, gates, _picture(db, lot.lot_id, FactRef(each.terminal_id, each.sequence)))
            for each in own]


def _picture(db: Session, lot_id: int, ref: FactRef) -> str | None:
    """The SHA-256, in hex, of the picture that an attendant took who lifted the barrier for this scan."""
    for fact in facts.list_corrections(db, lot_id, [ref]):
        told = facts.find_fact_body(db, lot_id, fact.ref) if fact.kind == "manual_lift" else None
        if told is not None and told[1].get("picture"):
            return str(told[1]["picture"])
    return None


def _told(fact: ToldFact, lot: Lot, gates: dict[UUID, str], picture: str | None) -> dict[str, Any]:
    reason = REASONS.get(fact.reason or "")
    says = reason.says if reason is not None and "{" not in reason.says["en"] else None
    return {
        "at": format_instant(fact.occurred_at, lot.zone), "what": fact.kind, "gate": gates.get(fact.terminal_id),
        "direction": fact.direction, "opens": fact.opened if fact.kind == "scan" else None, "says": says,
        "picture": picture, **_read_by(fact.body),
    }


def _read_by(body: Any) -> dict[str, Any]:
    """How the vehicle was known at a gate. plate_confidence: the camera's; None: a person read it, or nobody."""
    body = body if isinstance(body, dict) else {}
    return {"has_code": bool(body.get("has_code")), "has_plate": bool(body.get("has_plate")),
            "plate_confidence": float(body["plate_confidence"]) if body.get("plate_confidence") else None}


def _told_later(db: Session, stored: StoredSession, evidence: Evidence, lot: Lot) -> list[dict[str, Any]]:
    """Where the vehicle came in afterwards: at the operator's lots with what is known of it, elsewhere only when."""
    session, gone_by = stored.session, evidence.gone_by
    found = []
    for visit in vehicles.list_entries_after(db, session.vehicle_key, session.entered_at, limit=LATER_MAX):
        place = lots.get_lot(db, visit.lot_id)
        if place.operator_id == stored.operator_id:
            found.append(_entry(db, visit, place))
        elif gone_by is not None and gone_by.kind == "seen_elsewhere" and gone_by.occurred_at == visit.entered_at:
            found.append(_elsewhere(visit.entered_at, lot))
    if gone_by is not None and gone_by.kind == "seen_elsewhere" and not any(
            each["at"] == format_instant(gone_by.occurred_at, lot.zone) for each in found):
        found.append(_elsewhere(gone_by.occurred_at, lot))
    return sorted(found, key=lambda each: datetime.fromisoformat(each["at"]))


def _entry(db: Session, visit: Visit, place: Lot) -> dict[str, Any]:
    stored = parking_sessions.find_session(db, visit.lot_id, visit.parking_session_id)
    assert stored is not None
    opened_by = stored.session.opened_by
    told = facts.find_fact_body(db, visit.lot_id, opened_by)
    return {
        "at": format_instant(visit.entered_at, place.zone), "lot_id": place.lot_id,
        "lot_name": in_all_languages(place.name), "state": stored.session.state,
        "gate": terminals.list_gate_names(db, place.lot_id).get(opened_by.terminal_id),
        "parking_session_id": format_lot_id(visit.lot_id, visit.parking_session_id),
        **_read_by(told[1] if told else None),
    }


def _elsewhere(at: datetime, lot: Lot) -> dict[str, Any]:
    return {"at": format_instant(at, lot.zone), "lot_id": None, "lot_name": None, "state": None, "gate": None,
            "parking_session_id": None, **_read_by(None)}
