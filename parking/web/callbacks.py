"""What payment channels tell us, believed only under their signature."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from flask import Blueprint, abort, current_app, request

from parking.core.channel import BadEvent, ChannelPayment
from parking.services.connect import NotConnected
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.web import auth

blueprint = Blueprint("callbacks", __name__)
log = structlog.get_logger("parking.callbacks")


@blueprint.post("/callbacks/<name>/<uuid:account_id>")
@auth.channel
def callback(name: str, account_id: UUID) -> Any:
    """204 once it is written; whatever else makes the channel send it again."""
    extensions, now = current_app.extensions, auth.now()
    try:
        channel = extensions["channels"].of_account(account_id)
    except NotConnected:
        abort(404)
    if channel.name != name:
        abort(404)
    try:
        said = channel.read_event(request.headers, request.get_data(cache=False), now=now)
    except BadEvent as bad:
        log.warning("callback_refused", channel=name, reason=bad.reason)
        return {"code": "FAIL", "message": bad.reason}, 401 if bad.reason != "unreadable" else 400
    if isinstance(said, ChannelPayment):
        extensions["database"].write(
            lambda db: confirm_payment(db, account_id, said, safe=extensions["key_safe"], now=now))
    else:
        extensions["database"].write(lambda db: note_refund(db, account_id, said, now=now))
    return "", 204
