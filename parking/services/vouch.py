"""The offline root vouches for the keys of codes, so that a lane believes no key because a server says so.

The root's private half is in a file that a person keeps, never in the database. Lanes pin its
public half when they are set up (docs/lanes.md).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.identifier import new_uuid
from parking.core.json_text import canonical
from parking.core.signing import thumbprint
from parking.services.rotate import KEPT_AFTER_RETIREMENT, public_jwk
from parking.store import key_sets, keys

SET_TYPE = "parking-keys+jws"


class BadRoot(ValueError):
    """The file holds no P-256 private key."""


@dataclass(frozen=True, slots=True)
class Root:
    private: ec.EllipticCurvePrivateKey
    jwk: dict[str, Any]

    @property
    def thumbprint(self) -> str:
        return thumbprint(self.jwk)


def make_root() -> tuple[bytes, Root]:
    """A new root, and the PEM text to keep in a safe place."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, Root(private, public_jwk(private))


def read_root(pem: bytes) -> Root:
    """:raises BadRoot: no P-256 private key in PEM"""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise BadRoot("no private key in PEM, without a passphrase") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise BadRoot("a root is a key on P-256")
    return Root(private, public_jwk(private))


def sign_key_set(db: Session, root: Root, *, now: datetime) -> int:
    """Sign the keys of codes as they are, for every bundle from now on; returns how many."""
    listed = _listed(db, now)
    body = canonical({"issued_at": format_instant(now), "keys": listed})
    jws = jwt.api_jws.encode(
        body.encode(), root.private, algorithm="ES256", headers={"typ": SET_TYPE, "kid": root.thumbprint})
    key_sets.add_key_set(db, key_set_id=new_uuid(now), issued_at=now, root=root.jwk, jws=jws)
    return len(listed)


def is_signed(db: Session, kid: str, *, now: datetime) -> bool:
    """Whether lanes know this code key as it is now: it is in the newest signed set, revoked if it is."""
    newest = key_sets.find_newest(db)
    if newest is None:
        return False
    listed = next((each for each in _listed(db, now) if str(each["kid"]) == kid), None)
    signed = _payload(newest.jws)["keys"]
    return listed in signed if listed is not None else all(str(each["kid"]) != kid for each in signed)


def _payload(jws: str) -> Any:
    part = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _listed(db: Session, now: datetime) -> list[dict[str, Any]]:
    """What lanes may still meet: a key that retired long ago signed nothing that holds."""
    return [
        {"kid": int(key.kid), "alg": key.algorithm, "jwk": key.public_jwk, "revoked": key.revoked_at is not None}
        for key in keys.list_keys(db, "code")
        if key.retired_at is None or key.retired_at + KEPT_AFTER_RETIREMENT >= now
    ]
