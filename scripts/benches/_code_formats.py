"""The codes that the bench compares: ours as a phone or the server makes them, and others' of like purpose.

What cameras read is drawn from the seed: random bytes of the form's length for ours (signatures
look no different), random text of the length and the alphabet of the others': the EU certificate
("HC1:" and base45; 499, 555 and 655 characters are p10, median and p90 of its published test
codes) and the SMART Health Card ("shc:/" and two digits a character of a JWS of 800).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import qrcode
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from numpy.typing import NDArray
from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.util import MODE_8BIT_BYTE, MODE_ALPHA_NUM, MODE_NUMBER, QRData

from parking.core.code import IssuingKey, VerifyingKey, issue_code, issue_credential, show_code, show_proof
from parking.core.code_picture import QUIET_ZONE, code_modules
from parking.core.code_wire import (
    DUAL_OFFLINE,
    FORM_BYTES,
    PROOF_ONLY,
    SERVER_ISSUED,
    City,
    Showing,
    write_code,
)

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
CITY = City(1, "shanghai")
STATUS_INDEX, LOT_ID = 77, 1
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SAMPLES = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """A code as printed. modules: 255 where light, the quiet zone included."""

    text: str
    modules: NDArray[np.uint8]


class Issuer:
    """A service and one phone that holds its credential."""

    def __init__(self) -> None:
        private, self.phone = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.key, self.ring = IssuingKey(1, private), {1: VerifyingKey(1, private.public_key())}
        self.holder_key = self.phone.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.credential = self.bind()

    def bind(self) -> bytes:
        return issue_credential(
            self.key, city=CITY, holder_key=self.holder_key, status_index=STATUS_INDEX, now=NOW)[1]

    def roster(self, _index: int) -> tuple[bytes, datetime, timedelta]:
        return self.holder_key, NOW, timedelta(hours=24)

    def issue(self) -> str:
        return issue_code(self.key, city=CITY, subject=b"s" * 16, now=NOW)[0]

    def show(self) -> str:
        return show_code(self.phone, self.credential, Showing(NOW, 0, LOT_ID))

    def prove(self) -> str:
        return show_proof(self.phone, STATUS_INDEX, Showing(NOW, 0, LOT_ID))


def make_samples(seed: int) -> dict[str, list[Sample]]:
    """Some codes of each format; a format's name ends with the version and level that it takes."""
    dice = random.Random(seed)  # noqa: S311
    makers: dict[str, Callable[[], Sample]] = {
        "ours_0x11_9M": lambda: _ours(dice, DUAL_OFFLINE),
        "ours_0x31_6M": lambda: _ours(dice, SERVER_ISSUED),
        "ours_0x21_5M": lambda: _ours(dice, PROOF_ONLY),
        "hcert_555_18Q": lambda: _certificate(dice, 555, ERROR_CORRECT_Q),
        "hcert_555_15M": lambda: _certificate(dice, 555, ERROR_CORRECT_M),
        "hcert_499_17Q": lambda: _certificate(dice, 499, ERROR_CORRECT_Q),
        "hcert_655_20Q": lambda: _certificate(dice, 655, ERROR_CORRECT_Q),
        "shc_800_18L": lambda: _health_card(dice, 800, ERROR_CORRECT_L),
        "shc_800_21M": lambda: _health_card(dice, 800, ERROR_CORRECT_M),
    }
    made = {name: [make() for _ in range(SAMPLES)] for name, make in makers.items()}
    for name, samples in made.items():
        version = int("".join(filter(str.isdigit, name.rpartition("_")[2])))
        assert {len(each.modules) for each in samples} == {17 + 4 * version + 2 * QUIET_ZONE}, name
    return made


def _ours(dice: random.Random, form: int) -> Sample:
    digits = write_code(bytes([form]), dice.randbytes(FORM_BYTES[form] - 1))
    return Sample(digits, _frame(code_modules(digits)))


def _certificate(dice: random.Random, length: int, level: int) -> Sample:
    text = "HC1:" + "".join(dice.choices(BASE45, k=length - 4))
    return Sample(text, _draw(level, QRData(text, mode=MODE_ALPHA_NUM)))


def _health_card(dice: random.Random, length: int, level: int) -> Sample:
    digits = "".join(f"{ord(each) - 45:02}" for each in dice.choices(BASE64URL, k=length))
    return Sample("shc:/" + digits, _draw(
        level, QRData("shc:/", mode=MODE_8BIT_BYTE), QRData(digits, mode=MODE_NUMBER)))


def _draw(level: int, *parts: QRData) -> NDArray[np.uint8]:
    picture = qrcode.QRCode(error_correction=level)
    for part in parts:
        picture.add_data(part, optimize=0)
    picture.make(fit=True)
    return _frame([[bool(module) for module in row] for row in picture.modules])


def _frame(modules: list[list[bool]]) -> NDArray[np.uint8]:
    return np.pad(np.where(np.array(modules), 0, 255).astype(np.uint8), QUIET_ZONE, constant_values=255)
