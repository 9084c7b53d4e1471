"""A merchant's desk, a page on a phone or tablet and calls for its till: it validates visits and undoes it.

What it is told is `done`, or that it is not possible: never when a car came, or whether it is here (decision 0022).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.identifier import BadIdentifier, parse_lot_id
from parking.core.money import parse_yuan
from parking.core.validation import COUPONS_MAX, FEN_MAX, MINUTES_MAX, TAKEN_BACK_WITHIN
from parking.services.enlist import CODE_LIVES, TOKEN_PREFIX, BadDeskCode, pair_desk
from parking.services.validate import (
    BudgetSpent,
    MerchantEnded,
    MoreThanAllowed,
    NotPossible,
    NoValidation,
    TooLateToUndo,
    ValidationIdReused,
    Wanted,
    give_validation,
    month_of,
    take_back,
)
from parking.store import coupons, lots, merchants, validations
from parking.store.validations import Given
from parking.web import auth
from parking.web.errors import Problem
from parking.web.limits import Limit, network
from parking.web.merchant_contract import (
    DAYS_MAX,
    DeskAnswer,
    DeskPairRequest,
    DeskTokenAnswer,
    ValidationAnswer,
    ValidationRequest,
    validation_answer,
)
from parking.web.merchant_text import given_words, refusal_words
from parking.web.openapi import api
from parking.web.reading import read_body
from parking.web.visits import read_plate

blueprint = Blueprint("merchant_desk", __name__)
SHOWN_FOR, SHOWN = timedelta(hours=12), 10
_REFUSED = (NotPossible, MerchantEnded, MoreThanAllowed, BudgetSpent, ValidationIdReused)
_limit, _pair_limit = Limit(per_minute=30), Limit(per_minute=10)


@blueprint.post("/v1/merchant/pair")
@auth.anyone
@api("Give a merchant's device its token, for a code that the operator made", body=DeskPairRequest,
     answer=DeskTokenAnswer, problems=(401, 429))
def pair() -> Any:
    return {"token": _pair(read_body(DeskPairRequest).code)}


@blueprint.get("/v1/merchant")
@auth.merchant_desk
@api("What this desk may give, and what is left of the month's budget", answer=DeskAnswer)
def about() -> Any:
    return _about()


@blueprint.post("/v1/merchant/validations")
@auth.merchant_desk
@api("Give a car at this lot minutes, money or both; the same id again is the same validation",
     body=ValidationRequest, answer=ValidationAnswer, problems=(409, 429))
def give() -> Any:
    asked = read_body(ValidationRequest)
    return validation_answer(_give(Wanted(asked.id, asked.minutes, asked.fen), asked.plate))


@blueprint.post("/v1/merchant/validations/<validation_id>/take-back")
@auth.merchant_desk
@api("Undo a validation within ten minutes, while the driver has neither paid nor left with it",
     answer=ValidationAnswer, problems=(404, 409))
def undo(validation_id: str) -> Any:
    return validation_answer(_take_back(validation_id))


@blueprint.get("/merchant")
@auth.merchant_desk
def page() -> Any:
    return _page()


@blueprint.post("/merchant")
@auth.merchant_desk
def give_form() -> Any:
    """Refused, the page says why, and what was typed is not lost."""
    plate = request.form.get("plate", "")[:64]
    try:
        _give(_read_wanted(), plate)
    except _REFUSED as refused:
        return _page(said=refusal_words(refused), plate=plate, status=409)
    except Problem as bad:
        if bad.reason != "bad_plate":
            raise
        return _page(said=gettext("This is not a plate."), plate=plate, status=400)
    return redirect("/merchant?done=given", code=303)


@blueprint.post("/merchant/take-back")
@auth.merchant_desk
def undo_form() -> Any:
    try:
        _take_back(request.form.get("validation", ""))
    except TooLateToUndo as refused:
        return _page(said=refusal_words(refused), status=409)
    return redirect("/merchant?done=undone", code=303)


@blueprint.get("/merchant/pair")
@auth.anyone
def pair_page() -> Any:
    """Where a phone becomes a desk; the console's picture leads here, with the code behind the #."""
    return render_template("merchant_pair.html", failed=False, minutes=CODE_LIVES // timedelta(minutes=1))


@blueprint.post("/merchant/pair")
@auth.anyone
def pair_form() -> Any:
    """Give the browser its desk's token, out of reach of scripts."""
    auth.check_same_site()
    said = request.form.get("code", "").strip()
    try:
        token = said if said.startswith(TOKEN_PREFIX) and auth.find_desk(said) else _pair(said[:64])
    except BadDeskCode:
        return render_template("merchant_pair.html", failed=True, minutes=CODE_LIVES // timedelta(minutes=1)), 401
    answer = redirect("/merchant", code=303)
    answer.set_cookie(
        auth.MERCHANT_COOKIE, token, httponly=True, samesite="Strict", secure=request.is_secure,
        max_age=365 * 24 * 3600, path="/")
    return answer


@blueprint.post("/merchant/unpair")
@auth.anyone
def unpair() -> Any:
    auth.check_same_site()
    answer = redirect("/merchant/pair", code=303)
    answer.delete_cookie(auth.MERCHANT_COOKIE, path="/")
    return answer


def _pair(code: str) -> str:
    now = auth.now()
    _pair_limit.take(network(), now=now)
    token: str = _database().write(lambda db: pair_desk(db, code, now=now))
    return token


def _give(wanted: Wanted, plate: str) -> Given:
    desk, merchant = auth.calling_desk()
    now, extensions = auth.now(), current_app.extensions
    _limit.take(str(desk.desk_id), now=now)
    read = read_plate(plate)
    given: Given = _database().write(lambda db: give_validation(
        db, merchant, desk, wanted, read, secrets=extensions["secrets"], safe=extensions["key_safe"], now=now))
    return given


def _take_back(text: str) -> Given:
    _, merchant = auth.calling_desk()
    try:
        lot_id, validation_id = parse_lot_id(text)
    except BadIdentifier:
        raise NoValidation from None
    if lot_id != merchant.lot_id:
        raise NoValidation
    now, safe = auth.now(), current_app.extensions["key_safe"]
    given: Given = _database().write(lambda db: take_back(db, merchant, validation_id, safe=safe, now=now))
    return given


def _read_wanted() -> Wanted:
    """:raises Problem: 400, the form's fields are not what the page sends"""
    try:
        name = UUID(request.form.get("id", ""))
    except ValueError:
        raise Problem(400, "bad_request", "The form has no id.", errors=[("id", "a UUID")]) from None
    return Wanted(name, *read_given())


def read_given() -> tuple[int, int]:
    """Minutes and fen of a form; what cannot be read is more than anybody may give."""
    minutes, yuan = request.form.get("minutes", "").strip(), request.form.get("yuan", "").strip()
    fen = parse_yuan(yuan) if yuan else 0
    is_number = minutes.isascii() and minutes.isdigit() and len(minutes) < 6
    return (int(minutes) if is_number else 0 if not minutes else MINUTES_MAX + 1), FEN_MAX + 1 if fen is None else fen


def _about() -> dict[str, Any]:
    _, merchant = auth.calling_desk()
    with _database().reading() as db:
        lot = lots.get_lot(db, merchant.lot_id)
        minutes, fen = merchants.find_spent(db, merchant, month_of(lot, auth.now()))
    return {
        "merchant": merchant.name, "lot_id": merchant.lot_id, "is_valid": merchant.is_valid(auth.now()),
        "minutes_each": merchant.minutes_each, "fen_each": merchant.fen_each, "per_visit": merchant.per_visit,
        "minutes_left": None if merchant.minutes_per_month is None else max(0, merchant.minutes_per_month - minutes),
        "fen_left": None if merchant.fen_per_month is None else max(0, merchant.fen_per_month - fen),
    }


def _page(*, said: str | None = None, plate: str = "", status: int = 200) -> Any:
    desk, merchant = auth.calling_desk()
    now = auth.now()
    with _database().reading() as db:
        lot = lots.get_lot(db, merchant.lot_id)
        newest = validations.list_given(db, merchant, since=now - SHOWN_FOR, desk_id=desk.desk_id, limit=SHOWN)
        sheets = coupons.list_sheets(db, merchant)
    return render_template(
        "merchant_desk.html", about=_about(), lot=lot, desk=desk, merchant=merchant, said=said, plate=plate,
        done=request.args.get("done", "")[:10], id=uuid4(), sheet_id=uuid4(), newest=newest, sheets=sheets,
        can_undo=lambda each: each.taken_back_at is None and now - each.given_at <= TAKEN_BACK_WITHIN,
        at=lambda instant: instant.astimezone(lot.zone).strftime("%H:%M"), given_words=given_words, now=now,
        day_of=lambda instant: instant.astimezone(lot.zone).date().isoformat(),
        coupons_max=COUPONS_MAX, days_max=DAYS_MAX), status


def desk_page(said: str) -> Any:
    """The desk with a refusal of something else that is done there."""
    return _page(said=said, status=409)


def _database() -> Any:
    return current_app.extensions["database"]
