"""Sign-in through an OpenID Connect provider: discovery, authorization code, PKCE, nonce, rotating keys.

The browser brings a code; the provider is asked for the ID token behind it. Nothing is believed but
an ID token that is signed by one of the provider's keys, for us, now, with the nonce of this very
sign-in. Sources: OpenID Connect Core 1.0 (3.1), Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key

from parking.adapters.line import Breaker, Lines, NoAnswer
from parking.core.identity_provider import Asked, ProviderUnavailable, SignInRefused
from parking.core.json_text import BadJson, load_object, load_strict

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
SECONDS_MAX = 3.0
CALLS_AT_ONCE_MAX = 4
TIMEOUT = httpx.Timeout(2.0, connect=1.0)
ANSWER_BYTES_MAX = 256 * 1024
KEPT = timedelta(minutes=10)
KEYS_ASKED_EVERY = timedelta(seconds=30)
FAILURES_MAX = 1
LEFT_ALONE = timedelta(seconds=10)
LEEWAY_SECONDS = 60
TOKEN_AGE_MAX_SECONDS = 600
SUBJECT_MAX = 255
ADDRESS_MAX = 2000


@dataclass(frozen=True)
class Registration:
    """How we are known to a provider. client_secret: empty for a client that has none.

    subject_claim: the claim that holds the citizen's stable number; `sub` unless the city says otherwise.
    ca_file: the authority that the provider's certificate is under, where it is none that everybody knows.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    realm: str
    subject_claim: str = "sub"
    scope: str = "openid"
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_auth_methods: tuple[str, ...]
    names_itself: bool
    read_at: datetime


class OpenIdProvider:
    """An identity provider (core/identity_provider.py) that speaks OpenID Connect."""

    def __init__(self, registration: Registration) -> None:
        if not _is_safe(registration.issuer):
            raise ValueError(f"{registration.name}: the issuer must be an https address")
        self._we = registration
        self._lines = Lines(
            f"oidc-{registration.name}", count=CALLS_AT_ONCE_MAX, seconds_max=SECONDS_MAX, timeout=TIMEOUT,
            answer_bytes_max=ANSWER_BYTES_MAX, ca_file=registration.ca_file)
        self._breaker = Breaker(failures_max=FAILURES_MAX, pause=LEFT_ALONE)
        self._known: _Metadata | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    @property
    def name(self) -> str:
        return self._we.name

    @property
    def realm(self) -> str:
        return self._we.realm

    def ask(self, asked: Asked, *, return_url: str, language: str, now: datetime) -> str:
        address: str = prepare_grant_uri(
            self._metadata(now).authorization_endpoint, self._we.client_id, "code", redirect_uri=return_url,
            scope=self._we.scope, state=asked.state, nonce=asked.nonce, ui_locales=language,
            code_challenge=create_s256_code_challenge(asked.verifier), code_challenge_method="S256",
        )
        return address

    def read_answer(self, asked: Asked, answer: Mapping[str, str], *, return_url: str, now: datetime) -> str:
        metadata = self._metadata(now)
        if not hmac.compare_digest(answer.get("state", "").encode(), asked.state.encode()):
            raise SignInRefused("not_believed", "state")
        if (answer.get("iss") or (self._we.issuer if not metadata.names_itself else "")) != self._we.issuer:
            raise SignInRefused("not_believed", "iss")  # another provider's answer (RFC 9207)
        if "error" in answer:
            said = answer["error"]
            if said in ("server_error", "temporarily_unavailable"):
                raise ProviderUnavailable(said)
            raise SignInRefused("cancelled" if said in _CANCELLED else "not_believed", "error")
        if not answer.get("code"):
            raise SignInRefused("not_believed", "code")
        tokens = self._exchange(metadata, answer["code"], asked, return_url, now)
        return self._read_token(metadata, tokens, asked, now)

    def _exchange(
        self, metadata: _Metadata, code: str, asked: Asked, return_url: str, now: datetime
    ) -> dict[str, Any]:
        we = self._we
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": return_url,
            "code_verifier": asked.verifier,
        }
        basic = we.client_secret and "client_secret_post" not in metadata.token_auth_methods
        if not basic:
            form["client_id"] = we.client_id
            if we.client_secret:
                form["client_secret"] = we.client_secret
        credentials = httpx.BasicAuth(we.client_id, we.client_secret) if basic else None
        status, said = self._fetch("POST", metadata.token_endpoint, now, data=form, auth=credentials)
        if status in (400, 401) and said.get("error") == "invalid_grant":
            raise SignInRefused("not_believed", "code_used")
        if status != 200:
            raise ProviderUnavailable(f"the token endpoint answered {status}")
        return said

    def _read_token(
        self, metadata: _Metadata, tokens: dict[str, Any], asked: Asked, now: datetime
    ) -> str:
        token, at = tokens.get("id_token"), int(now.timestamp())
        if not isinstance(token, str):
            raise SignInRefused("not_believed", "no_id_token")
        header, said = self._open(metadata, token, now)
        claims = CodeIDToken(
            said, header, {"iss": {"essential": True, "value": self._we.issuer},
                           "aud": {"essential": True, "value": self._we.client_id}},
            {"nonce": asked.nonce, "client_id": self._we.client_id, "access_token": tokens.get("access_token")})
        try:
            claims.validate(now=at, leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as wrong:
            raise SignInRefused("not_believed", getattr(wrong, "claim", None) or type(wrong).__name__) from None
        if at - claims["iat"] > TOKEN_AGE_MAX_SECONDS:
            raise SignInRefused("not_believed", "iat")
        subject = said.get(self._we.subject_claim)
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX:
            raise SignInRefused("not_believed", "subject")
        return subject

    def _open(self, metadata: _Metadata, token: str, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token that a key of the provider signed; its keys are read anew where none fits."""
        for fresh in (False, True):
            keys = self._key_set(metadata, now, fresh=fresh)
            if keys is None:
                break
            try:
                opened = jws.deserialize_compact(token, keys, algorithms=list(ALGORITHMS))
                return dict(opened.headers()), load_object(opened.payload)
            except (JoseError, ValueError, TypeError, KeyError, BadJson):
                continue
        raise SignInRefused("not_believed", "signature")

    def _metadata(self, now: datetime) -> _Metadata:
        """What the provider says of itself, at most ten minutes old; two may ask at once, nobody waits for another."""
        known = self._known
        if known is None or not known.read_at <= now < known.read_at + KEPT:
            known = self._known = self._discover(now)
        return known

    def _discover(self, now: datetime) -> _Metadata:
        issuer = self._we.issuer
        status, said = self._fetch("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration", now)
        if status != 200 or said.get("issuer") != issuer:
            raise ProviderUnavailable("its description is not that of this issuer")
        methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if not isinstance(methods, list):
            raise ProviderUnavailable("its description cannot be read")
        return _Metadata(
            self._place(said, "authorization_endpoint"), self._place(said, "token_endpoint"),
            self._place(said, "jwks_uri"), tuple(str(each) for each in methods),
            said.get("authorization_response_iss_parameter_supported") is True, now)

    def _place(self, description: dict[str, Any], name: str) -> str:
        """:raises ProviderUnavailable: no address, or one over which anybody could listen"""
        place = description.get(name)
        # Plain http is for a provider on this machine; another must not send us, or our secret, there.
        if not isinstance(place, str) or not _is_safe(place) or (
            place.startswith("http:") and not self._we.issuer.startswith("http:")
        ):
            raise ProviderUnavailable(f"its description names no safe {name}")
        return place

    def _key_set(self, metadata: _Metadata, now: datetime, *, fresh: bool) -> KeySet | None:
        """The provider's keys; None where fresh ones were asked for a moment ago."""
        kept, read_at = self._keys or (None, now)
        age = now - read_at
        if kept is not None and timedelta() <= age < (KEYS_ASKED_EVERY if fresh else KEPT):
            return None if fresh else kept
        status, said = self._fetch("GET", metadata.jwks_uri, now)
        listed = said.get("keys")
        if status != 200 or not isinstance(listed, list):
            raise ProviderUnavailable(f"its keys: {status}")
        made = KeySet([key for key in map(_read_key, listed) if key is not None])
        self._keys = (made, now)
        return made

    def _fetch(self, method: str, address: str, now: datetime, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of a call.

        A provider that did not answer is left alone for a while: no thread waits for it again.
        """
        if not self._breaker.lets_through(now):
            raise ProviderUnavailable("it did not answer a moment ago")
        try:
            status, text = self._lines.call(lambda line: line.request(method, address, **more))
            said = load_strict(text)
        except NoAnswer as silent:
            if silent.why != "busy":
                self._breaker.note_failure(now + timedelta(seconds=SECONDS_MAX))
            raise ProviderUnavailable(silent.why) from None
        except BadJson:
            raise ProviderUnavailable("an answer that is no JSON") from None
        self._breaker.note_answer()
        if not isinstance(said, dict):
            raise ProviderUnavailable("an answer that is no JSON object")
        return status, said


_CANCELLED = frozenset({"access_denied", "login_required", "interaction_required", "consent_required"})


def _read_key(said: Any) -> Key | None:
    """A key of the set; None for one of a kind that is not known here, which is no fault (RFC 7517, 5)."""
    kind = said.get("kty") if isinstance(said, dict) else None
    if kind not in ("RSA", "EC", "OKP"):
        return None
    try:
        return import_key(said, kind)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _is_safe(address: str) -> bool:
    """Https, or plain http on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    is_plain = address.isascii() and address.isprintable() and " " not in address
    if not parts.hostname or not is_plain or len(address) > ADDRESS_MAX:
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
