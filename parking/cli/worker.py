"""What runs beside the web processes: messages, and what is forgotten."""

from __future__ import annotations

import time

import click
from flask import current_app
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.services import relay
from parking.services.prove import prove_one_lot
from parking.services.replay import Place, Replays
from parking.services.suspend import suspend_overdue
from parking.services.watch import watch_terminals
from parking.store.database import DatabaseUnavailable

IDLE_SECONDS = 0.1
SWEEP_SECONDS = 3600.0
WATCH_SECONDS = 10.0
PROVE_SECONDS = 60.0
OVERDUE_SECONDS = 60.0


@click.command("worker")
@click.option("--once", is_flag=True, help="Deliver what is due and stop.")
@with_appcontext
def worker(once: bool) -> None:
    """Carry messages to lots and channels, suspend visits that are too long, work what-ifs out, and forget what need
    not be kept."""
    swept_at = watched_at = proved_at = looked_at = float("-inf")
    config = current_app.extensions["config"]
    what_ifs = Replays(database(), Place(config.database_url, config.database_role))
    while True:
        try:
            if time.monotonic() - watched_at > WATCH_SECONDS:
                watch_terminals(database(), now=right_now())
                watched_at = time.monotonic()
            delivered = relay.relay_due(current_app.extensions["desk"], now=right_now())
            if time.monotonic() - swept_at > SWEEP_SECONDS:
                relay.sweep(database(), now=right_now())
                swept_at = time.monotonic()
            if time.monotonic() - looked_at > OVERDUE_SECONDS and not suspend_overdue(
                database(), current_app.extensions["key_safe"], now=right_now()
            ):
                looked_at = time.monotonic()
            if time.monotonic() - proved_at > PROVE_SECONDS and prove_one_lot(database(), now=right_now()) is None:
                proved_at = time.monotonic()
            is_working = not once and what_ifs.step(now=right_now(), wait_seconds=0.0 if delivered else IDLE_SECONDS)
        except DatabaseUnavailable:
            delivered, is_working = 0, False
            time.sleep(1.0)
        if once:
            return
        if not delivered and not is_working:
            time.sleep(IDLE_SECONDS)
