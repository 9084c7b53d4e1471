"""A provider of sign-ins that keeps the protocol to the letter, or lies in one point, as a test asks."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Response, request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.city import now
from tests.serving import simulating

CLIENT, SECRET = "parking", "s3cret"
FIRST_KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})


@dataclass
class Provider:
    """claims, header: laid over the honest ones; a claim of None is left out. token: said instead of one."""

    issuer: str = ""
    keys: list[Any] = field(default_factory=lambda: [FIRST_KEY])
    signs_with: Any = field(default_factory=lambda: FIRST_KEY)
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    strange_keys: list[Any] = field(default_factory=list)
    token: str | None = None
    status: int = 200
    calls: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, address: str, subject: str = "demo-li") -> dict[str, str]:
        """What a citizen's browser is sent back with, after they agreed at this address."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = secrets.token_urlsafe(8)
        self.codes[code] = {**asked, "sub": subject}
        return {"code": code, "state": asked["state"]}

    def rotate(self, *, publish_old: bool) -> None:
        made = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"})
        self.keys = [made, *(self.keys if publish_old else [])]
        self.signs_with, self.algorithm = made, "ES256"

    def app(self) -> Flask:
        app = Flask("provider")

        @app.before_request
        def _note() -> Any:
            self.calls.append(request.path)
            return ("down", 503) if self.status != 200 else None

        @app.get("/.well-known/openid-configuration")
        def _describe() -> Any:
            return {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks", **self.description}

        @app.get("/jwks")
        def _jwks() -> Any:
            return {"keys": [*self.strange_keys, *KeySet(self.keys).as_dict(private=False)["keys"]]}

        @app.post("/token")
        def _token() -> Any:
            given = request.authorization
            assert given is not None and (given.username, given.password) == (CLIENT, SECRET)
            order = self.codes.pop(request.form["code"], None)  # a code is taken once
            proof = base64.urlsafe_b64encode(sha256(request.form["code_verifier"].encode()).digest()).rstrip(b"=")
            if order is None or proof.decode() != order["code_challenge"] or (
                    request.form["redirect_uri"] != order["redirect_uri"]):
                return {"error": "invalid_grant"}, 400
            return Response(json.dumps({
                "access_token": "a", "token_type": "Bearer", "id_token": self._id_token(order),
            }), content_type="application/json")

        return app

    def _id_token(self, order: dict[str, str]) -> str:
        if self.token is not None:
            return self.token
        at = int(now().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": order["sub"], "iat": at, "exp": at + 300,
                  "nonce": order["nonce"], **self.claims}
        header = {"alg": self.algorithm, "kid": self.signs_with.kid, **self.header}
        return jwt.encode(
            header, {name: value for name, value in claims.items() if value is not None}, self.signs_with,
            algorithms=[self.algorithm])


@contextmanager
def simulated_provider() -> Iterator[Provider]:
    provider = Provider()
    with simulating(provider.app()) as provider.issuer:
        yield provider


def settings(issuer: str, *names: str) -> dict[str, str]:
    """The environment that connects us to a provider under these names."""
    made = {"SIGN_IN_PROVIDERS": ",".join(names)}
    for name in names:
        made |= {f"OIDC_{name.upper()}_ISSUER": issuer, f"OIDC_{name.upper()}_CLIENT_ID": CLIENT,
                 f"OIDC_{name.upper()}_CLIENT_SECRET": SECRET, f"OIDC_{name.upper()}_REALM": "shanghai"}
    return made


def query(answer: dict[str, str]) -> str:
    return urlencode(answer)


