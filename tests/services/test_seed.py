"""The demo city's booth: a closed shift that was short, an open one, and cash that waits for a driver."""

from __future__ import annotations

from typing import Any

from flask import Flask

from parking.services.bill_merchant import owes_fen
from parking.services.pay_out import list_payouts
from parking.services.prove import prove_all
from parking.services.seed import seed_demo_city
from parking.services.tell_shift import tell_shift
from parking.services.validate import month_of
from parking.store import drawers, lots, merchants
from tests.city import now


def test_the_demo_has_a_shift_to_click_and_books_that_agree(app: Flask) -> None:
    extensions = app.extensions
    database, secrets = extensions["database"], extensions["secrets"]

    database.write(lambda db: seed_demo_city(
        db, seed=1, secrets=secrets, safe=extensions["key_safe"], realm="shanghai", now=now()))

    with database.reading() as db:
        drawer, shift = drawers.find_drawer(db, 12, 1), drawers.find_open_shift(db, 12, 1)
        assert drawer is not None and shift is not None and shift.number == 2
        today = tell_shift(db, drawer.operator_id, 12, shift.shift_id)
        (before,) = drawers.list_shifts(db, 12, 1, before=2, limit=5)
        yesterday = tell_shift(db, drawer.operator_id, 12, before.shift_id)
        waiting = list_payouts(db, 12, secrets=secrets)
    assert (today.name(shift.staff_id), yesterday.name(before.staff_id)) == ("operator1", "operator1-second")
    assert (today.sums.payment_count, yesterday.sums.payment_count, len(waiting)) == (3, 2, 1)
    assert yesterday.closing is not None and yesterday.closing.difference_fen == -500
    with database.reading() as db:
        (merchant,) = merchants.list_merchants(db, drawer.operator_id)
        assert owes_fen(db, merchant) == 1000, "an hour of the car that has left"
        assert merchants.find_spent(db, merchant, month_of(lots.get_lot(db, 15), now()))[0] in (0, 180)
    found: list[dict[str, Any]] = []
    assert prove_all(database, now=now(), every_seal=True, tell=lambda _, proved: found.extend(proved.differences))
    assert found == []
