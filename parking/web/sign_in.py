"""The way in and out: through the city's provider, or by password and a second factor.

A sign-in under way is kept by its browser alone, in a sealed cookie of ten minutes: an answer of the
provider that this browser did not ask for finds none, and one that comes twice finds it taken.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import structlog
from flask import Blueprint, Response, abort, current_app, make_response, redirect, render_template, request
from flask_babel import get_locale

from parking.core.clock import from_ms, to_ms
from parking.core.code_picture import link_svg
from parking.core.identity_provider import Asked, IdentityProvider, ProviderUnavailable, SignInRefused
from parking.core.pseudonym import token_hash
from parking.core.seal import BadSeal
from parking.services import second_factor
from parking.services.accompany import end_companion
from parking.services.second_factor import WrongCode, pass_second_factor
from parking.services.sign_in import (
    COOKIE_LIFE,
    WrongPassword,
    check_password,
    open_login,
    sign_in_citizen,
    sign_out,
)
from parking.store import logins
from parking.store.logins import Person
from parking.web import auth
from parking.web.devices import name_device
from parking.web.errors import Problem
from parking.web.limits import Limit, network

blueprint = Blueprint("sign_in", __name__)
STEP_COOKIE = "sign_in"
STEP_LIFE = timedelta(minutes=10)
STEP_BYTES_MAX = 4000
log = structlog.get_logger("parking.sign_in")
KNOWN_COOKIE = "known"
KNOWN_LIFE = timedelta(days=180)
HASHING_WAIT_SECONDS = 0.5
_limit, _password_limit = Limit(per_minute=60), Limit(per_minute=20)
_hashing = threading.BoundedSemaphore(1)  # a password costs as much as fifty scans: gates come first


@blueprint.get("/sign-in")
@auth.anyone
def page() -> Any:
    return _page()


@blueprint.get("/sign-in/with/<name>")
@auth.anyone
def go_to_provider(name: str) -> Any:
    """Send the browser to the provider, with what its answer must come back with."""
    provider, target = _provider(name), safe_next(request.args.get("next"))
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        abort(400)  # a picture on another site's page, which would replace a sign-in under way
    if request.host != urlsplit(_public_url()).netloc and "moved" not in request.args:
        # The provider answers to that address, so the cookie must lie there.
        query = urlencode({"moved": "1", **({"next": target} if target else {})})
        return redirect(f"{_public_url()}/sign-in/with/{name}?{query}", code=303)
    _limit.take(network(), now=auth.now())
    asked = Asked(*(secrets.token_urlsafe(32) for _ in range(3)))
    try:
        address = provider.ask(asked, return_url=_return_url(name), language=str(get_locale()), now=auth.now())
    except ProviderUnavailable as away:
        log.warning("provider_unavailable", provider=name, why=str(away))
        return _page(failed="unavailable", status=503)
    return _keep_step(redirect(address, code=303), {
        "provider": name, "state": asked.state, "nonce": asked.nonce, "verifier": asked.verifier,
        "next": target,
    })


@blueprint.get("/sign-in/from/<name>")
@auth.anyone
def answer_of_provider(name: str) -> Any:
    """The provider's answer, brought by the browser. Forged, replayed or late: a page that says so."""
    provider, step = _provider(name), _step()
    if step is None or step.get("provider") != name:
        return _page(failed="expired", status=400)
    _limit.take(network(), now=auth.now())
    asked = Asked(step["state"], step["nonce"], step["verifier"])
    try:
        subject = provider.read_answer(
            asked, {key: value[:4096] for key, value in request.args.items()}, return_url=_return_url(name),
            now=auth.now())
    except ProviderUnavailable as away:
        log.warning("provider_unavailable", provider=name, why=str(away))
        return _end_step(_page(failed="unavailable", status=503))
    except SignInRefused as refused:
        log.warning("sign_in_refused", provider=name, reason=refused.reason, check=refused.check)
        page = _page(failed=refused.reason, status=400)
        # An answer that this browser did not ask for does not end what it did ask for.
        return page if refused.check == "state" else _end_step(page)
    citizen = current_app.extensions["secrets"].citizen_key(provider.realm, subject)
    token, person = sign_in_citizen(_database(), citizen, way=name, device=name_device(), now=auth.now())
    return _signed_in(token, person, step["next"])


@blueprint.post("/sign-in")
@auth.anyone
def password_form() -> Any:
    auth.check_same_site()
    login, password = request.form.get("login", "")[:200], request.form.get("password", "")[:200]
    target = safe_next(request.form.get("next"))
    if "\x00" in login + password:
        abort(400)
    _password_limit.take(network(), now=auth.now())
    if not _hashing.acquire(timeout=HASHING_WAIT_SECONDS):
        raise Problem(503, "try_again", "Many people sign in right now.", headers=(("Retry-After", "2"),))
    try:
        account = check_password(
            _database(), login, password, now=auth.now(), is_known_browser=_is_known(login))
    except WrongPassword:
        return _page(failed="password", status=401, login=login)
    finally:
        _hashing.release()
    if account.staff_id is None:
        token = _database().write(lambda db: open_login(
            db, account.person, way="password", device=name_device(), now=auth.now(), login=login))
        return _remember(_signed_in(token, account.person, target), login)
    offered = None if account.totp_sealed else base64.b64encode(second_factor.new_secret()).decode()
    return _keep_step(
        redirect("/sign-in/second-factor", code=303), {"login": login, "next": target, "offered": offered})


@blueprint.get("/sign-in/second-factor")
@auth.anyone
def second_factor_page() -> Any:
    return _second_factor_page()


@blueprint.post("/sign-in/second-factor")
@auth.anyone
def second_factor_form() -> Any:
    auth.check_same_site()
    step = _step()
    if step is None or "login" not in step:
        return _page(failed="expired", status=400)
    _password_limit.take(network(), now=auth.now())
    try:
        token, person = pass_second_factor(
            _database(), step["login"], request.form.get("code", "")[:20], offered=_offered(step),
            enrolment=request.form.get("enrolment", "")[:40], sealer=_sealer(), device=name_device(), now=auth.now())
    except WrongCode:
        return _second_factor_page(failed=True)
    return _remember(_signed_in(token, person, step["next"]), step["login"])


@blueprint.post("/sign-out")
@auth.anyone
def sign_out_form() -> Any:
    auth.check_same_site()
    token, now = request.cookies.get(auth.LOGIN_COOKIE, ""), auth.now()
    person = auth.person()
    companion = person.companion if person else None
    if companion is not None:
        of = companion
        _database().write(lambda db: end_companion(db, of.driver_id, of.companion_id, now=now))
    elif token:
        _database().write(lambda db: sign_out(db, token, now=now))
    answer = redirect("/", code=303)
    answer.delete_cookie(auth.LOGIN_COOKIE, path="/")
    if auth.TERMINAL_COOKIE not in request.cookies:  # a gate's page may keep here what is not delivered yet
        answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


@blueprint.get("/sign-ins")
@auth.driver_or_operator
def list_page() -> Any:
    """Where its person is signed in, this browser first named."""
    person = auth.person()
    assert person is not None
    with _database().reading() as db:
        found = logins.list_logins(db, person, now=auth.now())
    return render_template("sign_ins.html", logins=found, this=_this_hash())


@blueprint.post("/sign-ins")
@auth.driver_or_operator
def end_form() -> Any:
    """End one sign-in, or every browser's but this one."""
    person, now, this = auth.person(), auth.now(), _this_hash()
    assert person is not None
    text = request.form.get("login_id")
    try:
        which = UUID(text) if text else None
    except ValueError:
        abort(400)
    if which is None and "others" not in request.form:
        abort(400)
    _database().write(lambda db: logins.revoke_logins(db, person, now=now, login_id=which, but=this))
    return redirect("/sign-ins", code=303)


def safe_next(target: str | None) -> str | None:
    """A path of our own, or None: what follows a sign-in must not be another site."""
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return None
    if any(ord(letter) < 32 for letter in target) or len(target) > 500:
        return None
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else None


def _page(*, failed: str | None = None, status: int = 200, login: str = "") -> Response:
    target = safe_next(request.values.get("next"))
    names = list(current_app.extensions["identity_providers"])
    return make_response(render_template(
        "sign_in.html", failed=failed, next=target, login=login, providers=names,
        query=f"?next={quote(target)}" if target else ""), status)


def _second_factor_page(*, failed: bool = False) -> Any:
    step = _step()
    if step is None or "login" not in step:
        return redirect("/sign-in", code=303)
    secret, picture, text = _offered(step), None, None
    if secret is not None:
        name = urlsplit(_public_url()).hostname or "parking"
        picture = link_svg(second_factor.setup_address(secret, step["login"], issuer=name))
        text = second_factor.secret_text(secret)
    page = render_template("second_factor.html", failed=failed, picture=picture, text=text)
    return page, 401 if failed else 200


def _signed_in(token: str, person: Person, target: str | None) -> Response:
    answer = make_response(redirect(target or ("/driver" if person.driver_id else "/console"), code=303))
    return _end_step(keep_login(answer, token))


def keep_login(answer: Any, token: str, *, life: timedelta = COOKIE_LIFE) -> Response:
    """The browser is signed in from this answer on."""
    made = make_response(answer)
    made.set_cookie(
        auth.LOGIN_COOKIE, token, httponly=True, samesite="Lax", secure=_is_secure(),
        max_age=int(life.total_seconds()), path="/",
    )
    return made


def _keep_step(answer: Any, step: dict[str, Any]) -> Response:
    body = json.dumps({**step, "until": to_ms(auth.now() + STEP_LIFE)}).encode()
    sealed = base64.urlsafe_b64encode(_sealer().seal(body, purpose=STEP_COOKIE, row=b"")).decode()
    made = make_response(answer)
    made.set_cookie(
        STEP_COOKIE, sealed, httponly=True, samesite="Lax", secure=_is_secure(),
        max_age=int(STEP_LIFE.total_seconds()), path="/sign-in")
    return made


def _step() -> dict[str, Any] | None:
    """The sign-in under way in this browser, if there is one that is not too old."""
    text = request.cookies.get(STEP_COOKIE, "")
    if not text or len(text) > STEP_BYTES_MAX:
        return None
    try:
        step: dict[str, Any] = json.loads(
            _sealer().open(base64.urlsafe_b64decode(text), purpose=STEP_COOKIE, row=b""))
    except (BadSeal, binascii.Error, ValueError):
        return None
    return step if from_ms(step["until"]) > auth.now() else None


def _remember(answer: Response, login: str) -> Response:
    """This browser has signed this login in: strangers who try passwords elsewhere do not close it here."""
    sealed = base64.urlsafe_b64encode(_sealer().seal(login.encode(), purpose=KNOWN_COOKIE, row=b"")).decode()
    answer.set_cookie(
        KNOWN_COOKIE, sealed, httponly=True, samesite="Lax", secure=_is_secure(),
        max_age=int(KNOWN_LIFE.total_seconds()), path="/sign-in")
    return answer


def _is_known(login: str) -> bool:
    try:
        sealed = base64.urlsafe_b64decode(request.cookies.get(KNOWN_COOKIE, "")[:STEP_BYTES_MAX])
        return bool(_sealer().open(sealed, purpose=KNOWN_COOKIE, row=b"") == login.encode())
    except (BadSeal, binascii.Error, ValueError):
        return False


def _is_secure() -> bool:
    """Also behind a proxy that does not say so: drivers reach us by PUBLIC_URL."""
    return request.is_secure or _public_url().startswith("https://")


def _end_step(answer: Response) -> Response:
    answer.delete_cookie(STEP_COOKIE, path="/sign-in")
    return answer


def _offered(step: dict[str, Any]) -> bytes | None:
    return base64.b64decode(step["offered"]) if step.get("offered") else None


def _provider(name: str) -> IdentityProvider:
    found: IdentityProvider | None = current_app.extensions["identity_providers"].get(name)
    if found is None:
        abort(404)
    return found


def _return_url(name: str) -> str:
    return f"{_public_url()}/sign-in/from/{name}"


def _public_url() -> str:
    return str(current_app.extensions["config"].public_url)


def _this_hash() -> bytes:
    return token_hash(request.cookies.get(auth.LOGIN_COOKIE, ""))


def _database() -> Any:
    return current_app.extensions["database"]


def _sealer() -> Any:
    return current_app.extensions["secrets"].sealer
