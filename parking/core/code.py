"""A driver holds a code to a gate: how it is made and how it is checked (its bytes: core/code_wire.py).

The issuer's signature is that of a JWT which does not travel: header and claims are rebuilt from
the fields in a fixed order, and PyJWT verifies what was rebuilt. The verifier therefore accepts
exactly one text for one code: header, claim set and base64url are its own, not the sender's. A
phone's signature on top says that the code is shown by who holds the key, now and perhaps here.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from parking.core.code_wire import (
    CHALLENGE,
    DUAL_OFFLINE,
    HOLDER_PREFIX,
    PRINTED,
    PROOF_ONLY,
    City,
    Claims,
    CodeRefused,
    Showing,
    Shown,
    encode_claims,
    encode_showing,
    parse_code,
    subject_of,
    write_code,
)

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIFE_SECONDS = 60
REFRESH_SECONDS = 30
CREDENTIAL_LIFE = timedelta(hours=24)
SHOWN_LIFE = timedelta(seconds=30)
CLOCK_ALLOWANCE = timedelta(seconds=60)
HONOURED_AT_EXIT = timedelta(days=7)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA = ec.ECDSA(SHA256())
_NO_CLOCK = {
    "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False,
    "verify_sub": False, "verify_jti": False, "verify_iss": False,
}
# status index -> (holder key, when it was issued, how long it lives), of credentials that are held here
Roster = Callable[[int], "tuple[bytes, datetime, timedelta] | None"]


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


def issue_code(
    key: IssuingKey, *, city: City, subject: bytes, now: datetime,
    life_seconds: int = LIFE_SECONDS, jti: bytes | None = None,
) -> tuple[str, Claims]:
    """Make a server-issued code; the instant of issue is cut to the whole second.

    :raises ValueError: a field that does not fit its bytes
    """
    claims = Claims(
        kid=key.kid, city=city, subject=subject, jti=jti or secrets.token_bytes(8),
        issued_at=now.replace(microsecond=0), life=timedelta(seconds=life_seconds),
    )
    return write_code(encode_claims(claims), _signature_of(_sign(claims, key))), claims


def issue_printed_code(
    key: IssuingKey, *, city: City, subject: bytes, status_index: int, days: int, now: datetime
) -> tuple[str, Claims]:
    """Make a code for paper: it can be revoked by its index, and is no more than half of an entry."""
    claims = Claims(
        form=PRINTED, kid=key.kid, city=city, subject=subject,
        jti=status_index.to_bytes(4, "big") + secrets.token_bytes(4), issued_at=now.replace(microsecond=0),
        life=timedelta(days=days),
    )
    return write_code(encode_claims(claims), _signature_of(_sign(claims, key))), claims


def issue_credential(
    key: IssuingKey, *, city: City, holder_key: bytes, status_index: int, now: datetime,
    life: timedelta = CREDENTIAL_LIFE,
) -> tuple[str, bytes, Claims]:
    """Bind a phone's key: the credential as a JWT, the bytes that each code of it begins with, its claims.

    :raises ValueError: no compressed key, or a life that is no whole quarter hours
    """
    claims = Claims(
        form=DUAL_OFFLINE, kid=key.kid, city=city, subject=subject_of(holder_key), holder_key=holder_key,
        jti=status_index.to_bytes(4, "big"), issued_at=now.replace(second=0, microsecond=0), life=life,
    )
    unsigned = encode_claims(claims)
    signature = _signature_of(_sign(claims, key))
    return _rebuild(claims, signature), unsigned + signature, claims


def show_code(private: ec.EllipticCurvePrivateKey, credential: bytes, said: Showing | bytes) -> str:
    """What a phone does: sign the moment, or a gate's nonce, with the key that the credential names."""
    body = credential + said if isinstance(said, bytes) else credential + encode_showing(said)
    if isinstance(said, bytes):
        body = bytes([CHALLENGE]) + body[1:]
    return write_code(body, sign_holder(private, body))


def show_proof(private: ec.EllipticCurvePrivateKey, status_index: int, showing: Showing) -> str:
    """A showing without the credential, for a lot that holds it."""
    body = bytes([PROOF_ONLY]) + status_index.to_bytes(4, "big") + encode_showing(showing)
    return write_code(body, sign_holder(private, body), b"\x00\x00")


def sign_holder(private: ec.EllipticCurvePrivateKey, body: bytes) -> bytes:
    r, s = decode_dss_signature(private.sign(HOLDER_PREFIX + body, _ECDSA))
    return _low_s(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def verify_code(
    text: str, *, keys: Mapping[int, VerifyingKey], city: City, now: datetime, allowance: timedelta = timedelta(),
    lot_id: int = 0, is_exit: bool = False, nonce: bytes | None = None, roster: Roster | None = None,
) -> Claims:
    """Check a code without looking anything up; form and times first, they cost nothing.

    A credential that has ended is let through at an exit for seven days, marked `is_expired`: whether
    its car is inside is for the caller to see. A nonce is asked for, or a challenge opens nothing.

    :param allowance: how far a server-issued code's verifier may be off; zero where it is the issuer's own.
        A phone's clock is allowed a minute either way in any case
    :param lot_id: where it is shown; a showing that names another lot is refused
    :param roster: the credentials held here; without it a proof alone opens nothing
    :raises CodeRefused: with the reason word of the first thing that is wrong
    """
    shown = parse_code(text, city=city)
    if shown.claims.form == PROOF_ONLY:
        shown = _add_credential(shown, roster)
    claims = _check_times(shown.claims, now=now, allowance=allowance, is_exit=is_exit)
    if claims.showing is not None and claims.showing.lot_id not in (0, lot_id):
        raise CodeRefused("wrong_lot")
    if claims.form == CHALLENGE and (nonce is None or claims.nonce != nonce):
        raise CodeRefused("code_stale")
    if claims.form != PROOF_ONLY:
        _check_issuer(claims, shown.issuer_signature, keys)
    if claims.is_held:
        _check_holder(claims.holder_key, shown.holder_signature, shown.signed)
    return claims


def compress_key(x: bytes, y: bytes) -> bytes:
    """33 bytes of a P-256 point.

    :raises ValueError: it is not on the curve
    """
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    numbers.public_key()
    return bytes([2 + (y[-1] & 1)]) + x


def _add_credential(shown: Shown, roster: Roster | None) -> Shown:
    index = shown.claims.status_index
    assert index is not None
    held = roster(index) if roster is not None else None
    if held is None:
        raise CodeRefused("code_unknown_key")
    holder_key, issued_at, life = held
    return replace(shown, claims=replace(
        shown.claims, holder_key=holder_key, subject=subject_of(holder_key), issued_at=issued_at, life=life))


def _check_times(claims: Claims, *, now: datetime, allowance: timedelta, is_exit: bool) -> Claims:
    if claims.is_held:
        allowance = CLOCK_ALLOWANCE
    if claims.showing is not None:
        if now > claims.showing.at + SHOWN_LIFE + allowance:
            raise CodeRefused("code_stale")
        if now < claims.showing.at - allowance:
            raise CodeRefused("code_not_yet_valid")
    if now < claims.issued_at - allowance:
        raise CodeRefused("code_not_yet_valid")
    if now < claims.expires_at + allowance:
        return claims
    if is_exit and claims.is_held and now < claims.expires_at + HONOURED_AT_EXIT:
        return replace(claims, is_expired=True)
    raise CodeRefused("code_expired")


def _check_issuer(claims: Claims, signature: bytes, keys: Mapping[int, VerifyingKey]) -> None:
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


def _check_holder(holder_key: bytes, signature: bytes, signed: bytes) -> None:
    if not _is_low_s(signature):
        raise CodeRefused("code_bad_proof")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), holder_key)
        public.verify(encode_dss_signature(r, s), HOLDER_PREFIX + signed, _ECDSA)
    except (ValueError, InvalidSignature):
        raise CodeRefused("code_bad_proof") from None


def _sign(claims: Claims, key: IssuingKey) -> str:
    return jwt.encode(_jwt_claims(claims), key.private, algorithm="ES256", headers={
        "alg": "ES256", "kid": str(claims.kid), "typ": "pk1+jwt"})


def _signature_of(token: str) -> bytes:
    return _low_s(_unbase64(token.rpartition(".")[2]))


def _jwt_claims(claims: Claims) -> dict[str, Any]:
    # A challenge is signed over the same credential as the phone's other codes.
    made: dict[str, Any] = {
        "form": DUAL_OFFLINE if claims.form == CHALLENGE else claims.form,
        "aud": claims.city.name,
        "sub": _base64(claims.subject),
        "jti": _base64(claims.jti),
        "iat": _unix(claims.issued_at),
        "exp": _unix(claims.expires_at),
    }
    return {**made, "cnf": {"k": _base64(claims.holder_key)}} if claims.holder_key else made


def _rebuild(claims: Claims, signature: bytes) -> str:
    """The compact JWT, byte for byte as jwt.encode wrote it when the code was issued."""
    header = f'{{"alg":"ES256","kid":"{claims.kid}","typ":"pk1+jwt"}}'
    form = DUAL_OFFLINE if claims.form == CHALLENGE else claims.form
    holder = f',"cnf":{{"k":"{_base64(claims.holder_key)}"}}' if claims.holder_key else ""
    body = (
        f'{{"form":{form},"aud":"{claims.city.name}","sub":"{_base64(claims.subject)}",'
        f'"jti":"{_base64(claims.jti)}","iat":{_unix(claims.issued_at)},"exp":{_unix(claims.expires_at)}{holder}}}'
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

