"""Sealed charges, checked by anyone; and the whole books, proved."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.core.proof import BadProof, check_proof, read_proof_file, tell
from parking.core.receipt_stamp import BadStamp, read_stamp
from parking.core.receipt_stamp import tell as tell_stamp
from parking.services.prove import prove_all
from parking.services.rotate import published_jwks
from parking.store.ledger_proofs import Proved
from parking.store.lots import Lot


@click.command("verify-charge")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--keys", "keys_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The city's /.well-known/jwks.json; without it, this database's keys.")
@with_appcontext
def verify_charge(file: Path, keys_file: Path | None) -> None:
    """Check a receipt.json: the seal, the tariff, and every line reckoned anew from the receipt alone."""
    try:
        if keys_file is not None:
            published = read_proof_file(keys_file)
        else:
            with database().reading() as db:
                published = published_jwks(db, now=right_now())
        proof = check_proof(read_proof_file(file), published=published)
    except BadProof as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo("\n".join(tell(proof)))
    if proof.faults:
        raise SystemExit(1)


@click.command("verify-receipt")
@click.argument("text")
@with_appcontext
def verify_receipt(text: str) -> None:
    """Check the stamp of a receipt, as a scanner reads it, by this city's keys."""
    with database().reading() as db:
        published = published_jwks(db, now=right_now())
    try:
        stamp = read_stamp(text, published=published)
    except BadStamp as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo("\n".join(tell_stamp(stamp)))


@click.command("prove")
@click.option("--all", "every_seal", is_flag=True, help="Check the seal of every charge, not only of the last days'.")
@with_appcontext
def prove(every_seal: bool) -> None:
    """Add up every lot's books anew and compare them with what is kept; the worker does so every night."""
    def say(lot: Lot, proved: Proved) -> None:
        click.echo(f"lot {lot.lot_id}: {proved.outcome}, {proved.transfer_count} transfers added up, "
                   f"{proved.charge_count} seals checked")
        for each in proved.differences:
            click.echo(f"  {each['what']} {each['of']}: {each['expected_fen']} fen expected, {each['found_fen']} found")

    if not prove_all(database(), now=right_now(), every_seal=every_seal, tell=say):
        raise SystemExit(1)
