"""Codes: what making, checking and drawing one costs, and how many of them a bad camera reads.

Costs are taken side by side, interleaved round by round, beside one raw ECDSA verify and `qrcode`'s
default picture. Reading is measured on frames that are spoilt alike for every format at equal
printed width (_camera.py), with zxing-cpp in one pass and in the gate page's four.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt
import qrcode
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console
from rich.progress import track
from rich.table import Table

from parking.core.code import verify_code
from parking.core.code_picture import code_png, code_svg
from parking.core.code_wire import DUAL_OFFLINE, PROOF_ONLY, QR_VERSION, SERVER_ISSUED
from scripts.benches._code_formats import CITY, LOT_ID, NOW, Issuer
from scripts.benches._measuring import microseconds
from scripts.benches._reading import Reads, by_cell, difference, rate, read_frames

OURS, REFERENCES = "ours_0x11_9M", ("hcert_555_18Q", "hcert_555_15M", "shc_800_18L", "shc_800_21M")
console = Console(stderr=True)


def make_deeds() -> dict[str, Callable[[], object]]:
    issuer = Issuer()
    codes = {DUAL_OFFLINE: issuer.show(), SERVER_ISSUED: issuer.issue(), PROOF_ONLY: issuer.prove()}
    private = issuer.key.private
    public, signed = private.public_key(), private.sign(b"m" * 200, ec.ECDSA(SHA256()))
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = jwt.encode({"sub": "s" * 16, "iat": 1, "exp": 2**40}, private, algorithm="ES256")
    deeds: dict[str, Callable[[], object]] = {
        "issue": issuer.issue,
        "bind": issuer.bind,
        "raw_ecdsa_verify": lambda: public.verify(signed, b"m" * 200, ec.ECDSA(SHA256())),
        "pyjwt_pem_per_call": lambda: jwt.decode(token, pem, algorithms=["ES256"]),
        "sha256_64k": lambda: sha256(b"x" * 65536).digest(),
    }
    for form, code in codes.items():
        def verify(code: str = code) -> object:
            return verify_code(code, keys=issuer.ring, city=CITY, now=NOW, lot_id=LOT_ID, roster=issuer.roster)

        def default_picture(code: str = code) -> bytes:
            out = io.BytesIO()
            qrcode.make(code).save(out)
            return out.getvalue()

        version = QR_VERSION[form]
        deeds[f"verify_0x{form:x}"] = verify
        deeds[f"png_v{version}"] = lambda code=code: code_png(code)  # type: ignore[misc]
        deeds[f"svg_v{version}"] = lambda code=code: code_svg(code)  # type: ignore[misc]
        deeds[f"qrcode_default_png_v{version}"] = default_picture
    return deeds


def measure_costs(rounds: int, seconds: float) -> dict[str, float]:
    """Medians in microseconds, and of each round's ratios."""
    deeds, found = make_deeds(), dict[str, list[float]]()
    for deed in deeds.values():
        deed()
    for _ in track(range(rounds), "costs, round by round", console=console):
        for name, deed in deeds.items():
            found.setdefault(name, []).append(microseconds(deed, seconds))
    costs = {f"{name}_us": round(statistics.median(times), 1) for name, times in found.items()}
    for form, version in QR_VERSION.items():
        if f"verify_0x{form:x}" in found:
            costs[f"verify_0x{form:x}_to_raw"] = _ratio(found[f"verify_0x{form:x}"], found["raw_ecdsa_verify"])
            for kind in ("png", "svg"):
                costs[f"{kind}_v{version}_to_qrcode_default"] = _ratio(
                    found[f"{kind}_v{version}"], found[f"qrcode_default_png_v{version}"])
    return costs


def measure_reading(frames: int, seed: int) -> dict[str, Any]:
    """Rates of each format and, paired frame by frame, by how much the dual-offline code reads better."""
    reads: dict[str, Reads] = {}
    made = read_frames(frames, seed, os.cpu_count() or 1)
    for frame in track(made, "frames", total=frames, console=console):
        for name, (single, cascade) in frame.items():
            each = reads.setdefault(name, Reads())
            each.single.append(single)
            each.cascade.append(cascade)
    ours = reads[OURS]
    return {
        "rates": {name: {"single": rate(each.single), "cascade": rate(each.cascade)} for name, each in reads.items()},
        "cells": {name: by_cell(each.single) for name, each in reads.items()},
        "paired": {f"{OURS}-{name}": {
            "single": difference(ours.single, reads[name].single),
            "cascade": difference(ours.cascade, reads[name].cascade)} for name in REFERENCES},
    }


def show_reading(reading: dict[str, Any]) -> None:
    table = Table("format", "one pass %", "cascade %", "worst cell", title="frames read")
    for name, found in reading["rates"].items():
        worst = min(reading["cells"][name].items(), key=lambda cell: cell[1])
        table.add_row(
            name, *(f"{each['percent']} ± {each['error']}" for each in found.values()), f"{worst[0]} {worst[1]:.0f}")
    console.print(table)
    for name, pair in reading["paired"].items():
        said = (f"{kind} {each['points']:+.1f} ± {each['error']} points ({each['won']} won, {each['lost']} lost)"
                for kind, each in pair.items())
        console.print(f"{name}: {'; '.join(said)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench codes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each deed in each round")
    parser.add_argument("--frames", type=int, default=440, help="0: measure costs alone")
    parser.add_argument("--seed", type=int, default=1, help="of the frames' faults")
    asked = parser.parse_args()
    costs = measure_costs(asked.rounds, asked.seconds)
    for name, value in costs.items():
        console.print(f"{name} {value}", highlight=False)
    reading = measure_reading(asked.frames, asked.seed) if asked.frames else {}
    if reading:
        show_reading(reading)
    print(json.dumps({
        "bench": "codes", "cores": os.cpu_count(), "python": sys.version.split()[0], "machine": platform.machine(),
        "rounds": asked.rounds, **costs, "frames": asked.frames, "seed": asked.seed, **reading,
    }))


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)), 3)


if __name__ == "__main__":
    main()
