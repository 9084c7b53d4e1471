"""Operators' accounts at payment channels."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from parking.cli.tools import database, right_now, sealer
from parking.core.drawer import CHANNEL as CASH
from parking.core.fund_bill import PURSES, Purse
from parking.core.money import format_yuan
from parking.core.statement_csv import is_other
from parking.core.wallet import CHANNEL as WALLET
from parking.services.connect import connect_account
from parking.services.import_funds import FundsOff, FundsOn, switch_funds_off, switch_funds_on
from parking.services.reconcile import NoAccount, find_own_account
from parking.services.take_other import add_other
from parking.store import channel_accounts, channel_events, operators, refunds

group = AppGroup("channels", help="Operators' accounts at payment channels.")


@group.command("list")
def list_channels() -> None:
    """Each operator's accounts, and where the channel must send its callbacks."""
    table = Table("operator", "channel", "merchant", "connected", "deducts fees", "inside its app", "callback")
    base = current_app.extensions["config"].public_url
    with database().reading() as db:
        for each in channel_accounts.list_accounts(db):
            table.add_row(
                operators.get_operator(db, each.operator_id).name, each.channel, each.merchant_no,
                "no" if each.disconnected_at else "yes",
                "yes" if each.settings.get("parking_service") or each.settings.get("sign_scene") else "no",
                "yes" if each.channel == "alipay" or each.settings.get("inside_its_app") else "no",
                "" if each.channel in (CASH, WALLET) or is_other(each.channel) else (
                    f"{base}/callbacks/{each.channel}/{each.account_id}"))
    Console(width=200).print(table)


@group.command("trouble")
def list_trouble() -> None:
    """What a person must look at: payments that do not fit, refunds that failed or do not get through."""
    table = Table("what", "number", "yuan", "why")
    with database().reading() as db:
        for _, why, body in channel_events.list_set_aside(db):
            table.add_row("payment set aside", body["order_no"], format_yuan(body["amount_fen"]), why)
        for refund in refunds.list_unfinished(db, asked_before=right_now() - timedelta(days=1)):
            table.add_row("refund", refund.refund_no, format_yuan(refund.amount_fen), refund.state)
    Console(width=160).print(table)


@group.command("connect-wechat-pay")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--mchid", required=True, help="The merchant's number.")
@click.option("--appid", required=True)
@click.option("--serial", required=True, help="Serial number of the merchant's API certificate.")
@click.option("--private-key", type=click.File(), required=True, help="apiclient_key.pem")
@click.option("--api-v3-key", type=click.File(), required=True, help="A file with the 32 characters.")
@click.option("--platform-key-id", default="", help="PUB_KEY_ID_…, where the account has a platform public key.")
@click.option("--platform-key", type=click.File(), help="Its PEM file.")
@click.option("--parking-service", is_flag=True, help="The merchant has 停车服务: fees may be deducted by it.")
@click.option("--app-secret", type=click.File(), help="A file with the official account's secret: pay inside WeChat.")
@click.option("--base-url", default="https://api.mch.weixin.qq.com", show_default=True)
@click.option("--app-base-url", default="", help="One address instead of WeChat's own two: of a simulator.")
def connect_wechat_pay(
    operator_id: UUID, mchid: str, appid: str, serial: str, private_key: Any, api_v3_key: Any, platform_key_id: str,
    platform_key: Any, parking_service: bool, app_secret: Any, base_url: str, app_base_url: str,
) -> None:
    """Take an operator's money by this account; the keys are sealed in the database.

    Again, it renews the account: what is left out is no longer so.
    """
    settings = {"mchid": mchid, "appid": appid, "serial": serial, "base_url": base_url,
                "platform_key_id": platform_key_id, "platform_key": platform_key.read() if platform_key else "",
                "parking_service": parking_service}
    settings["inside_its_app"] = app_secret is not None
    if app_base_url:
        settings |= {"authorize_url": app_base_url, "app_url": app_base_url}
    secret = {"private_key": private_key.read(), "api_v3_key": api_v3_key.read().strip(),
              "app_secret": app_secret.read().strip() if app_secret else ""}
    _connect(operator_id, "wechat_pay", mchid, settings, secret)


@group.command("connect-alipay")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--app-id", required=True, help="The app's number.")
@click.option("--seller-id", required=True, help="The account that is paid: 16 digits, 2088…")
@click.option("--private-key", type=click.File(), required=True, help="The app's key: PEM, or base64 without a frame.")
@click.option("--alipay-key", "alipay_keys", type=click.File(), multiple=True,
              help="Alipay's public key; give the next one too, before it changes.")
@click.option("--app-cert", type=click.File(), help="appCertPublicKey_….crt, where the app has certificates.")
@click.option("--alipay-cert", type=click.File(), help="alipayCertPublicKey_RSA2.crt")
@click.option("--root-cert", type=click.File(), help="alipayRootCert.crt")
@click.option("--sign-scene", default="", help="Of 商家扣款, as INDUSTRY|…: drivers may sign agreements in it.")
@click.option("--gateway-url", default="https://openapi.alipay.com/gateway.do", show_default=True)
def connect_alipay(
    operator_id: UUID, app_id: str, seller_id: str, private_key: Any, alipay_keys: tuple[Any, ...], app_cert: Any,
    alipay_cert: Any, root_cert: Any, sign_scene: str, gateway_url: str,
) -> None:
    """Take an operator's money by this account, by Alipay's public keys or by certificates."""
    files = {"app_cert": app_cert, "alipay_cert": alipay_cert, "root_cert": root_cert}
    if bool(alipay_keys) == any(files.values()) or (any(files.values()) and not all(files.values())):
        raise click.UsageError("give --alipay-key, or --app-cert, --alipay-cert and --root-cert")
    trust = {name: file.read() for name, file in files.items() if file}
    settings = {"app_id": app_id, "seller_id": seller_id, "gateway_url": gateway_url,
                "sign_scene": sign_scene, "alipay_keys": [each.read() for each in alipay_keys], **trust}
    _connect(operator_id, "alipay", seller_id, settings, {"private_key": private_key.read()})


@group.command("add-other")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--name", required=True, help="What it is: etc, unionpay, card…; the channel is other_<name>.")
@click.option("--number", required=True, help="The account's number, which its statements name.")
def add_other_account(operator_id: UUID, name: str, number: str) -> None:
    """An account of a channel without a connection: payments are recorded, its statements are the documented CSV."""
    now = right_now()
    try:
        account = database().write(lambda db: add_other(db, operator_id, name, number, now=now))
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo(f"{account.channel} {account.account_id}")


@group.command("fund-bills")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--channel", type=click.Choice(["wechat_pay", "alipay"]), required=True)
@click.option("--purse", type=click.Choice(PURSES), default="BASIC", show_default=True)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day whose bill is read.")
@click.option("--last", type=click.DateTime(["%Y-%m-%d"]), help="The last day whose bill is read.")
def fund_bills(
    operator_id: UUID, channel: str, purse: Purse, since: datetime | None, last: datetime | None
) -> None:
    """Read the bills of an account's movements from a day on, or no longer after a day.

    From then on a day closes only once they agree too.
    """
    if (since is None) == (last is None):
        raise click.UsageError("give --since or --last")

    def write(db: Any) -> None:
        account = find_own_account(db, operator_id, channel)
        if since is not None:
            switch_funds_on(db, account, purse, since.date())
        elif last is not None:
            switch_funds_off(db, account, purse, last.date())

    try:
        database().write(write)
    except (NoAccount, FundsOn, FundsOff) as wrong:
        raise click.ClickException(type(wrong).__name__) from None
    click.echo("done")


def _connect(
    operator_id: UUID, channel: str, merchant_no: str, settings: dict[str, Any], secret: dict[str, str]
) -> None:
    now = right_now()
    try:
        current_app.extensions["channels"].try_settings(channel, {**settings, **secret})
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    account_id = database().write(lambda db: connect_account(
        db, operator_id=operator_id, channel=channel, merchant_no=merchant_no, settings=settings, secret=secret,
        sealer=sealer(), now=now))
    base = current_app.extensions["config"].public_url
    click.echo(f"connected; callbacks to {base}/callbacks/{channel}/{account_id}")
