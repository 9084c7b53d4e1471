"""Tariffs as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.core.calendar import CannotPrice
from parking.core.clock import parse_instant
from parking.core.json_text import BadJson, load_object
from parking.core.money import format_yuan
from parking.core.rule_names import write_minutes
from parking.core.tariff import BadTariff, read_tariff
from parking.services.announce import NoTariff, find_announcement
from parking.services.compare import Compared, Named, compare_tariffs
from parking.services.publish import CodeOfAnother, StartsInThePast, StartTaken, publish_tariff
from parking.store import tariffs
from parking.web.printer import DocumentTooLong, print_document
from parking.web.sign_text import write_sign

group = AppGroup("tariffs", help="Tariffs as data.")
_VERSION = re.compile(r"[1-9]\d{0,8}", re.ASCII)


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
    except CodeOfAnother:
        raise click.ClickException("this code is another operator's") from None
    except StartTaken:
        raise click.ClickException("a version begins at this very instant already") from None
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


@group.command("compare")
@click.argument("old")
@click.argument("new")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="From which days are looked for; today if not given.")
@click.option("--large", is_flag=True, help="For a large vehicle.")
def compare(old: str, new: str, day: datetime | None, large: bool) -> None:
    """What stays cost under two tariffs, each a FILE or CODE or CODE@VERSION, and what differs in them."""
    now = right_now()
    try:
        made = compare_tariffs(
            _find(old, now), _find(new, now), now=now, day=day.date() if day else None,
            size="large" if large else "small")
    except CannotPrice as wrong:
        raise click.ClickException(str(wrong)) from None
    for line in _written(made):
        click.echo(line)


def _find(text: str, now: datetime) -> Named:
    path = Path(text)
    if path.is_file():
        try:
            tariff = read_tariff(load_object(path.read_bytes(), depth_max=40))
        except (BadTariff, BadJson) as wrong:
            raise click.ClickException(f"{text}: {wrong}") from None
        with database().reading() as db:
            return Named(tariffs.date_tariff(db, tariff), 0)
    code, _, version = text.partition("@")
    with database().reading() as db:
        if version:
            found = tariffs.find_version(db, code, version=int(version)) if _VERSION.fullmatch(version) else None
        else:
            found = tariffs.find_tariff_by_code(db, code, at=now)
    if found is None:
        raise click.ClickException(f"{text}: no such file, and no such version of a tariff")
    return Named(found.tariff, found.version)


def _written(made: Compared) -> Iterator[str]:
    """Prices in yuan, by start and length of the stay; then the largest differences, and what differs as data."""
    for side in made.prices.sides:
        yield f"{side.start.name} from {side.start.at.astimezone(made.new.tariff.zone):%Y-%m-%d %H:%M}"
        for minutes, before, after in side.usual:
            more = after - (before or 0)
            yield (f"  {write_minutes(minutes, 'en'):>8} {format_yuan(before or 0):>10} {format_yuan(after):>10}"
                   + (f" {'+' if more > 0 else ''}{format_yuan(more)}" if more else ""))
    for found in made.prices.largest:
        yield (f"{', '.join(found.starts)}: stays of {found.minutes} to {found.until - 1} min: "
               f"{format_yuan(found.old_fen)} -> {format_yuan(found.new_fen)}")
    for each in made.changes:
        old, new = each.old_words or {"en": "–"}, each.new_words or {"en": "–"}
        yield f"{each.path}: {old['en']} -> {new['en']}"
