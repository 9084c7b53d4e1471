"""Sealed charges, checked by anyone."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.core.proof import BadProof, check_proof, read_proof_file, tell
from parking.services.rotate import published_jwks


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
