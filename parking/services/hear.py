"""A channel tells of a payment, a refund, an agreement or a stay: each of its events is heard once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.channel import ChannelAgreement, ChannelEvent, ChannelPayment, ChannelStay
from parking.services.agree import hear_agreement
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.services.tell_stay import note_stay
from parking.services.unlock import KeySafe
from parking.store import channel_events


def hear_event(db: Session, account_id: UUID, event: ChannelEvent, *, safe: KeySafe, now: datetime) -> None:
    """Believe an event of an account's; one that was heard before changes nothing."""
    if not channel_events.claim_event(db, account_id=account_id, event_no=event.event_no, now=now):
        return
    says = event.says
    if isinstance(says, ChannelPayment):
        confirm_payment(db, account_id, says, safe=safe, now=now)
    elif isinstance(says, ChannelAgreement):
        hear_agreement(db, account_id, says, now=now)
    elif isinstance(says, ChannelStay):
        note_stay(db, account_id, says, now=now)
    else:
        note_refund(db, account_id, says, now=now)
