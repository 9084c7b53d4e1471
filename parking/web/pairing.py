"""Devices at gates are paired, and their tokens replaced."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from markupsafe import Markup

from parking.core.clock import format_instant
from parking.core.code_picture import link_svg
from parking.core.reason import in_all_languages
from parking.services.enrol import TOKEN_PREFIX
from parking.services.pair import (
    LIVES,
    OLD_TOKEN_HOLDS,
    BadPairingCode,
    make_pairing_code,
    pair_terminal,
    replace_token,
)
from parking.web import auth
from parking.web.errors import Problem
from parking.web.lane_contract import PairedAnswer, PairingRequest, TokenAnswer
from parking.web.limits import Limit, network
from parking.web.openapi import api
from parking.web.reading import read_body

blueprint = Blueprint("pairing", __name__)
CODE_MAX = 64
_limit = Limit(per_minute=10)


@blueprint.post("/v1/terminals/pair")
@auth.anyone
@api("Give a device its terminal's token, for a code that an operator made", body=PairingRequest, answer=PairedAnswer,
     problems=(401, 429))
def pair() -> Any:
    now = auth.now()
    _limit.take(network(), now=now)
    code = read_body(PairingRequest).pairing_code
    made = current_app.extensions["database"].write(lambda db: pair_terminal(db, code, now=now))
    return {
        "terminal_id": str(made.terminal_id), "token": made.token,
        "root": {"thumbprint": made.root_thumbprint, "jwk": made.root} if made.root else None,
        "lot": {"id": made.lot.lot_id, "name": in_all_languages(made.lot.name), "time_zone": made.lot.time_zone},
        "gate": {"id": made.gate.gate_id, "name": made.gate.name, "direction": made.gate.direction},
    }


@blueprint.post("/v1/terminal/token")
@auth.terminal
@api("A new token for the terminal that calls; the old one holds five minutes more", answer=TokenAnswer)
def token() -> Any:
    caller, now = auth.calling_terminal(), auth.now()
    made = current_app.extensions["database"].write(
        lambda db: replace_token(db, caller, called_with=auth.calling_token(), now=now))
    return {"token": made, "old_token_until": format_instant(now + OLD_TOKEN_HOLDS, caller.lot.zone)}


@blueprint.post("/console/lots/<int(max=65535):lot_id>/gates/<int(max=65535):gate_id>/pairing")
@auth.operator
def page(lot_id: int, gate_id: int) -> Any:
    """The code for one device, shown once, with its picture."""
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    code = current_app.extensions["database"].write(
        lambda db: make_pairing_code(db, operator_id, lot_id, gate_id, by=by, now=now))
    if code is None:
        raise Problem(404, "not_found", "There is no such gate, or it is not yours.")
    address = f"{current_app.extensions['config'].public_url}/gate/pair#pairing={code}"
    return render_template(
        "pairing.html", code=code, picture=Markup(link_svg(address)), ends_at=now + LIVES)  # noqa: S704


@blueprint.get("/gate/pair")
@auth.anyone
def pair_page() -> Any:
    """Where a screen at a lane becomes a terminal; a code's picture leads here, with the code behind the #."""
    return render_template("gate_pair.html", failed=False)


@blueprint.post("/gate/pair")
@auth.anyone
def pair_form() -> Any:
    """Give the browser at the lane its terminal's token, out of reach of scripts."""
    auth.check_same_site()
    said = request.form.get("token", "").strip()
    token = said if said.startswith(TOKEN_PREFIX) else _token_for(said[:CODE_MAX])
    if auth.find_terminal(token) is None:
        return render_template("gate_pair.html", failed=True), 401
    answer = redirect("/gate", code=303)
    answer.set_cookie(
        auth.TERMINAL_COOKIE, token, httponly=True, samesite="Strict", secure=request.is_secure,
        max_age=365 * 24 * 3600, path="/",
    )
    return answer


@blueprint.post("/gate/unpair")
@auth.anyone
def unpair() -> Any:
    auth.check_same_site()
    answer = redirect("/gate", code=303)
    answer.delete_cookie(auth.TERMINAL_COOKIE, path="/")
    return answer


def _token_for(code: str) -> str:
    """The token of the terminal that a pairing code makes; "" where it pairs nothing."""
    now = auth.now()
    _limit.take(network(), now=now)
    try:
        return str(current_app.extensions["database"].write(lambda db: pair_terminal(db, code, now=now)).token)
    except BadPairingCode:
        return ""
