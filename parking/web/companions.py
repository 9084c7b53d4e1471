"""A driver's companions: inviting them, ending them, and the page on which a companion takes the invitation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask_babel import gettext
from markupsafe import Markup

from parking.core.code_picture import link_svg
from parking.core.json_text import BadJson, check_text
from parking.core.plate import BadPlate, parse_plate
from parking.services.accompany import (
    INVITED_FOR,
    LIVES,
    BadInvitation,
    TooManyCompanions,
    end_companion,
    invite_companion,
    join_driver,
)
from parking.services.issue import NotYourVehicle
from parking.web import auth
from parking.web.credentials import phones_page_after
from parking.web.devices import name_device
from parking.web.limits import Limit, network
from parking.web.sign_in import keep_login

blueprint = Blueprint("companions", __name__)
LABEL_MAX, CODE_MAX = 60, 64
_limit = Limit(per_minute=10)


@blueprint.post("/driver/companions")
@auth.driver
def invite() -> Any:
    """Make an invitation: its code and picture are in this answer and nowhere else."""
    text, label = request.form.get("plate", "")[:64], request.form.get("label", "").strip()[:LABEL_MAX]
    life = LIVES.get(request.form.get("life", ""))
    try:
        check_text(label)
        plate = parse_plate(text) if text else None
    except (BadJson, BadPlate):
        abort(400)
    if life is None:
        abort(400)
    driver_id, now, secrets = _driver_id(), auth.now(), current_app.extensions["secrets"]
    label = label or gettext("Companion")
    try:
        code, made = current_app.extensions["database"].write(lambda db: invite_companion(
            db, driver_id, label=label, plate=plate, life=life, secrets=secrets, now=now))
    except (TooManyCompanions, NotYourVehicle) as refused:
        return phones_page_after(type(refused).__name__), 409
    address = f"{current_app.extensions['config'].public_url}/join#{code}"
    return render_template(
        "invitation.html", code=code, companion=made, address=address, ends_at=now + INVITED_FOR,
        picture=Markup(link_svg(address)))  # noqa: S704


@blueprint.post("/driver/companions/end")
@auth.driver
def end() -> Any:
    try:
        companion_id = UUID(request.form.get("companion_id", ""))
    except ValueError:
        abort(400)
    driver_id, now = _driver_id(), auth.now()
    current_app.extensions["database"].write(lambda db: end_companion(db, driver_id, companion_id, now=now))
    return redirect("/driver/phones", code=303)


@blueprint.get("/join")
@auth.anyone
def join_page() -> Any:
    """What taking an invitation means; its code stands behind the # of the address."""
    return render_template("join.html", failed=False)


@blueprint.post("/join")
@auth.anyone
def join_form() -> Any:
    auth.check_same_site()
    now, device, code = auth.now(), name_device(), request.form.get("code", "")[:CODE_MAX]
    _limit.take(network(), now=now)
    before = request.cookies.get(auth.LOGIN_COOKIE, "")
    try:
        token, made = current_app.extensions["database"].write(
            lambda db: join_driver(db, code, device=device, instead_of=before, now=now))
    except BadInvitation:
        return render_template("join.html", failed=True), 401
    answer = keep_login(redirect("/driver", code=303), token, life=made.ends_at - now)
    if auth.TERMINAL_COOKIE not in request.cookies:  # as after sign-out: a gate's page may keep something here
        answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


def _driver_id() -> UUID:
    return auth.holding().driver_id
