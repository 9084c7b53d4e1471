"""What the nightly proof compares, lot by lot, and what came of it (services/prove.py).

Each comparison reads both of its sides in one statement, and gives the rows where they differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, aliased, mapped_column

from parking.core.auto_pay import WAY
from parking.core.drawer import CHANNEL
from parking.core.ledger import COUNTS
from parking.store.channel_fees import ChannelFeeLot
from parking.store.charges import ChargeRow
from parking.store.columns import Instant, Json, Table, Uuid, Wide, spread
from parking.store.deductions import DeductionRow
from parking.store.drawer_movements import DrawerMovement
from parking.store.drawers import DrawerCount, DrawerShift
from parking.store.lots import Lot
from parking.store.merchant_payments import MerchantPaymentRow
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.settlements import SettlementLot
from parking.store.statements import insert_new
from parking.store.transfers import COUNTED, LedgerTransfer
from parking.store.validations import SponsorshipRow, ValidationRow, sum_by_merchant
from parking.store.waivers import WaiverRow


class LedgerProof(Table):
    """A proof of a lot's books: how much was looked at, and every difference, none where all agrees."""

    __tablename__ = "ledger_proof"
    __table_args__ = (
        Index("ix_ledger_proof_operator", "operator_id", "proved_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    proved_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    outcome: Mapped[str] = mapped_column(Text)
    transfer_count: Mapped[int] = mapped_column(Wide)
    charge_count: Mapped[int] = mapped_column(Wide)
    differences: Mapped[Any] = mapped_column(Json)


@dataclass(frozen=True, slots=True)
class Proved:
    """outcome: agrees or differs; charge_count: the charges whose seal and reckoning were checked too."""

    lot_id: int
    proved_at: datetime
    operator_id: UUID
    outcome: str
    transfer_count: int
    charge_count: int
    differences: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of what, and the fen on either side; None where one side has no such row."""

    of: str
    expected_fen: int | None
    found_fen: int | None


@dataclass(frozen=True, slots=True)
class SealedCharge:
    """A charge or a credit as it is kept."""

    charge_id: UUID
    parking_session_id: UUID
    kind: str
    total_fen: int
    body: str
    body_hash: bytes
    seal: str


def add_proof(db: Session, proved: Proved) -> None:
    insert_new(
        db, LedgerProof, lot_id=proved.lot_id, proved_at=proved.proved_at, operator_id=proved.operator_id,
        outcome=proved.outcome, transfer_count=proved.transfer_count, charge_count=proved.charge_count,
        differences=proved.differences)


def list_last_proofs(db: Session, *, operator_id: UUID | None = None) -> list[Proved]:
    """The newest proof of each lot, or of an operator's lots; by lot."""
    row, earlier = LedgerProof, aliased(LedgerProof)
    last = select(func.max(earlier.proved_at)).where(earlier.lot_id == Lot.lot_id).scalar_subquery()
    query = select(
        row.lot_id, row.proved_at, row.operator_id, row.outcome, row.transfer_count, row.charge_count, row.differences,
    ).join_from(Lot, row, (row.lot_id == Lot.lot_id) & (row.proved_at == last)).order_by(row.lot_id)
    if operator_id is not None:
        query = query.where(row.operator_id == operator_id)
    return [Proved(*each) for each in db.execute(query)]


def count_transfers(db: Session, lot_id: int) -> int:
    return int(db.execute(select(func.count()).where(LedgerTransfer.lot_id == lot_id)).scalar_one())


def list_unsettled(db: Session, lot_id: int) -> dict[UUID, int]:
    """The visits that by their rows owe something, or were paid too much, in fen."""
    row = ParkingSessionRow
    owed = case((row.charged_fen > row.waived_fen, row.charged_fen - row.waived_fen), else_=0)
    found = db.execute(select(row.parking_session_id, owed - row.paid_fen).where(
        row.lot_id == lot_id, owed != row.paid_fen))
    return {each[0]: int(each[1]) for each in found}


def compare_charged(db: Session, lot_id: int) -> list[Difference]:
    """What a visit's row says was charged, beside its charges less its credits."""
    session, charge = ParkingSessionRow, ChargeRow
    signed = case((charge.kind == "charge", charge.total_fen), else_=-charge.total_fen)
    return _list_unlike(
        db, lot_id, session.parking_session_id, session.charged_fen,
        select(charge.parking_session_id, func.sum(signed)).where(charge.lot_id == lot_id))


def compare_paid(db: Session, lot_id: int) -> list[Difference]:
    """What a visit's row says was paid, beside its payments less what goes back of them."""
    session, payment = ParkingSessionRow, PaymentRow
    return _list_unlike(
        db, lot_id, session.parking_session_id, session.paid_fen,
        select(payment.parking_session_id, func.sum(payment.amount_fen - payment.refunded_fen)).where(
            payment.lot_id == lot_id, payment.state == "paid"))


def compare_waived(db: Session, lot_id: int) -> list[Difference]:
    """What a visit's row says is taken off, beside its waivers."""
    session, waiver = ParkingSessionRow, WaiverRow
    return _list_unlike(
        db, lot_id, session.parking_session_id, session.waived_fen,
        select(waiver.parking_session_id, func.sum(waiver.amount_fen)).where(
            waiver.lot_id == lot_id, waiver.state == "done"))


def compare_deducted(db: Session, lot_id: int) -> list[Difference]:
    """Fees that are being deducted, beside what the ledger has pending for them; both ways, and each with its driver's
    agreement."""
    payment, deduction, pending, end = PaymentRow, DeductionRow, LedgerTransfer, aliased(LedgerTransfer)
    asked = select(payment.payment_id.label("id"), payment.amount_fen.label("fen")).where(
        payment.lot_id == lot_id, payment.way == WAY, payment.state == "asked").subquery()
    waits = (
        select(pending.ref_id.label("id"), pending.amount_fen.label("fen"))
        .join(payment, (payment.lot_id == pending.lot_id) & (payment.payment_id == pending.ref_id))
        .outerjoin(end, (end.lot_id == pending.lot_id) & (end.pending_id == pending.transfer_id))
        .where(pending.lot_id == lot_id, pending.phase == "pending", pending.kind == "payment", payment.way == WAY,
               end.transfer_id.is_(None)).subquery())
    missing = select(asked.c.id, asked.c.fen, waits.c.fen).outerjoin(waits, waits.c.id == asked.c.id).where(
        waits.c.fen.is_(None) | (waits.c.fen != asked.c.fen))
    alone = select(waits.c.id, asked.c.fen, waits.c.fen).outerjoin(asked, asked.c.id == waits.c.id).where(
        asked.c.id.is_(None))
    nobodys = (
        select(payment.payment_id, payment.amount_fen, null())
        .outerjoin(deduction, (deduction.lot_id == payment.lot_id) & (deduction.payment_id == payment.payment_id))
        .where(payment.lot_id == lot_id, payment.way == WAY, deduction.payment_id.is_(None)))
    return [each for query in (missing, alone, nobodys) for each in differences(db.execute(query))]


def compare_refunded(db: Session, lot_id: int) -> list[Difference]:
    """What a payment's row says goes back, beside its refunds."""
    payment, refund = PaymentRow, RefundRow
    return _list_unlike(
        db, lot_id, payment.payment_id, payment.refunded_fen,
        select(refund.payment_id, func.sum(refund.amount_fen)).where(refund.lot_id == lot_id))


def _list_unlike(
    db: Session, lot_id: int, row_id: InstrumentedAttribute[UUID], kept_fen: InstrumentedAttribute[int],
    parts: Select[UUID, Any],
) -> list[Difference]:
    """The rows of a lot whose kept sum is not the sum of their parts.

    :param parts: a row's id, and the sum of its parts
    """
    part_of = parts.selected_columns[0]
    sums = parts.group_by(part_of).subquery()
    found_fen = func.coalesce(sums.c[1], 0)
    return differences(db.execute(
        select(row_id, found_fen, kept_fen).outerjoin(sums, sums.c[0] == row_id)
        .where(row_id.class_.lot_id == lot_id, found_fen != kept_fen)))


def compare_posted(db: Session, lot_id: int) -> list[tuple[str, Difference]]:
    """Each kind of event with those that are not in the ledger as they are in their own table, or there alone."""
    return [(each[0], _difference(*each[1:])) for each in db.execute(_unlike_events(), {"lot_id": lot_id})]


@cache
def _unlike_events() -> CompoundSelect[*tuple[Any, ...]]:
    """Kind, what, expected and found, of a lot; made once, for it is long.

    What counts is written out, as its index has it: SQLite would read all of a lot's transfers for each event.
    """
    row, parts = LedgerTransfer, list[Select[*tuple[Any, ...]]]()
    for kind, query in _events(bindparam("lot_id", type_=Integer)).items():
        event = query.subquery()
        event_id, event_fen = event.c[0], event.c[1]
        posted = select(row.ref_id, row.amount_fen).where(
            row.lot_id == bindparam("lot_id"), row.kind == kind, COUNTED).subquery()
        parts += (
            select(literal(kind), event_id, event_fen, posted.c.amount_fen).outerjoin(
                posted, posted.c.ref_id == event_id).where(
                    posted.c.amount_fen.is_(None) | (posted.c.amount_fen != event_fen)),
            select(literal(kind), posted.c.ref_id, event_fen, posted.c.amount_fen).outerjoin(
                event, event_id == posted.c.ref_id).where(event_id.is_(None)))
    return union_all(*parts)


def _events(lot_id: BindParameter[int]) -> dict[str, Select[*tuple[Any, ...]]]:
    """By their kind, what has happened at a lot by its own tables: id and amount."""
    charge, payment, refund, fee, settled = ChargeRow, PaymentRow, RefundRow, ChannelFeeLot, SettlementLot
    return {
        "charge": select(charge.charge_id, charge.total_fen).where(
            charge.lot_id == lot_id, charge.kind == "charge", charge.total_fen > 0),
        "credit": select(charge.charge_id, charge.total_fen).where(
            charge.lot_id == lot_id, charge.kind == "credit", charge.total_fen > 0),
        "payment": select(payment.payment_id, payment.amount_fen).where(
            payment.lot_id == lot_id, payment.state == "paid"),
        "refund": select(refund.refund_id, refund.amount_fen).where(refund.lot_id == lot_id),
        "fee": select(fee.import_id, fee.booked_fen).where(fee.lot_id == lot_id, fee.booked_fen > 0),
        "fee_back": select(fee.import_id, -fee.booked_fen).where(fee.lot_id == lot_id, fee.booked_fen < 0),
        "commission": select(settled.settlement_id, settled.commission_fen).where(
            settled.lot_id == lot_id, settled.commission_fen > 0),
        "commission_back": select(settled.settlement_id, -settled.commission_fen).where(
            settled.lot_id == lot_id, settled.commission_fen < 0),
        **_cash_events(lot_id), **_merchant_events(lot_id),
    }


def list_posted_of(db: Session, lot_id: int, kinds: Sequence[str]) -> list[tuple[str, UUID, str, str, int]]:
    """What counts of these kinds at a lot: kind, what it is for, debit, credit, fen."""
    row = LedgerTransfer
    found = db.execute(select(row.kind, row.ref_id, row.debit, row.credit, row.amount_fen).where(
        row.lot_id == lot_id, row.kind.in_(kinds), row.phase.in_(COUNTS)))
    return [(each[0], each[1], each[2], each[3], each[4]) for each in found]


def _cash_events(lot_id: BindParameter[int]) -> dict[str, Select[*tuple[Any, ...]]]:
    """What shifts say came into drawers and left them, beside payments: kind, id and amount."""
    shift, count, movement = DrawerShift, DrawerCount, DrawerMovement
    difference = count.counted_fen - count.expected_fen
    return {
        "float": select(shift.shift_id, shift.brought_fen).where(shift.lot_id == lot_id, shift.brought_fen > 0),
        "over": select(count.count_id, difference).where(count.lot_id == lot_id, difference > 0),
        "short": select(count.count_id, -difference).where(count.lot_id == lot_id, difference < 0),
        "payout": select(movement.movement_id, movement.amount_fen).where(
            movement.lot_id == lot_id, movement.kind == "payout"),
        "deposit": select(shift.shift_id, shift.deposit_fen).where(shift.lot_id == lot_id, shift.deposit_fen > 0),
        "banked": select(shift.shift_id, shift.deposit_fen).where(
            shift.lot_id == lot_id, shift.deposit_fen > 0, shift.taken_at.is_not(None)),
    }


def _merchant_events(lot_id: BindParameter[int]) -> dict[str, Select[*tuple[Any, ...]]]:
    """What validations took off charges, what was taken back of that, and what merchants paid."""
    made, paid = SponsorshipRow, MerchantPaymentRow
    return {
        **{kind: select(made.sponsorship_id, made.amount_fen).where(made.lot_id == lot_id, made.kind == kind)
           for kind in ("sponsored", "unsponsored")},
        "merchant_paid": select(paid.payment_id, paid.amount_fen).where(paid.lot_id == lot_id),
    }


def list_merchants_owe(db: Session, lot_id: int) -> dict[UUID, int]:
    """What each merchant of a lot owes: what was booked to it less what it paid."""
    paid = MerchantPaymentRow
    owing = Counter(sum_by_merchant(db, lot_id))
    sums = select(paid.merchant_id, func.sum(paid.amount_fen)).where(paid.lot_id == lot_id).group_by(paid.merchant_id)
    for merchant_id, fen in db.execute(sums):
        owing[merchant_id] -= int(fen)
    return dict(owing)


def list_unlike_validated(db: Session, lot_id: int) -> list[tuple[UUID, int, int]]:
    """Visits whose row has another number of validations than stand in their own table: visit, row's, table's."""
    session, given = ParkingSessionRow, ValidationRow
    stand = {each: int(count) for each, count in db.execute(
        select(given.parking_session_id, func.count()).where(given.lot_id == lot_id, given.taken_back_at.is_(None))
        .group_by(given.parking_session_id))}
    kept = {each: len(found) for each, found in db.execute(
        select(session.parking_session_id, session.validations).where(
            session.lot_id == lot_id, session.validations != []))}
    return [(each, kept.get(each, 0), stand.get(each, 0)) for each in sorted(kept.keys() | stand.keys())
            if kept.get(each, 0) != stand.get(each, 0)]


def compare_cash(db: Session, lot_id: int) -> list[Difference]:
    """Payments of cash beside what came into drawers for them, and refunds that are done beside what left."""
    payment, refund, movement = PaymentRow, RefundRow, DrawerMovement
    paid = select(payment.payment_id.label("id"), payment.amount_fen.label("fen")).where(
        payment.lot_id == lot_id, payment.channel == CHANNEL, payment.state == "paid")
    back = select(refund.refund_id.label("id"), refund.amount_fen.label("fen")).join(
        payment, (payment.lot_id == refund.lot_id) & (payment.payment_id == refund.payment_id)).where(
            refund.lot_id == lot_id, payment.channel == CHANNEL, refund.state == "done")
    found: list[Difference] = []
    for kind, rows in (("payment", paid), ("payout", back)):
        booked = rows.subquery()
        moved = select(movement.movement_id.label("id"), movement.amount_fen.label("fen")).where(
            movement.lot_id == lot_id, movement.kind == kind).subquery()
        found += differences(db.execute(
            select(booked.c.id, booked.c.fen, moved.c.fen).outerjoin(moved, moved.c.id == booked.c.id)
            .where(moved.c.fen.is_(None) | (moved.c.fen != booked.c.fen))))
        found += differences(db.execute(
            select(moved.c.id, booked.c.fen, moved.c.fen).outerjoin(booked, booked.c.id == moved.c.id)
            .where(booked.c.id.is_(None))))
    return found


def list_held(db: Session, lot_id: int) -> dict[int, int]:
    """What each drawer holds by its last count and what came and went since, in fen."""
    shift, later, count, movement = DrawerShift, aliased(DrawerShift), DrawerCount, DrawerMovement
    newest = select(func.max(later.number)).where(
        later.lot_id == shift.lot_id, later.drawer_id == shift.drawer_id).scalar_subquery()
    moved = select(func.sum(case((movement.kind == "payment", movement.amount_fen), else_=-movement.amount_fen))).where(
        movement.lot_id == shift.lot_id, movement.shift_id == shift.shift_id).scalar_subquery()
    is_over = shift.closed_at.is_not(None)
    found = db.execute(
        select(shift.drawer_id, count.counted_fen, case(
            (is_over, -shift.deposit_fen), else_=func.coalesce(moved, 0)))
        .join(count, (count.lot_id == shift.lot_id) & (count.shift_id == shift.shift_id) & (
            count.moment == case((is_over, "closing"), else_="opening")))
        .where(shift.lot_id == lot_id, shift.number == newest))
    return {drawer_id: int(counted) + int(since) for drawer_id, counted, since in found}


def list_sealed(
    db: Session, lot_id: int, *, since: datetime | None, after: UUID | None, limit: int
) -> list[SealedCharge]:
    """The charges and credits of a lot that were sealed from an instant on, by id, some at a time."""
    row = ChargeRow
    query = select(
        row.charge_id, row.parking_session_id, row.kind, row.total_fen, row.body, row.body_hash, row.seal,
    ).where(row.lot_id == lot_id).order_by(row.charge_id).limit(limit)
    if since is not None:
        query = query.where(row.sealed_at >= since)
    if after is not None:
        query = query.where(row.charge_id > after)
    return [SealedCharge(*each) for each in db.execute(query)]


def differences(rows: Iterable[Any]) -> list[Difference]:
    """Rows of what, expected and found."""
    return [_difference(*each) for each in rows]


def _difference(of: object, expected_fen: Any, found_fen: Any) -> Difference:
    return Difference(str(of), None if expected_fen is None else int(expected_fen),
                      None if found_fen is None else int(found_fen))
