"""What was told to channels and to other lots, for people and programs, and what could not be and is tried again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import format_instant
from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.services.overhear import list_messages_of_visit
from parking.services.retry import About, NoMessage, find_about, retry_kind, retry_message
from parking.services.show import read_cursor, write_cursor
from parking.store import logins, lots, outbox_messages
from parking.store.outbox_messages import StoredMessage
from parking.web import auth
from parking.web.message_contract import (
    ChannelMessagesAnswer,
    MessageAnswer,
    MessagesAnswer,
    MessagesQuery,
    RetriedAnswer,
    RetryRequest,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.tariff_pages import read_text
from parking.web.visits import get_visit, read_visit_id

blueprint = Blueprint("messages", __name__)
RETRIES_SHOWN = 20


@blueprint.get("/v1/outbox-messages")
@auth.operator
@api("Messages of your lots that could not be delivered, the newest trouble first", query=MessagesQuery,
     answer=MessagesAnswer)
def message_list() -> Any:
    items, cursor = _list(read_query(MessagesQuery))
    return {"items": [_answer(*each) for each in items], "next_cursor": cursor}


@blueprint.get("/v1/outbox-messages/<message_id>")
@auth.operator
@api("One message, however it stands", answer=MessageAnswer, problems=(404,))
def message(message_id: str) -> Any:
    lot_id, found_id = _read_id(message_id)
    with current_app.extensions["database"].reading() as db:
        found = outbox_messages.find_message(db, auth.operator_id(), lot_id, found_id)
        if found is None:
            raise NoMessage
        return _answer(found, find_about(db, found))


@blueprint.post("/v1/outbox-messages/<message_id>/retry")
@auth.operator
@api("Have a dead letter tried again; one that is not dead stays as it is", answer=MessageAnswer, problems=(404,))
def retry(message_id: str) -> Any:
    return _answer(*_retry(message_id))


@blueprint.post("/v1/outbox-retries")
@auth.operator
@api("Have all your dead letters of a kind tried again", body=RetryRequest, answer=RetriedAnswer)
def retry_all() -> Any:
    return {"retried": _retry_kind(read_body(RetryRequest).kind)}


@blueprint.get("/v1/parking-sessions/<session_id>/channel-messages")
@auth.operator
@api("What was said to payment channels about a visit, and what they answered: the last hundred of 90 days",
     answer=ChannelMessagesAnswer, problems=(404,))
def channel_messages(session_id: str) -> Any:
    get_visit(session_id)
    with current_app.extensions["database"].reading() as db:
        found = list_messages_of_visit(db, *read_visit_id(session_id))
    return {"items": [{"at": format_instant(each.at), **asdict(each.says)} for each in found]}


@blueprint.get("/console/messages")
@auth.operator
def page() -> Any:
    asked, operator_id = read_query(MessagesQuery), auth.operator_id()
    items, cursor = _list(asked)
    with current_app.extensions["database"].reading() as db:
        dead = outbox_messages.count_dead(db, operator_id)
        retries = outbox_messages.list_retries(db, operator_id, limit=RETRIES_SHOWN)
        staff = logins.list_names_of_staff(db, operator_id)
        names = {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)}
    return render_template(
        "messages.html", items=items, cursor=cursor, asked=asked, dead=dead, retries=retries, staff=staff, names=names,
        kind_name=kind_name)


@blueprint.post("/console/messages/<message_id>/retry")
@auth.operator
def form(message_id: str) -> Any:
    _retry(message_id)
    return redirect("/console/messages", code=303)


@blueprint.post("/console/messages/retry")
@auth.operator
def form_of_kind() -> Any:
    _retry_kind(read_text(request.form, "kind")[:40])
    return redirect("/console/messages", code=303)


def kind_name(kind: str) -> str:
    """What a message is to do, in the reader's language."""
    words = {
        "query_payment": gettext("Ask what became of a payment"), "send_refund": gettext("Give money back"),
        "query_topup": gettext("Ask what became of a top-up"),
        "send_withdrawal": gettext("Give money of a wallet back"),
        "deduct": gettext("Deduct a fee"), "tell_stay": gettext("Tell a channel of an entry"),
        "follow_agreement": gettext("Follow an agreement"),
        "settle": gettext("Settle a visit"), "charge": gettext("Charge a visit"),
        "seen_elsewhere": gettext("Tell of an entry elsewhere"),
        "not_seen_elsewhere": gettext("Take back word of an entry elsewhere"),
        "issue_invoice": gettext("Have an invoice issued"), "fetch_invoice": gettext("Fetch an invoice's files"),
        "correct_invoice": gettext("Correct an invoice after money went back"),
    }
    return str(words.get(kind, kind))


def _list(asked: MessagesQuery) -> tuple[list[tuple[StoredMessage, About]], str | None]:
    before = None if asked.cursor is None else read_cursor(asked.cursor)
    is_dead = {"dead": True, "failing": False, "all": None}[asked.state]
    with current_app.extensions["database"].reading() as db:
        found = outbox_messages.list_failing(
            db, auth.operator_id(), is_dead=is_dead, kind=asked.kind, before=before, limit=asked.limit + 1)
        items = [(each, find_about(db, each)) for each in found[:asked.limit]]
    last = items[-1][0] if len(found) > asked.limit else None
    return items, write_cursor(last.failing_since, last.message_id) if last and last.failing_since else None


def _retry(message_id: str) -> tuple[StoredMessage, About]:
    lot_id, found_id = _read_id(message_id)
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    database = current_app.extensions["database"]
    found: StoredMessage = database.write(
        lambda db: retry_message(db, operator_id, lot_id, found_id, by=by, now=now))
    with database.reading() as db:
        return found, find_about(db, found)


def _retry_kind(kind: str) -> int:
    return retry_kind(
        current_app.extensions["database"], auth.operator_id(), kind, by=auth.staff_id(), now=auth.now())


def _read_id(text: str) -> tuple[int, Any]:
    try:
        return parse_lot_id(text)
    except BadIdentifier:
        raise NoMessage from None


def _answer(found: StoredMessage, about: About) -> dict[str, object]:
    def instant(at: Any) -> str | None:
        return format_instant(at) if at else None

    session_id, tries_on = about.parking_session_id, found.state in ("waiting", "failing")
    return {
        "id": format_lot_id(found.lot_id, found.message_id), "lot_id": found.lot_id, "kind": found.kind,
        "state": found.state,
        "parking_session_id": format_lot_id(found.lot_id, session_id) if session_id else None,
        "payment_id": format_lot_id(found.lot_id, about.payment_id) if about.payment_id else None,
        "refund_id": format_lot_id(found.lot_id, about.refund_id) if about.refund_id else None,
        "created_at": format_instant(found.created_at), "attempts": found.attempts, "failures": found.failures,
        "last_error": found.last_error, "failing_since": instant(found.failing_since),
        "dead_at": instant(found.dead_at), "next_try_at": instant(found.due_at) if tries_on else None,
    }
