"""What a commit left to be done elsewhere is done, at least once: at other lots, and at channels."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.back_off import back_off
from parking.core.clock import parse_instant
from parking.core.fact import Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.price import Vehicle
from parking.services.bill import CHARGE_LATER, charge_now
from parking.services.deduct import send_deduction
from parking.services.defer import DEDUCT
from parking.services.fold import refold
from parking.services.follow import Desk, query_payment, query_top_up, send_refund, send_withdrawal
from parking.services.follow_agreement import FOLLOW, follow_agreement
from parking.services.invoice import ISSUE
from parking.services.owe import lock_visit
from parking.services.redden import correct_payment
from parking.services.refund import settle
from parking.services.retry import notice_dead
from parking.services.send_invoice import FETCH, fetch_invoice, issue_invoice
from parking.services.tell_stay import TELL_STAY, send_stay
from parking.services.unlock import KeySafe
from parking.store import (
    agreements,
    arrears,
    channel_messages,
    codes,
    companions,
    facts,
    logins,
    lots,
    outbox_messages,
    pairing_codes,
    terminals,
    vehicles,
)
from parking.store.database import Database, DatabaseUnavailable
from parking.store.invoice_claims import CORRECT
from parking.store.lots import Lot
from parking.store.outbox_messages import Message

LEASE = timedelta(seconds=30)
BACK_OFF_FIRST, BACK_OFF_MAX = timedelta(seconds=1), timedelta(minutes=5)
# An outside party may be away for a night: a message dies of a whole day of failing, and of more than a try or two.
DEAD_AFTER, DEAD_AFTER_FAILURES = timedelta(hours=24), 12
CODES_KEPT = timedelta(days=8)
ARREARS_WORDS_KEPT = timedelta(days=3 * 365)
MESSAGES_KEPT = timedelta(days=400)
CHANNEL_MESSAGES_KEPT = timedelta(days=90)
LOGINS_KEPT = timedelta(days=30)
PAIRING_CODES_KEPT = timedelta(days=30)
BATCH = 50
CALLS_AT_ONCE = 8


def relay_due(desk: Desk, *, now: datetime) -> int:
    """Deliver the messages that are due; returns how many were.

    A message is leased first, and done in the transaction of its effect: a worker that dies in
    between leaves the lease to run out, and the next one finds either all or nothing done. Those
    that call an outside party do so side by side, so that a slow one holds only itself up.
    """
    with desk.database.reading() as db:
        due = outbox_messages.list_due(db, now=now, limit=BATCH)
    outside = [each for each in due if each.kind in _OUTSIDE]
    delivered = sum(_relay(desk, each, now) for each in due if each.kind not in _OUTSIDE)
    if outside:
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            delivered += sum(pool.map(lambda each: _relay(desk, each, now), outside))
    return delivered


def _relay(desk: Desk, message: Message, now: datetime) -> int:
    database = desk.database
    if not database.write(lambda db: _lease(db, message, now)):
        return 0
    try:
        if message.kind in _OUTSIDE:
            again = _OUTSIDE[message.kind](desk, message, now=now)
            database.write(lambda db: _finish(db, message, again, now))
        else:
            database.write(lambda db: _deliver(db, message, desk.safe, now))
    except DatabaseUnavailable:
        raise
    except Exception as error:
        name = type(error).__name__
        database.write(lambda db: _fail(db, message, name, now))
        return 0
    return 1


def sweep(database: Database, *, now: datetime) -> int:
    """Forget what nobody can ask for any more: issued codes, delivered messages, ended logins."""
    return (
        database.write(lambda db: codes.delete_issued_codes(db, expired_before=now - CODES_KEPT))
        + database.write(lambda db: outbox_messages.delete_done(db, before=now - MESSAGES_KEPT))
        + _sweep_channel_messages(database, before=now - CHANNEL_MESSAGES_KEPT)
        + database.write(lambda db: agreements.delete_stays(db, ended_before=now - MESSAGES_KEPT))
        + database.write(lambda db: pairing_codes.delete_pairing_codes(db, expired_before=now - PAIRING_CODES_KEPT))
        + database.write(lambda db: companions.delete_ended(db, before=now - PAIRING_CODES_KEPT))
        + database.write(lambda db: arrears.delete_old_words(db, closed_before=now - ARREARS_WORDS_KEPT))
        + database.write(lambda db: logins.delete_logins(db, expired_before=now - LOGINS_KEPT))
    )


def _sweep_channel_messages(database: Database, *, before: datetime, at_once: int = 500) -> int:
    count = 0
    while part := database.write(lambda db: channel_messages.delete_old(db, before=before, limit=at_once)):
        count += part
        database.give_way()
    return count


def _lease(db: Session, message: Message, now: datetime) -> bool:
    return outbox_messages.lease_message(db, message, now=now, until=now + LEASE)


def _fail(db: Session, message: Message, error: str, now: datetime) -> None:
    """Try again later, or no more: then it is a dead letter, and its operator is told."""
    failures, since = message.failures + 1, message.failing_since or now
    if failures >= DEAD_AFTER_FAILURES and now - since >= DEAD_AFTER:
        outbox_messages.bury_message(db, message, error=error, now=now)
        notice_dead(db, message, error=error, now=now)
        return
    wait = back_off(failures, first=BACK_OFF_FIRST, longest=BACK_OFF_MAX, whim=random.random())  # noqa: S311
    outbox_messages.fail_message(db, message, error=error, due_at=now + wait, now=now)


def _finish(db: Session, message: Message, again: datetime | None, now: datetime) -> None:
    if again is None:
        outbox_messages.finish_message(db, message, now=now)
    else:
        outbox_messages.postpone_message(db, message, due_at=again)


def _deliver(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    _INSIDE[message.kind](db, message, safe, now)
    outbox_messages.finish_message(db, message, now=now)


def _charge(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    """Where the calendar of another of its years is missing, it leaves a new message."""
    stored, vehicle = lock_visit(db, message.lot_id, UUID(message.body["parking_session_id"]), now=now)
    charge_now(db, lots.get_lot(db, message.lot_id), stored, vehicle, safe=safe, now=now)


def _settle(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    settle(db, message.lot_id, UUID(message.body["parking_session_id"]), now=now)


def _correct_invoice(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    correct_payment(db, message.lot_id, UUID(message.body["payment_id"]), now=now)


def _issue_invoice(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    return issue_invoice(desk.database, desk.invoicing, message, now=now)


def _fetch_invoice(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    return fetch_invoice(desk.database, desk.invoicing, message, now=now)


def _record_sighting(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    """Write through the lot's service terminal that the vehicle entered elsewhere, and fold anew.

    Not where that turned out otherwise on the way here, nor where it stands already.
    """
    lot, vehicle_key, seen_at = _sighting(db, message)
    vehicle = vehicles.lock_vehicle(db, vehicle_key, plate_sealed=None, now=now)
    if not vehicles.has_entered_elsewhere(db, vehicle_key, seen_at, than=lot.lot_id):
        return
    if facts.list_sightings(db, lot.lot_id, vehicle_key, at=seen_at):
        return
    if not facts.has_cause(db, lot.lot_id, message.message_id):
        ref = _next_of_service(db, lot.lot_id)
        fact = Fact(ref, "seen_elsewhere", seen_at, vehicle_key=vehicle_key)
        _say(db, lot, fact, vehicle_key, message.message_id, vehicle, safe, now)


def _take_sighting_back(db: Session, message: Message, safe: KeySafe, now: datetime) -> None:
    """Undo what was written of an entry elsewhere that did not happen."""
    lot, vehicle_key, seen_at = _sighting(db, message)
    vehicle = vehicles.lock_vehicle(db, vehicle_key, plate_sealed=None, now=now)
    if vehicles.has_entered_elsewhere(db, vehicle_key, seen_at, than=lot.lot_id):
        return
    for ref in facts.list_sightings(db, lot.lot_id, vehicle_key, at=seen_at):
        fact = Fact(_next_of_service(db, lot.lot_id), "undo", seen_at, corrects=ref)
        cause_id = derived_uuid(seen_at, "undo", ref.terminal_id, ref.sequence)
        _say(db, lot, fact, vehicle_key, cause_id, vehicle, safe, now)


def _sighting(db: Session, message: Message) -> tuple[Lot, bytes, datetime]:
    body = message.body
    return lots.get_lot(db, int(body["lot_id"])), bytes.fromhex(body["vehicle_key"]), parse_instant(body["seen_at"])


def _next_of_service(db: Session, lot_id: int) -> FactRef:
    service_id = terminals.get_service_terminal_id(db, lot_id)
    return FactRef(service_id, terminals.lock_last_sequence(db, lot_id, service_id) + 1)


def _say(
    db: Session, lot: Lot, fact: Fact, vehicle_key: bytes, cause_id: UUID, vehicle: Vehicle, safe: KeySafe,
    now: datetime,
) -> None:
    """Write a fact through the lot's service terminal, once for its cause, and fold the vehicle anew."""
    at = fact.occurred_at
    facts.add_fact(
        db, fact, lot_id=lot.lot_id, operator_id=lot.operator_id, said_at=at, received_at=now, cause_id=cause_id)
    terminals.count_fact(
        db, lot.lot_id, fact.ref.terminal_id, last_sequence=fact.ref.sequence, seen_at=now)
    refold(
        db, lot=lot, since={vehicle_key: at}, held={vehicle_key: vehicle}, safe=safe, now=now,
        landed=[fact.ref] if fact.corrects is None else [])


_INSIDE: dict[str, Callable[[Session, Message, KeySafe, datetime], None]] = {
    "seen_elsewhere": _record_sighting, "not_seen_elsewhere": _take_sighting_back, "settle": _settle,
    CHARGE_LATER: _charge, CORRECT: _correct_invoice,
}
_OUTSIDE: dict[str, Callable[..., datetime | None]] = {
    "query_payment": query_payment, "send_refund": send_refund, "query_topup": query_top_up,
    "send_withdrawal": send_withdrawal,
    DEDUCT: send_deduction, TELL_STAY: send_stay, FOLLOW: follow_agreement,
    ISSUE: _issue_invoice, FETCH: _fetch_invoice,
}
