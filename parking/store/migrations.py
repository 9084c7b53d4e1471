"""Bring a database to the newest schema, from the shell and from tests alike."""

from __future__ import annotations

from pathlib import Path

from alembic import command, op
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text

ROLE = "parking_app"
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(url: str) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def migrate(url: str, *, to: str = "head") -> None:
    command.upgrade(alembic_config(url), to)


def grant(connection: Connection, table: str, *, append_only: bool) -> None:
    """What the service may do with a new table: SQLite keeps it by triggers, PostgreSQL by its role.

    Called by migrations after the first, which grants its own tables.
    """
    if connection.dialect.name != "sqlite":
        rights = "SELECT, INSERT" if append_only else "SELECT, INSERT, UPDATE, DELETE"
        connection.execute(text(f"GRANT {rights} ON {table} TO {ROLE}"))
        return
    for verb in ("UPDATE", "DELETE") if append_only else ():
        connection.execute(text(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"))


def change_check(
    table: str, name: str, before: str, after: str, *, is_wider: bool, referring: tuple[str, ...] = ()
) -> None:
    """In a migration: let a check of a table say something else.

    is_wider: whatever the old one let in, the new one does: PostgreSQL looks at the rows later, and gates go on.

    SQLite changes no constraint of a table that is there: its rows go into another of its name, and with them those of
    the tables that refer to it, which must all be named.
    """
    bind, names = op.get_bind(), [table, *referring]
    if bind.dialect.name != "sqlite":
        check = f"ck_{table}_{name}"
        op.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {check}, "
                        f"ADD CONSTRAINT {check} CHECK ({after}){' NOT VALID' if is_wider else ''}"))
        if is_wider:
            with op.get_context().autocommit_block():
                op.execute(text("SET statement_timeout = 0"))
                op.execute(text(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"))
                op.execute(text("RESET statement_timeout"))
        return
    made = [each for every in names for each in bind.execute(text(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name = :name AND sql IS NOT NULL"),
        {"name": every}).all()]
    tables = {each.name: each.sql for each in made if each.type == "table"}
    assert before in tables[table], f"{table} is not as it was made"
    tables[table] = tables[table].replace(before, after)
    beside = [each for each in made if each.type != "table"]  # indexes and triggers
    for each in beside:
        op.execute(text(f"DROP {each.type} {each.name}"))
    for every in reversed(names):
        op.execute(text(f"ALTER TABLE {every} RENAME TO {every}_before"))
    for every in names:
        bind.exec_driver_sql(tables[every])
        op.execute(text(f"INSERT INTO {every} SELECT * FROM {every}_before"))  # noqa: S608
    for every in reversed(names):
        op.drop_table(f"{every}_before")
    for each in beside:
        bind.exec_driver_sql(each.sql)
