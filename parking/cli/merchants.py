"""Merchants that pay for their visitors' parking."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from parking.cli.tools import database, or_dash, right_now
from parking.core.clock import start_of_day
from parking.core.identifier import new_uuid
from parking.core.money import format_yuan, parse_yuan
from parking.services.assign import NoLot
from parking.services.bill_merchant import MerchantPaymentIdReused, make_statement, owes_fen, record_payment
from parking.services.enlist import (
    EndsBeforeItBegins,
    NoMerchant,
    TariffTakesNone,
    end_merchant,
    make_desk,
    register_merchant,
)
from parking.store import lots, merchants
from parking.store.merchants import Merchant
from parking.web.merchant_text import statement_sheets
from parking.web.sheet import to_csv

group = AppGroup("merchants", help="Merchants that pay for their visitors' parking.")
NOBODY = UUID(int=0)  # from the shell; the machine's own log says who was at it


class _Yuan(click.ParamType[int]):
    """Yuan on the line, fen within."""

    name = "yuan"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        fen = value if isinstance(value, int) else parse_yuan(value)
        if fen is None:
            self.fail(f"{value} is no amount such as 12.50", param, ctx)
        return fen


@group.command("add")
@click.argument("lot_id", type=click.IntRange(1, 65_535))
@click.argument("name")
@click.option("--minutes", type=click.IntRange(0, 10_080), default=0, help="At most, each time.")
@click.option("--yuan", type=_Yuan(), default=0, help="At most, each time.")
@click.option("--per-visit", type=click.IntRange(1, 20), default=1, show_default=True)
@click.option("--minutes-per-month", type=click.IntRange(0, 10**9))
@click.option("--yuan-per-month", type=_Yuan())
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="By the walls of the lot.")
def add(
    lot_id: int, name: str, minutes: int, yuan: int, per_visit: int, minutes_per_month: int | None,
    yuan_per_month: int | None, last_day: datetime | None,
) -> None:
    """Let a merchant validate at a lot whose tariff has a rule for it."""
    now = right_now()
    if not 1 <= len(name.strip()) <= 100 or minutes + yuan == 0 or yuan > 1_000_000:
        raise click.ClickException("a name of at most 100 letters, and minutes or at most 10,000 yuan to give")

    def register(db: Any) -> Merchant:
        lot = lots.find_lot(db, lot_id)
        if lot is None:
            raise NoLot
        ends = start_of_day(last_day.date() + timedelta(days=1), lot.zone) if last_day else None
        return register_merchant(db, Merchant(
            new_uuid(now), lot_id, lot.operator_id, name.strip(), minutes, yuan, per_visit, minutes_per_month,
            yuan_per_month, now, ends, None, NOBODY, now), now=now)

    try:
        click.echo(str(database().write(register).merchant_id))
    except EndsBeforeItBegins:
        raise click.ClickException("the last day is over") from None
    except NoLot:
        raise click.ClickException(f"there is no lot {lot_id}") from None
    except TariffTakesNone:
        raise click.ClickException("the lot's tariff has no `validated` rule: it would change no price") from None


@group.command("list")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def list_all(operator_id: UUID) -> None:
    """An operator's merchants: id, lot, name, when it ends, and what it owes."""
    with database().reading() as db:
        for each in merchants.list_merchants(db, operator_id):
            click.echo(f"{each.merchant_id}  {each.lot_id:>5}  {each.name}  until {or_dash(each.ends_at)}"
                       f"  owes {format_yuan(owes_fen(db, each))}")


@group.command("desk")
@click.argument("merchant_id", type=click.UUID)
@click.argument("name")
def desk(merchant_id: UUID, name: str) -> None:
    """A code that pairs one phone or tablet within ten minutes, at /merchant/pair."""
    now = right_now()
    _, code = database().write(lambda db: make_desk(
        db, _owner(db, merchant_id), merchant_id, name=name[:100], by=NOBODY, now=now))
    click.echo(f"{current_app.extensions['config'].public_url}/merchant/pair#pairing={code}")


@group.command("end")
@click.argument("merchant_id", type=click.UUID)
def end(merchant_id: UUID) -> None:
    """It validates no more, and its coupons are worth nothing."""
    now = right_now()
    ended = database().write(lambda db: end_merchant(db, _owner(db, merchant_id), merchant_id, now=now))
    click.echo(f"{ended.name} ended {or_dash(ended.ended_at)}")


@group.command("statement")
@click.argument("merchant_id", type=click.UUID)
@click.argument("month", type=click.DateTime(["%Y-%m"]))
def statement(merchant_id: UUID, month: datetime) -> None:
    """A month's validated visits as CSV, and what is owed at its end."""
    with database().reading() as db:
        found = make_statement(db, _owner(db, merchant_id), merchant_id, month.date())
    with current_app.test_request_context(headers={"Accept-Language": "en"}):
        click.echo(to_csv(statement_sheets(found)["lines"]).decode("utf-8-sig"), nl=False)
    click.echo(f"owed at the end: {format_yuan(found.closing_fen)}", err=True)


@group.command("paid")
@click.argument("merchant_id", type=click.UUID)
@click.argument("yuan", type=_Yuan())
@click.argument("reference")
@click.option("--id", "payment_id", type=click.UUID, required=True, help="Yours; the same again is the same payment.")
def paid(merchant_id: UUID, yuan: int, reference: str, payment_id: UUID) -> None:
    """The bank has a merchant's money."""
    now = right_now()
    if not 0 < yuan <= 10**9 or not 1 <= len(reference) <= 100:
        raise click.ClickException("an amount above nothing, and a reference of at most 100 letters")
    try:
        made = database().write(lambda db: record_payment(
            db, _owner(db, merchant_id), merchant_id, payment_id=payment_id, amount_fen=yuan, reference=reference,
            by=NOBODY, now=now))
    except MerchantPaymentIdReused:
        raise click.ClickException(f"{payment_id} is another payment") from None
    click.echo(f"{format_yuan(made.amount_fen)} of {made.recorded_at:%Y-%m-%d}")


def _owner(db: Any, merchant_id: UUID) -> UUID:
    found = merchants.find_merchant(db, merchant_id)
    if found is None:
        raise click.ClickException(f"there is no merchant {merchant_id}") from NoMerchant()
    return found.operator_id
