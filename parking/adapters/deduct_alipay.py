"""Alipay's deduction by agreement (商家扣款): the driver signs once, fees are taken by the agreement's number.

A page of Alipay's signs (alipay.user.agreement.page.sign), under a number of ours; a notification tells of signing
(`dut_user_sign`) and of ending (`dut_user_unsign`), whoever ended it. A fee is taken by alipay.trade.pay of product
GENERAL_WITHHOLDING, and is a trade like any other from then on. Source: opendocs.alipay.com, the pages of the methods;
fields as in the official SDK (github.com/alipay/alipay-sdk-python-all).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from parking.adapters.alipay_gateway import Gateway, Merchant, wall
from parking.core.channel import (
    ChannelAgreement,
    ChannelPayment,
    ChannelRefused,
    ChannelStay,
    ChannelUnavailable,
    Deduction,
    DeductionRefused,
    Stay,
)
from parking.core.money import format_yuan
from parking.core.statement import CHANNEL_ZONE

PRODUCT, PERSONAL_PRODUCT = "GENERAL_WITHHOLDING", "GENERAL_WITHHOLDING_P"
SIGNED, ENDED = "dut_user_sign", "dut_user_unsign"
_NO_AGREEMENT = frozenset({"USER_AGREEMENT_NOT_EXIST", "AGREEMENT_NOT_EXIST"})
_PAID_BEFORE = frozenset({"ACQ.TRADE_HAS_SUCCESS"})
_FOR_WANT_OF_MONEY = frozenset({
    "ACQ.BUYER_BALANCE_NOT_ENOUGH", "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH", "ACQ.ERROR_BALANCE_PAYMENT_DISABLE",
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR", "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
    "ACQ.PULL_MOBILE_CASHIER_FAIL"})


class AlipayAgreements:
    """How fees are deducted at Alipay (core/channel.py, Deducts).

    :param query_order: the channel's truth about a trade
    """

    is_signed = True

    def __init__(
        self, merchant: Merchant, gateway: Gateway, query_order: Callable[..., ChannelPayment]
    ) -> None:
        self._merchant, self._gateway, self._query_order = merchant, gateway, query_order

    def sign(self, agreement_no: str, *, return_url: str, now: datetime) -> str:
        return self._gateway.address("alipay.user.agreement.page.sign", {
            **self._named(agreement_no), "product_code": PRODUCT, "access_params": {"channel": "QRCODEORSMS"},
        }, now, {"notify_url": self._merchant.notify_url, "return_url": return_url})

    def query_agreement(self, agreement_no: str, *, now: datetime) -> ChannelAgreement:
        try:
            answer = self._gateway.call("alipay.user.agreement.query", self._named(agreement_no), now)
        except ChannelRefused as refused:
            if refused.reason in _NO_AGREEMENT:
                return ChannelAgreement(agreement_no, "unknown")
            raise
        said = read_agreement(answer, at=None)
        if said.agreement_no != agreement_no:
            raise ChannelUnavailable("an answer about another agreement")
        return said

    def end_agreement(self, agreement_no: str, *, channel_no: str, now: datetime) -> None:
        try:
            self._gateway.call("alipay.user.agreement.unsign", self._named(agreement_no), now)
        except ChannelRefused as refused:
            if refused.reason not in _NO_AGREEMENT:
                raise

    def announce_stay(self, stay: Stay, *, now: datetime) -> ChannelStay:
        """It is not told of stays: an agreement that stands bears every one."""
        return ChannelStay(stay.stay_no, "normal")

    def deduct(self, deduction: Deduction, *, now: datetime) -> ChannelPayment:
        try:
            self._gateway.call("alipay.trade.pay", {
                "out_trade_no": deduction.order_no, "total_amount": format_yuan(deduction.amount_fen),
                "subject": deduction.says, "product_code": PRODUCT, "seller_id": self._merchant.seller_id,
                "agreement_params": {"agreement_no": deduction.agreement_no},
                "time_expire": wall(deduction.expires_at)}, now, {"notify_url": self._merchant.notify_url})
        except ChannelRefused as refused:
            if refused.reason not in _PAID_BEFORE:
                raise DeductionRefused(
                    refused.reason, may_later=refused.reason in _FOR_WANT_OF_MONEY) from None
        said = self.query_deduction(deduction.order_no, now=now)
        if said.state == "unknown":
            raise ChannelUnavailable("a trade that is not there yet")
        return said

    def query_deduction(self, order_no: str, *, now: datetime) -> ChannelPayment:
        return self._query_order(order_no, now=now)

    def _named(self, agreement_no: str) -> dict[str, Any]:
        return {"personal_product_code": PERSONAL_PRODUCT, "sign_scene": self._merchant.sign_scene,
                "external_agreement_no": agreement_no}


def read_agreement(said: Mapping[str, Any], *, at: datetime | None) -> ChannelAgreement:
    """What an answer or a notification says of an agreement.

    :raises ChannelUnavailable: not what it should hold
    """
    number, channel_no, status = (said.get(name) for name in ("external_agreement_no", "agreement_no", "status"))
    texts = [each for each in (number, channel_no) if isinstance(each, str) and 0 < len(each) <= 64]
    if len(texts) != 2 or status not in ("NORMAL", "TEMP", "STOP", "UNSIGN"):
        raise ChannelUnavailable("an answer without what it should hold")
    state = {"NORMAL": "active", "TEMP": "unknown", "STOP": "ended", "UNSIGN": "ended"}[status]
    return ChannelAgreement(texts[0], state, texts[1], at)  # type: ignore[arg-type]


def read_instant(text: Any) -> datetime | None:
    """:raises ValueError: no time such as 2026-03-10 09:41:07"""
    if not text:
        return None
    return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHANNEL_ZONE).astimezone(UTC)
