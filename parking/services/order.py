"""An operator has a barrier opened from afar: once, soon or never, and for the car that stood before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.fact import Fact, FactRef
from parking.core.identifier import new_uuid
from parking.core.reason import REASONS, Words, message
from parking.store import facts, lane_orders, lots, terminals
from parking.store.facts import NewestFact
from parking.store.lane_orders import LaneOrder
from parking.store.lots import Lot
from parking.store.terminals import TerminalAtGate, TerminalReport

LIVES = timedelta(seconds=20)
HELD_FOR = timedelta(minutes=10)  # how long a car may have stood there
HELD_MAX = 5
LOOKED_AT_MAX = 100  # of a terminal's newest facts


class NoTerminal(Exception):
    """There is no such terminal, it is another operator's, or it was revoked."""


class NotHeld(Exception):
    """No barrier stayed shut on that scan in the last minutes, or it has opened since."""


class OrderStands(Exception):
    """An order to open this barrier is under way."""


@dataclass(frozen=True, slots=True)
class Held:
    """A scan at which the barrier stayed shut. at: an instant of the API, by the lot's walls; says: why it did."""

    sequence: int
    at: str
    says: Words | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A terminal of a lot with who may be standing before its barrier, newest first."""

    lot: Lot
    terminal: TerminalReport
    held: list[Held]


def find_waiting(db: Session, operator_id: UUID, terminal_id: UUID, *, now: datetime) -> Waiting:
    """Who may be standing before a barrier.

    :raises NoTerminal: not one of this operator's
    """
    terminal = _find_terminal(db, operator_id, terminal_id)
    lot = lots.get_lot(db, terminal.lot_id)
    return Waiting(lot, terminal, [
        Held(each.sequence, format_instant(each.occurred_at, lot.zone), _words(each.reason))
        for each in _list_held(db, terminal, now)])


def order_opening(
    db: Session, operator_id: UUID, terminal_id: UUID, *, of: int | None, why: str, by: UUID, now: datetime
) -> LaneOrder:
    """Have a terminal open its barrier within twenty seconds; said by the lot's service terminal as a fact.

    :param of: the scan at which it stayed shut, so that the visit goes on as if it had opened
    :raises NoTerminal: not one of this operator's
    :raises NotHeld: the barrier did not stay shut on that scan in the last ten minutes, or has opened since
    :raises OrderStands: an order of this terminal stands, and it has not told yet that it opened
    """
    terminal = _find_terminal(db, operator_id, terminal_id)
    lot_id = terminal.lot_id
    last = terminals.lock_last_sequence(db, lot_id, terminal_id)
    if any(_opened_at(db, each) is None for each in lane_orders.list_standing(db, lot_id, terminal_id, now=now)):
        raise OrderStands
    if of is not None and of not in {each.sequence for each in _list_held(db, terminal, now)}:
        raise NotHeld
    made = LaneOrder(lot_id, new_uuid(now), terminal_id, operator_id, of, last, by, why, now, now + LIVES)
    lane_orders.add_order(db, made)
    service_id = terminals.get_service_terminal_id(db, lot_id)
    sequence = terminals.lock_last_sequence(db, lot_id, service_id) + 1
    facts.add_fact(
        db, Fact(FactRef(service_id, sequence), "remote_lift", now), lot_id=lot_id, operator_id=operator_id,
        said_at=now, received_at=now, body={"order": str(made.order_id), "terminal": str(terminal_id)})
    terminals.count_fact(db, lot_id, service_id, last_sequence=sequence, seen_at=now)
    return made


def find_opened(db: Session, order: LaneOrder) -> str | None:
    """When the terminal carried an order out, by the lot's walls, as far as it has told."""
    at = _opened_at(db, order)
    return None if at is None else format_instant(at, lots.get_lot(db, order.lot_id).zone)


def list_orders(db: Session, terminal: TerminalAtGate, *, now: datetime) -> list[dict[str, Any]]:
    """What a terminal is told to do, as it goes on the wire; it carries out each once."""
    return [
        {
            "id": str(each.order_id), "command": "open", "of": each.of_sequence, "by": str(each.ordered_by),
            "why": each.why, "expires_at": format_instant(each.expires_at, terminal.lot.zone),
        }
        for each in lane_orders.list_standing(db, terminal.lot.lot_id, terminal.terminal_id, now=now)]


def _opened_at(db: Session, order: LaneOrder) -> datetime | None:
    return facts.find_carried_out(db, order.lot_id, order.terminal_id, order.order_id, after=order.after_sequence)


def _list_held(db: Session, terminal: TerminalReport, now: datetime) -> list[NewestFact]:
    """The scans at which the barrier stayed shut since it opened last: who stood there before has gone."""
    held: list[NewestFact] = []
    for each in facts.list_newest(db, terminal.lot_id, terminal.terminal_id, limit=LOOKED_AT_MAX):
        if each.opened or each.kind in ("manual_lift", "barrier", "passage") or len(held) == HELD_MAX:
            break
        if each.kind == "scan" and each.occurred_at > now - HELD_FOR:
            held.append(each)
    return held


def _find_terminal(db: Session, operator_id: UUID, terminal_id: UUID) -> TerminalReport:
    found = terminals.find_report(db, operator_id, terminal_id)
    if found is None or found.revoked_at is not None:
        raise NoTerminal
    return found


def _words(reason: str | None) -> Words | None:
    """Without an amount: what was due then may not be due now."""
    return message(reason, due_yuan="…") if reason in REASONS else None
