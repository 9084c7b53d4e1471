"""Payments of channels without a connection: recorded, given back, and a template of the statement that they have."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response, current_app
from pydantic import Field

from parking.core.clock import format_instant
from parking.core.identifier import format_lot_id
from parking.core.statement_csv import is_other, write_template
from parking.services.reconcile import find_own_account
from parking.services.take_other import TakenElsewhere, give_back_other, take_other
from parking.web import auth
from parking.web.contract import AccountQuery, Answer, FenCount, InstantText, Strict, UuidText
from parking.web.errors import Problem
from parking.web.money_contract import AMOUNT_MAX
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.visits import read_visit_id

blueprint = Blueprint("other_channels", __name__)
TheirNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z_\-*|@]{1,64}$")]
EXAMPLE = (
    ("payment", "8f14e45fceea467a9b1d2c3f4a5b6c7d", "ETC0001", "2026-03-10T09:41:07+08:00", 1500),
    ("fee", "8f14e45fceea467a9b1d2c3f4a5b6c7d", "", "", 9),
)


class OtherPaymentRequest(Strict):
    """number: the channel's own, once for each payment; amount_fen: no more than is due."""

    id: UuidText
    channel: Annotated[str, Field(pattern=r"^other_[a-z0-9]{2,16}$")]
    parking_session_id: Annotated[str, Field(min_length=1, max_length=64)]
    amount_fen: Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
    number: TheirNumber
    paid_at: InstantText


class OtherPaymentAnswer(Answer):
    """order_no: our number, which the channel's statement names."""

    id: str
    order_no: str
    channel: str
    parking_session_id: str
    amount_fen: FenCount
    paid_at: str


class OtherRefundRequest(Strict):
    """What was owed back was given back. order_no: our number of the refund; number: the channel's."""

    order_no: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    number: TheirNumber
    given_at: InstantText


class OtherRefundAnswer(Answer):
    order_no: str
    amount_fen: FenCount
    state: str


@blueprint.post("/v1/other-payments")
@auth.operator
@api("Record a payment that came by a channel without a connection here", body=OtherPaymentRequest,
     answer=OtherPaymentAnswer, problems=(404, 409))
def payments() -> Any:
    sent = read_body(OtherPaymentRequest)
    lot_id, session_id = read_visit_id(sent.parking_session_id)
    taken = TakenElsewhere(
        sent.id, lot_id, session_id, sent.channel, sent.amount_fen, sent.number, sent.paid_at)
    operator_id, now, safe = auth.operator_id(), auth.now(), current_app.extensions["key_safe"]
    made = _database().write(lambda db: take_other(db, taken, operator_id=operator_id, safe=safe, now=now))
    return {
        "id": format_lot_id(made.lot_id, made.payment_id), "order_no": made.order_no, "channel": made.channel,
        "parking_session_id": format_lot_id(made.lot_id, made.parking_session_id), "amount_fen": made.amount_fen,
        "paid_at": format_instant(made.paid_at)}


@blueprint.post("/v1/other-refunds")
@auth.operator
@api("Record that what was owed back by such a channel was given back", body=OtherRefundRequest,
     answer=OtherRefundAnswer, problems=(404,))
def refunds() -> Any:
    sent = read_body(OtherRefundRequest)
    operator_id, now = auth.operator_id(), auth.now()
    done = _database().write(lambda db: give_back_other(
        db, operator_id, sent.order_no, number=sent.number, given_at=sent.given_at, now=now))
    return {"order_no": done.refund_no, "amount_fen": done.amount_fen, "state": done.state}


@blueprint.get("/console/days/template")
@auth.operator
def template() -> Any:
    """The documented CSV with two rows as an example."""
    with _database().reading() as db:
        account = find_own_account(db, auth.operator_id(), None, read_query(AccountQuery).account)
    if not is_other(account.channel):
        raise Problem(404, "not_found", "This account's channel writes statements of its own.")
    return Response(write_template(account.merchant_no, EXAMPLE), content_type="text/csv; charset=utf-8", headers={
        "Content-Disposition": f'attachment; filename="statement-{account.merchant_no}.csv"',
        "Cache-Control": "no-store"})


def _database() -> Any:
    return current_app.extensions["database"]
