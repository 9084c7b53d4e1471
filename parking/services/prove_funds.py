"""What was booked of channels' movements is proved: each booking with its transfers, and with the bills of its day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.ledger import clearing
from parking.services.book_funds import booked_transfers
from parking.store import channel_accounts, fund_bookings, fund_imports, ledger_proofs
from parking.store.fund_bookings import Booking

KINDS = ("swept", "rounded", "opened")


def compare_funds_booked(db: Session, operator_id: UUID, lot_ids: list[int]) -> Iterator[dict[str, Any]]:
    """All of an operator's, both ways; there is one a day of each account."""
    bookings = fund_bookings.list_bookings(db, operator_id)
    channels = {each.account_id: each.channel for each in channel_accounts.list_of_operator(db, operator_id)}
    wanted: dict[tuple[int, str, UUID], tuple[str, str, int]] = {}
    for each in bookings:
        channel = channels[each.account_id]
        for kind, other, fen in booked_transfers(channel, each):
            debit, credit = (clearing(channel), other) if fen > 0 else (other, clearing(channel))
            wanted[each.lot_id, kind, each.booking_id] = debit, credit, abs(fen)
        yield from _compare_bills(db, each)
    found = {(lot_id, kind, ref_id): (debit, credit, fen) for lot_id in lot_ids
             for kind, ref_id, debit, credit, fen in ledger_proofs.list_posted_of(db, lot_id, KINDS)}
    for key in sorted({*wanted, *found}, key=str):
        if wanted.get(key) != found.get(key):
            lot_id, kind, ref_id = key
            yield {"what": f"{kind}_posted", "of": f"{lot_id}.{ref_id}",
                   "expected_fen": wanted[key][2] if key in wanted else None,
                   "found_fen": found[key][2] if key in found else None}


def _compare_bills(db: Session, booked: Booking) -> Iterator[dict[str, Any]]:
    """The bills of the day are never changed: what was taken to the bank is what they say."""
    bills = fund_imports.list_bills(db, booked.account_id, date.fromisoformat(booked.statement_date))
    taken_fen = -sum(each.kinds["withdrawal"]["fen"] for each in bills)
    if taken_fen != booked.withdrawn_fen:
        yield {"what": "withdrawn_bills", "of": f"{booked.account_id}.{booked.statement_date}",
               "expected_fen": taken_fen, "found_fen": booked.withdrawn_fen}
