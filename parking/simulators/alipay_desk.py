"""What Alipay does when one of its methods is called: the orders, trades and refunds behind the simulator's gateway."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from parking.adapters.alipay_gateway import wall
from parking.core.money import format_yuan, parse_yuan
from parking.simulators.alipay_seen import Seen, SeenOrder, SeenRefund

_OVER = {
    "TRADE_SUCCESS": "ACQ.TRADE_HAS_SUCCESS", "TRADE_FINISHED": "ACQ.TRADE_HAS_SUCCESS",
    "TRADE_CLOSED": "ACQ.TRADE_HAS_CLOSE"}


class Refused(Exception):
    """The method was understood and refused; `sub_code` says why."""

    def __init__(self, sub_code: str) -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code


class Desk:
    """told: what is done when an order or a refund has come so far that the merchant is notified."""

    def __init__(
        self, seen: Seen, clock: Callable[[], datetime], told: Callable[[SeenOrder, SeenRefund | None], None]
    ) -> None:
        self.seen, self._clock, self._told = seen, clock, told

    def take_order(self, asked: Mapping[str, Any], notify_url: str, return_url: str = "") -> str:
        """A new code to pay by; the order may have had others."""
        amount = parse_yuan(str(asked.get("total_amount", "")))
        if not asked.get("out_trade_no") or not asked.get("subject") or not amount:
            raise Refused("ACQ.INVALID_PARAMETER")
        order = self.seen.orders.setdefault(asked["out_trade_no"], SeenOrder(
            asked["out_trade_no"], asked["subject"], notify_url, return_url, asked["time_expire"]))
        self.expire(order)
        if order.state in _OVER:
            raise Refused(_OVER[order.state])
        if order.state and order.total != amount:
            raise Refused("ACQ.CONTEXT_INCONSISTENT")
        code = f"bax{secrets.token_hex(10)}"
        order.codes[code] = amount
        return code

    def open_code(self, code: str) -> SeenOrder | None:
        """Somebody scans a code or comes to the page: the trade exists from now on. None for no such code."""
        newest_first = reversed(self.seen.orders.values())
        order = next((each for each in newest_first if code in each.codes), None)
        if order is None:
            return None
        if not order.state and not self._is_late(order):
            order.state, order.total = "WAIT_BUYER_PAY", order.codes[code]
            order.trade_no, order.made_at = f"{wall(self._clock())[:10].replace('-', '')}22{_digits(18)}", self._wall()
        self.expire(order)
        return order

    def take_money(self, order: SeenOrder, at: datetime) -> bool:
        if order.state != "WAIT_BUYER_PAY" or wall(at) > order.expires_at:
            return False
        order.state, order.paid_at = "TRADE_SUCCESS", wall(at)
        self._told(order, None)
        return True

    def expire(self, order: SeenOrder) -> None:
        if order.state == "WAIT_BUYER_PAY" and self._is_late(order):
            self._close(order, order.expires_at)

    def answer(self, method: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a method answers, but for precreate and files.

        :raises Refused
        """
        order = self.seen.orders.get(str(asked.get("out_trade_no")))
        if order is not None:
            self.expire(order)
        if order is None or not order.state:
            raise Refused("ACQ.TRADE_NOT_EXIST")
        steps: dict[str, Callable[[SeenOrder, Mapping[str, Any]], dict[str, Any]]] = {
            "alipay.trade.query": self._query, "alipay.trade.close": self._close_asked,
            "alipay.trade.refund": self._refund, "alipay.trade.fastpay.refund.query": self._query_refund}
        if method not in steps:
            raise Refused("isv.invalid-method")
        return {"out_trade_no": order.order_no, "trade_no": order.trade_no, **steps[method](order, asked)}

    def refunded(self, order: SeenOrder) -> int:
        return sum(each.amount for each in self.seen.refunds.values() if each.order_no == order.order_no)

    def _query(self, order: SeenOrder, asked: Mapping[str, Any]) -> dict[str, Any]:
        total = format_yuan(order.total)
        paid = {"send_pay_date": order.paid_at, "receipt_amount": total, "buyer_pay_amount": total,
                "fund_bill_list": [{"amount": total, "fund_channel": "ALIPAYACCOUNT"}]} if order.paid_at else {}
        return {"trade_status": order.state, "total_amount": total, "buyer_logon_id": "159****0001",
                "buyer_user_id": "2088000000009999", "point_amount": "0.00", "invoice_amount": total, **paid}

    def _close_asked(self, order: SeenOrder, asked: Mapping[str, Any]) -> dict[str, Any]:
        if order.state != "WAIT_BUYER_PAY":
            raise Refused("ACQ.REASON_TRADE_STATUS_INVALID")
        self._close(order, self._wall())
        return {}

    def _refund(self, order: SeenOrder, asked: Mapping[str, Any]) -> dict[str, Any]:
        amount, number = parse_yuan(str(asked.get("refund_amount", ""))), str(asked.get("out_request_no") or "")
        known = self.seen.refunds.get(f"{order.order_no}/{number}")
        if not order.paid_at:
            raise Refused("ACQ.TRADE_STATUS_ERROR")
        if known is not None and known.amount != amount:
            raise Refused("ACQ.DISCORDANT_REPEAT_REQUEST")
        if known is None and self.seen.is_empty:
            raise Refused("ACQ.SELLER_BALANCE_NOT_ENOUGH")
        if not amount or not number or (known is None and self.refunded(order) + amount > order.total):
            raise Refused("ACQ.REASON_TRADE_REFUND_FEE_ERR")
        if known is None:
            made = SeenRefund(number, order.order_no, amount, self._wall(), str(asked.get("refund_reason", "")))
            self.seen.refunds[f"{order.order_no}/{number}"] = made
            if self.refunded(order) == order.total:
                order.state, order.over_at = "TRADE_CLOSED", made.done_at
            self._told(order, made)
        return {"fund_change": "N" if known else "Y", "refund_fee": format_yuan(self.refunded(order)),
                "send_back_fee": "0.00" if known else format_yuan(amount), "buyer_user_id": "2088000000009999"}

    def _query_refund(self, order: SeenOrder, asked: Mapping[str, Any]) -> dict[str, Any]:
        refund = self.seen.refunds.get(f"{order.order_no}/{asked.get('out_request_no')}")
        if refund is None:
            return {}
        dated = {"gmt_refund_pay": refund.done_at} if "gmt_refund_pay" in asked.get("query_options", ()) else {}
        return {"out_request_no": refund.refund_no, "refund_status": "REFUND_SUCCESS",
                "refund_amount": format_yuan(refund.amount), "total_amount": format_yuan(order.total), **dated}

    def _close(self, order: SeenOrder, at: str) -> None:
        order.state, order.over_at = "TRADE_CLOSED", at
        self._told(order, None)

    def _is_late(self, order: SeenOrder) -> bool:
        return self._wall() > order.expires_at

    def _wall(self) -> str:
        return wall(self._clock())


def _digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}d}"
