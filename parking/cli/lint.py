"""What is odd in a tariff, from the shell: for whoever writes one, and for a check before it is merged."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from parking.cli.tools import database
from parking.core.finding import Finding, finding_answer
from parking.core.json_text import BadJson, load_object
from parking.core.lint import lint
from parking.core.money import format_yuan
from parking.core.reason import LANGUAGES
from parking.core.tariff import BadTariff, Tariff, read_tariff
from parking.store import tariffs

DEPTH_MAX = 40
BYTES_MAX = 1024 * 1024
WRONG, NO_TARIFF = 1, 2  # what the command ends with


@dataclass(frozen=True, slots=True)
class Linted:
    """errors: (path, message) pairs; then the file holds no tariff, and nothing was looked for."""

    file: Path
    findings: tuple[Finding, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def ends_with(self) -> int:
        if self.errors:
            return NO_TARIFF
        return WRONG if any(each.level == "wrong" for each in self.findings) else 0


@click.command("lint")
@click.argument("files", metavar="FILE…", nargs=-1, required=True,
                type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the files, each with its findings.")
@with_appcontext
def lint_tariffs(files: tuple[Path, ...], language: Any, as_json: bool) -> None:
    """What is odd in tariffs, each finding with a stay that shows it (docs/tariffs.md).

    Ends with 1 if something is surely wrong, with 2 if a file holds no tariff.
    """
    linted = [_lint(file) for file in files]
    if as_json:
        click.echo(json.dumps({"files": [_data(each) for each in linted]}, ensure_ascii=False, indent=1))
    else:
        for each in linted:
            _tell(each, language)
    sys.exit(max(each.ends_with for each in linted))


def _lint(file: Path) -> Linted:
    try:
        return Linted(file, lint(_dated(_read(file))))
    except BadTariff as wrong:
        return Linted(file, errors=tuple(wrong.errors))
    except (BadJson, OSError) as wrong:
        return Linted(file, errors=(("", str(wrong)),))


def _read(file: Path) -> Tariff:
    with file.open("rb") as opened:
        raw = opened.read(BYTES_MAX + 1)
    if len(raw) > BYTES_MAX:
        raise BadJson("longer than any tariff")
    return read_tariff(load_object(raw, depth_max=DEPTH_MAX))


def _dated(tariff: Tariff) -> Tariff:
    if tariff.calendar is None:
        return tariff  # and no database is asked
    with database().reading() as db:
        return tariffs.date_tariff(db, tariff)


def _tell(linted: Linted, language: Any) -> None:
    for path, message in linted.errors:
        click.echo(f"{linted.file}: no tariff: {path + ': ' if path else ''}{message}", err=True)
    for each in linted.findings:
        told = finding_answer(each)
        stay = told["example"]
        who = json.dumps({"vehicle": stay["vehicle"], "context": stay["context"]}, ensure_ascii=False)
        click.echo(f"{linted.file}: {each.level}: {each.path}: {told['says'][language]} ({each.rule})")
        click.echo(f"    {stay['entered_at']} {stay['left_at']} {who} {format_yuan(stay['total_fen'])}")


def _data(linted: Linted) -> dict[str, Any]:
    return {
        "file": str(linted.file), "findings": [finding_answer(each) for each in linted.findings],
        "errors": [{"field": path, "message": message} for path, message in linted.errors],
    }
