"""The stamp on a receipt: a QR that says, signed, what was paid for which visit.

Anybody checks it with the city's published keys, and needs neither us nor a network for that:

    python -m parking.core.receipt_stamp TEXT jwks.json

Its text is an address of ours, `#`, and a compact JWS (ES256, `typ` TYPE) by a receipt key, of JSON with these names:

    v                     1; another is refused
    id, sum               the charge's id; SHA-256 of the sealed charge in hex, which is the `body` of receipt.json
    lot, by, tz           the lot's name in Chinese, its operator's, its time zone
    plate                 masked, or null
    in, out, at           seconds since 1970: entered, left, and the last thing that the receipt tells of
    fee, off, paid, back  fen: charged, waived, paid, given back

A name may be added, and none gets another meaning; a reader leaves those that it does not know. What stands behind `#`
a browser sends to nobody. ECDSA's number is taken from key and text (RFC 6979), so that the same receipt has the same
stamp; a key in a signing device does as the device does.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.utils import der_to_raw_signature

from parking.core.charge import ReceiptKey
from parking.core.json_text import canonical, load_object
from parking.core.proof import BadProof, find_receipt_key, read_proof_file
from parking.core.receipt import Receipt

TYPE = "parking-receipt-stamp+jws"
CHARS_MAX = 4096
FAULTS = {
    "not_a_stamp": "this is no stamp of a receipt",
    "version_unknown": "this stamp is newer than this program",
    "key_not_published": "the city does not publish this key for receipts",
    "key_revoked": "the city revoked this key",
    "signature_broken": "the signature does not fit: something was changed",
}


class BadStamp(ValueError):
    """Nothing of it is to be believed; `reason` is a word of FAULTS."""

    def __init__(self, reason: str) -> None:
        super().__init__(FAULTS[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a stamp says, once it is believed. body_hash: SHA-256 in hex of the sealed charge."""

    charge_id: str
    body_hash: str
    lot: str
    operator: str
    zone: str
    plate: str | None
    entered_at: datetime
    left_at: datetime
    stated_at: datetime
    charged_fen: int
    waived_fen: int
    paid_fen: int
    refunded_fen: int


def write_stamp(receipt: Receipt, key: ReceiptKey) -> str:
    """The JWS alone; the address before it is the caller's."""
    charge = receipt.charge
    said = canonical({
        "v": 1, "id": str(receipt.charge_id), "sum": sha256(receipt.sealed_text.encode()).hexdigest(),
        "lot": receipt.lot_name["zh"], "by": receipt.operator_name, "tz": receipt.zone.key, "plate": receipt.plate,
        "in": _seconds(charge.entered_at), "out": _seconds(charge.left_at), "at": _seconds(receipt.stated_at),
        "fee": charge.total_fen, "off": receipt.waived_fen, "paid": receipt.paid_fen, "back": receipt.refunded_fen,
    })
    head = canonical({"alg": "ES256", "kid": key.kid, "typ": TYPE})
    signed = f"{_base64(head.encode())}.{_base64(said.encode())}"
    der = key.private.sign(signed.encode(), ec.ECDSA(SHA256(), deterministic_signing=True))
    return f"{signed}.{_base64(der_to_raw_signature(der, ec.SECP256R1()))}"


def read_stamp(text: str, *, published: Mapping[str, Any]) -> Stamp:
    """Check a stamp, with or without the address before it, against the city's published key set (a JWK Set).

    :raises BadStamp: it is not to be believed
    """
    jws = text.strip().rpartition("#")[2]
    if len(jws) > CHARS_MAX or not jws.isascii():
        raise BadStamp("not_a_stamp")
    try:
        head = jwt.get_unverified_header(jws)
    except jwt.InvalidTokenError:
        raise BadStamp("not_a_stamp") from None
    if head.get("typ") != TYPE:
        raise BadStamp("not_a_stamp")
    key = find_receipt_key(published, str(head.get("kid")))
    if key is None:
        raise BadStamp("key_not_published")
    if key.get("revoked"):
        raise BadStamp("key_revoked")
    try:
        body = jwt.api_jws.decode(jws, jwt.PyJWK(dict(key), "ES256"), algorithms=["ES256"])
    except jwt.InvalidTokenError:
        raise BadStamp("signature_broken") from None
    return _read(load_object(body))


def _read(said: dict[str, Any]) -> Stamp:
    """What a key of ours has signed is as `write_stamp` wrote it, in this version or a later one."""
    if said["v"] != 1:
        raise BadStamp("version_unknown")
    entered_at, left_at, stated_at = (datetime.fromtimestamp(said[name], UTC) for name in ("in", "out", "at"))
    return Stamp(
        said["id"], said["sum"], said["lot"], said["by"], said["tz"], said["plate"], entered_at, left_at, stated_at,
        said["fee"], said["off"], said["paid"], said["back"])


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def tell(stamp: Stamp) -> list[str]:
    """What it says, a fact a line; amounts in yuan."""
    sums = (("charged", stamp.charged_fen), ("waived", stamp.waived_fen), ("paid", stamp.paid_fen),
            ("given back", stamp.refunded_fen))
    return [
        f"{'visit':<13}{stamp.lot}, {stamp.operator}, {stamp.plate or 'no plate'}",
        f"{'time':<13}{stamp.entered_at.isoformat()} to {stamp.left_at.isoformat()} ({stamp.zone})",
        *(f"{name:<13}{fen / 100:.2f}" for name, fen in sums),
        f"{'as of':<13}{stamp.stated_at.isoformat()}",
        f"{'receipt.json':<13}its body has the SHA-256 {stamp.body_hash}",
    ]


def main(text: str, keys: str) -> int:
    try:
        stamp = read_stamp(text, published=read_proof_file(Path(keys)))
    except (BadStamp, BadProof, OSError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 1
    sys.stdout.write("\n".join(tell(stamp)) + "\n")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("python -m parking.core.receipt_stamp TEXT jwks.json")
    sys.exit(main(*sys.argv[1:]))
