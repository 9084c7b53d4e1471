"""What operators are settled, for programs: worked out, proposed, agreed to, and as files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app
from flask_babel import force_locale
from sqlalchemy.orm import Session

from parking.core.clock import city_date
from parking.core.credit_transfer import CURRENCY, CreditTransfer, write_pain001
from parking.core.settlement import Figures
from parking.services.account import BadPeriod, Period
from parking.services.remit import find_transfer
from parking.services.settle import (
    ZONE,
    Kept,
    Standing,
    approve_settlement,
    choose_period,
    find_settlement,
    find_standing,
    propose_settlement,
    reject_settlement,
    work_out,
)
from parking.services.show import read_cursor, write_cursor
from parking.store import channel_accounts, lots, operators, settlements
from parking.store.settlements import Settlement
from parking.web import auth
from parking.web.contract import ReceiptQuery
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.pages import choose_language
from parking.web.printer import print_document
from parking.web.reading import read_body, read_query
from parking.web.settlement_contract import (
    PaymentFileQuery,
    PeriodQuery,
    PreviewAnswer,
    SettlementAnswer,
    SettlementRejection,
    SettlementRequest,
    SettlementRowAnswer,
    SettlementsAnswer,
    SettlementsQuery,
    figures_answer,
    settlement_answer,
    settlement_row_answer,
)
from parking.web.settlement_text import Names, print_data, settlement_sheets
from parking.web.sheet import Sheet, to_csv, to_xlsx

blueprint = Blueprint("settlements", __name__)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv"


@blueprint.get("/v1/settlement-preview")
@auth.operator
@api("What a period comes to now, in fen; it settles nothing", query=PeriodQuery, answer=PreviewAnswer,
     problems=(400,))
def preview() -> Any:
    asked = read_query(PeriodQuery)
    figures, standing, period = show_period(asked.first, asked.last)
    return {
        **figures_answer(figures), "is_next": standing.settles(period) and not standing.is_waiting,
        "next_first": standing.next_first.isoformat() if standing.next_first else None,
    }


@blueprint.post("/v1/settlements")
@auth.operator
@api("Settle the next period: closed at once, or above your limit left for a second person",
     body=SettlementRequest, answer=SettlementRowAnswer, problems=(409,))
def propose() -> Any:
    asked = read_body(SettlementRequest)
    return settlement_row_answer(propose_period(asked.id, asked.first, asked.last))


@blueprint.get("/v1/settlements")
@auth.operator
@api("Your settlements, newest first", query=SettlementsQuery, answer=SettlementsAnswer)
def settlement_list() -> Any:
    asked = read_query(SettlementsQuery)
    items, cursor = list_kept(asked.cursor, asked.limit, asked.state)
    return {"items": [settlement_row_answer(each) for each in items], "next_cursor": cursor}


@blueprint.get("/v1/settlements/<settlement_id>")
@auth.operator
@api("A settlement with its figures, and the text that its hash is of", answer=SettlementAnswer, problems=(404,))
def settlement(settlement_id: str) -> Any:
    return settlement_answer(find_kept(settlement_id))


@blueprint.post("/v1/settlements/<settlement_id>/approve")
@auth.operator
@api("Agree, as a second person: it is closed", answer=SettlementRowAnswer, problems=(403, 404, 409))
def approve(settlement_id: str) -> Any:
    return settlement_row_answer(decide_kept(settlement_id, approve_settlement))


@blueprint.post("/v1/settlements/<settlement_id>/reject")
@auth.operator
@api("Do not agree, as a second person", body=SettlementRejection, answer=SettlementRowAnswer,
     problems=(403, 404, 409))
def reject(settlement_id: str) -> Any:
    return settlement_row_answer(
        decide_kept(settlement_id, reject_settlement, why=read_body(SettlementRejection).why))


@blueprint.get("/v1/settlements/<settlement_id>/settlement.xlsx")
@auth.operator
@api("A settlement's tables as a workbook", query=ReceiptQuery, media=XLSX, problems=(404,))
def workbook(settlement_id: str) -> Any:
    sheets, kept = _sheets(settlement_id)
    return send_file(to_xlsx(list(sheets.values())), XLSX, f"{_saved_as(kept)}.xlsx")


@blueprint.get("/v1/settlements/<settlement_id>/lots.csv")
@auth.operator
@api("A settlement's lots as CSV, in yuan", query=ReceiptQuery, media=CSV, problems=(404,))
def lots_csv(settlement_id: str) -> Any:
    sheets, kept = _sheets(settlement_id)
    return send_file(to_csv(sheets["lots"]), f"{CSV}; charset=utf-8", f"{_saved_as(kept)}-lots.csv")


@blueprint.get("/v1/settlements/<settlement_id>/days.csv")
@auth.operator
@api("A settlement's days as CSV, in yuan", query=ReceiptQuery, media=CSV, problems=(404,))
def days_csv(settlement_id: str) -> Any:
    sheets, kept = _sheets(settlement_id)
    return send_file(to_csv(sheets["days"]), f"{CSV}; charset=utf-8", f"{_saved_as(kept)}-days.csv")


@blueprint.get("/v1/settlements/<settlement_id>/settlement.pdf")
@auth.operator
@api("A settlement on paper", query=ReceiptQuery, media="application/pdf", problems=(404, 409))
def pdf(settlement_id: str) -> Any:
    language, kept = read_query(ReceiptQuery).language or choose_language(), find_kept(settlement_id)
    with force_locale(language):
        text = print_data(kept, find_names())
    made = print_document("settlement", text, dated_at=kept.settlement.asked_at)
    return send_file(made, "application/pdf", f"{_saved_as(kept)}.pdf")


@blueprint.get("/v1/settlements/<settlement_id>/payment.xml")
@auth.operator
@api("The file that a bank pays a closed settlement by (ISO 20022 pain.001.001.09)", query=PaymentFileQuery,
     media="application/xml", problems=(404, 409))
def payment_xml(settlement_id: str) -> Any:
    transfer = _transfer(settlement_id)
    return send_file(write_pain001(transfer, now=auth.now()), "application/xml", f"{transfer.transfer_id}.xml")


@blueprint.get("/v1/settlements/<settlement_id>/payment.csv")
@auth.operator
@api("The payment of a closed settlement as a line of CSV", query=PaymentFileQuery, media=CSV, problems=(404, 409))
def payment_csv(settlement_id: str) -> Any:
    transfer = _transfer(settlement_id)
    payer, payee = transfer.payer, transfer.payee
    sheet = Sheet(
        "payment",
        ("id", "execution_date", "amount", "currency", "payer", "payer_account", "payer_cnaps", "payer_bic", "payee",
         "payee_account", "payee_cnaps", "payee_bic", "about"),
        ("text", "text", "fen", *(["text"] * 10)),  # type: ignore[arg-type]
        [(transfer.transfer_id, transfer.on.isoformat(), transfer.amount_fen, CURRENCY, payer.holder, payer.account,
          payer.cnaps, payer.bic, payee.holder, payee.account, payee.cnaps, payee.bic, transfer.about)])
    return send_file(to_csv(sheet), f"{CSV}; charset=utf-8", f"{transfer.transfer_id}.csv")


def show_period(first: date | None, last: date | None) -> tuple[Figures, Standing, Period]:
    """:raises Problem: 400, no such period"""
    operator_id, now = auth.operator_id(), auth.now()
    with _database().reading() as db:
        standing = find_standing(db, operator_id)
    period = _period(lambda: choose_period(standing, first, last, now=now))
    return work_out(_database(), operator_id, period, standing, now=now), standing, period


def propose_period(settlement_id: UUID, first: date, last: date) -> Settlement:
    """:raises Problem: 400, no such period; otherwise as propose_settlement"""
    period = _period(lambda: Period(first, last, ZONE))
    return propose_settlement(
        _database(), auth.operator_id(), settlement_id, period, by=auth.staff_id(), now=auth.now())


def list_kept(cursor: str | None, limit: int, state: str | None = None) -> tuple[list[Settlement], str | None]:
    before = None if cursor is None else read_cursor(cursor)
    with _database().reading() as db:
        found = settlements.list_of_operator(db, auth.operator_id(), state=state, before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], write_cursor(last.asked_at, last.settlement_id) if last else None


def read_settlement_id(text: str) -> UUID:
    """:raises Problem: 404, as for an id of somebody else's"""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise Problem(404, "not_found", "There is no such settlement, or it is not yours.")
    return found


def find_kept(settlement_id: str) -> Kept:
    with _database().reading() as db:
        return find_settlement(db, auth.operator_id(), read_settlement_id(settlement_id))


def decide_kept(settlement_id: str, deed: Callable[..., Settlement], **more: Any) -> Settlement:
    found_id, by, operator_id, now = read_settlement_id(settlement_id), auth.staff_id(), auth.operator_id(), auth.now()

    def decide(db: Session) -> Settlement:
        return deed(db, operator_id, found_id, by=by, now=now, **more)

    made: Settlement = _database().write(decide)
    return made


def find_names() -> Names:
    operator_id = auth.operator_id()
    with _database().reading() as db:
        return Names(
            operators.get_operator(db, operator_id).name,
            {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)},
            {each.account.account_id: each.account.merchant_no
             for each in channel_accounts.list_connections(db, operator_id)})


def send_file(body: bytes, kind: str, name: str) -> Response:
    return Response(body, content_type=kind, headers={
        "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})


def _sheets(settlement_id: str) -> tuple[dict[str, Sheet], Kept]:
    language, kept = read_query(ReceiptQuery).language or choose_language(), find_kept(settlement_id)
    with force_locale(language):
        return settlement_sheets(kept.figures, find_names()), kept


def _transfer(settlement_id: str) -> CreditTransfer:
    on = read_query(PaymentFileQuery).on or city_date(auth.now(), ZONE)
    with _database().reading() as db:
        return find_transfer(
            db, auth.operator_id(), read_settlement_id(settlement_id), payer=current_app.extensions["payer"], on=on)


def _saved_as(kept: Kept) -> str:
    return f"settlement-{kept.settlement.number}-{kept.settlement.first}-{kept.settlement.last}"


def _period(make: Callable[[], Period]) -> Period:
    try:
        return make()
    except (BadPeriod, OverflowError):
        raise Problem(
            400, "bad_period", "The period goes from a day to the same or a later one, at most 400 days.",
            errors=[("last", "before first, or more than 400 days after it")]) from None


def _database() -> Any:
    return current_app.extensions["database"]
