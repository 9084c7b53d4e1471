"""What WeChat Pay's simulator knows: the orders and refunds that it was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SeenOrder:
    order_no: str
    token: str
    total: int
    description: str
    notify_url: str
    expires_at: str
    state: str = "NOTPAY"
    transaction_id: str = ""
    paid_at: str = ""
    kind: str = "NATIVE"
    payer: str = ""


@dataclass
class SeenRefund:
    refund_no: str
    order_no: str
    refund_id: str
    amount: int
    notify_url: str
    asked_at: str
    status: str = "PROCESSING"


@dataclass
class SeenWithdrawal:
    """Money that was taken out to the merchant's bank."""

    flow_no: str
    at: str
    amount: int


@dataclass
class Seen:
    """All that the channel knows. callbacks: "send", "drop" or "twice".

    failures: next calls that fail; lost_answers: next calls that are done and never answered.
    """

    orders: dict[str, SeenOrder] = field(default_factory=dict)
    refunds: dict[str, SeenRefund] = field(default_factory=dict)
    withdrawals: list[SeenWithdrawal] = field(default_factory=list)
    callbacks: str = "send"
    failures: int = 0
    lost_answers: int = 0
