"""A driver holds a code to a gate: its bytes, its making and its checking.

On the wire a code is one decimal number, so that a QR picture takes it in numeric mode: the byte
0x01 (a sentinel, so that leading zeros survive) and then, big-endian,

    0x31  server-issued, 97 bytes, QR version 6-M
    type 1 | kid 1 | iat seconds 4 | life seconds 2 | aud 1 | subject 16 | jti 8 | signature 64

Seconds count from 2020-01-01T00:00:00Z; `aud` is the city's number. The signature (ES256, r then
s, low s) is that of a JWT which does not travel: header and claims are rebuilt from these fields
in a fixed order, and PyJWT verifies what was rebuilt. The verifier therefore accepts exactly one
text for one code: header, claim set and base64url are its own, not the sender's.

Evolution: the first byte names the form, and the length follows from it. A form is never
changed; another layout takes another byte (0x11 dual-offline, 0x12 challenge, 0x21 proof only,
0x32 printed and 0x41 SM2 are reserved). The type is a signed claim, so that no code of one form
passes as another. Each kid has one algorithm, written beside the key; the code never chooses.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERVER_ISSUED = 0x31
LIFE_SECONDS = 60
REFRESH_SECONDS = 30
DIGITS_MAX = {SERVER_ISSUED: 234}
_SENTINEL = 1
_BYTES = {SERVER_ISSUED: 97}
_RESERVED = frozenset({0x11, 0x12, 0x21, 0x32, 0x41})
_SIGNATURE_BYTES = 64
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_TEXT_MAX = 512
_NO_CLOCK = {
    "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False,
    "verify_sub": False, "verify_jti": False, "verify_iss": False,
}


class CodeRefused(Exception):
    """A code that opens nothing; `reason` is the published word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class IssuingKey:
    """The private half that signs codes. kid: 1..255."""

    kid: int
    private: jwt.PyJWK | Any


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half as a gate holds it; a revoked key stays in the ring to be named."""

    kid: int
    public: Any
    algorithm: str = "ES256"
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class City:
    """The audience of a code: the byte on the wire and its name in the rebuilt JWT."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a code says.

    subject: 16 bytes, the driver's pseudonym towards gates; jti: 8 random bytes.
    """

    kid: int
    city: City
    subject: bytes
    jti: bytes
    issued_at: datetime
    life_seconds: int
    form: int = SERVER_ISSUED

    @property
    def expires_at(self) -> datetime:
        return self.issued_at + timedelta(seconds=self.life_seconds)

    @property
    def use_hash(self) -> bytes:
        """Under what a use is recorded: never the text or the signature, which have twins."""
        return sha256(bytes([self.form]) + self.jti).digest()


def issue_code(
    key: IssuingKey, *, city: City, subject: bytes, now: datetime,
    life_seconds: int = LIFE_SECONDS, jti: bytes | None = None,
) -> tuple[str, Claims]:
    """Make a server-issued code; the instant of issue is cut to the whole second.

    :raises ValueError: a field that does not fit its bytes
    """
    claims = Claims(
        kid=key.kid, city=city, subject=subject, jti=jti or secrets.token_bytes(8),
        issued_at=now.replace(microsecond=0), life_seconds=life_seconds,
    )
    unsigned = _encode(claims)
    token = jwt.encode(_jwt_claims(claims), key.private, algorithm="ES256", headers=_jwt_header(claims.kid))
    signature = _low_s(_unbase64(token.rpartition(".")[2]))
    return str(int.from_bytes(bytes([_SENTINEL]) + unsigned + signature, "big")), claims


def verify_code(
    text: str, *, keys: Mapping[int, VerifyingKey], city: City, now: datetime,
    allowance: timedelta = timedelta(),
) -> Claims:
    """Check a code without looking anything up; form and times first, they cost nothing.

    :param allowance: how far the verifier's clock may be off; zero where it is the issuer's own
    :raises CodeRefused: with the reason word of the first thing that is wrong
    """
    claims, signature = parse_code(text, city=city)
    if now >= claims.expires_at + allowance:
        raise CodeRefused("code_expired")
    if now < claims.issued_at - allowance:
        raise CodeRefused("code_not_yet_valid")
    key = keys.get(claims.kid)
    if key is None:
        raise CodeRefused("code_unknown_key")
    if key.revoked:
        raise CodeRefused("code_revoked")
    if not _is_low_s(signature):
        raise CodeRefused("code_bad_signature")
    try:
        jwt.decode(_rebuild(claims, signature), key.public, algorithms=[key.algorithm], options=_NO_CLOCK)  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        raise CodeRefused("code_bad_signature") from None
    return claims


def parse_code(text: str, *, city: City) -> tuple[Claims, bytes]:
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
    form = raw[1]
    if form not in _BYTES:
        raise CodeRefused("code_unsupported_type" if form in _RESERVED else "code_malformed")
    if len(raw) != 1 + _BYTES[form]:
        raise CodeRefused("code_malformed")
    body = raw[1:]
    if body[1] == 0 or body[8] != city.number or int.from_bytes(body[6:8], "big") == 0:
        raise CodeRefused("code_malformed")
    claims = Claims(
        form=form, kid=body[1], city=city,
        issued_at=EPOCH + timedelta(seconds=int.from_bytes(body[2:6], "big")),
        life_seconds=int.from_bytes(body[6:8], "big"),
        subject=body[9:25], jti=body[25:33],
    )
    return claims, body[33:]


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


def _encode(claims: Claims) -> bytes:
    if len(claims.subject) != 16 or len(claims.jti) != 8 or not 1 <= claims.kid <= 255:
        raise ValueError("subject has 16 bytes, jti 8, and kid is 1..255")
    seconds = int((claims.issued_at - EPOCH).total_seconds())
    return b"".join((
        bytes([claims.form, claims.kid]),
        seconds.to_bytes(4, "big"),
        claims.life_seconds.to_bytes(2, "big"),
        bytes([claims.city.number]),
        claims.subject,
        claims.jti,
    ))


def _jwt_header(kid: int) -> dict[str, str]:
    return {"alg": "ES256", "kid": str(kid), "typ": "pk1+jwt"}


def _jwt_claims(claims: Claims) -> dict[str, Any]:
    return {
        "form": claims.form,
        "aud": claims.city.name,
        "sub": _base64(claims.subject),
        "jti": _base64(claims.jti),
        "iat": _unix(claims.issued_at),
        "exp": _unix(claims.expires_at),
    }


def _rebuild(claims: Claims, signature: bytes) -> str:
    """The compact JWT, byte for byte as jwt.encode wrote it when the code was issued."""
    header = f'{{"alg":"ES256","kid":"{claims.kid}","typ":"pk1+jwt"}}'
    body = (
        f'{{"form":{claims.form},"aud":"{claims.city.name}","sub":"{_base64(claims.subject)}",'
        f'"jti":"{_base64(claims.jti)}","iat":{_unix(claims.issued_at)},"exp":{_unix(claims.expires_at)}}}'
    )
    return f"{_base64(header.encode())}.{_base64(body.encode())}.{_base64(signature)}"


def _unix(instant: datetime) -> int:
    return int((instant - UNIX_EPOCH).total_seconds())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _is_low_s(signature: bytes) -> bool:
    return 0 < int.from_bytes(signature[32:], "big") <= _P256_ORDER // 2


def _low_s(signature: bytes) -> bytes:
    """(r, s) and (r, n - s) are both good ECDSA; only the lower one is a code's."""
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, _P256_ORDER - s).to_bytes(32, "big")
