"""The keys that sign codes and receipts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, or_dash, right_now, sealer
from parking.core.clock import format_instant
from parking.services import rotate, vouch
from parking.store import keys

group = AppGroup("keys", help="The keys that sign codes and receipts.")
PURPOSE = click.Choice(["code", "receipt"])


@group.command("list")
def list_keys() -> None:
    """Every key, its purpose, and from when to when it signs."""
    table, now = Table("purpose", "kid", "algorithm", "used from", "retired", "revoked", "lanes"), right_now()
    with database().reading() as db:
        for key in keys.list_keys(db):
            signed = key.purpose != "code" or vouch.is_signed(db, key.kid, now=now)
            table.add_row(
                key.purpose, key.kid, key.algorithm, format_instant(key.used_from), or_dash(key.retired_at),
                or_dash(key.revoked_at), "–" if key.purpose != "code" else "know it" if signed else "not signed yet",
            )
    Console(width=160).print(table)


@group.command("make-root")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def make_root(file: Path) -> None:
    """Make the key that vouches for the keys of codes, in FILE; keep it offline. Lanes pin what is printed."""
    pem, root = vouch.make_root()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as refused:
        raise click.ClickException(f"{file}: {refused.strerror}") from None
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(pem)
    click.echo(f"thumbprint {root.thumbprint}\n{json.dumps(root.jwk)}")


@group.command("sign-set")
@click.option("--root", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def sign_set(file: Path) -> None:
    """Sign the keys of codes as they are now; lanes take them with their next bundle."""
    try:
        root, now = vouch.read_root(file.read_bytes()), right_now()
    except vouch.BadRoot as wrong:
        raise click.ClickException(f"{file}: {wrong}") from None
    count = database().write(lambda db: vouch.sign_key_set(db, root, now=now))
    click.echo(f"{count} keys signed by {root.thumbprint}")


@group.command("create")
@click.argument("purpose", type=PURPOSE)
def create_key(purpose: str) -> None:
    """Make a key that signs at once, beside those in use."""
    now, tools = right_now(), _key_tools()
    click.echo(database().write(
        lambda db: rotate.create_key(db, purpose, now=now, used_from=now, **tools)))


@group.command("rotate")
@click.argument("purpose", type=PURPOSE)
@click.option("--at-once", is_flag=True, help="Sign with it now instead of in 14 days.")
def rotate_key(purpose: str, at_once: bool) -> None:
    """Make the next key; the old ones retire when it takes over."""
    now, tools = right_now(), _key_tools()
    click.echo(database().write(lambda db: rotate.rotate_key(db, purpose, now=now, at_once=at_once, **tools)))


@group.command("revoke")
@click.argument("purpose", type=PURPOSE)
@click.argument("kid")
def revoke_key(purpose: str, kid: str) -> None:
    """A key was stolen: refuse what it signed, from now on, everywhere."""
    now, tools = right_now(), _key_tools()
    if not database().write(lambda db: rotate.revoke_key(db, purpose, kid, now=now, **tools)):
        raise click.ClickException(f"there is no {purpose} key {kid} that is not revoked")
    click.echo(f"{purpose} key {kid} is revoked")


def _key_tools() -> dict[str, Any]:
    """What keys are made with: sealed here, or in the signing device that is set."""
    return {"sealer": sealer(), "device": current_app.extensions["signing_device"]}
