"""What a gate is told about a scan, built field by field, with the vehicle's key for its plate."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.calendar import CannotPrice
from parking.core.clock import format_instant
from parking.core.decision import Decision
from parking.core.identifier import format_lot_id
from parking.core.line import why
from parking.core.money import format_yuan
from parking.core.next_step import NextStep, next_step
from parking.core.parking_session import ParkingSession
from parking.core.payment import Paid
from parking.core.plate import mask_plate
from parking.core.price import Line, Quote, Vehicle, price
from parking.core.reason import message
from parking.core.tariff import Tariff


def scan_answer(
    *, scan_id: UUID, next_sequence: int, decision: Decision, session: ParkingSession | None,
    fee: dict[str, Any] | None, lot_id: int, free_spaces: int, zone: ZoneInfo,
) -> dict[str, Any]:
    """The body of the answer; `plate` holds the vehicle's key until show_plate replaces it."""
    due = format_yuan(fee["due_fen"]) if fee else "0.00"
    return {
        "scan_id": str(scan_id),
        "next_sequence": next_sequence,
        "decision": "open" if decision.opens else "hold",
        "reason": decision.reason,
        "parking_session": None if session is None else session_data(session, zone),
        "fee": fee,
        "lot": {"id": lot_id, "free_spaces": free_spaces},
        "message": message(decision.reason, due_yuan=due),
    }


def session_data(session: ParkingSession, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": format_lot_id(session.lot_id, session.parking_session_id),
        "lot_id": session.lot_id,
        "plate": session.vehicle_key.hex(),
        "entered_at": format_instant(session.entered_at, zone),
        "left_at": format_instant(session.left_at, zone) if session.left_at else None,
        "state": session.state,
    }


def fee_data(
    quote: Quote, *, state: str, zone: ZoneInfo, paid_fen: int = 0, upcoming: NextStep | None = None
) -> dict[str, Any]:
    """A fee with its lines; what is due is never negative."""
    total = quote.total_fen
    return {
        "total_fen": total,
        "paid_fen": paid_fen,
        "due_fen": max(0, total - paid_fen),
        "state": state,
        "next": {"at": format_instant(upcoming.at, zone), "total_fen": upcoming.total_fen} if upcoming else None,
        "lines": [line_answer(line, zone) for line in quote.lines],
    }


def running_fee(
    tariff: Tariff, session: ParkingSession, paid: Paid, quote: Quote, *, now: datetime, vehicle: Vehicle,
    zone: ZoneInfo,
) -> dict[str, Any]:
    """The fee of a visit that goes on, priced at `now`, with when it grows next."""
    due = quote.total_fen > paid.fen
    state = "due" if due else "paid" if paid.fen else "nothing_due"
    upcoming = _next(tariff, session, paid, quote, now, vehicle) if session.state == "open" else None
    return fee_data(quote, state=state, paid_fen=paid.fen, zone=zone, upcoming=upcoming)


def _next(
    tariff: Tariff, session: ParkingSession, paid: Paid, quote: Quote, now: datetime, vehicle: Vehicle
) -> NextStep | None:
    """Within the exit allowance nothing grows; after it, the whole stay counts again."""
    context = session.pricing_context
    seen = session.bill_end(now)
    try:
        if paid.leave_by_at is not None and paid.lets_leave(now):
            seen = paid.leave_by_at
            after = price(
                tariff, entered_at=session.entered_at, left_at=seen, vehicle=vehicle, context=context).total_fen
            if after > quote.total_fen:
                return NextStep(seen, after)
        return next_step(tariff, entered_at=session.entered_at, now=seen, vehicle=vehicle, context=context)
    except CannotPrice:
        return None


def line_answer(line: Line, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "from": format_instant(line.from_at, zone), "to": format_instant(line.to_at, zone), "rule": line.rule,
        "units": line.units, "amount_fen": line.amount_fen, "why": why(line),
    }


def show_plate(answer: dict[str, Any], plates: dict[bytes, str]) -> dict[str, Any]:
    """The answer as it goes out: the key replaced by the masked plate, or None where none is known."""
    session = answer["parking_session"]
    if session is None:
        return answer
    plate = plates.get(bytes.fromhex(session["plate"]))
    return {**answer, "parking_session": {**session, "plate": mask_plate(plate) if plate else None}}


