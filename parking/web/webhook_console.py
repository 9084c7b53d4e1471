"""Integrators' endpoints at the console: an address is added, watched, put right, and sent things again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.identifier import new_uuid
from parking.core.webhook import EVENTS, BadAddress
from parking.services.subscribe import (
    EndpointIdReused,
    NothingToTell,
    TooManyEndpoints,
    disable_endpoint,
    enable_endpoint,
    remove_endpoint,
    send_test,
)
from parking.store import logins, webhook_endpoints
from parking.web import auth
from parking.web.reading import read_deed, read_query
from parking.web.tariffs import read_id
from parking.web.webhook_contract import DeliveriesQuery
from parking.web.webhooks import add, do, find, list_page, rotate_for, send_one_again, send_since, waiting_counts

blueprint = Blueprint("webhook_console", __name__)
SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


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
        made, secret = add(read_id(request.form.get("id", "")), url, events)
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
    what = read_deed(request.form, *_DEEDS, "rotate", "remove", "again")
    if what == "rotate":
        return _endpoint_page(endpoint_id, secret=rotate_for(endpoint_id))
    if what == "remove":
        do(remove_endpoint, endpoint_id)
        return redirect("/console/webhooks", code=303)
    if what == "again" and request.form.get("since") in SINCE:
        send_since(endpoint_id, auth.now() - SINCE[request.form["since"]])
    elif what == "again":
        send_one_again(endpoint_id, read_id(request.form.get("message", "")))
    else:
        try:
            do(_DEEDS[what], endpoint_id)
        except NothingToTell:
            return _endpoint_page(endpoint_id, said=gettext("There is no car park yet that could tell something.")), 409
    return redirect(f"/console/webhooks/{endpoint_id}", code=303)


_DEEDS: dict[str, Callable[..., object]] = {
    "enable": enable_endpoint, "disable": disable_endpoint, "test": send_test}


def _page(said: str | None = None) -> str:
    with current_app.extensions["database"].reading() as db:
        found = webhook_endpoints.list_endpoints(db, auth.operator_id())
    return render_template(
        "webhooks.html", endpoints=found, waiting=waiting_counts(), events=EVENTS, said=said, typed=request.form,
        chosen=request.form.getlist("events"), new_id=new_uuid(auth.now()), why_name=why_name, event_name=event_name)


def _endpoint_page(endpoint_id: UUID, *, secret: str | None = None, said: str | None = None) -> str:
    asked = read_query(DeliveriesQuery)
    items, cursor = list_page(endpoint_id, asked)
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
    return render_template(
        "webhook.html", endpoint=find(endpoint_id), waiting=waiting_counts().get(endpoint_id, 0), items=items,
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
        "refund.failed": gettext("Money could not be given back"),
        "arrears.noticed": gettext("Notice was given of arrears"),
        "arrears.objected": gettext("A driver objected to a notice"),
        "arrears.closed": gettext("An arrears case is over"), "webhook.test": gettext("A test"),
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
