"""Cash at the booth, for people: made for a keyboard and for a thumb, a visit paid in two strokes of Enter."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request

from parking.core.clock import BadInstant, format_instant, parse_instant
from parking.core.drawer import (
    DENOMINATIONS_FEN,
    HAND_OVER_ALONE_MAX_FEN,
    BadCount,
    GivenTooLittle,
    GivenTooMuch,
    is_left_open,
    likely_given,
)
from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.services.close_shift import NotYourShift, ShiftOver
from parking.services.hand_out import CouponNotGood
from parking.services.open_shift import DrawerDiffers, DrawerInUse, Opening, ReasonNeeded, find_own_drawer
from parking.services.owe import NoVisit
from parking.services.pay import NothingDue, PaymentIdReused, find_leave_by
from parking.services.pay_out import DrawerTooLow, NoPayout, PaidOutBefore, list_payouts
from parking.services.take_cash import AmountChanged, Given
from parking.services.tell_shift import shift_statement
from parking.services.validate import NotPossible
from parking.store import drawer_movements, drawers, logins, lots, payments
from parking.store.drawers import Drawer, Shift
from parking.web import auth
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
from parking.web.cash_form import BadForm, read_count, read_form_id, read_text, read_yuan, refusal_words
from parking.web.coupon_desk import redeem_here
from parking.web.errors import Problem

blueprint = Blueprint("booth", __name__)
SHIFTS_SHOWN = 10
MOVED_SHOWN = 5
_REFUSED = (AmountChanged, GivenTooLittle, GivenTooMuch, NothingDue, NoVisit, NotYourShift, ShiftOver, PaymentIdReused,
            NoPayout, PaidOutBefore, DrawerTooLow)


@blueprint.get("/console/cash")
@auth.operator
def page() -> Any:
    """Every drawer of the operator's, what is left open, and what waits for a second person."""
    return _overview()


@blueprint.post("/console/cash")
@auth.operator
def add() -> Any:
    """A drawer more at a lot; it gets the lot's next number."""
    name, lot = read_text("name", 100), request.form.get("lot_id", "")
    if not name or not (lot.isascii() and lot.isdigit() and len(lot) < 6):
        return _overview(refused="drawer"), 400
    with _database().reading() as db:
        found = [each for each, _ in drawers.list_drawers(db, auth.operator_id()) if each.lot_id == int(lot)]
    numbers = [each.drawer_id for each in found]
    made = Drawer(int(lot), max(numbers, default=0) + 1, auth.operator_id(), name)
    try:
        set_up(made)
    except DrawerDiffers:  # somebody added one at the same moment
        return _overview(refused="drawer"), 409
    return redirect(f"/console/drawers/{made.lot_id}.{made.drawer_id}", code=303)


@blueprint.get("/console/drawers/<drawer_id>")
@auth.operator
def drawer(drawer_id: str) -> Any:
    """The booth: whose shift it is, and where that is one's own, what to take and to pay out."""
    return _booth(drawer_id)


@blueprint.post("/console/drawers/<drawer_id>/open")
@auth.operator
def open_form(drawer_id: str) -> Any:
    lot_id, number = read_drawer_id(drawer_id)
    try:
        begin_shift(Opening(read_form_id(), lot_id, number, read_count(), read_yuan("brought", empty=0)))
    except (BadForm, BadCount, ReasonNeeded, DrawerInUse) as refused:
        return _booth(drawer_id, refused=refused), 400 if isinstance(refused, (BadForm, BadCount)) else 409
    return redirect(f"/console/drawers/{drawer_id}", code=303)


@blueprint.post("/console/drawers/<drawer_id>/visit")
@auth.operator
def visit(drawer_id: str) -> Any:
    """A plate, or a visit's id: what is due."""
    asked = read_text("asked", 64)
    try:
        return _booth(drawer_id, asked=asked, due=_find(drawer_id, asked))
    except NoVisit as refused:
        return _booth(drawer_id, asked=asked, refused=refused), 404
    except Problem as bad:
        if bad.reason != "bad_plate":
            raise
        return _booth(drawer_id, asked=asked, refused=BadForm("plate")), 400


@blueprint.post("/console/drawers/<drawer_id>/coupon")
@auth.operator
def coupon(drawer_id: str) -> Any:
    """Redeem a driver's coupon, and say what is due now."""
    asked, (lot_id, number) = read_text("asked", 64), read_drawer_id(drawer_id)
    with _database().reading() as db:
        find_own_drawer(db, auth.operator_id(), lot_id, number)
    try:
        redeem_here(lot_id, request.form.get("coupon", "")[:64], asked)
        return _booth(drawer_id, asked=asked, due=_find(drawer_id, asked), redeemed=True)
    except (CouponNotGood, NotPossible, NoVisit) as refused:
        return _booth(drawer_id, asked=asked, refused=refused), 409
    except Problem as bad:
        if bad.reason != "bad_plate":
            raise
        return _booth(drawer_id, asked=asked, refused=BadForm("plate")), 400


@blueprint.post("/console/drawers/<drawer_id>/take")
@auth.operator
def take(drawer_id: str) -> Any:
    """Take what was given, and go to the page that says the change; refused, the page says what is due now."""
    lot_id, _ = read_drawer_id(drawer_id)
    session = request.form.get("parking_session_id", "")
    try:
        as_of, amount = parse_instant(request.form.get("as_of", "")), request.form.get("amount_fen", "")
        _, shift_id = read_shift_id(request.form.get("shift_id", ""))
        if not (amount.isascii() and amount.isdigit() and 0 < len(amount) < 13):
            abort(400)
        moved = take_given(Given(
            read_form_id(), lot_id, shift_id, read_session_id(session, lot_id), int(amount), as_of, read_yuan("given")))
    except BadInstant:
        abort(400)
    except (*_REFUSED, BadForm) as refused:
        try:
            due = None if isinstance(refused, NoVisit) else _find(drawer_id, session)
        except NoVisit:
            due = None
        return _booth(drawer_id, asked=session if due is None else "", due=due, refused=refused), 409
    return redirect(f"/console/drawers/{drawer_id}?done={moved.movement_id}", code=303)


@blueprint.post("/console/drawers/<drawer_id>/pay-out")
@auth.operator
def pay_out(drawer_id: str) -> Any:
    try:
        moved = pay_owed(request.form.get("shift_id", ""), request.form.get("refund_id", ""))
    except _REFUSED as refused:
        return _booth(drawer_id, refused=refused), 409
    return redirect(f"/console/drawers/{drawer_id}?done={moved.movement_id}", code=303)


@blueprint.get("/console/shifts/<shift_id>")
@auth.operator
def shift_page(shift_id: str) -> Any:
    """A shift as it is kept; an open one does not say what there should be."""
    report = find_report(shift_id)
    may_take = report.shift.waits_for_second_person and auth.staff_id() not in (
        report.shift.staff_id, report.shift.closed_by)
    return render_template(
        "shift.html", report=report, id=shift_id, may_take=may_take, public_id=format_lot_id, at=format_instant,
        alone_max=HAND_OVER_ALONE_MAX_FEN, left_open=_is_left_open(report.shift))


@blueprint.get("/console/shifts/<shift_id>/statement.csv")
@auth.operator
def statement(shift_id: str) -> Any:
    report = find_report(shift_id)
    saved_as = f'attachment; filename="shift-{report.lot.lot_id}-{report.drawer.drawer_id}-{report.shift.number}.csv"'
    return Response(
        shift_statement(report), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": saved_as, "Cache-Control": "no-store"})


@blueprint.get("/console/shifts/<shift_id>/close")
@auth.operator
def close_page(shift_id: str) -> Any:
    return _close_page(shift_id)


@blueprint.post("/console/shifts/<shift_id>/close")
@auth.operator
def close_form(shift_id: str) -> Any:
    try:
        end_shift(shift_id, read_count(), left_fen=read_yuan("left"))
    except (BadForm, BadCount, ReasonNeeded, ShiftOver) as refused:
        return _close_page(shift_id, refused=refused), 400 if isinstance(refused, (BadForm, BadCount)) else 409
    return redirect(f"/console/shifts/{shift_id}", code=303)


@blueprint.post("/console/shifts/<shift_id>/hand-over")
@auth.operator
def hand_over(shift_id: str) -> Any:
    take_handed_in(shift_id)
    return redirect(f"/console/shifts/{shift_id}", code=303)


def _overview(refused: str | None = None) -> str:
    operator_id = auth.operator_id()
    with _database().reading() as db:
        found = drawers.list_drawers(db, operator_id)
        places = [lot for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)]
        waiting, names = drawers.list_handed_in(db, operator_id), logins.list_names_of_staff(db, operator_id)
    return render_template(
        "cash.html", drawers=found, lots=places, places={lot.lot_id: lot for lot in places}, waiting=waiting,
        names=names, left_open=_is_left_open, public_id=format_lot_id, refused=refused, me=auth.staff_id(),
        by_id={(each.lot_id, each.drawer_id): each for each, _ in found}, alone_max=HAND_OVER_ALONE_MAX_FEN)


def _booth(
    drawer_id: str, *, asked: str = "", due: tuple[Any, Any] | None = None, refused: Exception | None = None,
    redeemed: bool = False,
) -> str:
    lot_id, number = read_drawer_id(drawer_id)
    operator_id, secrets = auth.operator_id(), current_app.extensions["secrets"]
    with _database().reading() as db:
        found = find_own_drawer(db, operator_id, lot_id, number)
        lot, names = lots.get_lot(db, lot_id), logins.list_names_of_staff(db, operator_id)
        shift = drawers.find_open_shift(db, lot_id, number)
        owed = list_payouts(db, lot_id, secrets=secrets)
        newest = drawer_movements.list_movements(db, shift, newest=MOVED_SHOWN) if shift else []
        done = _find_done(db, lot_id, shift)
        shifts = drawers.list_shifts(db, lot_id, number, limit=SHIFTS_SHOWN)
    return render_template(
        "booth.html", drawer=found, lot=lot, names=names, shift=shift,
        is_mine=shift is not None and shift.staff_id == auth.staff_id(), owed=owed, newest=newest, done=done,
        shifts=shifts, asked=asked, due=due[0] if due else None, payouts=due[1] if due else [], refused=refused,
        refusal=refusal_words, id=uuid4(), drawer_id=drawer_id, likely=likely_given, public_id=format_lot_id,
        at=format_instant, left_open=shift is not None and _is_left_open(shift), typed=request.form,
        denominations=DENOMINATIONS_FEN, redeemed=redeemed,
        difference=refused.difference_fen if isinstance(refused, ReasonNeeded) else None)


def _find_done(db: Any, lot_id: int, shift: Shift | None) -> tuple[Any, Any] | None:
    """What was just taken or paid out in this shift, and until when the car may leave."""
    try:
        wanted = UUID(request.args.get("done", ""))
    except ValueError:
        return None
    moved = drawer_movements.find_movement(db, lot_id, wanted)
    if shift is None or moved is None or moved.shift_id != shift.shift_id:
        return None
    payment = payments.find_payment(db, lot_id, wanted)
    return moved, payment and find_leave_by(db, payment, now=auth.now())


def _close_page(shift_id: str, refused: Exception | None = None) -> str:
    report = find_report(shift_id)
    return render_template(
        "shift_close.html", report=report, id=shift_id, refused=refused, refusal=refusal_words, typed=request.form,
        denominations=DENOMINATIONS_FEN, at=format_instant, alone_max=HAND_OVER_ALONE_MAX_FEN,
        difference=refused.difference_fen if isinstance(refused, ReasonNeeded) else None)


def _find(drawer_id: str, asked: str) -> tuple[Any, Any]:
    """:raises NoVisit; Problem: 400, this is neither a plate nor a visit's id"""
    lot_id, number = read_drawer_id(drawer_id)
    try:
        parse_lot_id(asked)
    except BadIdentifier:
        return find_due(lot_id, number, plate=asked)
    return find_due(lot_id, number, session_id=asked)


def _is_left_open(shift: Shift) -> bool:
    return shift.closed_at is None and is_left_open(shift.opened_at, now=auth.now())


def _database() -> Any:
    return current_app.extensions["database"]
