"""What must hold once a simulated month is over: the ledger, the rows, the days and the channels tell the same."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from parking.core import ledger
from parking.core.statement import CHANNEL_ZONE
from parking.services.account import Period
from parking.services.book_funds import find_position
from parking.services.prove import prove_all
from parking.services.settle import approve_settlement, find_settlement, propose_settlement
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.alipay_bill import Row
from parking.store import channel_accounts, channel_fees, fund_bookings, transfers
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from scripts.benches._month import WITHDRAWN_FEN, Month
from scripts.benches._month_channels import Party
from scripts.benches._month_desk import list_unclosed
from scripts.benches._month_plan import FIRST


def settle_month(month: Month) -> dict[str, Any]:
    """Each operator is settled for the month; above its limit a second person agrees."""
    net_fen = 0
    for operator_id, (first, second) in month.people.items():
        period = Period(FIRST, FIRST + timedelta(days=month.day_count - 1), CHANNEL_ZONE)
        made = propose_settlement(
            month.database, operator_id, month.new_id(), period, by=first, now=month.at)
        if made.state == "waiting":
            with month.database.writing() as db:
                made = approve_settlement(db, operator_id, made.settlement_id, by=second, now=month.at)
        assert made.state == "closed"
        with month.database.reading() as db:
            kept = find_settlement(db, operator_id, made.settlement_id)
        assert sum(each.net_fen for each in kept.figures.lots) == kept.figures.total.net_fen == made.net_fen
        net_fen += made.net_fen
    return {"settled_net_fen": net_fen}


def check_month(month: Month) -> dict[str, Any]:
    """:raises AssertionError: something does not hold, and what"""
    found = prove(month)
    unclosed = list_unclosed(month)
    assert not unclosed, unclosed
    month.days.check_closed()
    held = [_check_clearing(month, party) for party in month.parties]
    return {**found, **_check_visits(month), "held_fen": sum(held)}


def prove(month: Month) -> dict[str, Any]:
    """The nightly proof of all of it, every seal too, finds nothing."""
    differences: list[Any] = []
    counted: Counter[str] = Counter()

    def tell(_: Any, proved: Any) -> None:
        differences.extend(proved.differences)
        counted.update(transfers=proved.transfer_count, seals=proved.charge_count)

    prove_all(month.database, now=month.at, every_seal=True, tell=tell)
    assert differences == [], differences[:20]
    return dict(counted)


def _check_clearing(month: Month, party: Party) -> int:
    """What the ledger says that a channel holds is what it says itself: payments less refunds and fees, to the fen.

    So it is by what the simulator saw, and by the balance at the end of its bills of movements.
    """
    holds, fee_raw = _held_at_channel(party)
    with month.database.reading() as db:
        carried_raw = sum(channel_fees.find_carried(db, party.account_id)[1].values())
        clearing = sum(transfers.balance(db, lot_id, ledger.clearing(party.channel))
                       for lot_id, of in month.operator_of.items() if of == party.operator_id)
        account = channel_accounts.find_account(db, party.account_id)
        assert account is not None
        position = find_position(db, account)
        booked = [each for each in fund_bookings.list_bookings(db, party.operator_id)
                  if each.account_id == party.account_id]
    assert position is not None and position.difference_fen == 0, (party.channel, position)
    assert len(booked) >= month.day_count and sum(each.withdrawn_fen for each in booked) >= (
        WITHDRAWN_FEN * month.day_count)
    clearing -= sum(each.opened_fen - each.withdrawn_fen - each.rounded_fen for each in booked)
    elsewhere = sum(
        each.foreign_fen - each.off_fen for (of, *_), each in month.expected.planted.items()
        if of == party.account_id and each.foreign_fen)
    booked_raw = fee_raw - carried_raw
    assert booked_raw % 1000 == 0
    assert clearing == holds - elsewhere - booked_raw // 1000, (
        party.channel, clearing, holds, elsewhere, booked_raw)
    return clearing


def _held_at_channel(party: Party) -> tuple[int, int]:
    """Payments less refunds, in fen, and the fees of them, in thousandths of a fen."""
    seen: Any = party.simulator.seen
    paid = [each for each in seen.orders.values() if each.paid_at]
    refunds = list(seen.refunds.values())
    holds = sum(each.total for each in paid) - sum(each.amount for each in refunds)
    if isinstance(party.simulator, AlipaySimulator):
        rows = [Row("", each, each.total) for each in paid] + [
            Row("", seen.orders[each.order_no], -each.amount, each.refund_no) for each in refunds]
        return holds, -1000 * sum(each.fee for each in rows)
    assert all(each.status == "SUCCESS" for each in refunds), "the banks have it all"
    return holds, 6 * holds


def _check_visits(month: Month) -> dict[str, Any]:
    """Nobody paid twice: what a visit holds is what the channels hold for it, and no more than it owes."""
    at_channels, off = Counter[str](), set[str]()
    for (_, kind, number, _), each in month.expected.planted.items():
        if kind == "payment" and each.off_fen:
            off.add(number)
    back: Counter[str] = Counter()
    for party in month.parties:
        seen: Any = party.simulator.seen
        for each in seen.orders.values():
            if each.paid_at and each.order_no not in off:
                at_channels[each.order_no] += each.total
        for each in seen.refunds.values():
            back[each.refund_no] += each.amount
    with month.database.reading() as db:
        sessions = {(each[0], each[1]): each for each in db.execute(select(
            ParkingSessionRow.lot_id, ParkingSessionRow.parking_session_id, ParkingSessionRow.state,
            ParkingSessionRow.charged_fen, ParkingSessionRow.waived_fen, ParkingSessionRow.paid_fen))}
        payments = db.execute(select(
            PaymentRow.lot_id, PaymentRow.payment_id, PaymentRow.parking_session_id, PaymentRow.channel,
            PaymentRow.order_no, PaymentRow.amount_fen, PaymentRow.state)).all()
        refunds = db.execute(select(
            RefundRow.lot_id, RefundRow.payment_id, RefundRow.refund_no, RefundRow.amount_fen, RefundRow.state)).all()
    held: Counter[tuple[Any, Any]] = Counter()
    visit_of = {}
    for lot_id, payment_id, session_id, channel, order_no, amount_fen, state in payments:
        visit_of[lot_id, payment_id] = session_id, channel
        if state == "paid":
            held[lot_id, session_id] += amount_fen
            if channel != "cash" and order_no not in off:
                assert at_channels.pop(order_no) == amount_fen
        else:
            assert state == "closed" or (state == "disputed" and order_no in off), (order_no, state)
    foreign = {number for (_, _, number, _), each in month.expected.planted.items() if each.foreign_fen}
    assert set(at_channels) <= foreign, "the channels hold nothing that our books do not know"
    for lot_id, payment_id, refund_no, amount_fen, state in refunds:
        session_id, channel = visit_of[lot_id, payment_id]
        assert state == "done", (refund_no, state)
        held[lot_id, session_id] -= amount_fen
        assert channel == "cash" or back.pop(refund_no) == amount_fen
    assert not back, "nothing went back that was not asked for"
    unpaid = 0
    for (lot_id, session_id), (_, _, state, charged_fen, waived_fen, paid_fen) in sessions.items():
        assert held[lot_id, session_id] == paid_fen, session_id
        assert state in ("closed", "voided"), state
        owed_fen = max(0, charged_fen - waived_fen) if state == "closed" else 0
        assert paid_fen <= owed_fen, "what was too much has gone back"
        unpaid += owed_fen > paid_fen
    return {"visits": len(sessions), "payments": sum(each[6] == "paid" for each in payments),
            "refunds": len(refunds), "visits_that_owe": unpaid,
            "charged_fen": sum(each[3] - each[4] for each in sessions.values() if each[2] == "closed"),
            "paid_fen": sum(each[5] for each in sessions.values())}

