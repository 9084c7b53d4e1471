"""Coupons: a merchant's sheets of them, for its page and its programs, and redeeming one for a plate, by anybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, redirect, request

from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.core.lot_code import read_lot_code
from parking.core.validation import COUPONS_MAX
from parking.services.hand_out import (
    AskedSheet,
    NoSheet,
    SheetIdReused,
    find_sheet,
    list_codes,
    make_sheet,
    redeem_coupon,
)
from parking.services.validate import BudgetSpent, MerchantEnded, MoreThanAllowed
from parking.store import lots
from parking.store.coupons import CouponSheet
from parking.store.validations import Given
from parking.web import auth
from parking.web.coupon_paper import write_coupons
from parking.web.errors import Problem
from parking.web.limits import PER_LOT_AND_MINUTE, Limit, network
from parking.web.merchant_contract import (
    DAYS_MAX,
    CouponAnswer,
    CouponRequest,
    CouponSheetAnswer,
    CouponSheetRequest,
    sheet_answer,
)
from parking.web.merchant_desk import desk_page, read_given
from parking.web.merchant_text import refusal_words
from parking.web.openapi import api
from parking.web.printer import print_document
from parking.web.reading import read_body
from parking.web.visits import read_plate

blueprint = Blueprint("coupon_desk", __name__)
_limit, _lot_limit, _print_limit = Limit(), Limit(PER_LOT_AND_MINUTE), Limit(per_minute=10)


@blueprint.post("/v1/merchant/coupon-sheets")
@auth.merchant_desk
@api("Make coupons, each good for one visit; the same id again is the same sheet", body=CouponSheetRequest,
     answer=CouponSheetAnswer, problems=(409,))
def make() -> Any:
    asked = read_body(CouponSheetRequest)
    sheet = _make(AskedSheet(asked.id, asked.count, asked.minutes, asked.fen, asked.days))
    return sheet_answer(sheet, list_codes(sheet, current_app.extensions["secrets"]))


@blueprint.get("/v1/merchant/coupon-sheets/<sheet_id>/sheet.pdf")
@auth.merchant_desk
@api("A sheet of coupons to print and cut", media="application/pdf", problems=(404, 429))
def pdf(sheet_id: str) -> Any:
    return _print(sheet_id)


@blueprint.post("/v1/coupons")
@auth.anyone
@api("Redeem a coupon for a car by its plate; the same again is the same", body=CouponRequest, answer=CouponAnswer,
     problems=(400, 409, 429))
def redeem() -> Any:
    asked = read_body(CouponRequest)
    given = redeem_at_lot(asked.lot_code, asked.coupon, asked.plate)
    return {"minutes": given.minutes, "fen": given.fen}


@blueprint.post("/merchant/coupons")
@auth.merchant_desk
def make_form() -> Any:
    count, days = (_read_number(name, most) for name, most in (("count", COUPONS_MAX), ("days", DAYS_MAX)))
    try:
        name = UUID(request.form.get("id", ""))
    except ValueError:
        raise Problem(400, "bad_request", "The form has no id.", errors=[("id", "a UUID")]) from None
    try:
        _make(AskedSheet(name, count, *read_given(), days))
    except (MerchantEnded, MoreThanAllowed, BudgetSpent, SheetIdReused) as refused:
        return desk_page(refusal_words(refused))
    return redirect("/merchant?done=made#coupons", code=303)


@blueprint.get("/merchant/coupons/<sheet_id>.pdf")
@auth.merchant_desk
def print_page(sheet_id: str) -> Any:
    return _print(sheet_id)


def redeem_at_lot(lot_code: str, coupon: str, plate: str) -> Given:
    """:raises BadLotCode, CouponNotGood, NotPossible; Problem: 429, or 400 for what is no plate"""
    extensions, now = current_app.extensions, auth.now()
    lot_id, _ = read_lot_code(extensions["secrets"].pepper, lot_code)
    _limit.take(network(), now=now)
    _lot_limit.take(str(lot_id), now=now)
    return redeem_here(lot_id, coupon, plate)


def redeem_here(lot_id: int, coupon: str, plate: str) -> Given:
    """Where somebody of the lot's operator asks for it.

    :raises CouponNotGood, NotPossible; Problem: 400, this is no plate
    """
    extensions, now, read = current_app.extensions, auth.now(), read_plate(plate)
    given: Given = extensions["database"].write(lambda db: redeem_coupon(
        db, lot_id, coupon, read, secrets=extensions["secrets"], safe=extensions["key_safe"], now=now))
    return given


def _make(asked: AskedSheet) -> CouponSheet:
    desk, merchant = auth.calling_desk()
    now, secrets = auth.now(), current_app.extensions["secrets"]
    made: CouponSheet = current_app.extensions["database"].write(
        lambda db: make_sheet(db, merchant, desk, asked, secrets=secrets, now=now))
    return made


def _print(sheet_id: str) -> Any:
    desk, merchant = auth.calling_desk()
    extensions = current_app.extensions
    _print_limit.take(str(desk.desk_id), now=auth.now())
    try:
        lot_id, found_id = parse_lot_id(sheet_id)
    except BadIdentifier:
        raise NoSheet from None
    if lot_id != merchant.lot_id:
        raise NoSheet
    with extensions["database"].reading() as db:
        sheet, lot = find_sheet(db, merchant, found_id), lots.get_lot(db, lot_id)
    text = write_coupons(
        sheet, merchant, lot, list_codes(sheet, extensions["secrets"]), base=extensions["config"].public_url,
        pepper=extensions["secrets"].pepper)
    name = f"coupons-{format_lot_id(lot_id, sheet.sheet_id)}.pdf"
    return Response(print_document("coupons", text, dated_at=sheet.made_at), content_type="application/pdf", headers={
        "Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-store"})


def _read_number(name: str, most: int) -> int:
    """:raises Problem: 400, no number from 1 to so many"""
    text = request.form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= most):
        raise Problem(400, "bad_request", "A number is out of its bounds.", errors=[(name, f"from 1 to {most}")])
    return int(text)
