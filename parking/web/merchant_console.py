"""Merchants at the console: who may validate, pairing and revoking desks, a month's statement, and what was paid."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext
from markupsafe import Markup
from pydantic import ValidationError

from parking.core.clock import BadInstant, start_of_day
from parking.core.code_picture import link_svg
from parking.core.money import parse_yuan
from parking.core.validation import FEN_MAX, MINUTES_MAX, PER_VISIT_MAX, takes_validations
from parking.services.assign import NoLot
from parking.services.bill_merchant import MerchantPaymentIdReused
from parking.services.enlist import MerchantIdReused, TariffTakesNone
from parking.store import lots, merchant_desks, tariffs
from parking.web import auth
from parking.web.account_books import XLSX
from parking.web.cash_form import read_form_id, read_text
from parking.web.contract import parse_date
from parking.web.merchant_contract import MerchantMonthQuery, MerchantRequest
from parking.web.merchant_text import given_words, refusal_words, statement_sheets
from parking.web.merchants import (
    add_desk_of,
    add_merchant,
    end_now,
    find_statement,
    list_merchants,
    pair_address,
    pay_now,
    revoke_now,
    send_statement,
    tell,
)
from parking.web.money_contract import AMOUNT_MAX
from parking.web.reading import read_query
from parking.web.sheet import to_csv, to_xlsx

blueprint = Blueprint("merchant_console", __name__)
MONTHS_SHOWN = 13


@blueprint.get("/console/merchants")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/merchants")
@auth.operator
def add() -> Any:
    """Refused, the page says why, and what was typed is not lost."""
    try:
        made = add_merchant(_read_merchant())
    except (ValidationError, BadInstant, ValueError, OverflowError):
        return _page(said=gettext("Look over what was typed: something is missing, or out of its bounds."), status=400)
    except (TariffTakesNone, MerchantIdReused) as refused:
        return _page(said=refusal_words(refused), status=409)
    except NoLot:
        return _page(said=gettext("Choose one of your car parks."), status=404)
    return redirect(f"/console/merchants/{made.merchant_id}", code=303)


@blueprint.get("/console/merchants/<merchant_id>")
@auth.operator
def merchant(merchant_id: str) -> Any:
    return _merchant(merchant_id)


@blueprint.post("/console/merchants/<merchant_id>/end")
@auth.operator
def end(merchant_id: str) -> Any:
    end_now(merchant_id)
    return redirect(f"/console/merchants/{merchant_id}", code=303)


@blueprint.post("/console/merchants/<merchant_id>/desks")
@auth.operator
def desk(merchant_id: str) -> Any:
    """The code for one device, shown once, with its picture."""
    name = read_text("name", 100)
    if not name:
        return _merchant(merchant_id, said=gettext("Give the desk a name."), status=400)
    made, code = add_desk_of(merchant_id, name)
    return render_template(
        "merchant_code.html", code=code, picture=Markup(link_svg(pair_address(code))), desk=made,  # noqa: S704
        merchant_id=merchant_id)


@blueprint.post("/console/merchants/<merchant_id>/desks/<desk_id>/revoke")
@auth.operator
def revoke(merchant_id: str, desk_id: str) -> Any:
    revoke_now(merchant_id, desk_id)
    return redirect(f"/console/merchants/{merchant_id}", code=303)


@blueprint.post("/console/merchants/<merchant_id>/payments")
@auth.operator
def paid(merchant_id: str) -> Any:
    reference, amount_fen = read_text("reference", 100), parse_yuan(request.form.get("yuan", ""))
    if not reference or not amount_fen or amount_fen > AMOUNT_MAX:
        return _merchant(merchant_id, said=gettext("An amount such as 12.50, and the bank's reference."), status=400)
    try:
        pay_now(merchant_id, read_form_id(), amount_fen, reference)
    except MerchantPaymentIdReused as refused:
        return _merchant(merchant_id, said=refusal_words(refused), status=409)
    return redirect(f"/console/merchants/{merchant_id}", code=303)


@blueprint.get("/console/merchants/<merchant_id>/statement.xlsx")
@auth.operator
def workbook(merchant_id: str) -> Any:
    found = find_statement(merchant_id, read_query(MerchantMonthQuery).month)
    return send_statement(to_xlsx(list(statement_sheets(found).values())), XLSX, found, "xlsx")


@blueprint.get("/console/merchants/<merchant_id>/statement.csv")
@auth.operator
def table(merchant_id: str) -> Any:
    found = find_statement(merchant_id, read_query(MerchantMonthQuery).month)
    return send_statement(to_csv(statement_sheets(found)["lines"]), "text/csv; charset=utf-8", found, "csv")


def _page(*, said: str | None = None, status: int = 200) -> Any:
    with _database().reading() as db:
        places = [lot for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())]
        in_force = {lot.lot_id: tariffs.find_tariff_of_lot(db, lot.lot_id, at=auth.now()) for lot in places}
    takes = {number for number, found in in_force.items() if found is not None and takes_validations(found.tariff)}
    return render_template(
        "merchants.html", items=list_merchants(), lots={lot.lot_id: lot for lot in places}, takes=takes, said=said,
        id=uuid4(), typed=request.form, given_words=given_words, per_visit_max=PER_VISIT_MAX,
        minutes_max=MINUTES_MAX), status


def _merchant(merchant_id: str, *, said: str | None = None, status: int = 200) -> Any:
    month = read_query(MerchantMonthQuery).month
    found = find_statement(merchant_id, month)
    with _database().reading() as db:
        desks = merchant_desks.list_desks(db, found.merchant.merchant_id)
    return render_template(
        "merchant.html", merchant=tell(found.merchant), statement=found, sheets=statement_sheets(found), desks=desks,
        said=said, id=uuid4(), typed=request.form, given_words=given_words, lot=found.lot, now=auth.now(),
        months=_months(found.merchant.created_at.astimezone(found.lot.zone).date(),
                       auth.now().astimezone(found.lot.zone).date())), status


def _months(first: date, last: date) -> list[str]:
    """Newest first."""
    found: list[str] = []
    month = last.replace(day=1)
    while month >= first.replace(day=1) and len(found) < MONTHS_SHOWN:
        found.append(month.isoformat()[:7])
        month = (month - timedelta(days=1)).replace(day=1)
    return found


def _read_merchant() -> MerchantRequest:
    """:raises ValidationError, ValueError: something is missing or out of its bounds"""
    form = request.form
    lot_id = _number("lot_id")
    return MerchantRequest.model_validate({
        "id": str(read_form_id()), "lot_id": lot_id, "name": read_text("name", 100),
        "minutes_each": _number("minutes_each") or 0, "fen_each": _fen("yuan_each", FEN_MAX) or 0,
        "per_visit": _number("per_visit"), "minutes_per_month": _number("minutes_per_month"),
        "fen_per_month": _fen("yuan_per_month", AMOUNT_MAX), "from_at": _day(form.get("first", ""), lot_id),
        "until_at": _day(form.get("last", ""), lot_id, after=True),
    })


def _number(name: str) -> int | None:
    """None where nothing was typed; -1, which is nowhere allowed, for what is no number."""
    text = request.form.get(name, "").strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _fen(name: str, most: int) -> int | None:
    text = request.form.get(name, "").strip()
    fen = parse_yuan(text) if text else None
    return -1 if text and (fen is None or fen > most) else fen


def _day(text: str, lot_id: int | None, *, after: bool = False) -> str | None:
    """The beginning of a day at a lot, or of the day after it, as the contract takes an instant."""
    if not text:
        return None
    day = parse_date(text)
    if day is None:
        raise ValueError("no day")
    with _database().reading() as db:
        lot = lots.find_lot(db, lot_id) if lot_id and 0 < lot_id < 65_536 else None
    if lot is None:
        raise NoLot
    instant: datetime = start_of_day(day + timedelta(days=1 if after else 0), lot.zone)
    return instant.isoformat()


def _database() -> Any:
    return current_app.extensions["database"]
