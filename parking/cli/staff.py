"""The people who sign in at an operator's console."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import AppGroup

from parking.cli.tools import database, right_now
from parking.services.employ import LoginTaken, NoOperator, employ
from parking.services.second_factor import hand_out_enrolment
from parking.store import operators

group = AppGroup("staff", help="The people who sign in at an operator's console.")


@group.command("add")
@click.argument("login")
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def add_staff(login: str, operator_id: UUID) -> None:
    """Make an account for one of an operator's staff; password and set-up code are printed once."""
    now = right_now()
    try:
        password, enrolment = database().write(lambda db: employ(db, operator_id, login, now=now))
    except LoginTaken:
        raise click.ClickException(f"there is an account {login} already") from None
    except NoOperator:
        raise click.ClickException(f"there is no operator {operator_id}") from None
    click.echo(f"password     {password}\nset-up code  {enrolment}  (for the second factor, within three days)")


@group.command("forget-second-factor")
@click.argument("login")
def forget_factor(login: str) -> None:
    """The authenticator was lost: sign this login out everywhere, and let it set up another with a new code."""
    now = right_now()
    enrolment = database().write(lambda db: hand_out_enrolment(db, login, now=now))
    if enrolment is None:
        raise click.ClickException(f"there is no account {login}")
    click.echo(f"{login} sets up a new second factor at the next sign-in, within three days, with {enrolment}")


@group.command("waiver-limit")
@click.argument("yuan", type=click.IntRange(0, 1_000_000))
@click.option("--operator", "operator_id", type=click.UUID, required=True)
def set_waiver_limit(yuan: int, operator_id: UUID) -> None:
    """Above so many yuan a second person decides on what is taken off a charge and given back."""
    if not database().write(lambda db: operators.set_waiver_limit(db, operator_id, yuan * 100)):
        raise click.ClickException(f"there is no operator {operator_id}")
    click.echo(f"above {yuan} yuan a second person decides")
