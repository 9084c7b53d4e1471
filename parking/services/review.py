"""An operator looks at what is odd, and says what it came to."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.anomaly import RULES
from parking.core.clock import format_instant
from parking.core.fact import FactRef
from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.core.reason import in_all_languages
from parking.services.show import BadCursor
from parking.store import anomalies, lots, terminals
from parking.store.anomalies import FoundAnomaly
from parking.store.lots import Lot

PAGE_MAX = 100


def list_inbox(
    db: Session, operator_id: UUID, *, state: str = "open", rule: str | None = None, cursor: str | None = None,
    limit: int = 20,
) -> tuple[list[dict[str, Any]], str | None]:
    """An operator's anomalies, newest first, and the cursor of the next page. state: open, resolved or all.

    :raises BadCursor: not one of ours
    """
    limit = min(limit, PAGE_MAX)
    is_open = {"open": True, "resolved": False, "all": None}[state]
    found = anomalies.list_anomalies(
        db, operator_id, is_open=is_open, rule=rule, before=_read_cursor(cursor), limit=limit + 1)
    page = found[:limit]
    last = page[-1].anomaly if len(found) > limit else None
    return _shown(db, operator_id, page), format_lot_id(last.lot_id, last.anomaly_id) if last else None


def find_in_inbox(db: Session, operator_id: UUID, lot_id: int, anomaly_id: UUID) -> dict[str, Any] | None:
    """None where there is none, or it is another operator's."""
    found = anomalies.find_anomaly(db, lot_id, anomaly_id, operator_id=operator_id)
    return None if found is None else _shown(db, operator_id, [found])[0]


def resolve(
    db: Session, operator_id: UUID, lot_id: int, anomaly_id: UUID, *, by: UUID, note: str, now: datetime
) -> dict[str, Any] | None:
    """Say what an anomaly came to; what was said first stands. None as find_in_inbox."""
    anomalies.resolve_anomaly(db, lot_id, anomaly_id, operator_id=operator_id, by=by, note=note, now=now)
    return find_in_inbox(db, operator_id, lot_id, anomaly_id)


def _shown(db: Session, operator_id: UUID, found: list[FoundAnomaly]) -> list[dict[str, Any]]:
    places = {lot_id: lots.get_lot(db, lot_id) for lot_id in {
        where for each in found for where, _ in (*each.anomaly.facts, (each.anomaly.lot_id, None))}}
    own = {lot_id: lot for lot_id, lot in places.items() if lot.operator_id == operator_id}
    gates = {lot_id: terminals.list_gate_names(db, lot_id) for lot_id in own}
    return [_item(each, places[each.anomaly.lot_id], gates) for each in found]


def _item(found: FoundAnomaly, lot: Lot, gates: dict[int, dict[UUID, str]]) -> dict[str, Any]:
    anomaly = found.anomaly
    session_id = anomaly.parking_session_id
    return {
        "id": format_lot_id(anomaly.lot_id, anomaly.anomaly_id),
        "lot_id": anomaly.lot_id, "lot_name": in_all_languages(lot.name),
        "rule": anomaly.rule, "says": RULES[anomaly.rule],
        "gate": gates[anomaly.lot_id].get(anomaly.about.terminal_id),
        "occurred_at": format_instant(anomaly.occurred_at, lot.zone),
        "found_at": format_instant(found.found_at, lot.zone),
        "parking_session_id": format_lot_id(anomaly.lot_id, session_id) if session_id else None,
        "facts": [_fact(lot_id, ref, gates) for lot_id, ref in anomaly.facts],
        "detail": anomaly.detail,
        "resolved_at": format_instant(found.resolved_at, lot.zone) if found.resolved_at else None,
        "note": found.note,
    }


def _fact(lot_id: int, ref: FactRef, gates: dict[int, dict[UUID, str]]) -> dict[str, Any]:
    """A fact by its lot; by its terminal and number too where the lot is the reader's."""
    if lot_id not in gates:
        return {"lot_id": lot_id, "gate": None, "terminal_id": None, "sequence": None}
    return {"lot_id": lot_id, "gate": gates[lot_id].get(ref.terminal_id), "terminal_id": str(ref.terminal_id),
            "sequence": ref.sequence}


def _read_cursor(cursor: str | None) -> tuple[UUID, int] | None:
    if cursor is None:
        return None
    try:
        lot_id, anomaly_id = parse_lot_id(cursor)
    except BadIdentifier as wrong:
        raise BadCursor(str(wrong)) from None
    return anomaly_id, lot_id
