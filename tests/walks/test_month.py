"""A month of money with every kind of fault, small: what `scripts/bench month` does with 100,000 visits."""

from __future__ import annotations

from flask import Flask

from scripts.benches.month import run

DAYS = 9


def test_after_a_month_of_faults_the_ledger_the_days_and_the_channels_tell_the_same(app: Flask) -> None:
    """It asserts that itself as it goes, and that each kind of fault has happened."""
    found = run(app, sessions=200, seed=1, days=DAYS)

    assert found["days_closed"] >= DAYS * 4
    closed, first = found["closed_buckets"], found["first_buckets"]
    assert closed.pop("pending_cutoff") == 0 < first["pending_cutoff"]
    assert min(closed.values()) > 0, "each other bucket had something in it"
    assert 0 < found["paid_fen"] <= found["charged_fen"]
