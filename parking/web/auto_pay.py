"""Auto-pay for drivers: leave first, the fee is deducted. One page, and the same for programs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask_babel import gettext
from sqlalchemy.orm import Session

from parking.core.auto_pay import CEILING_DEFAULT_FEN, CEILING_MAX_FEN, MEANS
from parking.core.channel import ChannelRefused, ChannelUnavailable
from parking.core.identifier import new_uuid
from parking.core.money import parse_yuan
from parking.core.plate import BadPlate, parse_plate
from parking.services.agree import (
    AgreementStands,
    Asked,
    NoAgreement,
    NotProved,
    change_ceiling,
    end_agreement,
    list_offers,
    sign_address,
    start_agreement,
)
from parking.services.connect import NotConnected
from parking.services.follow_agreement import query_now
from parking.services.issue import NotYourVehicle
from parking.services.recall import is_barred, list_deductions
from parking.store import agreements, drivers, operators, vehicles
from parking.store.agreements import StoredAgreement
from parking.web import auth
from parking.web.auto_pay_contract import (
    AutoPayAgreementAnswer,
    AutoPayAnswer,
    AutoPayRequest,
    CeilingRequest,
    agreement_answer,
    deduction_answer,
    offer_answer,
)
from parking.web.openapi import api
from parking.web.reading import read_body
from parking.web.visits import read_plate

blueprint = Blueprint("auto_pay", __name__)
PAGE = "/driver/auto-pay"
ENDED_SHOWN = 5


@blueprint.get("/v1/auto-pay")
@auth.driver
@api("Your agreements, with whom you can agree, and what was deducted", answer=AutoPayAnswer)
def overview() -> Any:
    return _overview()


@blueprint.post("/v1/auto-pay")
@auth.driver
@api("Let an operator deduct the fees of a vehicle of yours, up to a ceiling a stay", body=AutoPayRequest,
     answer=AutoPayAgreementAnswer, problems=(403, 409))
def start() -> Any:
    asked = read_body(AutoPayRequest)
    return _start(Asked(
        asked.id, _driver_id(), read_plate(asked.plate), asked.operator_id, asked.means, asked.ceiling_fen))


@blueprint.post("/v1/auto-pay/<agreement_id>/ceiling")
@auth.driver
@api("From now on so much a stay", body=CeilingRequest, answer=AutoPayAgreementAnswer, problems=(404,))
def ceiling(agreement_id: str) -> Any:
    asked = read_body(CeilingRequest)
    return _change(agreement_id, lambda db, identifier: change_ceiling(
        db, _driver_id(), identifier, asked.ceiling_fen, now=auth.now()))


@blueprint.post("/v1/auto-pay/<agreement_id>/end")
@auth.driver
@api("End an agreement, at once for every exit that is still to come", answer=AutoPayAgreementAnswer,
     problems=(404,))
def end(agreement_id: str) -> Any:
    return _change(agreement_id, lambda db, identifier: end_agreement(db, _driver_id(), identifier, now=auth.now()))


@blueprint.get(PAGE)
@auth.driver
def page() -> Any:
    """`signed`: the driver comes back from signing it."""
    signed = request.args.get("signed", "")
    with contextlib.suppress(ValueError, ChannelUnavailable, ChannelRefused, NotConnected):
        query_now(current_app.extensions["desk"], _driver_id(), UUID(signed), now=auth.now())
    return _page()


@blueprint.post(PAGE)
@auth.driver
def form() -> Any:
    """`do`: start, ceiling or end; refused, the page says why, and what was typed is not lost."""
    do = request.form.get("do")
    try:
        if do == "start":
            _start_from_form()
        elif do == "ceiling":
            fen = _read_ceiling()
            _change(request.form.get("id", ""), lambda db, identifier: change_ceiling(
                db, _driver_id(), identifier, fen, now=auth.now()))
        elif do == "end":
            end(request.form.get("id", ""))
        else:
            abort(400)
    except _Refused as refused:
        return _page(refused.why), refused.status
    except (NotYourVehicle, NotProved):
        return _page("not_proved"), 403
    except AgreementStands:
        return _page("stands"), 409
    except NotConnected:
        return _page("not_offered"), 409
    return redirect(PAGE, code=303)


class _Refused(Exception):
    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why, self.status = why, status


def why_not_deducted(word: str) -> str:
    """Why a fee was not deducted at an exit, in the reader's language."""
    words = {
        "irregular": gettext("the visit is to be checked first"),
        "above_ceiling": gettext("the fee was above your ceiling"),
        "service_closed": gettext("the service is not open for this plate at WeChat"),
        "unpaid_before": gettext("an earlier fee was not paid yet"),
        "wallet_too_low": gettext("your wallet held less than the fee"),
    }
    return str(words.get(word, word))


def why_ended(word: str) -> str:
    words = {
        "by_driver": gettext("by you"), "by_channel": gettext("at the payment channel"),
        "not_signed": gettext("never signed"), "released": gettext("the vehicle is not yours any more")}
    return str(words.get(word, word))


def _start_from_form() -> None:
    operator_id, _, means = request.form.get("with", "").partition("/")
    try:
        asked = Asked(
            UUID(request.form.get("id", "")), _driver_id(), parse_plate(request.form.get("plate", "")[:64]),
            UUID(operator_id), means, _read_ceiling())
    except BadPlate:
        raise _Refused("not_proved") from None
    except ValueError:
        abort(400)
    if means not in MEANS:
        abort(400)
    _start(asked)


def _read_ceiling() -> int:
    fen = parse_yuan(request.form.get("yuan", "").strip()[:16])
    if fen is None or not 0 < fen <= CEILING_MAX_FEN:
        raise _Refused("bad_ceiling")
    return fen


def _start(asked: Asked) -> dict[str, object]:
    extensions = current_app.extensions
    made, address = start_agreement(
        extensions["database"], extensions["channels"], asked, secrets=extensions["secrets"],
        return_url=_return_url(asked.agreement_id), now=auth.now())
    return _answer(made, address)


def _change(text: str, deed: Callable[[Session, UUID], StoredAgreement]) -> dict[str, object]:
    try:
        identifier = UUID(text)
    except ValueError:
        raise NoAgreement from None
    found = current_app.extensions["database"].write(lambda db: deed(db, identifier))
    return _answer(cast(StoredAgreement, found), _address(found))


def _page(refused: str | None = None) -> str:
    with _reading() as db:
        proved = [each.vehicle_key for each in drivers.list_vehicles(db, _driver_id()) if each.is_proved]
        plates = _plates(db, proved)
    return render_template(
        "auto_pay.html", **_overview(), plates=[plates[key] for key in proved if key in plates], refused=refused,
        new_id=new_uuid(auth.now()), order_ids=lambda: new_uuid(auth.now()), typed=request.form,
        default_yuan=f"{CEILING_DEFAULT_FEN // 100}", max_yuan=f"{CEILING_MAX_FEN // 100}",
        why_not_deducted=why_not_deducted, why_ended=why_ended)


def _overview() -> dict[str, Any]:
    extensions, driver_id = current_app.extensions, _driver_id()
    with _reading() as db:
        found = agreements.list_of_driver(db, driver_id)
        done, barred = list_deductions(db, driver_id), is_barred(db, driver_id)
    standing = [each for each in found if each.state != "ended"]
    ended = [each for each in found if each.state == "ended"][:ENDED_SHOWN]
    return {
        "agreements": [_answer(each, _address(each)) for each in (*standing, *ended)],
        "offers": [offer_answer(each) for each in list_offers(extensions["database"], extensions["channels"])],
        "deductions": [deduction_answer(each) for each in done], "is_barred": barred,
    }


def _answer(found: StoredAgreement, address: str) -> dict[str, object]:
    of = found.agreement
    with _reading() as db:
        plate, operator = _plates(db, [of.vehicle_key]).get(of.vehicle_key), operators.get_operator(db, of.operator_id)
    return agreement_answer(found, plate=plate, operator=operator.name, sign_at=address)


def _address(found: StoredAgreement) -> str:
    try:
        return sign_address(
            current_app.extensions["channels"], found, return_url=_return_url(found.agreement.agreement_id),
            now=auth.now())
    except NotConnected:
        return ""


def _plates(db: Session, keys: list[bytes]) -> dict[bytes, str]:
    """The driver's own plates, in full: they are the driver's to see."""
    sealed = vehicles.list_sealed_plates(db, keys)
    return {key: current_app.extensions["secrets"].open_plate(key, blob) for key, blob in sealed.items()}


def _return_url(agreement_id: UUID) -> str:
    return f"{current_app.extensions['config'].public_url}{PAGE}?signed={agreement_id}"


def _driver_id() -> UUID:
    person = auth.person()
    assert person is not None and person.driver_id is not None
    return person.driver_id


def _reading() -> Any:
    return current_app.extensions["database"].reading()
