"""Who may call: each view says it, and a test fails where one does not.

Browsers carry a cookie, programs a bearer token; both are stored as hashes. A request that
changes something with a cookie must come from our own pages (Sec-Fetch-Site, else Origin).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

from flask import current_app, g, redirect, request

from parking.core.clock import from_ms, to_ms
from parking.core.pseudonym import token_hash
from parking.services.show import Viewer
from parking.store import companions, logins, merchant_desks, terminals
from parking.store.logins import CompanionOf, Person
from parking.store.merchant_desks import MerchantDesk
from parking.store.merchants import Merchant
from parking.store.terminals import TerminalAtGate
from parking.web.errors import Problem, wants_page

View = TypeVar("View", bound=Callable[..., Any])
LOGIN_COOKIE = "login"
TERMINAL_COOKIE = "terminal"
MERCHANT_COOKIE = "merchant"
TOKEN_MAX = 200
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Holding:
    """Whose account a phone's codes are on; companion: it is a companion's phone."""

    driver_id: UUID
    companion: CompanionOf | None = None


def now() -> datetime:
    """The instant of this request, to the millisecond; read once."""
    if "now" not in g:
        g.now = from_ms(to_ms(datetime.now(UTC)))
    return cast(datetime, g.now)


def anyone(view: View) -> View:
    return _audience(view, "anyone", _nobody)


def channel(view: View) -> View:
    """A payment channel: its signature over the body is checked by its adapter, in the view."""
    return _audience(view, "channel", lambda: None)


def driver(view: View) -> View:
    return _audience(view, "driver", _require_driver)


def holder(view: View) -> View:
    """A driver, or a companion on a driver's account: whoever shows codes on a phone of their own."""
    return _audience(view, "driver, companion", _require_holder)


def operator(view: View) -> View:
    return _audience(view, "operator", _require_operator)


def driver_or_operator(view: View) -> View:
    return _audience(view, "driver, operator", _require_person)


def terminal(view: View) -> View:
    return _audience(view, "terminal", _require_terminal)


def merchant_desk(view: View) -> View:
    """A merchant's phone or tablet, by the token that it was paired with."""
    return _audience(view, "merchant_desk", _require_desk)


def person() -> Person | None:
    """Who is signed in, by cookie or bearer token; None if nobody."""
    if "person" not in g:
        g.person = None  # to the page that tells of a refusal, a caller who is refused is nobody
        g.person = _find_person()
    return cast("Person | None", g.person)


def holding() -> Holding:
    """On whose account the caller shows codes, in a view for holders."""
    found = person()
    assert found is not None
    if found.companion is not None:
        return Holding(found.companion.driver_id, found.companion)
    assert found.driver_id is not None
    return Holding(found.driver_id)


def viewer() -> Viewer:
    found = person()
    return Viewer(found.driver_id, found.operator_id) if found else Viewer()


def operator_id() -> UUID:
    """Whose staff calls, in a view for operators."""
    found = person()
    assert found is not None and found.operator_id is not None
    return found.operator_id


def staff_id() -> UUID:
    """Who of an operator's staff calls, in a view for operators."""
    found = person()
    assert found is not None and found.staff_id is not None
    return found.staff_id


def calling_terminal() -> TerminalAtGate:
    return cast(TerminalAtGate, g.terminal)


def calling_token() -> str:
    """The token that the terminal calls with."""
    return cast(str, g.terminal_token)


def calling_desk() -> tuple[MerchantDesk, Merchant]:
    """The desk that calls, and its merchant, in a view for desks."""
    return cast("tuple[MerchantDesk, Merchant]", g.desk)


def find_terminal(token: str) -> TerminalAtGate | None:
    if not 0 < len(token) <= TOKEN_MAX:
        return None
    with current_app.extensions["database"].reading() as db:
        return terminals.find_terminal_by_token(db, token_hash(token), now=now())


def find_desk(token: str) -> tuple[MerchantDesk, Merchant] | None:
    if not 0 < len(token) <= TOKEN_MAX:
        return None
    with current_app.extensions["database"].reading() as db:
        return merchant_desks.find_desk_by_token(db, token_hash(token))


def check_same_site() -> None:
    """Refuse a change that another site's page makes with our cookie.

    A caller that sends neither header is no browser, and holds no cookie by accident.
    """
    if request.method in _SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    is_ours = site == "same-origin" if site else origin is None or origin == request.host_url.rstrip("/")
    if not is_ours:
        raise Problem(403, "cross_site", "This request came from another site.")


def _audience(view: View, name: str, require: Callable[[], Any]) -> View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        refused = require()
        return view(*args, **kwargs) if refused is None else refused

    guarded.audience = name  # type: ignore[attr-defined]
    return cast(View, guarded)


def _nobody() -> None:
    if any(name in request.cookies for name in (LOGIN_COOKIE, TERMINAL_COOKIE, MERCHANT_COOKIE)):
        check_same_site()


def _bearer() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _find_person() -> Person | None:
    token, kind = _bearer(), "bearer"
    if token is None:
        token, kind = request.cookies.get(LOGIN_COOKIE), "cookie"
    if not token or len(token) > TOKEN_MAX:
        return None
    if kind == "cookie":
        check_same_site()
    with current_app.extensions["database"].reading() as db:
        found = logins.find_person(db, token_hash(token), kind=kind, now=now())
        if found is not None or kind != "cookie":
            return found
        companion = companions.find_login(db, token_hash(token), now=now())
    return None if companion is None else Person(None, None, None, companion)


def _unauthorized() -> Any:
    if wants_page():
        return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'))}", code=303)
    raise Problem(
        401, "not_signed_in", "Send a valid bearer token, or sign in.", headers=(("WWW-Authenticate", "Bearer"),)
    )


def _require_person() -> Any:
    found = person()
    if found is None:
        return _unauthorized()
    if found.companion is not None:
        raise Problem(403, "not_for_companions", "This is for drivers and operators' staff.")
    return None


def _require_holder() -> Any:
    found = person()
    if found is not None and found.companion is not None:
        return None
    return _require_driver()


def _require_driver() -> Any:
    found = person()
    if found is None:
        return _unauthorized()
    if found.driver_id is None:
        raise Problem(403, "drivers_only", "This is for drivers.")
    return None


def _require_operator() -> Any:
    found = person()
    if found is None:
        return _unauthorized()
    if found.operator_id is None:
        raise Problem(403, "operators_only", "This is for an operator's staff.")
    return None


def _require_terminal() -> Any:
    token = _bearer()
    if token is None and TERMINAL_COOKIE in request.cookies:
        check_same_site()
        token = request.cookies[TERMINAL_COOKIE]
    found = find_terminal(token) if token else None
    if found is None:
        raise Problem(
            401, "unknown_terminal", "Send the token of a terminal that is not revoked.",
            headers=(("WWW-Authenticate", "Bearer"),),
        )
    g.terminal, g.terminal_token = found, token
    return None


def _require_desk() -> Any:
    token = _bearer()
    if token is None and MERCHANT_COOKIE in request.cookies:
        check_same_site()
        token = request.cookies[MERCHANT_COOKIE]
    found = find_desk(token) if token else None
    if found is None:
        if wants_page():
            return redirect("/merchant/pair", code=303)
        raise Problem(
            401, "unknown_desk", "Send the token of a merchant's desk that is not revoked.",
            headers=(("WWW-Authenticate", "Bearer"),),
        )
    g.desk = found
    return None
