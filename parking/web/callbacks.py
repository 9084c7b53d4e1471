"""What payment channels tell us, believed only under their signature."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from flask import Blueprint, Response, abort, current_app, request

from parking.core.channel import BadEvent
from parking.core.channel_message import ChannelMessage, mask_body, mask_headers, mask_path
from parking.services.connect import NotConnected
from parking.services.hear import hear_event
from parking.web import auth

blueprint = Blueprint("callbacks", __name__)
log = structlog.get_logger("parking.callbacks")


@blueprint.post("/callbacks/<name>/<uuid:account_id>")
@auth.channel
def callback(name: str, account_id: UUID) -> Any:
    """The channel's own thanks once it is written; whatever else makes the channel send it again."""
    extensions, now = current_app.extensions, auth.now()
    try:
        channel = extensions["channels"].of_account(account_id)
    except NotConnected:
        abort(404)
    if channel.name != name:
        abort(404)
    try:
        event = channel.read_event(request.headers, request.get_data(), now=now)
    except BadEvent as bad:
        log.warning("callback_refused", channel=name, reason=bad.reason)
        return {"code": "FAIL", "message": bad.reason}, 401 if bad.reason != "unreadable" else 400
    extensions["database"].write(
        lambda db: hear_event(db, account_id, event, safe=extensions["key_safe"], now=now))
    status = 200 if channel.thanks else 204
    extensions["overhearing"].hear(account_id, ChannelMessage(
        "received", request.method, mask_path(request.path), event.number, mask_headers(dict(request.headers)),
        mask_body(request.get_data(), request.content_type or ""), status, {}, channel.thanks))
    return Response(channel.thanks, status, content_type="text/plain; charset=utf-8")
