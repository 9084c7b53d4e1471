"""An arrears case follows its visit: paid, waived, charged anew, given to another vehicle, voided."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import Claim, Standing, follow
from parking.services.advance import NO_TERM, Deed, advance_case
from parking.store import arrears, parking_sessions
from parking.store.arrears import Case
from parking.store.parking_sessions import StoredSession


def track_visit(db: Session, lot_id: int, parking_session_id: UUID, *, now: datetime) -> None:
    """Bring the case of a visit, if it has one, to what the visit's row now says; its vehicle is held.

    Called wherever the money of a visit that is over, or was, has changed.
    """
    case = arrears.find_case_of_visit(db, lot_id, parking_session_id)
    if case is None:
        return
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    assert stored is not None
    case, stored = _replaced(db, case, stored)
    key, due_fen = stored.session.vehicle_key, max(0, stored.owed_fen - stored.paid.fen)
    step = follow(
        Claim(case.state, case.vehicle_key, case.amount_fen, case.claimed_fen),
        Standing(stored.session.state == "closed", key, due_fen, stored.paid.fen, stored.taken_off_fen))
    if step is None or (step == "reopened" and _is_decided(db, case, key)):
        return
    body = {"before_fen": case.amount_fen, **({"is_other_vehicle": True} if key != case.vehicle_key else {})}
    amount_fen = due_fen if stored.session.state == "closed" else 0
    if step == "changed":
        advance_case(db, case, Deed(step, body=body), now=now, amount_fen=amount_fen, vehicle_key=key)
        return
    claimed_fen = None if step in ("renewed", "reopened") else case.claimed_fen
    advance_case(db, case, Deed(step, body=body), now=now, term=NO_TERM, amount_fen=amount_fen, vehicle_key=key,
                 claimed_fen=claimed_fen)


def move_case(db: Session, lot_id: int, parking_session_id: UUID, *, to: UUID | None, now: datetime) -> None:
    """A voided visit's case, if it has one, goes to the visit that replaced it, which came later."""
    case = arrears.find_case_of_visit(db, lot_id, parking_session_id)
    if case is not None and to is not None and arrears.find_case_of_visit(db, lot_id, to) is None:
        arrears.move_case(db, case, to=to)
        track_visit(db, lot_id, to, now=now)


def _replaced(db: Session, case: Case, stored: StoredSession) -> tuple[Case, StoredSession]:
    """The case beside the visit that it is of now: what was decided of a voided one holds for its successor."""
    to = stored.replaced_by if stored.session.state == "voided" else None
    new = None if to is None else parking_sessions.find_session(db, case.lot_id, to)
    if to is None or new is None or arrears.find_case_of_visit(db, case.lot_id, to) is not None:
        return case, stored
    return arrears.move_case(db, case, to=to), new


def _is_decided(db: Session, case: Case, vehicle_key: bytes) -> bool:
    """It was decided for the driver of this vehicle: whatever becomes of the fee, nothing is asked for again."""
    return case.vehicle_key == vehicle_key and any(
        each.step in ("upheld", "lapsed") for each in arrears.list_events(db, case))
