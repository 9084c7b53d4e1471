"""A channel's statement of a day, read from a file."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from uuid import UUID

import click
from flask import current_app
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from parking.cli.tools import database, right_now
from parking.core.fund_bill import PURSES, Purse
from parking.core.money import format_yuan
from parking.core.statement import BadStatement
from parking.services.fetch import DAYS_BACK, fetch_due
from parking.services.import_funds import FundsOff, import_funds
from parking.services.keep_file import StatementBeingRead, StatementDiffers
from parking.services.reconcile import NoAccount, import_statement
from parking.store.channel_accounts import ChannelAccount


@click.command("fetch-statements")
@click.option("--days", "days_back", type=click.IntRange(1, 90), default=DAYS_BACK, show_default=True)
@with_appcontext
def fetch(days_back: int) -> None:
    """Fetch the statements of the last days that are not there yet; the worker does so by itself."""
    def say(account: ChannelAccount, day: date, outcome: str, why: str) -> None:
        click.echo(f"{day} {account.channel} {account.merchant_no}: {outcome}{' ' + why if why else ''}")

    fetch_due(database(), current_app.extensions["channels"], now=right_now(), days_back=days_back, tell=say)


@click.command("import-statement")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--channel", default="wechat_pay", show_default=True)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), required=True)
@click.option("--kind", type=click.Choice(["trade", "funds"]), default="trade", show_default=True)
@click.option("--purse", type=click.Choice(PURSES), default="BASIC", show_default=True, help="Of --kind funds.")
@with_appcontext
def statement(file: Path, operator_id: UUID, channel: str, day: datetime, kind: str, purse: Purse) -> None:
    """Read a channel's statement of a day, or its bill of movements, whole or not at all, and say what differs."""
    with Progress() as bar, file.open("rb") as lines:
        task = bar.add_task(file.name, total=None)
        try:
            shown = import_funds(
                database(), lines, operator_id=operator_id, channel=channel, day=day.date(), purse=purse,
                now=right_now(),
            ) if kind == "funds" else import_statement(
                database(), lines, operator_id=operator_id, channel=channel, day=day.date(), now=right_now(),
                progress=lambda done, total: bar.update(task, completed=done, total=total))
        except (BadStatement, StatementBeingRead, StatementDiffers, NoAccount, FundsOff) as wrong:
            raise click.ClickException(f"{type(wrong).__name__}: {wrong}; nothing was kept") from None
    table = Table("bucket", "rows", "ours", "theirs")
    for bucket, sums in shown.buckets.items():
        table.add_row(
            bucket, str(sums["count"]), format_yuan(sums["ours_fen"]), format_yuan(sums["theirs_fen"]))
    Console().print(table)
    if shown.funds is not None:
        moves = Table("movements", "rows", "moved", "by the trade bill")
        for of, sums in shown.funds["sums"].items():
            trade = sums["trade"] if of != "fee" else sums["trade"] // 1000
            moves.add_row(of, str(sums["count"]), format_yuan(sums["moved_fen"]), format_yuan(trade))
        Console().print(moves)
        if shown.funds["missing"]:
            click.echo("missing: " + ", ".join(shown.funds["missing"]))
    click.echo(
        ("balanced" if shown.is_balanced else "not balanced") + (", provisional" if shown.is_provisional else ""))
