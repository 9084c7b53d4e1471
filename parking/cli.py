"""The operator's hands: the same services from a shell (`flask parking …`)."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from parking.core.clock import format_instant, from_ms, parse_instant, to_ms
from parking.core.money import format_yuan
from parking.core.statement import BadStatement
from parking.core.tariff import BadTariff, read_tariff
from parking.services import relay, rotate, vouch
from parking.services.challenge import challenge_driver
from parking.services.connect import connect_account
from parking.services.employ import LoginTaken, NoOperator, employ
from parking.services.enrol import enrol_terminal
from parking.services.publish import StartsInThePast, publish_tariff
from parking.services.reconcile import NoAccount, StatementBeingRead, StatementDiffers, import_statement
from parking.services.second_factor import hand_out_enrolment
from parking.services.seed import AlreadySeeded, seed_demo_city
from parking.services.watch import watch_terminals
from parking.store import channel_accounts, channel_events, drivers, keys, lots, operators, refunds, terminals
from parking.store.database import DatabaseUnavailable

group = AppGroup("parking", help="Keys, terminals, tariffs, the demo city and the worker.")
keys_group = AppGroup("keys", help="The keys that sign codes and receipts.")
terminals_group = AppGroup("terminals", help="The devices at gates.")
tariffs_group = AppGroup("tariffs", help="Tariffs as data.")
channels_group = AppGroup("channels", help="Operators' accounts at payment channels.")
drivers_group = AppGroup("drivers", help="Drivers whose phones gates ask to sign a number of theirs.")
staff_group = AppGroup("staff", help="The people who sign in at an operator's console.")
for part in (keys_group, terminals_group, tariffs_group, channels_group, drivers_group, staff_group):
    group.add_command(part)
PURPOSE = click.Choice(["code", "receipt"])
IDLE_SECONDS = 0.1
SWEEP_SECONDS = 3600.0
WATCH_SECONDS = 10.0


@keys_group.command("list")
def list_keys() -> None:
    """Every key, its purpose, and from when to when it signs."""
    table, now = Table("purpose", "kid", "algorithm", "used from", "retired", "revoked", "lanes"), _now()
    with _database().reading() as db:
        for key in keys.list_keys(db):
            signed = key.purpose != "code" or vouch.is_signed(db, key.kid, now=now)
            table.add_row(
                key.purpose, key.kid, key.algorithm, format_instant(key.used_from), _or_dash(key.retired_at),
                _or_dash(key.revoked_at), "–" if key.purpose != "code" else "know it" if signed else "not signed yet",
            )
    Console(width=160).print(table)


@keys_group.command("make-root")
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


@keys_group.command("sign-set")
@click.option("--root", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def sign_set(file: Path) -> None:
    """Sign the keys of codes as they are now; lanes take them with their next bundle."""
    try:
        root, now = vouch.read_root(file.read_bytes()), _now()
    except vouch.BadRoot as wrong:
        raise click.ClickException(f"{file}: {wrong}") from None
    count = _database().write(lambda db: vouch.sign_key_set(db, root, now=now))
    click.echo(f"{count} keys signed by {root.thumbprint}")


@keys_group.command("create")
@click.argument("purpose", type=PURPOSE)
def create_key(purpose: str) -> None:
    """Make a key that signs at once, beside those in use."""
    now, tools = _now(), _key_tools()
    click.echo(_database().write(
        lambda db: rotate.create_key(db, purpose, now=now, used_from=now, **tools)))


@keys_group.command("rotate")
@click.argument("purpose", type=PURPOSE)
@click.option("--at-once", is_flag=True, help="Sign with it now instead of in 14 days.")
def rotate_key(purpose: str, at_once: bool) -> None:
    """Make the next key; the old ones retire when it takes over."""
    now, tools = _now(), _key_tools()
    click.echo(_database().write(lambda db: rotate.rotate_key(db, purpose, now=now, at_once=at_once, **tools)))


@keys_group.command("revoke")
@click.argument("purpose", type=PURPOSE)
@click.argument("kid")
def revoke_key(purpose: str, kid: str) -> None:
    """A key was stolen: refuse what it signed, from now on, everywhere."""
    now, tools = _now(), _key_tools()
    if not _database().write(lambda db: rotate.revoke_key(db, purpose, kid, now=now, **tools)):
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


@channels_group.command("list")
def list_channels() -> None:
    """Each operator's accounts, and where the channel must send its callbacks."""
    table = Table("operator", "channel", "merchant", "connected", "callback")
    base = current_app.extensions["config"].public_url
    with _database().reading() as db:
        for each in channel_accounts.list_accounts(db):
            table.add_row(
                operators.get_operator(db, each.operator_id).name, each.channel, each.merchant_no,
                "no" if each.disconnected_at else "yes", f"{base}/callbacks/{each.channel}/{each.account_id}")
    Console(width=200).print(table)


@channels_group.command("trouble")
def list_trouble() -> None:
    """What a person must look at: payments that do not fit, refunds that failed or do not get through."""
    table = Table("what", "number", "yuan", "why")
    with _database().reading() as db:
        for _, why, body in channel_events.list_set_aside(db):
            table.add_row("payment set aside", body["order_no"], format_yuan(body["amount_fen"]), why)
        for refund in refunds.list_unfinished(db, asked_before=_now() - timedelta(days=1)):
            table.add_row("refund", refund.refund_no, format_yuan(refund.amount_fen), refund.state)
    Console(width=160).print(table)


@channels_group.command("connect-wechat-pay")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--mchid", required=True, help="The merchant's number.")
@click.option("--appid", required=True)
@click.option("--serial", required=True, help="Serial number of the merchant's API certificate.")
@click.option("--private-key", type=click.File(), required=True, help="apiclient_key.pem")
@click.option("--api-v3-key", type=click.File(), required=True, help="A file with the 32 characters.")
@click.option("--platform-key-id", default="", help="PUB_KEY_ID_…, where the account has a platform public key.")
@click.option("--platform-key", type=click.File(), help="Its PEM file.")
@click.option("--base-url", default="https://api.mch.weixin.qq.com", show_default=True)
def connect_wechat_pay(
    operator_id: UUID, mchid: str, appid: str, serial: str, private_key: Any, api_v3_key: Any, platform_key_id: str,
    platform_key: Any, base_url: str,
) -> None:
    """Take an operator's money by this account; the keys are sealed in the database."""
    settings = {"mchid": mchid, "appid": appid, "serial": serial, "base_url": base_url,
                "platform_key_id": platform_key_id, "platform_key": platform_key.read() if platform_key else ""}
    secret, now = {"private_key": private_key.read(), "api_v3_key": api_v3_key.read().strip()}, _now()
    try:
        current_app.extensions["channels"].try_settings("wechat_pay", {**settings, **secret})
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    account_id = _database().write(lambda db: connect_account(
        db, operator_id=operator_id, channel="wechat_pay", merchant_no=mchid, settings=settings, secret=secret,
        sealer=_sealer(), now=now))
    base = current_app.extensions["config"].public_url
    click.echo(f"connected; callbacks to {base}/callbacks/wechat_pay/{account_id}")


@drivers_group.command("list-challenged")
def list_challenged() -> None:
    """The ids of the drivers whose phones are asked."""
    with _database().reading() as db:
        for driver_id in drivers.list_challenged(db):
            click.echo(driver_id)


@drivers_group.command("challenge")
@click.argument("driver_id", type=click.UUID)
@click.option("--why", required=True, help="Kept beside the decision.")
@click.option("--no-more", is_flag=True, help="Gates ask this driver's phone no more.")
def challenge(driver_id: UUID, why: str, no_more: bool) -> None:
    """Have gates ask a driver's phone to sign a number of theirs, from the next contact of each lane."""
    now = _now()
    changed = _database().write(
        lambda db: challenge_driver(db, driver_id, is_challenged=not no_more, why=why, now=now))
    if not changed:
        raise click.ClickException(f"driver {driver_id} does not exist, or it is so already")


@staff_group.command("add")
@click.argument("login")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def add_staff(login: str, operator_id: UUID) -> None:
    """Make an account for one of an operator's staff; password and set-up code are printed once."""
    now = _now()
    try:
        password, enrolment = _database().write(lambda db: employ(db, operator_id, login, now=now))
    except LoginTaken:
        raise click.ClickException(f"there is an account {login} already") from None
    except NoOperator:
        raise click.ClickException(f"there is no operator {operator_id}") from None
    click.echo(f"password     {password}\nset-up code  {enrolment}  (for the second factor, within three days)")


@staff_group.command("forget-second-factor")
@click.argument("login")
def forget_factor(login: str) -> None:
    """The authenticator was lost: sign this login out everywhere, and let it set up another with a new code."""
    now = _now()
    enrolment = _database().write(lambda db: hand_out_enrolment(db, login, now=now))
    if enrolment is None:
        raise click.ClickException(f"there is no account {login}")
    click.echo(f"{login} sets up a new second factor at the next sign-in, within three days, with {enrolment}")


@group.command("import-statement")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--channel", default="wechat_pay", show_default=True)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), required=True)
def statement(file: Path, operator_id: UUID, channel: str, day: datetime) -> None:
    """Read a channel's statement of a day, whole or not at all, and say what differs."""
    with Progress() as bar, file.open("rb") as lines:
        task = bar.add_task(file.name, total=None)
        try:
            shown = import_statement(
                _database(), lines, operator_id=operator_id, channel=channel, day=day.date(), now=_now(),
                progress=lambda done, total: bar.update(task, completed=done, total=total))
        except (BadStatement, StatementBeingRead, StatementDiffers, NoAccount) as wrong:
            raise click.ClickException(f"{type(wrong).__name__}: {wrong}; nothing was kept") from None
    table = Table("bucket", "rows", "ours", "theirs")
    for bucket, sums in shown.buckets.items():
        table.add_row(
            bucket, str(sums["count"]), format_yuan(sums["ours_fen"]), format_yuan(sums["theirs_fen"]))
    Console().print(table)
    click.echo(
        ("balanced" if shown.is_balanced else "not balanced") + (", provisional" if shown.is_provisional else ""))


@group.command("seed-demo")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--sign-ins", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="Where to write the demo's sign-ins (mode 0600).")
@click.option("--base", default="http://127.0.0.1:8000", show_default=True)
@click.option("--realm", default="shanghai", show_default=True, help="Whose numbers the simulators' people have.")
@click.option("--root", "root_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Sign the key set for lanes by this offline root; made if it is not there.")
def seed_demo(seed: int, sign_ins: Path, base: str, realm: str, root_file: Path | None) -> None:
    """Make Shanghai in small in an empty database."""
    extensions, now, half = current_app.extensions, _now(), sign_ins.with_suffix(".half")
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
        }, ensure_ascii=False, indent=1), "utf-8")
        return made

    try:
        made = _database().write(seed_and_tell)
    except AlreadySeeded:
        raise click.ClickException("this database holds a city already") from None
    half.replace(sign_ins)
    click.echo(f"{len(made.drivers)} drivers, {len(made.terminals)} terminals, {len(made.operators)} operators")


@group.command("worker")
@click.option("--once", is_flag=True, help="Deliver what is due and stop.")
def worker(once: bool) -> None:
    """Carry messages to lots and channels, and forget what need not be kept."""
    swept_at = watched_at = float("-inf")
    while True:
        try:
            if time.monotonic() - watched_at > WATCH_SECONDS:
                watch_terminals(_database(), now=_now())
                watched_at = time.monotonic()
            delivered = relay.relay_due(current_app.extensions["desk"], now=_now())
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


def _root_in(file: Path) -> vouch.Root:
    """The root in a file, made there if there is none; beside it, in `.json`, what lanes pin."""
    if not file.exists():
        pem, root = vouch.make_root()
        file.touch(mode=0o600)
        file.write_bytes(pem)
        file.with_suffix(".json").write_text(json.dumps(root.jwk))
    return vouch.read_root(file.read_bytes())


def _key_tools() -> dict[str, Any]:
    """What keys are made with: sealed here, or in the signing device that is set."""
    return {"sealer": _sealer(), "device": current_app.extensions["signing_device"]}


def _now() -> datetime:
    return from_ms(to_ms(datetime.now(UTC)))


def _database() -> Any:
    return current_app.extensions["database"]


def _sealer() -> Any:
    return current_app.extensions["secrets"].sealer


def _or_dash(instant: datetime | None) -> str:
    return format_instant(instant) if instant else "–"
