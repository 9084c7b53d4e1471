"""On what terms operators are settled, and where they are paid."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.core.bank import BadBankAccount, read_bank_account
from parking.services.book import book_due_fees
from parking.services.book_funds import book_due_funds
from parking.store import operators

group = AppGroup("settlements", help="On what terms operators are settled, and where they are paid.")


@group.command("commission")
@click.argument("rate", type=click.IntRange(0, 10_000))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def set_commission(rate: int, operator_id: UUID) -> None:
    """The city keeps RATE ten-thousandths (60 is 0.60 %) of what the operator's lots take, from the next settlement."""
    if not database().write(lambda db: operators.set_commission_rate(db, operator_id, rate)):
        raise click.ClickException(f"there is no operator {operator_id}")
    click.echo(f"commission {rate / 100:.2f} %")


@group.command("bank")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
@click.option("--holder", required=True, help="Whose account it is, as the bank knows them.")
@click.option("--iban", default="")
@click.option("--number", default="", help="The account's number, where there is no IBAN.")
@click.option("--cnaps", default="", help="The bank's code of 12 digits.")
@click.option("--bic", default="")
def set_bank(operator_id: UUID, holder: str, iban: str, number: str, cnaps: str, bic: str) -> None:
    """Where an operator is paid: payment files of its settlements name this account."""
    try:
        bank = read_bank_account(holder=holder, iban=iban, number=number, cnaps=cnaps, bic=bic)
    except BadBankAccount as wrong:
        raise click.ClickException(str(wrong)) from None
    if not database().write(lambda db: operators.set_bank(db, operator_id, bank)):
        raise click.ClickException(f"there is no operator {operator_id}")
    click.echo(f"{bank.holder}, {bank.account}")


@group.command("book-fees")
def book_fees() -> None:
    """Book the channels' fees of every closed day now, as the worker does each minute."""
    click.echo(f"{book_due_fees(database(), now=right_now())} days booked")
    click.echo(f"{book_due_funds(database(), now=right_now())} days of movements booked")
