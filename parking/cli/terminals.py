"""The devices at gates."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, or_dash, right_now
from parking.services.enrol import enrol_terminal
from parking.store import lots, terminals

group = AppGroup("terminals", help="The devices at gates.")


@group.command("list")
@click.option("--lot", "lot_id", type=int)
def list_terminals(lot_id: int | None) -> None:
    """Terminals, when each was last seen, and how many of its facts are missing."""
    table = Table("terminal", "lot", "gate", "direction", "last seen", "last number", "missing", "revoked")
    with database().reading() as db:
        for each in terminals.list_terminals(db, lot_id=lot_id):
            table.add_row(
                str(each.terminal_id), str(each.lot_id), each.gate_name, each.direction, or_dash(each.last_seen_at),
                str(each.last_sequence), str(each.missing_count), or_dash(each.revoked_at),
            )
    Console(width=160).print(table)


@group.command("create")
@click.argument("lot_id", type=int)
@click.argument("gate_id", type=int)
def create_terminal(lot_id: int, gate_id: int) -> None:
    """Enrol a device at a gate; its token is printed once and kept nowhere."""
    now = right_now()

    def create(db: Any) -> tuple[UUID, str]:
        lot = lots.find_lot(db, lot_id)
        if lot is None or not lots.has_gate(db, lot_id, gate_id):
            raise click.ClickException(f"lot {lot_id} has no gate {gate_id}")
        return enrol_terminal(db, lot, gate_id=gate_id, now=now)

    terminal_id, token = database().write(create)
    click.echo(f"terminal {terminal_id}\ntoken    {token}")


@group.command("revoke")
@click.argument("terminal_id", type=click.UUID)
def revoke_terminal(terminal_id: UUID) -> None:
    """Refuse a device from now on."""
    now = right_now()
    if not database().write(lambda db: terminals.revoke_terminal(db, terminal_id, now=now)):
        raise click.ClickException("there is no such terminal, or it was revoked before")
    click.echo(f"terminal {terminal_id} is revoked")
