"""WeChat Pay's API v3 under a merchant's account: signed requests, and answers believed under the platform's signature.

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
from datetime import datetime, timedelta
from hashlib import sha1
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from parking.adapters.channel_http import ANSWER_BYTES_MAX, fetch_file, make_client, read_object
from parking.adapters.wechat_pay_wire import SCHEME, is_signed, open_sealed, sign
from parking.core.channel import BadEvent, ChannelRefused, ChannelUnavailable

AUTHORIZE_URL, APP_URL = "https://open.weixin.qq.com", "https://api.weixin.qq.com"
AGE_MAX = timedelta(minutes=5)
KEYS_ASKED_EVERY = timedelta(minutes=1)
KEYS_ASKED_AGAIN = timedelta(seconds=5)
_LATER = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED", "BANK_ERROR"})


@dataclass(frozen=True)
class Merchant:
    """A merchant's account. api_v3_key: 32 bytes; platform_keys: by serial or key id, may be empty.

    base_url: of the API; notify_url: where the channel reaches our callback. has_parking: it has the product 停车服务.
    app_secret: of the official account `appid`, "" where it is not known; authorize_url, app_url: where WeChat itself
    sends browsers, and where it is asked who they are.
    """

    mchid: str
    appid: str
    serial: str
    private_key: RSAPrivateKey
    api_v3_key: bytes
    base_url: str
    notify_url: str
    platform_keys: dict[str, RSAPublicKey] = field(default_factory=dict)
    has_parking: bool = False
    app_secret: str = ""
    authorize_url: str = AUTHORIZE_URL
    app_url: str = APP_URL


class Gateway:
    """A merchant at WeChat Pay's API. now: the caller's; nothing here reads a clock."""

    def __init__(self, merchant: Merchant, client: httpx.Client | None = None) -> None:
        self._merchant, self._client = merchant, client or make_client()
        self._keys = dict(merchant.platform_keys)
        self._ask_keys_at: datetime | None = None
        self._asking = threading.Lock()

    def call(self, method: str, path: str, now: datetime, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the method answers.

        :raises ChannelUnavailable, ChannelRefused: the reason is WeChat Pay's code
        """
        answer, text = self._send(method, path, now, body)
        if answer.status_code >= 300:
            self._refuse(answer.status_code, text)
        try:
            self.check_signature(answer.headers, text, now)
        except BadEvent as bad:
            raise ChannelUnavailable(f"an answer that cannot be believed: {bad.reason}") from None
        return read_object(text) if text else {}

    def fetch(self, address: str, stated_sha1: str, into: BinaryIO, now: datetime) -> int:
        """Write the file that lies at an address of an answer, whose hash that answer named; returns its bytes.

        :raises ChannelUnavailable: it is not there, too long, or another
        """
        where = urlsplit(address)
        path = f"{where.path}?{where.query}" if where.query else where.path
        made = sha1(usedforsecurity=False)
        size = fetch_file(self._client, address, into, beside=made.update, headers={
            "User-Agent": "parking", "Authorization": self._authorization("GET", path, now, b"")})
        if made.hexdigest() != stated_sha1.lower():
            raise ChannelUnavailable("a file that is not the one that was promised")
        return size

    def check_signature(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
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
        said = read_object(text)
        reason = str(said.get("code", status))[:64]
        if status >= 500 or status == 429 or reason in _LATER:
            raise ChannelUnavailable(reason)
        raise ChannelRefused(reason)

    def _authorization(self, method: str, path: str, now: datetime, body: bytes) -> str:
        merchant, nonce, at = self._merchant, secrets.token_hex(16), str(int(now.timestamp()))
        signature = sign(merchant.private_key, method.encode(), path.encode(), at.encode(), nonce.encode(), body)
        return (
            f'{SCHEME} mchid="{merchant.mchid}",nonce_str="{nonce}",signature="{signature}",'
            f'timestamp="{at}",serial_no="{merchant.serial}"'
        )

    def _platform_key(self, serial: str, now: datetime) -> RSAPublicKey | None:
        with self._asking:  # who comes while another asks waits for its answer
            if serial not in self._keys and (self._ask_keys_at is None or now >= self._ask_keys_at):
                self._ask_keys_at = now + (KEYS_ASKED_EVERY if self._ask_for_keys(now) else KEYS_ASKED_AGAIN)
            return self._keys.get(serial)

    def _ask_for_keys(self, now: datetime) -> bool:
        """The platform's certificates; that they open under the APIv3 key is what makes them the platform's."""
        try:
            answer, text = self._send("GET", "/v3/certificates", now, None)
            listed = read_object(text)["data"] if answer.status_code == 200 else []
            found = {
                each["serial_no"]: load_pem_x509_certificate(
                    open_sealed(self._merchant.api_v3_key, each["encrypt_certificate"])).public_key()
                for each in listed
            }
        except (ChannelUnavailable, KeyError, TypeError, ValueError, InvalidTag):
            return False
        self._keys |= {serial: key for serial, key in found.items() if isinstance(key, RSAPublicKey)}
        return bool(found)
