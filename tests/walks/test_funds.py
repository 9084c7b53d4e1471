"""The third way: what moved in the channel's account agrees with its trade bill, and the ledger with its balance."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from parking.core import ledger
from parking.core.money import format_yuan
from parking.core.statement import BadStatement
from parking.services.book import book_due_fees
from parking.services.book_funds import book_due_funds
from parking.services.close_day import NotToBeClosed, close_day, show_books_of_day
from parking.services.explain import Asked, explain
from parking.services.import_funds import FundsOff, FundsOn, import_funds, switch_funds_off, switch_funds_on
from parking.services.keep_file import StatementDiffers
from parking.services.prove import prove_all
from parking.services.receive import show_standing
from parking.services.reckon import show_day
from parking.services.reconcile import find_own_account, import_statement
from parking.store import fund_imports, lots, transfers
from parking.store.channel_accounts import ChannelAccount
from tests.city import City, bearer, now
from tests.services import test_fetch
from tests.services.test_fetch import Both, at, both, fetch, pay_both  # noqa: F401  (a fixture)
from tests.tariff_desk import ask as call

DAY = timedelta(days=1)


def owned(city: City, channel: str) -> ChannelAccount:
    with city.app.extensions["database"].reading() as db:
        return find_own_account(db, lots.get_lot(db, 1).operator_id, channel)


def on(city: City, *channels: str) -> None:
    for channel in channels:
        account = owned(city, channel)
        city.app.extensions["database"].write(
            lambda db, account=account: switch_funds_on(db, account, "BASIC", test_fetch.DAY))


def bills(city: City, account: ChannelAccount) -> Any:
    return show_day(city.app.extensions["database"], account, test_fetch.DAY, now=at(10)).funds


def close(city: City, account: ChannelAccount) -> Any:
    extensions = city.app.extensions
    return close_day(
        extensions["database"], account, test_fetch.DAY, by=uuid4(), safe=extensions["key_safe"], now=at(11))


def book(city: City) -> int:
    database = city.app.extensions["database"]
    book_due_fees(database, now=at(12))
    return book_due_funds(database, now=at(12))


def standing(city: City, account: ChannelAccount) -> Any:
    with city.app.extensions["database"].reading() as db:
        return show_standing(db, account, now=at(12))


def read_funds(city: City, channel: str, file: bytes, *, when: datetime | None = None) -> Any:
    account = owned(city, channel)
    return import_funds(
        city.app.extensions["database"], io.BytesIO(file), operator_id=account.operator_id, channel=channel,
        day=test_fetch.DAY, now=when or at(10), account_id=account.account_id)


def faults(city: City) -> list[Any]:
    found: list[Any] = []
    prove_all(city.app.extensions["database"], now=at(13), every_seal=True,
              tell=lambda _, proved: found.extend(proved.differences))
    return found


def test_a_day_agrees_three_ways_and_the_ledger_is_what_the_channel_holds(both: Both) -> None:  # noqa: F811
    city, wechat, alipay = both
    pay_both(both)
    on(city, "wechat_pay", "alipay")
    taken = {"wechat_pay": 50_000, "alipay": 70_000}
    for simulator, fen in zip((wechat, alipay), taken.values(), strict=True):
        simulator.withdraw(fen, at=now())

    told = fetch(both, at(10))

    assert set(told.values()) == {("read", "funds BASIC")}, "each after its trade bill"
    for channel in taken:
        account = owned(city, channel)
        funds = bills(city, account)
        assert funds["missing"] == [] and funds["difference_count"] == 0
        assert funds["sums"]["payment"]["moved_fen"] == funds["sums"]["payment"]["trade"] > 0
        assert funds["sums"]["withdrawal"]["moved_fen"] == -taken[channel]
        body = close(city, account).body
        assert '"funds":{"bills":' in body
    assert book(city) == 2 and book(city) == 0, "once"
    for channel, fen in taken.items():
        found = standing(city, owned(city, channel))
        assert found.position.difference_fen == 0 and found.position.left_fen == 0
        assert found.position.ledger_fen == found.position.closing_fen, "to the fen"
        assert [(-each.moved_fen, found.state(each)) for each in found.withdrawals] == [(fen, "awaited")]
    with city.app.extensions["database"].reading() as db:
        assert transfers.balance(db, 1, ledger.bank("wechat_pay")) == 50_000
        assert transfers.balance(db, 1, ledger.bank("alipay")) == 70_000
    assert faults(city) == []


def test_a_day_whose_movements_are_read_closes_only_with_its_bill(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    fetch(both, at(10))
    account = owned(city, "wechat_pay")
    assert bills(city, account) is None, "nothing is read before it is switched on"
    with pytest.raises(FundsOff):
        read_funds(city, "wechat_pay", wechat.funds(test_fetch.DAY) or b"")

    on(city, "wechat_pay")
    with pytest.raises(FundsOn):
        on(city, "wechat_pay")
    with pytest.raises(NotToBeClosed, match="no_fund_bill"):
        close(city, account)
    file = wechat.funds(test_fetch.DAY)
    assert file is not None
    shown = read_funds(city, "wechat_pay", file)

    assert shown.is_balanced and read_funds(city, "wechat_pay", file).funds == shown.funds
    with pytest.raises(StatementDiffers):
        read_funds(city, "wechat_pay", file.replace(b"system", b"people"))
    assert close(city, account)
    with pytest.raises(FundsOff):
        city.app.extensions["database"].write(
            lambda db: switch_funds_off(db, account, "BASIC", test_fetch.DAY - DAY))
    city.app.extensions["database"].write(lambda db: switch_funds_off(db, account, "BASIC", test_fetch.DAY))
    with city.app.extensions["database"].reading() as db:
        assert fund_imports.list_purses(db, account.account_id, test_fetch.DAY + DAY) == []


def test_a_bill_of_today_is_provisional_and_the_next_takes_its_place(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    on(city, "wechat_pay")
    file = wechat.funds(test_fetch.DAY) or b""
    first = read_funds(city, "wechat_pay", file, when=now())
    assert first.funds["missing"] == ["BASIC"] and not first.funds["bills"][0]["is_final"]

    wechat.withdraw(100, at=now())
    fetch(both, at(10))

    funds = bills(city, owned(city, "wechat_pay"))
    assert funds["missing"] == [] and funds["bills"][0]["is_final"]
    assert funds["sums"]["withdrawal"]["count"] == 1


def edited(text: bytes, place: int, moved: int) -> bytes:
    """The bill with another amount in a row (a number of the file's rows), its balances and totals put right."""
    lines = text.decode().splitlines()
    fields = lines[place][1:].split(",`")
    sign = 1 if fields[5] == "收入" else -1
    fields[6] = format_yuan(round(float(fields[6]) * 100) + moved)
    lines[place] = "`" + ",`".join(fields)
    for number in range(place, len(lines) - 2):
        each = lines[number][1:].split(",`")
        each[7] = format_yuan(round(float(each[7]) * 100) + sign * moved)
        lines[number] = "`" + ",`".join(each)
    total = lines[-1][1:].split(",`")
    which = 2 if sign > 0 else 4
    total[which] = format_yuan(round(float(total[which]) * 100) + moved)
    lines[-1] = "`" + ",`".join(total)
    return "\r\n".join(lines).encode()


def test_a_fee_that_differs_is_one_difference_with_what_to_do_and_is_written_off(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    on(city, "wechat_pay")
    fetch_trade_alone(both)
    file = edited(wechat.funds(test_fetch.DAY) or b"", 2, 5)
    account, database = owned(city, "wechat_pay"), city.app.extensions["database"]

    read_funds(city, "wechat_pay", file)

    books = show_books_of_day(database, account, test_fetch.DAY, now=at(10))
    found = [(each.difference.kind, each.difference.bucket, each.difference.difference_fen, each.suggestion)
             for each in books.told]
    assert found == [("funds_fee", "amount_differs", 5, "claim")]
    with pytest.raises(NotToBeClosed, match="unexplained"):
        close(city, account)
    number = books.told[0].difference.number
    asked = Asked(uuid4(), "funds_fee", number, "written_off", "kept too much")
    said = explain(database, account, test_fetch.DAY, asked, by=uuid4(), now=at(10))
    assert said.booked_fen == -5
    close(city, account)
    book(city)
    found_position = standing(city, account).position
    assert (found_position.difference_fen, found_position.left_fen) == (0, 0)
    assert found_position.ledger_fen == found_position.closing_fen
    assert faults(city) == []


def fetch_trade_alone(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    account = owned(city, "wechat_pay")
    import_statement(
        city.app.extensions["database"], io.BytesIO(wechat.statement(test_fetch.DAY)), operator_id=account.operator_id,
        channel="wechat_pay", day=test_fetch.DAY, now=at(10))


def test_a_movement_that_no_trade_made_is_explained_and_stays_apart_from_our_books(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    on(city, "wechat_pay")
    fetch_trade_alone(both)
    text = (wechat.funds(test_fetch.DAY) or b"").decode().replace("交易,`收入", "充值,`收入")

    read_funds(city, "wechat_pay", text.encode())

    account, database = owned(city, "wechat_pay"), city.app.extensions["database"]
    books = show_books_of_day(database, account, test_fetch.DAY, now=at(10))
    found = {each.difference.kind: each.difference for each in books.told}
    assert set(found) == {"funds_other", "funds_payment"}
    assert found["funds_payment"].bucket == "pending_cutoff", "it may move on the next day"
    with pytest.raises(NotToBeClosed, match="waits"):
        close(city, account)
    import_funds(database, io.BytesIO(b"No Bill Exist"), operator_id=account.operator_id, channel="wechat_pay",
                 day=test_fetch.DAY + DAY, now=at(10, days=2), account_id=account.account_id)
    for kind, each in ((each.difference.kind, each.difference) for each in show_books_of_day(
            database, account, test_fetch.DAY, now=at(10)).told):
        assert each.bucket == ("only_ours" if kind == "funds_payment" else "only_theirs")
        explain(database, account, test_fetch.DAY, Asked(uuid4(), kind, each.number, "channel_error", "a wrong word"),
                by=uuid4(), now=at(10))
    close(city, account)
    book(city)
    position = standing(city, account).position
    assert (position.difference_fen, position.left_fen) == (0, 0), "one in and one out"


def test_a_balance_that_does_not_go_on_from_the_day_before_is_a_difference(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    account, database = owned(city, "wechat_pay"), city.app.extensions["database"]
    database.write(lambda db: switch_funds_on(db, account, "BASIC", test_fetch.DAY - DAY))
    fetch_trade_alone(both)
    today, yesterday = (str(test_fetch.DAY - step).encode() for step in (timedelta(), DAY))
    before = (wechat.funds(test_fetch.DAY) or b"").replace(today, yesterday)
    import_funds(database, io.BytesIO(before), operator_id=account.operator_id, channel="wechat_pay",
                 day=test_fetch.DAY - DAY, now=at(10), account_id=account.account_id)

    read_funds(city, "wechat_pay", wechat.funds(test_fetch.DAY) or b"")

    told = show_books_of_day(database, account, test_fetch.DAY, now=at(10)).told
    assert [(each.difference.kind, each.difference.number, each.suggestion) for each in told] == [
        ("funds_balance", "BASIC", "look_before")]
    assert told[0].difference.difference_fen < 0


def test_a_quiet_day_before_anything_moved_does_not_hold_the_next_one_up(both: Both) -> None:  # noqa: F811
    city, *_ = both
    pay_both(both)
    account, extensions = owned(city, "wechat_pay"), city.app.extensions
    database = extensions["database"]
    database.write(lambda db: switch_funds_on(db, account, "BASIC", test_fetch.DAY - DAY))
    whose = {"operator_id": account.operator_id, "channel": "wechat_pay", "day": test_fetch.DAY - DAY,
             "account_id": account.account_id, "now": at(10)}
    import_statement(database, io.BytesIO(b"No Bill Exist"), **whose)
    import_funds(database, io.BytesIO(b"No Bill Exist"), **whose)
    fetch(both, at(10))
    close_day(database, account, test_fetch.DAY - DAY, by=uuid4(), safe=extensions["key_safe"], now=at(11))
    close(city, account)

    assert book(city) == 1, "the quiet day has no balance to be booked"

    assert standing(city, account).position.difference_fen == 0
    assert faults(city) == []


def test_bad_files_are_refused_whole_and_nothing_is_kept(both: Both) -> None:  # noqa: F811
    city, wechat, alipay = both
    pay_both(both)
    on(city, "wechat_pay", "alipay")
    fetch_trade_alone(both)
    good = wechat.funds(test_fetch.DAY) or b""
    other = good.decode()
    for number in wechat.seen.orders:
        other = other.replace(number, "F" + number[1:])

    for bad, reason in (
        (good[:-30], "row_width|totals|cut_short"), (good + good, "more_after_the_end"),
        (other.encode(), "other_merchant"),
        (good.replace("交易".encode(), "交易".encode("gbk")), "not_utf8"), (b"", "no_header"),
        (b"PK\x03\x04junk", "bad_zip"),
        (b"a,b\r\n", "no_header"), (alipay.funds(test_fetch.DAY) or b"", "no_header"),
    ):
        with pytest.raises(BadStatement, match=reason):
            read_funds(city, "wechat_pay", bad)
    with pytest.raises(BadStatement):
        read_funds(city, "alipay", good)

    for channel in ("wechat_pay", "alipay"):
        with city.app.extensions["database"].reading() as db:
            assert fund_imports.list_bills(db, owned(city, channel).account_id, test_fetch.DAY) == []


def test_what_the_bank_received_is_entered_once_and_taken_back(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    wechat.withdraw(50_000, at=now())
    token, day = city.operators[0], test_fetch.DAY.isoformat()
    call(city, token, "POST", "/v1/fund-purses", {"channel": "wechat_pay", "since": day})
    call(city, token, "POST", "/v1/fund-purses", {"channel": "wechat_pay", "since": day}, status=409)
    for wrong in ({"since": day, "last": day}, {}, {"since": day, "purse": "GOLD"}, {"since": "2026-02-30"}):
        call(city, token, "POST", "/v1/fund-purses", {"channel": "wechat_pay", **wrong}, status=400)
    call(city, token, "POST", "/v1/fund-purses", {"channel": "alipay", "since": day, "purse": "FEES"}, status=404)
    answer = city.app.test_client().post(
        f"/v1/statements?channel=wechat_pay&date={day}&kind=funds", data=wechat.funds(test_fetch.DAY),
        headers={**bearer(token), "Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.get_json()["funds"]["sums"]["withdrawal"]["moved_fen"] == -50_000
    for nobody in ("%00", "cash", "other_none", "other_%00ab", "x" * 500):
        call(city, token, "GET", f"/v1/fund-accounts/{nobody}", status=404)
    told = call(city, token, "GET", "/v1/fund-accounts/wechat_pay")
    assert [each["state"] for each in told["withdrawals"]] == ["awaited"]

    asked = {"id": str(uuid4()), "channel": "wechat_pay", "date": day, "amount_fen": 50_000, "note": "ICBC 8812"}
    made = call(city, token, "POST", "/v1/bank-receipts", asked)

    assert call(city, token, "POST", "/v1/bank-receipts", asked) == made
    refused = call(city, token, "POST", "/v1/bank-receipts", {**asked, "amount_fen": 1}, status=409)
    assert refused["reason"] == "id_reused"
    told = call(city, token, "GET", "/v1/fund-accounts/wechat_pay")
    assert [each["state"] for each in told["withdrawals"]] == ["arrived"]
    assert [each["is_matched"] for each in told["receipts"]] == [True]
    for wrong in ({"amount_fen": 0}, {"amount_fen": -1}, {"amount_fen": 1.5}, {"note": ""}, {"note": "a\x00"},
                  {"date": "2999-01-01"}, {"amount_fen": 10**15}):
        call(city, token, "POST", "/v1/bank-receipts", {**asked, "id": str(uuid4()), **wrong}, status=400)
    call(city, city.operators[1], "POST", f"/v1/bank-receipts/{made['id']}/take-back", status=404)
    back = call(city, token, "POST", f"/v1/bank-receipts/{made['id']}/take-back")
    assert back["taken_back_at"] and call(city, token, "POST", f"/v1/bank-receipts/{made['id']}/take-back") == back
    told = call(city, token, "GET", "/v1/fund-accounts/wechat_pay")
    assert [each["state"] for each in told["withdrawals"]] == ["awaited"]


def test_the_pages_show_the_third_way(both: Both) -> None:  # noqa: F811
    city, wechat, _ = both
    pay_both(both)
    on(city, "wechat_pay")
    token, day = city.operators[0], test_fetch.DAY.isoformat()
    client, account = city.app.test_client(), owned(city, "wechat_pay").account_id
    headers = {**bearer(token), "Accept": "text/html", "Accept-Language": "en"}
    bad = client.post(f"/console/days/{day}/funds?account={account}", headers=headers, data={
        "file": (io.BytesIO(b"nonsense"), "x.csv"), "purse": "BASIC"})
    assert bad.status_code == 400 and "no_header" in bad.get_data(as_text=True)
    fetch(both, at(10))

    page = client.get(f"/console/days/{day}?account={account}", headers=headers).get_data(as_text=True)
    assert "The money that moved" in page and "purse BASIC" in page
    on(city, "alipay")
    usual = client.get(f"/console/days/{day}", headers=headers).get_data(as_text=True)
    assert f"?account={owned(city, 'alipay').account_id}" in usual and "purse BASIC" in usual
    file = client.get(f"/console/days/{day}/funds/BASIC?account={account}", headers=headers)
    assert file.get_data() == wechat.funds(test_fetch.DAY)
    assert client.get(f"/console/days/{day}/funds/FEES?account={account}", headers=headers).status_code == 404
    close(city, owned(city, "wechat_pay"))
    book(city)
    page = client.get(f"/console/funds?account={account}", headers=headers).get_data(as_text=True)
    assert "Equal to the fen" in page
    assert "equal to the fen" in client.get("/console/books", headers=headers).get_data(as_text=True)
    for form in ({"do": "receive", "date": day, "amount": "12.30", "note": "x", "id": str(uuid4())},):
        assert client.post(f"/console/funds?account={account}", data=form, headers=headers).status_code == 303
    for form, status in (({"do": "receive", "date": day, "amount": "-1", "note": "x", "id": str(uuid4())}, 400),
                         ({"do": "receive", "date": "x"}, 400), ({"do": "on", "date": day}, 409),
                         ({"do": "on", "date": day, "purse": "x"}, 400), ({"do": "nothing", "date": day}, 400),
                         ({"do": "take_back", "id": "x"}, 400), ({}, 400)):
        answer = client.post(f"/console/funds?account={account}", data=form, headers=headers)
        assert answer.status_code in (status, 404), (form, answer.status_code)
