"""Nobody is signed in by an answer that the city's provider did not give, for us, now."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from parking.adapters.identity_oidc import KEPT, OpenIdProvider, Registration
from parking.core.identity_provider import Asked, ProviderUnavailable, SignInRefused
from tests.city import now
from tests.provider import CLIENT, FIRST_KEY, SECRET, Provider, simulated_provider

BACK = "http://127.0.0.1:8000/sign-in/from/suishen"
ASKED = Asked("s" * 43, "n" * 43, "v" * 43)


@pytest.fixture
def pair() -> Iterator[tuple[OpenIdProvider, Provider]]:
    with simulated_provider() as provider:
        yield OpenIdProvider(Registration("suishen", provider.issuer, CLIENT, SECRET, "shanghai")), provider


def sign_in(ours: OpenIdProvider, theirs: Provider, asked: Asked = ASKED, **changed: Any) -> str:
    address = ours.ask(ASKED, return_url=BACK, language="zh", now=now())
    return ours.read_answer(asked, {**theirs.answer(address), **changed}, return_url=BACK, now=now())


def refusal(ours: OpenIdProvider, theirs: Provider, asked: Asked = ASKED, **changed: Any) -> str:
    with pytest.raises(SignInRefused) as refused:
        sign_in(ours, theirs, asked, **changed)
    assert refused.value.reason == "not_believed"
    return refused.value.check


def test_an_honest_answer_tells_who_it_is(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair

    assert sign_in(ours, theirs) == "demo-li"
    assert sign_in(ours, theirs) == "demo-li"
    assert theirs.calls.count("/.well-known/openid-configuration") == 1
    assert theirs.calls.count("/jwks") == 1


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair

    assert refusal(ours, theirs, state="x") == "state"
    assert refusal(ours, theirs, state="") == "state"
    assert refusal(ours, theirs, Asked(ASKED.state, "other", ASKED.verifier)) == "nonce"
    assert refusal(ours, theirs, Asked(ASKED.state, ASKED.nonce, "w" * 43)) == "code_used"  # PKCE
    assert refusal(ours, theirs, code="guessed") == "code_used"
    assert refusal(ours, theirs, code="") == "code"
    assert refusal(ours, theirs, iss="https://other.example") == "iss"


def test_an_answer_is_taken_once(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair
    answer = theirs.answer(ours.ask(ASKED, return_url=BACK, language="zh", now=now()))

    assert ours.read_answer(ASKED, answer, return_url=BACK, now=now()) == "demo-li"
    with pytest.raises(SignInRefused, match="code_used"):
        ours.read_answer(ASKED, answer, return_url=BACK, now=now())


def test_who_says_no_at_the_provider_is_told_so(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, _ = pair

    with pytest.raises(SignInRefused) as refused:
        ours.read_answer(ASKED, {"error": "access_denied", "state": ASKED.state}, return_url=BACK, now=now())
    assert refused.value.reason == "cancelled"
    with pytest.raises(SignInRefused, match="state"):  # nobody else can cancel it
        ours.read_answer(ASKED, {"error": "access_denied", "state": "x"}, return_url=BACK, now=now())
    with pytest.raises(ProviderUnavailable):
        ours.read_answer(ASKED, {"error": "server_error", "state": ASKED.state}, return_url=BACK, now=now())


@pytest.mark.parametrize("claims", [
    {"iss": "https://other.example"}, {"iss": None}, {"aud": "another"}, {"aud": None}, {"aud": [CLIENT, "another"]},
    {"azp": "another"}, {"exp": 1_700_000_000}, {"exp": None}, {"exp": "soon"}, {"iat": None}, {"iat": 4_000_000_000},
    {"iat": 1_700_000_000}, {"nbf": 4_000_000_000}, {"nonce": None}, {"nonce": "other"}, {"sub": None}, {"sub": ""},
    {"sub": 7}, {"sub": "x" * 256}, {"at_hash": "AAAA"},
])
def test_a_token_that_is_not_for_us_now_is_refused(
    pair: tuple[OpenIdProvider, Provider], claims: dict[str, Any]
) -> None:
    ours, theirs = pair
    theirs.claims = claims

    assert refusal(ours, theirs)


def _unsigned(claims: dict[str, Any]) -> str:
    return _segments({"alg": "none"}, claims) + "."


def _confused(claims: dict[str, Any]) -> str:
    """The provider's public key, taken for a shared secret."""
    text = _segments({"alg": "HS256", "kid": "first"}, claims)
    return f"{text}.{_base64(hmac.digest(FIRST_KEY.as_pem(private=False), text.encode(), 'sha256'))}"


def _segments(*parts: dict[str, Any]) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in parts)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_that_no_key_of_the_provider_signed_is_refused(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair
    at = int(now().timestamp())
    claims = {"iss": theirs.issuer, "aud": CLIENT, "sub": "demo-wang", "iat": at, "exp": at + 60, "nonce": ASKED.nonce}
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    forged = [
        jwt.encode({"alg": "RS256", "kid": "first"}, claims, stranger, algorithms=["RS256"]),
        jwt.encode({"alg": "RS256", "kid": "unknown"}, claims, stranger, algorithms=["RS256"]),
        _confused(claims), _unsigned(claims), "", "a.b.c", "a" * 10_000,
    ]
    for token in forged:
        theirs.token = token
        assert refusal(ours, theirs) == "signature"
    theirs.token = None
    assert sign_in(ours, theirs) == "demo-li"


def test_the_providers_keys_rotate_and_a_withdrawn_one_signs_nothing_any_more(
    pair: tuple[OpenIdProvider, Provider]
) -> None:
    ours, theirs = pair
    sign_in(ours, theirs)
    later = now() + timedelta(seconds=31)  # keys are not asked for twice within half a minute

    theirs.rotate(publish_old=True)
    address = ours.ask(ASKED, return_url=BACK, language="zh", now=later)
    assert ours.read_answer(ASKED, theirs.answer(address), return_url=BACK, now=later) == "demo-li"

    theirs.rotate(publish_old=False)
    theirs.signs_with, theirs.algorithm = FIRST_KEY, "RS256"
    much_later = later + KEPT
    theirs.claims = {"iat": int(much_later.timestamp()), "exp": int(much_later.timestamp()) + 60}
    address = ours.ask(ASKED, return_url=BACK, language="zh", now=much_later)
    with pytest.raises(SignInRefused, match="signature"):
        ours.read_answer(ASKED, theirs.answer(address), return_url=BACK, now=much_later)


def test_a_provider_that_is_down_or_lies_about_itself_is_unavailable(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair
    for lie in ({"issuer": "https://other.example"}, {"token_endpoint": "http://other.example/token"},
                {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": None}):
        theirs.description = lie
        with pytest.raises(ProviderUnavailable):
            ours.ask(ASKED, return_url=BACK, language="zh", now=now())
    theirs.description, theirs.status = {}, 503
    with pytest.raises(ProviderUnavailable):
        ours.ask(ASKED, return_url=BACK, language="zh", now=now())
    gone = OpenIdProvider(Registration("suishen", "http://127.0.0.1:9", CLIENT, SECRET, "shanghai"))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            gone.ask(ASKED, return_url=BACK, language="zh", now=now())
    with pytest.raises(ValueError, match="https"):
        OpenIdProvider(Registration("suishen", "http://provider.example", CLIENT, SECRET, "shanghai"))


@pytest.mark.parametrize("place", [
    "https://[::1/x", "https:///x", "https://a b/x", "https://a\nb/x", "https://" + "a" * 70_000, "https://é.example/x",
    5, None, "", "ftp://a/x",
])
def test_an_address_that_is_none_is_the_providers_fault_not_ours(
    pair: tuple[OpenIdProvider, Provider], place: Any
) -> None:
    ours, theirs = pair
    theirs.description = {"token_endpoint": place}

    with pytest.raises(ProviderUnavailable):
        ours.ask(ASKED, return_url=BACK, language="zh", now=now())


def test_a_key_of_a_kind_that_is_not_known_does_no_harm(pair: tuple[OpenIdProvider, Provider]) -> None:
    ours, theirs = pair
    theirs.description = {"token_endpoint_auth_methods_supported": ["client_secret_basic", 7]}
    theirs.strange_keys = [{"kty": "EC", "crv": "brainpoolP256r1", "x": "AA", "y": "AA"}, {"kty": "?"}, "text", 7]

    assert sign_in(ours, theirs) == "demo-li"
    theirs.description = {"token_endpoint_auth_methods_supported": 5}
    with pytest.raises(ProviderUnavailable):
        ours.ask(ASKED, return_url=BACK, language="zh", now=now() + KEPT)


def test_an_answer_that_drips_is_cut_and_nobody_waits_for_it_again() -> None:
    """Without a bound on the whole call it would never end: each byte comes in time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def drip() -> None:
            line, _ = listening.accept()
            with line, suppress(OSError):
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    line.sendall(b" ")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ours = OpenIdProvider(Registration("suishen", issuer, CLIENT, SECRET, "shanghai"))
        at = now()

        with pytest.raises(ProviderUnavailable, match="too_slow"):
            ours.ask(ASKED, return_url=BACK, language="zh", now=at)
        with pytest.raises(ProviderUnavailable, match="a moment ago"):
            ours.ask(ASKED, return_url=BACK, language="zh", now=at + timedelta(seconds=5))
