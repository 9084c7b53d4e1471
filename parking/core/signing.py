"""Private keys that never leave a device, an HSM: the service holds a reference, and asks for signatures."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any, NoReturn, Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class SigningDevice(Protocol):
    """What an HSM's adapter does. A reference is the device's own name of a key, any bytes."""

    def make_key(self) -> tuple[bytes, ec.EllipticCurvePublicKey]:
        """A new key pair on P-256, its reference and its public half."""
        ...

    def public_key(self, reference: bytes) -> ec.EllipticCurvePublicKey:
        """:raises LookupError: the device holds no such key"""
        ...

    def sign(self, reference: bytes, message: bytes) -> bytes:
        """ECDSA with SHA-256 over the message, DER."""
        ...


class DeviceKey(ec.EllipticCurvePrivateKey):
    """A key of a device, where one of cryptography's is expected: it signs, and cannot be taken out."""

    def __init__(self, device: SigningDevice, reference: bytes) -> None:
        self._device, self._reference = device, reference
        self._public = device.public_key(reference)

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        return self._device.sign(self._reference, bytes(data))

    def exchange(self, *_: Any) -> NoReturn:
        raise TypeError("a key of a device only signs")

    def private_numbers(self) -> NoReturn:
        raise TypeError("a key of a device cannot be taken out")

    def private_bytes(self, *_: Any) -> NoReturn:
        raise TypeError("a key of a device cannot be taken out")

    def __copy__(self) -> DeviceKey:
        return self

    def __deepcopy__(self, _: dict[Any, Any]) -> DeviceKey:
        return self


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638, SHA-256."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
