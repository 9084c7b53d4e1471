"""What operators are settled, for people: what a period comes to, proposing it, agreeing to it, and its files."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import city_date
from parking.core.identifier import new_uuid
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.settle import (
    ZONE,
    NotNextPeriod,
    PeriodNotOver,
    SettlementIdReused,
    SettlementWaits,
    approve_settlement,
    reject_settlement,
)
from parking.store import logins, operators
from parking.web import auth
from parking.web.contract import parse_date
from parking.web.errors import Problem
from parking.web.reading import read_deed, read_query
from parking.web.settlement_contract import PeriodExportQuery, PeriodPageQuery
from parking.web.settlement_text import (
    day_state_name,
    format_rate,
    held_facts,
    open_days_text,
    settlement_sheets,
    settlement_state_name,
)
from parking.web.settlements import (
    XLSX,
    decide_kept,
    find_kept,
    find_names,
    list_kept,
    propose_period,
    read_settlement_id,
    send_file,
    show_period,
)
from parking.web.sheet import to_csv, to_xlsx
from parking.web.tariff_pages import read_text

blueprint = Blueprint("settlement_console", __name__)
SHOWN_AT_ONCE = 24


@blueprint.get("/console/settlements")
@auth.operator
def page() -> Any:
    return _page(read_query(PeriodPageQuery))


@blueprint.get("/console/settlements/export")
@auth.operator
def export() -> Any:
    """The tables of the period on the page: one as CSV, or both as a workbook."""
    asked = read_query(PeriodExportQuery)
    figures, _, period = show_period(asked.first, asked.last)
    sheets, saved_as = settlement_sheets(figures, find_names()), f"settlement-{period.first}-{period.last}"
    if asked.table is None:
        return send_file(to_xlsx(list(sheets.values())), XLSX, f"{saved_as}.xlsx")
    return send_file(to_csv(sheets[asked.table]), "text/csv; charset=utf-8", f"{saved_as}-{asked.table}.csv")


@blueprint.post("/console/settlements")
@auth.operator
def propose() -> Any:
    first, last = (_date(request.form.get(name, "")) for name in ("first", "last"))
    try:
        made = propose_period(read_settlement_id(request.form.get("id", "")), first, last)
    except (PeriodNotOver, NotNextPeriod, SettlementWaits, SettlementIdReused) as refused:
        shown = PeriodPageQuery.model_construct(first=first, last=last, cursor=None)
        return _page(shown, said=_refusal(refused), status=409)
    return redirect(f"/console/settlements/{made.settlement_id}", code=303)


@blueprint.get("/console/settlements/<settlement_id>")
@auth.operator
def settlement_page(settlement_id: str) -> Any:
    return _settlement_page(settlement_id)


@blueprint.post("/console/settlements/<settlement_id>")
@auth.operator
def decide(settlement_id: str) -> Any:
    """`do`: approve or reject."""
    deed, why = read_deed(request.form, "approve", "reject"), read_text(request.form, "why")
    if deed == "reject" and not why:
        return _settlement_page(settlement_id, said=gettext("Say why."), status=400)
    try:
        if deed == "approve":
            decide_kept(settlement_id, approve_settlement)
        else:
            decide_kept(settlement_id, reject_settlement, why=why)
    except (AlreadyDecided, SecondPersonNeeded) as refused:
        return _settlement_page(
            settlement_id, said=_refusal(refused), status=403 if isinstance(refused, SecondPersonNeeded) else 409)
    return redirect(f"/console/settlements/{settlement_id}", code=303)


def _page(asked: PeriodPageQuery, *, said: str | None = None, status: int = 200) -> Any:
    figures, standing, period = show_period(asked.first, asked.last)
    kept, cursor = list_kept(asked.cursor, SHOWN_AT_ONCE)
    with current_app.extensions["database"].reading() as db:
        limit_fen = operators.get_operator(db, auth.operator_id()).waiver_limit_fen
    is_next = standing.settles(period) and not standing.is_waiting
    return render_template(
        "settlements.html", figures=figures, sheets=settlement_sheets(figures, find_names()), standing=standing,
        can_propose=is_next and period.last < city_date(auth.now(), ZONE), kept=kept, cursor=cursor,
        limit_fen=limit_fen, new_id=new_uuid(auth.now()), said=said, zone=ZONE.key, **_WORDS), status


def _settlement_page(settlement_id: str, *, said: str | None = None, status: int = 200) -> Any:
    kept = find_kept(settlement_id)
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
        bank = operators.find_bank(db, auth.operator_id())
    return render_template(
        "settlement.html", kept=kept, made=kept.settlement, figures=kept.figures, staff=staff, me=auth.staff_id(),
        bank=bank, has_payer=current_app.extensions["payer"] is not None,
        sheets=settlement_sheets(kept.figures, find_names()), said=said, zone=ZONE.key, **_WORDS), status


_WORDS: dict[str, Any] = {
    "state_of": settlement_state_name, "open_days_text": open_days_text, "format_rate": format_rate,
    "day_state_name": day_state_name, "held_facts": held_facts}


def _refusal(refused: Exception) -> str:
    if isinstance(refused, NotNextPeriod):
        return str(gettext("The next settlement begins on %(day)s.", day=refused.first.isoformat()))
    words = {
        PeriodNotOver: gettext("The period is not over yet."),
        SettlementWaits: gettext("Another settlement waits for a second person."),
        SettlementIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        AlreadyDecided: gettext("Somebody has decided on this already."),
        SecondPersonNeeded: gettext("Who asked for it cannot decide on it: a second person does."),
    }
    return str(words[type(refused)])


def _date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise Problem(400, "bad_period", "A period has two days such as 2026-03-10.", errors=[("first", "no day")])
    return found
