"""People say why a day's differences are ones, have the channel asked again, and take back what they said.

Of the causes one moves money: what is written off goes to the channel's account of differences, by two people above
the operator's limit, and back where that is taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import format_instant
from parking.core.closing import BOOKED, Cause, books_lack_fen, sides
from parking.core.identifier import derived_uuid
from parking.core.wallet import CITY
from parking.services.close_day import tell
from parking.services.designate import desk_lot
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.reckon import KINDS, hold_day, show_day
from parking.store import (
    channel_accounts,
    day_closings,
    lots,
    operators,
    outbox_messages,
    payments,
    reckonings,
    transfers,
)
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.day_closings import Explanation
from parking.store.reckonings import Difference, Reckoning

Deed = Literal["approve", "reject", "withdraw"]


class NoDifference(Exception):
    """The day has no such difference now."""


class NoExplanation(Exception):
    """There is no such explanation, or it is another operator's."""


class ExplanationIdReused(Exception):
    """The id names another explanation."""


class ExplainedBefore(Exception):
    """The difference has an explanation that stands or waits."""


class DayClosed(Exception):
    """What was closed upon is not taken back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An explanation of the difference that a day has of this kind and number."""

    explanation_id: UUID
    kind: str
    number: str
    cause: Cause
    note: str


# Of each kind of row, what its number may name of ours: what the worker is to do, and how it is told of which.
_TO_ASK = {
    "payment": {"payment": ("query_payment", "payment_id"), "topup": ("query_topup", "top_up_id")},
    "refund": {"refund": ("send_refund", "refund_id"), "topup_refund": ("send_withdrawal", "withdrawal_id")}}


def ask_again(
    database: Database, account: ChannelAccount, day: date, *, kind: str, number: str, now: datetime
) -> None:
    """Have the worker ask the channel about our side of a difference again.

    :raises NoDifference: there is none, or we have no order of its number
    """
    reckoned = show_day(database, account, day, now=now).reckoned

    def deed(db: Session) -> None:
        found = _find_differences(db, account, day, reckoned, kind, number)
        is_ours = kind in KINDS and any(each.lot_id is not None for each in found)
        named = payments.find_kind(db, number) if is_ours else None
        known = payments.find_order(db, number, kind=named) if named in _TO_ASK.get(kind, {}) else None
        if named is None or known is None:
            raise NoDifference
        lot_id, subject_id = known
        to_ask, of = _TO_ASK[kind][named]
        body = {of: str(subject_id), **({"even_closed": True} if kind == "payment" else {})}
        outbox_messages.add_message(
            db, lot_id=desk_lot(db, account.operator_id) if lot_id == CITY else lot_id,
            message_id=derived_uuid(now, "asked_again", subject_id, format_instant(now)),
            kind=to_ask, body=body, now=now)

    database.write(deed)


def explain(
    database: Database, account: ChannelAccount, day: date, asked: Asked, *, by: UUID, now: datetime
) -> Explanation:
    """Say why a difference is one; the same id again is the same explanation.

    :raises NoDifference, ExplanationIdReused, ExplainedBefore:
    """
    def deed(db: Session, reckoned: Reckoning) -> Explanation:
        return _explain(db, account, day, asked, reckoned, by=by, now=now)

    return hold_day(database, account, day, deed, now=now)


def _explain(
    db: Session, account: ChannelAccount, day: date, asked: Asked, reckoned: Reckoning, *, by: UUID, now: datetime
) -> Explanation:
    known = day_closings.find_explanation(db, account.operator_id, asked.explanation_id)
    if known is not None:
        return _same(known, account, day, asked, by)
    told = [
        each for each in tell(
            _find_differences(db, account, day, reckoned, asked.kind, asked.number),
            day_closings.list_explanations(db, account.account_id, day))
        if each.difference.bucket != "pending_cutoff"]
    if not told:
        raise NoDifference
    found = next((each.difference for each in told if each.explanation is None), None)
    if found is None:
        raise ExplainedBefore
    fen = 0
    if asked.cause == BOOKED:
        fen = books_lack_fen(
            found.bucket, found.kind, found.ours_fen, found.theirs_fen, state=found.state, status=found.status)
    waits = abs(fen) > operators.get_operator(db, account.operator_id).waiver_limit_fen
    made = Explanation(
        account.account_id, asked.explanation_id, account.operator_id, day.isoformat(), found.kind, found.number,
        found.bucket, found.difference_fen, asked.cause, asked.note,
        _first_lot(db, account) if found.lot_id is None else found.lot_id,
        fen or None, "waiting" if waits else "stands", by, now, None if waits else by, None if waits else now)
    if not day_closings.add_explanation(db, made):
        raise ExplainedBefore
    if made.state == "stands":
        _book(db, account, made, "written_off", now)
    return made


def decide(
    database: Database, operator_id: UUID, explanation_id: UUID, deed: Deed, *, by: UUID, now: datetime
) -> Explanation:
    """Approve or reject what another wrote off, or take an explanation back; returns it as it then is.

    :raises NoExplanation, AlreadyDecided, SecondPersonNeeded:
    :raises NoDifference: what is to be approved is no difference any more
    :raises DayClosed: what is to be taken back is what the day was closed upon, and is still so
    """
    with database.reading() as db:
        account, found = _find(db, operator_id, explanation_id)

    def write(db: Session, reckoned: Reckoning) -> Explanation:
        _, found = _find(db, operator_id, explanation_id)
        DEEDS[deed](db, account, found, reckoned, by, now)
        return _find(db, operator_id, explanation_id)[1]

    return hold_day(database, account, date.fromisoformat(found.statement_date), write, now=now)


def _find(db: Session, operator_id: UUID, explanation_id: UUID) -> tuple[ChannelAccount, Explanation]:
    found = day_closings.find_explanation(db, operator_id, explanation_id)
    if found is None:
        raise NoExplanation
    account = channel_accounts.find_account(db, found.account_id)
    assert account is not None
    return account, found


def _approve(
    db: Session, account: ChannelAccount, explanation: Explanation, reckoned: Reckoning, by: UUID, now: datetime
) -> None:
    _check_waits(explanation, by)
    if not _is_founded(db, account, explanation, reckoned):
        raise NoDifference
    _change(db, explanation, "stands", by, now)
    _book(db, account, explanation, "written_off", now)


def _reject(
    db: Session, account: ChannelAccount, explanation: Explanation, reckoned: Reckoning, by: UUID, now: datetime
) -> None:
    _check_waits(explanation, by)
    _change(db, explanation, "rejected", by, now)


def _withdraw(
    db: Session, account: ChannelAccount, explanation: Explanation, reckoned: Reckoning, by: UUID, now: datetime
) -> None:
    """Take an explanation back, and what it booked; one that its day was closed upon, once it fits no more."""
    if explanation.state not in ("waiting", "stands"):
        raise AlreadyDecided(explanation.state)
    closing = day_closings.find_closing(db, account.account_id, date.fromisoformat(explanation.statement_date))
    if closing is not None and explanation.asked_at <= closing.closed_at and _is_founded(
        db, account, explanation, reckoned
    ):
        raise DayClosed
    _change(db, explanation, "withdrawn", by, now)
    if explanation.state == "stands":
        _book(db, account, explanation, "written_back", now)


DEEDS: dict[Deed, Callable[[Session, ChannelAccount, Explanation, Reckoning, UUID, datetime], None]] = {
    "approve": _approve, "reject": _reject, "withdraw": _withdraw}


def _check_waits(explanation: Explanation, by: UUID) -> None:
    if explanation.state != "waiting":
        raise AlreadyDecided(explanation.state)
    if explanation.asked_by == by:
        raise SecondPersonNeeded


def _change(db: Session, explanation: Explanation, state: str, by: UUID, now: datetime) -> None:
    """Under the lock of the day; what was read before it was is written by nobody else."""
    if not day_closings.change_explanation(
        db, explanation, state=state, by=by, now=now, booked_fen=explanation.booked_fen
    ):
        raise AlreadyDecided("changed")


def _is_founded(db: Session, account: ChannelAccount, explanation: Explanation, reckoned: Reckoning) -> bool:
    day = date.fromisoformat(explanation.statement_date)
    return any(each.about == explanation.about for each in _find_differences(
        db, account, day, reckoned, explanation.kind, explanation.number))


def _find_differences(
    db: Session, account: ChannelAccount, day: date, reckoned: Reckoning, kind: str, number: str
) -> list[Difference]:
    """The differences that a day has of this kind and number."""
    return reckonings.list_differences_of_order(
        db, account.account_id, day, reckoned.number, kind=kind, order_no=number)


def _same(known: Explanation, account: ChannelAccount, day: date, asked: Asked, by: UUID) -> Explanation:
    said = (known.account_id, known.statement_date, known.kind, known.number, known.cause, known.note, known.asked_by)
    if said != (account.account_id, day.isoformat(), asked.kind, asked.number, asked.cause, asked.note, by):
        raise ExplanationIdReused
    return known


def _book(db: Session, account: ChannelAccount, explanation: Explanation, kind: str, now: datetime) -> None:
    if not explanation.booked_fen:
        return
    assert explanation.lot_id is not None
    debit, credit = sides(account.channel, explanation.booked_fen)
    if kind == "written_back":
        debit, credit = credit, debit
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=abs(explanation.booked_fen), now=now,
        ref_id=explanation.explanation_id), lot_id=explanation.lot_id, operator_id=account.operator_id, now=now)


def _first_lot(db: Session, account: ChannelAccount) -> int:
    """Of a row that names no order of ours, what is written off is of the operator's first lot."""
    return min(lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=account.operator_id))
