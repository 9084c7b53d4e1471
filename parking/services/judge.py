"""One scan before the lot: what is known of it, what the lot's state makes of it, what follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.auto_pay import Choice
from parking.core.calendar import CannotPrice
from parking.core.decision import Decision, Situation, decide
from parking.core.fact import Direction, Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.json_text import canonical
from parking.core.parking_session import ParkingSession
from parking.core.payment import NOTHING_PAID, money_state, price_stay
from parking.core.plate import Plate
from parking.core.price import SMALL, Quote, Vehicle
from parking.core.scan_answer import fee_data, running_fee
from parking.core.secret import Secrets
from parking.core.wallet import CHANNEL as WALLET
from parking.services.defer import find_agreement, find_bar, leave_first
from parking.services.fold import preview_correction, refold
from parking.services.identify import Identity, Shown, identify, look_up
from parking.services.owe import find_tariff
from parking.services.spend import pay_at_once
from parking.services.unlock import KeySafe
from parking.services.use import claim_use, must_answer, refuse_here, refuse_shown
from parking.services.verify import CodeCheck
from parking.store import agreements, arrears, deductions, facts, lots, parking_sessions, terminals, vehicles
from parking.store.parking_sessions import StoredSession
from parking.store.tariffs import TariffInForce
from parking.store.terminals import TerminalAtGate

LIVE_WINDOW = timedelta(seconds=60)
NEARLY_FULL = 16


@dataclass(frozen=True, slots=True)
class Scan:
    """What a terminal sends. clock_offset_ms: terminal minus server; plate_confidence: 0..1.

    nonce: the number that the gate showed and the code answers; has_display: it can show one.
    code: as it was read; for a city identity code its keyed hash in hex, so that nothing here keeps the code.
    """

    scan_id: UUID
    sequence: int
    scanned_at: datetime
    code: str | None = None
    plate: str | None = None
    plate_confidence: float | None = None
    clock_offset_ms: int = 0
    nonce: bytes | None = None
    has_display: bool = False

    @property
    def body_hash(self) -> bytes:
        return sha256(canonical([
            str(self.scan_id), self.sequence, self.scanned_at.isoformat(), self.code, self.plate,
            None if self.plate_confidence is None else repr(self.plate_confidence), self.clock_offset_ms,
            *([] if self.nonce is None else [self.nonce.hex()]), *(["display"] if self.has_display else []),
        ]).encode()).digest()


@dataclass(frozen=True, slots=True)
class Question:
    """A scan with all that is known of it before the lot's state is looked at."""

    scan: Scan
    terminal: TerminalAtGate
    occurred_at: datetime
    check: CodeCheck
    plate: Plate | None
    now: datetime

    @property
    def is_in_time(self) -> bool:
        return abs(self.occurred_at - self.now) <= LIVE_WINDOW


class Case:
    """One scan before the lot: gathers the situation under locks, then writes what was decided."""

    def __init__(self, db: Session, question: Question, *, secrets: Secrets, safe: KeySafe) -> None:
        self.db, self.question = db, question
        self._secrets, self._safe = secrets, safe
        self.lot = question.terminal.lot
        self._occupied: int | None = None
        self._check = question.check
        self._unanswered: Identity | None = None
        self._deduction: Choice | None = None
        self._gather()

    def _gather(self) -> None:
        """Who stands there, which visit it is, and what is due; under locks, so that it stays true."""
        said = self.question.terminal.direction
        fixed: Direction | None = None if said == "both" else said  # type: ignore[assignment]
        self._shown: Shown | None = look_up(self.db, self._check, direction=fixed, now=self.question.now)
        self.identity: Identity = identify(
            self.db, lot_id=self.lot.lot_id, direction=fixed, shown=self._shown, plate=self.question.plate,
            secrets=self._secrets,
        )
        self.session: ParkingSession | None = None
        self.moved_from: ParkingSession | None = None
        self._stored: StoredSession | None = None
        self.paid = NOTHING_PAID
        self.held: dict[bytes, Vehicle] = {}
        self._lock_vehicles(fixed)
        shown = self._shown
        self._is_unanswered = shown is not None and must_answer(self.db, shown)
        if shown is not None and (reason := refuse_shown(self.db, shown)):
            self.refuse_code(reason)
            return
        self._find_session(fixed)
        self.direction: Direction = fixed or ("exit" if self.session is not None else "entry")
        if shown is not None and (reason := self._refuse_here(shown)):
            who = self.identity
            self.refuse_code(reason)
            if reason == "challenge_needed" and self.identity.vehicle_key is None:
                self._unanswered = who  # it stays shut; if somebody opens for it all the same, it is this visit
            return
        self.tariff = self._find_tariff()
        self._due = self._price(self.session)

    def decide(self) -> Decision:
        question, key = self.question, self.identity.vehicle_key
        elsewhere = False
        if self.direction == "entry" and key is not None:
            there = vehicles.find_presence(self.db, key)
            elsewhere = there is not None and there.lot_id != self.lot.lot_id
        is_full = self.direction == "entry" and self._has_no_space()
        # A citizen who never came here is not inside, whatever the vehicle.
        is_new_here = self._check.citizen is not None and self._shown is None
        situation = Situation(
            direction=self.direction, rules=self.lot.rules, code_refused=self._check.refused,
            has_plate=question.plate is not None, is_plate_mismatched=self.identity.is_mismatched,
            has_vehicle=key is not None or is_new_here, session=self.session, is_inside_elsewhere=elsewhere,
            is_full=is_full, due_fen=self._due_fen, has_arrears=self._has_arrears(),
            is_in_time=question.is_in_time, is_unanswered=self._is_unanswered,
        )
        decision = decide(situation)
        if decision != Decision(False, "fee_due") or self._is_unanswered:
            return decision
        deducted = decide(replace(situation, is_deducted=True))
        if not deducted.opens:
            return decision
        self._deduction = self._choose_deduction()
        return deducted if self.is_deducted else decision

    @property
    def _due_fen(self) -> int:
        return max(0, self._due.total_fen - self.paid.fen) if self._due else 0

    def _choose_deduction(self) -> Choice:
        """By which agreement the fee is deducted when the vehicle has left; credit or wallet are held at once."""
        assert self.session is not None and self.identity.vehicle_key is not None
        found = find_agreement(
            self.db, self.lot, self.session, self.identity.vehicle_key,
            driver_id=self.identity.driver_id or self.session.driver_id, due_fen=self._due_fen)
        if found.why_not is not None or found.agreement is None:
            return found
        return Choice(found.agreement, find_bar(
            self.db, found.agreement, lot_id=self.lot.lot_id, payment_id=self._payment_id, due_fen=self._due_fen,
            now=self.question.now))

    @property
    def _payment_id(self) -> UUID:
        assert self.session is not None
        return derived_uuid(
            self.question.now, "deduction", self.session.parking_session_id, self.question.scan.scan_id)

    @property
    def is_deducted(self) -> bool:
        """The fee is deducted when the vehicle has left."""
        found = self._deduction
        return found is not None and found.agreement is not None and found.why_not is None

    def deduct(self, decision: Decision) -> None:
        """Ask for the fee that is deducted; of one that is not, keep why, for its driver."""
        found = self._deduction
        if found is None or found.agreement is None:
            return
        if found.why_not is not None:
            agreements.note_refused(self.db, found.agreement, found.why_not, now=self.question.now)
            return
        assert decision.opens and self.session is not None and self._stored is not None
        payment_id, amount_fen = self._payment_id, self._due_fen
        if found.agreement.means == WALLET:
            self._stored = pay_at_once(
                self.db, self._stored, self._vehicle(self.session), found.agreement, payment_id=payment_id,
                amount_fen=amount_fen, safe=self._safe, now=self.question.now)
            self.paid = self._stored.paid
            return
        leave_first(
            self.db, self.lot, self.session, found.agreement, payment_id=payment_id, amount_fen=amount_fen,
            left_at=self.question.occurred_at, now=self.question.now)

    @property
    def free_spaces(self) -> int:
        """As of now: counted once, and again when this scan has changed it."""
        if self._occupied is None:
            self._occupied = lots.count_occupied(self.db, self.lot.lot_id)
        return max(0, self.lot.spaces - self._occupied)

    @property
    def is_evidence(self) -> bool:
        """Also where the barrier stays shut: it stands at the exit, and its visit is billed until it was last seen."""
        return (self.direction == "exit" and self.session is not None and self.moved_from is None
                and "overdue" in self.session.flags)

    def _has_no_space(self) -> bool:
        """Near the end of its spaces a lot's entries wait for one another: the last one is given once."""
        if 0 < self.free_spaces <= NEARLY_FULL:
            self._occupied = lots.lock_occupied(self.db, self.lot.lot_id)
        return self.free_spaces == 0

    def _has_arrears(self) -> bool:
        """One look into an index, at an exit of a lot whose operator turned that rule on."""
        if not self.lot.rules.asks_for_arrears or self.direction == "entry" or self.session is None:
            return False
        return arrears.has_overdue(self.db, self.session.vehicle_key, self.lot.operator_id)

    def claim_code(self) -> str | None:
        """Take the one use of the code that opens the barrier, if one does; the reason where it is another's."""
        shown, question = self._shown, self.question
        return None if shown is None else claim_use(
            self.db, shown, lot_id=self.lot.lot_id, terminal_id=question.terminal.terminal_id,
            sequence=question.scan.sequence, used_at=question.now)

    def refuse_code(self, reason: str) -> None:
        """Look again without the code: refused, it says nothing about anyone."""
        if self.is_deducted:
            assert self._deduction is not None and self._deduction.agreement is not None
            agreement = self._deduction.agreement
            deductions.give_credit_back(
                self.db, [agreement.driver_id.bytes, agreement.vehicle_key], payment_id=self._payment_id)
        self._deduction = None
        self._check = CodeCheck(refused=reason)
        self._gather()

    def record_fact(self, ref: FactRef, decision: Decision) -> None:
        question, scan, who = self.question, self.question.scan, self._unanswered or self.identity
        fact = Fact(
            ref, "scan", question.occurred_at, self.direction, decision.opens, who.vehicle_key, who.driver_id,
            answered_at=question.now,
        )
        facts.add_fact(
            self.db, fact, lot_id=self.lot.lot_id, operator_id=self.lot.operator_id, said_at=scan.scanned_at,
            received_at=question.now, clock_offset_ms=scan.clock_offset_ms, reason=decision.reason,
            body={
                "scan_id": str(scan.scan_id), "has_code": scan.code is not None,
                **({"form": "identity"} if question.check.form == "identity" else {}),
                "has_plate": question.plate is not None,
                "plate_confidence": None if scan.plate_confidence is None else repr(scan.plate_confidence),
            },
        )

    def fold(self, ref: FactRef) -> ParkingSession | None:
        """Bring the sessions up to date; returns the one that this fact opened or closed, else its visit."""
        key = self.identity.vehicle_key
        if key is None:
            return None
        keys_joined, since = [key], min(self.question.occurred_at, self.question.now)
        if self.moved_from is not None:
            since = min(since, self._correct_plate(self.moved_from, key))
            keys_joined = sorted({key, self.moved_from.vehicle_key})
        folded = refold(
            self.db, lot=self.lot, since=dict.fromkeys(keys_joined, since), held=self.held, safe=self._safe,
            now=self.question.now, landed=[ref] if self.moved_from is None else [],
        )
        self._occupied = self._occupied if folded.occupied is None else folded.occupied
        known = self.session
        own = None if known is None else known.parking_session_id
        touched = [each for each in folded.sessions if ref in (each.opened_by, each.closed_by)]
        touched += [each for each in folded.sessions if each.parking_session_id == own]
        if not touched or known is None or touched[0].parking_session_id != own:
            return touched[0] if touched else known
        return replace(touched[0], validations=known.validations)

    def fee(self, session: ParkingSession | None) -> dict[str, Any] | None:
        """The fee of a visit that has ended, or that may not end before it is paid."""
        if self.direction == "entry" or session is None or self.tariff is None:
            return None
        quote = self._price(session)
        if quote is None:
            return None
        if session.state == "closed":
            state = money_state(
                is_closed=True, charged_fen=quote.total_fen, paid_fen=self.paid.fen, collects=self.lot.collects,
                is_deducted=self.is_deducted)
            return fee_data(quote, state=state, paid_fen=self.paid.fen, zone=self.lot.zone)
        return running_fee(
            self.tariff.tariff, session, self.paid, quote, now=self.question.occurred_at,
            vehicle=self._vehicle(session), zone=self.lot.zone,
        )

    def _refuse_here(self, shown: Shown) -> str | None:
        plate = self.question.plate
        return refuse_here(
            self.db, shown, direction=self.direction, is_inside=self.session is not None,
            plate_key=self._secrets.vehicle_key(plate) if plate else None,
            asks_answer=self._is_unanswered and (self.direction == "entry" or self.question.scan.has_display))

    def _lock_vehicles(self, direction: Direction | None) -> None:
        """Hold the vehicle; where it may leave, also the driver's own key, that it may have entered under."""
        identity, plate = self.identity, self.question.plate
        key, own = identity.vehicle_key, identity.driver_vehicle_key
        if key is None:
            return
        sealed = self._secrets.seal_plate(plate) if plate else None
        wanted = [key] if own is None or own == key or direction == "entry" else [key, own]
        self.held = vehicles.lock_vehicles(self.db, wanted, key, plate_sealed=sealed, now=self.question.now)

    def _find_session(self, direction: Direction | None) -> None:
        """The visit that an exit would end: the vehicle's, or the driver's from before its plate was known."""
        key, own = self.identity.vehicle_key, self.identity.driver_vehicle_key
        if key is None:
            return
        self.session = self._inside(key)
        if self.session is None and own is not None and own != key and direction != "entry":
            self.moved_from = self._inside(own)
            if self.moved_from is not None:
                self.session = preview_correction(self.db, self.lot, key, self.moved_from)

    def _inside(self, key: bytes) -> ParkingSession | None:
        last = parking_sessions.find_last_session(self.db, self.lot.lot_id, key)
        if last is None or last.session.state not in ("open", "suspended"):
            return None
        self._stored, self.paid = last, last.paid
        return last.session

    def _correct_plate(self, moved: ParkingSession, key: bytes) -> datetime:
        """Say through the service terminal that the entry was this vehicle's; returns when it entered."""
        service_id = terminals.get_service_terminal_id(self.db, self.lot.lot_id)
        sequence = terminals.lock_last_sequence(self.db, self.lot.lot_id, service_id) + 1
        fact = Fact(
            FactRef(service_id, sequence), "plate_correction", self.question.occurred_at, vehicle_key=key,
            driver_id=self.identity.driver_id, corrects=moved.opened_by,
        )
        facts.add_fact(
            self.db, fact, lot_id=self.lot.lot_id, operator_id=self.lot.operator_id,
            said_at=self.question.occurred_at, received_at=self.question.now,
            cause_id=derived_uuid(self.question.occurred_at, "plate_correction", moved.parking_session_id, key.hex()),
        )
        terminals.count_fact(
            self.db, self.lot.lot_id, service_id, last_sequence=sequence, seen_at=self.question.now
        )
        return moved.entered_at

    def _find_tariff(self) -> TariffInForce | None:
        if self.direction == "entry" or self._stored is None:
            return None
        return find_tariff(self.db, self._stored)

    def _price(self, session: ParkingSession | None) -> Quote | None:
        """The fee if it left now; None where nothing can be priced (no tariff, longer than a year)."""
        if self.tariff is None or session is None:
            return None
        try:
            return price_stay(
                self.tariff.tariff, entered_at=session.entered_at,
                left_at=session.bill_end(self.question.occurred_at), paid=self.paid, vehicle=self._vehicle(session),
                context=session.pricing_context,
            )
        except CannotPrice:
            return None

    def _vehicle(self, session: ParkingSession) -> Vehicle:
        return self.held.get(session.vehicle_key, SMALL)
