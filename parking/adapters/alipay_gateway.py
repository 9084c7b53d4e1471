"""Alipay's gateway: a method is called with signed parameters, and its answer believed under Alipay's signature.

Nothing unsigned is believed, but for the gateway's own word that it did not let a request in.
Source: opendocs.alipay.com, "common errors" of the gateway.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from parking.adapters.alipay_trust import NotTrusted, Trust
from parking.adapters.alipay_wire import SIGNED_BY, is_signed, sign, signed_text, split_answer
from parking.adapters.channel_http import ANSWER_BYTES_MAX, fetch_file, make_client
from parking.core.channel import ChannelRefused, ChannelUnavailable
from parking.core.json_text import BadJson, load_object
from parking.core.statement import CHANNEL_ZONE

CERTIFICATE_ASKED_EVERY = timedelta(minutes=1)
_DONE = "10000"
_LATER_CODES = frozenset({"20000", "40005", "10003"})
_LET_NOTHING_IN = frozenset({"20001", "40001", "40002", "40003", "40006"})
_LATER = ("system_error", "unknow_error", "unknown_error")


@dataclass(frozen=True)
class Merchant:
    """A merchant's app. seller_id: the account that is paid (2088…, 16 digits).

    gateway_url: of the API; notify_url: where the channel reaches our callback.
    sign_scene: under which drivers sign agreements with it; "" where none can.
    """

    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    trust: Trust
    gateway_url: str
    notify_url: str
    sign_scene: str = ""


class Gateway:
    """An app at Alipay's gateway. now: the caller's; nothing here reads a clock."""

    def __init__(self, merchant: Merchant, client: httpx.Client | None = None) -> None:
        self._merchant, self._trust = merchant, merchant.trust
        self._client = client or make_client()
        self._ask_certificate_at: datetime | None = None
        self._asking = threading.Lock()

    def call(
        self, method: str, content: dict[str, Any], now: datetime, more: Mapping[str, str] = {}
    ) -> dict[str, Any]:
        """What the method answers.

        :raises ChannelUnavailable, ChannelRefused: the reason is Alipay's sub_code
        """
        members = self._send(method, content, now, more)
        text = members.get(f"{method.replace('.', '_')}_response") or members.get("error_response")
        said = _object(text)
        code = str(said.get("code"))
        reason = str(said.get("sub_code") or code)[:64]
        if code in _LATER_CODES or reason.lower().replace("-", "_").endswith(_LATER):
            raise ChannelUnavailable(reason)
        if "sign" in members or code not in _LET_NOTHING_IN:
            self._check(members, text or "", now)
        if code != _DONE:
            raise ChannelRefused(reason)
        return said

    def address(self, method: str, content: dict[str, Any], now: datetime, more: Mapping[str, str]) -> str:
        """Where a browser goes to call the method itself."""
        return f"{self._merchant.gateway_url}?{urlencode(self._signed(method, content, now, more))}"

    def fetch(self, address: str, into: BinaryIO) -> int:
        """Write the file that lies at an address of an answer; returns its bytes.

        :raises ChannelUnavailable: it is not there, or too long
        """
        if self._merchant.gateway_url.startswith("https:") and address.startswith("http:"):
            address = f"https:{address[5:]}"  # what lies there is not signed
        return fetch_file(self._client, address, into)

    def _send(
        self, method: str, content: dict[str, Any], now: datetime, more: Mapping[str, str]
    ) -> dict[str, str]:
        """The members of the answer, each as the text that it has there."""
        parameters = self._signed(method, content, now, more)
        body = urlencode({"biz_content": parameters.pop("biz_content")}).encode()
        try:
            answer = self._client.post(
                self._merchant.gateway_url, params=parameters, content=body,
                headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "User-Agent": "parking"})
        except httpx.HTTPError as error:
            raise ChannelUnavailable(type(error).__name__) from None
        if answer.status_code != 200 or len(answer.content) > ANSWER_BYTES_MAX:
            raise ChannelUnavailable(f"an answer of status {answer.status_code} and {len(answer.content)} bytes")
        try:
            return split_answer(answer.content)
        except BadJson:
            raise ChannelUnavailable("an answer that is no JSON object") from None

    def _signed(
        self, method: str, content: dict[str, Any], now: datetime, more: Mapping[str, str]
    ) -> dict[str, str]:
        parameters = {
            "app_id": self._merchant.app_id, "method": method, "format": "JSON", "charset": "utf-8",
            "sign_type": SIGNED_BY, "timestamp": wall(now), "version": "1.0", **more,
            "biz_content": json.dumps(content, ensure_ascii=False)}
        if self._trust.has_certificates:
            parameters |= {
                "app_cert_sn": self._trust.app_cert_sn, "alipay_root_cert_sn": self._trust.root_cert_sn}
        return {**parameters, "sign": sign(self._merchant.private_key, signed_text(parameters))}

    def _check(self, members: Mapping[str, str], text: str, now: datetime) -> None:
        """:raises ChannelUnavailable: not signed by Alipay"""
        signature, keys = _string(members.get("sign")), self._trust.keys
        if self._trust.has_certificates:
            sn = _string(members.get("alipay_cert_sn"))
            if sn not in keys:
                self._ask_for_certificate(sn, now)
            keys = {name: key for name, key in self._trust.keys.items() if name == sn}
        # The gateway signs before it escapes the strokes of addresses; the official SDKs look both ways too.
        if not any(is_signed(keys.values(), each.encode(), signature) for each in {text, text.replace("\\/", "/")}):
            raise ChannelUnavailable("an answer that cannot be believed: bad_signature")

    def _ask_for_certificate(self, sn: str, now: datetime) -> None:
        """Alipay has changed its certificate: hold the new one, if its root and its owner are those we know."""
        with self._asking:
            waits = self._ask_certificate_at is not None and now < self._ask_certificate_at
            if sn in self._trust.keys or waits:
                return
            self._ask_certificate_at = now + CERTIFICATE_ASKED_EVERY
            method = "alipay.open.app.alipaycert.download"
            members = self._send(method, {"alipay_cert_sn": sn}, now, {})
            said = _object(members.get(f"{method.replace('.', '_')}_response"))
            try:
                self._trust.add(sn, _pem(said.get("alipay_cert_content")), now=now)
            except NotTrusted as wrong:
                raise ChannelUnavailable(f"an answer that cannot be believed: {wrong}") from None


def _object(text: str | None) -> dict[str, Any]:
    try:
        return load_object((text or "").encode())
    except BadJson:
        raise ChannelUnavailable("an answer without its content") from None


def _string(text: str | None) -> str:
    """A member of an answer that is a string; "" for anything else."""
    value = json.loads(text) if text else ""
    return value if isinstance(value, str) else ""


def _pem(text: Any) -> bytes:
    """:raises NotTrusted: no base64"""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise NotTrusted("no certificate") from None


def wall(instant: datetime) -> str:
    return f"{instant.astimezone(CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}"
