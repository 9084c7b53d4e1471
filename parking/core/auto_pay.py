"""May this fee be taken without asking the driver? A no has a word, which the driver is told.

Leave first, the fee is deducted: by an agreement that the driver made for a vehicle with an operator. Nothing is ever
deducted for a visit that is irregular, so that no missed exit and no misread plate takes anybody's money. The credit
rule: one unpaid deduction at a time, of a driver and of a vehicle.

A means is how the money is taken. Channels answer later (services/deduct.py), and until then the driver has credit; a
wallet is paid from in the transaction of the exit itself, so that nothing is owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from parking.core.parking_session import ParkingSession

Means = Literal["alipay", "wechat_pay", "wallet"]
Service = Literal["asked", "normal", "blocked"]
WhyNot = Literal["no_agreement", "irregular", "above_ceiling", "service_closed", "unpaid_before", "wallet_too_low"]
MEANS: tuple[Means, ...] = ("alipay", "wechat_pay", "wallet")
WAY = "auto"  # of a payment: how it is made (store/payments.py)
CEILING_DEFAULT_FEN, CEILING_MAX_FEN = 10_000, 50_000  # a stay
# Refused for want of money it is tried again so long after it was asked; after the last time it is closed.
RETRY_AFTER = (timedelta(hours=1), timedelta(days=1), timedelta(days=3))
DEDUCTION_LIFE = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A driver lets an operator take the fees of a vehicle, up to a ceiling a stay.

    channel_no: the channel's number of it, where the channel has one. service: what the channel last said of the
    plate, where it says so of plates; None: it does not, or has not yet.
    """

    vehicle_key: bytes
    agreement_id: UUID
    driver_id: UUID
    operator_id: UUID
    account_id: UUID
    means: str
    ceiling_fen: int
    channel_no: str | None = None
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The agreement that a fee is deducted by; or the word why it is by none, and which came nearest."""

    agreement: Agreement | None
    why_not: WhyNot | None = None


def refuse(agreement: Agreement, session: ParkingSession, *, due_fen: int) -> WhyNot | None:
    """Why a fee may not be deducted by an agreement; None where it may. The credit rule is looked at apart.

    The order is that in which a driver can do something about it.
    """
    if session.state != "open" or session.flags:
        return "irregular"
    if due_fen > agreement.ceiling_fen:
        return "above_ceiling"
    if agreement.means == "wechat_pay" and agreement.service != "normal":
        return "service_closed"
    return None


def choose(
    agreements: Sequence[Agreement], session: ParkingSession, *, driver_id: UUID | None, due_fen: int
) -> Choice:
    """The first agreement that bears the fee: of the driver whose code it was, else the oldest.

    :param agreements: of the vehicle with the lot's operator, oldest first
    :param driver_id: whose code was shown at the exit, or at the entry
    """
    assert due_fen > 0
    if not agreements:
        return Choice(None, "no_agreement")
    ordered = sorted(agreements, key=lambda each: each.driver_id != driver_id)
    answers = [refuse(each, session, due_fen=due_fen) for each in ordered]
    for agreement, why_not in zip(ordered, answers, strict=True):
        if why_not is None:
            return Choice(agreement)
    return Choice(ordered[0], answers[0])


def retry_at_most(tries: int) -> timedelta | None:
    """How long after it was asked a deduction is tried once more, that was refused so often for want of money."""
    return RETRY_AFTER[tries - 1] if 1 <= tries <= len(RETRY_AFTER) else None
