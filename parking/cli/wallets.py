"""The city's prepaid wallets."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, right_now
from parking.core.money import format_yuan
from parking.services.designate import CannotIssue, NoIssuer, designate_issuer, get_issuer
from parking.services.hold import show_issued
from parking.store import operators, top_ups

group = AppGroup("wallets", help="The city's prepaid wallets.")


@group.command("issue")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def issue(operator_id: UUID) -> None:
    """Have an operator issue the city's wallets: drivers pay into them through its accounts at channels."""
    now = right_now()
    try:
        database().write(lambda db: designate_issuer(db, operator_id, now=now))
    except CannotIssue as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo("drivers can pay into wallets now")


@group.command("show")
def show() -> None:
    """What all wallets hold together, what stands against it, and what is long under way back to drivers."""
    table = Table("account", "yuan")
    try:
        with database().reading() as db:
            issuer_id = get_issuer(db)
            found, name = show_issued(db, issuer_id), operators.get_operator(db, issuer_id).name
            late = top_ups.list_unfinished(db, asked_before=right_now() - timedelta(days=1))
    except NoIssuer:
        raise click.ClickException("no operator issues wallets (flask parking wallets issue)") from None
    for account, fen in found.accounts:
        table.add_row(account, format_yuan(fen))
    table.add_row(f"{found.wallet_count} wallets of {name}", format_yuan(found.held_fen))
    for each in late:
        table.add_row(f"late: refund {each.refund_no}, {each.state}", format_yuan(each.amount_fen))
    Console(width=160).print(table)
