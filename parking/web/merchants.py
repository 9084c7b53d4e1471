"""Merchants of an operator's lots, for programs: who may validate, at which desks, what they owe and that they paid."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app

from parking.core.clock import city_date, format_instant
from parking.core.identifier import format_lot_id
from parking.services.bill_merchant import MerchantStatement, make_statement, owes_fen, record_payment
from parking.services.enlist import NoMerchant, end_merchant, find_merchant, make_desk, register_merchant, revoke_desk
from parking.services.validate import month_of
from parking.store import lots, merchant_desks, merchants
from parking.store.merchant_payments import MerchantPayment
from parking.store.merchants import Merchant
from parking.web import auth
from parking.web.merchant_contract import (
    MerchantAnswer,
    MerchantDeskMade,
    MerchantDeskRequest,
    MerchantDesksAnswer,
    MerchantMonthQuery,
    MerchantPaidAnswer,
    MerchantPaymentRequest,
    MerchantRequest,
    MerchantsAnswer,
    MerchantsQuery,
    MerchantStatementAnswer,
    desk_answer,
    merchant_answer,
)
from parking.web.merchant_text import statement_sheets
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.sheet import to_csv

blueprint = Blueprint("merchants", __name__)


@blueprint.get("/v1/merchants")
@auth.operator
@api("The merchants that may validate at your lots, and what they owe", query=MerchantsQuery, answer=MerchantsAnswer)
def list_all() -> Any:
    return {"items": list_merchants(read_query(MerchantsQuery).lot)}


@blueprint.post("/v1/merchants")
@auth.operator
@api("Let a merchant validate at a lot of yours whose tariff has a rule for it; the same id again is the same merchant",
     body=MerchantRequest, answer=MerchantAnswer, problems=(404, 409))
def add() -> Any:
    return tell(add_merchant(read_body(MerchantRequest)))


@blueprint.post("/v1/merchants/<merchant_id>/end")
@auth.operator
@api("It validates no more, and its coupons are worth nothing; what was given stays", answer=MerchantAnswer,
     problems=(404,))
def end(merchant_id: str) -> Any:
    return tell(end_now(merchant_id))


@blueprint.get("/v1/merchants/<merchant_id>/desks")
@auth.operator
@api("The desks of a merchant, newest first", answer=MerchantDesksAnswer, problems=(404,))
def desks(merchant_id: str) -> Any:
    with _database().reading() as db:
        merchant = find_merchant(db, auth.operator_id(), read_merchant_id(merchant_id))
        return {"items": [desk_answer(each) for each in merchant_desks.list_desks(db, merchant.merchant_id)]}


@blueprint.post("/v1/merchants/<merchant_id>/desks")
@auth.operator
@api("A code that pairs one phone or tablet of a merchant, within ten minutes", body=MerchantDeskRequest,
     answer=MerchantDeskMade, problems=(404,))
def add_desk(merchant_id: str) -> Any:
    desk, code = add_desk_of(merchant_id, read_body(MerchantDeskRequest).name)
    return {"desk": desk_answer(desk), "code": code, "code_until": format_instant(desk.code_until),
            "address": pair_address(code)}


@blueprint.post("/v1/merchants/<merchant_id>/desks/<desk_id>/revoke")
@auth.operator
@api("A desk's token opens nothing any more", answer=MerchantDesksAnswer, problems=(404,))
def revoke(merchant_id: str, desk_id: str) -> Any:
    revoke_now(merchant_id, desk_id)
    return desks(merchant_id)


@blueprint.get("/v1/merchants/<merchant_id>/statement")
@auth.operator
@api("What a merchant owes for a month, visit by visit", query=MerchantMonthQuery, answer=MerchantStatementAnswer,
     problems=(404,))
def statement(merchant_id: str) -> Any:
    found = find_statement(merchant_id, read_query(MerchantMonthQuery).month)
    zone = found.lot.zone
    return {
        "merchant_id": str(found.merchant.merchant_id), "month": found.month.isoformat()[:7], "time_zone": zone.key,
        "opening_fen": found.opening_fen, "sponsored_fen": found.sponsored_fen, "paid_fen": found.paid_fen,
        "closing_fen": found.closing_fen, "given": found.given_count,
        "lines": [
            {"validation_id": format_lot_id(given.lot_id, given.validation_id),
             "given_at": format_instant(given.given_at, zone), "minutes": given.minutes, "fen": given.fen,
             "booked_on": city_date(made.booked_at, zone).isoformat(), "amount_fen": made.signed_fen}
            for made, given in found.lines],
        "payments": [_paid(each, zone) for each in found.payments],
    }


@blueprint.get("/v1/merchants/<merchant_id>/statement.csv")
@auth.operator
@api("The same as a table", query=MerchantMonthQuery, media="text/csv", problems=(404,))
def statement_csv(merchant_id: str) -> Any:
    found = find_statement(merchant_id, read_query(MerchantMonthQuery).month)
    return send_statement(to_csv(statement_sheets(found)["lines"]), "text/csv; charset=utf-8", found, "csv")


@blueprint.post("/v1/merchants/<merchant_id>/payments")
@auth.operator
@api("Say that a merchant paid, with the bank's reference; the same id again is the same payment",
     body=MerchantPaymentRequest, answer=MerchantPaidAnswer, problems=(404, 409))
def pay(merchant_id: str) -> Any:
    asked = read_body(MerchantPaymentRequest)
    made = pay_now(merchant_id, asked.id, asked.amount_fen, asked.reference)
    with _database().reading() as db:
        return _paid(made, lots.get_lot(db, made.lot_id).zone)


def list_merchants(lot_id: int | None = None) -> list[dict[str, Any]]:
    with _database().reading() as db:
        found = merchants.list_merchants(db, auth.operator_id(), lot_id=lot_id)
        places = {each.lot_id: lots.get_lot(db, each.lot_id) for each in found}
        return [merchant_answer(
            each, places[each.lot_id],
            merchants.find_spent(db, each, month_of(places[each.lot_id], auth.now())), owes_fen(db, each))
            for each in found]


def tell(merchant: Merchant) -> dict[str, Any]:
    with _database().reading() as db:
        lot = lots.get_lot(db, merchant.lot_id)
        return merchant_answer(
            merchant, lot, merchants.find_spent(db, merchant, month_of(lot, auth.now())), owes_fen(db, merchant))


def add_merchant(asked: MerchantRequest) -> Merchant:
    now = auth.now()
    made = Merchant(
        asked.id, asked.lot_id, auth.operator_id(), asked.name, asked.minutes_each, asked.fen_each, asked.per_visit,
        asked.minutes_per_month, asked.fen_per_month, asked.from_at or now, asked.until_at, None, auth.staff_id(), now)
    added: Merchant = _write(lambda db: register_merchant(db, made, now=now))
    return added


def end_now(merchant_id: str) -> Merchant:
    found, operator_id, now = read_merchant_id(merchant_id), auth.operator_id(), auth.now()
    ended: Merchant = _write(lambda db: end_merchant(db, operator_id, found, now=now))
    return ended


def add_desk_of(merchant_id: str, name: str) -> Any:
    found, operator_id, by, now = read_merchant_id(merchant_id), auth.operator_id(), auth.staff_id(), auth.now()
    return _write(lambda db: make_desk(db, operator_id, found, name=name, by=by, now=now))


def revoke_now(merchant_id: str, desk_id: str) -> None:
    found, desk, operator_id, now = (
        read_merchant_id(merchant_id), read_merchant_id(desk_id), auth.operator_id(), auth.now())
    _write(lambda db: revoke_desk(db, operator_id, found, desk, now=now))


def pay_now(merchant_id: str, payment_id: UUID, amount_fen: int, reference: str) -> MerchantPayment:
    found, operator_id, by, now = read_merchant_id(merchant_id), auth.operator_id(), auth.staff_id(), auth.now()
    made: MerchantPayment = _write(lambda db: record_payment(
        db, operator_id, found, payment_id=payment_id, amount_fen=amount_fen, reference=reference, by=by, now=now))
    return made


def find_statement(merchant_id: str, month: date | None) -> MerchantStatement:
    """Of a month; without one, of this month so far."""
    with _database().reading() as db:
        merchant = find_merchant(db, auth.operator_id(), read_merchant_id(merchant_id))
        today = city_date(auth.now(), lots.get_lot(db, merchant.lot_id).zone)
        return make_statement(db, auth.operator_id(), merchant.merchant_id, month or today)


def pair_address(code: str) -> str:
    """Where a device opens its desk; the code stands behind the #, where no server sees it."""
    return f"{current_app.extensions['config'].public_url}/merchant/pair#pairing={code}"


def send_statement(body: bytes, kind: str, found: MerchantStatement, ending: str) -> Response:
    name = f"merchant-{found.merchant.lot_id}-{str(found.merchant.merchant_id)[-12:]}-{found.month.isoformat()[:7]}"
    return Response(body, content_type=kind, headers={
        "Content-Disposition": f'attachment; filename="{name}.{ending}"', "Cache-Control": "no-store"})


def read_merchant_id(text: str) -> UUID:
    """:raises NoMerchant: it is no id, alike for another operator's"""
    try:
        found = UUID(text)
    except ValueError:
        raise NoMerchant from None
    if str(found) != text:
        raise NoMerchant
    return found


def _paid(payment: MerchantPayment, zone: Any) -> dict[str, Any]:
    return {
        "id": format_lot_id(payment.lot_id, payment.payment_id), "amount_fen": payment.amount_fen,
        "reference": payment.reference, "recorded_at": format_instant(payment.recorded_at, zone)}


def _write(deed: Any) -> Any:
    return _database().write(deed)


def _database() -> Any:
    return current_app.extensions["database"]
