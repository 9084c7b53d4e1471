"""Integrators' endpoints, for people and programs: where things are told, and what became of each message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext
from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.identifier import new_uuid
from parking.core.webhook import EVENTS, BadAddress
from parking.services.subscribe import (
    EndpointIdReused,
    NothingToTell,
    TooManyEndpoints,
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
from parking.store import logins, webhook_deliveries, webhook_endpoints
from parking.store.webhook_deliveries import Attempt, Delivery
from parking.store.webhook_endpoints import Endpoint
from parking.web import auth
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.tariffs import read_id
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
SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
Shown = tuple[list[tuple[Delivery, list[Attempt]]], UUID | None]


@blueprint.post("/v1/webhooks")
@auth.operator
@api("Have an address told what happens at your lots; the answer has the secret, this once", body=EndpointRequest,
     answer=NewEndpointAnswer, problems=(409,))
def register() -> Any:
    asked = read_body(EndpointRequest)
    endpoint, secret = _add(asked.id, asked.url, list(asked.events))
    return {**_endpoint_answer(endpoint, _waiting()), "secret": secret}


@blueprint.get("/v1/webhooks")
@auth.operator
@api("Your endpoints", answer=EndpointsAnswer)
def endpoints() -> Any:
    waiting = _waiting()
    with current_app.extensions["database"].reading() as db:
        found = webhook_endpoints.list_endpoints(db, auth.operator_id())
    return {"items": [_endpoint_answer(each, waiting) for each in found]}


@blueprint.get("/v1/webhooks/<uuid:endpoint_id>")
@auth.operator
@api("One of your endpoints", answer=EndpointAnswer, problems=(404,))
def endpoint(endpoint_id: UUID) -> Any:
    return _endpoint_answer(_find(endpoint_id), _waiting())


@blueprint.delete("/v1/webhooks/<uuid:endpoint_id>")
@auth.operator
@api("Tell this endpoint nothing any more, ever", answer=RemovedAnswer, problems=(404,))
def remove(endpoint_id: UUID) -> Any:
    _do(remove_endpoint, endpoint_id)
    return {"removed": True}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/disable")
@auth.operator
@api("Send nothing there for now; what happens meanwhile waits", answer=EndpointAnswer, problems=(404,))
def disable(endpoint_id: UUID) -> Any:
    return _endpoint_answer(_do(disable_endpoint, endpoint_id), _waiting())


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/enable")
@auth.operator
@api("Send there again, beginning with what has waited", answer=EndpointAnswer, problems=(404,))
def enable(endpoint_id: UUID) -> Any:
    return _endpoint_answer(_do(enable_endpoint, endpoint_id), _waiting())


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/rotate-secret")
@auth.operator
@api("Make another secret; for a day messages are signed under the one before it too", answer=SecretAnswer,
     problems=(404,))
def rotate(endpoint_id: UUID) -> Any:
    secret = _rotate(endpoint_id)
    until = _find(endpoint_id).old_secret_until
    assert until is not None
    return {"secret": secret, "old_secret_until": format_instant(until)}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/test")
@auth.operator
@api("Send a message of the type webhook.test", answer=DeliveryAnswer, problems=(404, 409))
def test(endpoint_id: UUID) -> Any:
    return _delivery_answer(_do(send_test, endpoint_id), [])


@blueprint.get("/v1/webhooks/<uuid:endpoint_id>/deliveries")
@auth.operator
@api("What an endpoint was and is to be told, the newest first, with every attempt", query=DeliveriesQuery,
     answer=DeliveriesAnswer, problems=(404,))
def deliveries(endpoint_id: UUID) -> Any:
    items, cursor = _list(endpoint_id, read_query(DeliveriesQuery))
    return {"items": [_delivery_answer(*each) for each in items], "next_cursor": str(cursor) if cursor else None}


@blueprint.post("/v1/webhooks/<uuid:endpoint_id>/redeliver")
@auth.operator
@api("Have one message, or all since an instant, sent again", body=RedeliverRequest, answer=RedeliveredAnswer,
     problems=(404,))
def redeliver(endpoint_id: UUID) -> Any:
    asked = read_body(RedeliverRequest)
    if asked.message is not None:
        _send_again(endpoint_id, asked.message)
        return {"redelivered": 1}
    assert asked.since is not None
    return {"redelivered": _send_all_again(endpoint_id, asked.since)}


@blueprint.get("/console/webhooks")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/webhooks")
@auth.operator
def form() -> Any:
    url, events = request.form.get("url", "").strip(), request.form.getlist("events")
    if not set(events) & set(EVENTS):
        return _page(gettext("Choose at least one event.")), 400
    try:
        made, secret = _add(read_id(request.form.get("id", "")), url, events)
    except (BadAddress, TooManyEndpoints, EndpointIdReused) as refused:
        return _page(_refusal(refused)), 400 if isinstance(refused, BadAddress) else 409
    return _endpoint_page(made.endpoint_id, secret=secret)


@blueprint.get("/console/webhooks/<uuid:endpoint_id>")
@auth.operator
def endpoint_page(endpoint_id: UUID) -> Any:
    return _endpoint_page(endpoint_id)


@blueprint.post("/console/webhooks/<uuid:endpoint_id>")
@auth.operator
def change(endpoint_id: UUID) -> Any:
    """`do`: enable, disable, test, rotate, remove, or again with `message` or `since` (hour, day, week, month)."""
    what = request.form.get("do", "")
    if what == "rotate":
        return _endpoint_page(endpoint_id, secret=_rotate(endpoint_id))
    if what == "remove":
        _do(remove_endpoint, endpoint_id)
        return redirect("/console/webhooks", code=303)
    if what == "again" and request.form.get("since") in SINCE:
        _send_all_again(endpoint_id, auth.now() - SINCE[request.form["since"]])
    elif what == "again":
        _send_again(endpoint_id, read_id(request.form.get("message", "")))
    elif what in _DEEDS:
        try:
            _do(_DEEDS[what], endpoint_id)
        except NothingToTell:
            return _endpoint_page(endpoint_id, said=gettext("There is no car park yet that could tell something.")), 409
    return redirect(f"/console/webhooks/{endpoint_id}", code=303)


_DEEDS: dict[str, Callable[..., object]] = {
    "enable": enable_endpoint, "disable": disable_endpoint, "test": send_test}


def _page(said: str | None = None) -> str:
    with current_app.extensions["database"].reading() as db:
        found = webhook_endpoints.list_endpoints(db, auth.operator_id())
    return render_template(
        "webhooks.html", endpoints=found, waiting=_waiting(), events=EVENTS, said=said, typed=request.form,
        chosen=request.form.getlist("events"), new_id=new_uuid(auth.now()), why_name=why_name, event_name=event_name)


def _endpoint_page(endpoint_id: UUID, *, secret: str | None = None, said: str | None = None) -> str:
    asked = read_query(DeliveriesQuery)
    items, cursor = _list(endpoint_id, asked)
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
    return render_template(
        "webhook.html", endpoint=_find(endpoint_id), waiting=_waiting().get(endpoint_id, 0), items=items,
        cursor=cursor, asked=asked, secret=secret, said=said, staff=staff, why_name=why_name, event_name=event_name,
        delivery_state_name=delivery_state_name)


def why_name(why: str) -> str:
    """Why an endpoint is disabled, in the reader's language."""
    words = {
        "by_hand": gettext("disabled by hand"),
        "failing": gettext("disabled: it took no message for three days"),
        "gone": gettext("disabled: it said that it is gone"),
    }
    return str(words[why])


def event_name(kind: str) -> str:
    """What happened, in the reader's language."""
    words = {
        "parking_session.opened": gettext("A vehicle came in"), "parking_session.closed": gettext("A vehicle left"),
        "parking_session.suspended": gettext("A visit is being checked"),
        "parking_session.voided": gettext("A visit was voided"), "charge.sealed": gettext("A charge was sealed"),
        "charge.credited": gettext("A charge was taken back"), "waiver.done": gettext("Something was taken off"),
        "payment.paid": gettext("A payment arrived"), "refund.accepted": gettext("Money was given back"),
        "refund.failed": gettext("Money could not be given back"), "webhook.test": gettext("A test"),
    }
    return str(words[kind])


def delivery_state_name(state: str) -> str:
    """How far a message has come, in the reader's language."""
    words = {
        "waiting": gettext("waits to be sent"), "failing": gettext("still tried"), "delivered": gettext("delivered"),
        "given_up": gettext("tried no more")}
    return str(words[state])


def _refusal(refused: Exception) -> str:
    if isinstance(refused, BadAddress):
        return str(gettext("An https address that can be reached from the internet, such as https://example.com/parking."))
    if isinstance(refused, TooManyEndpoints):
        return str(gettext("There are as many as there may be; remove one first."))
    return str(gettext("This was sent before, with something else. Look at what is listed."))


def _add(endpoint_id: UUID, url: str, events: list[str]) -> tuple[Endpoint, str | None]:
    extensions, by, operator_id, now = current_app.extensions, auth.staff_id(), auth.operator_id(), auth.now()
    allowed, sealer = extensions["config"].webhook_networks, extensions["secrets"].sealer
    return _write(lambda db: add_endpoint(
        db, operator_id, endpoint_id=endpoint_id, url=url, events=events, allowed=allowed, sealer=sealer, by=by,
        now=now))


def _do(deed: Callable[..., Result], endpoint_id: UUID) -> Result:
    operator_id, now = auth.operator_id(), auth.now()
    return _write(lambda db: deed(db, operator_id, endpoint_id, now=now))


def _rotate(endpoint_id: UUID) -> str:
    operator_id, now, sealer = auth.operator_id(), auth.now(), current_app.extensions["secrets"].sealer
    return _write(lambda db: rotate_secret(db, operator_id, endpoint_id, sealer=sealer, now=now))


def _send_again(endpoint_id: UUID, message_id: UUID) -> None:
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    _write(lambda db: send_again(db, operator_id, endpoint_id, message_id, by=by, now=now))


def _send_all_again(endpoint_id: UUID, since: datetime) -> int:
    return send_all_again(
        current_app.extensions["database"], auth.operator_id(), endpoint_id, since=since, by=auth.staff_id(),
        now=auth.now())


def _write(deed: Callable[[Session], Result]) -> Result:
    made: Result = current_app.extensions["database"].write(deed)
    return made


def _find(endpoint_id: UUID) -> Endpoint:
    with current_app.extensions["database"].reading() as db:
        return find_endpoint(db, auth.operator_id(), endpoint_id)


def _waiting() -> dict[UUID, int]:
    with current_app.extensions["database"].reading() as db:
        return webhook_deliveries.count_waiting(db, auth.operator_id())


def _list(endpoint_id: UUID, asked: DeliveriesQuery) -> Shown:
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
