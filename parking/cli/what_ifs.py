"""What another tariff would have done to a period's visits, from the shell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from flask import current_app
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from parking.cli.tools import database, right_now
from parking.core.clock import BadInstant, parse_instant, start_of_day
from parking.core.money import format_yuan
from parking.core.tariff import BadTariff
from parking.services.replay import LEASE, PROCESSES, Place, Replay
from parking.services.what_if import Asked, NoLot, NoTariff, TooManyWhatIfs, ask_what_if, operator_of_lots
from parking.store import what_ifs
from parking.store.database import DatabaseUnavailable
from parking.store.what_ifs import StoredWhatIf
from parking.web.contract import parse_date

WAIT_SECONDS = 0.2
LISTED = 10


@click.command("what-if")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lot", "lot_ids", type=int, multiple=True, help="A lot's number; as often as there are lots.")
@click.option("--lots-of", help="All lots that charged by this tariff's code, instead of --lot.")
@click.option("--from", "from_text", required=True, help="A day by the city's clock, or an instant of RFC 3339.")
@click.option("--to", "to_text", required=True, help="The end, not in it: a day or an instant.")
@click.option("--processes", type=click.IntRange(1, 64), default=PROCESSES, show_default=True)
def what_if(
    file: Path, lot_ids: tuple[int, ...], lots_of: str | None, from_text: str, to_text: str, processes: int
) -> None:
    """Price the charged visits of a period again by the tariff in FILE, and say what changes. The result is kept.

    Ctrl-C cancels it.
    """
    if bool(lot_ids) == (lots_of is not None):
        raise click.UsageError("name lots by --lot, or by --lots-of")
    replay = _begin(file, lot_ids, lots_of, (_instant(from_text), _instant(to_text)), processes)
    question = replay.question
    try:
        _watch(replay)
    except KeyboardInterrupt:
        replay.stop("cancelled")
        database().write(lambda db: what_ifs.cancel(
            db, question.operator_id, question.what_if_id, now=right_now()))
    finally:
        replay.stop(replay.state)
    with database().reading() as db:
        found = what_ifs.find_what_if(db, question.operator_id, question.what_if_id)
    if found is None or found.result is None:
        why = "deleted" if found is None else found.failure or found.state
        raise click.ClickException(f"there is no result: {why}")
    show(found, Console())


def _begin(
    file: Path, lot_ids: tuple[int, ...], lots_of: str | None, entered: tuple[datetime, datetime], processes: int
) -> Replay:
    """Keep the question, held by this process."""
    config, now, holder = current_app.extensions["config"], right_now(), uuid4()

    def ask(db: Any) -> StoredWhatIf:
        asked = Asked(data, entered, lot_ids, lots_of)
        return ask_what_if(db, asked, operator_id=operator_of_lots(db, asked), asked_by=None, now=now,
                           held_by=holder, leased_until=now + LEASE)

    try:
        data = json.loads(file.read_text("utf-8"))
        if not isinstance(data, dict):
            raise BadTariff([("tariff", "not a JSON object")])
        kept = database().write(ask)
    except (ValueError, NoLot, NoTariff, RecursionError) as wrong:
        raise click.ClickException(str(wrong)) from None
    except TooManyWhatIfs:
        raise click.ClickException("twenty what-ifs of this operator have not ended") from None
    return Replay(database(), Place(config.database_url, config.database_role), kept.question, holder, processes)


def _watch(replay: Replay) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(replay.question.tariff_code, total=None)
        while _goes_on(replay):
            bar.update(task, completed=replay.done_count, total=replay.total_count)
        bar.update(task, completed=replay.done_count, total=replay.total_count or 1)


def _goes_on(replay: Replay) -> bool:
    try:
        return replay.step(now=right_now(), wait_seconds=WAIT_SECONDS)
    except DatabaseUnavailable:
        time.sleep(1.0)
        return True


def show(found: StoredWhatIf, console: Console) -> None:
    """A result as tables."""
    result, yuan = found.result, format_yuan
    assert result is not None
    asked = found.question
    console.print(f"{asked.tariff_code} {asked.tariff_hash[:16]}, what-if {asked.what_if_id}")
    table = Table("", "visits", "before", "after", "difference", "pay more", "pay less", "the same")
    for name, each in (("all", result), *((f"lot {each['lot_id']}", each) for each in result["by_lot"])):
        table.add_row(name, str(each["visits"]), yuan(each["before_fen"]), yuan(each["after_fen"]),
                      yuan(each["difference_fen"]), str(each["more"]), str(each["less"]), str(each["same"]))
    console.print(table)
    table = Table("change from", "to", "visits", "together")
    for each in result["changes"]:
        if each["visits"]:
            low, high = (("" if bound is None else yuan(bound)) for bound in (each["from_fen"], each["to_fen"]))
            table.add_row(low, high, str(each["visits"]), yuan(each["difference_fen"]))
    console.print(table)
    for name in ("rises", "falls"):
        _list(name, result[name], lambda each: (yuan(each["after_fen"]), yuan(each["after_fen"] - each["before_fen"])),
              ("after", "difference"), console)
    unpriced, replay = result["unpriced"], result["replay"]
    if unpriced["visits"]:
        console.print(f"could not be priced: {unpriced['visits']}, charged {yuan(unpriced['before_fen'])}, in no sum")
        _list("unpriced", unpriced["items"], lambda each: (each["reason"],), ("why",), console)
    if result["left_out"]:
        console.print("left out: " + ", ".join(f"{why} {count}" for why, count in result["left_out"].items()))
    wrong = replay["differing"] + replay["not_replayed"]
    right = replay["visits"] - replay["differing"]
    console.print(f"proof: {right} visits come out as charged when they are priced again, {wrong} do not")


def _list(
    name: str, items: list[dict[str, Any]], more: Callable[[dict[str, Any]], tuple[str, ...]], heads: tuple[str, ...],
    console: Console,
) -> None:
    if items:
        table = Table(f"largest {name}" if name != "unpriced" else name, "entered", "before", *heads)
        for each in items[:LISTED]:
            table.add_row(each["parking_session_id"], each["entered_at"], format_yuan(each["before_fen"]), *more(each))
        console.print(table)


def _instant(text: str) -> datetime:
    day = parse_date(text)
    if day is not None:
        return start_of_day(day, current_app.extensions["config"].city_zone)
    try:
        return parse_instant(text)
    except BadInstant as wrong:
        raise click.ClickException(f"{text}: {wrong}") from None
