"""Integrators' endpoints, for programs: where things are told, and what became of each message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, current_app
from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.services.subscribe import (
    add_endpoint,
    disable_endpoint,
    enable_endpoint,
    find_endpoint,
    remove_endpoint,
    rotate_secret,
    send_again,
    send_all_again,
    send_test,
)
from parking.store import webhook_deliveries, webhook_endpoints
from parking.store.webhook_deliveries import Attempt, Delivery
from parking.store.webhook_endpoints import Endpoint
from parking.web import auth
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.webhook_contract import (
    DeliveriesAnswer,
    DeliveriesQuery,
    DeliveryAnswer,
    EndpointAnswer,
    EndpointRequest,
    EndpointsAnswer,
    NewEndpointAnswer,
    RedeliveredAnswer,
    RedeliverRequest,
    RemovedAnswer,
    SecretAnswer,
)

Result = TypeVar("Result")
blueprint = Blueprint("webhooks", __name__)
Shown = tuple[list[tuple[Delivery, list[Attempt]]], UUID | None]


@blueprint.post("/v1/webhooks")
@auth.operator
@api("Have an address told what happens at your lots; the answer has the secret, this once", body=EndpointRequest,
     answer=NewEndpointAnswer, problems=(409,))
def register() -> Any:
    asked = read_body(EndpointRequest)
    endpoint, secret = add(asked.id, asked.url, list(asked.events))
    return {**_endpoint_answer(endpoint, waiting_counts()), "secret": secret}


@blueprint.get("/v1/webhooks")
@auth.operator
@api("Your endpoints", answer=EndpointsAnswer)
def endpoints() -> Any:
    waiting = waiting_counts()
    with current_app.extensions["database"].reading() as db:
        found = webhook_endpoints.list_endpoints(db, auth.operator_id())
    return {"items": [_endpoint_answer(each, waiting) for each in found]}


@blueprint.get("/v1/webhooks/<uuid:endpoint_id>")
@auth.operator
@api("One of your endpoints", answer=EndpointAnswer, problems=(404,))
def endpoint(endpoint_id: UUID) -> Any:
    return _endpoint_answer(find(endpoint_id), waiting_counts())


@blueprint.delete("/v1/webhooks/<uuid:endpoint_id>")
@auth.operator
@api("Tell this endpoint nothing any more, ever", answer=RemovedAnswer, problems=(404,))
def remove(endpoint_id: UUID) -> Any:
    do(remove_endpoint, endpoint_id)
    return {"removed": True}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/disable")
@auth.operator
@api("Send nothing there for now; what happens meanwhile waits", answer=EndpointAnswer, problems=(404,))
def disable(endpoint_id: UUID) -> Any:
    return _endpoint_answer(do(disable_endpoint, endpoint_id), waiting_counts())


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/enable")
@auth.operator
@api("Send there again, beginning with what has waited", answer=EndpointAnswer, problems=(404,))
def enable(endpoint_id: UUID) -> Any:
    return _endpoint_answer(do(enable_endpoint, endpoint_id), waiting_counts())


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/rotate-secret")
@auth.operator
@api("Make another secret; for a day messages are signed under the one before it too", answer=SecretAnswer,
     problems=(404,))
def rotate(endpoint_id: UUID) -> Any:
    secret = rotate_for(endpoint_id)
    until = find(endpoint_id).old_secret_until
    assert until is not None
    return {"secret": secret, "old_secret_until": format_instant(until)}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/test")
@auth.operator
@api("Send a message of the type webhook.test", answer=DeliveryAnswer, problems=(404, 409))
def test(endpoint_id: UUID) -> Any:
    return _delivery_answer(do(send_test, endpoint_id), [])


@blueprint.get("/v1/webhooks/<uuid:endpoint_id>/deliveries")
@auth.operator
@api("What an endpoint was and is to be told, the newest first, with every attempt", query=DeliveriesQuery,
     answer=DeliveriesAnswer, problems=(404,))
def deliveries(endpoint_id: UUID) -> Any:
    items, cursor = list_page(endpoint_id, read_query(DeliveriesQuery))
    return {"items": [_delivery_answer(*each) for each in items], "next_cursor": str(cursor) if cursor else None}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/redeliver")
@auth.operator
@api("Have one message, or all since an instant, sent again", body=RedeliverRequest, answer=RedeliveredAnswer,
     problems=(404,))
def redeliver(endpoint_id: UUID) -> Any:
    asked = read_body(RedeliverRequest)
    if asked.message is not None:
        send_one_again(endpoint_id, asked.message)
        return {"redelivered": 1}
    assert asked.since is not None
    return {"redelivered": send_since(endpoint_id, asked.since)}


def add(endpoint_id: UUID, url: str, events: list[str]) -> tuple[Endpoint, str | None]:
    extensions, by, operator_id, now = current_app.extensions, auth.staff_id(), auth.operator_id(), auth.now()
    allowed, sealer = extensions["config"].webhook_networks, extensions["secrets"].sealer
    return _write(lambda db: add_endpoint(
        db, operator_id, endpoint_id=endpoint_id, url=url, events=events, allowed=allowed, sealer=sealer, by=by,
        now=now))


def do(deed: Callable[..., Result], endpoint_id: UUID) -> Result:
    operator_id, now = auth.operator_id(), auth.now()
    return _write(lambda db: deed(db, operator_id, endpoint_id, now=now))


def rotate_for(endpoint_id: UUID) -> str:
    operator_id, now, sealer = auth.operator_id(), auth.now(), current_app.extensions["secrets"].sealer
    return _write(lambda db: rotate_secret(db, operator_id, endpoint_id, sealer=sealer, now=now))


def send_one_again(endpoint_id: UUID, message_id: UUID) -> None:
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    _write(lambda db: send_again(db, operator_id, endpoint_id, message_id, by=by, now=now))


def send_since(endpoint_id: UUID, since: datetime) -> int:
    return send_all_again(
        current_app.extensions["database"], auth.operator_id(), endpoint_id, since=since, by=auth.staff_id(),
        now=auth.now())


def _write(deed: Callable[[Session], Result]) -> Result:
    made: Result = current_app.extensions["database"].write(deed)
    return made


def find(endpoint_id: UUID) -> Endpoint:
    with current_app.extensions["database"].reading() as db:
        return find_endpoint(db, auth.operator_id(), endpoint_id)


def waiting_counts() -> dict[UUID, int]:
    with current_app.extensions["database"].reading() as db:
        return webhook_deliveries.count_waiting(db, auth.operator_id())


def list_page(endpoint_id: UUID, asked: DeliveriesQuery) -> Shown:
    with current_app.extensions["database"].reading() as db:
        find_endpoint(db, auth.operator_id(), endpoint_id)
        found = webhook_deliveries.list_deliveries(
            db, endpoint_id, state=asked.state, before=asked.cursor, limit=asked.limit + 1)
        items = found[:asked.limit]
        tries = webhook_deliveries.list_attempts(db, items)
    cursor = items[-1].event_id if len(found) > asked.limit else None
    return [(each, tries[each.event_id]) for each in items], cursor


def _instant(at: datetime | None) -> str | None:
    return format_instant(at) if at else None


def _endpoint_answer(found: Endpoint, waiting: dict[UUID, int]) -> dict[str, object]:
    return {
        "id": str(found.endpoint_id), "url": found.url, "events": found.events,
        "created_at": format_instant(found.created_at), "state": "disabled" if found.disabled_at else "enabled",
        "disabled_at": _instant(found.disabled_at), "disabled_why": found.disabled_why, "failures": found.failures,
        "failing_since": _instant(found.failing_since), "last_error": found.last_error,
        "old_secret_until": _instant(found.old_secret_until), "waiting": waiting.get(found.endpoint_id, 0),
    }


def _delivery_answer(found: Delivery, tries: list[Attempt]) -> dict[str, object]:
    tries_on = found.state in ("waiting", "failing")
    return {
        "id": str(found.event_id), "type": found.kind, "lot_id": found.lot_id,
        "occurred_at": format_instant(found.occurred_at), "state": found.state,
        "delivered_at": _instant(found.delivered_at), "next_try_at": _instant(found.due_at) if tries_on else None,
        "attempts": [
            {"number": each.number, "at": format_instant(each.at), "status": each.status, "ms": each.ms,
             "error": each.error, "by_hand": each.asked_by is not None} for each in tries],
    }
