"""A receipt: what a visit that is over cost and why, how it was paid, and what proves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.charge import ChargeBody
from parking.core.reason import Words


@dataclass(frozen=True, slots=True)
class ReceiptRefund:
    """state: asked, accepted, done or failed; whatever it is, the driver has a right to the money."""

    refund_no: str
    asked_at: datetime
    state: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class ReceiptPayment:
    """One order that was paid. order_no is ours, transaction_no the channel's."""

    channel: str
    order_no: str
    transaction_no: str
    paid_at: datetime
    amount_fen: int
    refunds: tuple[ReceiptRefund, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """sealed_text and seal: what a third party checks. tariff_text: canonical, its SHA-256 is charge.tariff_hash.
    key: the public JWK that the seal was made with.

    plate: masked; None where none is known. waived_fen: what the operator took off the charge.
    """

    parking_session_id: str
    lot_name: Words
    operator_name: str
    zone: ZoneInfo
    plate: str | None
    charge_id: UUID
    charge: ChargeBody
    sealed_at: datetime
    sealed_text: str
    seal: str
    tariff_text: str
    key: Mapping[str, Any]
    payments: tuple[ReceiptPayment, ...]
    waived_fen: int

    @property
    def refunds(self) -> tuple[ReceiptRefund, ...]:
        """Oldest first."""
        made = [refund for payment in self.payments for refund in payment.refunds]
        return tuple(sorted(made, key=lambda refund: refund.asked_at))

    @property
    def paid_fen(self) -> int:
        return sum(payment.amount_fen for payment in self.payments)

    @property
    def refunded_fen(self) -> int:
        return sum(refund.amount_fen for refund in self.refunds)

    @property
    def due_fen(self) -> int:
        """Still to pay; reckoned from what the receipt shows, so that it adds up on its face."""
        return max(0, self.charge.total_fen - self.waived_fen - self.paid_fen + self.refunded_fen)

    @property
    def surplus_fen(self) -> int:
        """Paid too much, and not yet asked back."""
        return max(0, self.paid_fen - self.refunded_fen - self.charge.total_fen + self.waived_fen)

    @property
    def stated_at(self) -> datetime:
        """The last thing that the receipt tells of: the same receipt is the same document."""
        told = [payment.paid_at for payment in self.payments] + [refund.asked_at for refund in self.refunds]
        return max(self.sealed_at, *told) if told else self.sealed_at
