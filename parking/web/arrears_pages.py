"""Arrears for people: a driver's at all operators in one list, and a notice for who has its number and the plate."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.arrears import GROUNDS, WORDS_MAX, WrongStep
from parking.core.identifier import new_uuid, parse_lot_id, sibling_uuid
from parking.core.json_text import BadJson, check_text
from parking.core.lot_code import read_lot_code
from parking.core.plate import BadPlate, Plate, parse_plate
from parking.services.advance import DeedIdReused
from parking.services.connect import NotConnected
from parking.services.contest import Objection, TooLate, object_to
from parking.services.pay import Asked, NothingDue, announce_payment, find_order_by_id, start_payment
from parking.services.present import present_case
from parking.services.recover import find_noticed, list_recoverable_by_plate
from parking.services.show import Viewer
from parking.store import arrears, lots
from parking.store.arrears import Case
from parking.store.payments import Payment
from parking.web import auth
from parking.web.arrears import contest_own, find_visible, list_how, list_own, send_notice, shown
from parking.web.arrears_text import legal_texts
from parking.web.channels import connected_channels, offered_channels
from parking.web.errors import Problem
from parking.web.in_app import hear_payer, page_address, page_words, payer_here, picture_of, way_here
from parking.web.limits import PER_LOT_AND_MINUTE, Limit, network
from parking.web.pages import choose_language
from parking.web.tariffs import read_id
from parking.web.visits import read_plate

blueprint = Blueprint("arrears_pages", __name__)
NUMBER_MAX, NAMED_MAX = 40, 200
_limit, _all_limit = Limit(), Limit(PER_LOT_AND_MINUTE)
_REFUSED = (WrongStep, TooLate, DeedIdReused)


@blueprint.get("/driver/arrears")
@auth.driver
def own_list() -> Any:
    items = list_own()
    return render_template("arrears.html", waiting=[each for each in items if not each["is_over"]],
                           over=[each for each in items if each["is_over"]])


@blueprint.get("/driver/arrears/<case_id>")
@auth.driver
def own_case(case_id: str) -> Any:
    return _own_page(case_id)


@blueprint.post("/driver/arrears/<case_id>")
@auth.driver
def own_objection(case_id: str) -> Any:
    """Refused, the page says why, and what was typed is not lost."""
    find_visible(case_id)
    typed = _typed()
    wrong = _wrong(typed)
    if wrong:
        return _own_page(case_id, said=wrong, typed=typed), 400
    try:
        contest_own(case_id, _objection(typed))
    except _REFUSED as refused:
        return _own_page(case_id, said=_refusal(refused), typed=typed), 409
    return redirect(f"/driver/arrears/{case_id}", code=303)


@blueprint.get("/arrears")
@auth.anyone
def find_page() -> Any:
    """Where the picture on a notice leads to: the number may stand in the address, the plate never does."""
    return render_template("arrears_find.html", number=request.args.get("number", "")[:NUMBER_MAX], plate="", said=None)


@blueprint.post("/arrears")
@auth.anyone
def find_form() -> Any:
    """`do`: look, object, print, or pay by a channel. Whatever is wrong with number or plate is answered alike."""
    number, text = request.form.get("number", "")[:NUMBER_MAX], request.form.get("plate", "")[:64]
    _limit.take(network(), now=auth.now())
    _all_limit.take("", now=auth.now())
    case = _find(number, text)
    if case is None:
        said = gettext("There is no notice of this number and plate.")
        return render_template("arrears_find.html", number=number, plate=text, said=said), 404
    how, do = {"number": number, "plate": text}, request.form.get("do", "look")
    if do == "print":
        return send_notice(case, Viewer(), choose_language())
    if do == "pay":
        return _pay(case, request.form.get("channel", ""))
    if do != "object":
        return _found_page(case, how)
    typed = _typed()
    wrong = _wrong(typed)
    if wrong:
        return _found_page(case, how, said=wrong, typed=typed), 400
    objection, now, database = _objection(typed), auth.now(), current_app.extensions["database"]
    try:
        database.write(lambda db: object_to(
            db, case.lot_id, case.case_id, objection, actor="stranger", actor_id=None,
            calendar=list_how()["calendar"], now=now))
    except _REFUSED as refused:
        return _found_page(case, how, said=_refusal(refused), typed=typed), 409
    return _found_page(case, how)


@blueprint.post("/l/<int:lot>/<lane>/arrears")
@auth.anyone
def pay_at_lot(lot: int, lane: str) -> Any:
    """From the page of the code on the wall: one of the arrears that it shows, by the amount alone."""
    lot_id, _ = read_lot_code(current_app.extensions["secrets"].pepper, f"{lot}/{lane}")
    _limit.take(network(), now=auth.now())
    plate, case_id = read_plate(request.form.get("plate", "")[:64]), read_id(request.form.get("case", ""))
    case = next((each for each in recoverable_at(lot_id, plate) if each.case_id == case_id), None)
    if case is None:
        raise NothingDue
    return _pay(case, request.form.get("channel", ""))


@blueprint.get("/arrears/payments/<payment_id>")
@auth.anyone
def payment_page(payment_id: str) -> Any:
    """An order for arrears, as its payer may see it: an amount, and not of which car park."""
    payment = _find_order(payment_id)
    page = _page_of(payment.payment_id)
    shown_now = payment.shown if payment.state == "asked" else None
    answer = {"amount_fen": payment.amount_fen, "state": payment.state, "qr_text": None,
              "redirect": shown_now if payment.way != "in_app" else None,
              "expires_at": payment.expires_at.astimezone(_zone()).isoformat(timespec="seconds"), "leave_by": None}
    return render_template(
        "_payment.html" if request.headers.get("HX-Request") else "arrears_payment.html", payment=answer,
        channel=payment.channel, picture=picture_of(payment, page), address=page,
        is_over=payment.expires_at <= auth.now(), visit=None, **page_words(payment, page))


@blueprint.get("/arrears/payments/<payment_id>/payer")
@auth.anyone
def payer(payment_id: str) -> Any:
    """Who pays, of an order inside a channel's app."""
    payment, extensions = _find_order(payment_id), current_app.extensions
    return hear_payer(payment, _page_of(payment.payment_id), lambda payer: announce_payment(
        extensions["database"], extensions["channels"], payment, payer, now=auth.now()))


def recoverable_at(lot_id: int, plate: Plate) -> list[Case]:
    """What the page of a lot's code offers beside the visit."""
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        return list_recoverable_by_plate(
            db, lots.get_lot(db, lot_id), plate, secrets=extensions["secrets"], now=auth.now())


def _find(number: str, text: str) -> Case | None:
    extensions = current_app.extensions
    try:
        check_text(number)
        plate = parse_plate(text)
    except (BadPlate, BadJson):
        return None
    with extensions["database"].reading() as db:
        return find_noticed(db, number, plate, secrets=extensions["secrets"])


def _pay(case: Case, channel: str) -> Any:
    """Make the order and go to its page; sent twice it is one order."""
    if channel not in connected_channels(case.lot_id):
        raise NotConnected(channel)
    way = way_here(case.operator_id, channel)
    payment_id = sibling_uuid(read_id(request.form.get("id", "")), channel, way, case.case_id)
    payment = start_payment(
        current_app.extensions["database"], current_app.extensions["channels"],
        Asked(payment_id, case.lot_id, case.parking_session_id, channel, way), payer_here(_page_of(payment_id)),
        now=auth.now())
    return redirect(page_address(payment, _page_of(payment.payment_id)), code=303)


def _find_order(payment_id: str) -> Payment:
    with current_app.extensions["database"].reading() as db:
        found = find_order_by_id(db, read_id(payment_id))
    if found is None:
        abort(404)
    return found


def _page_of(payment_id: UUID) -> str:
    return f"/arrears/payments/{payment_id}"


def _zone() -> Any:
    return current_app.extensions["config"].city_zone


def _own_page(case_id: str, *, said: str | None = None, typed: dict[str, str] | None = None) -> str:
    case = shown(find_visible(case_id))
    return _case_page(case, {}, said, typed)


def _found_page(
    case: Case, how: dict[str, str], *, said: str | None = None, typed: dict[str, str] | None = None
) -> str:
    with current_app.extensions["database"].reading() as db:
        found = arrears.find_case(db, case.lot_id, case.case_id)
        assert found is not None
        made = present_case(db, found, Viewer(), **list_how())
    return _case_page(made, how, said, typed)


def _case_page(case: dict[str, Any], how: dict[str, str], said: str | None, typed: dict[str, str] | None) -> str:
    """how: the number and the plate that it was found by; empty for a driver's own."""
    can_pay = not case["is_over"] and case["state"] != "upheld" and case["amount_fen"] > 0
    list_channels = connected_channels if how else offered_channels
    return render_template(
        "arrears_case.html", case=case, how=how, said=said, typed=typed or {}, grounds=GROUNDS, words_max=WORDS_MAX,
        law=legal_texts(case), new_id=lambda: str(new_uuid(auth.now())),
        channels=list_channels(parse_lot_id(case["id"])[0]) if can_pay else [])


def _typed() -> dict[str, str]:
    sent = request.form
    typed = {"ground": sent.get("ground", "")[:40], "words": sent.get("words", "").strip(),
             "named": sent.get("named", "").strip()[:NAMED_MAX], "id": sent.get("id", "")}
    try:
        check_text(typed)
    except BadJson:
        raise Problem(400, "bad_request", "The text cannot be kept.") from None
    return typed


def _wrong(typed: dict[str, str]) -> str | None:
    """Why an objection does not say enough; None where it does."""
    if typed["ground"] not in GROUNDS or not typed["words"]:
        return str(gettext("Choose a ground, and say in your own words what happened."))
    if len(typed["words"]) > WORDS_MAX:
        return str(gettext("No more than %(n)s characters.", n=WORDS_MAX))
    if typed["ground"] == "not_the_driver" and not typed["named"]:
        return str(gettext("Name who drove, and say what proves it."))
    return None


def _objection(typed: dict[str, str]) -> Objection:
    named = typed["named"] if typed["ground"] == "not_the_driver" else ""
    return Objection(read_id(typed["id"]), typed["ground"], typed["words"], named)  # type: ignore[arg-type]


def _refusal(refused: Exception) -> str:
    words = {
        WrongStep: gettext("This notice cannot be objected to any more: look at what the case says now."),
        TooLate: gettext("The term to object is over."),
        DeedIdReused: gettext("This was sent before, with something else. Look at what is listed."),
    }
    return str(words[type(refused)])

