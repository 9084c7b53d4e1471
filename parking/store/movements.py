"""Our side of a statement: what was paid and given back through an account.

There may be a million a day: what decides a bucket is read for all, the rest for those that ask for it. A wallet's
top-ups are payments to the channel, and what goes back of them refunds; they are of the city's ledger, and of no lot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal, null, select, type_coerce
from sqlalchemy.orm import Session

from parking.core.clock import from_ms, to_ms
from parking.core.reconciliation import BOOKED, Kind, OurRow
from parking.store.columns import Bytes
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statements import as_text, read_plain
from parking.store.top_ups import TopUpRow, WithdrawalRow


def list_named(db: Session, account_id: UUID, kind: Kind, numbers: list[str]) -> list[OurRow]:
    """Ours that these numbers name, of any day and in any state."""
    return [OurRow(kind, each[1], each[2], False, each[3]) for source in _SOURCES[kind] for each in _find(
        db, source, account_id, numbers, source.number, source.amount_fen, source.state)]


def list_visits(db: Session, account_id: UUID, kind: Kind, numbers: list[str]) -> dict[str, tuple[int, UUID | None]]:
    """What movements of ours were for, by number: lot and parking session; the city's ledger and None of a wallet."""
    return {each[1]: (each[2], each[3]) for source in _SOURCES[kind] for each in _find(
        db, source, account_id, numbers, source.number, source.lot_id, source.parking_session_id)}


def list_waiting(db: Session, account_id: UUID, numbers: list[str]) -> list[tuple[int, UUID]]:
    """The orders among these that we do not hold for paid, and nobody looks at; their lot, CITY of top-ups."""
    return [
        (each[1], each[2]) for source in _SOURCES["payment"] for each in _find(
            db, source, account_id, numbers, source.lot_id, source.subject_id, source.state)
        if each[3] in ("asked", "closed")]


def find_end(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime, count: int
) -> datetime | None:
    """An instant by which about so many were paid, or taken on to be given back; None if there are fewer.

    By the first of the instants by which so many of one source were: no part is larger than of each source so many.
    """
    found = (
        db.execute(source.joined(select(source.at)).where(*_in_time(source, account_id, operator_id, since, until))
                   .order_by(source.at).limit(1).offset(count - 1)).scalar_one_or_none()
        for source in _SOURCES[kind])
    return min((each for each in found if each is not None), default=None)


def read_of_day(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime
) -> dict[str, str]:
    """What was paid, or taken on to be given back, in [since, until): the state of each, by its text."""
    return {text: state for source in _SOURCES[kind] for text, state in read_plain(db, source.joined(
        select(as_text(literal(kind), source.number, source.amount_fen), source.state)).where(
            *_in_time(source, account_id, operator_id, since, until),
            source.state.in_(BOOKED[kind])).order_by(source.at))}


def sum_of_day(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime
) -> list[tuple[int, int, int]]:
    """Of each lot how many were paid, or taken on to be given back, in [since, until), and the fen of them."""
    return _sum(db, _SOURCES[kind][0], account_id, operator_id, since, until)


def sum_of_wallets(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime
) -> int:
    """The fen that were paid into wallets, or taken on to be given back of that, in [since, until)."""
    return sum(fen for _, _, fen in _sum(db, _SOURCES[kind][1], account_id, operator_id, since, until))


def _sum(
    db: Session, source: _Source, account_id: UUID, operator_id: UUID, since: datetime, until: datetime
) -> list[tuple[int, int, int]]:
    found = db.execute(source.joined(select(source.lot_id, func.count(), func.sum(source.amount_fen))).where(
        *_in_time(source, account_id, operator_id, since, until), source.state.in_(("paid", "accepted", "done")),
    ).group_by(source.lot_id))
    return [(each[0], int(each[1]), int(each[2])) for each in found]


@dataclass(frozen=True, slots=True)
class _Source:
    """A table of what moved through channels. back: of what went back, which lies beside the order it is of."""

    order: Any
    subject_id: Any
    parking_session_id: Any
    back: Any | None
    at: Any
    number: Any
    amount_fen: Any
    state: Any
    of_order: Any = None

    @property
    def account_id(self) -> Any:
        return self.order.account_id

    @property
    def lot_id(self) -> Any:
        return self.order.lot_id

    def joined(self, asked: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """What goes back is of its order's account; both are of one lot."""
        if self.back is None:
            return asked
        return asked.select_from(self.back).join(
            self.order, (self.order.lot_id == self.back.lot_id) & (self.subject_id == self.of_order))


_NO_VISIT = null().label("parking_session_id")
_SOURCES: dict[Kind, tuple[_Source, _Source]] = {
    "payment": (
        _Source(PaymentRow, PaymentRow.payment_id, PaymentRow.parking_session_id, None, PaymentRow.paid_at,
                PaymentRow.order_no, PaymentRow.amount_fen, PaymentRow.state),
        _Source(TopUpRow, TopUpRow.top_up_id, _NO_VISIT, None, TopUpRow.paid_at, TopUpRow.order_no,
                TopUpRow.amount_fen, TopUpRow.state)),
    "refund": (
        _Source(PaymentRow, PaymentRow.payment_id, PaymentRow.parking_session_id, RefundRow, RefundRow.accepted_at,
                RefundRow.refund_no, RefundRow.amount_fen, RefundRow.state, RefundRow.payment_id),
        _Source(TopUpRow, TopUpRow.top_up_id, _NO_VISIT, WithdrawalRow, WithdrawalRow.accepted_at,
                WithdrawalRow.refund_no, WithdrawalRow.amount_fen, WithdrawalRow.state, WithdrawalRow.top_up_id)),
}


def _find(db: Session, source: _Source, account_id: UUID, numbers: list[str], *columns: Any) -> Iterator[Any]:
    """Rows by their numbers. The account is compared here: in the query it would send SQLite through all of it."""
    if not numbers:
        return iter(())
    wanted = account_id.bytes
    found = db.execute(source.joined(select(type_coerce(source.account_id, Bytes()), *columns)).where(
        source.number.in_(numbers)))
    return (each for each in found if each[0] == wanted)


def _in_time(source: _Source, account_id: UUID, operator_id: UUID, since: datetime, until: datetime) -> list[Any]:
    """What the indexes by time begin with: of orders the account, of what goes back the operator."""
    where = [source.account_id == account_id, source.at.between(since, _before(until))]
    return where if source.back is None else [*where, source.back.operator_id == operator_id]


def _before(instant: datetime) -> datetime:
    """The last instant before: columns hold whole milliseconds, and BETWEEN has both ends."""
    return from_ms(to_ms(instant) - 1)
