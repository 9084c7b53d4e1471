"""A channel that deducts by stays is told of an entry, once; what it says of the stay is kept beside the vehicle.

Told are vehicles whose driver lets the lot's operator deduct by that channel, and no others: the plate leaves the house
only where somebody asked for it. While one stay of a vehicle goes on at an account, no second one is told: a visit that
replaced another takes its stay over, and one that began while the vehicle was still inside elsewhere has none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.channel import ChannelStay, Stay
from parking.core.identifier import derived_uuid
from parking.core.parking_session import ParkingSession
from parking.core.plate import parse_plate
from parking.core.secret import Secrets
from parking.services.follow import Desk
from parking.services.owe import lock_visit
from parking.store import agreements, lots, outbox_messages, parking_sessions, vehicles
from parking.store.agreements import StoredStay
from parking.store.lots import Lot
from parking.store.outbox_messages import Message

TELL_STAY = "tell_stay"


@dataclass(frozen=True, slots=True)
class Told:
    """A stay as the channel knows it. channel_no: its number of it; "" until it has answered."""

    stay: Stay
    state: str
    channel_no: str


def ask_to_tell(db: Session, lot: Lot, sessions: Collection[ParkingSession], *, now: datetime) -> None:
    """Visits have begun: leave a message for each that a channel is told of. Only of a lot that collects."""
    if not lot.collects or not sessions:
        return
    told = agreements.list_told(db, {each.vehicle_key for each in sessions}, lot.operator_id)
    for session in sessions:
        for account_id in {account for key, account in told if key == session.vehicle_key}:
            leave_message(db, lot.lot_id, session.parking_session_id, account_id, now=now)


def leave_message(db: Session, lot_id: int, parking_session_id: UUID, account_id: UUID, *, now: datetime) -> None:
    outbox_messages.add_message(
        db, lot_id=lot_id, kind=TELL_STAY, now=now,
        message_id=derived_uuid(now, TELL_STAY, parking_session_id, account_id),
        body={"parking_session_id": str(parking_session_id), "account_id": str(account_id)})


def send_stay(desk: Desk, message: Message, *, now: datetime) -> None:
    """Tell a channel of a visit that goes on."""
    tell_stay(
        desk, message.lot_id, UUID(message.body["parking_session_id"]), UUID(message.body["account_id"]), now=now)


def tell_stay(
    desk: Desk, lot_id: int, parking_session_id: UUID, account_id: UUID, *, now: datetime, has_left: bool = False
) -> Told | None:
    """Tell a channel of a visit, where it does not know yet; None where it is not to know.

    :param has_left: the visit is over, and its fee is to be deducted
    """
    kept = desk.database.write(lambda db: _claim(db, lot_id, parking_session_id, account_id, has_left, now))
    if kept is None:
        return None
    with desk.database.reading() as db:
        told = _read(db, kept, desk.secrets)
    if told is None or told.channel_no:
        return told
    said = desk.channels.deducts_of(account_id).announce_stay(told.stay, now=now)
    desk.database.write(lambda db: note_stay(db, account_id, said, now=now))
    return find_told(desk, lot_id, parking_session_id, account_id)


def find_told(desk: Desk, lot_id: int, parking_session_id: UUID, account_id: UUID) -> Told | None:
    """The stay that a channel was told of for this visit."""
    with desk.database.reading() as db:
        stored = parking_sessions.find_session(db, lot_id, parking_session_id)
        assert stored is not None
        kept = agreements.find_stay_of_visit(db, stored.session.vehicle_key, account_id, parking_session_id)
        return None if kept is None else _read(db, kept, desk.secrets)


def note_stay(db: Session, account_id: UUID, said: ChannelStay, *, now: datetime) -> None:
    """Believe what a channel says of a stay; what it said later stands, in whatever order it comes."""
    kept = agreements.find_stay_by_number(db, _id_of(said.stay_no), account_id)
    if kept is None:
        return
    vehicles.lock_vehicle(db, kept.vehicle_key, plate_sealed=None, now=now)
    kept = agreements.find_stay_by_number(db, kept.stay_id, account_id)
    assert kept is not None
    if kept.said_at is not None and (said.at is None or said.at < kept.said_at):
        agreements.change_stay(db, kept, channel_no=said.channel_no)
        return
    agreements.change_stay(
        db, kept, state=said.state, why=said.why or None, channel_no=said.channel_no, said_at=said.at)


def _claim(
    db: Session, lot_id: int, parking_session_id: UUID, account_id: UUID, has_left: bool, now: datetime
) -> StoredStay | None:
    """The one stay of the vehicle at the account, made for this visit if it may be."""
    stored, _ = lock_visit(db, lot_id, parking_session_id, now=now)
    session = stored.session
    if session.state != ("closed" if has_left else "open"):
        return None
    stands = agreements.find_stay(db, session.vehicle_key, account_id)
    if stands is not None and stands.parking_session_id == parking_session_id:
        return stands
    made = StoredStay(
        session.vehicle_key, parking_session_id, account_id, lot_id, parking_session_id, "asked", None, None, None,
        now, None)
    if stands is not None:
        other = parking_sessions.find_session(db, stands.lot_id, stands.parking_session_id)
        assert other is not None
        if other.session.state == "voided" and other.replaced_by == parking_session_id:
            agreements.change_stay(db, stands, parking_session_id=parking_session_id)
            return replace(stands, parking_session_id=parking_session_id)
        if other.session.state == "open":
            return None
        agreements.change_stay(db, stands, ended_at=now)
        made = replace(made, state=stands.state)  # of the plate, until it is said of this stay
    return made if agreements.add_stay(db, made) else None


def _read(db: Session, kept: StoredStay, secrets: Secrets) -> Told | None:
    """None where the vehicle has no plate."""
    sealed = vehicles.list_sealed_plates(db, [kept.vehicle_key]).get(kept.vehicle_key)
    stored = parking_sessions.find_session(db, kept.lot_id, kept.parking_session_id)
    if sealed is None or stored is None:
        return None
    plate, lot = parse_plate(secrets.open_plate(kept.vehicle_key, sealed)), lots.get_lot(db, kept.lot_id)
    name = lot.name.get("zh") or next(iter(lot.name.values()), "")
    return Told(
        Stay(kept.stay_id.hex, plate.text, plate.kind, stored.session.entered_at, name), kept.state,
        kept.channel_no or "")


def _id_of(number: str) -> UUID:
    try:
        return UUID(hex=number)
    except ValueError:
        return UUID(int=0)  # no stay of ours
