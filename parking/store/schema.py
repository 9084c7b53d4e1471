"""Every table, so that migrations and tests see the whole schema by importing one file."""

from __future__ import annotations

from parking.store import (
    charges,
    codes,
    decisions,
    drivers,
    facts,
    keys,
    logins,
    lots,
    operators,
    outbox_messages,
    parking_sessions,
    tariffs,
    terminals,
    vehicles,
)
from parking.store.columns import Table

MODULES = (
    charges, codes, decisions, drivers, facts, keys, logins, lots, operators, outbox_messages, parking_sessions,
    tariffs, terminals, vehicles,
)
TABLES = tuple(Table.metadata.sorted_tables)
APPEND_ONLY = tuple(table.name for table in TABLES if table.info["append_only"])
HOT = tuple(table.name for table in TABLES if table.info["dist"] == "lot_id")
