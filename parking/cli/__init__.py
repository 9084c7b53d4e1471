"""The operator's hands: the same services from a shell (`flask parking …`)."""

from __future__ import annotations

from flask.cli import AppGroup

from parking.cli import (
    apds,
    calendars,
    channels,
    charges,
    demo,
    drivers,
    invoices,
    keys,
    lint,
    lots,
    settlements,
    staff,
    statements,
    tariffs,
    terminals,
    what_ifs,
    worker,
)

group = AppGroup("parking", help="Keys, terminals, lots, tariffs, the demo city and the worker.")
for part in (keys, terminals, tariffs, calendars, channels, drivers, staff, settlements, lots, invoices):
    group.add_command(part.group)
for command in (charges.verify_charge, charges.prove, statements.statement, statements.fetch, demo.seed_demo,
                worker.worker, what_ifs.what_if):
    group.add_command(command)
for command in (apds.export_apds, apds.import_apds, lint.lint_tariffs):
    tariffs.group.add_command(command)
