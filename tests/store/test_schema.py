"""The schema can move to a cluster, and keeps what must not change (docs/decisions/0003)."""

from __future__ import annotations

import psycopg
import pytest
from alembic import command
from flask import Flask
from sqlalchemy import Index, MetaData, UniqueConstraint, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from parking.core.clock import EPOCH
from parking.core.fact import FactRef
from parking.core.identifier import new_uuid
from parking.store import facts, ledger_proofs
from parking.store.database import Database, journal_mode
from parking.store.migrations import alembic_config, migrate
from parking.store.schema import APPEND_ONLY, HOT, TABLES
from tests.city import City


def test_every_unique_key_holds_the_column_the_table_is_spread_by() -> None:
    wrong = []
    for table in TABLES:
        dist = table.info["dist"]
        if dist is None:
            continue
        keys = [list(table.primary_key.columns)]
        keys += [list(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys += [list(each.columns) for each in table.indexes if isinstance(each, Index) and each.unique]
        wrong += [(table.name, [column.name for column in key]) for key in keys if dist not in [c.name for c in key]]
        if dist == "lot_id" and next(iter(table.primary_key.columns)).name != "lot_id":
            wrong.append((table.name, ["lot_id is not first"]))

    assert wrong == []


def test_foreign_keys_stay_in_a_group_or_point_to_reference_tables() -> None:
    by_name = {table.name: table for table in TABLES}
    wrong = []
    for table in TABLES:
        for key in table.foreign_key_constraints:
            target = by_name[key.referred_table.name]
            if target.info["dist"] is None:
                continue
            same = target.info["group"] == table.info["group"]
            if not same or table.info["dist"] not in [column.name for column in key.columns]:
                wrong.append((table.name, target.name))

    assert wrong == []


def test_every_row_of_an_operator_names_it() -> None:
    theirs = {"lot", "gate", "terminal", "staff", "tariff", "tariff_version", "tariff_assignment",
              "lot_state", "terminal_state", "fact", "decision", "parking_session", "charge"}

    assert [name for name in theirs if "operator_id" not in {t.name: t for t in TABLES}[name].columns] == []


def test_hot_tables_can_be_partitioned_by_lot_on_plain_postgresql(postgres) -> None:
    database = Database(postgres.create("partitioned"))
    copies = MetaData()
    with database.engine.begin() as connection:
        for table in TABLES:
            copy = table.to_metadata(copies)
            if table.name in HOT:
                copy.dialect_options["postgresql"]["partition_by"] = "HASH (lot_id)"
        for copy in copies.sorted_tables:
            connection.execute(CreateTable(copy))
            for index in copy.indexes:
                connection.execute(CreateIndex(index))
            if copy.name in HOT:
                connection.execute(text(
                    f"CREATE TABLE {copy.name}_0 PARTITION OF {copy.name} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"))
        count = connection.execute(text("SELECT count(*) FROM pg_partitioned_table")).scalar_one()
    database.close()

    assert count == len(HOT) >= 7


def test_migrations_say_what_the_tables_say(database_url: str) -> None:
    command.check(alembic_config(database_url))


def test_what_was_said_later_of_facts_is_looked_up_in_an_index(app: Flask) -> None:
    database, asked = app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("SQLite alone reads a whole lot where it finds no index for what is asked")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    refs = [FactRef(new_uuid(EPOCH), number) for number in range(1, 21)]

    with database.reading() as db:
        facts.list_corrections(db, 1, refs)
        facts.list_facts(db, 1, refs)
        plans = [
            " ".join(row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values))
            for text, values in asked[:2]]

    assert "ix_fact_corrects (lot_id=? AND corrects_terminal_id=? AND corrects_sequence=?)" in plans[0]
    assert "(lot_id=? AND terminal_id=? AND sequence=?)" in plans[1]


def test_the_nightly_proof_looks_each_event_of_a_lot_up_in_the_ledger(app: Flask) -> None:
    database, asked = app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("SQLite alone takes an index of part of a table only for what is written out")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))

    with database.reading() as db:
        ledger_proofs.compare_posted(db, 1)
        text, values = asked[0]
        plan = [row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]

    index = "ledger_transfer USING INDEX uq_ledger_transfer_counted (lot_id=? AND kind=?"
    looked_up = [each for each in plan if index in each]
    assert len(looked_up) == sum("ledger_transfer" in each for each in plan) > 30
    assert sum("ref_id=?" in each for each in looked_up) == len(looked_up) // 2


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url)


@pytest.mark.parametrize("verb", ["UPDATE fact SET opened = 0", "DELETE FROM fact", "UPDATE decision SET opens = 1",
                                  "DELETE FROM code_use", "UPDATE tariff_version SET version = 9"])
def test_what_is_append_only_takes_no_change_from_the_service(city: City, verb: str) -> None:
    city.scan(1, "entry", code=city.code("li"))
    database = city.app.extensions["database"]

    with pytest.raises(DBAPIError, match=r"append-only|permission denied"), database._transaction() as db:
        db.execute(text(verb))


def test_the_service_role_may_change_only_what_is_not_append_only(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT table_name FROM information_schema.role_table_grants "
            "WHERE grantee = 'parking_app' AND privilege_type IN ('UPDATE', 'DELETE')").fetchall()

    assert {name for (name,) in rows} == {table.name for table in TABLES} - set(APPEND_ONLY)


def test_sqlite_tables_are_strict_and_durable(app: Flask) -> None:
    database = app.extensions["database"]
    if not database.is_sqlite:
        pytest.skip("a rule of SQLite")
    with database.reading() as db:
        strict = dict(db.execute(text("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")).all())
        assert [table.name for table in TABLES if not strict[table.name]] == []
        assert db.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert db.execute(text("PRAGMA journal_mode")).scalar_one().upper() == journal_mode()


@pytest.mark.parametrize(("version", "mode"), [
    ((3, 40, 1), "TRUNCATE"), ((3, 44, 5), "TRUNCATE"), ((3, 44, 6), "WAL"), ((3, 45, 0), "TRUNCATE"),
    ((3, 50, 6), "TRUNCATE"), ((3, 50, 7), "WAL"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((3, 52, 0), "WAL"),
])
def test_wal_is_used_only_where_its_reset_bug_is_fixed(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode
