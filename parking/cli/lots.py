"""What an operator has chosen for a lot."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from parking.cli.tools import database
from parking.store import lots

group = AppGroup("lots", help="What an operator has chosen for a lot.")


@group.command("stay-limit")
@click.argument("lot_id", type=click.IntRange(1, 65_535))
@click.argument("hours", type=click.IntRange(1, 8_760))
def set_stay_limit(lot_id: int, hours: int) -> None:
    """Of a visit of more than so many hours the exit is thought missed; a week unless it is set."""
    if not database().write(lambda db: lots.set_stay_limit(db, lot_id, hours)):
        raise click.ClickException(f"there is no lot {lot_id}")
    click.echo(f"lot {lot_id}: of a visit of more than {hours} hours the exit is thought missed")
