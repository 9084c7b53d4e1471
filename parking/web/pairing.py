"""Devices at gates are paired, and their tokens replaced."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template
from markupsafe import Markup

from parking.core.clock import format_instant
from parking.core.code_picture import link_svg
from parking.core.reason import in_all_languages
from parking.services.pair import LIVES, OLD_TOKEN_HOLDS, make_pairing_code, pair_terminal, replace_token
from parking.web import auth
from parking.web.errors import Problem
from parking.web.lane_contract import PairedAnswer, PairingRequest, TokenAnswer
from parking.web.limits import Limit, network
from parking.web.openapi import api
from parking.web.reading import read_body

blueprint = Blueprint("pairing", __name__)
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


@blueprint.post("/console/lots/<int:lot_id>/gates/<int:gate_id>/pairing")
@auth.operator
def page(lot_id: int, gate_id: int) -> Any:
    """The code for one device, shown once, with its picture."""
    person, operator_id, now = auth.person(), auth.operator_id(), auth.now()
    assert person is not None and person.staff_id is not None
    by = person.staff_id
    code = current_app.extensions["database"].write(
        lambda db: make_pairing_code(db, operator_id, lot_id, gate_id, by=by, now=now))
    if code is None:
        raise Problem(404, "not_found", "There is no such gate, or it is not yours.")
    address = f"{current_app.extensions['config'].public_url}/gate#pairing={code}"
    return render_template(
        "pairing.html", code=code, picture=Markup(link_svg(address)), ends_at=now + LIVES)  # noqa: S704
