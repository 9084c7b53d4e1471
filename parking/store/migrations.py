"""Bring a database to the newest schema, from the shell and from tests alike."""

from __future__ import annotations

from pathlib import Path

from alembic import command
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
