"""Alipay: a QR to show (precreate) or an address to go to (wap.pay), queries, refunds, notifications.

Requests are signed with the app's RSA key (RSA2), answers and notifications with Alipay's
(`alipay_gateway.py`, `alipay_wire.py`, `alipay_trust.py`). An order that nobody has scanned is not known at
Alipay: it cannot be queried or closed, and ends by the times that it was given. Source: opendocs.alipay.com,
the pages of the methods named below; fields as in the official SDK (github.com/alipay/alipay-sdk-python-all).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

import httpx

from parking.adapters.alipay_gateway import Gateway, Merchant, wall
from parking.adapters.alipay_trust import read_private_key, trust_certificates, trust_keys
from parking.adapters.alipay_wire import SIGNED_BY, is_signed, signed_text
from parking.adapters.deduct_alipay import ENDED, SIGNED, AlipayAgreements, read_agreement, read_instant
from parking.core.channel import (
    BadEvent,
    ChannelEvent,
    ChannelPayment,
    ChannelRefund,
    ChannelRefused,
    ChannelUnavailable,
    NoStatement,
    Order,
)
from parking.core.fund_bill import Purse
from parking.core.money import format_yuan, parse_yuan
from parking.core.statement import CHANNEL_ZONE

EVENT_AGE_MAX = timedelta(hours=26)  # a notification is sent again for 25 hours
CLOCKS_APART_MAX = timedelta(minutes=5)
NO_REFUND = "no_refund_of_this_number"
_UNKNOWN_ORDER = "ACQ.TRADE_NOT_EXIST"
_NO_BILL = "BILL_NOT_EXIST"
_NOT_OPEN = frozenset({
    _UNKNOWN_ORDER, "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_ILLEGAL_STATUS", "ACQ.REASON_TRADE_STATUS_INVALID"})


class Alipay:
    """The channel `alipay` (core/channel.py). now: the caller's; nothing here reads a clock."""

    name = "alipay"
    thanks = "success"

    def __init__(self, merchant: Merchant, client: httpx.Client | None = None) -> None:
        self._merchant, self._gateway = merchant, Gateway(merchant, client)
        self.deducts = AlipayAgreements(merchant, self._gateway, self.query_order) if merchant.sign_scene else None

    def create_order(self, order: Order, *, now: datetime) -> str:
        content = {
            "out_trade_no": order.order_no, "total_amount": format_yuan(order.amount_fen), "subject": order.says,
            "seller_id": self._merchant.seller_id, "time_expire": wall(order.expires_at)}
        if order.way == "in_app":
            raise ChannelRefused("NO_IN_APP")  # inside Alipay its mobile website payment is in the app
        if order.way == "redirect":
            content |= {"product_code": "QUICK_WAP_WAY", "quit_url": order.return_url}
            return self._gateway.address("alipay.trade.wap.pay", content, now, {
                "notify_url": self._merchant.notify_url, "return_url": order.return_url})
        minutes = max(1, -((now - order.expires_at) // timedelta(minutes=1)))
        content["qr_code_timeout_express"] = f"{minutes}m"
        answer = self._gateway.call("alipay.trade.precreate", content, now, {"notify_url": self._merchant.notify_url})
        _check_same(answer, out_trade_no=order.order_no)
        return _text(answer, "qr_code")

    def query_order(self, order_no: str, *, now: datetime) -> ChannelPayment:
        try:
            answer = self._gateway.call("alipay.trade.query", {"out_trade_no": order_no}, now)
        except ChannelRefused as refused:
            if refused.reason == _UNKNOWN_ORDER:
                return ChannelPayment(order_no, "unknown")
            raise
        _check_same(answer, out_trade_no=order_no)
        return _payment(answer, paid_at=answer.get("send_pay_date"))

    def close_order(self, order_no: str, *, now: datetime) -> None:
        try:
            self._gateway.call("alipay.trade.close", {"out_trade_no": order_no}, now)
        except ChannelRefused as refused:
            if refused.reason not in _NOT_OPEN:
                raise

    def refund(
        self, *, order_no: str, refund_no: str, amount_fen: int, total_fen: int, why: str, now: datetime
    ) -> ChannelRefund:
        # Its answer says only whether this very call moved money (fund_change); the query says what became of it.
        self._gateway.call("alipay.trade.refund", {
            "out_trade_no": order_no, "out_request_no": refund_no, "refund_amount": format_yuan(amount_fen),
            "refund_reason": why}, now)
        try:
            return self.query_refund(refund_no, order_no=order_no, now=now)
        except ChannelRefused as refused:
            raise ChannelUnavailable(f"a refund that is not there yet: {refused.reason}") from None

    def query_refund(self, refund_no: str, *, order_no: str, now: datetime) -> ChannelRefund:
        answer = self._gateway.call("alipay.trade.fastpay.refund.query", {
            "out_trade_no": order_no, "out_request_no": refund_no, "query_options": ["gmt_refund_pay"]}, now)
        if answer.get("refund_status") != "REFUND_SUCCESS":
            raise ChannelRefused(NO_REFUND)
        _check_same(answer, out_trade_no=order_no, out_request_no=refund_no)
        taken_on = answer.get("gmt_refund_pay")
        try:
            return ChannelRefund(
                refund_no, "done", _text(answer, "trade_no"), _fen(answer.get("refund_amount")),
                _instant(taken_on) if taken_on else None)
        except ValueError:
            raise ChannelUnavailable("an answer without what it should hold") from None

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ChannelEvent:
        said = _read_form(body)
        signature, kind = said.pop("sign", ""), said.pop("sign_type", "")
        if kind != SIGNED_BY:
            raise BadEvent("unknown_algorithm")
        if not is_signed(self._merchant.trust.keys.values(), signed_text(said), signature):
            raise BadEvent("bad_signature")
        is_agreement = said.get("notify_type") in (SIGNED, ENDED)  # of these the app alone says whose they are
        if said.get("app_id") != self._merchant.app_id or (
            not is_agreement and said.get("seller_id") != self._merchant.seller_id
        ):
            raise BadEvent("other_merchant")
        try:
            age = now - _instant(said["notify_time"])
            if not -CLOCKS_APART_MAX <= age <= EVENT_AGE_MAX:
                raise BadEvent("too_old")
            told = read_agreement(
                said, at=read_instant(said.get("unsign_time") or said.get("sign_time"))
            ) if is_agreement else _told(said)
            return ChannelEvent(_text(said, "notify_id"), told)
        except (KeyError, ValueError, ChannelUnavailable):
            raise BadEvent("unreadable") from None

    def fetch_statement(self, day: date, into: BinaryIO, *, now: datetime) -> int:
        """The bill of trades (ZIP), as it is."""
        return self._fetch_bill("trade", day, into, now)

    def fetch_funds(self, day: date, purse: Purse, into: BinaryIO, *, now: datetime) -> int:
        """An account here has one purse."""
        if purse != "BASIC":
            raise NoStatement("no_such_purse")
        return self._fetch_bill("signcustomer", day, into, now)

    def _fetch_bill(self, kind: str, day: date, into: BinaryIO, now: datetime) -> int:
        try:
            answer = self._gateway.call("alipay.data.dataservice.bill.downloadurl.query", {
                "bill_type": kind, "bill_date": f"{day}"}, now)
        except ChannelRefused as refused:
            if refused.reason == _NO_BILL:
                raise NoStatement(refused.reason) from None
            raise
        return self._gateway.fetch(_text(answer, "bill_download_url"), into)


def make_alipay(settings: dict[str, Any], notify_url: str, client: httpx.Client | None = None) -> Alipay:
    """The channel through an account: app_id, seller_id, gateway_url, private_key, and either alipay_keys (a list,
    the present one and, before a change, the next) or the files app_cert, alipay_cert and root_cert (PEM); sign_scene,
    where drivers can sign agreements.

    :raises ValueError, KeyError: a setting is missing or no key
    """
    if not (settings["seller_id"].isascii() and settings["seller_id"].isdigit() and len(settings["seller_id"]) == 16):
        raise ValueError("the seller's number is 16 digits")
    trust = (
        trust_certificates(settings["app_cert"], settings["alipay_cert"], settings["root_cert"])
        if settings.get("app_cert") else trust_keys(settings["alipay_keys"]))
    return Alipay(Merchant(
        settings["app_id"], settings["seller_id"], read_private_key(settings["private_key"]), trust,
        settings["gateway_url"], notify_url, settings.get("sign_scene") or ""), client)


def _told(said: Mapping[str, str]) -> ChannelPayment | ChannelRefund:
    """What a notification is about: a refund if it names one, else the order.

    Its refund_fee is all that has gone back of the order so far, so how much this refund is it does not say.
    """
    if said.get("out_biz_no") and said.get("gmt_refund"):
        return ChannelRefund(
            said["out_biz_no"], "done", _text(said, "trade_no"), accepted_at=_instant(said["gmt_refund"]))
    return _payment(said, paid_at=said.get("gmt_payment"))


def _payment(said: Mapping[str, Any], *, paid_at: Any) -> ChannelPayment:
    """paid_at: also of a closed order where it was paid, and all of it went back since."""
    status, order_no = said.get("trade_status"), _text(said, "out_trade_no")
    if status == "WAIT_BUYER_PAY":
        return ChannelPayment(order_no, "waiting")
    if status == "TRADE_CLOSED" and not paid_at:
        return ChannelPayment(order_no, "closed")
    if status not in ("TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED") or said.get("trans_currency", "CNY") != "CNY":
        raise ChannelUnavailable("an answer without what it should hold")
    try:
        return ChannelPayment(
            order_no, "paid", _fen(said.get("total_amount")), _text(said, "trade_no"), _instant(paid_at))
    except ValueError:
        raise ChannelUnavailable("an answer without what it should hold") from None


def _read_form(body: bytes) -> dict[str, str]:
    """:raises BadEvent: no form in UTF-8, or a name that stands twice"""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict",
                          max_num_fields=200)
    except ValueError:
        raise BadEvent("unreadable") from None
    said = dict(pairs)
    if len(said) != len(pairs) or said.get("charset", "utf-8").lower() != "utf-8" or "\0" in "".join(said.values()):
        raise BadEvent("unreadable")
    return said


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or len(value) > 2048:
        raise ChannelUnavailable("an answer without what it should hold")
    return value


def _check_same(said: Mapping[str, Any], **asked: str) -> None:
    if any(said.get(name) != value for name, value in asked.items()):
        raise ChannelUnavailable("an answer about another order")


def _fen(text: Any) -> int:
    """:raises ValueError: no amount in yuan"""
    fen = parse_yuan(text) if isinstance(text, str) else None
    if fen is None:
        raise ValueError("no amount")
    return fen


def _instant(text: Any) -> datetime:
    """:raises ValueError: no time such as 2026-03-10 09:41:07, perhaps with parts of a second"""
    if not isinstance(text, str):
        raise ValueError("no time")
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(text, form).replace(tzinfo=CHANNEL_ZONE).astimezone(UTC)
