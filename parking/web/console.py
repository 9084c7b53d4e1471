"""What an operator's staff sees: lots, terminals, and the sessions in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, render_template

from parking.core.identifier import new_uuid, parse_lot_id
from parking.services import show
from parking.services.overhear import list_messages_of_visit
from parking.services.recount import recount_visit
from parking.services.tell_shift import count_cash
from parking.services.watch import is_silent
from parking.store import (
    anomalies,
    arrears,
    arrears_counts,
    invoices,
    lots,
    operators,
    outbox_messages,
    parking_sessions,
    settlements,
    silences,
    terminals,
    waivers,
    wallets,
    webhook_endpoints,
)
from parking.web import auth
from parking.web.contract import SessionsQuery
from parking.web.reading import read_query
from parking.web.visits import get_visit

blueprint = Blueprint("console", __name__)
SILENCES_SHOWN = 10
REFUSALS_SHOWN_FOR = timedelta(days=7)


@blueprint.get("/console")
@auth.operator
def page() -> Any:
    operator_id = auth.operator_id()
    with current_app.extensions["database"].reading() as db:
        name = operators.get_operator(db, operator_id).name
        found = lots.list_lots_with_occupancy(db, operator_id=operator_id)
        devices = terminals.list_terminals(db, operator_id=operator_id)
        odd_count = anomalies.count_open(db, operator_id)
        gates = lots.list_gates(db, operator_id)
        waiting_count = waivers.count_waiting(db, operator_id)
        cash_count = count_cash(db, operator_id, now=auth.now())
        settling_count = settlements.count_waiting(db, operator_id)
        ghost_count = parking_sessions.count_suspended(db, operator_id)
        objected_count = arrears_counts.count_objected(db, operator_id)
        dead_count = sum(outbox_messages.count_dead(db, operator_id).values())
        disabled_count = webhook_endpoints.count_disabled(db, operator_id)
        issues_wallets = wallets.find_issuer(db) == operator_id
        refused_count = invoices.count_refused(db, operator_id, since=auth.now() - REFUSALS_SHOWN_FOR)
        silent = silences.list_silences(db, operator_id, limit=SILENCES_SHOWN)
    names = {lot.lot_id: lot.name for lot, _ in found}
    now, by_id = auth.now(), {each.terminal_id: each for each in devices}
    shown = [
        (each, is_silent(each.last_seen_at, now=now), each.bundle_made_at and now - each.bundle_made_at)
        for each in devices if each.revoked_at is None]
    return render_template(
        "console.html", name=name, issues_wallets=issues_wallets,
        lots=found, terminals=shown, names=names, odd_count=odd_count, gates=gates,
        waiting_count=waiting_count, cash_count=cash_count, settling_count=settling_count, ghost_count=ghost_count,
        objected_count=objected_count, dead_count=dead_count, disabled_count=disabled_count,
        refused_count=refused_count,
        silences=[(by_id[each.terminal_id], each) for each in silent if each.terminal_id in by_id])


@blueprint.get("/console/parking-sessions/<session_id>")
@auth.operator
def session(session_id: str) -> Any:
    return session_page(session_id)


def session_page(session_id: str, *, said: str | None = None, typed: Mapping[str, str] | None = None) -> str:
    """One visit of the operator's, with its fee, its payments, what was taken off it and what happened.

    :param said: why something could not be done to it, with what was typed
    """
    found, now = get_visit(session_id), auth.now()
    with current_app.extensions["database"].reading() as db:
        story = recount_visit(db, *parse_lot_id(session_id))
        waived = waivers.list_of_session(db, *parse_lot_id(session_id))
        told = list_messages_of_visit(db, *parse_lot_id(session_id))
        case = arrears.find_case_of_visit(db, *parse_lot_id(session_id))
    return render_template("console_session.html", session=found, story=story, waived=waived, told=told, said=said,
                           typed=typed or {}, waiver_id=new_uuid(now), case=case, deed_id=new_uuid(now))


@blueprint.get("/console/parking-sessions")
@auth.operator
def sessions() -> Any:
    asked = read_query(SessionsQuery)
    with current_app.extensions["database"].reading() as db:
        items, cursor = show.list_sessions(
            db, auth.viewer(), secrets=current_app.extensions["secrets"], cursor=asked.cursor,
            limit=asked.limit, state=asked.state,
        )
    return render_template("console_sessions.html", items=items, cursor=cursor, state=asked.state)
