"""The books of a period: trial balance, accounts down to their transfers, revenue; as pages, files and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from flask_babel import gettext

from parking.core.clock import city_date, format_instant
from parking.core.identifier import format_lot_id
from parking.core.ledger import (
    BANK,
    COMMISSION,
    DUE_FROM_CITY,
    MERCHANTS_BANK,
    OVER_AND_SHORT,
    PAYABLE,
    TRANSIT,
    VISITS,
    merchant_of,
    visit_of,
)
from parking.services.account import AccountBooks, BadPeriod, Period, show_books
from parking.services.receive import show_standing
from parking.services.reconcile import list_own_accounts
from parking.services.show import read_cursor, write_cursor
from parking.store import fund_imports, ledger_sums, lots, merchants
from parking.store.ledger_sums import Posted
from parking.web import auth
from parking.web.channels import channel_name
from parking.web.errors import Problem
from parking.web.money_contract import BooksAnswer, BooksForm, BooksQuery, ExportQuery, PostedAnswer, PostedQuery
from parking.web.openapi import api
from parking.web.pages import said
from parking.web.reading import read_query
from parking.web.sheet import Cell, Kind, Sheet, to_csv, to_xlsx

blueprint = Blueprint("account_books", __name__)
_KINDS: tuple[Kind, Kind, Kind] = ("text", "count", "fen")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/v1/books")
@auth.operator
@api("Your books of a period: trial balance and revenue, in fen", query=BooksQuery, answer=BooksAnswer,
     problems=(400, 404))
def books() -> Any:
    asked = read_query(BooksQuery)
    found = _show(asked)
    return {
        "first": found.period.first.isoformat(), "last": found.period.last.isoformat(),
        "time_zone": found.period.zone.key,
        "trial_balance": [
            {"account": row.account, "opening_fen": row.opening_fen, "debit_fen": row.debit_fen,
             "credit_fen": row.credit_fen, "closing_fen": row.closing_fen,
             "pending_fen": found.pending_fen.get(row.account, 0)} for row in found.trial],
        "lots": [
            {"lot_id": lot.lot_id, "charges": lot.charge_count, "charged_fen": lot.charged_fen,
             "credited_fen": lot.credited_fen, "waived_fen": lot.waived_fen, "sponsored_fen": lot.sponsored_fen,
             "net_fen": lot.net_fen,
             "paid_fen": dict(sorted(lot.paid_fen.items())), "refunded_fen": lot.refunded_fen} for lot in found.lots],
        "days": [{"date": day, "net_fen": fen} for day, fen in found.days.items()],
        "hours": [{"hour": hour, "net_fen": fen} for hour, fen in found.hours.items()],
        "proofs": [
            {"lot_id": each.lot_id, "proved_at": format_instant(each.proved_at), "agrees": each.outcome == "agrees"}
            for each in found.proved],
    }


@blueprint.get("/v1/books/transfers")
@auth.operator
@api("What was posted to an account in a period, newest first", query=PostedQuery, answer=PostedAnswer,
     problems=(400, 404))
def posted() -> Any:
    asked = read_query(PostedQuery)
    items, cursor = _list_posted(asked)
    return {"items": [_posted(each) for each in items], "next_cursor": cursor}


@blueprint.get("/console/books")
@auth.operator
def page() -> Any:
    asked = read_query(BooksForm)
    found = _show(asked)
    names = _lot_names()
    return render_template(
        "books.html", asked=asked, books=found, sheets=_sheets(found, names), names=names, query=_query(asked, found),
        standings=_standings())


@blueprint.get("/console/books/export")
@auth.operator
def export() -> Any:
    """The tables of the page as they are on it: one as CSV, or all as a workbook."""
    asked = read_query(ExportQuery)
    found = _show(asked)
    sheets = _sheets(found, _lot_names())
    saved_as = f"books-{found.period.first}-{found.period.last}"
    if asked.table is None:
        return _file(to_xlsx(list(sheets.values())), XLSX, f"{saved_as}.xlsx")
    return _file(to_csv(sheets[asked.table]), "text/csv; charset=utf-8", f"{saved_as}-{asked.table}.csv")


@blueprint.get("/console/books/account")
@auth.operator
def account_page() -> Any:
    asked = read_query(PostedQuery)
    items, cursor = _list_posted(asked)
    period = _period(asked)
    return render_template(
        "account.html", asked=asked, items=[(each, _visit(each)) for each in items], cursor=cursor,
        title=account_name(asked.account), account_name=account_name, kind_name=kind_name, names=_lot_names(),
        period=period, query=_query(asked))


def _show(asked: BooksQuery) -> AccountBooks:
    if asked.lot is not None and asked.lot not in _lot_names():
        raise Problem(404, "not_found", "There is no such lot, or it is not yours.")
    return show_books(_database(), auth.operator_id(), _period(asked), lot_id=asked.lot)


def _period(asked: BooksQuery) -> Period:
    """The days that were asked for; without any, this month as far as it has come."""
    zone = current_app.extensions["config"].city_zone
    today = city_date(auth.now(), zone)
    last = asked.last or (today if asked.first is None else max(asked.first, today))
    try:
        return Period(asked.first or last.replace(day=1), last, zone)
    except (BadPeriod, OverflowError):
        raise Problem(
            400, "bad_period", "The period goes from a day to the same or a later one, at most 400 days.",
            errors=[("last", "before first, or more than 400 days after it")]) from None


def _list_posted(asked: PostedQuery) -> tuple[list[Posted], str | None]:
    period, before = _period(asked), None if asked.cursor is None else read_cursor(asked.cursor)
    with _database().reading() as db:
        found = ledger_sums.list_posted(
            db, auth.operator_id(), asked.account, lot_id=asked.lot, since=period.since, until=period.until,
            before=before, limit=asked.limit + 1)
    last = found[asked.limit - 1] if len(found) > asked.limit else None
    return found[:asked.limit], write_cursor(last.posted_at, last.transfer_id) if last else None


def _posted(each: Posted) -> dict[str, Any]:
    return {
        "id": format_lot_id(each.lot_id, each.transfer_id), "kind": each.kind, "debit": each.debit,
        "credit": each.credit, "amount_fen": each.amount_fen, "posted_at": format_instant(each.posted_at),
        "parking_session_id": _visit(each),
    }


def _visit(each: Posted) -> str | None:
    """The visit that a transfer is about, where one of its sides is a visit's."""
    found = visit_of(each.debit) or visit_of(each.credit)
    return format_lot_id(each.lot_id, found) if found else None


def _sheets(found: AccountBooks, names: dict[int, dict[str, str]]) -> dict[str, Sheet]:
    """The tables of the page, by the names by which they are exported."""
    text, count, yuan = _KINDS
    trial = Sheet(
        gettext("Trial balance"),
        (gettext("Account"), gettext("Opening"), gettext("Debit"), gettext("Credit"), gettext("Closing"),
         gettext("Pending now")),
        (text, yuan, yuan, yuan, yuan, yuan),
        [(account_name(row.account), row.opening_fen, row.debit_fen, row.credit_fen, row.closing_fen,
          found.pending_fen.get(row.account, 0)) for row in found.trial],
        (gettext("Total"), sum(row.opening_fen for row in found.trial), sum(row.debit_fen for row in found.trial),
         sum(row.credit_fen for row in found.trial), sum(row.closing_fen for row in found.trial), None))
    channels = sorted({channel for lot in found.lots for channel in lot.paid_fen})
    rows: list[tuple[Cell, ...]] = [
        (said(names[lot.lot_id]), lot.charge_count, lot.charged_fen, -lot.credited_fen, -lot.waived_fen,
         lot.sponsored_fen, lot.net_fen,
         *(lot.paid_fen[channel] for channel in channels), -lot.refunded_fen)
        for lot in found.lots if lot.lot_id in names]
    by_lot = Sheet(
        gettext("Revenue by car park"),
        (gettext("Car park"), gettext("Charges"), gettext("Charged"), gettext("Taken back"), gettext("Waived"),
         gettext("By merchants"), gettext("Net"),
         *(gettext("Paid by %(channel)s", channel=channel_name(each)) for each in channels),
         gettext("Given back")),
        (text, count, yuan, yuan, yuan, yuan, yuan, *([yuan] * len(channels)), yuan),
        rows, (gettext("Total"), *(_sum(row[place] for row in rows) for place in range(1, 8 + len(channels)))))
    by_day = Sheet(
        gettext("Net revenue by day"), (gettext("Day"), gettext("Net")), (text, yuan),
        [(day, found.days.get(day, 0)) for day in _days(found.period)],
        (gettext("Total"), sum(found.days.values())))
    by_hour = Sheet(
        gettext("Net revenue by hour of the day"), (gettext("Hour"), gettext("Net")), (text, yuan),
        [(f"{hour:02d}:00", found.hours.get(hour, 0)) for hour in range(24)],
        (gettext("Total"), sum(found.hours.values())))
    return {"trial": trial, "lots": by_lot, "days": by_day, "hours": by_hour}


def _standings() -> list[Any]:
    """The operator's accounts whose movements are read, where a day of them was booked."""
    with _database().reading() as db:
        found = [show_standing(db, each, now=auth.now()) for each in list_own_accounts(db, auth.operator_id())
                 if fund_imports.list_purses(db, each.account_id)]
    return [each for each in found if each.position is not None]


def _sum(cells: Iterable[Cell]) -> int:
    return sum(cell for cell in cells if isinstance(cell, int))


def _days(period: Period) -> list[str]:
    count = (period.last - period.first).days + 1
    return [(period.first + timedelta(days=number)).isoformat() for number in range(count)]


def account_name(account: str) -> str:
    """An account in the reader's language."""
    if visit_of(account):
        return str(gettext("A visit"))
    kind, _, of = account.partition("/")
    if kind == "clearing":
        return str(gettext("%(channel)s: holds for us", channel=channel_name(of)))
    if kind == "refunding":
        return str(gettext("%(channel)s: refunds on their way", channel=channel_name(of)))
    if kind == "difference":
        return str(gettext("%(channel)s: written off", channel=channel_name(of)))
    if kind == "bank" and account not in (BANK, MERCHANTS_BANK):
        return str(gettext("%(channel)s: taken to the bank", channel=channel_name(of)))
    if kind == "opening":
        return str(gettext("%(channel)s: held before our books", channel=channel_name(of)))
    if kind == "merchant":
        found = merchant_of(account)
        with _database().reading() as db:
            known = merchants.find_merchant(db, found) if found else None
        is_own = known is not None and known.operator_id == auth.operator_id()
        return str(gettext("%(name)s: owes for validations", name=known.name if known and is_own else of))
    if kind == "drawer":
        return str(gettext("Cash in drawer %(n)s", n=of))
    if kind == "interlot":
        return str(gettext("Car park %(n)s: owed for visits paid from wallets", n=of))
    words = {
        VISITS: gettext("Drivers: owed for visits"), PAYABLE: gettext("Operator: earned"),
        TRANSIT: gettext("Cash handed in, not taken over yet"), BANK: gettext("Cash taken over"),
        COMMISSION: gettext("City: commission"), MERCHANTS_BANK: gettext("Paid by merchants"),
        DUE_FROM_CITY: gettext("City: owes for visits paid from wallets"),
        OVER_AND_SHORT: gettext("Cash over and short")}
    return str(words.get(account, account))


def kind_name(kind: str) -> str:
    """What a transfer is, in the reader's language."""
    words = {
        "charge": gettext("Charged"), "credit": gettext("Charge taken back"), "waiver": gettext("Waived"),
        "unwaived": gettext("Waiver ended"), "payment": gettext("Paid"), "refund": gettext("Given back"),
        "returned": gettext("Refund taken on by the channel"), "kept": gettext("Refund not carried out"),
        "moved": gettext("Moved to another visit"), "float": gettext("Change brought to a drawer"),
        "payout": gettext("Given back in cash"), "over": gettext("Counted too much"),
        "short": gettext("Counted too little"), "deposit": gettext("Cash handed in"),
        "banked": gettext("Cash taken over"), "written_off": gettext("Written off"),
        "written_back": gettext("Write-off taken back"),
        "fee": gettext("The channel's fee"),
        "fee_back": gettext("The channel's fee given back"), "commission": gettext("Commission"),
        "commission_back": gettext("Commission given back"), "sponsored": gettext("Validated by a merchant"),
        "unsponsored": gettext("Validation taken back"), "merchant_paid": gettext("Paid by a merchant"),
        "swept": gettext("Taken to the bank"), "rounded": gettext("The channel's fees rounded"),
        "opened": gettext("Held before our books"),
    }
    return str(words.get(kind, kind))


def _query(asked: BooksQuery, found: AccountBooks | None = None) -> str:
    period = found.period if found else _period(asked)
    lot = "" if asked.lot is None else f"&lot={asked.lot}"
    return f"first={period.first}&last={period.last}{lot}"


def _lot_names() -> dict[int, dict[str, str]]:
    with _database().reading() as db:
        return {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}


def _file(body: bytes, kind: str, name: str) -> Response:
    return Response(body, content_type=kind, headers={
        "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})


def _database() -> Any:
    return current_app.extensions["database"]
