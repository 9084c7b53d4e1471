"""Arrears for an operator's staff: what is unpaid and how far it has come, notices, objections and answers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.arrears import STATES, TO_BE_PAID, WrongStep
from parking.core.identifier import format_lot_id, new_uuid
from parking.core.money import format_yuan, parse_yuan
from parking.services.advance import DeedIdReused
from parking.services.attest import NotCharged
from parking.services.chase import CaseThere, NothingUnpaid
from parking.services.contest import Answered, TooLate
from parking.services.present import list_rows
from parking.services.show import read_cursor, write_cursor
from parking.services.tally import Tally, tally_lots
from parking.services.waive import MoreThanCharged, WaiverIdReused
from parking.store import arrears, arrears_counts, logins, lots
from parking.web import auth
from parking.web.arrears import (
    drop_case,
    find_visible,
    list_how,
    notice_one,
    reply,
    shown,
    start_case,
)
from parking.web.arrears_contract import NOTICES_MAX, ArrearsPageQuery
from parking.web.console import session_page
from parking.web.money_contract import AMOUNT_MAX
from parking.web.reading import read_query
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id

blueprint = Blueprint("arrears_console", __name__)
SHOWN_AT_ONCE = 50
_BY_CLOCK = frozenset({"objected", *TO_BE_PAID})  # states in which a term runs
_REFUSED = (WrongStep, TooLate, MoreThanCharged, DeedIdReused, NotCharged, WaiverIdReused)


@blueprint.get("/console/arrears")
@auth.operator
def page() -> Any:
    """Without a state: what waits for the operator, objections whose term ends first, then what has no notice yet."""
    return _page(read_query(ArrearsPageQuery))


@blueprint.post("/console/arrears/notices")
@auth.operator
def notices() -> Any:
    """Of each case that was ticked."""
    batch, chosen = read_id(request.form.get("id", "")), request.form.getlist("case")[:NOTICES_MAX]
    done = [notice_one(batch, each[:64]) for each in dict.fromkeys(chosen)]
    given = sum(each["refused"] is None for each in done)
    said = gettext("Notices given: %(given)s of %(asked)s.", given=given, asked=len(done))
    return _page(ArrearsPageQuery(), said=said)


@blueprint.get("/console/arrears/<case_id>")
@auth.operator
def case_page(case_id: str) -> Any:
    return _case_page(case_id)


@blueprint.post("/console/arrears/<case_id>")
@auth.operator
def form(case_id: str) -> Any:
    """`do`: notice, withdrawn, or an answer: upheld, reduced, dismissed. Refused, the page says why."""
    sent, why = request.form, read_text(request.form, "why")
    typed = {"do": sent.get("do", ""), "why": why, "yuan": sent.get("yuan", "")[:20]}
    do, deed_id = typed["do"], read_id(sent.get("id", ""))
    if do == "notice":
        made = notice_one(deed_id, case_id)
        if made["refused"] is not None:
            refused = DeedIdReused() if made["refused"] == "id_reused" else WrongStep("open")
            return _case_page(case_id, said=_refusal(refused), typed=typed), 409
        return redirect(f"/console/arrears/{case_id}", code=303)
    if not why:
        return _case_page(case_id, said=gettext("Say why."), typed=typed), 400
    try:
        if do == "withdrawn":
            drop_case(case_id, deed_id, why)
        elif do == "upheld" or do == "dismissed":
            reply(case_id, Answered(deed_id, do, why))  # type: ignore[arg-type]
        else:
            reduce_fen = parse_yuan(typed["yuan"])
            if do != "reduced" or not reduce_fen or reduce_fen > AMOUNT_MAX:
                return _case_page(case_id, said=gettext("An amount such as 12.50."), typed=typed), 400
            reply(case_id, Answered(deed_id, "reduced", why, reduce_fen))
    except _REFUSED as caught:
        return _case_page(case_id, said=_refusal(caught), typed=typed), 409
    return redirect(f"/console/arrears/{case_id}", code=303)


@blueprint.post("/console/parking-sessions/<session_id>/arrears")
@auth.operator
def open_by_hand(session_id: str) -> Any:
    """From a visit's page."""
    why = read_text(request.form, "why")
    if not why:
        return session_page(session_id, said=gettext("Say why.")), 400
    try:
        case = start_case(read_id(request.form.get("id", "")), session_id, why)
    except CaseThere as there:
        case = there.case
    except (NothingUnpaid, DeedIdReused) as refused:
        return session_page(session_id, said=_refusal(refused)), 409
    return redirect(f"/console/arrears/{format_lot_id(case.lot_id, case.case_id)}", code=303)


def _page(asked: ArrearsPageQuery, *, said: str | None = None) -> Any:
    operator_id, cursor = auth.operator_id(), None
    with current_app.extensions["database"].reading() as db:
        by_state: dict[str, int] = dict.fromkeys(STATES, 0)
        for each in arrears_counts.count_cases(db, operator_id):
            by_state[each.state] += each.cases
        tallies = tally_lots(db, operator_id)
        names = {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)}
        if asked.state is None:
            found = [case for state in ("objected", "open") for case in arrears.list_cases_by_clock(
                db, operator_id, state=state, after=None, limit=SHOWN_AT_ONCE)]
        else:
            after = None if asked.cursor is None else read_cursor(asked.cursor)
            by_clock = asked.state in _BY_CLOCK
            found = arrears.list_cases_by_clock(
                db, operator_id, state=asked.state, after=after, limit=SHOWN_AT_ONCE + 1,
            ) if by_clock else arrears.list_cases_of_operator(
                db, operator_id, states=[asked.state], after=after, limit=SHOWN_AT_ONCE + 1)
            if len(found) > SHOWN_AT_ONCE:
                found = found[:SHOWN_AT_ONCE]
                last = found[-1]
                place = (last.term_ends_at or arrears.NO_END) if by_clock else last.opened_at
                cursor = write_cursor(place, last.case_id)
        items = list_rows(db, found, **list_how())
    return render_template(
        "console_arrears.html", items=items, cursor=cursor, asked=asked, by_state=by_state, said=said, names=names,
        tallies=tallies, total=sum((each.tally for each in tallies), Tally()), new_id=_new_id)


def _case_page(case_id: str, *, said: str | None = None, typed: dict[str, str] | None = None) -> str:
    found = find_visible(case_id)
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
    return render_template(
        "console_arrears_case.html", case=shown(found), said=said, typed=typed or {}, new_id=_new_id,
        staff={str(key): name for key, name in staff.items()})


def _new_id() -> str:
    return str(new_uuid(auth.now()))


def _refusal(refused: Exception) -> str:
    if isinstance(refused, MoreThanCharged):
        return str(gettext("No more than %(yuan)s yuan is left of the charge.", yuan=format_yuan(refused.left_fen)))
    words = {
        WrongStep: gettext("The case has moved on meanwhile. Look at what it says now."),
        TooLate: gettext("The term is over: it is decided for the driver."),
        DeedIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        WaiverIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        NotCharged: gettext("This visit has not been charged yet."),
        NothingUnpaid: gettext("Nothing of this visit is unpaid."),
    }
    return str(words[type(refused)])
