"""Integrators are told what happened, at least once, in the order it happened in as far as they take it.

Each call happens between transactions: a message is leased, sent, and what became of it written down. A message that
is not taken comes again later; behind an endpoint that takes none, all wait.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.anomaly import make_anomaly
from parking.core.back_off import back_off
from parking.core.fact import FactRef
from parking.core.identifier import format_lot_id
from parking.core.seal import Sealer
from parking.core.webhook import Posted, Poster, sign_headers, write_body
from parking.services.subscribe import SECRET_PURPOSE
from parking.store import anomalies, terminals, webhook_deliveries, webhook_endpoints
from parking.store.database import Database
from parking.store.webhook_deliveries import Delivery
from parking.store.webhook_endpoints import Endpoint

LEASE = timedelta(minutes=1)
BACK_OFF_FIRST, BACK_OFF_MAX = timedelta(seconds=5), timedelta(hours=4)
GIVEN_UP_AFTER, GIVEN_UP_AFTER_FAILURES = timedelta(days=3), 12
# An endpoint that takes nothing is not asked for each of a thousand messages.
PAUSED_AFTER_FAILURES = 5
PAUSE_FIRST, PAUSE_MAX = timedelta(seconds=1), timedelta(minutes=5)
KEPT = timedelta(days=30)
GONE = 410


@dataclass(frozen=True)
class WebhookDesk:
    """What delivering needs. public_url: where the API is, for the links that messages hold."""

    database: Database
    sealer: Sealer
    poster: Poster
    public_url: str


def list_due(desk: WebhookDesk, *, now: datetime) -> list[UUID]:
    """The endpoints that something is to be sent to now."""
    with desk.database.reading() as db:
        return webhook_deliveries.list_due_endpoints(db, now=now)


def deliver_next(desk: WebhookDesk, endpoint_id: UUID, *, now: datetime) -> bool:
    """Send an endpoint the message that is due first; False where there is none, or it was not taken."""
    found = desk.database.write(lambda db: _lease(db, endpoint_id, now))
    if found is None:
        return False
    endpoint, message = found
    body = write_body(message.kind, _data(desk, message), occurred_at=message.occurred_at)
    headers = sign_headers(
        _secrets(desk.sealer, endpoint, now), message_id=str(message.event_id), body=body, now=now)
    posted = desk.poster.post(endpoint.url, headers, body)
    desk.database.write(lambda db: _note(db, endpoint_id, message, posted, now))
    return posted.is_taken


def sweep_deliveries(database: Database, *, now: datetime, at_once: int = 500) -> int:
    """Forget what is older than 30 days, a part at a time; returns how many messages."""
    count = 0
    while part := database.write(
        lambda db: webhook_deliveries.delete_old(db, before=now - KEPT, limit=at_once)
    ):
        count += part
        database.give_way()
    return count


def _lease(db: Session, endpoint_id: UUID, now: datetime) -> tuple[Endpoint, Delivery] | None:
    endpoint = webhook_endpoints.find_enabled(db, endpoint_id)
    if endpoint is None or (endpoint.paused_until is not None and now < endpoint.paused_until):
        return None
    message = webhook_deliveries.lease_next(db, endpoint_id, now=now, until=now + LEASE)
    return (endpoint, message) if message is not None else None


def _data(desk: WebhookDesk, message: Delivery) -> dict[str, Any]:
    """Ids and fen as they were noted, and where more is to be had."""
    data = {"lot_id": message.lot_id, **message.body}
    if "parking_session_id" in data:
        data["url"] = f"{desk.public_url}/v1/parking-sessions/{data['parking_session_id']}"
    return data


def _secrets(sealer: Sealer, endpoint: Endpoint, now: datetime) -> list[bytes]:
    sealed = [endpoint.secret_sealed]
    if endpoint.old_secret_sealed is not None and endpoint.old_secret_until is not None and (
        now < endpoint.old_secret_until
    ):
        sealed.append(endpoint.old_secret_sealed)
    return [sealer.open(each, purpose=SECRET_PURPOSE, row=endpoint.endpoint_id.bytes) for each in sealed]


def _note(db: Session, endpoint_id: UUID, message: Delivery, posted: Posted, now: datetime) -> None:
    webhook_deliveries.add_attempt(
        db, message, status=posted.status, ms=posted.ms, error=posted.error, now=now)
    endpoint = webhook_endpoints.find_enabled(db, endpoint_id)
    if posted.is_taken:
        webhook_deliveries.change_delivery(db, message, delivered_at=now, failures=0, failing_since=None)
        if endpoint is not None and endpoint.failures:
            webhook_endpoints.change_endpoint(
                db, endpoint_id, failures=0, failing_since=None, paused_until=None, last_error=None)
        return
    error = posted.error or f"status_{posted.status}"
    failures, since = message.failures + 1, message.failing_since or now
    # What an endpoint that is disabled did not take waits until somebody enables it.
    is_given_up = (
        endpoint is not None and not _note_failure(db, endpoint, message, error, now)
        and _is_too_long(failures, since, now))
    wait = back_off(failures, first=BACK_OFF_FIRST, longest=BACK_OFF_MAX, whim=random.random())  # noqa: S311
    webhook_deliveries.change_delivery(
        db, message, failures=failures, failing_since=since, due_at=now + wait,
        given_up_at=now if is_given_up else None)


def _note_failure(db: Session, endpoint: Endpoint, message: Delivery, error: str, now: datetime) -> bool:
    """Let an endpoint that fails again and again rest; disable one that has taken nothing for days. True if so."""
    failures, since = endpoint.failures + 1, endpoint.failing_since or now
    changes: dict[str, object] = {"failures": failures, "failing_since": since, "last_error": error}
    if failures > PAUSED_AFTER_FAILURES:
        changes["paused_until"] = now + back_off(
            failures - PAUSED_AFTER_FAILURES, first=PAUSE_FIRST, longest=PAUSE_MAX, whim=random.random())  # noqa: S311
    is_gone = error == f"status_{GONE}"
    is_disabled = is_gone or _is_too_long(failures, since, now)
    if is_disabled:
        changes |= {"disabled_at": now, "disabled_why": "gone" if is_gone else "failing"}
        _tell(db, endpoint, message, error, now)
    webhook_endpoints.change_endpoint(db, endpoint.endpoint_id, **changes)
    return is_disabled


def _is_too_long(failures: int, since: datetime, now: datetime) -> bool:
    return failures >= GIVEN_UP_AFTER_FAILURES and now - since >= GIVEN_UP_AFTER


def _tell(db: Session, endpoint: Endpoint, message: Delivery, error: str, now: datetime) -> None:
    """Put it before the operator, at the lot that the last message was of."""
    about = FactRef(terminals.get_service_terminal_id(db, message.lot_id), 0)
    made = make_anomaly(
        "webhook_disabled", lot_id=message.lot_id, about=about, at=now, name=endpoint.endpoint_id,
        endpoint=str(endpoint.endpoint_id), error=error, message=format_lot_id(message.lot_id, message.event_id))
    anomalies.add_anomaly(db, made, operator_id=endpoint.operator_id, now=now)
