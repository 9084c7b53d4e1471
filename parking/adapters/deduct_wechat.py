"""WeChat Pay's parking service (微信支付分停车服务): a stay is told at the entry, its fee taken on at the exit.

The driver opens the service for a plate in WeChat itself; a stay's answer, and a callback when that changes, say
whether its fee can be taken (NORMAL) or not (BLOCKED). A fee that was taken on (ACCEPTED) is taken later. Another
number of ours is another stay there, also of a car that is inside: the caller sees to it that there is one. Source:
pay.weixin.qq.com, wiki/doc/apiv3/apis/chapter8_8_1 to chapter8_8_6; fields as in the platform's SDK (wechatpay-go,
wexinpayscoreparking).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from parking.adapters.wechat_pay_gateway import Gateway, Merchant
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
from parking.core.clock import format_instant, parse_instant
from parking.core.statement import CHANNEL_ZONE

NAME_CHARS_MAX, DEVICE_CHARS_MAX = 32, 32
# By the form of a plate; what is yellow and what is blue of the others, their text does not say.
_COLOURS = {
    "nev_small_pure": "GREEN", "nev_small_hybrid": "GREEN", "nev_large_pure": "LIMEGREEN",
    "nev_large_hybrid": "LIMEGREEN", "trailer": "YELLOW", "trainer": "YELLOW", "police": "WHITE",
    "military": "WHITE", "armed_police": "WHITE", "hk": "BLACK", "macao": "BLACK", "embassy": "BLACK",
    "consular": "BLACK"}
_UNKNOWN_ORDER = ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS", "NOT_FOUND")
_ASKED_BEFORE = ("OUT_TRADE_NO_USED", "ORDERPAID", "ORDER_PAID", "ALREADY_EXISTS")
_FOR_WANT_OF_MONEY = ("NOT_ENOUGH", "NOTENOUGH")


class WechatParking:
    """How fees are deducted at WeChat Pay (core/channel.py, Deducts).

    :param read_payment: what an order's data says, as the channel reads it
    """

    is_signed = False

    def __init__(
        self, merchant: Merchant, gateway: Gateway, read_payment: Callable[[dict[str, Any]], ChannelPayment]
    ) -> None:
        self._merchant, self._gateway, self._read_payment = merchant, gateway, read_payment

    def sign(self, agreement_no: str, *, return_url: str, now: datetime) -> str:
        return ""

    def query_agreement(self, agreement_no: str, *, now: datetime) -> ChannelAgreement:
        """There is none to ask about: what the channel says, it says of each stay."""
        return ChannelAgreement(agreement_no, "active")

    def end_agreement(self, agreement_no: str, *, channel_no: str, now: datetime) -> None:
        """The driver's service stays open in WeChat; no more stays are told."""

    def announce_stay(self, stay: Stay, *, now: datetime) -> ChannelStay:
        answer = self._gateway.call("POST", "/v3/vehicle/parking/parkings", now, {
            "out_parking_no": stay.stay_no, **_car(stay), "notify_url": self._merchant.notify_url,
            "start_time": _wall(stay.entered_at), "parking_name": stay.lot_name[:NAME_CHARS_MAX],
            "free_duration": stay.free_seconds})
        said = read_stay(answer, state=answer.get("state"), why=answer.get("block_reason"))
        if said.stay_no != stay.stay_no:
            raise ChannelUnavailable("an answer about another stay")
        return said

    def deduct(self, deduction: Deduction, *, now: datetime) -> ChannelPayment:
        stay = deduction.stay
        assert stay is not None and deduction.stay_channel_no
        try:
            answer = self._gateway.call("POST", "/v3/vehicle/transactions/parking", now, {
                "appid": self._merchant.appid, "description": deduction.says, "out_trade_no": deduction.order_no,
                "trade_scene": "PARKING", "notify_url": self._merchant.notify_url, "profit_sharing": "N",
                "amount": {"total": deduction.amount_fen, "currency": "CNY"},
                "parking_info": {
                    "parking_id": deduction.stay_channel_no, **_car(stay), "start_time": _wall(stay.entered_at),
                    "end_time": _wall(deduction.left_at), "parking_name": stay.lot_name[:NAME_CHARS_MAX],
                    "charging_duration": max(0, (deduction.left_at - stay.entered_at) // timedelta(seconds=1)),
                    "device_id": deduction.gate[:DEVICE_CHARS_MAX]}})
        except ChannelRefused as refused:
            if refused.reason in _ASKED_BEFORE:
                return self.query_deduction(deduction.order_no, now=now)
            raise DeductionRefused(
                refused.reason, may_later=any(word in refused.reason for word in _FOR_WANT_OF_MONEY)) from None
        return self._this(deduction.order_no, answer)

    def query_deduction(self, order_no: str, *, now: datetime) -> ChannelPayment:
        try:
            answer = self._gateway.call("GET", f"/v3/vehicle/transactions/out-trade-no/{order_no}", now)
        except ChannelRefused as refused:
            if refused.reason in _UNKNOWN_ORDER:
                return ChannelPayment(order_no, "unknown")
            raise
        return self._this(order_no, answer)

    def _this(self, order_no: str, answer: dict[str, Any]) -> ChannelPayment:
        said = self._read_payment(answer)
        if said.order_no != order_no:
            raise ChannelUnavailable("an answer about another order")
        return said


def read_stay(said: Mapping[str, Any], *, state: Any, why: Any) -> ChannelStay:
    """What an answer or a callback says of a stay.

    :raises ChannelUnavailable: not what it should hold
    """
    number, channel_no = said.get("out_parking_no"), said.get("parking_id") or said.get("id")
    at = said.get("state_update_time")
    try:
        if state not in ("NORMAL", "BLOCKED") or not isinstance(number, str) or not isinstance(channel_no, str):
            raise ValueError("no stay")
        return ChannelStay(
            number, "normal" if state == "NORMAL" else "blocked", channel_no, str(why or "")[:64],
            parse_instant(at) if at else None)
    except (TypeError, ValueError):
        raise ChannelUnavailable("an answer without what it should hold") from None


def _car(stay: Stay) -> dict[str, str]:
    return {"plate_number": stay.plate, "plate_color": _COLOURS.get(stay.plate_kind, "BLUE")}


def _wall(instant: datetime) -> str:
    return format_instant(instant.replace(microsecond=0), CHANNEL_ZONE)
