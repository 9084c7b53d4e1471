"""Alipay's agreements as its simulator plays them: a page that signs, notifications, and fees taken by an agreement."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from parking.adapters.alipay_gateway import wall
from parking.core.money import parse_yuan
from parking.simulators.alipay_desk import Refused
from parking.simulators.alipay_seen import Seen, SeenOrder

SIGN, QUERY, UNSIGN, PAY = (
    "alipay.user.agreement.page.sign", "alipay.user.agreement.query", "alipay.user.agreement.unsign",
    "alipay.trade.pay")


@dataclass
class SeenAgreement:
    """An agreement. token: of its page; agreement_no: the channel's number, once it was signed."""

    external_no: str
    token: str
    scene: str
    product: str
    notify_url: str
    return_url: str
    agreement_no: str = ""
    state: str = ""
    signed_at: str = ""
    ended_at: str = ""


@dataclass
class Agreements:
    """What the channel knows of them. poor: the numbers of those whose users have no money."""

    signed: dict[str, SeenAgreement] = field(default_factory=dict)
    poor: set[str] = field(default_factory=set)


class AgreementDesk:
    """The part of Alipay's simulator that knows agreements. told: of one that changed."""

    def __init__(
        self, orders: Seen, clock: Callable[[], datetime], told: Callable[[SeenAgreement], None],
        told_of_order: Callable[[SeenOrder, None], None],
    ) -> None:
        self.seen, self._orders, self._clock, self._told = Agreements(), orders, clock, told
        self._told_of_order = told_of_order

    def open_page(self, asked: Mapping[str, Any], *, notify_url: str, return_url: str) -> SeenAgreement:
        """Somebody comes to sign; the same number again is the same agreement.

        :raises Refused
        """
        number = str(asked.get("external_agreement_no") or "")
        if not number.isalnum() or len(number) > 32 or not asked.get("sign_scene") or (
            asked.get("personal_product_code"), asked.get("product_code")
        ) != ("GENERAL_WITHHOLDING_P", "GENERAL_WITHHOLDING"):
            raise Refused("INVALID_PARAMETER")
        return self.seen.signed.setdefault(number, SeenAgreement(
            number, secrets.token_urlsafe(9), asked["sign_scene"], asked["personal_product_code"], notify_url,
            return_url))

    def find_page(self, token: str) -> SeenAgreement | None:
        return next((each for each in self.seen.signed.values() if each.token == token), None)

    def sign(self, external_no: str) -> bool:
        """Somebody agrees; False where it was signed or ended before."""
        made = self.seen.signed[external_no]
        if made.state:
            return False
        made.state, made.signed_at = "NORMAL", wall(self._clock())
        made.agreement_no = f"{made.signed_at[:4]}{secrets.randbelow(10**16):016d}"
        self._told(made)
        return True

    def end(self, external_no: str) -> None:
        """Somebody ends it, in the app or by the merchant."""
        made = self.seen.signed[external_no]
        if made.state == "NORMAL":
            made.state, made.ended_at = "UNSIGN", wall(self._clock())
            self._told(made)

    def notification(self, made: SeenAgreement) -> dict[str, str]:
        """What is told of it, beside what every notification says."""
        is_over = made.state == "UNSIGN"
        return {
            "notify_type": "dut_user_unsign" if is_over else "dut_user_sign", "status": made.state,
            "external_agreement_no": made.external_no, "agreement_no": made.agreement_no,
            "personal_product_code": made.product, "sign_scene": made.scene, "alipay_user_id": "2088000000009999",
            "alipay_logon_id": "159****0001",
            **({"unsign_time": made.ended_at} if is_over else {"sign_time": made.signed_at})}

    def answer(self, method: str, asked: Mapping[str, Any], notify_url: str) -> dict[str, Any]:
        """:raises Refused"""
        if method == PAY:
            return self._take_money(asked, notify_url)
        made = self.seen.signed.get(str(asked.get("external_agreement_no")))
        if made is None or not made.state or made.scene != asked.get("sign_scene"):
            raise Refused("USER_AGREEMENT_NOT_EXIST")
        if method == UNSIGN:
            if made.state != "NORMAL":
                raise Refused("USER_AGREEMENT_NOT_EXIST")
            self.end(made.external_no)
            return {}
        return {"external_agreement_no": made.external_no, "agreement_no": made.agreement_no, "status": made.state,
                "sign_time": made.signed_at, "sign_scene": made.scene, "personal_product_code": made.product,
                "principal_type": "CARD", "principal_id": "2088000000009999"}

    def _take_money(self, asked: Mapping[str, Any], notify_url: str) -> dict[str, Any]:
        amount, number = parse_yuan(str(asked.get("total_amount", ""))), str(asked.get("out_trade_no") or "")
        by = asked.get("agreement_params")
        by_no = by.get("agreement_no") if isinstance(by, dict) else None
        if not amount or not number or asked.get("product_code") != "GENERAL_WITHHOLDING":
            raise Refused("ACQ.INVALID_PARAMETER")
        known = self._orders.orders.get(number)
        if known is not None and known.state in ("TRADE_SUCCESS", "TRADE_CLOSED"):
            raise Refused("ACQ.TRADE_HAS_SUCCESS" if known.total == amount else "ACQ.CONTEXT_INCONSISTENT")
        made = next((each for each in self.seen.signed.values() if by_no and each.agreement_no == by_no), None)
        if made is None:
            raise Refused("ACQ.AGREEMENT_NOT_EXIST")
        if made.state != "NORMAL":
            raise Refused("ACQ.AGREEMENT_INVALID")
        if made.external_no in self.seen.poor:
            raise Refused("ACQ.BUYER_BALANCE_NOT_ENOUGH")
        at = wall(self._clock())
        order = SeenOrder(
            number, asked["subject"], notify_url, "", asked["time_expire"], total=amount, state="TRADE_SUCCESS",
            trade_no=f"{at[:10].replace('-', '')}22{secrets.randbelow(10**18):018d}", made_at=at, paid_at=at)
        self._orders.orders[number] = order
        self._told_of_order(order, None)
        return {"out_trade_no": number, "trade_no": order.trade_no, "total_amount": asked["total_amount"],
                "gmt_payment": at, "buyer_user_id": "2088000000009999"}
