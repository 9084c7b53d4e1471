"""Signing keys are made, replaced with overlap, and revoked."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.seal import Sealer
from parking.core.signing import DeviceKey, SigningDevice, thumbprint
from parking.services.unlock import KEY_PURPOSE, OF_DEVICE
from parking.store import keys

PUBLISHED_BEFORE_USE = timedelta(days=14)
KEPT_AFTER_RETIREMENT = timedelta(days=8)
KID_MAX = 255


class NoKidLeft(Exception):
    """All 255 numbers of code keys are taken; a code has one byte for it."""


def create_key(
    db: Session, purpose: str, *, sealer: Sealer, now: datetime, used_from: datetime,
    device: SigningDevice | None = None,
) -> str:
    """Make a P-256 key pair, its private half sealed; returns its kid.

    :param device: makes it there instead, and only its reference is kept
    :raises NoKidLeft: 255 code keys were made
    """
    if device is None:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk, der = public_jwk(private), private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    else:
        reference, _ = device.make_key()
        jwk, der = public_jwk(DeviceKey(device, reference)), OF_DEVICE + reference
    key_id = new_uuid(now)
    kid = _next_kid(db) if purpose == "code" else thumbprint(jwk)
    keys.add_key(
        db, key_id=key_id, purpose=purpose, kid=kid, algorithm="ES256", public_jwk=jwk,
        private_sealed=sealer.seal(der, purpose=KEY_PURPOSE, row=key_id.bytes), created_at=now, used_from=used_from,
    )
    return kid


def rotate_key(
    db: Session, purpose: str, *, sealer: Sealer, now: datetime, at_once: bool = False,
    device: SigningDevice | None = None,
) -> str:
    """Make the next key and retire the ones in use when it takes over.

    It is published at once and used 14 days later, so that every lane knows it by then.
    """
    used_from = now if at_once or keys.find_issuing_key(db, purpose, now=now) is None else now + PUBLISHED_BEFORE_USE
    for key in keys.list_keys(db, purpose):
        if key.revoked_at is None and (key.retired_at is None or key.retired_at > used_from):
            keys.retire_key(db, key.key_id, at=used_from)
    return create_key(db, purpose, sealer=sealer, now=now, used_from=used_from, device=device)


def revoke_key(
    db: Session, purpose: str, kid: str, *, sealer: Sealer, now: datetime, device: SigningDevice | None = None
) -> bool:
    """Refuse what a key signed, everywhere, from now on; a successor signs at once if none could,
    or takes over when the key that signs now retires.

    False if there is no such key, or it was revoked before.
    """
    if not keys.revoke_key(db, purpose, kid, now=now):
        return False
    if keys.find_issuing_key(db, purpose, now=now) is None:
        rotate_key(db, purpose, sealer=sealer, now=now, at_once=True, device=device)
        return True
    left = [key.retired_at for key in keys.list_keys(db, purpose) if key.revoked_at is None]
    if None not in left:  # the one revoked was to take over: another must, when those left retire
        create_key(
            db, purpose, sealer=sealer, now=now, used_from=max(end for end in left if end is not None), device=device)
    return True


def published_jwks(db: Session, *, now: datetime) -> dict[str, Any]:
    """The public key set: code keys until 8 days after their last issue, receipt keys for ever."""
    published = []
    for key in keys.list_keys(db):
        if key.purpose == "code" and (
            key.revoked_at is not None
            or (key.retired_at is not None and key.retired_at + KEPT_AFTER_RETIREMENT < now)
        ):
            continue
        published.append({
            **key.public_jwk, "kid": key.kid, "alg": key.algorithm, "use": "sig",
            "parking_purpose": key.purpose, **({"revoked": True} if key.revoked_at else {}),
        })
    return {"keys": published}


def public_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The public half of a P-256 key."""
    numbers = private.public_key().public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _base64(numbers.x), "y": _base64(numbers.y)}


def _next_kid(db: Session) -> str:
    used = [int(key.kid) for key in keys.list_keys(db, "code")]
    kid = max(used, default=0) + 1
    if kid > KID_MAX:
        raise NoKidLeft("every number from 1 to 255 was used")
    return str(kid)


def _base64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
