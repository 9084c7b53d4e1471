"""A booth gets a drawer, and somebody begins a shift at it: the drawer is counted, and change is brought to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import EPOCH
from parking.core.drawer import CHANNEL, BadCount, count_fen, is_amount
from parking.core.identifier import derived_uuid
from parking.store import channel_accounts, drawers, lots, transfers
from parking.store.channel_accounts import ChannelAccount
from parking.store.drawers import Count, Drawer, Moment, Shift


class NoDrawer(Exception):
    """There is no such drawer, or it is not the operator's."""


class DrawerDiffers(Exception):
    """The lot has another drawer of this number."""


class ShiftIdReused(Exception):
    """The id names another shift."""


class DrawerInUse(Exception):
    """Somebody's shift is open at this drawer."""

    def __init__(self, shift: Shift) -> None:
        super().__init__(str(shift.shift_id))
        self.shift = shift


class ReasonNeeded(Exception):
    """What was counted is not what should be there, and no reason was given. difference_fen: counted less expected."""

    def __init__(self, difference_fen: int) -> None:
        super().__init__(str(difference_fen))
        self.difference_fen = difference_fen


@dataclass(frozen=True, slots=True)
class Counted:
    """What somebody counted: the total, and where they counted so the pieces of each denomination in fen.

    why: the reason of a difference; looked at where there is one.
    """

    fen: int
    pieces: Mapping[int, int] | None = None
    why: str = ""

    def check(self) -> None:
        """:raises BadCount: no drawer holds this, or the pieces are not the total"""
        if not is_amount(self.fen) or (self.pieces is not None and count_fen(self.pieces) != self.fen):
            raise BadCount("the pieces do not come to the total")


@dataclass(frozen=True, slots=True)
class Opening:
    """A shift as it is asked for; its id comes from whoever asks. brought_fen: change from the bank in what was
    counted."""

    shift_id: UUID
    lot_id: int
    drawer_id: int
    counted: Counted
    brought_fen: int = 0


def add_drawer(db: Session, drawer: Drawer, *, now: datetime) -> None:
    """Set a drawer up, and the operator's account of cash; the same again is the same drawer.

    :raises NoDrawer: the lot is not the operator's
    :raises DrawerDiffers: the lot has another one of this number
    """
    lot = lots.find_lot(db, drawer.lot_id)
    if lot is None or lot.operator_id != drawer.operator_id:
        raise NoDrawer
    if not drawers.add_drawer(db, drawer, now=now) and drawers.find_drawer(
        db, drawer.lot_id, drawer.drawer_id
    ) != drawer:
        raise DrawerDiffers
    if channel_accounts.find_connected(db, drawer.operator_id, CHANNEL) is None:
        account = ChannelAccount(
            derived_uuid(EPOCH, "channel_account", CHANNEL, drawer.operator_id), drawer.operator_id, CHANNEL,
            CHANNEL, {}, b"", None)
        channel_accounts.add_account(db, account=account, now=now)


def find_own_drawer(db: Session, operator_id: UUID, lot_id: int, drawer_id: int) -> Drawer:
    """:raises NoDrawer: there is none, or it is not the operator's"""
    found = drawers.find_drawer(db, lot_id, drawer_id)
    if found is None or found.operator_id != operator_id:
        raise NoDrawer
    return found


def open_shift(db: Session, asked: Opening, *, operator_id: UUID, by: UUID, now: datetime) -> Shift:
    """Begin a shift with what was counted in the drawer; the same again is the same shift.

    What the last shift left, and what was brought, should be there: a difference is posted with its reason.

    :raises NoDrawer, BadCount: nothing was done
    :raises ShiftIdReused: the id names another shift
    :raises DrawerInUse: a shift is open at this drawer
    :raises ReasonNeeded: the count differs
    """
    drawer = find_own_drawer(db, operator_id, asked.lot_id, asked.drawer_id)
    asked.counted.check()
    if not is_amount(asked.brought_fen):
        raise BadCount("more was brought than a drawer holds")
    known = drawers.find_shift(db, asked.lot_id, asked.shift_id)
    if known is not None:
        return _same(db, known, asked, by)
    last = drawers.find_last_shift(db, asked.lot_id, asked.drawer_id)
    shift = Shift(
        asked.lot_id, asked.shift_id, drawer.operator_id, asked.drawer_id, 1 if last is None else last.number + 1, by,
        now, asked.brought_fen)
    if not drawers.add_shift(db, shift):
        known = drawers.find_shift(db, asked.lot_id, asked.shift_id)
        if known is not None:  # somebody was quicker, with the same id
            return _same(db, known, asked, by)
        stands = drawers.find_last_shift(db, asked.lot_id, asked.drawer_id)
        assert stands is not None
        raise DrawerInUse(stands)
    if asked.brought_fen:
        _post(db, shift, "float", ledger.drawer(shift.drawer_id), ledger.BANK, asked.brought_fen, now)
    note_count(db, shift, asked.counted, "opening",
               expected_fen=left_before(db, shift) + asked.brought_fen, by=by, now=now)
    return shift


def left_before(db: Session, shift: Shift) -> int:
    """What the shift before left in the drawer."""
    last = drawers.find_last_shift(db, shift.lot_id, shift.drawer_id, before=shift.number)
    if last is None:
        return 0
    count = drawers.find_count(db, last, "closing")
    assert count is not None and last.deposit_fen is not None
    return count.counted_fen - last.deposit_fen


def note_count(
    db: Session, shift: Shift, counted: Counted, moment: Moment, *, expected_fen: int, by: UUID, now: datetime
) -> Count:
    """Keep a count, and post what it found too much or too little.

    :raises ReasonNeeded: it differs, and nobody said why
    """
    difference_fen = counted.fen - expected_fen
    if difference_fen and not counted.why:
        raise ReasonNeeded(difference_fen)
    count = Count(
        moment, derived_uuid(shift.opened_at, "count", shift.lot_id, shift.shift_id, moment), by, expected_fen,
        counted.fen, _pieces(counted), counted.why if difference_fen else None, now)
    drawers.add_count(db, shift, count)
    drawer = ledger.drawer(shift.drawer_id)
    if difference_fen > 0:
        _post(db, shift, "over", drawer, ledger.OVER_AND_SHORT, difference_fen, now, ref_id=count.count_id)
    elif difference_fen < 0:
        _post(db, shift, "short", ledger.OVER_AND_SHORT, drawer, -difference_fen, now, ref_id=count.count_id)
    return count


def is_same_count(count: Count | None, counted: Counted, by: UUID) -> bool:
    """Whether this is the count that was kept, told again."""
    return count is not None and (count.counted_fen, count.pieces, count.staff_id, count.why or counted.why) == (
        counted.fen, _pieces(counted), by, counted.why)


def _pieces(counted: Counted) -> dict[str, int] | None:
    return None if counted.pieces is None else {str(fen): number for fen, number in counted.pieces.items() if number}


def _same(db: Session, known: Shift, asked: Opening, by: UUID) -> Shift:
    """:raises ShiftIdReused: it says something else"""
    if (known.drawer_id, known.brought_fen) != (asked.drawer_id, asked.brought_fen) or not is_same_count(
        drawers.find_count(db, known, "opening"), asked.counted, by
    ):
        raise ShiftIdReused
    return known


def _post(
    db: Session, shift: Shift, kind: str, debit: str, credit: str, amount_fen: int, now: datetime, *,
    ref_id: UUID | None = None,
) -> None:
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=amount_fen, ref_id=ref_id or shift.shift_id, now=now,
    ), lot_id=shift.lot_id, operator_id=shift.operator_id, now=now)
