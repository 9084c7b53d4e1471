"""The tables of cash: what they refuse, and that money that was there lives through their migration."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import DBAPIError

from parking.store import drawer_movements, drawers, payments, refunds
from parking.store.migrations import alembic_config, migrate
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.postgres import Postgres
from tests.walks.test_cash import FLOAT, Booth, enter


@pytest.fixture(params=["sqlite", "postgresql"])
def own_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database that no other test has."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "own.sqlite3")
        yield f"sqlite:///{tmp_path / 'own.sqlite3'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create(f"own_{uuid4().hex}")
    migrate(url)
    yield url


def test_payments_and_refunds_live_through_the_migration_both_ways(own_url: str) -> None:
    city = make_city(make_app(own_url))
    database, booth = city.app.extensions["database"], Booth(city)
    _add_paid(booth, enter(booth))
    before, indexes = _money(city), _indexes(city)
    assert [len(each) for each in before] == [1, 1]

    command.downgrade(alembic_config(own_url), "0014")
    with pytest.raises(DBAPIError, match="ck_payment_way"), database._transaction() as db:
        db.execute(text("UPDATE payment SET way = 'booth'"))
    migrate(own_url)

    assert _money(city) == before and _indexes(city) == indexes
    with database._transaction() as db:
        db.execute(text("UPDATE payment SET way = 'booth'"))
        if database.is_sqlite:
            assert db.execute(text("PRAGMA foreign_key_check")).all() == []
    with pytest.raises(DBAPIError), database._transaction() as db:
        db.execute(text("UPDATE payment SET way = 'pigeon'"))
    with pytest.raises(DBAPIError), database._transaction() as db:
        db.execute(text("DELETE FROM payment"))
    database.close()


def _add_paid(booth: Booth, session_id: UUID) -> None:
    at = now()
    with booth.database.writing() as db:
        account_id = db.execute(text("SELECT account_id FROM channel_account")).scalars().first()
        payment_id = uuid4()
        payments.add_payment(
            db, lot_id=booth.lot_id, payment_id=payment_id, operator_id=booth.operator_id,
            parking_session_id=session_id, channel="wechat_pay", account_id=UUID(bytes=bytes(account_id)), way="qr",
            amount_fen=1000, quoted_at=at, expires_at=at + timedelta(minutes=5))
        payment = payments.find_payment(db, booth.lot_id, payment_id)
        assert payment is not None
        payments.pay(db, payment, transaction_no="4200", paid_at=at, now=at)
        refunds.add_refund(db, payment, refund_id=uuid4(), amount_fen=400, why="paid_twice", now=at)


def _money(city: City) -> list[list[tuple[Any, ...]]]:
    with city.app.extensions["database"].reading() as db:
        return [
            [tuple(each) for each in db.execute(select(*row.__table__.columns))] for row in (PaymentRow, RefundRow)]


def _indexes(city: City) -> set[str]:
    looked = inspect(city.app.extensions["database"].engine)
    return {str(each["name"]) for table in ("payment", "refund") for each in looked.get_indexes(table)}


REFUSED = (
    ("UPDATE drawer_count SET counted_fen = 1", "append-only|permission denied"),
    ("DELETE FROM drawer_movement", "append-only|permission denied"),
    ("UPDATE drawer_shift SET deposit_fen = -1 WHERE closed_at IS NOT NULL", "ck_drawer_shift_deposit_fen"),
    ("UPDATE drawer_shift SET closed_by = NULL WHERE closed_at IS NOT NULL", "ck_drawer_shift_closed"),
    ("UPDATE drawer_shift SET taken_by = staff_id WHERE closed_at IS NOT NULL", "ck_drawer_shift_taken_by"),
    ("UPDATE drawer_shift SET closed_at = NULL, closed_by = NULL, deposit_fen = NULL, taken_at = NULL",
     "uq_drawer_shift_open|UNIQUE"),
)


@pytest.mark.parametrize(("statement", "why"), REFUSED)
def test_what_the_tables_refuse(city: City, statement: str, why: str) -> None:
    booth = Booth(city)
    first = booth.open()
    booth.take(booth.given(first, enter(booth)))
    booth.close(first, FLOAT + 1000)
    booth.open()

    with pytest.raises(DBAPIError, match=why), booth.database._transaction() as db:
        db.execute(text(statement))


def test_what_waits_is_looked_up_in_the_indexes_of_what_waits(city: City) -> None:
    database, asked = city.app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("PostgreSQL chooses by what is in the tables; SQLite takes such an index only for a literal")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))

    with database.reading() as db:
        drawer_movements.list_owed(db, 3, "cash")
        drawers.list_handed_in(db, uuid4())
        drawers.find_open_shift(db, 3, 1)
        plans = [
            " ".join(row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sent}", values))
            for sent, values in asked[:3]]

    for plan, name in zip(
        plans, ("ix_refund_asked", "ix_drawer_shift_handed_in", "uq_drawer_shift_open"), strict=True
    ):
        assert f"USING INDEX {name}" in plan, plan
