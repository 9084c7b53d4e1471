"""Keys that never leave a device: codes and receipts are signed there, and nothing else changes."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from parking.core.code import VerifyingKey, issue_code, verify_code
from parking.core.signing import DeviceKey
from parking.services.rotate import public_jwk, revoke_key, rotate_key
from parking.services.unlock import KeySafe, NoKey
from parking.store import keys
from tests.city import City, now
from tests.walks.test_journals import LI, ago, scan


class SoftDevice:
    """An HSM as the service sees one."""

    def __init__(self) -> None:
        self.held: dict[bytes, ec.EllipticCurvePrivateKey] = {}
        self.signed = 0

    def make_key(self) -> tuple[bytes, ec.EllipticCurvePublicKey]:
        reference = f"slot/{len(self.held)}".encode()
        self.held[reference] = ec.generate_private_key(ec.SECP256R1())
        return reference, self.public_key(reference)

    def public_key(self, reference: bytes) -> ec.EllipticCurvePublicKey:
        return self.held[reference].public_key()

    def sign(self, reference: bytes, message: bytes) -> bytes:
        self.signed += 1
        return self.held[reference].sign(message, ec.ECDSA(SHA256()))


def test_codes_are_signed_in_the_device_and_verify_as_ever(city: City) -> None:
    extensions, device = city.app.extensions, SoftDevice()
    sealer, database = extensions["secrets"].sealer, extensions["database"]
    kid = database.write(lambda db: rotate_key(db, "code", sealer=sealer, now=now(), at_once=True, device=device))
    safe = KeySafe(sealer, device)

    with database.reading() as db:
        key = safe.code_key(db, now=now())
        row = next(each for each in keys.list_keys(db, "code") if each.kid == kid)
        with pytest.raises(NoKey):
            KeySafe(sealer).code_key(db, now=now())
    text, claims = issue_code(key, city=extensions["city"], subject=b"s" * 16, now=now())
    published = VerifyingKey(int(kid), jwt.PyJWK(row.public_jwk, "ES256").key)

    assert verify_code(text, keys={int(kid): published}, city=extensions["city"], now=now()).jti == claims.jti
    assert device.signed == 1 and row.public_jwk == public_jwk(DeviceKey(device, b"slot/0"))
    with pytest.raises(TypeError):
        key.private.private_bytes()
    database.write(lambda db: revoke_key(db, "code", kid, sealer=sealer, now=now(), device=device))
    assert len(device.held) == 2, "its successor is made there too"


def test_receipts_are_sealed_in_the_device(city: City) -> None:
    extensions, device = city.app.extensions, SoftDevice()
    sealer, safe = extensions["secrets"].sealer, extensions["key_safe"]
    extensions["database"].write(
        lambda db: rotate_key(db, "receipt", sealer=sealer, now=now(), at_once=True, device=device))
    safe._device = device

    city.tell(1, "both", [scan(1, "entry", ago(60), plate=LI), scan(2, "exit", ago(30), plate=LI)])

    (visit,) = city.get("/v1/parking-sessions", city.drivers["li"])["items"]
    assert visit["state"] == "closed" and device.signed >= 1
