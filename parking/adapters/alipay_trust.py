"""Whose signatures are Alipay's: public keys that were given, or certificates under a root that was given.

With public keys, several may be held: Alipay's next one beside the one of now, so that the change needs no
instant and what the old key signed is still read. With certificates an answer names the one that
signed it; one that is not held is asked for, and held once it stands under a root of ours and has the
same owner as those that were given.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificate

from parking.adapters.alipay_wire import certificate_sn, read_certificates, root_sn

KEY_BITS_MIN = 2048
CHAIN_MAX = 4
_NO_KEY = f"no RSA key of {KEY_BITS_MIN} bits or more"


class NotTrusted(ValueError):
    """The certificate does not stand under a root of ours, or is not Alipay's."""


@dataclass
class Trust:
    """The keys by the names of their certificates; without certificates each has a name of ours."""

    keys: dict[str, RSAPublicKey]
    app_cert_sn: str = ""
    root_cert_sn: str = ""
    roots: tuple[Certificate, ...] = ()
    between: tuple[Certificate, ...] = ()
    owners: frozenset[str] = field(default_factory=frozenset)

    @property
    def has_certificates(self) -> bool:
        return bool(self.app_cert_sn)

    def add(self, sn: str, pem: bytes, *, now: datetime) -> None:
        """Hold the certificate of this name, the first of a file with those between it and a root.

        :raises NotTrusted: another's, out of its time, or under no root of ours
        """
        try:
            leaf, *between = read_certificates(pem)
            key = _public(leaf.public_key())
        except ValueError:
            raise NotTrusted("no certificate of an RSA key") from None
        if certificate_sn(leaf) != sn or leaf.subject.rfc4514_string() not in self.owners:
            raise NotTrusted("another certificate")
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            raise NotTrusted("out of its time")
        if not _stands_under(leaf, (*self.between, *between), self.roots):
            raise NotTrusted("under no root")
        self.keys = {**self.keys, sn: key}


def trust_keys(texts: Iterable[str]) -> Trust:
    """By public keys, each as a PEM or as Alipay's console shows it: base64 without a frame.

    :raises ValueError: one is no RSA key of 2,048 bits or more; none is given
    """
    keys = {f"key {number}": read_public_key(text) for number, text in enumerate(texts, start=1)}
    if not keys:
        raise ValueError("a public key of Alipay's is needed")
    return Trust(keys)


def trust_certificates(app: str, alipay: str, root: str) -> Trust:
    """By the three files of the certificate mode (PEM); several of Alipay's may stand in the second.

    :raises ValueError: one cannot be read, or Alipay's does not stand under the root
    """
    held, roots = read_certificates(alipay.encode()), tuple(read_certificates(root.encode()))
    leaves = [each for each in held if not any(other.issuer == each.subject for other in held if other is not each)]
    trust = Trust(
        {}, certificate_sn(load_pem_x509_certificate(app.encode())), root_sn(roots), roots,
        tuple(each for each in held if each not in leaves),
        frozenset(each.subject.rfc4514_string() for each in leaves))
    for each in leaves:
        if not _stands_under(each, trust.between, roots):
            raise ValueError("Alipay's certificate does not stand under the root")
        trust.keys[certificate_sn(each)] = _public(each.public_key())
    if not trust.keys:
        raise ValueError("a certificate of Alipay's is needed")
    return trust


def read_private_key(text: str) -> RSAPrivateKey:
    """:raises ValueError: no RSA key of 2,048 bits or more, as PEM or base64 of PKCS #8 or PKCS #1"""
    raw = text.strip().encode()
    loaded = load_pem_private_key(raw, None) if b"-----" in raw else load_der_private_key(_der(raw), None)
    if not isinstance(loaded, RSAPrivateKey) or loaded.key_size < KEY_BITS_MIN:
        raise ValueError(_NO_KEY)
    return loaded


def read_public_key(text: str) -> RSAPublicKey:
    """:raises ValueError: no RSA key of 2,048 bits or more, as PEM or base64"""
    raw = text.strip().encode()
    return _public(load_pem_public_key(raw) if b"-----" in raw else load_der_public_key(_der(raw)))


def _der(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()), validate=True)


def _public(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise ValueError(_NO_KEY)
    return key


def _stands_under(leaf: Certificate, between: tuple[Certificate, ...], roots: tuple[Certificate, ...]) -> bool:
    at = leaf
    for _ in range(CHAIN_MAX):
        if any(_issued(at, root) for root in roots):
            return True
        issuer = next((each for each in between if _issued(at, each)), None)
        if issuer is None:
            return False
        at = issuer
    return False


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
