"""The nightly proof: a lot's books are added up anew, and compared with what is kept.

Every transfer is added up; every visit's row is laid beside its charges and payments, every charge, payment,
refund and channel's fee beside the ledger, every drawer's account beside its last count and what moved since, and every
merchant's beside what visits came to by its validations and what it paid;
the fees booked lately beside the rows of their statements; closed settlements beside their bodies, each with the hash
of the one before; each wallet beside its movements, these beside the city's ledger, and that beside the lots'; invoices
beside what was paid and is on them; the seals of what was charged lately are checked, and its fees reckoned again from
the sealed body alone, and what merchants owe of each. Nothing is mended: a difference is told, with what it is about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.charge import sealing_kid
from parking.core.clock import city_date
from parking.core.identifier import format_lot_id
from parking.core.ledger import drawer, is_drawer, is_lasting, merchant, merchant_of, receivable
from parking.core.proof import BadProof, check_proof, is_sealed, reckon_taken_off
from parking.core.settlement import BadBody, body_hash, read_body
from parking.core.wallet import CITY
from parking.services.book import FeeOfNoLot, add_up_fees
from parking.services.prove_funds import compare_funds_booked
from parking.services.prove_invoices import compare_claims, compare_invoices
from parking.store import (
    channel_fees,
    day_closings,
    keys,
    ledger_proofs,
    lots,
    settlements,
    tariffs,
    transfers,
    validations,
    wallet_proofs,
    wallets,
)
from parking.store.channel_fees import Booked
from parking.store.database import Database
from parking.store.ledger_proofs import Proved, SealedCharge
from parking.store.lots import Lot
from parking.store.settlements import Noted
from parking.store.transfers import Balance

SEALS_CHECKED_FOR = timedelta(days=2)  # by a nightly proof, and fees; `flask parking prove --all` checks all
SEALS_AT_ONCE = 500
DIFFERENCES_KEPT = 200
FIRST_HOUR = 3  # of the lot's own night
NO_LOT = 0


def prove_lot(database: Database, lot: Lot, *, now: datetime, every_seal: bool = False) -> Proved:
    """Prove a lot's books, and keep what came of it.

    Each comparison sees both of its sides at one instant, in a transaction of its own: no gate waits for them all.
    """
    differences: list[dict[str, Any]] = []
    for compare in (_compare_accounts, _compare_visits, _compare_events, compare_claims):
        with database.snapshot() as db:
            differences += compare(db, lot.lot_id)
    since = None if every_seal else now - SEALS_CHECKED_FOR
    with database.reading() as db:
        own = [each.lot_id for each, _ in lots.list_lots_with_occupancy(db, operator_id=lot.operator_id)]
    if lot.lot_id == min(own):  # what is an operator's, not a lot's
        differences += _compare_fees(database, lot.operator_id, since)
        with database.snapshot() as db:
            differences += _compare_settlements(db, lot.operator_id)
        differences += _compare_wallets(database, lot.operator_id)
        with database.snapshot() as db:
            differences += compare_invoices(db, lot.operator_id, own, since=since)
        with database.snapshot() as db:
            differences += compare_funds_booked(db, lot.operator_id, own)
    seals = _Seals(lot.lot_id, since)
    while not seals.is_done:
        with database.snapshot() as db:
            differences += seals.check_some(db)
    with database.reading() as db:
        count = ledger_proofs.count_transfers(db, lot.lot_id)
    proved = Proved(
        lot.lot_id, now, lot.operator_id, "differs" if differences else "agrees", count, seals.count,
        differences[:DIFFERENCES_KEPT])
    database.write(lambda db: ledger_proofs.add_proof(db, proved))
    return proved


def prove_one_lot(database: Database, *, now: datetime) -> Proved | None:
    """A lot whose night has come and whose books were not proved in it yet, if there is one."""
    with database.reading() as db:
        lot = _find_lot_to_prove(db, now=now)
    return None if lot is None else prove_lot(database, lot, now=now)


def _find_lot_to_prove(db: Session, *, now: datetime) -> Lot | None:
    proved = {each.lot_id: each.proved_at for each in ledger_proofs.list_last_proofs(db)}
    for lot, _ in lots.list_lots_with_occupancy(db):
        at = now.astimezone(lot.zone)
        last = proved.get(lot.lot_id)
        if at.hour >= FIRST_HOUR and (last is None or city_date(last, lot.zone) < at.date()):
            return lot
    return None


def prove_all(
    database: Database, *, now: datetime, every_seal: bool, tell: Callable[[Lot, Proved], None]
) -> bool:
    """Every lot of the city, one after the other; whether all agree."""
    with database.reading() as db:
        every = [lot for lot, _ in lots.list_lots_with_occupancy(db)]
    agree = True
    for lot in every:
        proved = prove_lot(database, lot, now=now, every_seal=every_seal)
        tell(lot, proved)
        agree = agree and proved.outcome == "agrees"
    return agree


def _compare_accounts(db: Session, lot_id: int) -> Iterator[dict[str, Any]]:
    """Kept balances, what visits owe and drawers hold, beside the sums of the transfers."""
    added_up = dict(transfers.add_up(db, lot_id))
    yield from _compare_balances(db, lot_id, added_up)
    owing = {receivable(each): (each, fen) for each, fen in ledger_proofs.list_unsettled(db, lot_id).items()}
    posted = {account: each.fen for account, each in added_up.items() if not is_lasting(account) and each.fen}
    for account in sorted(owing.keys() | posted.keys()):
        by_row = owing[account][1] if account in owing else 0
        if by_row != posted.get(account, 0):
            yield _told("visit_owes", _visit(lot_id, account), by_row, posted.get(account, 0))
    held = {drawer(each): fen for each, fen in ledger_proofs.list_held(db, lot_id).items()}
    for account in sorted(held.keys() | {each for each in added_up if is_drawer(each)}):
        by_count, by_transfers = held.get(account, 0), added_up.get(account, Balance())
        if by_count != by_transfers.fen:
            yield _told("drawer_holds", f"{lot_id}.{account}", by_count, by_transfers.fen)
    owed = {merchant(each): fen for each, fen in ledger_proofs.list_merchants_owe(db, lot_id).items()}
    for account in sorted(owed.keys() | {each for each in added_up if merchant_of(each)}):
        by_visits, by_transfers = owed.get(account, 0), added_up.get(account, Balance())
        if by_visits != by_transfers.fen:
            yield _told("merchant_owes", f"{lot_id}.{account}", by_visits, by_transfers.fen)


def _compare_balances(db: Session, lot_id: int, added_up: dict[str, Balance]) -> Iterator[dict[str, Any]]:
    kept = {account: each for _, account, each in transfers.list_balances(db, lot_ids=[lot_id])}
    for account in sorted(kept.keys() | {each for each in added_up if is_lasting(each)}):
        by_transfers, by_balance = added_up.get(account, Balance()), kept.get(account, Balance())
        if by_transfers != by_balance:
            yield _told("balance", f"{lot_id}.{account}", by_transfers.fen, by_balance.fen)


def _compare_visits(db: Session, lot_id: int) -> Iterator[dict[str, Any]]:
    """Rows beside the charges, payments and refunds that they sum up."""
    for what, found in (
        ("visit_charged", ledger_proofs.compare_charged(db, lot_id)),
        ("visit_paid", ledger_proofs.compare_paid(db, lot_id)),
        ("visit_waived", ledger_proofs.compare_waived(db, lot_id)),
        ("payment_refunded", ledger_proofs.compare_refunded(db, lot_id)),
        ("fee_deducted", ledger_proofs.compare_deducted(db, lot_id)),
        ("cash_moved", ledger_proofs.compare_cash(db, lot_id)),
    ):
        for each in found:
            yield _told(what, format_lot_id(lot_id, UUID(each.of)), each.expected_fen, each.found_fen)
    for visit_id, by_row, by_table in ledger_proofs.list_unlike_validated(db, lot_id):
        yield _told("visit_validations", format_lot_id(lot_id, visit_id), by_table, by_row)


def _compare_events(db: Session, lot_id: int) -> Iterator[dict[str, Any]]:
    for kind, each in ledger_proofs.compare_posted(db, lot_id):
        yield _told(f"{kind}_posted", format_lot_id(lot_id, UUID(each.of)), each.expected_fen, each.found_fen)


def _compare_fees(database: Database, operator_id: UUID, since: datetime | None) -> Iterator[dict[str, Any]]:
    """What an operator's accounts were booked, beside their statements' rows."""
    with database.reading() as db:
        booked = channel_fees.list_booked_since(db, operator_id, since)
    before: Booked | None = None
    for each in booked:
        about = f"{each.account_id}.{each.number}"
        try:
            with database.reading() as db:
                is_closed = day_closings.find_closing(db, each.account_id, each.day) is not None
            fee_raw = add_up_fees(
                database, each.account_id, each.import_id, first_lot=NO_LOT, other_lot=NO_LOT if is_closed else None)
        except FeeOfNoLot:
            yield _told("fee_of_no_lot", about, each.whole.fee_raw, None)
            continue
        kept = {number: part.fee_raw for number, part in each.lots.items() if part.fee_raw}
        _give_to_one(fee_raw, kept)
        for number in sorted(number for number in {*fee_raw, *kept} if fee_raw.get(number, 0) != kept.get(number, 0)):
            yield _told("fee_rows_raw", f"{about}.{number}", fee_raw.get(number, 0), kept.get(number))
        for what, whole in (("fee_raw", each.whole.fee_raw), ("booked_fen", each.whole.booked_fen)):
            parts = sum(getattr(part, what) for part in each.lots.values())
            if parts != whole:
                yield _told(f"fee_parts_{what}", about, whole, parts)
        if before is not None and before.account_id == each.account_id:
            yield from _compare_carried(before, each)
        before = each


def _give_to_one(fee_raw: dict[int, int], kept: Mapping[int, int]) -> None:
    """Fees of no visit were booked with one lot: the operator's first then, which need not be its first now."""
    of_none = fee_raw.pop(NO_LOT, 0)
    taker = next((number for number in sorted(kept) if kept[number] - fee_raw.get(number, 0) == of_none), NO_LOT)
    if of_none:
        fee_raw[taker] = fee_raw.get(taker, 0) + of_none


def _compare_carried(before: Booked, each: Booked) -> Iterator[dict[str, Any]]:
    """Each lot begins with what it was left with."""
    left = {number: part.carried_raw for number, part in before.lots.items() if part.carried_raw}
    begun = {number: part.carried_before_raw for number, part in each.lots.items() if part.carried_before_raw}
    if before.number + 1 != each.number or left != begun:
        yield _told("fee_carried", f"{each.account_id}.{each.number}", sum(left.values()), sum(begun.values()))


def _compare_wallets(database: Database, operator_id: UUID) -> Iterator[dict[str, Any]]:
    """Of the operator that issues wallets: the city's ledger, each wallet, and what it owes to each lot of the city."""
    with database.snapshot() as db:
        if wallets.find_issuer(db) != operator_id:
            return
        yield from _compare_balances(db, CITY, dict(transfers.add_up(db, CITY)))
    with database.snapshot() as db:
        for what, found in (
            ("wallet_holds", wallet_proofs.compare_held(db)),
            ("top_up_withdrawn", wallet_proofs.compare_withdrawn(db)),
            ("withdrawals_under_way", wallet_proofs.compare_under_way(db)),
            ("interlot", wallet_proofs.compare_interlot(db)),
        ):
            yield from (_told(what, each.of, each.expected_fen, each.found_fen) for each in found)
    with database.snapshot() as db:
        for what, each in wallet_proofs.compare_moved(db):
            yield _told(what, each.of, each.expected_fen, each.found_fen)


def _compare_settlements(db: Session, operator_id: UUID) -> Iterator[dict[str, Any]]:
    """Each closed settlement is what its body says, and names the one before."""
    settled = settlements.list_settled_lots(db, operator_id)
    previous, number = "", 0
    for each in settlements.list_closed(db, operator_id):
        about = f"{each.number}.{each.settlement_id}"
        body, kept_hash = settlements.get_body(db, operator_id, each.settlement_id)
        if body_hash(body) != kept_hash:
            yield _told("settlement_changed", about, each.net_fen, None)
        try:
            head, figures = read_body(body)
        except BadBody:
            yield _told("settlement_adds_up", about, each.net_fen, None)
            continue
        if (head.previous, each.number) != (previous, number + 1) or (
            head.settlement_id, head.operator_id, head.number) != (each.settlement_id, operator_id, each.number):
            yield _told("settlement_follows", about, each.net_fen, None)
        said = {of.lot_id: (of.sums.gross_fen, of.sums.refunded_fen, of.sums.fee_fen, of.commission_fen, of.net_fen)
                for of in figures.lots}
        if said != settled.get(each.settlement_id, {}) or figures.total.net_fen != each.net_fen:
            yield _told("settlement_lots", about, figures.total.net_fen, each.net_fen)
        days = {(day.account_id, day.day): Noted(day.generation, day.fee_number, day.lots) for day in figures.days}
        if days != settlements.list_settled_days(db, operator_id, each.settlement_id):
            yield _told("settlement_days", about, figures.total.net_fen, None)
        previous, number = kept_hash, each.number


class _Seals:
    """Checks charges as anybody could who has the receipt: hash, seal, lines; and the row beside the body."""

    def __init__(self, lot_id: int, since: datetime | None) -> None:
        self.count = 0
        self.is_done = False
        self._lot_id = lot_id
        self._since = since
        self._after: UUID | None = None
        self._tariff_texts: dict[tuple[str, int], str] = {}

    def check_some(self, db: Session) -> Iterator[dict[str, Any]]:
        """The faults of the next charges."""
        found = ledger_proofs.list_sealed(
            db, self._lot_id, since=self._since, after=self._after, limit=SEALS_AT_ONCE)
        public = {row.kid: row.public_jwk for row in keys.list_keys(db, "receipt")}
        for each in found:
            for fault in self._list_faults(db, each, public):
                yield _told(fault, format_lot_id(self._lot_id, each.charge_id), each.total_fen, None)
        self.count += len(found)
        self._after = found[-1].charge_id if found else None
        self.is_done = len(found) < SEALS_AT_ONCE

    def _list_faults(self, db: Session, charge: SealedCharge, public: dict[str, Any]) -> tuple[str, ...]:
        if sha256(charge.body.encode()).digest() != charge.body_hash:
            return ("body_changed",)
        body = json.loads(charge.body)
        if body["charge_id"] != str(charge.charge_id) or body["total_fen"] != charge.total_fen:
            return ("body_of_another",)
        key = public.get(sealing_kid(charge.seal))
        if key is None:
            return ("key_unknown",)
        if charge.kind == "credit":
            return () if is_sealed(charge.body, charge.seal, key) else ("seal_broken",)
        version = body["tariff"]["code"], body["tariff"]["version"]
        if version not in self._tariff_texts:
            found = tariffs.find_version(db, version[0], version=version[1])
            self._tariff_texts[version] = "" if found is None else found.tariff.canonical
        try:
            proof = check_proof({
                "body": charge.body, "seal": charge.seal, "key": key, "tariff": self._tariff_texts[version]})
        except BadProof:
            return ("seal_broken",)
        if not proof.faults and "validations" in proof.charge.context:
            booked = sum(each.signed_fen for each in validations.list_of_charge(db, self._lot_id, charge.charge_id))
            if booked != reckon_taken_off(proof.charge, self._tariff_texts[version]):
                return ("sponsored_share",)
        return proof.faults


def _told(what: str, of: str, expected_fen: int | None, found_fen: int | None) -> dict[str, Any]:
    return {"what": what, "of": of, "expected_fen": expected_fen, "found_fen": found_fen}


def _visit(lot_id: int, account: str) -> str:
    return format_lot_id(lot_id, UUID(account.partition("/")[2]))
