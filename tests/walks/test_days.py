"""Each row of either side is in one bucket, of one day, however late it was noticed; and stays found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import func, select, update

from parking.core.channel import ChannelPayment, ChannelRefund
from parking.core.clock import parse_instant
from parking.core.reconciliation import BOOKED, BUCKETS, OurRow, reconcile
from parking.core.statement_wechat import read_statement
from parking.services import reckon
from parking.services.connect import connect_account
from parking.services.pay import confirm_payment
from parking.services.reconcile import ZONE
from parking.services.refund import note_refund
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.database import Database
from parking.store.reckonings import StatementDifference
from parking.store.refunds import RefundRow
from tests.channel import KEYS, connect, simulated_channel
from tests.city import City, bearer, now
from tests.walks.test_books import (
    FILE,
    account_of,
    add_books,
    add_payment,
    add_refund,
    counts,
    day_of,
    statement,
    upload,
)
from tests.walks.test_payments import land

NOON = "2026-03-10T12:00:00+08:00"


@pytest.fixture
def books(city: City) -> Iterator[City]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        land(city, 1, "entry", 1, datetime(2026, 3, 10, 8, tzinfo=ZONE))
        yield city


def database(city: City) -> Database:
    return city.app.extensions["database"]


def buckets(city: City, day: str = "2026-03-10") -> dict[str, str]:
    """The bucket of each number that does not match."""
    return {each["number"]: each["bucket"] for each in day_of(city, day)["items"]}


def say_paid(city: City, number: str, fen: int, at: str = NOON) -> None:
    """The channel's word about an order comes, late."""
    said = ChannelPayment(number, "paid", fen, f"t{number}", parse_instant(at))
    database(city).write(lambda db: confirm_payment(
        db, account_of(city).account_id, said, safe=city.app.extensions["key_safe"], now=now()))


def say_refund(city: City, number: str, state: Any, at: str | None = None) -> None:
    said = ChannelRefund(number, state, "50", 0, parse_instant(at) if at else None)
    database(city).write(lambda db: note_refund(db, account_of(city).account_id, said, now=now()))


def test_what_the_channel_took_at_odds_with_us_is_not_theirs_alone(books: City) -> None:
    add_payment(books, "other", 1000, NOON, state="disputed")
    add_payment(books, "again", 1000, NOON, state="disputed")
    add_payment(books, "asked", 1000, NOON, state="asked")
    paid = add_payment(books, "paid", 1000, NOON, refunded_fen=300)
    add_refund(books, "failed", 300, NOON, of=paid, state="failed")
    add_refund(books, "unheard", 200, NOON, of=paid, state="asked")

    upload(books, statement(
        ("other", "SUCCESS", 900), ("again", "SUCCESS", 1000), ("asked", "SUCCESS", 1000), ("paid", "SUCCESS", 1000),
        ("failed", "REFUND", 300), ("unheard", "REFUND", 200), day="2026-03-10"), "2026-03-10")

    assert buckets(books) == {
        "other": "amount_differs", "again": "status_differs", "asked": "only_theirs", "failed": "status_differs",
        "unheard": "only_theirs"}
    item = next(each for each in day_of(books)["items"] if each["number"] == "other")
    assert (item["state"], item["ours_fen"], item["theirs_fen"]) == ("disputed", 1000, 900)
    assert item["difference_fen"] == -100
    assert item["parking_session_id"] is not None


def test_a_revoked_order_is_no_income(books: City) -> None:
    add_payment(books, "gone", 1000, NOON)
    day = upload(books, statement(
        ("gone", "SUCCESS", 1000), ("gone", "REVOKED", 0), ("other", "REVOKED", 500), day="2026-03-10"), "2026-03-10")

    assert counts(day) == {"matched": 1, "status_differs": 2}
    assert day["buckets"]["status_differs"]["theirs_fen"] == 0
    assert day["net_raw"] == 1000 * 1000


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_a_day_comes_to_the_same_in_parts_of_any_size(
    books: City, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(reckon, "ROWS_AT_ONCE", at_once)
    add_books(books)
    for number in range(3):
        add_payment(books, f"unnamed{number}", 100, NOON)

    day = upload(books, FILE.read_bytes(), "2026-03-10")

    assert counts(day) == {"matched": 3, "amount_differs": 1, "only_theirs": 1, "pending_cutoff": 4}
    paged, cursor = [], 0
    while True:
        page = day_of(books, more=f"?limit=2&cursor={cursor}")
        paged += [each["number"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert len(paged) == 6 and set(paged) == set(buckets(books))
    matched, cursor = [], 0
    while True:
        page = day_of(books, more=f"?limit=1&bucket=matched&cursor={cursor}")
        matched += [each["number"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert matched == ["P20260310000001", "P20260310000002", "R20260310000001"]
    assert len(day_of(books, more="?bucket=pending_cutoff&limit=3")["items"]) == 3


def test_the_same_number_in_another_part_of_the_file_is_a_duplicate(
    books: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reckon, "ROWS_AT_ONCE", 2)
    add_payment(books, "a", 100, NOON)

    day = upload(books, statement(*(
        (number, "SUCCESS", 100) for number in ("a", "b", "c", "d", "a")), day="2026-03-10"), "2026-03-10")

    assert counts(day) == {"matched": 1, "only_theirs": 3, "duplicate": 1}


def test_a_day_is_reckoned_once_and_again_after_either_side_changed(
    books: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckoned: list[str] = []
    real = reckon.reckon

    def count(database: Database, account: Any, day: Any, **more: Any) -> None:
        reckoned.append(day.isoformat())
        real(database, account, day, **more)

    def looks(day: str = "2026-03-10") -> tuple[list[str], dict[str, int]]:
        reckoned.clear()
        found = counts(day_of(books, day))
        return list(reckoned), found

    monkeypatch.setattr(reckon, "reckon", count)
    add_books(books)
    paid = add_payment(books, "paid", 1000, NOON)
    add_payment(books, "late", 700, NOON, state="asked")
    add_refund(books, "back", 400, NOON, of=paid)
    upload(books, FILE.read_bytes(), "2026-03-10")
    again = ["2026-03-10"]
    assert looks() == ([], {"matched": 3, "amount_differs": 1, "only_theirs": 1, "pending_cutoff": 3})

    say_paid(books, "late", 700)
    assert looks() == (again, {"matched": 3, "amount_differs": 1, "only_theirs": 1, "pending_cutoff": 4})
    assert looks()[0] == []
    say_paid(books, "late", 700)
    assert looks()[0] == [], "nothing changed"
    say_refund(books, "back", "failed")
    assert looks() == (again, {"matched": 3, "amount_differs": 1, "only_theirs": 1, "pending_cutoff": 3})
    upload(books, statement(("P20260310000004", "SUCCESS", 800)), "2026-03-11")
    assert looks() == (again, {"matched": 3, "amount_differs": 1, "only_theirs": 1, "only_ours": 2})
    assert looks("2026-03-11") == ([], {"matched": 1})
    say_refund(books, "R20260310000001", "failed")
    assert looks() == (
        again, {"matched": 2, "amount_differs": 1, "only_theirs": 1, "only_ours": 2, "status_differs": 1})
    with database(books).reading() as db:
        assert db.execute(select(func.count()).select_from(StatementDifference)).scalar_one() == 5, "and no others"


def test_a_change_while_a_day_is_reckoned_is_not_lost(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    add_payment(books, "late", 700, NOON, state="asked")
    real = reckon._our_parts

    def late(*args: Any) -> Any:
        yield from real(*args)
        monkeypatch.setattr(reckon, "_our_parts", real)
        say_paid(books, "late", 700)

    monkeypatch.setattr(reckon, "_our_parts", late)

    assert counts(day_of(books)) == {}
    assert counts(day_of(books)) == {"pending_cutoff": 1}


def test_a_quiet_next_day_settles_what_was_pending(books: City) -> None:
    add_payment(books, "ours", 100, "2026-03-10T23:59:58+08:00")
    assert counts(upload(books, b"No Bill Exist", "2026-03-10")) == {"pending_cutoff": 1}

    upload(books, statement(("next", "SUCCESS", 100), day="2026-03-14"), "2026-03-14")

    assert counts(day_of(books)) == {"only_ours": 1}


def test_what_the_next_day_names_is_in_the_next_day_alone(books: City) -> None:
    add_payment(books, "late", 100, "2026-03-10T23:59:58+08:00")
    upload(books, b"No Bill Exist", "2026-03-10")

    following = upload(books, statement(("late", "SUCCESS", 100)), "2026-03-11")

    assert (counts(day_of(books)), counts(following)) == ({}, {"matched": 1})
    assert day_of(books)["is_balanced"] is True


def test_a_refund_is_of_the_day_on_which_the_channel_took_it_on(books: City) -> None:
    paid = add_payment(books, "paid", 1000, "2026-03-09T12:00:00+08:00", refunded_fen=500)
    for number in ("told", "untold"):
        add_refund(books, number, 100, NOON, of=paid, state="asked")
        with database(books).writing() as db:
            db.execute(update(RefundRow).where(RefundRow.refund_no == number).values(accepted_at=None))
    upload(books, statement(("told", "REFUND", 100), ("untold", "REFUND", 100), day="2026-03-10"), "2026-03-10")
    assert counts(day_of(books)) == {"only_theirs": 2}

    say_refund(books, "told", "accepted", at=NOON)
    say_refund(books, "untold", "done")

    noticed = now().astimezone(ZONE).date().isoformat()
    assert counts(day_of(books)) == {"matched": 2}
    assert counts(day_of(books, noticed)) == {}, "one row of ours in one day"


def test_one_order_in_the_files_of_two_days_is_named_twice_in_the_second(books: City) -> None:
    add_payment(books, "one", 100, NOON)
    later = upload(books, statement(("one", "SUCCESS", 100)), "2026-03-11")
    assert counts(later) == {"matched": 1}

    first = upload(books, statement(("one", "SUCCESS", 100), day="2026-03-10"), "2026-03-10")

    assert counts(first) == {"matched": 1}
    assert counts(day_of(books, "2026-03-11")) == {"duplicate": 1}


def connect_merchant(city: City, merchant_no: str) -> Any:
    extensions, account = city.app.extensions, account_of(city)
    return database(city).write(lambda db: connect_account(
        db, operator_id=account.operator_id, channel="wechat_pay", merchant_no=merchant_no, settings={},
        secret={}, sealer=extensions["secrets"].sealer, now=now()))


def test_after_a_change_of_merchant_the_old_days_are_still_there(books: City) -> None:
    first = account_of(books).account_id
    add_payment(books, "one", 100, NOON)
    second = connect_merchant(books, "1900000002")

    old = upload(books, statement(("one", "SUCCESS", 100), day="2026-03-10"), "2026-03-10")
    new = upload(books, statement(("two", "SUCCESS", 200), day="2026-03-10", merchant="1900000002"), "2026-03-10")
    stranger = upload(
        books, statement(("two", "SUCCESS", 200), merchant="1900000009"), "2026-03-11", status=400)

    assert (old["account"], old["merchant_no"], counts(old)) == (str(first), KEYS.mchid, {"matched": 1})
    assert (new["account"], counts(new)) == (str(second), {"only_theirs": 1})
    assert stranger["errors"][0]["message"].startswith("other_merchant")
    assert counts(day_of(books)) == {"only_theirs": 1}, "the account that is connected"
    assert counts(day_of(books, more=f"?account={first}")) == {"matched": 1}
    books.get(f"/v1/reconciliations/wechat_pay/2026-03-10?account={first}", books.operators[1], status=404)
    page = books.app.test_client().get(f"/console/days/2026-03-10?account={first}", headers={
        **bearer(books.operators[0]), "Accept": "text/html"}).get_data(as_text=True)
    assert "1900000002" in page and f"account={second}" in page


def test_the_first_merchant_connected_again_is_the_same_account(books: City) -> None:
    first = account_of(books).account_id
    second = connect_merchant(books, "1900000002")

    assert connect_merchant(books, KEYS.mchid) == first
    assert connect_merchant(books, KEYS.mchid) == first

    with database(books).reading() as db:
        found = db.execute(select(ChannelAccountRow.account_id, ChannelAccountRow.disconnected_at).where(
            ChannelAccountRow.operator_id == account_of(books).operator_id)).all()
    assert {each.account_id: each.disconnected_at is None for each in found} == {first: True, second: False}


STATES = {"payment": ["paid", "paid", "paid", "disputed", "asked", "closed"],
          "refund": ["accepted", "done", "failed", "asked"]}


@pytest.mark.parametrize("seed", range(6))
def test_a_day_comes_to_what_its_rows_do_one_by_one(books: City, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random books and statements of three days, in small parts, beside core's rule over all rows at once."""
    dice = random.Random(seed)
    monkeypatch.setattr(reckon, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(reckon, "TEXTS_AT_ONCE", 3)
    parent = add_payment(books, "parent", 100_000, "2026-03-01T10:00:00+08:00", refunded_fen=50_000)
    ours: list[tuple[str, OurRow]] = []
    for number in range(24):
        kind: Any = dice.choice(["payment", "payment", "refund"])
        at = f"2026-03-{dice.choice(['09', '10', '10', '10', '11'])}T{dice.randrange(24):02}:30:00.{number:03}+08:00"
        state, fen = dice.choice(STATES[kind]), dice.choice([100, 100, 200])
        if kind == "payment":
            add_payment(books, f"n{number}", fen, at, state=state)
        else:
            add_refund(books, f"n{number}", fen, at, of=parent, state=state)
        is_of_day = at.startswith("2026-03-10") and state in BOOKED[kind]
        ours.append((at, OurRow(kind, f"n{number}", fen, is_of_day, state)))
    words = {"payment": ["SUCCESS", "SUCCESS", "SUCCESS", "REVOKED"], "refund": ["REFUND", "REFUND", "SUCCESS"]}
    kinds, theirs = {row.number: row.kind for _, row in ours}, {}
    for day, count in (("2026-03-09", 3), ("2026-03-11", 3), ("2026-03-10", 22)):
        numbers = [f"n{each}" for each in [*dice.sample(range(28), count), dice.randrange(28)]]
        text = statement(*(
            (number, dice.choice(words[kinds.get(number, "payment")]), dice.choice([100, 100, 200]))
            for number in numbers), day=day)
        text = text.replace(b"`PROCESSING", b"`ABNORMAL", dice.randrange(3))
        upload(books, text, day)
        theirs[day] = list(chain.from_iterable(read_statement(
            text.splitlines(keepends=True), merchant_no=KEYS.mchid, day=date.fromisoformat(day), zone=ZONE)))

    def named(day: str) -> set[tuple[str, str]]:
        return {(row.kind, row.number) for row in theirs[day]}

    elsewhere = named("2026-03-09") | named("2026-03-11")
    ours.sort(key=lambda each: (each[1].kind, each[0]))
    pairs = reconcile(
        [row for _, row in ours if (row.kind, row.number) in named("2026-03-10")
         or (row.is_of_day and (row.kind, row.number) not in elsewhere)],
        theirs["2026-03-10"], named_before=frozenset(named("2026-03-09")), has_next_day=True)

    day = reckon.show_day(
        database(books), account_of(books), date(2026, 3, 10), page=reckon.Page(limit=100), now=now())

    assert [(each.bucket, each.kind, each.number, each.ours_fen, each.theirs_fen, each.difference_fen, each.state,
             each.status, each.row) for each in day.items] == [
        (pair.bucket, (pair.ours or pair.theirs).kind, (pair.ours or pair.theirs).number,  # type: ignore[union-attr]
         pair.ours and pair.ours.amount_fen, pair.theirs and pair.theirs.amount_fen, pair.difference_fen,
         pair.ours and pair.ours.state, pair.theirs and pair.theirs.status, pair.theirs and pair.theirs.row)
        for pair in pairs if pair.bucket != "matched"]
    assert day.buckets == {bucket: {
        "count": sum(pair.bucket == bucket for pair in pairs),
        "ours_fen": sum(pair.ours_fen for pair in pairs if pair.bucket == bucket),
        "theirs_fen": sum(pair.theirs_fen for pair in pairs if pair.bucket == bucket)} for bucket in BUCKETS}
