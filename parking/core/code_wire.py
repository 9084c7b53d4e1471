"""The bytes of a code as a camera reads them: layouts, and how they are found again.

A code is one decimal number, so that a QR picture takes it in numeric mode: the byte 0x01 (a
sentinel, so that leading zeros survive) and then, big-endian, one of

    0x11  dual-offline, 179 bytes, QR version 9-M
    type 1 | kid 1 | iat minutes 3 | life in quarter hours 1 | aud 1 | status index 4 | holder key 33
    | issuer signature 64 || time seconds 4 | counter 1 | lot 2 | holder signature 64
    0x12  challenge, 179 bytes
    as 0x11, with the gate's nonce (7 bytes) in place of time, counter and lot
    0x21  proof only, 78 bytes, version 5-M; the lot holds the credential
    type 1 | status index 4 | time seconds 4 | counter 1 | lot 2 | holder signature 64 | reserved 2 (zero)
    0x31  server-issued, 97 bytes, version 6-M
    type 1 | kid 1 | iat seconds 4 | life seconds 2 | aud 1 | subject 16 | jti 8 | issuer signature 64
    0x32  printed, 97 bytes
    as 0x31, with life in days

All times count from 2020-01-01T00:00:00Z. `aud` is the city's number, `lot` the lot's (0: none
known). A holder key is a P-256 point, compressed; with it the subject is SHA-256(holder key)[:16].
Signatures are ES256, r then s, low s. The issuer's is that of a JWT which does not travel
(core/code.py rebuilds it); the holder's is over "PKQR1" and every byte before it, without the sentinel.

Evolution: the first byte names the form, and the length follows from it. A form is never changed;
another layout takes another byte (0x41, the SM2 twin, is reserved). The type is a signed claim, so
no code of one form passes as another. Each kid has one algorithm, written beside the key; the code
never chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
DUAL_OFFLINE, CHALLENGE, PROOF_ONLY, SERVER_ISSUED, PRINTED = 0x11, 0x12, 0x21, 0x31, 0x32
FORM_BYTES = {DUAL_OFFLINE: 179, CHALLENGE: 179, PROOF_ONLY: 78, SERVER_ISSUED: 97, PRINTED: 97}
DIGITS_MAX = {DUAL_OFFLINE: 432, CHALLENGE: 432, PROOF_ONLY: 188, SERVER_ISSUED: 234, PRINTED: 234}
QR_VERSION = {DUAL_OFFLINE: 9, CHALLENGE: 9, PROOF_ONLY: 5, SERVER_ISSUED: 6, PRINTED: 6}
SUBJECT_BYTES, JTI_BYTES, NONCE_BYTES, HOLDER_KEY_BYTES, SIGNATURE_BYTES = 16, 8, 7, 33, 64
HOLDER_PREFIX = b"PKQR1"
_SENTINEL = 1
_RESERVED = frozenset({0x41})
_TEXT_MAX = 512
_CREDENTIAL_BYTES = 108  # of 0x11 and 0x12, up to and with the issuer's signature
_LIFE_UNIT = {
    DUAL_OFFLINE: timedelta(minutes=15), CHALLENGE: timedelta(minutes=15), SERVER_ISSUED: timedelta(seconds=1),
    PRINTED: timedelta(days=1),
}


class CodeRefused(Exception):
    """A code that opens nothing; `reason` is the published word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class City:
    """The audience of a code: the byte on the wire and its name in the rebuilt JWT."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Showing:
    """What the phone adds when it shows a code: when, the how-manieth in that second, where (0: unknown)."""

    at: datetime
    counter: int
    lot_id: int = 0

    @property
    def position(self) -> tuple[datetime, int]:
        return self.at, self.counter


@dataclass(frozen=True, slots=True)
class Claims:
    """What a code says.

    subject: 16 bytes, a pseudonym towards gates. jti: 8 bytes, or the status index in 4.
    life: of the credential, or of the code where there is none. holder_key, showing, nonce: of the
    forms that a phone signs. is_expired: it ended, and was let through to leave (core/code.py).
    """

    kid: int
    city: City
    subject: bytes
    jti: bytes
    issued_at: datetime
    life: timedelta
    form: int = SERVER_ISSUED
    holder_key: bytes = b""
    showing: Showing | None = None
    nonce: bytes = b""
    is_expired: bool = False

    @property
    def expires_at(self) -> datetime:
        return self.issued_at + self.life

    @property
    def is_held(self) -> bool:
        """Whether a phone's key signs it."""
        return self.form in (DUAL_OFFLINE, CHALLENGE, PROOF_ONLY)

    @property
    def status_index(self) -> int | None:
        """Where the credential stands in the status list; None for a server-issued code, which needs none."""
        return None if self.form == SERVER_ISSUED else int.from_bytes(self.jti[:4], "big")

    @property
    def use_hash(self) -> bytes:
        """Under what a use is recorded: never the text or the signatures, which have twins."""
        said = bytes([self.form])
        if self.showing is not None:  # 0x11 and 0x21 of one second and counter are one showing
            said = bytes([DUAL_OFFLINE]) + _seconds(self.showing.at) + bytes([self.showing.counter])
        elif self.nonce:
            said += self.nonce
        else:
            said += self.jti
        return sha256(said).digest()


@dataclass(frozen=True, slots=True)
class Shown:
    """A code as it was read; nothing is verified. signed: the bytes that the holder's signature is over."""

    claims: Claims
    issuer_signature: bytes
    holder_signature: bytes
    signed: bytes


def subject_of(holder_key: bytes) -> bytes:
    return sha256(holder_key).digest()[:SUBJECT_BYTES]


def parse_code(text: str, *, city: City) -> Shown:
    """Read the fields; nothing is verified yet.

    Scanners add CR, LF and spaces at the ends; they are dropped.

    :raises CodeRefused: what was shown is not a parking code, and what it is instead
    """
    digits = text.strip(" \t\r\n")
    refused = recognise_other(digits)
    if refused:
        raise CodeRefused(refused)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _TEXT_MAX or digits[0] == "0":
        raise CodeRefused("code_malformed")
    number = int(digits)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if raw[0] != _SENTINEL or len(raw) < 2:
        raise CodeRefused("code_malformed")
    body, form = raw[1:], raw[1]
    if form not in FORM_BYTES:
        raise CodeRefused("code_unsupported_type" if form in _RESERVED else "code_malformed")
    if len(body) != FORM_BYTES[form]:
        raise CodeRefused("code_malformed")
    if form == PROOF_ONLY:
        return _parse_proof(body, city)
    shown = _parse_held(body, city) if form in (DUAL_OFFLINE, CHALLENGE) else _parse_issued(body, city)
    if shown.claims.kid == 0 or not shown.claims.life:
        raise CodeRefused("code_malformed")
    return shown


def recognise_other(text: str) -> str | None:
    """The reason word for codes of other systems that people hold to a gate by mistake.

    Payment codes: WeChat 18 digits from 10..15, Alipay 16..24 from 25..30, UnionPay 19 from 62.
    An identity code of the city is a URL. Sources: docs/field.md, "Codes".
    """
    if text[:8].lower().startswith(("http://", "https://")):
        return "identity_code_not_here"
    if text.isascii() and text.isdigit():
        head = int(text[:2])
        if (
            (len(text) == 18 and 10 <= head <= 15)
            or (16 <= len(text) <= 24 and 25 <= head <= 30)
            or (len(text) == 19 and head == 62)
        ):
            return "payment_code"
    return None


def write_code(*parts: bytes) -> str:
    """The digits of a code whose bytes these parts are."""
    body = b"".join(parts)
    assert len(body) == FORM_BYTES[body[0]]
    return str(int.from_bytes(bytes([_SENTINEL]) + body, "big"))


def encode_claims(claims: Claims) -> bytes:
    """The fields that the issuer signs, as they travel.

    :raises ValueError: a field that does not fit its bytes, or time that is no whole unit
    """
    unit = _LIFE_UNIT[claims.form]
    if claims.life % unit or not 1 <= claims.kid <= 255:
        raise ValueError("a life is whole units, and kid is 1..255")
    head, life = bytes([claims.form, claims.kid]), claims.life // unit
    if claims.form in (DUAL_OFFLINE, CHALLENGE):
        minutes, rest = divmod(claims.issued_at - EPOCH, timedelta(minutes=1))
        if rest or len(claims.holder_key) != HOLDER_KEY_BYTES or len(claims.jti) != 4:
            raise ValueError("a credential is issued at a whole minute, to a compressed key, with a status index")
        return b"".join((
            head, minutes.to_bytes(3, "big"), life.to_bytes(1, "big"), bytes([claims.city.number]), claims.jti,
            claims.holder_key))
    if len(claims.subject) != SUBJECT_BYTES or len(claims.jti) != JTI_BYTES:
        raise ValueError("a subject has 16 bytes, jti 8")
    return b"".join((
        head, _seconds(claims.issued_at), life.to_bytes(2, "big"), bytes([claims.city.number]), claims.subject,
        claims.jti))


def encode_showing(showing: Showing) -> bytes:
    """time 4 | counter 1 | lot 2"""
    return _seconds(showing.at) + bytes([showing.counter]) + showing.lot_id.to_bytes(2, "big")


def _parse_issued(body: bytes, city: City) -> Shown:
    form = body[0]
    claims = Claims(
        form=form, kid=body[1], city=_check_city(body[8], city), issued_at=_instant(body[2:6]),
        life=int.from_bytes(body[6:8], "big") * _LIFE_UNIT[form], subject=body[9:25], jti=body[25:33],
    )
    return Shown(claims, body[33:], b"", b"")


def _parse_held(body: bytes, city: City) -> Shown:
    form, holder_key, rest = body[0], body[11:44], body[_CREDENTIAL_BYTES:]
    claims = Claims(
        form=form, kid=body[1], city=_check_city(body[6], city),
        issued_at=EPOCH + timedelta(minutes=int.from_bytes(body[2:5], "big")), life=body[5] * _LIFE_UNIT[form],
        subject=subject_of(holder_key), jti=body[7:11], holder_key=holder_key,
        showing=_showing(rest) if form == DUAL_OFFLINE else None, nonce=rest[:7] if form == CHALLENGE else b"",
    )
    return Shown(claims, body[44:_CREDENTIAL_BYTES], rest[7:], body[: _CREDENTIAL_BYTES + 7])


def _parse_proof(body: bytes, city: City) -> Shown:
    """The credential is not in it: subject, key and times are its roster's to add (core/code.py)."""
    if body[76:] != b"\x00\x00":
        raise CodeRefused("code_malformed")
    claims = Claims(
        form=PROOF_ONLY, kid=0, city=city, issued_at=EPOCH, life=timedelta(), subject=b"", jti=body[1:5],
        showing=_showing(body[5:12]))
    return Shown(claims, b"", body[12:76], body[:12])


def _showing(raw: bytes) -> Showing:
    return Showing(_instant(raw[:4]), raw[4], int.from_bytes(raw[5:7], "big"))


def _check_city(number: int, city: City) -> City:
    if number != city.number:
        raise CodeRefused("code_malformed")
    return city


def _instant(raw: bytes) -> datetime:
    return EPOCH + timedelta(seconds=int.from_bytes(raw, "big"))


def _seconds(instant: datetime) -> bytes:
    return int((instant - EPOCH).total_seconds()).to_bytes(4, "big")
