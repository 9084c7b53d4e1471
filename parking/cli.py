"""The operator's hands: the same services from a shell (`flask parking …`)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.core.clock import format_instant, from_ms, parse_instant, to_ms
from parking.core.tariff import BadTariff, read_tariff
from parking.services import relay, rotate
from parking.services.enrol import enrol_terminal
from parking.services.publish import StartsInThePast, publish_tariff
from parking.services.seed import AlreadySeeded, seed_demo_city
from parking.store import keys, lots, terminals
from parking.store.database import DatabaseUnavailable

group = AppGroup("parking", help="Keys, terminals, tariffs, the demo city and the worker.")
keys_group = AppGroup("keys", help="The keys that sign codes and receipts.")
terminals_group = AppGroup("terminals", help="The devices at gates.")
tariffs_group = AppGroup("tariffs", help="Tariffs as data.")
for part in (keys_group, terminals_group, tariffs_group):
    group.add_command(part)
PURPOSE = click.Choice(["code", "receipt"])
IDLE_SECONDS = 0.1
SWEEP_SECONDS = 3600.0


@keys_group.command("list")
def list_keys() -> None:
    """Every key, its purpose, and from when to when it signs."""
    table = Table("purpose", "kid", "algorithm", "used from", "retired", "revoked")
    with _database().reading() as db:
        for key in keys.list_keys(db):
            table.add_row(
                key.purpose, key.kid, key.algorithm, format_instant(key.used_from), _or_dash(key.retired_at),
                _or_dash(key.revoked_at),
            )
    Console().print(table)


@keys_group.command("create")
@click.argument("purpose", type=PURPOSE)
def create_key(purpose: str) -> None:
    """Make a key that signs at once, beside those in use."""
    now, sealer = _now(), _sealer()
    click.echo(_database().write(
        lambda db: rotate.create_key(db, purpose, sealer=sealer, now=now, used_from=now)))


@keys_group.command("rotate")
@click.argument("purpose", type=PURPOSE)
@click.option("--at-once", is_flag=True, help="Sign with it now instead of in 14 days.")
def rotate_key(purpose: str, at_once: bool) -> None:
    """Make the next key; the old ones retire when it takes over."""
    now, sealer = _now(), _sealer()
    click.echo(_database().write(lambda db: rotate.rotate_key(db, purpose, sealer=sealer, now=now, at_once=at_once)))


@keys_group.command("revoke")
@click.argument("purpose", type=PURPOSE)
@click.argument("kid")
def revoke_key(purpose: str, kid: str) -> None:
    """A key was stolen: refuse what it signed, from now on, everywhere."""
    now, sealer = _now(), _sealer()
    if not _database().write(lambda db: rotate.revoke_key(db, purpose, kid, sealer=sealer, now=now)):
        raise click.ClickException(f"there is no {purpose} key {kid} that is not revoked")
    click.echo(f"{purpose} key {kid} is revoked")


@terminals_group.command("list")
@click.option("--lot", "lot_id", type=int)
def list_terminals(lot_id: int | None) -> None:
    """Terminals, when each was last seen, and how many of its facts are missing."""
    table = Table("terminal", "lot", "gate", "direction", "last seen", "last number", "missing", "revoked")
    with _database().reading() as db:
        for each in terminals.list_terminals(db, lot_id=lot_id):
            table.add_row(
                str(each.terminal_id), str(each.lot_id), each.gate_name, each.direction, _or_dash(each.last_seen_at),
                str(each.last_sequence), str(each.missing_count), _or_dash(each.revoked_at),
            )
    Console(width=160).print(table)


@terminals_group.command("create")
@click.argument("lot_id", type=int)
@click.argument("gate_id", type=int)
def create_terminal(lot_id: int, gate_id: int) -> None:
    """Enrol a device at a gate; its token is printed once and kept nowhere."""
    now = _now()

    def create(db: Any) -> tuple[UUID, str]:
        lot = lots.find_lot(db, lot_id)
        if lot is None or not lots.has_gate(db, lot_id, gate_id):
            raise click.ClickException(f"lot {lot_id} has no gate {gate_id}")
        return enrol_terminal(db, lot, gate_id=gate_id, now=now)

    terminal_id, token = _database().write(create)
    click.echo(f"terminal {terminal_id}\ntoken    {token}")


@terminals_group.command("revoke")
@click.argument("terminal_id", type=click.UUID)
def revoke_terminal(terminal_id: UUID) -> None:
    """Refuse a device from now on."""
    now = _now()
    if not _database().write(lambda db: terminals.revoke_terminal(db, terminal_id, now=now)):
        raise click.ClickException("there is no such terminal, or it was revoked before")
    click.echo(f"terminal {terminal_id} is revoked")


@tariffs_group.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--from", "from_text", required=True, help="RFC 3339; not in the past.")
def publish(file: Path, operator_id: UUID, from_text: str) -> None:
    """Check a tariff and publish it as a new version."""
    try:
        tariff, in_force_from, now = read_tariff(json.loads(file.read_text("utf-8"))), parse_instant(from_text), _now()
        version = _database().write(lambda db: publish_tariff(
            db, tariff, operator_id=operator_id, in_force_from=in_force_from, now=now))
    except (BadTariff, ValueError) as wrong:
        raise click.ClickException(str(wrong)) from None
    except StartsInThePast:
        raise click.ClickException("a version cannot start in the past") from None
    click.echo(f"{tariff.code} version {version}, hash {tariff.hash}")


@group.command("seed-demo")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--sign-ins", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="Where to write the demo's sign-ins (mode 0600).")
@click.option("--base", default="http://127.0.0.1:8000", show_default=True)
def seed_demo(seed: int, sign_ins: Path, base: str) -> None:
    """Make Shanghai in small in an empty database."""
    extensions, now = current_app.extensions, _now()
    try:
        made = _database().write(lambda db: seed_demo_city(
            db, seed=seed, secrets=extensions["secrets"], safe=extensions["key_safe"], now=now))
    except AlreadySeeded:
        raise click.ClickException("this database holds a city already") from None
    sign_ins.touch(mode=0o600)
    sign_ins.chmod(0o600)
    sign_ins.write_text(json.dumps({
        "base": base, "drivers": made.drivers, "terminals": made.terminals, "operators": made.operators,
    }, ensure_ascii=False, indent=1), "utf-8")
    click.echo(f"{len(made.drivers)} drivers, {len(made.terminals)} terminals, {len(made.operators)} operators")


@group.command("worker")
@click.option("--once", is_flag=True, help="Deliver what is due and stop.")
def worker(once: bool) -> None:
    """Carry messages between lots, and forget what need not be kept."""
    swept_at = float("-inf")
    while True:
        try:
            delivered = relay.relay_due(_database(), safe=current_app.extensions["key_safe"], now=_now())
            if time.monotonic() - swept_at > SWEEP_SECONDS:
                relay.sweep(_database(), now=_now())
                swept_at = time.monotonic()
        except DatabaseUnavailable:
            delivered = 0
            time.sleep(1.0)
        if once:
            return
        if not delivered:
            time.sleep(IDLE_SECONDS)


def _now() -> datetime:
    return from_ms(to_ms(datetime.now(UTC)))


def _database() -> Any:
    return current_app.extensions["database"]


def _sealer() -> Any:
    return current_app.extensions["secrets"].sealer


def _or_dash(instant: datetime | None) -> str:
    return format_instant(instant) if instant else "–"
