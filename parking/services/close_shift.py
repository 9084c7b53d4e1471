"""A shift ends: the drawer is counted, what is handed in leaves it, and above an amount a second person takes it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.drawer import BadCount, expected_fen, is_amount, needs_second_person
from parking.services.open_shift import Counted, is_same_count, note_count
from parking.store import drawer_movements, drawers, transfers
from parking.store.drawers import Shift


class NoShift(Exception):
    """There is no such shift, or it is not the operator's."""


class ShiftOver(Exception):
    """The shift is closed."""


class NotYourShift(Exception):
    """Somebody else's shift: who opened it takes and pays out cash in it."""


class NothingToTake(Exception):
    """Nothing of this shift waits to be taken over."""


class SecondPersonTakes(Exception):
    """Who opened or closed the shift does not take its money over."""


def hold_shift(db: Session, operator_id: UUID, lot_id: int, shift_id: UUID) -> Shift:
    """:raises NoShift: there is none, or it is not the operator's"""
    shift = drawers.lock_shift(db, lot_id, shift_id)
    if shift is None or shift.operator_id != operator_id:
        raise NoShift
    return shift


def hold_own_open_shift(db: Session, operator_id: UUID, lot_id: int, shift_id: UUID, *, by: UUID) -> Shift:
    """:raises NoShift, NotYourShift, ShiftOver: cash cannot move in it"""
    shift = hold_shift(db, operator_id, lot_id, shift_id)
    if shift.staff_id != by:
        raise NotYourShift
    if shift.closed_at is not None:
        raise ShiftOver
    return shift


def held_fen(db: Session, shift: Shift) -> int:
    """What the drawer of an open shift should hold."""
    opening, sums = drawers.find_count(db, shift, "opening"), drawer_movements.add_up_movements(db, shift)
    assert opening is not None
    return expected_fen(
        counted_fen=opening.counted_fen, taken_fen=sums.taken_fen, paid_out_fen=sums.paid_out_fen)


def close_shift(
    db: Session, lot_id: int, shift_id: UUID, counted: Counted, *, left_fen: int, operator_id: UUID, by: UUID,
    now: datetime,
) -> Shift:
    """End a shift with what was counted; all but left_fen, which the next one begins with, is handed in.

    Anybody of the operator's staff may: one who went home left it open. The same again is the same closing.

    :raises NoShift, BadCount: nothing was done; left_fen is no more than what was counted
    :raises ShiftOver: it was closed otherwise
    :raises ReasonNeeded: the count differs from what should be there
    """
    counted.check()
    deposit_fen = counted.fen - left_fen
    if not is_amount(left_fen) or deposit_fen < 0:
        raise BadCount("more is left than was counted")
    shift = hold_shift(db, operator_id, lot_id, shift_id)
    if shift.closed_at is not None:
        if shift.deposit_fen != deposit_fen or not is_same_count(drawers.find_count(db, shift, "closing"), counted, by):
            raise ShiftOver
        return shift
    note_count(db, shift, counted, "closing", expected_fen=held_fen(db, shift), by=by, now=now)
    taken_at = None if needs_second_person(deposit_fen) else now
    drawers.close_shift(db, shift, closed_by=by, deposit_fen=deposit_fen, taken_at=taken_at, now=now)
    if deposit_fen:
        _post(db, shift, "deposit", ledger.TRANSIT, ledger.drawer(shift.drawer_id), deposit_fen, now)
        if taken_at is not None:
            _post(db, shift, "banked", ledger.BANK, ledger.TRANSIT, deposit_fen, now)
    closed = drawers.find_shift(db, lot_id, shift_id)
    assert closed is not None
    return closed


def take_over(
    db: Session, lot_id: int, shift_id: UUID, *, operator_id: UUID, by: UUID, now: datetime
) -> Shift:
    """A second person has counted what a shift handed in, and has it now; told again by the same one, it is the same.

    :raises NoShift, NothingToTake: nothing was done
    :raises SecondPersonTakes: it takes another person
    """
    shift = hold_shift(db, operator_id, lot_id, shift_id)
    if shift.taken_by is not None and shift.taken_by == by:
        return shift
    if not shift.waits_for_second_person:
        raise NothingToTake
    if by in (shift.staff_id, shift.closed_by):
        raise SecondPersonTakes
    assert shift.deposit_fen is not None
    drawers.take_over(db, shift, taken_by=by, now=now)
    _post(db, shift, "banked", ledger.BANK, ledger.TRANSIT, shift.deposit_fen, now)
    taken = drawers.find_shift(db, lot_id, shift_id)
    assert taken is not None
    return taken


def _post(
    db: Session, shift: Shift, kind: str, debit: str, credit: str, amount_fen: int, now: datetime
) -> None:
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=amount_fen, ref_id=shift.shift_id, now=now,
    ), lot_id=shift.lot_id, operator_id=shift.operator_id, now=now)
