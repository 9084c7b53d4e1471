"""A channel tells of a payment, a top-up, a refund, an agreement or a stay: each of its events is heard once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.channel import ChannelAgreement, ChannelEvent, ChannelPayment, ChannelRefund, ChannelStay
from parking.services.follow_agreement import hear_agreement
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.services.tell_stay import note_stay
from parking.services.top_up import confirm_top_up
from parking.services.unlock import KeySafe
from parking.services.withdraw import note_withdrawal
from parking.store import channel_events, payments


def hear_event(db: Session, account_id: UUID, event: ChannelEvent, *, safe: KeySafe, now: datetime) -> None:
    """Believe an event of an account's; one that was heard before changes nothing."""
    if not channel_events.claim_event(db, account_id=account_id, event_no=event.event_no, now=now):
        return
    says = event.says
    if isinstance(says, ChannelPayment):
        confirm_order(db, account_id, says, safe=safe, now=now)
    elif isinstance(says, ChannelAgreement):
        hear_agreement(db, account_id, says, now=now)
    elif isinstance(says, ChannelStay):
        note_stay(db, account_id, says, now=now)
    else:
        note_back(db, account_id, says, now=now)


def confirm_order(db: Session, account_id: UUID, said: ChannelPayment, *, safe: KeySafe, now: datetime) -> None:
    """Believe the channel's word about an order: of a visit, or of a wallet."""
    if payments.find_kind(db, said.order_no) == "topup":
        confirm_top_up(db, account_id, said, now=now)
    else:
        confirm_payment(db, account_id, said, safe=safe, now=now)


def note_back(db: Session, account_id: UUID, said: ChannelRefund, *, now: datetime) -> None:
    """Believe the channel's word about money that goes back: of a visit's payment, or of a top-up."""
    if payments.find_kind(db, said.refund_no) == "topup_refund":
        note_withdrawal(db, account_id, said, now=now)
    else:
        note_refund(db, account_id, said, now=now)
