"""A statement is read by one at a time, whole or not at all, and stays as it came."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from parking.core.clock import city_date
from parking.core.statement import BadStatement
from parking.services.keep_file import StatementBeingRead
from parking.services.reckon import Day
from parking.services.reconcile import ZONE, import_statement
from parking.store import kept_files, statement_imports
from parking.store.statement_imports import StatementFile, StatementImport, StatementLine
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.walks.test_books import FILE, account_of, counts, day_of, rows, statement, today, upload

DAY = datetime(2026, 3, 10, tzinfo=ZONE).date()


@pytest.fixture
def books(city: City) -> Iterator[City]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city


class Pause:
    """Holds the first reader, once its rows are kept, until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on, self._is_first = threading.Event(), threading.Event(), True
        monkeypatch.setattr(kept_files, "pack", self._pack)

    def _pack(self, part: bytes) -> bytes:
        if self._is_first:
            self._is_first = False
            self.reached.set()
            assert self.go_on.wait(30)
        return zlib.compress(part)


def read(city: City, text: bytes = b"", *, later: timedelta = timedelta(), **more: Any) -> Day:
    return import_statement(
        city.app.extensions["database"], io.BytesIO(text or FILE.read_bytes()), channel="wechat_pay", day=DAY,
        operator_id=account_of(city).operator_id, now=now() + later, **more)


def test_a_second_reader_waits_for_the_first(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = Pause(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(read, books)
        assert pause.reached.wait(30)

        answer = books.app.test_client().post(
            "/v1/statements?channel=wechat_pay&date=2026-03-10", data=FILE.read_bytes(),
            headers=bearer(books.operators[0]))
        pause.go_on.set()

        assert (answer.status_code, answer.get_json()["reason"]) == (503, "statement_being_read")
        assert int(answer.headers["Retry-After"]) >= 1
        assert sum(each["count"] for each in first.result().buckets.values()) == 5
    assert counts(upload(books, FILE.read_bytes(), "2026-03-10")) == {"only_theirs": 5}
    assert (rows(books, StatementImport), rows(books, StatementLine)) == (1, 5)


def test_a_reader_whose_lease_ran_out_changes_nothing_any_more(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = Pause(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(read, books)
        assert pause.reached.wait(30)

        second = read(books, later=timedelta(minutes=2))
        pause.go_on.set()

        with pytest.raises(StatementBeingRead):
            first.result()
    assert second.read is not None
    assert counts(day_of(books)) == {"only_theirs": 5}
    assert (rows(books, StatementImport), rows(books, StatementLine), rows(books, StatementFile)) == (1, 5, 1)


def test_a_statement_that_was_read_outlives_a_reader_that_began_before(books: City) -> None:
    """The second began while the first was reading, and would have deleted what had been read by then."""
    database = books.app.extensions["database"]
    first = read(books)
    assert first.read is not None
    late = statement_imports.Reading(first.account.account_id, first.account.operator_id, DAY, first.read)

    for values in ({"leased_until": now()}, {"state": "abandoned", "leased_until": None}):
        assert database.write(lambda db, values=values: kept_files.change_import(  # type: ignore[misc]
            db, statement_imports.SHELF, late.account_id, late.read.import_id, "reading", **values)) is False
    assert database.write(lambda db: kept_files.forget_some_abandoned(
        db, statement_imports.SHELF, late.account_id)) is False
    assert rows(books, StatementLine) == 5


def test_one_file_at_once_from_many_is_one_statement(books: City) -> None:
    def send(_: int) -> int:
        return books.app.test_client().post(
            "/v1/statements?channel=wechat_pay&date=2026-03-10", data=FILE.read_bytes(),
            headers=bearer(books.operators[0])).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(send, range(12)))

    assert 200 in statuses and statuses <= {200, 503}
    assert counts(upload(books, FILE.read_bytes(), "2026-03-10")) == {"only_theirs": 5}
    assert (rows(books, StatementImport), rows(books, StatementLine)) == (1, 5)


def test_of_two_files_at_once_one_is_the_statement(books: City) -> None:
    def send(number: int) -> tuple[int, str]:
        answer = books.app.test_client().post(
            "/v1/statements?channel=wechat_pay&date=2026-03-10", data=FILE.read_bytes() + b"\n" * (number % 2),
            headers=bearer(books.operators[0]))
        return answer.status_code, answer.get_json().get("reason", "")

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(send, range(12)))

    assert answers <= {(200, ""), (409, "statement_differs"), (503, "statement_being_read"), (503, "try_again")}
    assert (rows(books, StatementImport), rows(books, StatementLine)) == (1, 5)


def test_todays_statement_is_provisional_until_the_day_is_over(books: City) -> None:
    on = today()
    first = upload(books, statement(("a", "SUCCESS", 100), day=on), on)
    longer = statement(("a", "SUCCESS", 100), ("b", "SUCCESS", 200), day=on)
    second = upload(books, longer, on)
    assert (first["is_provisional"], second["is_provisional"]) == (True, True)
    assert counts(second) == {"only_theirs": 2}

    page = books.app.test_client().get(f"/console/days/{on}", headers={
        **bearer(books.operators[0]), "Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)
    assert "Provisional: the day is not over." in page

    account, tomorrow = account_of(books), now() + timedelta(days=1)
    final = import_statement(
        books.app.extensions["database"], io.BytesIO(longer), operator_id=account.operator_id, channel="wechat_pay",
        day=city_date(now(), ZONE), now=tomorrow)

    assert final.is_provisional is False, "the same file, once the day was over"
    assert upload(books, longer + b"\n", on, status=409)["reason"] == "statement_differs"
    with books.app.extensions["database"].reading() as db:
        states = sorted(db.execute(select(StatementImport.state)).scalars())
    assert states == ["read", "superseded"]
    page = books.app.test_client().get(f"/console/days/{on}", headers={
        **bearer(books.operators[0]), "Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)
    assert "Provisional" not in page


def test_a_day_that_has_not_begun_is_refused(books: City) -> None:
    on = (city_date(now(), ZONE) + timedelta(days=1)).isoformat()

    bad = upload(books, statement(("a", "SUCCESS", 100), day=on), on, status=400)

    assert bad["errors"][0]["message"].startswith("day_not_over")


@pytest.mark.parametrize("text", [b"No Bill Exist", b"No Bill Exist\n", b"No Bill Exist\r\n"])
def test_a_day_without_trade_is_an_empty_statement(books: City, text: bytes) -> None:
    day = upload(books, text, "2026-03-10")

    assert (counts(day), day["is_balanced"], day["is_provisional"]) == ({}, True, False)
    sent = books.app.test_client().get("/console/days/2026-03-10/file", headers=bearer(books.operators[0]))
    assert sent.get_data() == text


def test_the_file_comes_back_byte_for_byte(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parking.services.keep_file.READ_BYTES", 100)
    text = b"\xef\xbb\xbf" + FILE.read_bytes().replace(b"\n", b"\r\n")
    upload(books, text, "2026-03-10")

    sent = books.app.test_client().get("/console/days/2026-03-10/file", headers=bearer(books.operators[0]))

    assert rows(books, StatementFile) > 10
    assert sent.get_data() == text
    assert "1900000001-2026-03-10.csv" in sent.headers["Content-Disposition"]
    for path, status in (("2026-03-11/file", 404), ("2026-13-11/file", 404)):
        assert books.app.test_client().get(
            f"/console/days/{path}", headers=bearer(books.operators[0])).status_code == status
    assert books.app.test_client().get(
        "/console/days/2026-03-10/file", headers=bearer(books.operators[1])).status_code == 404


@pytest.mark.parametrize("table", [StatementLine, StatementFile])
def test_what_was_read_can_neither_be_changed_nor_deleted(books: City, table: Any) -> None:
    upload(books, FILE.read_bytes(), "2026-03-10")
    database = books.app.extensions["database"]

    for verb in (delete(table), update(table).values(operator_id=account_of(books, 1).operator_id)):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"), database._transaction() as db:
            db.execute(verb)


def test_whoever_waits_is_told_how_far_it_is(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parking.services.keep_file.ROWS_AT_ONCE", 2)
    told: list[tuple[int, int]] = []

    read(books, progress=lambda done, total: told.append((done, total)))

    assert {total for _, total in told} == {2 * FILE.read_bytes().count(b"\n")}
    assert [done for done, _ in told] == [2, 4, 5, 7, 9, 10]


def test_a_long_reading_keeps_its_lease(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Believing a file of a million rows may take longer than a lease lasts; it begins when it is taken."""
    elapsed = iter(range(0, 10**6, 50))
    monkeypatch.setattr("parking.services.keep_file.time.monotonic", lambda: next(elapsed))
    begun: list[datetime] = []
    real = statement_imports.begin_import

    def begin(*args: Any, leased_until: datetime, now: datetime) -> bool:
        begun.append(leased_until)
        return real(*args, leased_until=leased_until, now=now)

    monkeypatch.setattr(statement_imports, "begin_import", begin)
    read(books)

    assert begun[0] >= now() + timedelta(seconds=90)


def test_a_refused_file_lets_the_next_one_in_at_once(books: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process cut the file while it was read: what was kept by then is forgotten."""
    text = FILE.read_bytes()
    real = statement_imports.begin_import

    class Shrinking(io.BytesIO):
        is_cut = False

        def read(self, size: int | None = -1) -> bytes:
            return super().read(size)[:-1] if self.is_cut else super().read(size)

    file = Shrinking(text)

    def begin(*args: Any, **more: Any) -> bool:
        file.is_cut = True
        return real(*args, **more)

    monkeypatch.setattr(statement_imports, "begin_import", begin)
    with pytest.raises(BadStatement, match="changed_while_read"):
        import_statement(books.app.extensions["database"], file, channel="wechat_pay", day=DAY,
                         operator_id=account_of(books).operator_id, now=now())
    monkeypatch.setattr(statement_imports, "begin_import", real)

    assert counts(upload(books, text, "2026-03-10")) == {"only_theirs": 5}
    assert (rows(books, StatementImport), rows(books, StatementLine)) == (1, 5)
