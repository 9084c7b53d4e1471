"""Paying: for one's own visit, or for any car by its plate at the lot's code; pages and calls."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request

from parking.core.clock import format_instant
from parking.core.code_picture import link_svg
from parking.core.identifier import BadIdentifier, format_lot_id, new_uuid, parse_lot_id, sibling_uuid
from parking.core.lot_code import BadLotCode, lot_code, read_lot_code
from parking.core.wallet import CHANNEL as WALLET
from parking.services import show, spend
from parking.services.connect import NotConnected
from parking.services.hand_out import CouponNotGood
from parking.services.pay import (
    Asked,
    NothingDue,
    announce_payment,
    find_asked_by_plate,
    find_leave_by,
    find_visit_by_plate,
    start_payment,
)
from parking.services.recover import is_hidden, list_recoverable
from parking.services.show import Viewer
from parking.services.validate import NotPossible
from parking.store import lots, payments
from parking.store.arrears import Case
from parking.store.lots import Lot
from parking.store.payments import Payment
from parking.web import auth
from parking.web.arrears_pages import recoverable_at
from parking.web.channels import connected_channels, offered_channels
from parking.web.contract import PaymentAnswer, PaymentRequest
from parking.web.coupon_desk import redeem_at_lot
from parking.web.errors import Problem
from parking.web.in_app import hear_payer, page_address, page_words, payer_here, picture_of, sheet_of, way_here
from parking.web.limits import PER_LOT_AND_MINUTE, Limit, network
from parking.web.merchant_text import refusal_words
from parking.web.openapi import api
from parking.web.reading import read_body
from parking.web.visits import get_visit, read_plate

blueprint = Blueprint("pay", __name__)
_limit, _lot_limit = Limit(), Limit(PER_LOT_AND_MINUTE)


@blueprint.post("/v1/payments")
@auth.anyone
@api("Ask to pay for a visit", body=PaymentRequest, answer=PaymentAnswer, problems=(401, 404, 409, 429))
def pay() -> Any:
    asked = read_body(PaymentRequest)
    if asked.parking_session_id is not None:
        lot_id, session_id = _own_session(asked.parking_session_id)
    else:
        if asked.channel == WALLET:
            _wallet_owner()
        lot_id, session_id = _asked_by_plate(asked.lot_code or "", asked.plate or "", asked.id)
    if asked.channel == WALLET:
        return _answer(_spend(asked.id, lot_id, session_id, asked.shown_fen))
    return _answer(_start(Asked(asked.id, lot_id, session_id, asked.channel, asked.way), payer=asked.payer or ""))


@blueprint.post("/driver/pay")
@auth.driver
def pay_own() -> Any:
    """From the driver's page: make the order and go to its page."""
    lot_id, session_id = _own_session(request.form.get("parking_session_id", ""))
    return _to_page(_start_from_form(lot_id, session_id, request.form.get("channel", "")))


@blueprint.get("/l/<int:lot>/<lane>")
@auth.anyone
def lot_page(lot: int, lane: str) -> Any:
    """What the code on the wall opens: a plate, and how much is due for it."""
    place = _place(f"{lot}/{lane}")
    return render_template(
        "pay.html", lot=place, asked=None, plate="", path=request.path, coupon=request.args.get("coupon", "")[:64])


@blueprint.post("/l/<int:lot>/<lane>")
@auth.anyone
def lot_form(lot: int, lane: str) -> Any:
    code = f"{lot}/{lane}"
    place, text = _place(code), request.form.get("plate", "")[:64]
    coupon, coupon_said = request.form.get("coupon", "")[:64], None
    try:
        coupon_said = _redeem(code, coupon, text) if coupon else None
        _, session_id, due = _due_by_plate(code, text)
    except (NothingDue, Problem) as refused:
        if isinstance(refused, Problem) and refused.status != 400:
            raise
        bad = isinstance(refused, Problem)
        owing = () if bad else _arrears_of(lot, text)
        return render_template(
            "pay.html", lot=place, asked="bad_plate" if bad else "arrears" if owing else "nothing", plate=text,
            path=request.path, id=new_uuid(auth.now()), owing=owing,
            coupon="" if coupon_said == "taken" else coupon, coupon_said=coupon_said,
        ), 400 if bad else 200
    if "pay" in request.form:
        return _to_page(_start_from_form(lot, session_id, request.form["pay"]))
    return render_template(
        "pay.html", lot=place, asked="due", due=due, plate=text, path=request.path, id=new_uuid(auth.now()),
        channels=offered_channels(lot), coupon="" if coupon_said == "taken" else coupon, coupon_said=coupon_said,
        owing=_arrears_of(lot, text))


@blueprint.get("/payments/<payment_id>")
@auth.anyone
def payment_page(payment_id: str) -> Any:
    """One order: what to do, and what became of it. Its id cannot be guessed, and it shows an amount only;
    a driver who may see the visit finds the way to it.
    """
    hidden = _find_hidden(payment_id)
    if hidden is not None:
        return redirect(f"/arrears/payments/{hidden}", code=303)
    payment, lot = _find(payment_id)
    answer = _answer(payment)
    name = "_payment.html" if request.headers.get("HX-Request") else "payment.html"
    page = _page_of(payment.lot_id, payment.payment_id)
    return render_template(
        name, payment=answer, channel=payment.channel, lot=lot, picture=picture_of(payment, page), id=payment_id,
        is_over=payment.expires_at <= auth.now(),
        visit=_visit_of_driver(payment) if payment.state == "paid" else None,
        owing=_arrears_of_driver() if payment.state == "paid" else [], **page_words(payment, page))


@blueprint.get("/payments/<payment_id>/payer")
@auth.anyone
def payer(payment_id: str) -> Any:
    """Who pays, of an order inside a channel's app."""
    if _find_hidden(payment_id) is not None:
        abort(404)
    (payment, _), extensions = _find(payment_id), current_app.extensions
    return hear_payer(payment, _page_of(payment.lot_id, payment.payment_id), lambda payer: announce_payment(
        extensions["database"], extensions["channels"], payment, payer, now=auth.now()))


@blueprint.get("/gate/pay.svg")
@auth.terminal
def lane_picture() -> Any:
    """The code of this lane's lot, for the gate page to show to who must pay."""
    terminal = auth.calling_terminal()
    text = lot_code(_secrets().pepper, terminal.lot.lot_id, terminal.gate_id)
    answer = Response(link_svg(f"{_base()}/l/{text}"), content_type="image/svg+xml")
    answer.headers["Cache-Control"] = "private, max-age=300"
    return answer


def _arrears_of(lot_id: int, text: str) -> list[tuple[UUID, int, list[str]]]:
    """Arrears that may be paid beside the visit: each with its amount and its channels, and nothing of where it was."""
    return [(each.case_id, each.amount_fen, connected_channels(each.lot_id))
            for each in recoverable_at(lot_id, read_plate(text))]


def _start_from_form(lot_id: int, session_id: UUID, channel: str) -> Payment:
    """The order of a form that was sent: twice is one order, by another channel another."""
    if channel == WALLET:
        return _spend(sibling_uuid(_form_id(), channel), lot_id, session_id, _shown_fen())
    if channel not in connected_channels(lot_id):
        raise NotConnected(channel)
    with _reading() as db:
        operator_id = lots.get_lot(db, lot_id).operator_id
    way = way_here(operator_id, channel)
    return _start(Asked(sibling_uuid(_form_id(), channel, way), lot_id, session_id, channel, way))


def _start(asked: Asked, *, payer: str = "") -> Payment:
    return start_payment(
        current_app.extensions["database"], current_app.extensions["channels"], asked,
        payer_here(_page_of(asked.lot_id, asked.payment_id), payer), now=auth.now())


def _spend(payment_id: UUID, lot_id: int, session_id: UUID, shown_fen: int | None) -> Payment:
    """Pay from the wallet of the driver who calls."""
    asked, now = spend.Asked(payment_id, lot_id, session_id, _wallet_owner(), shown_fen), auth.now()
    safe = current_app.extensions["key_safe"]
    paid: Payment = current_app.extensions["database"].write(
        lambda db: spend.pay_from_wallet(db, asked, safe=safe, now=now))
    return paid


def _wallet_owner() -> UUID:
    """:raises Problem: 401, no driver is signed in"""
    person = auth.person()
    if person is None or person.driver_id is None:
        raise Problem(401, "not_signed_in", "Sign in as a driver to pay from a wallet.")
    return person.driver_id


def _shown_fen() -> int:
    """What the form's page showed as due."""
    try:
        return int(request.form.get("shown_fen", "")[:12])
    except ValueError:
        abort(400)


def _page_of(lot_id: int, payment_id: UUID) -> str:
    return f"/payments/{format_lot_id(lot_id, payment_id)}"


def _base() -> str:
    return str(current_app.extensions["config"].public_url)


def _answer(payment: Payment) -> dict[str, Any]:
    with _reading() as db:
        lot, leave_by = lots.get_lot(db, payment.lot_id), find_leave_by(db, payment, now=auth.now())
    shown = payment.shown if payment.state == "asked" else None
    return {
        "id": format_lot_id(payment.lot_id, payment.payment_id), "amount_fen": payment.amount_fen,
        "state": payment.state, "qr_text": shown if payment.way == "qr" else None,
        "redirect": shown if payment.way == "redirect" else None, "in_app": sheet_of(payment),
        "expires_at": format_instant(payment.expires_at, lot.zone),
        "leave_by": format_instant(leave_by, lot.zone) if leave_by else None,
    }


def _visit_of_driver(payment: Payment) -> dict[str, Any] | None:
    """The visit that was paid for, where a driver is signed in who may see it."""
    viewer = Viewer(auth.viewer().driver_id)
    with _reading() as db:
        return show.find_session(
            db, viewer, payment.lot_id, payment.parking_session_id, secrets=_secrets(), now=auth.now())


def _arrears_of_driver() -> list[Case]:
    """What a driver who has paid may pay next."""
    driver_id = auth.viewer().driver_id
    if driver_id is None:
        return []
    with _reading() as db:
        return list_recoverable(db, driver_id)


def _find_hidden(public_id: str) -> UUID | None:
    """An order for arrears, to who may not see the visit: whatever lot is named with it, or lots could be tried."""
    try:
        _, payment_id = parse_lot_id(public_id)
    except BadIdentifier:
        abort(404)
    with _reading() as db:
        return payment_id if is_hidden(db, auth.viewer(), payment_id) else None


def _find(public_id: str) -> tuple[Payment, Lot]:
    try:
        lot_id, payment_id = parse_lot_id(public_id)
    except BadIdentifier:
        abort(404)
    with _reading() as db:
        payment = payments.find_payment(db, lot_id, payment_id)
        if payment is None:
            abort(404)
        return payment, lots.get_lot(db, lot_id)


def _own_session(text: str) -> tuple[int, UUID]:
    """:raises Problem: 401 for nobody, 404 alike for an absent visit and one of somebody else"""
    person = auth.person()
    if person is None or person.driver_id is None:
        raise Problem(401, "not_signed_in", "Sign in as a driver, or pay by plate and lot code.")
    get_visit(text)
    return parse_lot_id(text)


def _asked_by_plate(code: str, text: str, payment_id: UUID) -> tuple[int, UUID]:
    """The lot and the visit that are paid for by plate: those of the order of this id, if it was asked for before.

    :raises NothingDue, Problem: as _due_by_plate; PaymentIdReused: another's id
    """
    lot_id, _ = read_lot_code(_secrets().pepper, code)
    plate = read_plate(text)
    with _reading() as db:
        known = find_asked_by_plate(db, payment_id, lot_id, plate, secrets=_secrets())
    return known or _due_by_plate(code, text)[:2]


def _due_by_plate(code: str, text: str) -> tuple[int, UUID, int]:
    """The lot, the visit and what is due for it.

    :raises NothingDue: alike for an absent car; Problem: 429, or 400 for what is no plate
    """
    lot_id, _ = read_lot_code(_secrets().pepper, code)
    _limit.take(network(), now=auth.now())
    _lot_limit.take(str(lot_id), now=auth.now())
    plate = read_plate(text)
    with _reading() as db:
        found = find_visit_by_plate(db, lot_id, plate, secrets=_secrets(), now=auth.now())
    if found is None:
        raise NothingDue
    return lot_id, *found


def _redeem(code: str, coupon: str, plate: str) -> str:
    """`taken`, or why it was not.

    :raises Problem: 429, or 400 for what is no plate
    """
    try:
        redeem_at_lot(code, coupon, plate)
    except (CouponNotGood, NotPossible) as refused:
        return refusal_words(refused)
    return "taken"


def _place(code: str) -> Lot:
    try:
        lot_id, _ = read_lot_code(_secrets().pepper, code)
    except BadLotCode:
        abort(404)
    with _reading() as db:
        found: Lot | None = lots.find_lot(db, lot_id)
    if found is None:
        abort(404)
    return found


def _form_id() -> UUID:
    """The id that the page made."""
    try:
        return UUID(request.form.get("id", ""))
    except ValueError:
        abort(400)


def _to_page(payment: Payment) -> Any:
    return redirect(page_address(payment, _page_of(payment.lot_id, payment.payment_id)), code=303)


def _reading() -> Any:
    return current_app.extensions["database"].reading()


def _secrets() -> Any:
    return current_app.extensions["secrets"]
