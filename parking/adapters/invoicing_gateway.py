"""Invoices through an invoice gateway: our own small interface, which an integrator puts before a provider's.

The calls, at an address of the account (docs/invoices.md has each field):

    POST /invoices                              a request, or a red one with `red_of`; answers how it stands
    GET  /invoices/<request_no>                 how it stands; 404 where it is not known
    GET  /invoices/<request_no>/document?form=  the file

    Gateway-Account, Gateway-Timestamp (seconds), Gateway-Nonce, and
    Gateway-Signature = hex HMAC-SHA256 under the shared secret of
        <method> LF <path with query> LF <timestamp> LF <nonce> LF <hex SHA-256 of the body>
    of an answer: <status> LF <the nonce that was asked with> LF <hex SHA-256 of the body>

A 2xx or 404 answer is believed only under its signature, which names the question, so that an answer to another
one is none. 422 is a refusal, signed too, with `{"reason"}`; everything else is no answer, and is asked again.
Evolution: fields are added to the JSON, and readers pass over those they do not know; the path begins with another
version where the signature or a field's meaning changes.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from parking.adapters.channel_http import make_transport
from parking.core.clock import BadInstant, format_instant, parse_instant
from parking.core.invoice import ITEM, TAX_CODE, Line
from parking.core.invoicing import (
    DOCUMENT_BYTES_MAX,
    FORMATS,
    Format,
    InvoiceOrder,
    InvoicingRefused,
    InvoicingUnavailable,
    Issued,
)
from parking.core.json_text import BadJson, canonical, load_strict

TIMEOUT, SECONDS_MAX = httpx.Timeout(4.0, connect=2.0), 20.0
SECRET_MIN = 32
_NUMBER = re.compile(r"[0-9A-Z-]{1,40}")


class _Answer(NamedTuple):
    status: int
    body: bytes


class InvoicingGateway:
    """One account at a gateway.

    :param base_url: ends without a slash; https, or http on this machine
    """

    def __init__(self, *, base_url: str, account: str, secret: str) -> None:
        parts = urlsplit(base_url)
        is_here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if parts.scheme != "https" and not is_here:
            raise ValueError("the gateway's address begins with https")
        if len(secret.encode()) < SECRET_MIN:
            raise ValueError(f"the shared secret has {SECRET_MIN} characters at least")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", account):
            raise ValueError("the account's name has letters, digits and _ . - only")
        self._base, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._account, self._secret = account, secret.encode()
        self._client = httpx.Client(
            timeout=TIMEOUT, follow_redirects=False, trust_env=False, transport=make_transport())

    def issue(self, order: InvoiceOrder, *, now: datetime) -> Issued:
        return self._read(order.request_no, self._call("POST", "/invoices", now, write_order(order)))

    def query(self, request_no: str, *, now: datetime) -> Issued:
        answer = self._call("GET", f"/invoices/{request_no}", now)
        return Issued(request_no, "unknown") if answer.status == 404 else self._read(request_no, answer)

    def fetch_document(self, request_no: str, form: Format, *, now: datetime) -> bytes:
        answer = self._call("GET", f"/invoices/{request_no}/document?form={form}", now)
        if answer.status == 404:
            raise InvoicingRefused("no_document")
        return answer.body

    def _call(self, method: str, path: str, now: datetime, body: bytes = b"") -> _Answer:
        nonce, seconds, target = secrets.token_hex(16), str(int(now.timestamp())), self._path + path
        signature = sign(self._secret, method, target, seconds, nonce, sha256(body).hexdigest())
        headers = {"Gateway-Account": self._account, "Gateway-Timestamp": seconds, "Gateway-Nonce": nonce,
                   "Gateway-Signature": signature, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        answer, signed = self._send(method, target, headers, body)
        expected = sign(self._secret, str(answer.status), nonce, sha256(answer.body).hexdigest())
        is_final = 200 <= answer.status < 300 or answer.status in (404, 422)
        if not is_final:
            raise InvoicingUnavailable(f"status {answer.status}")
        if not hmac.compare_digest(signed.encode("utf-8", "replace"), expected.encode()):
            raise InvoicingUnavailable("an answer that is not the gateway's")
        if answer.status == 422:
            raise InvoicingRefused(_text(_load(answer.body), "reason") or "refused")
        return answer

    def _send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[_Answer, str]:
        """The answer and its signature; bounded in bytes, and in time as a whole."""
        ends, read = time.monotonic() + SECONDS_MAX, b""
        try:
            with self._client.stream(method, self._base + target, headers=headers, content=body) as answer:
                for part in answer.iter_raw():
                    read += part
                    if len(read) > DOCUMENT_BYTES_MAX or time.monotonic() > ends:
                        raise InvoicingUnavailable("an answer that is too long")
                return _Answer(answer.status_code, read), answer.headers.get("Gateway-Signature", "")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise InvoicingUnavailable(type(error).__name__) from None

    def _read(self, request_no: str, answer: _Answer) -> Issued:
        """:raises InvoicingUnavailable: what was said is not of the interface"""
        said = _load(answer.body) if answer.status != 404 else {}
        state, number = _text(said, "state"), _text(said, "number")
        if _text(said, "request_no") != request_no or state not in ("working", "issued", "refused"):
            raise InvoicingUnavailable("an answer about something else")
        if state != "issued":
            return Issued(request_no, state, reason=_text(said, "reason"))  # type: ignore[arg-type]
        if not _NUMBER.fullmatch(number):
            raise InvoicingUnavailable("an invoice without a number")
        try:
            issued_at = parse_instant(_text(said, "issued_at"))
        except BadInstant:
            raise InvoicingUnavailable("an invoice without a time") from None
        listed = said.get("formats")
        formats = tuple(each for each in FORMATS if isinstance(listed, list) and each in listed)
        return Issued(request_no, "issued", number, issued_at, formats=formats)


def make_invoicing_gateway(settings: dict[str, Any]) -> InvoicingGateway:
    """:raises ValueError, KeyError: not of these settings"""
    return InvoicingGateway(
        base_url=settings["base_url"], account=settings["account"], secret=settings["secret"])


def sign(secret: bytes, *parts: str) -> str:
    return hmac.digest(secret, "\n".join(parts).encode(), sha256).hex()


def write_order(order: InvoiceOrder) -> bytes:
    return canonical({
        "request_no": order.request_no, "kind": order.kind, "seller": asdict(order.seller),
        "buyer": asdict(order.buyer),
        "gross_fen": order.gross_fen, "net_fen": order.net_fen, "tax_fen": order.tax_fen,
        "red_of": order.red_of or None, "why": order.why, "lines": [_line(each) for each in order.lines],
    }).encode()


def _line(line: Line) -> dict[str, Any]:
    return {
        "item": ITEM, "tax_code": TAX_CODE, "rate": line.rate, "free_reason": line.free_reason or None,
        "gross_fen": line.gross_fen, "net_fen": line.net_fen, "tax_fen": line.tax_fen, "place": line.place or None,
        "certificate": line.certificate or None, "from": format_instant(line.entered_at),
        "to": format_instant(line.left_at)}


def _load(body: bytes) -> dict[str, Any]:
    try:
        said = load_strict(body)
    except (BadJson, json.JSONDecodeError):
        raise InvoicingUnavailable("an answer that is no JSON") from None
    if not isinstance(said, dict):
        raise InvoicingUnavailable("an answer that is no object")
    return said


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
