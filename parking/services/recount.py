"""What happened around a visit, as its operator may read it: facts, answers and refusals, charges, money."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.reason import REASONS, Words
from parking.store import charges, decisions, facts, lots, parking_sessions, payments, refunds, terminals
from parking.store.facts import TOLD_MAX, ToldFact
from parking.store.parking_sessions import StoredSession

BEFORE_ENTRY = timedelta(minutes=10)  # refusals on the way in belong to the visit too
LATE = timedelta(seconds=90)


def recount_visit(db: Session, lot_id: int, parking_session_id: UUID) -> list[dict[str, Any]]:
    """The story of a visit, oldest first; each with `at`, `what`, and None where it has no gate, words or amount.

    what: a fact's kind (core/fact.py), charge, credit, a payment's state, or refund; left_out where there was
    too much. says: what the gate was told. told_at: when a fact came, if it came late.
    """
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    assert stored is not None
    zone = lots.get_lot(db, lot_id).zone
    told = _facts(db, stored)
    story = [*told, *_money(db, lot_id, parking_session_id)]
    if len(told) >= TOLD_MAX:
        story.append((stored.session.entered_at - BEFORE_ENTRY, {"what": "left_out"}))
    return [
        {"at": format_instant(at, zone), "gate": None, "opens": None, "says": None, "fen": None, **told,
         "told_at": format_instant(told["told_at"], zone) if told.get("told_at") else None}
        for at, told in sorted(story, key=lambda each: each[0])
    ]


def _facts(db: Session, stored: StoredSession) -> list[tuple[datetime, dict[str, Any]]]:
    session = stored.session
    answers = {
        (each.terminal_id, each.sequence): each
        for each in decisions.list_decisions_of_session(db, session.lot_id, session.parking_session_id)
    }
    gates = terminals.list_gate_names(db, session.lot_id)
    told = facts.list_told(
        db, session.lot_id, session.vehicle_key, since=session.entered_at - BEFORE_ENTRY, until=session.left_at,
        also=[*answers, *_ends(stored)])
    story: list[tuple[datetime, dict[str, Any]]] = []
    for fact in told:
        answer = answers.pop((fact.terminal_id, fact.sequence), None)
        if fact.ordered_at < session.entered_at and fact.opened and answer is None and (
            (fact.terminal_id, fact.sequence) not in _ends(stored)
        ):
            continue  # of the visit before
        says = answer.answer["message"] if answer else _words(fact)
        story.append((fact.ordered_at, {
            "what": fact.kind, "gate": gates.get(fact.terminal_id), "says": says,
            "opens": fact.opened if fact.kind == "scan" else None,
            "told_at": fact.received_at if fact.received_at - fact.occurred_at > LATE else None,
        }))
    return story


def _ends(stored: StoredSession) -> list[tuple[UUID, int]]:
    session = stored.session
    return [(each.terminal_id, each.sequence) for each in (session.opened_by, session.closed_by) if each]


def _words(fact: ToldFact) -> Words | None:
    reason = REASONS.get(fact.reason or "")
    if reason is None or "{" in reason.says["en"]:
        return None  # with an amount that only the answer knew
    return reason.says


def _money(db: Session, lot_id: int, parking_session_id: UUID) -> list[tuple[datetime, dict[str, Any]]]:
    story: list[tuple[datetime, dict[str, Any]]] = [
        (at, {"what": kind, "fen": fen})
        for at, kind, fen in charges.list_charges_of_session(db, lot_id, parking_session_id)
    ]
    for payment in payments.list_payments_of_session(db, lot_id, parking_session_id):
        story.append((payment.paid_at or payment.quoted_at, {"what": payment.state, "fen": payment.amount_fen}))
        for refund in refunds.list_refunds_of_payment(db, lot_id, payment.payment_id):
            story.append((refund.asked_at, {"what": "refund", "fen": refund.amount_fen}))
    return story
