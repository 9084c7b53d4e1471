"""What the booth's pages and calls share: the deeds of whoever calls, and how ids of drawers and shifts are read.

What services raise goes through.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import current_app

from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.services import close_shift, open_shift, pay_out, take_cash
from parking.services.close_shift import NoShift
from parking.services.open_shift import Counted, NoDrawer, Opening, find_own_drawer
from parking.services.owe import NoVisit
from parking.services.pay_out import NoPayout, Payout, list_payouts
from parking.services.take_cash import Due, Given, show_due
from parking.services.tell_shift import ShiftReport, tell_shift
from parking.store.drawer_movements import Movement
from parking.store.drawers import Drawer
from parking.web import auth
from parking.web.visits import read_plate


def set_up(drawer: Drawer) -> None:
    now = auth.now()
    _database().write(lambda db: open_shift.add_drawer(db, drawer, now=now))


def begin_shift(asked: Opening) -> ShiftReport:
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    made = _database().write(lambda db: open_shift.open_shift(
        db, asked, operator_id=operator_id, by=by, now=now))
    return find_report(format_lot_id(made.lot_id, made.shift_id))


def find_due(
    lot_id: int, drawer_id: int, *, plate: str | None = None, session_id: str | None = None
) -> tuple[Due, list[Payout]]:
    """:raises NoDrawer, NoVisit; Problem: 400, this is no plate"""
    secrets, now = current_app.extensions["secrets"], auth.now()
    wanted = None if session_id is None else read_session_id(session_id, lot_id)
    read = None if plate is None else read_plate(plate)
    with _database().reading() as db:
        find_own_drawer(db, auth.operator_id(), lot_id, drawer_id)
        due = show_due(
            db, auth.operator_id(), lot_id, plate=read, parking_session_id=wanted, secrets=secrets, now=now)
        owed = list_payouts(db, lot_id, secrets=secrets)
    return due, [each for each in owed if each.owed.parking_session_id == due.parking_session_id]


def take_given(given: Given) -> Movement:
    operator_id, by, now, safe = auth.operator_id(), auth.staff_id(), auth.now(), current_app.extensions["key_safe"]
    made: Movement = _database().write(lambda db: take_cash.take_cash(
        db, given, operator_id=operator_id, by=by, safe=safe, now=now))
    return made


def pay_owed(shift_id: str, refund_id: str) -> Movement:
    """:raises NoPayout: there is none of this id"""
    lot_id, found_id = read_shift_id(shift_id)
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    try:
        of_lot, wanted = parse_lot_id(refund_id)
    except BadIdentifier:
        raise NoPayout from None
    if of_lot != lot_id:
        raise NoPayout
    made: Movement = _database().write(lambda db: pay_out.pay_out(
        db, lot_id, wanted, shift_id=found_id, operator_id=operator_id, by=by, now=now))
    return made


def end_shift(shift_id: str, counted: Counted, *, left_fen: int) -> ShiftReport:
    lot_id, found_id = read_shift_id(shift_id)
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    _database().write(lambda db: close_shift.close_shift(
        db, lot_id, found_id, counted, left_fen=left_fen, operator_id=operator_id, by=by, now=now))
    return find_report(shift_id)


def take_handed_in(shift_id: str) -> ShiftReport:
    lot_id, found_id = read_shift_id(shift_id)
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    _database().write(lambda db: close_shift.take_over(
        db, lot_id, found_id, operator_id=operator_id, by=by, now=now))
    return find_report(shift_id)


def find_report(shift_id: str) -> ShiftReport:
    """:raises NoShift: there is none, or it is not the caller's operator's"""
    lot_id, found_id = read_shift_id(shift_id)
    with _database().reading() as db:
        return tell_shift(db, auth.operator_id(), lot_id, found_id)


def read_drawer_id(text: str) -> tuple[int, int]:
    """The lot and the number of `<lot_id>.<number>`.

    :raises NoDrawer: no drawer can have this id
    """
    lot, _, number = text.partition(".")
    if not (lot.isascii() and lot.isdigit() and number.isascii() and number.isdigit() and len(text) < 10):
        raise NoDrawer
    return int(lot), int(number)


def read_shift_id(text: str) -> tuple[int, UUID]:
    """:raises NoShift: no shift can have this id"""
    try:
        return parse_lot_id(text)
    except BadIdentifier:
        raise NoShift from None


def read_session_id(text: str, lot_id: int) -> UUID:
    """:raises NoVisit: not the id of a visit of this lot"""
    try:
        of_lot, found = parse_lot_id(text)
    except BadIdentifier:
        raise NoVisit from None
    if of_lot != lot_id:
        raise NoVisit
    return found


def _database() -> Any:
    return current_app.extensions["database"]
