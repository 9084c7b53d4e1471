"""WeChat Pay, API v3: Native (a QR to show), H5 (an address to go to) and JSAPI (inside WeChat), queries, refunds,
callbacks.

How requests are signed and answers believed: `wechat_pay_gateway.py`. Source: pay.weixin.qq.com/doc/v3, "API v3".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from parking.adapters.channel_http import make_client
from parking.adapters.deduct_wechat import WechatParking, read_stay
from parking.adapters.in_app_wechat import WechatInApp
from parking.adapters.wechat_pay_gateway import APP_URL, AUTHORIZE_URL, Gateway, Merchant
from parking.adapters.wechat_pay_wire import SEALED_BY, open_sealed
from parking.core.channel import (
    BadEvent,
    ChannelEvent,
    ChannelPayment,
    ChannelRefund,
    ChannelRefused,
    ChannelUnavailable,
    NoStatement,
    Order,
    PaymentState,
    RefundState,
)
from parking.core.clock import format_instant, parse_instant
from parking.core.fund_bill import Purse
from parking.core.json_text import BadJson, load_strict

_STAY_CHANGED = "VEHICLE.ENTRANCE_STATE_CHANGE"
_NO_BILL = "NO_STATEMENT_EXIST"
_TRADE: dict[str, PaymentState] = {
    "SUCCESS": "paid", "REFUND": "paid", "NOTPAY": "waiting", "USERPAYING": "waiting", "ACCEPT": "waiting",
    "CLOSED": "closed", "REVOKED": "closed", "PAYERROR": "closed",
    "ACCEPTED": "waiting", "PAY_FAIL": "closed",  # of a fee that is deducted
}
_REFUND: dict[str, RefundState] = {
    "SUCCESS": "done", "PROCESSING": "accepted", "CLOSED": "failed", "ABNORMAL": "failed",
}


class WechatPay:
    """The channel `wechat_pay` (core/channel.py). now: the caller's; nothing here reads a clock."""

    name = "wechat_pay"
    thanks = ""

    def __init__(self, merchant: Merchant, client: httpx.Client | None = None) -> None:
        client = client or make_client()
        self._merchant, self._gateway = merchant, Gateway(merchant, client)
        self.in_app = WechatInApp(merchant, client)
        self.deducts = WechatParking(merchant, self._gateway, self._payment) if merchant.has_parking else None

    def create_order(self, order: Order, *, now: datetime) -> str:
        merchant = self._merchant
        body: dict[str, Any] = {
            "appid": merchant.appid, "mchid": merchant.mchid, "description": order.says,
            "out_trade_no": order.order_no, "time_expire": format_instant(order.expires_at.replace(microsecond=0)),
            "notify_url": merchant.notify_url, "amount": {"total": order.amount_fen, "currency": "CNY"},
        }
        if order.way == "qr":
            return str(self._gateway.call("POST", "/v3/pay/transactions/native", now, body)["code_url"])
        if order.way == "in_app":
            body["payer"] = {"openid": order.payer}
            answer = self._gateway.call("POST", "/v3/pay/transactions/jsapi", now, body)
            return self.in_app.sheet(str(answer["prepay_id"]), now=now)
        body["scene_info"] = {"payer_client_ip": order.payer_ip, "h5_info": {"type": "Wap"}}
        answer = self._gateway.call("POST", "/v3/pay/transactions/h5", now, body)
        return f"{answer['h5_url']}&redirect_url={quote(order.return_url, safe='')}"

    def query_order(self, order_no: str, *, now: datetime) -> ChannelPayment:
        path = f"/v3/pay/transactions/out-trade-no/{order_no}?mchid={self._merchant.mchid}"
        try:
            answer = self._gateway.call("GET", path, now)
        except ChannelRefused as refused:
            if refused.reason in ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"):
                return ChannelPayment(order_no, "unknown")
            raise
        said = self._payment(answer)
        if said.order_no != order_no:
            raise ChannelUnavailable("an answer about another order")
        return said

    def close_order(self, order_no: str, *, now: datetime) -> None:
        try:
            self._gateway.call("POST", f"/v3/pay/transactions/out-trade-no/{order_no}/close", now,
                       {"mchid": self._merchant.mchid})
        except ChannelRefused as refused:
            # Paid or closed already, or never known: the next query tells which.
            if refused.reason not in ("ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "ORDER_NOT_EXIST"):
                raise

    def refund(
        self, *, order_no: str, refund_no: str, amount_fen: int, total_fen: int, why: str, now: datetime
    ) -> ChannelRefund:
        return self._this_refund(refund_no, self._gateway.call("POST", "/v3/refund/domestic/refunds", now, {
            "out_trade_no": order_no, "out_refund_no": refund_no, "reason": why,
            "notify_url": self._merchant.notify_url,
            "amount": {"refund": amount_fen, "total": total_fen, "currency": "CNY"},
        }))

    def query_refund(self, refund_no: str, *, order_no: str, now: datetime) -> ChannelRefund:
        return self._this_refund(refund_no, self._gateway.call("GET", f"/v3/refund/domestic/refunds/{refund_no}", now))

    def fetch_statement(self, day: date, into: BinaryIO, *, now: datetime) -> int:
        """The trade bill of kind ALL."""
        return self._fetch_bill(f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL", into, now)

    def fetch_funds(self, day: date, purse: Purse, into: BinaryIO, *, now: datetime) -> int:
        return self._fetch_bill(f"/v3/bill/fundflowbill?bill_date={day}&account_type={purse}", into, now)

    def _fetch_bill(self, path: str, into: BinaryIO, now: datetime) -> int:
        """The hash that the signed answer names is the file's."""
        try:
            answer = self._gateway.call("GET", path, now)
        except ChannelRefused as refused:
            if refused.reason == _NO_BILL:
                raise NoStatement(refused.reason) from None
            raise
        address, stated = answer.get("download_url"), answer.get("hash_value")
        if answer.get("hash_type") != "SHA1" or not isinstance(address, str) or not isinstance(stated, str):
            raise ChannelUnavailable("an answer without what it should hold")
        return self._gateway.fetch(address, stated, into, now)

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ChannelEvent:
        self._gateway.check_signature(headers, body, now)
        try:
            event = load_strict(body)
            event_no, kind, resource = str(event["id"]), event["event_type"], event["resource"]
            if resource["algorithm"] != SEALED_BY:
                raise BadEvent("unknown_algorithm")
            said = load_strict(open_sealed(self._merchant.api_v3_key, resource))
        except (BadJson, KeyError, TypeError, ValueError, InvalidTag):
            raise BadEvent("unreadable") from None
        if not isinstance(said, dict) or _mchid(said) != self._merchant.mchid:
            raise BadEvent("other_merchant")
        try:
            if kind == _STAY_CHANGED:
                return ChannelEvent(event_no, read_stay(
                    said, state=said.get("parking_state"), why=said.get("blocked_state_description")))
            if str(kind).startswith("REFUND."):
                return ChannelEvent(event_no, self._refund({**said, "status": said["refund_status"]}))
            return ChannelEvent(event_no, self._payment(said))
        except (ChannelUnavailable, KeyError):
            raise BadEvent("unreadable") from None

    def _payment(self, said: dict[str, Any]) -> ChannelPayment:
        try:
            state = _TRADE[said["trade_state"]]
            if state != "paid":
                return ChannelPayment(str(said["out_trade_no"]), state)
            if said["appid"] != self._merchant.appid or _mchid(said) != self._merchant.mchid:
                raise BadEvent("other_merchant")
            total = said["amount"]["total"]
            if type(total) is not int or said["amount"].get("currency", "CNY") != "CNY":
                raise BadEvent("unreadable")
            return ChannelPayment(
                str(said["out_trade_no"]), state, total, str(said["transaction_id"]),
                parse_instant(said["success_time"]))
        except (KeyError, TypeError, ValueError):
            raise ChannelUnavailable("an answer without what it should hold") from None

    def _this_refund(self, refund_no: str, answer: dict[str, Any]) -> ChannelRefund:
        said = self._refund(answer)
        if said.refund_no != refund_no:
            raise ChannelUnavailable("an answer about another refund")
        return said

    def _refund(self, said: dict[str, Any]) -> ChannelRefund:
        try:
            taken_on = said.get("create_time") or said.get("success_time")  # a callback has the second alone
            return ChannelRefund(
                str(said["out_refund_no"]), _REFUND[said["status"]], str(said["refund_id"]),
                int(said["amount"]["refund"]), parse_instant(taken_on) if taken_on else None)
        except (KeyError, TypeError, ValueError):
            raise ChannelUnavailable("an answer without what it should hold") from None


def _mchid(said: Mapping[str, Any]) -> Any:
    """Whose it is; what is said of stays and deductions calls it by another name."""
    return said.get("mchid", said.get("sp_mchid"))


def make_wechat_pay(settings: dict[str, Any], notify_url: str, client: httpx.Client | None = None) -> WechatPay:
    """The channel through an account: mchid, appid, serial, private_key (PEM), api_v3_key, base_url, and,
    where the account has a platform public key instead of certificates, platform_key_id and platform_key (PEM);
    parking_service: it has the product; app_secret, authorize_url, app_url: to be paid inside WeChat.

    :raises ValueError, KeyError: a setting is missing or no key
    """
    private = load_pem_private_key(settings["private_key"].encode(), None)
    if not isinstance(private, RSAPrivateKey):
        raise ValueError("the merchant's key is no RSA key")
    if len(settings["api_v3_key"].encode()) != 32:
        raise ValueError("the APIv3 key is 32 characters")
    platform: dict[str, RSAPublicKey] = {}
    if settings.get("platform_key_id"):
        public = load_pem_public_key(settings["platform_key"].encode())
        if not isinstance(public, RSAPublicKey):
            raise ValueError("the platform's key is no RSA key")
        platform[settings["platform_key_id"]] = public
    return WechatPay(Merchant(
        settings["mchid"], settings["appid"], settings["serial"], private, settings["api_v3_key"].encode(),
        settings["base_url"].rstrip("/"), notify_url, platform, bool(settings.get("parking_service")),
        settings.get("app_secret", ""), settings.get("authorize_url", AUTHORIZE_URL).rstrip("/"),
        settings.get("app_url", APP_URL).rstrip("/")), client)
