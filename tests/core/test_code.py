"""A code that was touched opens nothing, and each way to fail has its word."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import cv2
import numpy
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from parking.core.code import IssuingKey, VerifyingKey, issue_code, verify_code
from parking.core.code_picture import code_png, code_svg
from parking.core.code_wire import City, CodeRefused

NOW = datetime(2026, 3, 10, 1, 0, 0, tzinfo=UTC)
CITY = City(1, "shanghai")
PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEYS = {7: VerifyingKey(7, PRIVATE.public_key())}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def make_code(at: datetime = NOW) -> str:
    return issue_code(IssuingKey(7, PRIVATE), city=CITY, subject=b"s" * 16, now=at)[0]


def refusal(text: str, *, at: datetime = NOW, keys: dict[int, VerifyingKey] = KEYS, city: City = CITY) -> str | None:
    try:
        verify_code(text, keys=keys, city=city, now=at)
    except CodeRefused as refused:
        return refused.reason
    return None


def test_a_fresh_code_holds_and_fits_version_6() -> None:
    for _ in range(50):
        code = make_code()
        assert len(code) <= 234
        assert refusal(code) is None


def test_no_single_flipped_bit_is_accepted() -> None:
    raw = int(make_code()).to_bytes(98, "big")
    flipped = 0
    for bit in range(8, 98 * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert refusal(str(int.from_bytes(changed, "big"))) is not None, bit
        flipped += 1
    assert flipped == 776


def test_the_twin_of_a_signature_is_refused() -> None:
    raw = int(make_code()).to_bytes(98, "big")
    s = int.from_bytes(raw[66:], "big")
    twin = raw[:66] + (ORDER - s).to_bytes(32, "big")

    assert refusal(str(int.from_bytes(twin, "big"))) == "code_bad_signature"


@pytest.mark.parametrize(("seconds", "reason"), [
    (-1, "code_not_yet_valid"), (0, None), (59, None), (60, "code_expired"), (10**7, "code_expired")])
def test_a_code_lives_sixty_seconds(seconds: int, reason: str | None) -> None:
    assert refusal(make_code(), at=NOW + timedelta(seconds=seconds)) == reason


def test_keys_are_named_by_their_state() -> None:
    code, other = make_code(), ec.generate_private_key(ec.SECP256R1()).public_key()

    assert refusal(code, keys={}) == "code_unknown_key"
    assert refusal(code, keys={7: VerifyingKey(7, other)}) == "code_bad_signature"
    assert refusal(code, keys={7: VerifyingKey(7, PRIVATE.public_key(), revoked=True)}) == "code_revoked"
    assert refusal(code, city=City(2, "suzhou")) == "code_malformed"


@pytest.mark.parametrize(("text", "reason"), [
    ("", "code_malformed"), ("   ", "code_malformed"), ("0", "code_malformed"), ("1", "code_malformed"),
    ("hello", "code_malformed"), ("１２３", "code_malformed"), ("9" * 4000, "code_malformed"),
    ("-5", "code_malformed"), ("1e9", "code_malformed"), ("' OR 1=1 --", "code_malformed"),
    ("<script>alert(1)</script>", "code_malformed"), ("\u202e123", "code_malformed"),
    ("134567890123456789", "payment_code"), ("2812345678901234", "payment_code"),
    ("6212345678901234567", "payment_code"), ("https://example.org/q?c=1", "identity_code_not_here"),
    (str(int.from_bytes(b"\x01\x41" + b"x" * 178, "big")), "code_unsupported_type"),
    (str(int.from_bytes(b"\x01\x99" + b"x" * 96, "big")), "code_malformed"),
    (str(int.from_bytes(b"\x01\x31" + b"x" * 95, "big")), "code_malformed"),
])
def test_what_is_no_code_is_named(text: str, reason: str) -> None:
    assert refusal(text) == reason


def test_a_scanners_line_ends_do_no_harm() -> None:
    assert refusal(f" {make_code()}\r\n") is None


def test_two_decoders_read_the_picture_back() -> None:
    code = make_code()
    image = Image.open(io.BytesIO(code_png(code))).convert("L")

    by_zxing = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)[0].text
    by_opencv, *_ = cv2.QRCodeDetectorAruco().detectAndDecode(numpy.array(image))

    assert by_zxing == code
    assert by_opencv == code
    assert image.size == (49 * 8, 49 * 8), "41 modules of version 6 and the quiet zone"
    assert code_svg(code).startswith("<svg")
