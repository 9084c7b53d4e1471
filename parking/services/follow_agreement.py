"""What becomes of an agreement at its channel: it is asked about until it is signed, heard of, and ended there too."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.auto_pay import Agreement
from parking.core.channel import ChannelAgreement
from parking.core.identifier import derived_uuid
from parking.services.follow import Desk
from parking.store import agreements, lots, outbox_messages, vehicles
from parking.store.outbox_messages import Message

FOLLOW = "follow_agreement"
SIGNED_WITHIN = timedelta(days=1)
FIRST_QUERY_AFTER, QUERY_EVERY_MAX = timedelta(seconds=20), timedelta(hours=1)


def leave_to_follow(db: Session, agreement: Agreement, *, now: datetime, due_at: datetime) -> None:
    """Left at the operator's first lot: a message belongs to one."""
    lot_id = lots.find_first_lot_id(db, agreement.operator_id)
    if lot_id is not None:
        outbox_messages.add_message(
            db, lot_id=lot_id, kind=FOLLOW, now=now, due_at=due_at,
            message_id=derived_uuid(now, FOLLOW, agreement.agreement_id, due_at),
            body={"agreement_id": str(agreement.agreement_id)})


def hear_agreement(db: Session, account_id: UUID, said: ChannelAgreement, *, now: datetime) -> None:
    """Believe what a channel says of an agreement; one that was ended stays so, and is ended there too."""
    try:
        agreement_id = UUID(hex=said.agreement_no)
    except ValueError:
        return
    found = agreements.find_agreement(db, agreement_id)
    if found is None or found.agreement.account_id != account_id:
        return
    vehicles.lock_vehicle(db, found.agreement.vehicle_key, plate_sealed=None, now=now)
    found = agreements.get_agreement(db, agreement_id)
    if said.state == "active" and found.state == "asked":
        agreements.activate(db, found.agreement, channel_no=said.channel_no, at=said.at or now)
    elif said.state == "active" and found.state == "ended":
        leave_to_follow(db, found.agreement, now=now, due_at=now)
    elif said.state == "ended" and found.state != "ended":
        agreements.end_agreement(db, found.agreement, why="by_channel", now=now)


def follow_agreement(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask until an agreement is signed, for a day; end at the channel what was ended here."""
    agreement_id = UUID(message.body["agreement_id"])
    with desk.database.reading() as db:
        found = agreements.find_agreement(db, agreement_id)
    if found is None or found.state == "active":
        return None
    of, number = found.agreement, agreement_id.hex
    deducts = desk.channels.deducts_of(of.account_id)
    if found.state == "asked":
        said = deducts.query_agreement(number, now=now)
        desk.database.write(lambda db: hear_agreement(db, of.account_id, said, now=now))
        if said.state != "unknown":
            return None
        if now < found.asked_at + SIGNED_WITHIN:
            wait: timedelta = min(FIRST_QUERY_AFTER * 2 ** min(message.attempts, 8), QUERY_EVERY_MAX)
            return now + wait
        if not desk.database.write(lambda db: _give_up(db, of, now)):
            return None  # it was signed, or ended, meanwhile
    deducts.end_agreement(number, channel_no=of.channel_no or "", now=now)
    return None


def _give_up(db: Session, agreement: Agreement, now: datetime) -> bool:
    """End what nobody has signed in time; False where something has become of it meanwhile."""
    vehicles.lock_vehicle(db, agreement.vehicle_key, plate_sealed=None, now=now)
    if agreements.get_agreement(db, agreement.agreement_id).state != "asked":
        return False
    agreements.end_agreement(db, agreement, why="not_signed", now=now)
    return True


def query_now(desk: Desk, driver_id: UUID, agreement_id: UUID, *, now: datetime) -> None:
    """The driver comes back from signing: ask the channel what became of it, without waiting for its word.

    :raises ChannelUnavailable, ChannelRefused: the worker goes on asking
    """
    with desk.database.reading() as db:
        found = agreements.find_agreement(db, agreement_id)
    if found is None or found.agreement.driver_id != driver_id or found.state != "asked":
        return
    account_id = found.agreement.account_id
    said = desk.channels.deducts_of(account_id).query_agreement(agreement_id.hex, now=now)
    desk.database.write(lambda db: hear_agreement(db, account_id, said, now=now))
