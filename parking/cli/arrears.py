"""Arrears of the whole city, and what an operator has chosen about them."""

from __future__ import annotations

import json
from uuid import UUID

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database
from parking.core.money import format_yuan
from parking.services.tally import Tally, roll_up, tally_lots
from parking.store import lots, operators

group = AppGroup("arrears", help="Arrears: how many, how disputed, how answered; and what operators chose.")
_COLUMNS = ("open", "yuan", "overdue", "disputed", "answered in time", "not answered")


@group.command("counts")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def counts(as_json: bool) -> None:
    """The city's view: each lot, then each district, then each operator. No person is in it."""
    with database().reading() as db:
        found = tally_lots(db)
        names = {each: operators.get_operator(db, each).name for each in {lot.operator_id for lot in found}}
    by_district, by_operator = roll_up(found, "district_id"), roll_up(found, "operator_id")
    rows = [("lot", str(each.lot_id), each.tally) for each in found]
    rows += [("district", str(each), tally) for each, tally in by_district.items()]
    rows += [("operator", names[UUID(str(each))], tally) for each, tally in by_operator.items()]
    if as_json:
        click.echo(json.dumps([{"of": of, "name": name, **{
            part: getattr(tally, part) for part in Tally.__dataclass_fields__}} for of, name, tally in rows],
            ensure_ascii=False))
        return
    table = Table("of", "name", *_COLUMNS)
    for of, name, tally in rows:
        table.add_row(of, name, str(tally.open), format_yuan(tally.open_fen), str(tally.overdue), str(tally.disputed),
                      str(tally.answered_in_time), str(tally.lapsed))
    Console(width=120).print(table)


@group.command("grace")
@click.argument("operator_id", type=click.UUID)
@click.argument("days", type=click.IntRange(0, 90))
def grace(operator_id: UUID, days: int) -> None:
    """So many days after leaving, an unpaid visit becomes a case by itself; three unless it is set."""
    if not database().write(lambda db: operators.set_arrears_grace(db, operator_id, days)):
        raise click.ClickException("there is no such operator")
    click.echo(f"unpaid visits become cases after {days} days")


@group.command("ask-at-exit")
@click.argument("lot_id", type=click.IntRange(1, 65_535))
@click.argument("choice", type=click.Choice(["on", "off"]))
def ask_at_exit(lot_id: int, choice: str) -> None:
    """Whether the exit of a lot that collects stays shut for its operator's own overdue, undisputed arrears.

    Off, unless the operator wants it."""
    if not database().write(lambda db: lots.turn_reason(db, lot_id, "arrears_due", is_turned=choice == "on")):
        raise click.ClickException(f"there is no lot {lot_id}")
    click.echo(f"lot {lot_id}: exits {'ask' if choice == 'on' else 'do not ask'} for arrears")
