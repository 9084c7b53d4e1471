"""The ledger: an event counts once, what is pending ends once, and a balance is the sum of its transfers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from parking.core import ledger
from parking.core.ledger import Transfer
from parking.store import lots, transfers
from parking.store.transfers import Balance, TransferDiffers
from tests.city import City, now

CLEARING = ledger.clearing("wechat_pay")


def payment(amount_fen: int = 500, ref_id: UUID | None = None, *, pending: bool = False) -> Transfer:
    at = now()
    return ledger.transfer(
        "payment", debit=CLEARING, credit=ledger.PAYABLE, amount_fen=amount_fen, ref_id=ref_id or uuid4(), now=at,
        pending_until=at + timedelta(minutes=5) if pending else None)


def post(city: City, *posted: Transfer, lot_id: int = 1) -> None:
    def deed(db: Any) -> None:
        operator_id = lots.get_lot(db, lot_id).operator_id
        transfers.post(db, *posted, lot_id=lot_id, operator_id=operator_id, now=now())

    city.app.extensions["database"].write(deed)


def stands_at(city: City, account: str = CLEARING) -> Balance:
    """By what is kept, which is what the transfers add up to."""
    with city.app.extensions["database"].reading() as db:
        kept = transfers.find_balance(db, 1, account)
        assert dict(transfers.add_up(db, 1)).get(account, Balance()) == kept
        return kept


def test_an_event_counts_once_whoever_says_it_again(city: City) -> None:
    once = payment(500)
    later = Transfer(uuid4(), *(getattr(once, name) for name in (
        "kind", "debit", "credit", "amount_fen", "ref_id")))

    post(city, once)
    post(city, once, payment(70))
    post(city, later)

    assert stands_at(city) == Balance(debit_fen=570)
    assert stands_at(city, ledger.PAYABLE) == Balance(credit_fen=570)


@pytest.mark.parametrize("change", [
    lambda said: payment(501, said.ref_id),
    lambda said: Transfer(said.transfer_id, "refund", said.debit, said.credit, said.amount_fen, said.ref_id),
    lambda said: Transfer(said.transfer_id, "payment", said.credit, said.debit, said.amount_fen, said.ref_id),
    lambda said: Transfer(said.transfer_id, "payment", said.debit, said.credit, said.amount_fen, uuid4()),
])
def test_an_id_or_an_event_that_says_something_else_is_refused_and_nothing_is_written(
    city: City, change: Callable[[Transfer], Transfer]
) -> None:
    said = payment(500)
    post(city, said)

    with pytest.raises(TransferDiffers):
        post(city, payment(70), change(said))

    assert stands_at(city) == Balance(debit_fen=500)


@pytest.mark.parametrize(("phase", "then"), [
    ("post", Balance(debit_fen=500)), ("void", Balance()), ("expire", Balance())])
def test_what_is_pending_is_expected_and_then_counts_or_does_not(
    city: City, phase: ledger.Phase, then: Balance
) -> None:
    pending = payment(500, pending=True)
    post(city, pending)
    assert stands_at(city) == Balance(pending_debit_fen=500)
    assert stands_at(city, ledger.PAYABLE) == Balance(pending_credit_fen=500)
    with city.app.extensions["database"].reading() as db:
        assert transfers.find_pending(db, 1, "payment", pending.ref_id) == pending

    ended = ledger.end(pending, phase, now=now())
    post(city, ended)
    post(city, ended)

    assert stands_at(city) == then
    with city.app.extensions["database"].reading() as db:
        assert transfers.find_pending(db, 1, "payment", pending.ref_id) is None
    for other in {"post", "void", "expire"} - {phase}:
        with pytest.raises(TransferDiffers):
            post(city, ledger.end(pending, other, now=now()))  # type: ignore[arg-type]
    assert stands_at(city) == then


def test_what_was_voided_may_count_after_all_and_then_once(city: City) -> None:
    pending = payment(500, pending=True)
    post(city, pending)
    post(city, ledger.end(pending, "void", now=now()))

    post(city, payment(500, pending.ref_id))
    post(city, payment(500, pending.ref_id))

    assert stands_at(city) == Balance(debit_fen=500)


def test_two_at_once_leave_one_truth(city: City) -> None:
    pendings = [payment(100 + number, pending=True) for number in range(8)]
    post(city, *pendings)

    def race(number: int) -> bool:
        phase: ledger.Phase = "post" if number % 2 else "void"
        try:
            post(city, ledger.end(pendings[number // 4], phase, now=now()),
                 payment(1, pendings[number % 8].transfer_id))
        except TransferDiffers:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(race, range(32)))

    stood = stands_at(city)
    posted = {number // 4 for number in range(32) if done[number] and number % 2}
    voided = {number // 4 for number in range(32) if done[number] and not number % 2}
    assert posted | voided == set(range(8)) and not posted & voided
    assert stood.pending_debit_fen == 0
    assert sum(100 + number for number in posted) <= stood.debit_fen <= sum(100 + number for number in posted) + 8


def test_balances_of_accounts_do_not_read_their_history(city: City) -> None:
    for _ in range(3):
        post(city, *(payment(10) for _ in range(50)))
    database, asked = city.app.extensions["database"], []
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    with database.reading() as db:
        assert transfers.balance(db, 1, CLEARING) == 1500

    assert [each for each in asked if "ledger_transfer" in each] == []
