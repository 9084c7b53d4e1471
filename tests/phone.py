"""A driver's phone, as the page in static/phone does it: a key of its own, bound once, that signs the moment."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from parking.core.code import show_code, show_proof
from parking.core.code_wire import Showing
from tests.city import City, bearer, now


@dataclass
class Phone:
    city: City
    driver: str = "li"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    wire: bytes = b""
    bound: dict[str, Any] = field(default_factory=dict)

    @property
    def public_key(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def bind(self, *, status: int = 200, **more: Any) -> dict[str, Any]:
        answer = self.city.app.test_client().post(
            "/v1/credentials", json={"public_key": self.public_key, **more},
            headers=bearer(self.city.drivers[self.driver]))
        assert answer.status_code == status, answer.get_data(as_text=True)
        said: dict[str, Any] = answer.get_json()
        if status == 200:
            self.bound, self.wire = said, base64.urlsafe_b64decode(said["wire"])
        return said

    def show(self, at: datetime | None = None, *, counter: int = 0, lot: int = 0) -> str:
        return show_code(self.private, self.wire, Showing((at or now()).replace(microsecond=0), counter, lot))

    def answer(self, nonce: bytes) -> str:
        return show_code(self.private, self.wire, nonce)

    def prove(self, at: datetime | None = None, *, counter: int = 0, lot: int = 0) -> str:
        return show_proof(
            self.private, self.bound["status_index"], Showing((at or now()).replace(microsecond=0), counter, lot))


def bound_phone(city: City, driver: str = "li", **more: Any) -> Phone:
    phone = Phone(city, driver)
    phone.bind(**more)
    return phone
