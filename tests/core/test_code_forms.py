"""Codes that a phone signs, and those on paper: touched, stale, borrowed or for elsewhere, they open nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from parking.core.code import (
    IssuingKey,
    VerifyingKey,
    compress_key,
    issue_credential,
    issue_printed_code,
    show_code,
    show_proof,
    verify_code,
)
from parking.core.code_picture import code_modules
from parking.core.code_wire import (
    CHALLENGE,
    DIGITS_MAX,
    DUAL_OFFLINE,
    FORM_BYTES,
    PRINTED,
    PROOF_ONLY,
    QR_VERSION,
    City,
    Claims,
    CodeRefused,
    Showing,
    subject_of,
)

NOW = datetime(2026, 3, 10, 1, 0, 30, tzinfo=UTC)
CITY = City(1, "shanghai")
ISSUER = ec.generate_private_key(ec.SECP256R1())
KEYS = {7: VerifyingKey(7, ISSUER.public_key())}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
INDEX, LOT, NONCE = 77, 3, b"nonce-7"


@dataclass
class Phone:
    private: ec.EllipticCurvePrivateKey
    credential: bytes
    claims: Claims

    @classmethod
    def make(cls, *, at: datetime = NOW, life: timedelta = timedelta(hours=24)) -> Phone:
        private = ec.generate_private_key(ec.SECP256R1())
        key = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        _, credential, claims = issue_credential(
            IssuingKey(7, ISSUER), city=CITY, holder_key=key, status_index=INDEX, now=at, life=life)
        return cls(private, credential, claims)

    def show(self, at: datetime = NOW, counter: int = 0, lot: int = 0) -> str:
        return show_code(self.private, self.credential, Showing(at, counter, lot))

    def prove(self, at: datetime = NOW, counter: int = 0, lot: int = 0) -> str:
        return show_proof(self.private, INDEX, Showing(at, counter, lot))

    def roster(self, index: int) -> tuple[bytes, datetime, timedelta] | None:
        return (self.claims.holder_key, self.claims.issued_at, self.claims.life) if index == INDEX else None


PHONE = Phone.make()
PRINTED_CODE, _ = issue_printed_code(
    IssuingKey(7, ISSUER), city=CITY, subject=b"p" * 16, status_index=INDEX, days=365, now=NOW)
FORMS = {
    DUAL_OFFLINE: PHONE.show(), CHALLENGE: show_code(PHONE.private, PHONE.credential, NONCE),
    PROOF_ONLY: PHONE.prove(), PRINTED: PRINTED_CODE,
}


def check(text: str, *, at: datetime = NOW, **more: Any) -> Claims:
    asked: dict[str, Any] = {
        "keys": KEYS, "city": CITY, "lot_id": LOT, "nonce": NONCE, "roster": PHONE.roster, **more}
    return verify_code(text, now=at, **asked)


def refusal(text: str, *, at: datetime = NOW, **more: Any) -> str | None:
    try:
        check(text, at=at, **more)
    except CodeRefused as refused:
        return refused.reason
    return None


def raw_of(text: str) -> bytes:
    number = int(text)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_holds_and_fits_its_picture(form: int) -> None:
    text = FORMS[form]

    claims = check(text)

    assert len(text) <= DIGITS_MAX[form] and len(raw_of(text)) == 1 + FORM_BYTES[form]
    assert len(code_modules(text)) == 17 + 4 * QR_VERSION[form]
    assert (claims.form, claims.status_index) == (form, INDEX)
    if form != PRINTED:
        assert claims.subject == subject_of(PHONE.claims.holder_key)


@pytest.mark.parametrize("form", FORMS)
def test_no_single_flipped_bit_of_any_form_is_accepted(form: int) -> None:
    raw = raw_of(FORMS[form])
    accepted = []
    for bit in range(8, len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        if refusal(str(int.from_bytes(changed, "big"))) is None:
            accepted.append(bit)

    assert accepted == []


@pytest.mark.parametrize(("form", "start", "reason"), [
    (DUAL_OFFLINE, 45, "code_bad_signature"), (DUAL_OFFLINE, 116, "code_bad_proof"),
    (CHALLENGE, 45, "code_bad_signature"), (CHALLENGE, 116, "code_bad_proof"), (PROOF_ONLY, 13, "code_bad_proof"),
    (PRINTED, 34, "code_bad_signature"),
])
def test_the_twin_of_each_signature_is_refused(form: int, start: int, reason: str) -> None:
    raw = raw_of(FORMS[form])
    s = int.from_bytes(raw[start + 32 : start + 64], "big")
    twin = raw[: start + 32] + (ORDER - s).to_bytes(32, "big") + raw[start + 64 :]

    assert refusal(str(int.from_bytes(twin, "big"))) == reason


@pytest.mark.parametrize("form", FORMS)
def test_padding_cutting_and_other_writing_are_refused(form: int) -> None:
    text, raw = FORMS[form], raw_of(FORMS[form])

    for bent in (raw + b"\x00", raw[:-1], b"\x00" + raw, b"\x02" + raw[1:], raw[:1] + b"\x41" + raw[2:]):
        assert refusal(str(int.from_bytes(bent, "big"))) in (
            "code_malformed", "code_unsupported_type", None if bent == b"\x00" + raw else "code_malformed")
    for other in (f"0{text}", f"-{text}", f"{text}.0", f"{text[:5]} {text[5:]}", f"{text}e1", "٣" + text[1:], text * 3,
                  "1" * 10_000):
        assert refusal(other) == "code_malformed"
    assert refusal(f"  {text}\r\n") is None, "scanners add these"


def test_a_showing_lives_half_a_minute_and_clocks_may_be_a_minute_off() -> None:
    for make in (PHONE.show, PHONE.prove):
        text = make()
        assert refusal(text, at=NOW + timedelta(seconds=90)) is None
        assert refusal(text, at=NOW + timedelta(seconds=90, milliseconds=1)) == "code_stale"
        assert refusal(make(NOW + timedelta(seconds=60))) is None
        assert refusal(make(NOW + timedelta(seconds=61))) == "code_not_yet_valid"


def test_a_showing_for_another_lot_is_refused_and_one_for_none_is_not() -> None:
    for make in (PHONE.show, PHONE.prove):
        assert refusal(make(lot=LOT)) is None
        assert refusal(make(lot=LOT + 1)) == "wrong_lot"
        assert check(make(lot=LOT)).showing == Showing(NOW, 0, LOT)


def test_a_credential_that_ended_leaves_for_a_week_and_enters_no_more() -> None:
    ended = PHONE.claims.expires_at
    late = ended + timedelta(minutes=2)

    assert refusal(PHONE.show(ended), at=ended) is None, "a minute is allowed"
    assert refusal(PHONE.show(late), at=late) == "code_expired"
    leaving = check(PHONE.show(late), at=late, is_exit=True)
    assert leaving.is_expired and not check(PHONE.show(), is_exit=True).is_expired
    week = ended + timedelta(days=7)
    assert refusal(PHONE.show(week), at=week, is_exit=True) == "code_expired"
    early = Phone.make(at=NOW + timedelta(minutes=5))
    assert refusal(early.show(NOW)) == "code_not_yet_valid"
    assert refusal(PRINTED_CODE, at=NOW + timedelta(days=365), is_exit=True) == "code_expired", "paper ends"


def test_another_key_another_city_and_another_phone_are_refused() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    for form, text in FORMS.items():
        if form != PROOF_ONLY:
            assert refusal(text, keys={}) == "code_unknown_key"
            assert refusal(text, keys={7: VerifyingKey(7, stranger.public_key())}) == "code_bad_signature"
            assert refusal(text, keys={7: VerifyingKey(7, ISSUER.public_key(), revoked=True)}) == "code_revoked"
            assert refusal(text, city=City(2, "other")) == "code_malformed"
            assert refusal(text, city=City(1, "other")) == "code_bad_signature"
    thief = Phone(stranger, PHONE.credential, PHONE.claims)
    assert refusal(thief.show()) == "code_bad_proof", "somebody else's credential"
    assert refusal(thief.prove()) == "code_bad_proof"
    assert refusal(PHONE.prove(), roster=lambda _: None) == "code_unknown_key"
    assert refusal(PHONE.prove(), roster=None) == "code_unknown_key"


def test_a_key_of_another_algorithm_verifies_nothing() -> None:
    for algorithm in ("ES384", "HS256", "none"):
        key = VerifyingKey(7, ISSUER.public_key(), algorithm=algorithm)
        with pytest.raises((CodeRefused, TypeError, ValueError)):
            check(FORMS[DUAL_OFFLINE], keys={7: key})


def test_a_challenge_answers_one_nonce() -> None:
    text = FORMS[CHALLENGE]

    assert check(text).nonce == NONCE
    assert refusal(text, nonce=b"another") == "code_stale"
    assert refusal(text, nonce=None) == "code_stale"


def test_a_use_is_known_by_what_was_shown_not_by_its_writing() -> None:
    assert check(PHONE.show()).use_hash == check(PHONE.show()).use_hash, "ECDSA signs differently each time"
    assert check(PHONE.show()).use_hash == check(PHONE.prove()).use_hash, "the same showing"
    different = {check(each).use_hash for each in (
        PHONE.show(), PHONE.show(counter=1), PHONE.show(NOW - timedelta(seconds=1)), FORMS[CHALLENGE], PRINTED_CODE)}
    assert len(different) == 5


def test_a_holder_key_off_the_curve_binds_nothing_and_shows_nothing() -> None:
    with pytest.raises(ValueError, match="curve"):
        compress_key(b"\x01" * 32, b"\x02" * 32)
    numbers = PHONE.private.public_key().public_numbers()
    assert compress_key(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")) == PHONE.claims.holder_key
    for bad in (b"", b"\x05" + b"\x01" * 32, b"\x02" + b"\xff" * 32):
        assert refusal(PHONE.prove(), roster=lambda _, bad=bad: (bad, NOW, timedelta(hours=1))) == "code_bad_proof"
