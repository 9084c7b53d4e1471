"""The city's public keys, signed by the offline root that a lane was given when it was set up.

A server, or somebody who took its place, cannot make a lane accept another key: the root stands in
the lane's own folder, and a set older than the one that it holds is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from parking.core.clock import BadInstant, parse_instant
from parking.core.code import VerifyingKey
from parking.core.json_text import BadJson, load_strict

SET_TYPE = "parking-keys+jws"
CODE_ALGORITHMS = frozenset({"ES256"})


class BadKeySet(ValueError):
    """Not signed by the pinned root, or not a key set."""


@dataclass(frozen=True, slots=True)
class Root:
    """The pinned key with the one algorithm that it signs by."""

    public: Any
    algorithm: str


@dataclass(frozen=True, slots=True)
class KeySet:
    issued_at: datetime
    keys: Mapping[int, VerifyingKey]


NO_KEYS = KeySet(datetime(2020, 1, 1, tzinfo=UTC), {})  # a city that has made no root yet: plates alone open


def read_root(text: str) -> Root:
    """Read a public key in PEM or as a JWK.

    :raises BadKeySet: neither, or of a kind that signs no key sets
    """
    try:
        public: Any = load_pem_public_key(text.encode()) if "-----BEGIN" in text else jwt.PyJWK(json.loads(text)).key
    except (ValueError, TypeError, jwt.PyJWTError) as wrong:
        raise BadKeySet(f"the root is no public key: {type(wrong).__name__}") from None
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return Root(public, "ES256")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return Root(public, "EdDSA")
    raise BadKeySet("the root is a public key on P-256, or Ed25519")


def verify_key_set(text: str, root: Root) -> KeySet:
    """:raises BadKeySet: not signed by the root, or not what a key set holds"""
    try:
        payload = jwt.api_jws.decode(text, root.public, algorithms=[root.algorithm])
        is_key_set = jwt.get_unverified_header(text).get("typ") == SET_TYPE  # the header was signed as well
    except jwt.InvalidTokenError:
        raise BadKeySet("the key set is not signed by the pinned root") from None
    if not is_key_set:
        raise BadKeySet("the root signed this as something else")
    try:
        said = load_strict(payload)
        keys = [_read_key(each) for each in said["keys"]]
        issued_at = parse_instant(said["issued_at"])
    except (BadJson, BadInstant, KeyError, TypeError, ValueError, AttributeError, jwt.PyJWTError) as wrong:
        raise BadKeySet(f"the key set cannot be read: {type(wrong).__name__}") from None
    ring = {key.kid: key for key in keys}
    if len(ring) != len(keys):
        raise BadKeySet("a kid stands twice in the key set")
    return KeySet(issued_at, ring)


def _read_key(said: Mapping[str, Any]) -> VerifyingKey:
    kid, algorithm = int(said["kid"]), said["alg"]
    if algorithm not in CODE_ALGORITHMS or not 1 <= kid <= 255 or not isinstance(said["revoked"], bool):
        raise ValueError("a key of another kind")
    return VerifyingKey(kid, jwt.PyJWK(said["jwk"], algorithm).key, algorithm, said["revoked"])
