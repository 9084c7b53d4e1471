"""What was said to a payment channel and what it answered, as it is kept: without what nobody may see again.

Masked are keys and signatures, and whatever tells who paid or parked; of headers and of an address's parameters only
those that are known to be harmless are kept as they were. A body that is neither JSON nor a form is not kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from parking.core.json_text import check_text, load_object

MASK = "***"
BODY_CHARS_MAX = 8192
BODY_BYTES_READ_MAX = 64 * 1024
DEPTH_MAX = 16
HEADERS_KEPT = frozenset({
    "accept", "content-length", "content-type", "date", "request-id", "retry-after", "user-agent",
    "wechatpay-nonce", "wechatpay-serial", "wechatpay-signature-type", "wechatpay-timestamp",
})
PARAMETERS_KEPT = frozenset({
    "alipay_root_cert_sn", "app_cert_sn", "app_id", "bill_date", "bill_type", "charset", "format", "mchid", "method",
    "notify_url", "return_url", "sign_type", "timestamp", "version",
})
_SECRET_NAME = re.compile(
    r"^buyer|^payer_(?!total|currency)|open_?id|union_?id|logon|user_(id|name|received)|phone|mobile|card_no|_ip$|device"
    r"|^plate_(?!color)|^agreement_no$|^sign$|signature|ciphertext|cert_content|secret|private|password|token"
    r"|(^|_)key$", re.IGNORECASE)
_HARMLESS_NAME = re.compile(r"_amount$|^sign_type$|^buyer_pay_amount$", re.IGNORECASE)
_SIGNATURE = re.compile(r'signature="[^"]*"')
_NUMBER = re.compile(r"[0-9a-f]{32}")
_NUMBER_IN_PATH = re.compile(r"/(?:out-trade-no|refunds)/([0-9a-f]{32})(?=[/?]|$)")
# Of a message that names a refund and its order, the refund's.
_NUMBER_NAMES = (
    "out_refund_no", "out_request_no", "out_biz_no", "out_trade_no", "out_parking_no", "external_agreement_no")


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """One call of ours, or one of the channel's (`received`), and its answer; masked.

    path: with its parameters. status: None where no answer came, and error then says why. order_no: of the order or
    refund that it names, "" where it names none. ms: how long the answer took.
    """

    direction: Literal["sent", "received"]
    method: str
    path: str
    order_no: str
    request_headers: dict[str, str]
    request_body: str
    status: int | None = None
    answer_headers: dict[str, str] | None = None
    answer_body: str = ""
    error: str | None = None
    ms: int = 0


Hear = Callable[[ChannelMessage], None]


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """By their names in small letters; an Authorization keeps what is signed by, not the signature."""
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in HEADERS_KEPT}
    for name, value in headers.items():
        if name.lower() == "wechatpay-signature":
            kept[name.lower()] = MASK
        elif name.lower() == "authorization":
            masked, count = _SIGNATURE.subn(f'signature="{MASK}"', value)
            kept["authorization"] = masked if count == 1 else MASK
    return kept


def mask_path(url: str) -> str:
    """An address without its host; parameters that are not known to be harmless are masked."""
    parts = urlsplit(url)
    shown = "&".join(f"{name if name.isprintable() else MASK}={value if _is_plain(name, value) else MASK}"
                     for name, value in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.path}?{shown}" if shown else parts.path


def _is_plain(name: str, value: str) -> bool:
    return name in PARAMETERS_KEPT and value.isprintable()


def mask_body(body: bytes, content_type: str) -> str:
    """JSON or a form as it was said, its secrets masked, cut where it is long; of anything else how long it is."""
    if not body:
        return ""
    said = _read(body, content_type)
    if said is None:
        return f"({len(body)} bytes, not kept)"
    if "form" in content_type:
        text = "&".join(f"{name}={value if isinstance(value, str) else _text(value)}" for name, value in said.items())
    else:
        text = _text(said)
    return text if len(text) <= BODY_CHARS_MAX else f"{text[:BODY_CHARS_MAX]}…"


def find_number(url: str, *bodies: tuple[bytes, str]) -> str:
    """The number of ours that a message names in its address or its bodies (each with its content type); else ""."""
    in_path = _NUMBER_IN_PATH.search(urlsplit(url).path)
    if in_path is not None:
        return in_path[1]
    for body, content_type in bodies:
        found: dict[str, str] = {}
        _gather(_read(body, content_type, masks=False), found)
        for name in _NUMBER_NAMES:
            if name in found:
                return found[name]
    return ""


def _read(body: bytes, content_type: str, *, masks: bool = True) -> Any:
    """The fields of the body's JSON or form; None where it is neither, too long, or what no column could hold."""
    if len(body) > BODY_BYTES_READ_MAX:
        return None
    try:
        if "form" in content_type:
            fields = {name: _opened(value) for name, value in parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=200)}
            check_text(fields)
        else:
            fields = load_object(body, depth_max=DEPTH_MAX)
    except ValueError:
        return None
    return _masked(fields) if masks else fields


def _opened(value: str) -> Any:
    """A field of a form that is JSON itself, as Alipay's biz_content is."""
    if not value.startswith("{"):
        return value
    try:
        return load_object(value.encode(), depth_max=DEPTH_MAX)
    except ValueError:
        return MASK


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if _is_secret(name) else _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return value


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def _gather(value: Any, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in _NUMBER_NAMES and isinstance(each, str) and _NUMBER.fullmatch(each):
                found.setdefault(name, each)
            else:
                _gather(each, found)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
