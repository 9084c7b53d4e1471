"""Drivers whose phones gates ask to sign a number of theirs."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.services.challenge import challenge_driver
from parking.store import drivers

group = AppGroup("drivers", help="Drivers whose phones gates ask to sign a number of theirs.")


@group.command("list-challenged")
def list_challenged() -> None:
    """The ids of the drivers whose phones are asked."""
    with database().reading() as db:
        for driver_id in drivers.list_challenged(db):
            click.echo(driver_id)


@group.command("challenge")
@click.argument("driver_id", type=click.UUID)
@click.option("--why", required=True, help="Kept beside the decision.")
@click.option("--no-more", is_flag=True, help="Gates ask this driver's phone no more.")
def challenge(driver_id: UUID, why: str, no_more: bool) -> None:
    """Have gates ask a driver's phone to sign a number of theirs, from the next contact of each lane."""
    now = right_now()
    changed = database().write(
        lambda db: challenge_driver(db, driver_id, is_challenged=not no_more, why=why, now=now))
    if not changed:
        raise click.ClickException(f"driver {driver_id} does not exist, or it is so already")
