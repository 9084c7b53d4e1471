"""Cash at the booth, for programs: drawers, shifts, what is taken and paid out, and a shift's statement."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app

from parking.core.clock import format_instant
from parking.core.drawer import is_left_open
from parking.core.identifier import format_lot_id
from parking.core.reason import in_all_languages
from parking.services.open_shift import Counted, Opening, find_own_drawer
from parking.services.pay import find_leave_by
from parking.services.pay_out import Payout, list_payouts
from parking.services.take_cash import Given
from parking.services.tell_shift import ShiftReport, shift_statement
from parking.store import drawers, logins, lots, payments
from parking.store.drawers import Count, Drawer, Shift
from parking.store.lots import Lot
from parking.web import auth
from parking.web.cash_contract import (
    CashAnswer,
    CashRequest,
    CloseRequest,
    CountRequest,
    DrawerAnswer,
    DrawerRequest,
    DrawersAnswer,
    DueAnswer,
    LookUpRequest,
    PaidOutAnswer,
    PayoutRequest,
    PayoutsAnswer,
    ShiftDetail,
    ShiftRequest,
    ShiftsAnswer,
    ShiftsQuery,
)
from parking.web.cash_desk import (
    begin_shift,
    end_shift,
    find_due,
    find_report,
    pay_owed,
    read_drawer_id,
    read_session_id,
    read_shift_id,
    set_up,
    take_given,
    take_handed_in,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_query

blueprint = Blueprint("cash", __name__)


@blueprint.get("/v1/drawers")
@auth.operator
@api("The drawers of your booths, with the shift that is open at each", answer=DrawersAnswer)
def list_all() -> Any:
    with _database().reading() as db:
        names = logins.list_names_of_staff(db, auth.operator_id())
        found = drawers.list_drawers(db, auth.operator_id())
        places = {lot.lot_id: lot for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}
    return {"items": [_drawer(each, shift, places[each.lot_id], names) for each, shift in found]}


@blueprint.post("/v1/drawers")
@auth.operator
@api("Set a drawer up at a lot of yours; the same again is the same drawer", body=DrawerRequest, answer=DrawerAnswer,
     problems=(404, 409))
def add() -> Any:
    asked = read_body(DrawerRequest)
    made = Drawer(asked.lot_id, asked.number, auth.operator_id(), asked.name)
    set_up(made)
    with _database().reading() as db:
        lot, names = lots.get_lot(db, made.lot_id), logins.list_names_of_staff(db, auth.operator_id())
        shift = drawers.find_open_shift(db, made.lot_id, made.drawer_id)
    return _drawer(made, shift, lot, names)


@blueprint.get("/v1/drawers/<drawer_id>/shifts")
@auth.operator
@api("A drawer's shifts, newest first", query=ShiftsQuery, answer=ShiftsAnswer, problems=(404,))
def list_shifts(drawer_id: str) -> Any:
    asked, (lot_id, number) = read_query(ShiftsQuery), read_drawer_id(drawer_id)
    with _database().reading() as db:
        find_own_drawer(db, auth.operator_id(), lot_id, number)
        found = drawers.list_shifts(db, lot_id, number, before=asked.cursor, limit=asked.limit + 1)
        lot, names = lots.get_lot(db, lot_id), logins.list_names_of_staff(db, auth.operator_id())
    page = found[: asked.limit]
    return {"items": [_shift(each, lot, names) for each in page],
            "next_cursor": str(page[-1].number) if len(found) > asked.limit else None}


@blueprint.post("/v1/drawers/<drawer_id>/shifts")
@auth.operator
@api("Begin a shift of your own at a drawer, with what was counted in it", body=ShiftRequest, answer=ShiftDetail,
     problems=(404, 409))
def begin(drawer_id: str) -> Any:
    asked, (lot_id, number) = read_body(ShiftRequest), read_drawer_id(drawer_id)
    return _report(begin_shift(Opening(asked.id, lot_id, number, _counted(asked), asked.brought_fen)))


@blueprint.post("/v1/drawers/<drawer_id>/look-ups")
@auth.operator
@api("What is due for a visit, and what it has to get back in cash", body=LookUpRequest, answer=DueAnswer,
     problems=(404,))
def look_up(drawer_id: str) -> Any:
    asked, (lot_id, number) = read_body(LookUpRequest), read_drawer_id(drawer_id)
    due, payouts = find_due(lot_id, number, plate=asked.plate, session_id=asked.parking_session_id)
    return {"parking_session": due.visit, "due_fen": due.due_fen, "as_of": format_instant(due.as_of),
            "payouts": [_payout(each) for each in payouts]}


@blueprint.get("/v1/drawers/<drawer_id>/payouts")
@auth.operator
@api("What the drawer's lot owes back in cash, and nobody has fetched yet", answer=PayoutsAnswer, problems=(404,))
def payouts(drawer_id: str) -> Any:
    lot_id, number = read_drawer_id(drawer_id)
    with _database().reading() as db:
        find_own_drawer(db, auth.operator_id(), lot_id, number)
        found = list_payouts(db, lot_id, secrets=current_app.extensions["secrets"])
    return {"items": [_payout(each) for each in found]}


@blueprint.get("/v1/shifts/<shift_id>")
@auth.operator
@api("A shift as it is kept: movements, counts, and what came of it", answer=ShiftDetail, problems=(404,))
def one(shift_id: str) -> Any:
    return _report(find_report(shift_id))


@blueprint.get("/v1/shifts/<shift_id>/statement.csv")
@auth.operator
@api("A shift's statement: a row a movement, and the total last", media="text/csv", problems=(404,))
def statement(shift_id: str) -> Any:
    report = find_report(shift_id)
    saved_as = f'attachment; filename="shift-{report.lot.lot_id}-{report.drawer.drawer_id}-{report.shift.number}.csv"'
    return Response(
        shift_statement(report), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": saved_as})


@blueprint.post("/v1/shifts/<shift_id>/payments")
@auth.operator
@api("Take cash for a visit into your open shift: all that is due", body=CashRequest, answer=CashAnswer,
     problems=(404, 409))
def take(shift_id: str) -> Any:
    asked, (lot_id, found_id) = read_body(CashRequest), read_shift_id(shift_id)
    session_id = read_session_id(asked.parking_session_id, lot_id)
    moved = take_given(Given(
        asked.id, lot_id, found_id, session_id, asked.amount_fen, asked.as_of, asked.given_fen))
    with _database().reading() as db:
        payment, lot = payments.find_payment(db, lot_id, moved.movement_id), lots.get_lot(db, lot_id)
        assert payment is not None
        leave_by = find_leave_by(db, payment, now=auth.now())
    return {
        "id": format_lot_id(lot_id, moved.movement_id), "parking_session_id": asked.parking_session_id,
        "amount_fen": moved.amount_fen, "given_fen": moved.given_fen, "change_fen": moved.change_fen,
        "taken_at": format_instant(moved.moved_at, lot.zone),
        "leave_by": format_instant(leave_by, lot.zone) if leave_by else None,
    }


@blueprint.post("/v1/shifts/<shift_id>/payouts")
@auth.operator
@api("Pay cash that is owed back out of your open shift, once", body=PayoutRequest, answer=PaidOutAnswer,
     problems=(404, 409))
def give(shift_id: str) -> Any:
    moved = pay_owed(shift_id, read_body(PayoutRequest).refund_id)
    lot_id, _ = read_shift_id(shift_id)
    return {"refund_id": format_lot_id(lot_id, moved.movement_id), "amount_fen": moved.amount_fen,
            "paid_out_at": format_instant(moved.moved_at)}


@blueprint.post("/v1/shifts/<shift_id>/close")
@auth.operator
@api("End a shift with what was counted, and hand in what does not stay", body=CloseRequest, answer=ShiftDetail,
     problems=(404, 409))
def close(shift_id: str) -> Any:
    asked = read_body(CloseRequest)
    return _report(end_shift(shift_id, _counted(asked), left_fen=asked.left_fen))


@blueprint.post("/v1/shifts/<shift_id>/hand-over")
@auth.operator
@api("Say that you have counted and taken over what a shift handed in", answer=ShiftDetail, problems=(404, 409))
def hand_over(shift_id: str) -> Any:
    return _report(take_handed_in(shift_id))


def _counted(asked: CountRequest) -> Counted:
    pieces = None if asked.pieces is None else {int(each): number for each, number in asked.pieces.items()}
    return Counted(asked.counted_fen, pieces, asked.why.strip())


def _drawer(drawer: Drawer, shift: Shift | None, lot: Lot, names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "id": f"{drawer.lot_id}.{drawer.drawer_id}", "lot_id": drawer.lot_id, "lot_name": in_all_languages(lot.name),
        "name": drawer.name, "shift": None if shift is None else _shift(shift, lot, names),
    }


def _shift(shift: Shift, lot: Lot, names: dict[UUID, str]) -> dict[str, Any]:
    is_over = shift.closed_at is not None
    return {
        "id": format_lot_id(shift.lot_id, shift.shift_id), "drawer_id": f"{shift.lot_id}.{shift.drawer_id}",
        "number": shift.number,
        "state": "handed_in" if shift.waits_for_second_person else "closed" if is_over else "open",
        "opened_at": format_instant(shift.opened_at, lot.zone), "opened_by": _name(names, shift.staff_id),
        "is_left_open": not is_over and is_left_open(shift.opened_at, now=auth.now()),
        "brought_fen": shift.brought_fen,
        "closed_at": format_instant(shift.closed_at, lot.zone) if shift.closed_at else None,
        "closed_by": _name(names, shift.closed_by) if shift.closed_by else None, "handed_in_fen": shift.deposit_fen,
    }


def _report(report: ShiftReport) -> dict[str, Any]:
    shift, lot, sums = report.shift, report.lot, report.sums
    return {
        **_shift(shift, lot, report.names), "left_fen": report.left_fen,
        "taken_over_at": format_instant(shift.taken_at, lot.zone) if shift.taken_at else None,
        "taken_over_by": report.name(shift.taken_by) or None,
        "payment_count": sums.payment_count, "taken_fen": sums.taken_fen, "payout_count": sums.payout_count,
        "paid_out_fen": sums.paid_out_fen, "opening": _count(report, report.opening),
        "closing": _count(report, report.closing) if report.closing else None,
        "movements": [{
            "kind": each.movement.kind, "id": format_lot_id(lot.lot_id, each.movement.movement_id),
            "parking_session_id": format_lot_id(lot.lot_id, each.parking_session_id),
            "amount_fen": each.movement.amount_fen, "given_fen": each.movement.given_fen,
            "change_fen": each.movement.change_fen, "moved_at": format_instant(each.movement.moved_at, lot.zone),
        } for each in report.movements],
    }


def _count(report: ShiftReport, count: Count) -> dict[str, Any]:
    return {
        "counted_fen": count.counted_fen, "expected_fen": count.expected_fen, "difference_fen": count.difference_fen,
        "why": count.why, "pieces": count.pieces, "counted_at": format_instant(count.counted_at, report.lot.zone),
        "by": report.name(count.staff_id),
    }


def _payout(payout: Payout) -> dict[str, Any]:
    owed = payout.owed
    return {
        "refund_id": format_lot_id(owed.lot_id, owed.refund_id),
        "parking_session_id": format_lot_id(owed.lot_id, owed.parking_session_id), "plate": payout.plate,
        "amount_fen": owed.amount_fen, "why": owed.why, "asked_at": format_instant(owed.asked_at),
    }


def _name(names: dict[UUID, str], staff_id: UUID) -> str:
    return names.get(staff_id, str(staff_id))


def _database() -> Any:
    return current_app.extensions["database"]
