"""Tariffs to other systems and from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.core.apds import Finding
from parking.core.apds_import import import_rate_table
from parking.core.apds_lines import Readings
from parking.core.clock import BadInstant, parse_instant
from parking.core.json_text import BadJson, load_strict
from parking.services.exchange import export_tariff
from parking.services.quote import NotInForce

DEPTH_MAX = 40


@click.command("export-apds")
@click.argument("code")
@click.option("--at", "at_text", help="RFC 3339: the version in force then; now, if not said.")
@with_appcontext
def export_apds(code: str, at_text: str | None) -> None:
    """Write a published tariff as APDS rate tables; what they do not say goes to standard error."""
    try:
        at = parse_instant(at_text) if at_text else right_now()
        with database().reading() as db:
            made = export_tariff(db, code, at=at)
    except BadInstant as wrong:
        raise click.ClickException(str(wrong)) from None
    except NotInForce:
        raise click.ClickException("no published tariff of this code is in force then") from None
    click.echo(json.dumps(made.data, ensure_ascii=False, indent=1))
    _tell(made.unexpressed)


@click.command("import-apds")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--code", required=True, help="Of the tariff that is made.")
@click.option("--time-zone", required=True, help="Of the place, such as Asia/Shanghai.")
@click.option("--tiers", type=click.Choice(["each", "total"]), help="Is a tier's value added, or the whole price?")
@click.option("--crossing", type=click.Choice(["anew", "at_entry"]),
              help="Is a stay cut where another table begins, or does the table at entry hold?")
@click.option("--beyond", type=click.Choice(["again", "no_more"]), help="What holds after the last line's end?")
def import_apds(file: Path, code: str, time_zone: str, tiers: Any, crossing: Any, beyond: Any) -> None:
    """Read APDS rate tables as a tariff, write its JSON; findings go to standard error.

    Ends with 1 if no tariff comes out.
    """
    try:
        data = load_strict(file.read_bytes(), depth_max=DEPTH_MAX)
    except (BadJson, OSError) as wrong:
        raise click.ClickException(str(wrong)) from None
    made = import_rate_table(data, code=code, time_zone=time_zone, readings=Readings(tiers, crossing, beyond))
    _tell(made.findings)
    if made.tariff is None:
        sys.exit(1)
    click.echo(json.dumps(json.loads(made.tariff.canonical), ensure_ascii=False, indent=1))


def _tell(findings: Iterable[Finding]) -> None:
    for each in findings:
        click.echo(f"{each.effect}: {each.path or '.'}: {each.why['en']} ({each.reason})", err=True)
