"""Alembic runs here, on SQLite and PostgreSQL alike; one statement at a time."""

from __future__ import annotations

import os

from alembic import context

from parking.store.columns import Table
from parking.store.database import Database
from parking.store.schema import TABLES

assert TABLES

url = context.config.attributes.get("url") or os.environ.get("DATABASE_URL", "sqlite:///var/parking.sqlite3")

database = Database(url, role=None)
with database.engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=Table.metadata, transaction_per_migration=True,
        render_as_batch=False, compare_type=True, compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
database.close()
