"""What is odd is put before a person, in the transaction that finds it.

What a fold flags is a function of the facts, like the fold: where later facts explain it, it goes
again. What a single fact shows stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.anomaly import FLAG_RULES, Anomaly, make_anomaly
from parking.core.clock import EPOCH
from parking.core.fact import Fact, FactRef
from parking.core.parking_session import ParkingSession
from parking.services.identify import Shown
from parking.store import anomalies, codes, credentials, lots
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession


@dataclass(frozen=True, slots=True)
class Stretch:
    """A vehicle's history at a lot from where it was folded anew.

    since: no fact of the stretch is ordered before it. before: facts after that instant which were left out.
    """

    vehicle_key: bytes
    sessions: list[ParkingSession]
    strays: Sequence[Fact]
    known: list[StoredSession]
    exits: Collection[FactRef] = ()
    since: datetime = EPOCH
    before: Collection[FactRef] = ()

    def may_have_flags(self, landed: Collection[FactRef]) -> bool:
        """Whether the fold flags something, or may have before these facts landed (none named: it may)."""
        sessions = [*self.sessions, *(each.session for each in self.known)]
        if not landed or self.strays or any(each.flags for each in sessions):
            return True
        closing = {each.session.closed_by for each in self.known if each.session.state != "voided"}
        return any(ref not in closing and ref not in landed for ref in self.exits)


def notice_flags(
    db: Session, lot: Lot, stretches: Sequence[Stretch], *, landed: Collection[FactRef], now: datetime
) -> None:
    """Bring the inbox to what the folds flag: nothing is asked of the store where nothing is or was."""
    odd = [each for each in stretches if each.may_have_flags(landed)]
    if not odd:
        return
    wanted = {each.anomaly_id: each for stretch in odd for each in _flagged(lot.lot_id, stretch)}
    left_out = {ref for stretch in odd for ref in stretch.before}
    known = {
        each.anomaly_id: each
        for each in anomalies.list_of_fold(
            db, lot.lot_id, [each.vehicle_key for each in odd], since=min(each.since for each in odd))
        if each.about not in left_out
    }
    begins = {each.vehicle_key: each.since for each in odd}
    gone = [
        name for name, each in known.items()
        if name not in wanted and each.vehicle_key is not None and each.occurred_at >= begins[each.vehicle_key]
    ]
    if gone:
        anomalies.withdraw_anomalies(db, lot.lot_id, gone)
    for name, each in wanted.items():
        if name not in known and anomalies.add_anomaly(db, each, operator_id=lot.operator_id, now=now):
            continue
        if known.get(name) != each:
            anomalies.change_anomaly(db, each)


def notice_second_use(
    db: Session, shown: Shown, *, shown_at: datetime, lot: Lot, fact: Fact, of: FactRef | None, now: datetime
) -> None:
    """Claim the use of the code of a barrier that has opened; name every barrier that it opened, at each of their lots.

    :param shown_at: the time that the code itself tells
    :param of: the live scan whose answer was lost, and in whose place the fact stands: one showing, one use
    """
    if not shown.is_single_use:
        return
    ref = of or fact.ref
    if codes.use_code(
        db, subject=shown.subject, use_hash=shown.use_hash, used_at=fact.occurred_at, lot_id=lot.lot_id,
        terminal_id=ref.terminal_id, sequence=ref.sequence,
    ):
        if shown.showing is not None:
            credentials.advance_last_use(
                db, shown.subject, shown_at=shown.showing.at, counter=shown.showing.counter)
        return
    found = codes.find_use(db, shown.subject, shown.use_hash)
    assert found is not None
    first = (found.lot_id, FactRef(found.terminal_id, found.sequence))
    if first == (lot.lot_id, ref):
        return
    code = (shown.subject + shown.use_hash).hex()

    def name_all(lot_id: int, named: set[tuple[int, FactRef]]) -> Anomaly:
        about = min(ref for where, ref in named if where == lot_id)
        made = make_anomaly(
            "code_used_twice", lot_id=lot_id, about=about, at=shown_at, others=tuple(named), name=code)
        if not anomalies.add_anomaly(db, made, operator_id=lots.get_lot(db, lot_id).operator_id, now=now):
            anomalies.change_anomaly(db, made)
        return made

    # The row at the lot of the first use is held, so that two further uses at once name each other.
    both = {first, (lot.lot_id, ref)}
    home_id = make_anomaly("code_used_twice", lot_id=first[0], about=first[1], at=shown_at, name=code).anomaly_id
    named = anomalies.lock_facts(db, first[0], home_id) | both
    for lot_id in sorted({where for where, _ in named}):
        name_all(lot_id, named)


def _flagged(lot_id: int, stretch: Stretch) -> list[Anomaly]:
    found = []
    for number, session in enumerate(stretch.sessions):
        for rule in FLAG_RULES:
            if rule in session.flags:
                after = stretch.sessions[number + 1 : number + 2] if rule == "entered_again" else []
                others = [session.closed_by, *(each.opened_by for each in after)]
                found.append(make_anomaly(
                    rule, lot_id=lot_id, about=session.opened_by, at=session.entered_at,
                    others=tuple((lot_id, ref) for ref in others if ref is not None),
                    vehicle_key=stretch.vehicle_key, parking_session_id=session.parking_session_id))
    found += [
        make_anomaly("exit_without_entry", lot_id=lot_id, about=fact.ref, at=fact.occurred_at,
                     vehicle_key=stretch.vehicle_key)
        for fact in stretch.strays
    ]
    return found


def notice(db: Session, lot: Lot, anomaly: Anomaly, *, now: datetime) -> UUID:
    """Put one in the inbox of the lot's operator."""
    anomalies.add_anomaly(db, anomaly, operator_id=lot.operator_id, now=now)
    return anomaly.anomaly_id
