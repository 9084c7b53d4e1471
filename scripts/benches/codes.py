"""Codes: issue, verify, and the picture beside `qrcode`'s default, interleaved round by round."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import jwt
import qrcode
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from parking.core.code import IssuingKey, VerifyingKey, issue_code, verify_code
from parking.core.code_picture import VERSION_SERVER_ISSUED, code_png, code_svg
from parking.core.code_wire import City

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
CITY = City(1, "shanghai")


def make_deeds() -> dict[str, Callable[[], object]]:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    issuing, ring = IssuingKey(1, private), {1: VerifyingKey(1, public)}
    code, _ = issue_code(issuing, city=CITY, subject=b"s" * 16, now=NOW, jti=b"j" * 8)
    signed = private.sign(b"m" * 200, ec.ECDSA(SHA256()))
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = jwt.encode({"sub": "s" * 16, "iat": 1, "exp": 2**40}, private, algorithm="ES256")

    def default_picture() -> bytes:
        out = io.BytesIO()
        qrcode.make(code).save(out)
        return out.getvalue()

    return {
        "issue": lambda: issue_code(issuing, city=CITY, subject=b"s" * 16, now=NOW, jti=os.urandom(8)),
        "verify": lambda: verify_code(code, keys=ring, city=CITY, now=NOW),
        "raw_ecdsa_verify": lambda: public.verify(signed, b"m" * 200, ec.ECDSA(SHA256())),
        "pyjwt_pem_per_call": lambda: jwt.decode(token, pem, algorithms=["ES256"]),
        "png": lambda: code_png(code),
        "svg": lambda: code_svg(code),
        "qrcode_default_png": default_picture,
        "sha256_64k": lambda: sha256(b"x" * 65536).digest(),
    }


def measure(deed: Callable[[], object], seconds: float) -> float:
    """Microseconds a call: as many calls as fit."""
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        deed()
        count += 1
    return spent / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench codes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="for each deed in each round")
    asked = parser.parse_args()
    deeds, found = make_deeds(), dict[str, list[float]]()
    for deed in deeds.values():
        deed()
    for number in range(asked.rounds):
        for name, deed in deeds.items():
            found.setdefault(name, []).append(measure(deed, asked.seconds))
        latest = "  ".join(f"{name} {times[-1]:.0f}" for name, times in found.items())
        print(f"round {number + 1}  {latest}", flush=True)
    middle = {name: statistics.median(times) for name, times in found.items()}
    ratios = {
        "verify_to_raw": statistics.median(map(_ratio, found["verify"], found["raw_ecdsa_verify"])),
        "png_to_qrcode_default": statistics.median(map(_ratio, found["png"], found["qrcode_default_png"])),
        "svg_to_qrcode_default": statistics.median(map(_ratio, found["svg"], found["qrcode_default_png"])),
    }
    print(json.dumps({
        "bench": "codes", "cores": os.cpu_count(), "python": sys.version.split()[0], "machine": platform.machine(),
        "rounds": asked.rounds, "qr_version": VERSION_SERVER_ISSUED,
        **{f"{name}_us": round(value, 1) for name, value in middle.items()},
        **{name: round(value, 3) for name, value in ratios.items()},
    }))


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs


if __name__ == "__main__":
    main()
