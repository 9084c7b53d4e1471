"""Calendars of holidays, and of days of rest that are worked instead."""

from __future__ import annotations

import json
from pathlib import Path

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, right_now
from parking.core.calendar import BadCalendar, read_year
from parking.services.calendars import UnknownCalendar, confirm_year, seed_calendar
from parking.store import calendars

group = AppGroup("calendars", help="Holidays and make-up working days, which prices may rest on.")


@group.command("list")
@click.argument("name", required=False)
def list_calendars(name: str | None) -> None:
    """Each year: how many holidays and make-up days, whether it is confirmed, and by whom."""
    table = Table("calendar", "year", "holidays", "make-up days", "confirmed", "source", "revision")
    with database().reading() as db:
        for each in calendars.list_years(db, name):
            table.add_row(
                each.name, str(each.days.year), str(len(each.days.holidays)), str(len(each.days.makeup)),
                "yes" if each.is_confirmed else "no", each.source, str(each.revision))
    Console(width=120).print(table)


@group.command("seed")
@click.argument("name")
def seed(name: str) -> None:
    """Take what libraries know of NAME (CN, FR, US-CA …), from last year to the next."""
    try:
        made = database().write(lambda db: seed_calendar(db, name, now=right_now()))
    except UnknownCalendar:
        raise click.ClickException(f"no library knows the calendar {name}") from None
    for each in made:
        click.echo(f"{name} {each.days.year}: {'confirmed' if each.is_confirmed else 'not confirmed'}, {each.source}")
    if not made:
        click.echo("nothing new")


@group.command("confirm")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="Where it is announced: number or address of the notice.")
def confirm(name: str, file: Path, source: str) -> None:
    """Confirm a year by a file {"year", "holidays": [days], "makeup": [days]}; visits that waited are charged."""
    now = right_now()
    try:
        days = read_year(json.loads(file.read_text("utf-8")))
        kept = database().write(lambda db: confirm_year(db, name, days, source=source, now=now))
    except (BadCalendar, ValueError) as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo(f"{name} {kept.days.year} is confirmed, revision {kept.revision}")
