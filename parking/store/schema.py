"""Every table, so that migrations and tests see the whole schema by importing one file."""

from __future__ import annotations

from parking.store import (
    anomalies,
    bundle_changes,
    calendars,
    channel_accounts,
    channel_events,
    channel_fees,
    channel_messages,
    charges,
    codes,
    companions,
    credentials,
    day_closings,
    decisions,
    drawer_movements,
    drawers,
    drivers,
    facts,
    ghosts,
    identities,
    invoice_claims,
    invoice_documents,
    invoice_settings,
    invoice_titles,
    invoices,
    key_sets,
    keys,
    lane_orders,
    ledger_proofs,
    logins,
    lots,
    operators,
    outbox_messages,
    pairing_codes,
    parking_sessions,
    payments,
    reckonings,
    refunds,
    settlements,
    silences,
    statement_imports,
    tariff_drafts,
    tariffs,
    terminals,
    transfers,
    vehicles,
    waivers,
    webhook_deliveries,
    webhook_endpoints,
    what_ifs,
)
from parking.store.columns import Table

MODULES = (
    anomalies, bundle_changes, calendars, channel_accounts, channel_events, channel_fees, channel_messages, charges,
    codes, companions, credentials, day_closings, decisions, drawer_movements, drawers, drivers, facts, ghosts,
    identities, invoice_claims, invoice_documents, invoice_settings, invoice_titles, invoices, key_sets, keys,
    lane_orders, ledger_proofs, logins, lots, operators, outbox_messages, pairing_codes,
    parking_sessions, payments, reckonings, refunds, settlements, silences, statement_imports, tariff_drafts,
    tariffs, terminals, transfers, vehicles, waivers, webhook_deliveries, webhook_endpoints, what_ifs,
)
TABLES = tuple(Table.metadata.sorted_tables)
APPEND_ONLY = tuple(table.name for table in TABLES if table.info["append_only"])
HOT = tuple(table.name for table in TABLES if table.info["dist"] == "lot_id")
