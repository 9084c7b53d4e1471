"""What runs beside the web processes: messages, and what is forgotten."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import date
from uuid import UUID

import click
import structlog
from flask import current_app
from flask.cli import with_appcontext

from parking.cli.tools import database, right_now
from parking.services import deliver, relay
from parking.services.book import book_due_fees
from parking.services.book_funds import book_due_funds
from parking.services.chase import open_due_cases
from parking.services.contest import run_clocks
from parking.services.deliver import WebhookDesk
from parking.services.fetch import fetch_due
from parking.services.prove import prove_one_lot
from parking.services.replay import Place, Replays
from parking.services.suspend import suspend_overdue
from parking.services.watch import watch_terminals
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import DatabaseUnavailable

IDLE_SECONDS = 0.1
SWEEP_SECONDS = 3600.0
WATCH_SECONDS = 10.0
PROVE_SECONDS = 60.0
BOOK_SECONDS = 60.0
OVERDUE_SECONDS = 60.0
FETCH_SECONDS = 1800.0
TERMS_SECONDS, CASES_SECONDS = 60.0, 600.0
COURIERS, COURIER_SECONDS = 8, 20.0
log = structlog.get_logger("parking.worker")


class Statements:
    """Fetched by a thread of their own, now and then: a large one takes a while, and the outbox does not wait."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._fetching: Future[int] | None = None
        self._begun_at = float("-inf")

    def step(self) -> None:
        if time.monotonic() - self._begun_at < FETCH_SECONDS or (self._fetching and not self._fetching.done()):
            return
        self._begun_at = time.monotonic()
        if self._fetching is not None and self._fetching.exception() is not None:
            log.warning("statements_not_fetched", error=type(self._fetching.exception()).__name__)
        self._fetching = self._pool.submit(
            fetch_due, database(), current_app.extensions["channels"], now=right_now(), tell=_tell_fetched)


class Couriers:
    """Each endpoint that something is due for is sent to by a thread; a slow one takes its own alone."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(COURIERS)
        self._under_way: dict[UUID, Future[None]] = {}

    def step(self) -> None:
        desk = current_app.extensions["webhook_desk"]
        for endpoint_id in [each for each, turn in self._under_way.items() if turn.done()]:
            error = self._under_way.pop(endpoint_id).exception()
            if error is not None:
                log.warning("webhook_not_delivered", endpoint=str(endpoint_id), error=type(error).__name__)
        for endpoint_id in deliver.list_due(desk, now=right_now()):
            if endpoint_id not in self._under_way:
                self._under_way[endpoint_id] = self._pool.submit(_deliver, desk, endpoint_id)

    def finish(self) -> None:
        wait(self._under_way.values())


def _deliver(desk: WebhookDesk, endpoint_id: UUID) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < COURIER_SECONDS and deliver.deliver_next(desk, endpoint_id, now=right_now()):
        desk.database.give_way()


def _tell_fetched(account: ChannelAccount, day: date, outcome: str, why: str) -> None:
    note = log.info if outcome in ("read", "no_trade", "not_yet") else log.warning
    note("statement_fetched", outcome=outcome, why=why, day=day.isoformat(), channel=account.channel,
         merchant_no=account.merchant_no)


@click.command("worker")
@click.option("--once", is_flag=True, help="Deliver what is due and stop.")
@with_appcontext
def worker(once: bool) -> None:
    """Carry messages to lots, channels and integrators, suspend visits that are too long, run the terms of
    arrears, work what-ifs out, and forget what need not be kept."""
    swept_at = watched_at = proved_at = booked_at = looked_at = termed_at = opened_at = float("-inf")
    statements, couriers = Statements(), Couriers()
    config = current_app.extensions["config"]
    what_ifs = Replays(database(), Place(config.database_url, config.database_role))
    while True:
        try:
            if time.monotonic() - watched_at > WATCH_SECONDS:
                watch_terminals(database(), now=right_now())
                watched_at = time.monotonic()
            delivered = relay.relay_due(current_app.extensions["desk"], now=right_now())
            couriers.step()
            if time.monotonic() - swept_at > SWEEP_SECONDS:
                relay.sweep(database(), now=right_now())
                deliver.sweep_deliveries(database(), now=right_now())
                swept_at = time.monotonic()
            if time.monotonic() - booked_at > BOOK_SECONDS:
                book_due_fees(database(), now=right_now())
                book_due_funds(database(), now=right_now())
                booked_at = time.monotonic()
            if time.monotonic() - looked_at > OVERDUE_SECONDS and not suspend_overdue(
                database(), current_app.extensions["key_safe"], now=right_now()
            ):
                looked_at = time.monotonic()
            if time.monotonic() - termed_at > TERMS_SECONDS:
                run_clocks(database(), config.city_calendar, now=right_now())
                termed_at = time.monotonic()
            if time.monotonic() - opened_at > CASES_SECONDS:
                open_due_cases(database(), now=right_now())
                opened_at = time.monotonic()
            if time.monotonic() - proved_at > PROVE_SECONDS and prove_one_lot(database(), now=right_now()) is None:
                proved_at = time.monotonic()
            if not once:
                statements.step()
            is_working = not once and what_ifs.step(now=right_now(), wait_seconds=0.0 if delivered else IDLE_SECONDS)
        except DatabaseUnavailable:
            delivered, is_working = 0, False
            time.sleep(1.0)
        if once:
            couriers.finish()
            current_app.extensions["overhearing"].finish()
            return
        if not delivered and not is_working:
            time.sleep(IDLE_SECONDS)
