"""A channel tells of a payment or a refund: each of its events is heard once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.channel import ChannelEvent, ChannelPayment, ChannelRefund
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.services.unlock import KeySafe
from parking.store import channel_events


def hear_event(db: Session, account_id: UUID, event: ChannelEvent, *, safe: KeySafe, now: datetime) -> None:
    """Believe an event of an account's; one that was heard before changes nothing."""
    if not channel_events.claim_event(db, account_id=account_id, event_no=event.event_no, now=now):
        return
    if isinstance(event.says, ChannelPayment):
        confirm_payment(db, account_id, event.says, safe=safe, now=now)
    elif isinstance(event.says, ChannelRefund):
        note_refund(db, account_id, event.says, now=now)
