"""Who issues operators' invoices, and how lots are invoiced."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, right_now, sealer
from parking.core.invoice import BadTaxRule, TaxRule
from parking.core.taxpayer import BadTaxpayerId, parse_taxpayer_id
from parking.services.assign import NoLot
from parking.services.engage import engage, set_rule
from parking.store import invoice_settings, lots, operators

group = AppGroup("invoices", help="Who issues operators' invoices, and how lots are invoiced.")
KIND = click.Choice(["vat_invoice", "non_tax_receipt"])


@group.command("connect")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--kind", type=KIND, required=True)
@click.option("--seller", required=True, help="The seller's name, as the tax office or the treasury knows it.")
@click.option("--taxpayer-id", required=True)
@click.option("--base-url", required=True, help="The invoice gateway's address, such as https://…/v1.")
@click.option("--account", required=True, help="Our name at the gateway.")
@click.option("--secret", type=click.File(), required=True, help="A file with the secret that both sides sign with.")
def connect(
    operator_id: UUID, kind: Any, seller: str, taxpayer_id: str, base_url: str, account: str, secret: Any
) -> None:
    """Have an operator's invoices of a kind issued through this account from now on."""
    settings, keys = {"base_url": base_url, "account": account}, {"secret": secret.read().strip()}
    try:
        number = parse_taxpayer_id(taxpayer_id)
        current_app.extensions["invoicing"].try_settings({**settings, **keys})
    except (BadTaxpayerId, ValueError) as wrong:
        raise click.ClickException(str(wrong)) from None
    now = right_now()
    with database().reading() as db:
        if not operators.is_operator(db, operator_id):
            raise click.ClickException(f"there is no operator {operator_id}")
    database().write(lambda db: engage(
        db, operator_id=operator_id, kind=kind, seller_name=seller, taxpayer_id=number, settings=settings, secret=keys,
        sealer=sealer(), now=now))
    click.echo("connected")


@group.command("lot")
@click.argument("lot_id", type=int)
@click.option("--kind", type=KIND, required=True)
@click.option("--rate", type=click.Choice(["900", "500", "0"]), default="0", show_default=True,
              help="Hundredths of a percent; 0 with --free-reason, or for a non-tax receipt.")
@click.option("--free-reason", default="")
@click.option("--place", default="", help="The address that is leased.")
@click.option("--certificate", default="", help="The property's number.")
def lot(lot_id: int, kind: Any, rate: str, free_reason: str, place: str, certificate: str) -> None:
    """Say how a lot is invoiced from now on."""
    rule, now = TaxRule(kind, int(rate), free_reason, place, certificate), right_now()
    with database().reading() as db:
        found = lots.find_lot(db, lot_id)
    if found is None:
        raise click.ClickException(f"there is no lot {lot_id}")
    try:
        database().write(lambda db: set_rule(db, found.operator_id, lot_id, rule, by=None, now=now))
    except (BadTaxRule, NoLot) as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo(f"lot {lot_id}: {kind}")


@group.command("list")
def list_all() -> None:
    """Each operator's sellers, and whether they are connected."""
    table = Table("operator", "kind", "seller", "taxpayer's number", "gateway", "connected")
    with database().reading() as db:
        for each in invoice_settings.list_accounts(db):
            table.add_row(
                operators.get_operator(db, each.operator_id).name, each.kind, each.seller_name, each.taxpayer_id,
                each.settings["base_url"], "no" if each.disconnected_at else "yes")
    Console(width=200).print(table)
