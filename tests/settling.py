"""Money of past days at two lots of one operator, and the channel's statements of it with fees in parts of a fen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update

from parking.core.clock import parse_instant
from parking.core.money import format_raw, format_yuan
from parking.services.book import book_due_fees
from parking.services.reconcile import ZONE
from parking.store.lots import get_lot
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import ChannelOrder, PaymentRow
from parking.store.reckonings import touch_movement
from parking.store.refunds import RefundRow
from tests.city import City, now
from tests.walks.test_books import FILE, account_of, upload
from tests.walks.test_payments import land

MARCH = date(2026, 3, 1)


class Row(NamedTuple):
    """What both sides hold; lot 0: the channel alone. fee_raw in thousandths of a fen, below nothing for a refund."""

    number: str
    fen: int
    fee_raw: int
    lot: int = 1
    is_refund: bool = False


def open_lots(city: City) -> None:
    """A visit at each of the operator's lots, that money can be of."""
    for number, lot_id in enumerate((1, 3)):
        land(city, lot_id, "entry", 1, datetime(2026, 2, 20, 8 + number, tzinfo=ZONE), plate=f"沪A1234{number}")


def owner(city: City) -> UUID:
    with city.app.extensions["database"].reading() as db:
        return get_lot(db, 1).operator_id


def keep(city: City, day: date, rows: Iterable[Row]) -> None:
    """Our own side of a day."""
    for row in rows:
        if row.lot:
            _keep_refund(city, day, row) if row.is_refund else keep_payment(city, day, row)


def keep_payment(city: City, day: date, row: Row) -> UUID:
    account, payment_id, at = account_of(city), uuid4(), parse_instant(f"{day}T10:00:00+08:00")
    with city.app.extensions["database"].writing() as db:
        session_id = db.execute(select(ParkingSessionRow.parking_session_id).where(
            ParkingSessionRow.lot_id == row.lot)).scalar_one()
        _claim(db, row, account.account_id, payment_id)
        db.execute(insert(PaymentRow).values(
            lot_id=row.lot, payment_id=payment_id, operator_id=account.operator_id, channel="wechat_pay",
            account_id=account.account_id, parking_session_id=session_id, way="qr", order_no=row.number,
            amount_fen=row.fen, state="paid", quoted_at=at, expires_at=at, refunded_fen=0, paid_at=at,
            transaction_no=f"t{row.number}"))
        touch_movement(db, account.account_id, account.operator_id, number=row.number, day=day)
    return payment_id


def _keep_refund(city: City, day: date, row: Row) -> None:
    account, at = account_of(city), parse_instant(f"{day}T15:00:00+08:00")
    paid = keep_payment(city, day - timedelta(days=40), Row(f"p{row.number}", row.fen, 0, row.lot))
    refund_id = uuid4()
    with city.app.extensions["database"].writing() as db:
        _claim(db, row, account.account_id, refund_id)
        db.execute(update(PaymentRow).where(PaymentRow.payment_id == paid).values(refunded_fen=row.fen))
        db.execute(insert(RefundRow).values(
            lot_id=row.lot, refund_id=refund_id, operator_id=account.operator_id, payment_id=paid,
            refund_no=row.number, amount_fen=row.fen, why="by hand", state="accepted", asked_at=at, accepted_at=at))
        touch_movement(db, account.account_id, account.operator_id, number=row.number, day=day)


def _claim(db: Any, row: Row, account_id: UUID, subject_id: UUID) -> None:
    db.execute(insert(ChannelOrder).values(
        order_no=row.number, kind="refund" if row.is_refund else "payment", account_id=account_id, lot_id=row.lot,
        subject_id=subject_id))


def file_of(day: date, rows: Iterable[Row], *, merchant: str = "1900000001") -> bytes:
    """The channel's statement of a day."""
    rows = list(rows)
    if not rows:
        return b"No Bill Exist"
    head, summary = FILE.read_text("utf-8").splitlines()[0], FILE.read_text("utf-8").splitlines()[-2]
    lines = [head]
    for row in rows:
        yuan = format_yuan(row.fen)
        paid, back = ("0.00", yuan) if row.is_refund else (yuan, "0.00")
        refund = ("5000", row.number, back, "0.00", "ORIGINAL", "PROCESSING") if row.is_refund else (
            "0", "0", back, "0.00", "", "")
        lines.append("`" + ",`".join((
            f"{day} 10:00:00", "wx", merchant, "0", "", f"42{row.number}", f"p{row.number}" if row.is_refund else
            row.number, "o", "NATIVE", "REFUND" if row.is_refund else "SUCCESS", "OTHERS", "CNY", paid, "0.00",
            *refund, "parking", "", _five(row.fee_raw), "0.60%", paid, back, "")))
    settled = sum(row.fen for row in rows if not row.is_refund)
    refunded = sum(row.fen for row in rows if row.is_refund)
    lines += [summary, "`" + ",`".join((
        str(len(rows)), format_yuan(settled), format_yuan(refunded), "0.00", _five(sum(row.fee_raw for row in rows)),
        format_yuan(settled), format_yuan(refunded)))]
    return "\n".join(lines).encode()


def _five(raw: int) -> str:
    """Yuan with five decimals."""
    text = format_raw(raw)
    return text if len(text.partition(".")[2]) == 5 else f"{text}000"


def say(city: City, day: date, rows: Iterable[Row], *, merchant: str = "1900000001") -> dict[str, Any]:
    """The channel's statement of a day comes."""
    said = upload(city, file_of(day, rows, merchant=merchant), day.isoformat())
    book_due_fees(city.app.extensions["database"], now=now())
    return said


def close(city: City, day: date, *rows: Row) -> dict[str, Any]:
    """A day on which both sides hold the same."""
    keep(city, day, rows)
    return say(city, day, rows)
