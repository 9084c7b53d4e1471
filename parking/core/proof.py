"""Check what a receipt proves, from its file alone: the seal, the tariff, and every line reckoned anew.

Needs no service, no database and no network. Run as a program, it checks one file:

    python -m parking.core.proof receipt.json [jwks.json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt

from parking.core.calendar import CannotPrice, read_extract
from parking.core.charge import ChargeBody, line_data, read_body, sealing_kid
from parking.core.json_text import BadJson, load_strict
from parking.core.payment import NOTHING_PAID, Paid, price_stay
from parking.core.price import Quote
from parking.core.signing import thumbprint
from parking.core.tariff import BadTariff, Tariff, read_tariff

FILE_BYTES_MAX = 16 * 1024 * 1024
FAULTS = {
    "seal_broken": "the seal does not fit the sealed text: one of the two was changed",
    "key_not_its_own": "the key in the file is not the one that the seal names",
    "key_not_published": "the city does not publish this key for receipts",
    "key_revoked": "the city revoked this key",
    "tariff_changed": "the tariff in the file is not the one that the sealed text names",
    "not_as_reckoned": "the lines or the total are not what the tariff makes of the stay",
}


class BadProof(ValueError):
    """The file is not the proof of a receipt; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Proof:
    """faults: words of FAULTS, none where all holds. is_key_known: None where no published keys were at hand.

    reckoned_fen: what the tariff makes of the stay now; None where it could not be reckoned.
    """

    kid: str
    charge: ChargeBody
    faults: tuple[str, ...]
    is_key_known: bool | None
    reckoned_fen: int | None


def check_proof(data: Any, *, published: Mapping[str, Any] | None = None) -> Proof:
    """Check a receipt.json, against the city's published key set (a JWK Set) where that is at hand.

    :raises BadProof: it is none, or cannot be read
    """
    try:
        body, seal, tariff_text, key = data["body"], data["seal"], data["tariff"], data["key"]
        charge, kid = read_body(body), sealing_kid(seal)
        is_whole, is_own = is_sealed(body, seal, key), thumbprint(key) == kid
    except (KeyError, TypeError, ValueError, AttributeError, jwt.PyJWTError) as wrong:
        raise BadProof(f"not the proof of a receipt: {type(wrong).__name__} {wrong}"[:200]) from None
    faults = [] if is_whole else ["seal_broken"]
    if not is_own:
        faults.append("key_not_its_own")
    known = None if published is None else find_receipt_key(published, kid)
    if published is not None and known is None:
        faults.append("key_not_published")
    if known is not None and known.get("revoked"):
        faults.append("key_revoked")
    reckoned_fen = None
    if sha256(tariff_text.encode()).hexdigest() != charge.tariff_hash:
        faults.append("tariff_changed")
    else:
        is_same, reckoned_fen = _reckon(charge, tariff_text, json.loads(body)["lines"])
        if not is_same:
            faults.append("not_as_reckoned")
    return Proof(kid, charge, tuple(faults), None if published is None else known is not None, reckoned_fen)


def is_sealed(body: str, seal: str, key: Mapping[str, Any]) -> bool:
    """Whether a body has this seal, by this public key (a JWK)."""
    try:
        return bool(jwt.api_jws.decode(seal, jwt.PyJWK(dict(key), "ES256"), algorithms=["ES256"]) == body.encode())
    except jwt.InvalidSignatureError:
        return False


def find_receipt_key(published: Mapping[str, Any], kid: str) -> Mapping[str, Any] | None:
    """The published key of a seal or a stamp, if it is one of receipts."""
    return next((
        key for key in published.get("keys", ())
        if key.get("kid") == kid and key.get("parking_purpose") == "receipt"), None)


def reckon_taken_off(charge: ChargeBody, tariff_text: str) -> int | None:
    """How much lower a charge is by what merchants validated; None where it cannot be reckoned without that."""
    context = {name: value for name, value in charge.context.items() if name != "validations"}
    without = _quote(replace(charge, context=context), tariff_text)
    return None if without is None else max(0, without.total_fen - charge.total_fen)


def _reckon(charge: ChargeBody, tariff_text: str, lines: list[Any]) -> tuple[bool, int | None]:
    """Whether the tariff makes the same lines of the same inputs; and its total."""
    quote = _quote(charge, tariff_text)
    if quote is None:
        return False, None
    is_same = [line_data(line) for line in quote.lines] == lines and quote.total_fen == charge.total_fen
    return is_same, quote.total_fen


def _quote(charge: ChargeBody, tariff_text: str) -> Quote | None:
    """The price of what a charge was made from; None where its tariff gives none."""
    paid = NOTHING_PAID if charge.allowance is None else Paid(0, *charge.allowance)
    try:
        tariff = _read_tariff(tariff_text)
        if charge.calendar is not None:
            tariff = tariff.dated(read_extract(charge.calendar))
        return price_stay(
            tariff, entered_at=charge.entered_at, left_at=charge.billed_until_at, paid=paid, vehicle=charge.vehicle,
            context=charge.context)
    except (BadTariff, CannotPrice, KeyError, AssertionError):
        return None


@lru_cache(maxsize=64)
def _read_tariff(text: str) -> Tariff:
    """Of many charges most are by the same tariff."""
    return read_tariff(json.loads(text))


def read_proof_file(path: Path) -> Any:
    """:raises BadProof: too large, or no JSON"""
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise BadProof("larger than 16 MiB")
    try:
        return load_strict(raw, depth_max=64)
    except BadJson as wrong:
        raise BadProof(str(wrong)) from None


def tell(proof: Proof) -> list[str]:
    """What was found, a sentence a line."""
    charge = proof.charge
    known = {None: "the city's published keys were not at hand", True: "the city publishes it", False: "unknown"}
    return [
        f"charged      {charge.total_fen / 100:.2f} by {charge.tariff_code}, version {charge.tariff_version}",
        f"key          {proof.kid} ({known[proof.is_key_known]})",
        *(f"WRONG        {FAULTS[fault]}" for fault in proof.faults),
        *([] if proof.faults else ["all holds    the seal, the tariff, and every line reckoned anew"]),
    ]


def main(file: str, keys: str | None = None) -> int:
    try:
        published = read_proof_file(Path(keys)) if keys else None
        proof = check_proof(read_proof_file(Path(file)), published=published)
    except (BadProof, OSError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    sys.stdout.write("\n".join(tell(proof)) + "\n")
    return 1 if proof.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
