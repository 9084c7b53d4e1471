"""Tariffs as data."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import click
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.core.clock import parse_instant
from parking.core.tariff import BadTariff, read_tariff
from parking.services.publish import StartsInThePast, publish_tariff

group = AppGroup("tariffs", help="Tariffs as data.")


@group.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--from", "from_text", required=True, help="RFC 3339; not in the past.")
def publish(file: Path, operator_id: UUID, from_text: str) -> None:
    """Check a tariff and publish it as a new version."""
    try:
        tariff, in_force_from = read_tariff(json.loads(file.read_text("utf-8"))), parse_instant(from_text)
        now = right_now()
        version = database().write(lambda db: publish_tariff(
            db, tariff, operator_id=operator_id, in_force_from=in_force_from, now=now))
    except (BadTariff, ValueError) as wrong:
        raise click.ClickException(str(wrong)) from None
    except StartsInThePast:
        raise click.ClickException("a version cannot start in the past") from None
    click.echo(f"{tariff.code} version {version}, hash {tariff.hash}")
