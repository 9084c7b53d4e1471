"""The operator's hands: the same services from a shell (`flask parking …`)."""

from __future__ import annotations

from flask.cli import AppGroup

from parking.cli import (
    apds,
    arrears,
    calendars,
    channels,
    charges,
    demo,
    drivers,
    invoices,
    keys,
    lint,
    lots,
    merchants,
    settlements,
    staff,
    statements,
    tariffs,
    terminals,
    wallets,
    what_ifs,
    worker,
)

group = AppGroup("parking", help="Keys, terminals, lots, tariffs, the demo city and the worker.")
for part in (keys, terminals, tariffs, calendars, channels, drivers, staff, settlements, lots, wallets, merchants,
             arrears, invoices):
    group.add_command(part.group)
for command in (charges.verify_charge, charges.verify_receipt, charges.prove, statements.statement, statements.fetch,
                demo.seed_demo, demo.turn_auto_pay_on, worker.worker, what_ifs.what_if):
    group.add_command(command)
for command in (apds.export_apds, apds.import_apds, lint.lint_tariffs):
    tariffs.group.add_command(command)
