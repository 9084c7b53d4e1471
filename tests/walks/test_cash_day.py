"""Cash is part of a day's books: it closes once every shift that began on it was counted, and each report is sealed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from parking.services.reconcile import ZONE
from parking.services.tell_cash import tell_cash
from parking.services.tell_shift import shift_statement, tell_shift
from tests.channel import connect, simulated_channel
from tests.city import City, bearer
from tests.tariff_desk import ask as call
from tests.walks.test_books import upload
from tests.walks.test_cash import FLOAT, Booth

DAY = datetime(2026, 3, 9, tzinfo=ZONE)
SECOND = timedelta(seconds=1)


def close(city: City, *, status: int = 200) -> dict[str, object]:
    return call(city, city.operators[0], "POST", "/v1/closings", {
        "channel": "wechat_pay", "date": f"{DAY.date()}"}, status=status)


def test_a_day_waits_for_the_shifts_that_began_on_it_and_seals_their_reports(city: City) -> None:
    booth = Booth(city)
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        upload(city, b"No Bill Exist", f"{DAY.date()}")
        shift = booth.open(at=DAY + timedelta(days=1) - SECOND)
        refused = close(city, status=409)
        assert (refused["why"], refused["count"]) == ("cash_open", 1)
        page = city.app.test_client().get(f"/console/days/{DAY.date()}", headers={
            **bearer(city.operators[0]), "Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)
        assert "not counted yet" in page
        booth.close(shift, FLOAT - 100, why="a coin rolled away", left=FLOAT - 300)

        closed = close(city)

    with booth.database.reading() as db:
        report = tell_shift(db, booth.operator_id, booth.lot_id, shift.shift_id)
    cash = json.loads(str(closed["body"]))["cash"]
    assert cash["shifts"][0]["report_sha256"] == sha256(shift_statement(report).encode()).hexdigest()
    assert (cash["expected_fen"], cash["counted_fen"], cash["difference_fen"]) == (FLOAT, FLOAT - 100, -100)
    assert (cash["handed_in_fen"], cash["banked_fen"]) == (200, 200)


@pytest.mark.parametrize(("at", "count"), [
    (DAY - SECOND, 0), (DAY, 1), (DAY + timedelta(days=1) - SECOND, 1), (DAY + timedelta(days=1), 0)])
def test_a_shift_belongs_to_the_day_on_which_it_began(city: City, at: datetime, count: int) -> None:
    booth = Booth(city)
    booth.open(at=at)

    with booth.database.reading() as db:
        assert len(tell_cash(db, booth.operator_id, DAY.date()).shifts) == count
        assert tell_cash(db, booth.other, DAY.date()).shifts == [], "another operator's is not ours"


def test_a_day_without_cash_has_none_in_its_record(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        upload(city, b"No Bill Exist", f"{DAY.date()}")

        assert "cash" not in json.loads(str(close(city)["body"]))
