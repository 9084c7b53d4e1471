"""A channel's fees reach the ledger once, in whole fen, each lot's its own; what is less than a fen is not lost."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text

from parking.core import ledger
from parking.core.clock import city_date
from parking.services import book
from parking.services.book import book_due_fees, book_fees
from parking.services.prove import prove_all
from parking.services.reckon import show_day
from parking.services.reconcile import ZONE, import_statement
from parking.store import transfers
from parking.store.channel_fees import ChannelFee, ChannelFeeLot
from parking.store.transfers import LedgerTransfer
from tests.channel import connect, simulated_channel
from tests.city import City, now
from tests.settling import MARCH, Row, close, file_of, keep, open_lots, owner, say
from tests.walks.test_books import account_of
from tests.walks.test_payments import Channel, ask, check_books, order_no, work
from tests.walks.test_waivers import parked, waive

CLEARING = ledger.clearing("wechat_pay")
DAY = timedelta(days=1)


@pytest.fixture
def books(city: City) -> City:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
    open_lots(city)
    return city


def database(city: City) -> Any:
    return city.app.extensions["database"]


def booked(city: City) -> list[tuple[str, int, int, int]]:
    """Day, raw, fen, carried on; in the order of the bookings."""
    row = ChannelFee
    with database(city).reading() as db:
        return [tuple(each) for each in db.execute(select(
            row.statement_date, row.fee_raw, row.booked_fen, row.carried_raw).order_by(row.number))]


def of_lots(city: City, number: int = 1) -> dict[int, tuple[int, int, int]]:
    row = ChannelFeeLot
    with database(city).reading() as db:
        return {each[0]: tuple(each[1:]) for each in db.execute(select(
            row.lot_id, row.fee_raw, row.booked_fen, row.carried_raw).where(row.number == number))}


def stands_at(city: City, account: str) -> dict[int, int]:
    with database(city).reading() as db:
        return {lot_id: transfers.balance(db, lot_id, account) for lot_id in (1, 3)}


def fee_differences(city: City) -> list[str]:
    """What the nightly proof finds of fees; the visits of these days are made up."""
    found: list[dict[str, Any]] = []
    prove_all(database(city), now=now(), every_seal=True, tell=lambda _, proved: found.extend(proved.differences))
    return [each["what"] for each in found if each["what"].startswith("fee") or each["what"] == "balance"]


def test_a_closed_day_is_booked_in_whole_fen_and_the_rest_is_carried(books: City) -> None:
    first = close(books, MARCH, Row("a", 15_100, 90_600), Row("b", 50, 300, lot=3))
    close(books, MARCH + DAY, Row("c", 25, 150, lot=3))
    close(books, MARCH + 2 * DAY)

    assert first["is_balanced"] is True and first["fee_raw"] == 90_900
    assert booked(books) == [("2026-03-01", 90_900, 90, 900), ("2026-03-02", 150, 1, 50), ("2026-03-03", 0, 0, 50)]
    assert of_lots(books, 1) == {1: (90_600, 90, 600), 3: (300, 0, 300)}
    assert of_lots(books, 2) == {1: (0, 1, -400), 3: (150, 0, 450)}
    assert stands_at(books, ledger.PAYABLE) == {1: 91, 3: 0}
    assert stands_at(books, CLEARING) == {1: -91, 3: 0}
    assert fee_differences(books) == []


def test_a_day_on_which_more_fees_came_back_goes_the_other_way(books: City) -> None:
    close(books, MARCH, Row("r", 5000, -30_500, is_refund=True), Row("b", 2000, 12_000, lot=3))

    assert booked(books) == [("2026-03-01", -18_500, -19, 500)]
    assert of_lots(books) == {1: (-30_500, -31, 500), 3: (12_000, 12, 0)}
    assert stands_at(books, ledger.PAYABLE) == {1: -31, 3: 12}
    assert stands_at(books, CLEARING) == {1: 31, 3: -12}
    assert fee_differences(books) == []


def test_what_is_not_closed_is_not_booked_until_it_is(books: City) -> None:
    rows = [Row("a", 1000, 6000), Row("late", 700, 4200, lot=3)]
    keep(books, MARCH, rows[:1])
    assert say(books, MARCH, rows)["is_balanced"] is False
    assert book_due_fees(database(books), now=now()) == 0 and booked(books) == []

    keep(books, MARCH, rows[1:])

    assert book_due_fees(database(books), now=now()) == 1
    assert booked(books) == [("2026-03-01", 10_200, 10, 200)]
    assert book_due_fees(database(books), now=now()) == 0


def test_a_provisional_statement_is_not_booked_and_the_final_one_is_once(books: City) -> None:
    today = city_date(now(), ZONE)
    first, both = [Row("a", 1000, 6000)], [Row("a", 1000, 6000), Row("b", 1000, 6500)]
    keep(books, today, first)
    assert say(books, today, first)["is_provisional"] is True
    assert booked(books) == []
    keep(books, today, both[1:])
    shared: dict[str, Any] = {"operator_id": owner(books), "channel": "wechat_pay", "day": today}

    for _ in range(2):
        import_statement(database(books), io.BytesIO(file_of(today, both)), now=now() + DAY, **shared)
        book_due_fees(database(books), now=now() + DAY)

    assert [each[1:] for each in booked(books)] == [(12_500, 12, 500)]
    assert fee_differences(books) == []


@pytest.mark.parametrize("command", [["worker", "--once"], ["settlements", "book-fees"]])
def test_the_worker_and_the_shell_book_what_closed_since(books: City, command: list[str]) -> None:
    rows = [Row("late", 700, 4200)]
    say(books, MARCH, rows)
    keep(books, MARCH, rows)

    done = books.app.test_cli_runner().invoke(args=["parking", *command])

    assert done.exit_code == 0, done.output
    assert booked(books) == [("2026-03-01", 4200, 4, 200)]


def test_days_are_carried_in_the_order_in_which_they_close(books: City) -> None:
    close(books, MARCH + 5 * DAY, Row("a", 100, 600))
    close(books, MARCH, Row("b", 100, 600))

    assert booked(books) == [("2026-03-06", 600, 0, 600), ("2026-03-01", 600, 1, 200)]


def test_many_who_book_at_once_book_each_day_once(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.settling.book_due_fees", lambda *_, **__: 0)
    days = [MARCH + number * DAY for number in range(4)]
    for number, day in enumerate(days):
        close(books, day, Row(f"n{number}", 1000, 6_300), Row(f"m{number}", 1000, 6_900, lot=3))
    account = account_of(books)

    def once(number: int) -> bool:
        day = days[number % 4]
        return book_fees(database(books), show_day(database(books), account, day, now=now()), now=now())

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(once, range(12)))

    assert all(done)
    assert sorted(each[0] for each in booked(books)) == [day.isoformat() for day in days]
    assert sum(each[2] for each in booked(books)) == 52 and booked(books)[-1][3] == 800
    assert fee_differences(books) == []


def test_a_statement_in_parts_of_any_size_is_booked_alike(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "ROWS_AT_ONCE", 2)

    close(books, MARCH, *(Row(f"n{number}", 100, 601, lot=1 if number % 3 else 3) for number in range(8)))

    assert booked(books) == [("2026-03-01", 4808, 4, 808)]
    assert {lot: raw for lot, (raw, _, _) in of_lots(books).items()} == {1: 5 * 601, 3: 3 * 601}


@pytest.mark.parametrize(("statement", "told"), [
    ("UPDATE channel_fee_lot SET fee_raw = fee_raw + 1000, booked_fen = booked_fen + 1 WHERE lot_id = 1 AND number = 1",
     {"fee_posted", "fee_rows_raw", "fee_parts_fee_raw", "fee_parts_booked_fen"}),
    ("DELETE FROM channel_fee_lot WHERE lot_id = 3 AND number = 1",
     {"fee_posted", "fee_rows_raw", "fee_parts_fee_raw", "fee_parts_booked_fen", "fee_carried"}),
    ("UPDATE statement_line SET fee_raw = fee_raw + 1 WHERE number = 'a'", {"fee_rows_raw"}),
    ("DELETE FROM ledger_transfer WHERE kind = 'fee' AND lot_id = 3", {"fee_posted", "balance"}),
    ("UPDATE payment SET order_no = 'other' WHERE order_no = 'a'", {"fee_of_no_lot"}),
    ("DELETE FROM channel_fee WHERE number = 2", {"fee_carried"}),
])
def test_what_was_tampered_with_is_told(books: City, statement: str, told: set[str]) -> None:
    close(books, MARCH, Row("a", 1000, 6100), Row("b", 1000, 6200, lot=3))
    close(books, MARCH + DAY, Row("c", 100, 100))
    close(books, MARCH + 2 * DAY, Row("d", 100, 100))
    assert fee_differences(books) == []
    owner_engine = create_engine(database(books).engine.url)
    with owner_engine.begin() as connection:
        if database(books).is_sqlite:
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        assert connection.execute(text(statement)).rowcount == 1
    owner_engine.dispose()

    assert set(fee_differences(books)) == told


def test_money_through_the_channel_and_its_fees_prove_to_the_last_fen(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        wechat = Channel(simulator, city.app)
        session_id = parked(city, wechat)
        waive(city, session_id, 333)
        inside = city.scan(3, "entry", code=city.code("li"), plate="沪H00001")["parking_session"]["id"]
        simulator.pay(order_no(ask(city, inside)))
        for body in wechat.pocket:
            assert wechat.deliver(body) == 204
        work(city, wechat)
        check_books(city, simulator)
        today = city_date(now(), ZONE)
        text_of_day = simulator.statement(today)

        shown = import_statement(
            database(city), io.BytesIO(text_of_day), operator_id=owner(city), channel="wechat_pay", day=today,
            now=now() + DAY)

    assert shown.is_balanced and booked(city) == [], "the worker books it"
    assert book_due_fees(database(city), now=now() + DAY) == 1
    assert [each[1:] for each in booked(city)] == [(22_002, 22, 2)]
    assert of_lots(city) == {1: (16_002, 16, 2), 3: (6000, 6, 0)}
    found: list[Any] = []
    assert prove_all(database(city), now=now(), every_seal=True, tell=lambda _, proved: found.append(proved))
    with database(city).reading() as db:
        assert db.execute(select(LedgerTransfer.amount_fen).where(LedgerTransfer.kind == "fee").order_by(
            LedgerTransfer.lot_id)).scalars().all() == [16, 6]


DAYS = st.lists(st.lists(st.tuples(st.sampled_from([1, 3]), st.integers(1, 5000), st.integers(-9000, 30_000)),
                         max_size=4), min_size=1, max_size=4)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(days=DAYS, shuffled=st.randoms(use_true_random=False))
def test_whatever_the_days_and_their_order_no_fen_is_lost(books: City, days: Any, shuffled: Any) -> None:
    numbers = list(range(len(days)))
    before = booked(books)
    offset = len(before)
    shuffled.shuffle(numbers)
    for number in numbers:
        rows = [Row(f"h{offset}-{number}-{place}", fen, raw, lot, is_refund=raw < 0)
                for place, (lot, fen, raw) in enumerate(days[number])]
        close(books, MARCH + (offset + number) * DAY, *rows)

    after = booked(books)
    raw = sum(each[1] for each in after)
    assert len(after) == offset + len(days)
    assert sum(each[2] for each in after) == raw // 1000 and after[-1][3] == raw % 1000
    assert sum(stands_at(books, ledger.PAYABLE).values()) == raw // 1000 == -sum(stands_at(books, CLEARING).values())
    assert fee_differences(books) == []
