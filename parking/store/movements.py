"""Our side of a statement: what was paid and given back through an account.

There may be a million a day: what decides a bucket is read for all, the rest for those that ask for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from parking.core.clock import from_ms, to_ms
from parking.core.reconciliation import BOOKED, Kind, OurRow
from parking.store.columns import Bytes
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statements import as_text, read_plain


def list_named(db: Session, account_id: UUID, kind: Kind, numbers: list[str]) -> list[OurRow]:
    """Ours that these numbers name, of any day and in any state."""
    _, number, amount_fen, state = _columns(kind)
    found = _find(db, account_id, kind, numbers, number, amount_fen, state)
    return [OurRow(kind, each[1], each[2], False, each[3]) for each in found]


def list_visits(db: Session, account_id: UUID, kind: Kind, numbers: list[str]) -> dict[str, tuple[int, UUID]]:
    """The visits that movements of ours were for, by number: lot and parking session."""
    _, number, *_ = _columns(kind)
    lot_id = PaymentRow.lot_id if kind == "payment" else RefundRow.lot_id
    found = _find(db, account_id, kind, numbers, number, lot_id, PaymentRow.parking_session_id)
    return {each[1]: (each[2], each[3]) for each in found}


def list_waiting(db: Session, account_id: UUID, numbers: list[str]) -> list[tuple[int, UUID]]:
    """The orders among these that we do not hold for paid, and nobody looks at."""
    row = PaymentRow
    found = _find(db, account_id, "payment", numbers, row.lot_id, row.payment_id, row.state)
    return [(each[1], each[2]) for each in found if each[3] in ("asked", "closed")]


def _find(db: Session, account_id: UUID, kind: Kind, numbers: list[str], *columns: Any) -> Iterator[Any]:
    """Rows by their numbers. The account is compared here: in the query it would send SQLite through all of it."""
    if not numbers:
        return iter(())
    number, wanted = _columns(kind)[1], account_id.bytes
    found = db.execute(_from(select(type_coerce(PaymentRow.account_id, Bytes()), *columns), kind).where(
        number.in_(numbers)))
    return (each for each in found if each[0] == wanted)


def find_end(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime, count: int
) -> datetime | None:
    """The instant by which so many were paid, or taken on to be given back; None if there are fewer."""
    at, *_ = _columns(kind)
    return db.execute(_from(select(at), kind).where(*_in_time(account_id, operator_id, kind, since, until))
                      .order_by(at).limit(1).offset(count - 1)).scalar_one_or_none()


def read_of_day(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime
) -> dict[str, str]:
    """What was paid, or taken on to be given back, in [since, until): the state of each, by its text."""
    at, number, amount_fen, state = _columns(kind)
    return dict(read_plain(db, _from(select(as_text(literal(kind), number, amount_fen), state), kind).where(
        *_in_time(account_id, operator_id, kind, since, until), state.in_(BOOKED[kind])).order_by(at)))


def sum_of_day(
    db: Session, account_id: UUID, operator_id: UUID, kind: Kind, *, since: datetime, until: datetime
) -> list[tuple[int, int, int]]:
    """Of each lot how many were paid, or taken on to be given back, in [since, until), and the fen of them."""
    _, _, amount_fen, state = _columns(kind)
    lot_id = PaymentRow.lot_id
    found = db.execute(_from(select(lot_id, func.count(), func.sum(amount_fen)), kind).where(
        *_in_time(account_id, operator_id, kind, since, until), state.in_(("paid", "accepted", "done")),
    ).group_by(lot_id))
    return [(each[0], int(each[1]), int(each[2])) for each in found]


def _columns(kind: Kind) -> tuple[Any, Any, Any, Any]:
    """When, number, amount and state."""
    if kind == "payment":
        return PaymentRow.paid_at, PaymentRow.order_no, PaymentRow.amount_fen, PaymentRow.state
    return RefundRow.accepted_at, RefundRow.refund_no, RefundRow.amount_fen, RefundRow.state


def _from(asked: Select[*tuple[Any, ...]], kind: Kind) -> Select[*tuple[Any, ...]]:
    """A refund is of its payment's account; both are of one lot."""
    payment, refund = PaymentRow, RefundRow
    if kind == "payment":
        return asked
    return asked.select_from(refund).join(
        payment, (payment.lot_id == refund.lot_id) & (payment.payment_id == refund.payment_id))


def _in_time(account_id: UUID, operator_id: UUID, kind: Kind, since: datetime, until: datetime) -> list[Any]:
    """What the indexes by time begin with: of payments the account, of refunds the operator."""
    where = [PaymentRow.account_id == account_id, _columns(kind)[0].between(since, _before(until))]
    return where if kind == "payment" else [*where, RefundRow.operator_id == operator_id]


def _before(instant: datetime) -> datetime:
    """The last instant before: columns hold whole milliseconds, and BETWEEN has both ends."""
    return from_ms(to_ms(instant) - 1)
