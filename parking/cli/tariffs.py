"""Tariffs as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.core.clock import parse_instant
from parking.core.tariff import BadTariff, read_tariff
from parking.services.announce import NoTariff, find_announcement
from parking.services.publish import StartsInThePast, publish_tariff
from parking.web.printer import DocumentTooLong, print_document
from parking.web.sign_text import write_sign

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


@group.command("sign")
@click.argument("lot_id", metavar="LOT", type=click.IntRange(1, 65535))
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path), required=True)
@click.option("--kind", type=click.Choice(["sign", "poster"]), default="sign", show_default=True)
@click.option("--size", type=click.Choice(["a4", "a3"]), default="a4", show_default=True)
@click.option("--at", "at_text", help="RFC 3339: the version in force then, which may be to come; now, if not said.")
def sign(lot_id: int, out: Path, kind: Any, size: Any, at_text: str | None) -> None:
    """Print a lot's price sign, or its poster of example prices, as a PDF."""
    extensions = current_app.extensions
    try:
        at = parse_instant(at_text) if at_text else right_now()
        with database().reading() as db:
            found = find_announcement(db, lot_id, at=at)
        if found is None:
            raise click.ClickException("there is no such lot")
        text = write_sign(found, kind=kind, size=size, base=extensions["config"].public_url,
                          pepper=extensions["secrets"].pepper)
        made = print_document(kind, text, dated_at=found.since)
        out.write_bytes(made)
    except NoTariff:
        raise click.ClickException("the lot charges by no tariff at this time") from None
    except DocumentTooLong:
        raise click.ClickException("the tariff says too much for a sheet of paper") from None
    except (ValueError, OSError) as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo(f"{out}: {found.tariff.code} version {found.version}, {len(made)} bytes")
