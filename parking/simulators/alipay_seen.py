"""What Alipay's simulator knows: the orders, trades and refunds that it was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SeenOrder:
    """An order. Until somebody opens it there is no trade: state "" and no trade_no.

    codes: what was handed out to pay with, each with its own amount in fen.
    """

    order_no: str
    subject: str
    notify_url: str
    return_url: str
    expires_at: str
    codes: dict[str, int] = field(default_factory=dict)
    total: int = 0
    state: str = ""
    trade_no: str = ""
    made_at: str = ""
    paid_at: str = ""
    over_at: str = ""


@dataclass
class SeenRefund:
    refund_no: str
    order_no: str
    amount: int
    done_at: str
    why: str = ""


@dataclass
class SeenWithdrawal:
    """Money that was taken out to the merchant's bank."""

    flow_no: str
    at: str
    amount: int


@dataclass
class Seen:
    """All that the channel knows. refunds: by order and refund number, which is unique within its order only.

    callbacks: "send", "drop", "twice" or "keep" (until `deliver_kept`); failures: next calls that fail;
    lost_answers: next calls that are done and never answered; is_empty: the merchant's balance, so nothing goes back.
    """

    orders: dict[str, SeenOrder] = field(default_factory=dict)
    refunds: dict[str, SeenRefund] = field(default_factory=dict)
    withdrawals: list[SeenWithdrawal] = field(default_factory=list)
    callbacks: str = "send"
    failures: int = 0
    lost_answers: int = 0
    is_empty: bool = False
