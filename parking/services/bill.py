"""A visit's row, its sealed charge and the ledger are brought to one state, in one transaction.

What a charge depends on is compared with what it was made of: where that differs, the standing
charge is credited and another one sealed. Nothing is edited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.charge import Charge, ReceiptKey, seal_charge, sign_body
from parking.core.clock import format_instant
from parking.core.identifier import derived_uuid
from parking.core.json_text import canonical
from parking.core.parking_session import ParkingSession
from parking.core.payment import NOTHING_PAID, Paid, money_state
from parking.core.price import STAY_MAX, Vehicle
from parking.services.owe import find_tariff
from parking.services.unlock import KeySafe
from parking.store import charges, outbox_messages, parking_sessions, payments, tariffs, transfers, vehicles
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.tariffs import TariffInForce

VOIDED_SETTLED_AFTER = timedelta(hours=12)


@dataclass(frozen=True)
class Books:
    """Writes visits of one lot, under the lock of their vehicles. sizes: as lock_vehicle gave them."""

    db: Session
    lot: Lot
    sizes: dict[bytes, str]
    safe: KeySafe
    now: datetime
    _known_tariffs: dict[tuple[UUID | None, int | None], TariffInForce | None] = field(default_factory=dict)

    def write(
        self, session: ParkingSession, old: StoredSession | None, *, paid: Paid | None = None,
        replaced_by: UUID | None = None,
    ) -> None:
        """Write a visit as it now is; `paid` where that has changed, else as it was."""
        before = old.paid if old else NOTHING_PAID
        now_paid = before if paid is None else paid
        tariff = self._tariff(session, old)
        count, charged, charge = (old.charge_count, old.charged_fen, None) if old else (0, 0, None)
        is_new_bill = _bill(session, now_paid) != (_bill(old.session, before) if old else None)
        if is_new_bill:
            if old is not None and count and _bill(old.session, before) is not None:
                count += 1
                charged -= self._credit(session, count)
            if _bill(session, now_paid) is not None and tariff is not None and _can_be_priced(session):
                count += 1
                charge = self._seal(session, tariff, count, now_paid)
                charged += charge.total_fen
        parking_sessions.write_session(
            self.db, session, is_new=old is None, operator_id=self.lot.operator_id,
            money_state=money_state(
                is_closed=session.state == "closed", charged_fen=charged, paid_fen=now_paid.fen,
                collects=self.lot.collects, is_refunded=old is not None and old.money_state == "refunded",
            ),
            tariff=(tariff.tariff_id, tariff.version) if tariff else None, charged_fen=charged, charge_count=count,
            replaced_by=replaced_by,
        )
        if charge is not None:
            self._add(charge, session, count)
        if now_paid != before:
            parking_sessions.write_paid(self.db, self.lot.lot_id, session.parking_session_id, now_paid)
        if now_paid.fen > charged and session.state != "open":
            self._ask_to_settle(session)
        if old is not None and old.session.vehicle_key != session.vehicle_key:
            vehicles.unindex_session(self.db, old.session)
        vehicles.index_session(self.db, session, is_new=old is None)

    def move_money(self, old: StoredSession, *, to: UUID | None) -> None:
        """A voided visit's payments become those of the visit that replaced it; without one they go back."""
        if to is None:
            return
        source, fen = old.session.parking_session_id, old.paid.fen
        new = parking_sessions.find_session(self.db, self.lot.lot_id, to)
        assert new is not None
        payments.move_payments(self.db, self.lot.lot_id, of=source, to=to)
        self._post(ledger.transfer(
            "moved", debit=ledger.receivable(source), credit=ledger.receivable(to), amount_fen=fen,
            ref_id=derived_uuid(self.now, "moved", source, to), now=self.now))
        parking_sessions.write_paid(self.db, self.lot.lot_id, source, NOTHING_PAID)
        self.write(new.session, new, paid=new.paid.joined(old.paid), replaced_by=new.replaced_by)

    @cached_property
    def _key(self) -> ReceiptKey:
        return self.safe.receipt_key(self.db, now=self.now)

    def _tariff(self, session: ParkingSession, old: StoredSession | None) -> TariffInForce | None:
        if old is not None:
            version = (old.tariff_id, old.tariff_version)
            if None in version or version not in self._known_tariffs:
                self._known_tariffs[version] = find_tariff(self.db, old)
            return self._known_tariffs[version]
        return tariffs.find_tariff_of_lot(self.db, self.lot.lot_id, at=session.entered_at)

    def _seal(self, session: ParkingSession, tariff: TariffInForce, revision: int, paid: Paid) -> Charge:
        return seal_charge(
            session, tariff=tariff.tariff, version=tariff.version, revision=revision,
            vehicle=Vehicle("large" if self.sizes.get(session.vehicle_key) == "large" else "small"),
            context={"stop_of_day": session.stop_of_day}, paid=paid, key=self._key,
        )

    def _add(self, charge: Charge, session: ParkingSession, revision: int) -> None:
        charges.add_charge(
            self.db, lot_id=self.lot.lot_id, charge_id=charge.charge_id, operator_id=self.lot.operator_id,
            parking_session_id=session.parking_session_id, kind="charge", revision=revision,
            total_fen=charge.total_fen, body=charge.body, body_hash=sha256(charge.body.encode()).digest(),
            seal=charge.seal, sealed_at=self.now,
        )
        if charge.total_fen:
            self._post(ledger.transfer(
                "charge", debit=ledger.receivable(session.parking_session_id), credit=ledger.PAYABLE,
                amount_fen=charge.total_fen, ref_id=charge.charge_id, now=self.now))

    def _credit(self, session: ParkingSession, revision: int) -> int:
        """Take the standing charge back in full; returns its fen."""
        standing = charges.find_standing_charge(self.db, self.lot.lot_id, session.parking_session_id)
        if standing is None:
            return 0
        charge_id = derived_uuid(self.now, "credit", standing.charge_id)
        body = canonical({
            "charge_id": str(charge_id), "credits": str(standing.charge_id), "revision": revision,
            "total_fen": standing.total_fen, "credited_at": format_instant(self.now),
        })
        charges.add_charge(
            self.db, lot_id=self.lot.lot_id, charge_id=charge_id, operator_id=self.lot.operator_id,
            parking_session_id=session.parking_session_id, kind="credit", revision=revision,
            credits_charge_id=standing.charge_id, total_fen=standing.total_fen, body=body,
            body_hash=sha256(body.encode()).digest(),
            seal=sign_body(body, self._key), sealed_at=self.now,
        )
        if standing.total_fen:
            self._post(ledger.transfer(
                "credit", debit=ledger.PAYABLE, credit=ledger.receivable(session.parking_session_id),
                amount_fen=standing.total_fen, ref_id=charge_id, now=self.now))
        return standing.total_fen

    def _post(self, made: ledger.Transfer) -> None:
        transfers.post(self.db, made, lot_id=self.lot.lot_id, operator_id=self.lot.operator_id, now=self.now)

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


def _bill(session: ParkingSession, paid: Paid) -> tuple[object, ...] | None:
    """What a session's charge depends on; None while there is nothing to charge."""
    if session.state != "closed":
        return None
    return (
        session.vehicle_key, session.entered_at, session.left_at, session.closed_by, session.billed_until,
        session.stop_of_day, paid.allowance_at(session.until_at),
    )


def _can_be_priced(session: ParkingSession) -> bool:
    """A visit of more than a year is left to a person; its fee would be the fee of a mistake."""
    return session.until_at is not None and session.until_at - session.entered_at <= STAY_MAX
