"""WeChat Pay, API v3: Native (a QR to show) and H5 (an address to go to), queries, refunds, callbacks.

Requests are signed with the merchant's RSA key (SHA-256, PKCS #1 v1.5) over method, path, time,
nonce and body, each on a line. Answers and callbacks carry the platform's signature over time,
nonce and body, and the serial of the key that made it; the platform's certificates come from
`/v3/certificates`, encrypted under the APIv3 key (AES-256-GCM), and are asked for again when a
serial is not known. Nothing unsigned is believed. Source: pay.weixin.qq.com/doc/v3, "API v3".
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha1
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from parking.adapters.wechat_pay_wire import SCHEME, SEALED_BY, is_signed, open_sealed, sign
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
from parking.core.json_text import BadJson, load_object, load_strict

AGE_MAX = timedelta(minutes=5)
KEYS_ASKED_EVERY = timedelta(minutes=1)
KEYS_ASKED_AGAIN = timedelta(seconds=5)
TIMEOUT = httpx.Timeout(4.0, connect=2.0)
ANSWER_BYTES_MAX = 256 * 1024
FILE_BYTES_MAX = 512 * 1024 * 1024
_NO_BILL = "NO_STATEMENT_EXIST"
_TRADE: dict[str, PaymentState] = {
    "SUCCESS": "paid", "REFUND": "paid", "NOTPAY": "waiting", "USERPAYING": "waiting", "ACCEPT": "waiting",
    "CLOSED": "closed", "REVOKED": "closed", "PAYERROR": "closed",
}
_REFUND: dict[str, RefundState] = {
    "SUCCESS": "done", "PROCESSING": "accepted", "CLOSED": "failed", "ABNORMAL": "failed",
}
_LATER = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED", "BANK_ERROR"})


@dataclass(frozen=True)
class Merchant:
    """A merchant's account. api_v3_key: 32 bytes; platform_keys: by serial or key id, may be empty.

    base_url: of the API; notify_url: where the channel reaches our callback.
    """

    mchid: str
    appid: str
    serial: str
    private_key: RSAPrivateKey
    api_v3_key: bytes
    base_url: str
    notify_url: str
    platform_keys: dict[str, RSAPublicKey] = field(default_factory=dict)


class WechatPay:
    """The channel `wechat_pay` (core/channel.py). now: the caller's; nothing here reads a clock."""

    name = "wechat_pay"
    thanks = ""

    def __init__(self, merchant: Merchant, client: httpx.Client | None = None) -> None:
        self._merchant = merchant
        self._client = client or httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)
        self._keys = dict(merchant.platform_keys)
        self._ask_keys_at: datetime | None = None
        self._asking = threading.Lock()

    def create_order(self, order: Order, *, now: datetime) -> str:
        merchant = self._merchant
        body: dict[str, Any] = {
            "appid": merchant.appid, "mchid": merchant.mchid, "description": order.says,
            "out_trade_no": order.order_no, "time_expire": format_instant(order.expires_at.replace(microsecond=0)),
            "notify_url": merchant.notify_url, "amount": {"total": order.amount_fen, "currency": "CNY"},
        }
        if order.way == "qr":
            return str(self._call("POST", "/v3/pay/transactions/native", now, body)["code_url"])
        body["scene_info"] = {"payer_client_ip": order.payer_ip, "h5_info": {"type": "Wap"}}
        answer = self._call("POST", "/v3/pay/transactions/h5", now, body)
        return f"{answer['h5_url']}&redirect_url={quote(order.return_url, safe='')}"

    def query_order(self, order_no: str, *, now: datetime) -> ChannelPayment:
        path = f"/v3/pay/transactions/out-trade-no/{order_no}?mchid={self._merchant.mchid}"
        try:
            answer = self._call("GET", path, now)
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
            self._call("POST", f"/v3/pay/transactions/out-trade-no/{order_no}/close", now,
                       {"mchid": self._merchant.mchid})
        except ChannelRefused as refused:
            # Paid or closed already, or never known: the next query tells which.
            if refused.reason not in ("ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "ORDER_NOT_EXIST"):
                raise

    def refund(
        self, *, order_no: str, refund_no: str, amount_fen: int, total_fen: int, why: str, now: datetime
    ) -> ChannelRefund:
        return self._this_refund(refund_no, self._call("POST", "/v3/refund/domestic/refunds", now, {
            "out_trade_no": order_no, "out_refund_no": refund_no, "reason": why,
            "notify_url": self._merchant.notify_url,
            "amount": {"refund": amount_fen, "total": total_fen, "currency": "CNY"},
        }))

    def query_refund(self, refund_no: str, *, order_no: str, now: datetime) -> ChannelRefund:
        return self._this_refund(refund_no, self._call("GET", f"/v3/refund/domestic/refunds/{refund_no}", now))

    def fetch_statement(self, day: date, into: BinaryIO, *, now: datetime) -> int:
        """The trade bill of kind ALL; the hash that its signed answer names is the file's."""
        try:
            answer = self._call("GET", f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL", now)
        except ChannelRefused as refused:
            if refused.reason == _NO_BILL:
                raise NoStatement(refused.reason) from None
            raise
        address, stated = answer.get("download_url"), answer.get("hash_value")
        if answer.get("hash_type") != "SHA1" or not isinstance(address, str) or not isinstance(stated, str):
            raise ChannelUnavailable("an answer without what it should hold")
        where = urlsplit(address)
        path = f"{where.path}?{where.query}" if where.query else where.path
        made, size = sha1(usedforsecurity=False), 0
        try:
            with self._client.stream("GET", address, headers={
                "User-Agent": "parking", "Authorization": self._authorization("GET", path, now, b"")}) as file:
                if file.status_code != 200:
                    raise ChannelUnavailable(f"a file of status {file.status_code}")
                for part in file.iter_bytes():
                    size += len(part)
                    if size > FILE_BYTES_MAX:
                        raise ChannelUnavailable("a file that is too long")
                    made.update(part)
                    into.write(part)
        except httpx.HTTPError as error:
            raise ChannelUnavailable(type(error).__name__) from None
        if made.hexdigest() != stated.lower():
            raise ChannelUnavailable("a file that is not the one that was promised")
        return size

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ChannelEvent:
        self._check_signature(headers, body, now)
        try:
            event = load_strict(body)
            event_no, kind, resource = str(event["id"]), event["event_type"], event["resource"]
            if resource["algorithm"] != SEALED_BY:
                raise BadEvent("unknown_algorithm")
            said = load_strict(open_sealed(self._merchant.api_v3_key, resource))
        except (BadJson, KeyError, TypeError, ValueError, InvalidTag):
            raise BadEvent("unreadable") from None
        if not isinstance(said, dict) or said.get("mchid") != self._merchant.mchid:
            raise BadEvent("other_merchant")
        try:
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
            if said["appid"] != self._merchant.appid or said["mchid"] != self._merchant.mchid:
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

    def _call(self, method: str, path: str, now: datetime, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer, text = self._send(method, path, now, body)
        if answer.status_code >= 300:
            self._refuse(answer.status_code, text)
        try:
            self._check_signature(answer.headers, text, now)
        except BadEvent as bad:
            raise ChannelUnavailable(f"an answer that cannot be believed: {bad.reason}") from None
        return self._json(text) if text else {}

    def _send(
        self, method: str, path: str, now: datetime, body: dict[str, Any] | None
    ) -> tuple[httpx.Response, bytes]:
        sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        try:
            answer = self._client.request(
                method, self._merchant.base_url + path, content=sent or None,
                headers={
                    "Accept": "application/json", "Content-Type": "application/json",
                    "User-Agent": "parking", "Authorization": self._authorization(method, path, now, sent),
                })
        except httpx.HTTPError as error:
            raise ChannelUnavailable(type(error).__name__) from None
        if len(answer.content) > ANSWER_BYTES_MAX:
            raise ChannelUnavailable("an answer that is too long")
        return answer, answer.content

    def _refuse(self, status: int, text: bytes) -> None:
        said = self._json(text)
        reason = str(said.get("code", status))[:64]
        if status >= 500 or status == 429 or reason in _LATER:
            raise ChannelUnavailable(reason)
        raise ChannelRefused(reason)

    @staticmethod
    def _json(text: bytes) -> dict[str, Any]:
        try:
            return load_object(text)
        except BadJson:
            raise ChannelUnavailable("an answer that is no JSON object") from None

    def _authorization(self, method: str, path: str, now: datetime, body: bytes) -> str:
        merchant, nonce, at = self._merchant, secrets.token_hex(16), str(int(now.timestamp()))
        signature = sign(merchant.private_key, method.encode(), path.encode(), at.encode(), nonce.encode(), body)
        return (
            f'{SCHEME} mchid="{merchant.mchid}",nonce_str="{nonce}",signature="{signature}",'
            f'timestamp="{at}",serial_no="{merchant.serial}"'
        )

    def _check_signature(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """:raises BadEvent: too old, an unknown key, or not signed by it"""
        at, nonce, serial, signature = (
            headers.get(f"Wechatpay-{name}", "") for name in ("Timestamp", "Nonce", "Serial", "Signature"))
        if not at.isascii() or not at.isdigit() or len(at) > 12:
            raise BadEvent("no_timestamp")
        if abs(int(at) - now.timestamp()) > AGE_MAX.total_seconds():
            raise BadEvent("too_old")
        key = self._platform_key(serial, now)
        if key is None:
            raise BadEvent("unknown_key")
        if not is_signed(key, signature, at.encode(), nonce.encode(), body):
            raise BadEvent("bad_signature")

    def _platform_key(self, serial: str, now: datetime) -> RSAPublicKey | None:
        with self._asking:  # who comes while another asks waits for its answer
            if serial not in self._keys and (self._ask_keys_at is None or now >= self._ask_keys_at):
                self._ask_keys_at = now + (KEYS_ASKED_EVERY if self._ask_for_keys(now) else KEYS_ASKED_AGAIN)
            return self._keys.get(serial)

    def _ask_for_keys(self, now: datetime) -> bool:
        """The platform's certificates; that they open under the APIv3 key is what makes them the platform's."""
        try:
            answer, text = self._send("GET", "/v3/certificates", now, None)
            listed = self._json(text)["data"] if answer.status_code == 200 else []
            found = {
                each["serial_no"]: load_pem_x509_certificate(
                    open_sealed(self._merchant.api_v3_key, each["encrypt_certificate"])).public_key()
                for each in listed
            }
        except (ChannelUnavailable, KeyError, TypeError, ValueError, InvalidTag):
            return False
        self._keys |= {serial: key for serial, key in found.items() if isinstance(key, RSAPublicKey)}
        return bool(found)


def make_wechat_pay(settings: dict[str, Any], notify_url: str, client: httpx.Client | None = None) -> WechatPay:
    """The channel through an account: mchid, appid, serial, private_key (PEM), api_v3_key, base_url, and,
    where the account has a platform public key instead of certificates, platform_key_id and platform_key (PEM).

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
        settings["base_url"].rstrip("/"), notify_url, platform), client)
