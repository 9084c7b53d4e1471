"""An operator's integrator is told what happens at its lots: endpoints, their secrets, and what is sent again."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import first_uuid
from parking.core.seal import Sealer
from parking.core.webhook import EVENTS, SECRET_BYTES, TEST_EVENT, Networks, format_secret, parse_address
from parking.store import lots, webhook_deliveries, webhook_endpoints
from parking.store.database import Database
from parking.store.webhook_deliveries import Delivery
from parking.store.webhook_endpoints import Endpoint

SECRET_PURPOSE = "webhook_endpoint"  # noqa: S105
ENDPOINTS_MAX = 20
OLD_SECRET_HOLDS = timedelta(hours=24)
AT_ONCE = 500


class NoEndpoint(Exception):
    """There is no such endpoint, or it is another operator's, or it was removed."""


class NoDelivery(Exception):
    """This endpoint was never to be told of such an event, or it is forgotten."""


class EndpointIdReused(Exception):
    """The id names another endpoint."""


class TooManyEndpoints(Exception):
    """The operator has as many as it may have."""


class NothingToTell(Exception):
    """The operator has no lot yet that something could happen at."""


def add_endpoint(
    db: Session, operator_id: UUID, *, endpoint_id: UUID, url: str, events: Sequence[str], allowed: Networks,
    sealer: Sealer, by: UUID, now: datetime,
) -> tuple[Endpoint, str | None]:
    """Register an endpoint. Returns it with its secret, which is told this once; None where it was told before.

    :raises BadAddress: not where a message may go
    :raises EndpointIdReused: the id names another one
    :raises TooManyEndpoints:
    """
    wanted = sorted(set(events) & set(EVENTS))
    parse_address(url, allowed=allowed)
    known = webhook_endpoints.find_endpoint(db, operator_id, endpoint_id)
    if known is not None:
        if (known.url, known.events, known.created_by) != (url, wanted, by):
            raise EndpointIdReused
        return known, None
    if len(webhook_endpoints.list_endpoints(db, operator_id)) >= ENDPOINTS_MAX:
        raise TooManyEndpoints
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = sealer.seal(secret, purpose=SECRET_PURPOSE, row=endpoint_id.bytes)
    if not webhook_endpoints.add_endpoint(
        db, endpoint_id=endpoint_id, operator_id=operator_id, url=url, events=wanted, secret_sealed=sealed, by=by,
        now=now,
    ):
        raise EndpointIdReused
    return find_endpoint(db, operator_id, endpoint_id), format_secret(secret)


def find_endpoint(db: Session, operator_id: UUID, endpoint_id: UUID) -> Endpoint:
    """:raises NoEndpoint: none of the operator's"""
    found = webhook_endpoints.find_endpoint(db, operator_id, endpoint_id)
    if found is None:
        raise NoEndpoint
    return found


def rotate_secret(db: Session, operator_id: UUID, endpoint_id: UUID, *, sealer: Sealer, now: datetime) -> str:
    """Make another secret and return it; for a day messages are signed under the one before it too.

    :raises NoEndpoint: none of the operator's
    """
    had, secret = find_endpoint(db, operator_id, endpoint_id), secrets.token_bytes(SECRET_BYTES)
    webhook_endpoints.change_endpoint(
        db, endpoint_id, old_secret_sealed=had.secret_sealed, old_secret_until=now + OLD_SECRET_HOLDS,
        secret_sealed=sealer.seal(secret, purpose=SECRET_PURPOSE, row=endpoint_id.bytes))
    return format_secret(secret)


def disable_endpoint(db: Session, operator_id: UUID, endpoint_id: UUID, *, now: datetime) -> Endpoint:
    """Send nothing there for now; what happens meanwhile waits. One that is disabled stays as it is.

    :raises NoEndpoint: none of the operator's
    """
    if find_endpoint(db, operator_id, endpoint_id).disabled_at is None:
        webhook_endpoints.change_endpoint(db, endpoint_id, disabled_at=now, disabled_why="by_hand")
    return find_endpoint(db, operator_id, endpoint_id)


def enable_endpoint(db: Session, operator_id: UUID, endpoint_id: UUID, *, now: datetime) -> Endpoint:
    """Send there again, beginning with what has waited, as if nothing had ever failed.

    :raises NoEndpoint: none of the operator's
    """
    if find_endpoint(db, operator_id, endpoint_id).disabled_at is not None:
        webhook_endpoints.change_endpoint(
            db, endpoint_id, disabled_at=None, disabled_why=None, failures=0, failing_since=None, paused_until=None,
            last_error=None)
        webhook_deliveries.forget_failures(db, endpoint_id)
    return find_endpoint(db, operator_id, endpoint_id)


def remove_endpoint(db: Session, operator_id: UUID, endpoint_id: UUID, *, now: datetime) -> None:
    """Send nothing there ever again; its secrets are forgotten.

    :raises NoEndpoint: none of the operator's
    """
    find_endpoint(db, operator_id, endpoint_id)
    webhook_endpoints.change_endpoint(
        db, endpoint_id, removed_at=now, secret_sealed=b"", old_secret_sealed=None, old_secret_until=None)


def send_test(db: Session, operator_id: UUID, endpoint_id: UUID, *, now: datetime) -> Delivery:
    """Leave a message that says nothing has happened, of the kind webhook.test.

    :raises NoEndpoint: none of the operator's
    :raises NothingToTell: the operator has no lot
    """
    find_endpoint(db, operator_id, endpoint_id)
    places = lots.list_lots_with_occupancy(db, operator_id=operator_id)
    if not places:
        raise NothingToTell
    lot_id = places[0][0].lot_id
    event_id = webhook_deliveries.add_delivery(
        db, lot_id=lot_id, operator_id=operator_id, endpoint_id=endpoint_id, kind=TEST_EVENT, body={}, now=now)
    return _find(db, endpoint_id, event_id)


def send_again(
    db: Session, operator_id: UUID, endpoint_id: UUID, event_id: UUID, *, by: UUID, now: datetime
) -> Delivery:
    """Have one message sent again, whatever became of it before.

    :raises NoEndpoint, NoDelivery: none of the operator's
    """
    find_endpoint(db, operator_id, endpoint_id)
    _find(db, endpoint_id, event_id)
    webhook_deliveries.ask_again(db, endpoint_id, since=event_id, until=event_id, limit=1, by=by, now=now)
    return _find(db, endpoint_id, event_id)


def send_all_again(
    database: Database, operator_id: UUID, endpoint_id: UUID, *, since: datetime, by: UUID, now: datetime
) -> int:
    """Have all messages since an instant sent again, in the order of their events; returns how many.

    :raises NoEndpoint: none of the operator's
    """
    with database.reading() as db:
        find_endpoint(db, operator_id, endpoint_id)
    count, begins, ends = 0, first_uuid(since), first_uuid(now + timedelta(milliseconds=1))
    while True:
        part, last = database.write(partial(
            webhook_deliveries.ask_again, endpoint_id=endpoint_id, since=begins, until=ends, limit=AT_ONCE, by=by,
            now=now))
        if last is None:
            return count
        count, begins = count + part, UUID(int=last.int + 1)
        database.give_way()


def _find(db: Session, endpoint_id: UUID, event_id: UUID) -> Delivery:
    found = webhook_deliveries.find_delivery(db, endpoint_id, event_id)
    if found is None:
        raise NoDelivery
    return found
