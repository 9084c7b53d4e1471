"""A visit's row, its sealed charge and the ledger are brought to one state, in one transaction.

What a charge depends on is compared with what it was made of: where that differs, the standing
charge is credited and another one sealed. Nothing is edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.calendar import CalendarNotConfirmed, CannotPrice
from parking.core.charge import Charge, ReceiptKey, seal_charge, sign_body
from parking.core.clock import format_instant
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.json_text import canonical
from parking.core.parking_session import ParkingSession
from parking.core.payment import NOTHING_PAID, Paid, money_state
from parking.core.price import SMALL, STAY_MAX, Vehicle
from parking.core.validation import Validation
from parking.services.owe import is_deducted
from parking.services.sponsor import price_shares, sponsor, transfers_of, unsponsor
from parking.services.track import track_visit
from parking.services.unlock import KeySafe
from parking.store import (
    charges,
    outbox_messages,
    parking_sessions,
    payments,
    tariffs,
    transfers,
    validations,
    vehicles,
    waivers,
    webhook_deliveries,
)
from parking.store.lots import Lot
from parking.store.parking_sessions import BookedSession, StoredSession
from parking.store.tariffs import TariffInForce
from parking.store.validations import Sponsorship

VOIDED_SETTLED_AFTER = timedelta(hours=12)
CHARGE_LATER = "charge"
WAITS_AT_MOST = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Entry:
    """A visit as it now is, beside its row, if it has one. paid: where that has changed, else as it was.

    has_waited: it is over, and could not be charged until now. waived_more_fen: so much more was taken off it.
    validations: what merchants gave it, where that has changed.
    """

    session: ParkingSession
    old: StoredSession | None
    paid: Paid | None = None
    replaced_by: UUID | None = None
    has_waited: bool = False
    waived_more_fen: int = 0
    validations: tuple[Validation, ...] | None = None

    def with_validations(self) -> Entry:
        """The visit with what merchants gave it: a fold does not know that."""
        kept = self.old.session.validations if self.old else ()
        return replace(self, session=replace(
            self.session, validations=kept if self.validations is None else self.validations))

    @property
    def paid_before(self) -> Paid:
        return self.old.paid if self.old else NOTHING_PAID

    @property
    def paid_now(self) -> Paid:
        return self.paid_before if self.paid is None else self.paid

    @property
    def bill_before(self) -> tuple[object, ...] | None:
        return _bill(self.old.session, self.paid_before) if self.old else None

    @property
    def bill_now(self) -> tuple[object, ...] | None:
        return _bill(self.session, self.paid_now)


@dataclass(frozen=True, slots=True)
class _Priced:
    """A charge, and what of the fee each of the visit's validations took off, in their order."""

    charge: Charge
    shares_fen: list[int]


@dataclass
class _Charged:
    """What entries add to the charges and to the ledger."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    transfers: list[ledger.Transfer] = field(default_factory=list)
    sponsored: list[Sponsorship] = field(default_factory=list)


@dataclass(frozen=True)
class Books:
    """Writes visits of one lot, under the lock of their vehicles. held: as lock_vehicle gave them."""

    db: Session
    lot: Lot
    held: Mapping[bytes, Vehicle]
    safe: KeySafe
    now: datetime
    _versions: dict[tuple[UUID, int], TariffInForce] = field(default_factory=dict)

    def write(self, entries: Sequence[Entry]) -> None:
        """Write visits: all their rows together, then what was charged and credited, then what follows."""
        entries = [each.with_validations() for each in entries]
        at_entry = tariffs.find_tariffs_of_lot(
            self.db, self.lot.lot_id, {_entered_at(each) for each in entries if _version(each) is None})
        charged = _Charged()
        booked = [self._book(each, self._tariff(each, at_entry), charged) for each in entries]
        parking_sessions.write_sessions(self.db, booked)
        charges.add_charges(self.db, charged.rows)
        validations.add_sponsorships(self.db, charged.sponsored)
        self._post(*charged.transfers, *transfers_of(charged.sponsored, now=self.now))
        self._note_events(entries, charged)
        for entry, row in zip(entries, booked, strict=True):
            if entry.paid_now != entry.paid_before:
                parking_sessions.write_paid(
                    self.db, self.lot.lot_id, entry.session.parking_session_id, entry.paid_now)
            if entry.paid_now.fen > row.charged_fen - row.taken_off_fen and entry.session.state != "open":
                self._ask_to_settle(entry.session)
        for entry in entries:
            if entry.old is not None and entry.old.session.state != "open":
                track_visit(self.db, self.lot.lot_id, entry.session.parking_session_id, now=self.now)
        vehicles.unindex_sessions(self.db, [
            each.old.session for each in entries
            if each.old is not None and each.old.session.vehicle_key != each.session.vehicle_key])
        vehicles.index_sessions(self.db, [each.session for each in entries])

    def _book(self, entry: Entry, tariff: TariffInForce | None, charged: _Charged) -> BookedSession:
        """The visit's row. Where its bill has changed, the standing charge is credited and another one sealed."""
        session, old = entry.session, entry.old
        count, charged_fen = (old.charge_count, old.charged_fen) if old else (0, 0)
        waived_fen = (old.waived_fen if old else 0) + entry.waived_more_fen
        if entry.bill_now != entry.bill_before or entry.has_waited:
            if count and entry.bill_before is not None and not entry.has_waited:
                count += 1
                charged_fen -= self._credit(session, count, charged)
            priced = self._price(session, tariff, count + 1, entry.paid_now) if entry.bill_now is not None else None
            if priced is not None:
                count += 1
                charged_fen += self._charge(session, priced.charge, count, charged)
                charged.sponsored += sponsor(self.lot, session, priced.charge, priced.shares_fen, self.now)
        if waived_fen:
            self._take_off(session, count, old.taken_off_fen if old else 0, min(charged_fen, waived_fen), charged)
        return BookedSession(
            session, old is None, self.lot.operator_id,
            money_state(
                is_closed=session.state == "closed", charged_fen=charged_fen, paid_fen=entry.paid_now.fen,
                waived_fen=waived_fen, collects=self.lot.collects,
                is_refunded=old is not None and old.money_state == "refunded",
                is_deducted=is_deducted(
                    self.db, self.lot, session, owed_fen=charged_fen - min(charged_fen, waived_fen),
                    paid_fen=entry.paid_now.fen),
            ),
            (tariff.tariff_id, tariff.version) if tariff else None, charged_fen, count, entry.replaced_by,
            waived_fen)

    def move_money(self, old: StoredSession, *, to: UUID | None) -> None:
        """A voided visit's payments become those of the visit that replaced it; without one they go back.

        What was waived of its charge is waived of the other's, and what merchants gave it they gave the other.
        """
        if to is None:
            return
        if old.session.validations:
            self._move_validations(old, to)
        if old.paid.fen:
            self._move_paid(old, to)
        if old.waived_fen:
            self._move_waived(old, to)

    def _move_waived(self, old: StoredSession, to: UUID) -> None:
        source, new = old.session.parking_session_id, parking_sessions.find_session(self.db, self.lot.lot_id, to)
        assert new is not None
        waivers.move_waivers(self.db, self.lot.lot_id, of=source, to=to)
        parking_sessions.write_waived(self.db, self.lot.lot_id, source, 0)
        self.write([Entry(new.session, new, replaced_by=new.replaced_by, waived_more_fen=old.waived_fen)])

    def _move_validations(self, old: StoredSession, to: UUID) -> None:
        source, new = old.session.parking_session_id, parking_sessions.find_session(self.db, self.lot.lot_id, to)
        assert new is not None
        validations.move_validations(self.db, self.lot.lot_id, of=source, to=to)
        parking_sessions.clear_validations(self.db, self.lot.lot_id, source)
        self.write([Entry(new.session, new, replaced_by=new.replaced_by,
                          validations=(*new.session.validations, *old.session.validations))])

    def _move_paid(self, old: StoredSession, to: UUID) -> None:
        source, fen = old.session.parking_session_id, old.paid.fen
        new = parking_sessions.find_session(self.db, self.lot.lot_id, to)
        assert new is not None
        payments.move_payments(self.db, self.lot.lot_id, of=source, to=to)
        self._post(ledger.transfer(
            "moved", debit=ledger.receivable(source), credit=ledger.receivable(to), amount_fen=fen,
            ref_id=derived_uuid(self.now, "moved", source, to), now=self.now))
        parking_sessions.write_paid(self.db, self.lot.lot_id, source, NOTHING_PAID)
        self.write([Entry(new.session, new, new.paid.joined(old.paid), new.replaced_by)])

    def _note_events(self, entries: Sequence[Entry], charged: _Charged) -> None:
        """What integrators are told: which visits are in another state, and what was charged and credited."""
        for entry in entries:
            session, old = entry.session, entry.old.session if entry.old else None
            if old is None and session.state != "open":
                self._note("parking_session.opened", session.parking_session_id, session.parking_session_id, {})
            if old is None or (old.state, old.left_at) != (session.state, session.left_at):
                replaced_by = {
                    "replaced_by": format_lot_id(self.lot.lot_id, entry.replaced_by)} if entry.replaced_by else {}
                name = "opened" if session.state == "open" else session.state
                self._note(f"parking_session.{name}", session.parking_session_id, session.parking_session_id,
                           replaced_by)
        for row in charged.rows:
            credits = {"credits_charge_id": str(row["credits_charge_id"])} if row["kind"] == "credit" else {}
            self._note("charge.credited" if credits else "charge.sealed", row["parking_session_id"], row["charge_id"],
                       {"charge_id": str(row["charge_id"]), "total_fen": row["total_fen"], **credits})

    def _note(self, kind: str, parking_session_id: UUID, subject: UUID, body: dict[str, Any]) -> None:
        webhook_deliveries.note_event(
            self.db, kind, lot_id=self.lot.lot_id, operator_id=self.lot.operator_id, subject=subject, now=self.now,
            body={"parking_session_id": format_lot_id(self.lot.lot_id, parking_session_id), **body})

    @cached_property
    def _key(self) -> ReceiptKey:
        return self.safe.receipt_key(self.db, now=self.now)

    def _tariff(self, entry: Entry, at_entry: Mapping[datetime, TariffInForce]) -> TariffInForce | None:
        """The version that the visit is priced by: the one in force at its entry, once known for good."""
        version = _version(entry)
        if version is None:
            return at_entry.get(_entered_at(entry))
        if version not in self._versions:
            self._versions[version] = tariffs.get_tariff_version(self.db, *version)
        return self._versions[version]

    def _price(
        self, session: ParkingSession, tariff: TariffInForce | None, revision: int, paid: Paid
    ) -> _Priced | None:
        """What the visit costs, sealed, and what of its fee each validation took off.

        None where that is left to a person, or until a calendar is confirmed.
        """
        if tariff is None or not _can_be_priced(session):
            return None
        try:
            vehicle = self.held.get(session.vehicle_key, SMALL)
            charge = seal_charge(
                session, tariff=tariff.tariff, version=tariff.version, revision=revision, vehicle=vehicle, paid=paid,
                key=self._key)
            return _Priced(charge, price_shares(
                session, charge.total_fen, tariff=tariff.tariff, vehicle=vehicle, paid=paid))
        except CalendarNotConfirmed:
            self._ask_to_charge(session)
        except CannotPrice:
            pass
        return None

    def _charge(self, session: ParkingSession, charge: Charge, revision: int, charged: _Charged) -> int:
        """Note the charge and what it adds to the ledger; returns its fen."""
        charged.rows.append(self._row(
            session, charge.charge_id, "charge", revision, charge.total_fen, charge.body, charge.seal))
        if charge.total_fen:
            charged.transfers.append(ledger.transfer(
                "charge", debit=ledger.receivable(session.parking_session_id), credit=ledger.PAYABLE,
                amount_fen=charge.total_fen, ref_id=charge.charge_id, now=self.now))
        return charge.total_fen

    def _credit(self, session: ParkingSession, revision: int, charged: _Charged) -> int:
        """Take the standing charge back in full; returns its fen."""
        standing = charges.find_standing_charge(self.db, self.lot.lot_id, session.parking_session_id)
        if standing is None:
            return 0
        charge_id = derived_uuid(self.now, "credit", standing.charge_id)
        body = canonical({
            "charge_id": str(charge_id), "credits": str(standing.charge_id), "revision": revision,
            "total_fen": standing.total_fen, "credited_at": format_instant(self.now),
        })
        charged.rows.append({
            **self._row(session, charge_id, "credit", revision, standing.total_fen, body, sign_body(body, self._key)),
            "credits_charge_id": standing.charge_id})
        if standing.total_fen:
            charged.transfers.append(ledger.transfer(
                "credit", debit=ledger.PAYABLE, credit=ledger.receivable(session.parking_session_id),
                amount_fen=standing.total_fen, ref_id=charge_id, now=self.now))
        charged.sponsored += unsponsor(
            self.db, self.lot, session, charged=standing.charge_id, credit_id=charge_id, now=self.now)
        return standing.total_fen

    def _take_off(
        self, session: ParkingSession, count: int, before_fen: int, after_fen: int, charged: _Charged
    ) -> None:
        """So much of the charge is waived now; less than before, where it came to less than what was waived."""
        sides = [ledger.PAYABLE, ledger.receivable(session.parking_session_id)]
        fen = after_fen - before_fen
        if fen:
            kind = "waiver" if fen > 0 else "unwaived"
            debit, credit = sides if fen > 0 else sides[::-1]
            charged.transfers.append(ledger.transfer(
                kind, debit=debit, credit=credit, amount_fen=abs(fen), now=self.now,
                ref_id=derived_uuid(self.now, kind, session.parking_session_id, count, before_fen)))

    def _row(
        self, session: ParkingSession, charge_id: UUID, kind: str, revision: int, total_fen: int, body: str, seal: str
    ) -> dict[str, Any]:
        return {
            "lot_id": self.lot.lot_id, "charge_id": charge_id, "operator_id": self.lot.operator_id,
            "parking_session_id": session.parking_session_id, "kind": kind, "revision": revision,
            "total_fen": total_fen, "body": body, "body_hash": sha256(body.encode()).digest(), "seal": seal,
            "sealed_at": self.now,
        }

    def _post(self, *made: ledger.Transfer) -> None:
        transfers.post(self.db, *made, lot_id=self.lot.lot_id, operator_id=self.lot.operator_id, now=self.now)

    def _ask_to_charge(self, session: ParkingSession) -> None:
        """Nobody has confirmed the year's calendar: the visit is charged when somebody does."""
        outbox_messages.add_message(
            self.db, lot_id=self.lot.lot_id, kind=CHARGE_LATER, now=self.now, due_at=self.now + WAITS_AT_MOST,
            message_id=derived_uuid(self.now, CHARGE_LATER, session.lot_id, session.parking_session_id),
            body={"parking_session_id": str(session.parking_session_id)},
        )

    def _ask_to_settle(self, session: ParkingSession) -> None:
        """More was paid than is owed: the worker gives it back.

        A voided visit's waits for the one that replaces it, which a lane without a network may bring late: then the
        money is moved. Within a day it goes back.
        """
        waits = VOIDED_SETTLED_AFTER if session.state == "voided" else timedelta()
        outbox_messages.add_message(
            self.db, lot_id=self.lot.lot_id, kind="settle", now=self.now, due_at=self.now + waits,
            message_id=derived_uuid(self.now, "settle", session.lot_id, session.parking_session_id),
            body={"parking_session_id": str(session.parking_session_id)},
        )


def charge_now(db: Session, lot: Lot, stored: StoredSession, vehicle: Vehicle, *, safe: KeySafe, now: datetime) -> None:
    """Charge a visit that is over and could not be charged before; its vehicle is held. Nothing where it was."""
    session = stored.session
    if session.state == "closed" and charges.find_standing_charge(db, lot.lot_id, session.parking_session_id) is None:
        Books(db, lot, {session.vehicle_key: vehicle}, safe, now).write(
            [Entry(session, stored, replaced_by=stored.replaced_by, has_waited=True)])


def _version(entry: Entry) -> tuple[UUID, int] | None:
    """The tariff's version that the visit's row names, if it does."""
    old = entry.old
    if old is None or old.tariff_id is None or old.tariff_version is None:
        return None
    return old.tariff_id, old.tariff_version


def _entered_at(entry: Entry) -> datetime:
    return (entry.old or entry).session.entered_at


def _bill(session: ParkingSession, paid: Paid) -> tuple[object, ...] | None:
    """What a session's charge depends on; None while there is nothing to charge."""
    if session.state != "closed":
        return None
    return (
        session.vehicle_key, session.entered_at, session.left_at, session.closed_by, session.billed_until,
        session.stop_of_day, paid.allowance_at(session.until_at), session.validations,
    )


def _can_be_priced(session: ParkingSession) -> bool:
    """A visit of more than a year is left to a person; its fee would be the fee of a mistake."""
    return session.until_at is not None and session.until_at - session.entered_at <= STAY_MAX
