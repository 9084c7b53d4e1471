"""The demo city."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.services import vouch
from parking.services.connect import NotConnected
from parking.services.seed import AlreadySeeded, seed_demo_city
from parking.services.seed_auto_pay import seed_auto_pay


@click.command("seed-demo")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--sign-ins", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="Where to write the demo's sign-ins (mode 0600).")
@click.option("--base", default="http://127.0.0.1:8000", show_default=True)
@click.option("--realm", default="shanghai", show_default=True, help="Whose numbers the simulators' people have.")
@click.option("--root", "root_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Sign the key set for lanes by this offline root; made if it is not there.")
@with_appcontext
def seed_demo(seed: int, sign_ins: Path, base: str, realm: str, root_file: Path | None) -> None:
    """Make Shanghai in small in an empty database."""
    extensions, now, half = current_app.extensions, right_now(), sign_ins.with_suffix(".half")
    root = None if root_file is None else _root_in(root_file)

    def seed_and_tell(db: Any) -> Any:
        """The sign-ins are on disk before the city is: nothing else knows its passwords."""
        made = seed_demo_city(
            db, seed=seed, secrets=extensions["secrets"], safe=extensions["key_safe"], realm=realm, now=now)
        if root is not None:
            vouch.sign_key_set(db, root, now=now)
        half.touch(mode=0o600)
        half.chmod(0o600)
        half.write_text(json.dumps({
            "base": base, "drivers": made.drivers, "terminals": made.terminals, "operators": made.operators,
            "merchants": made.merchants,
        }, ensure_ascii=False, indent=1), "utf-8")
        return made

    try:
        made = database().write(seed_and_tell)
    except AlreadySeeded:
        raise click.ClickException("this database holds a city already") from None
    half.replace(sign_ins)
    staff = f"{len(made.operators)} of operators' staff"
    click.echo(f"{len(made.drivers)} drivers, {len(made.terminals)} terminals, {staff}")


@click.command("seed-auto-pay")
@click.option("--login", default="li", show_default=True)
@with_appcontext
def turn_auto_pay_on(login: str) -> None:
    """Turn auto-pay on for a demo driver's car that is inside; its operator's WeChat Pay must be connected."""
    extensions = current_app.extensions
    try:
        plate = seed_auto_pay(
            database(), extensions["channels"], login, secrets=extensions["secrets"], now=right_now())
    except NotConnected:
        raise click.ClickException("the operator has no WeChat Pay that deducts fees") from None
    click.echo(f"auto-pay is on for {plate}" if plate else "no car of this driver is inside such a car park")


def _root_in(file: Path) -> vouch.Root:
    """The root in a file, made there if there is none; beside it, in `.json`, what lanes pin."""
    if not file.exists():
        pem, root = vouch.make_root()
        file.touch(mode=0o600)
        file.write_bytes(pem)
        file.with_suffix(".json").write_text(json.dumps(root.jwk))
    return vouch.read_root(file.read_bytes())
