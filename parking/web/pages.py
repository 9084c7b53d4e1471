"""What every page has in common: language, security headers, and how values are written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask, Response, current_app, request
from flask_babel import Babel, get_locale, gettext

from parking.core.money import format_raw, format_yuan
from parking.core.reason import LANGUAGES
from parking.web import auth
from parking.web.arrears_text import arrears_actor_name, arrears_state_name, arrears_step_name, clock_text, ground_name
from parking.web.channels import channel_name, channels_of_visit, own_channel

_POLICY = {
    "default-src": "'none'", "script-src": "'self'", "worker-src": "'self'", "style-src": "'self'",
    "img-src": "'self' data:", "connect-src": "'self'", "font-src": "'self'", "manifest-src": "'self'",
    "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
}
# By these WeChat's own script in a page speaks to the app around it, where it may not do so otherwise.
_WECHAT_FRAMES = "weixin: weixinping: weixinpreinject:"
# Pages that read pictures run WebAssembly (the camera's decoder).
_CAMERA_POLICY = {**_POLICY, "script-src": "'self' 'wasm-unsafe-eval'", "media-src": "'self' blob:"}


def register(app: Flask) -> None:
    Babel(
        app, default_locale="zh", locale_selector=choose_language,
        default_translation_directories="web/translations",
    )
    app.jinja_env.filters |= {
        "yuan": format_yuan, "raw_yuan": format_raw, "said": said, "clock": clock, "day": day, "moment": moment,
        "seen": seen, "at": at,
    }
    app.jinja_env.globals |= {"languages": LANGUAGES, "language": lambda: str(get_locale()), "person": auth.person,
                             "state_name": state_name, "bucket_name": bucket_name,
                             "movement_name": movement_name, "difference_name": difference_name,
                             "fund_bucket_name": fund_bucket_name, "suggestion_name": suggestion_name,
                             "waiver_state_name": waiver_state_name, "cause_name": cause_name,
                             "explanation_state_name": explanation_state_name, "flag_name": flag_name,
                             "story_name": story_name, "provider_name": provider_name, "way_name": way_name,
                             "sign_in_failure": sign_in_failure, "problem_words": problem_words,
                             "arrears_state_name": arrears_state_name, "arrears_step_name": arrears_step_name,
                             "arrears_actor_name": arrears_actor_name, "ground_name": ground_name,
                             "clock_text": clock_text,
                             "channel_name": channel_name, "channels_of_visit": channels_of_visit}

    @app.after_request
    def _secure(answer: Response) -> Response:
        has_camera = answer.headers.pop("X-Page", None) == "camera"
        policy = _CAMERA_POLICY if has_camera else _POLICY
        if own_channel() == "wechat_pay":
            policy = {**policy, "frame-src": _WECHAT_FRAMES}
        answer.headers["Content-Security-Policy"] = "; ".join(f"{name} {value}" for name, value in policy.items())
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"  # with "no-referrer" forms over plain http have no Origin
        answer.headers["Permissions-Policy"] = f"camera=({'self' if has_camera else ''}), geolocation=(), microphone=()"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if request.is_secure:
            answer.headers["Strict-Transport-Security"] = "max-age=31536000"
        if answer.mimetype == "text/html" or request.path.startswith("/v1/"):
            answer.headers.setdefault("Cache-Control", "no-store")
        if answer.mimetype == "text/html":
            answer.vary.update(["Cookie", "Accept-Language"])
        return answer


def choose_language() -> str:
    """The cookie's choice, else the browser's, else Chinese."""
    chosen = request.cookies.get("language", "")
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES) or "zh"


def said(words: dict[str, str]) -> str:
    """A text in the reader's language."""
    return words.get(str(get_locale())) or words.get("en") or next(iter(words.values()), "")


def clock(text: Any) -> str:
    """An instant of the API as hours and minutes of the lot's walls."""
    return datetime.fromisoformat(text).strftime("%H:%M") if text else ""


def day(text: Any) -> str:
    """An instant of the API as a date and a time of the lot's walls."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M") if text else ""


def moment(text: Any) -> str:
    """An instant of the API to the second, by the lot's walls."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S") if text else ""


def seen(instant: datetime | None) -> str:
    """An instant by the city's clock, for what belongs to no lot."""
    return instant.astimezone(current_app.extensions["config"].city_zone).strftime("%Y-%m-%d %H:%M") if instant else "–"


def at(text: str) -> str:
    """An instant of the API by the city's clock."""
    return seen(datetime.fromisoformat(text))


def state_name(state: str) -> str:
    """A parking session's state in the reader's language."""
    words = {
        "open": gettext("inside"), "suspended": gettext("being checked"), "closed": gettext("left"),
        "voided": gettext("voided"),
    }
    return str(words[state])


def waiver_state_name(state: str) -> str:
    """How far something that is to be taken off a charge has come."""
    words = {
        "waiting": gettext("waits for a second person"), "done": gettext("taken off"), "rejected": gettext("rejected")}
    return str(words[state])


def cause_name(cause: str) -> str:
    """Why a difference is one, in the reader's language."""
    words = {
        "other_system": gettext("of another system at the same merchant"),
        "channel_error": gettext("the channel's error, reported to it"),
        "by_hand": gettext("settled by hand"), "written_off": gettext("written off"), "other": gettext("other"),
    }
    return str(words[cause])


def explanation_state_name(state: str) -> str:
    """How far an explanation has come."""
    words = {
        "waiting": gettext("waits for a second person"), "stands": gettext("stands"), "rejected": gettext("rejected"),
        "withdrawn": gettext("taken back")}
    return str(words[state])


def flag_name(flag: str) -> str:
    """What is unusual about a visit, in the reader's language."""
    words = {
        "entered_again": gettext("came in again"), "seen_elsewhere": gettext("seen elsewhere"),
        "overdue": gettext("too long"), "exit_corrected": gettext("settled by a person"),
        "exit_before_entry": gettext("left before it came"), "exit_time_unknown": gettext("time of exit unknown"),
    }
    return str(words[flag])


def bucket_name(bucket: str) -> str:
    """A bucket of the books in the reader's language."""
    words = {
        "matched": gettext("matched"), "only_ours": gettext("ours alone"), "only_theirs": gettext("theirs alone"),
        "amount_differs": gettext("another amount"), "status_differs": gettext("another state"),
        "duplicate": gettext("named twice"), "pending_cutoff": gettext("may be in the next day's statement"),
    }
    return str(words[bucket])


def movement_name(kind: str) -> str:
    """A kind of movement of a channel's account in the reader's language."""
    words = {
        "payment": gettext("Payments"), "refund": gettext("Refunds"), "fee": gettext("Channel fees"),
        "withdrawal": gettext("Taken to the bank"), "other": gettext("Other movements")}
    return str(words[kind])


def difference_name(kind: str) -> str:
    """What a difference of a day is about, in the reader's language."""
    words = {
        "payment": gettext("Payment"), "refund": gettext("Refund"), "funds_payment": gettext("Payment"),
        "funds_refund": gettext("Refund"), "funds_fee": gettext("Fee"), "funds_other": gettext("Other movement"),
        "funds_balance": gettext("Balance carried over")}
    return str(words[kind])


def fund_bucket_name(kind: str, bucket: str) -> str:
    """How the money that moved differs from the trade statement, in the reader's language."""
    if kind == "funds_balance":
        return str(gettext("the day before ended with another balance"))
    words = {
        "only_ours": gettext("did not move"), "only_theirs": gettext("moved, and is not in the trade statement"),
        "amount_differs": gettext("another amount moved"), "pending_cutoff": gettext("has not moved yet")}
    return str(words[bucket])


def suggestion_name(suggestion: str) -> str:
    """What is to be done first about a movement that differs; "" where a button says it."""
    words = {
        "look_up": gettext("Look it up at the channel: its two bills say different things."),
        "claim": gettext("Ask the channel to put its fee right, then explain it."),
        "look_before": gettext("Look at the day before: its bill is missing or was another.")}
    return str(words.get(suggestion, ""))


def story_name(what: str) -> str:
    """What happened to a visit, in the reader's language."""
    words = {
        "scan": gettext("At the gate"), "barrier": gettext("Barrier told to open"),
        "acknowledged": gettext("Barrier answered"), "passage": gettext("A vehicle passed"),
        "manual_lift": gettext("Lifted by hand"), "remote_lift": gettext("Lifted from afar"), "undo": gettext("Undone"),
        "heartbeat": gettext("Terminal heard"), "plate_correction": gettext("Plate corrected"),
        "seen_elsewhere": gettext("Seen at another car park"), "overdue": gettext("Inside for too long"),
        "exit_correction": gettext("Left, as a person established"),
        "left_out": gettext("Earlier events are left out"),
        "charge": gettext("Charged"), "credit": gettext("Charge taken back"),
        "asked": gettext("Order made"), "closed": gettext("Order ended unpaid"), "paid": gettext("Paid"),
        "refund": gettext("Given back"), "disputed": gettext("Payment to be looked at"),
    }
    return str(words[what])


def provider_name(name: str) -> str:
    """A provider of sign-ins in the reader's language; one that is not of Shanghai is called by its name."""
    words = {"suishen": gettext("the Suishen code"), "suishenxing": gettext("the Suishenxing code")}
    return str(words.get(name, name.capitalize()))


def way_name(way: str | None) -> str:
    """How somebody came in."""
    words = {"password": gettext("Login and password"), "token": gettext("Token"), None: "–"}
    return str(words[way]) if way in words else provider_name(way or "")


def sign_in_failure(reason: str) -> str:
    """Why nobody was signed in, and what to do."""
    words = {
        "password": gettext(
            "Login and password do not belong together, or there were too many tries: wait a little."),
        "cancelled": gettext("The sign-in was cancelled. Nobody is signed in."),
        "not_believed": gettext("The answer could not be trusted, so nobody is signed in. Please start again."),
        "expired": gettext("This sign-in has ended or was used already. Please start again."),
        "unavailable": gettext("The sign-in service does not answer right now. Please try again in a moment."),
    }
    return str(words[reason])


def problem_words(status: int, reason: str) -> str:
    """What a page says of an answer that is no success, and what to do; programs get the detail."""
    who = auth.person() if reason in ("drivers_only", "operators_only") else None
    if who is not None and who.companion is not None:
        reason = "not_for_companions"
    words = {
        "not_charged": gettext("There is a receipt once the vehicle has left."),
        "nothing_due": gettext("There is nothing to pay now."),
        "wallet_too_low": gettext("Your wallet holds less than is due. Pay in first, or choose another way."),
        "more_is_due": gettext("More is due by now than you were shown, so nothing was paid. Please look again."),
        "no_wallets": gettext("There are no wallets in this city, or they are not yours to see."),
        "not_your_vehicle": gettext("This plate is not among your vehicles."),
        "channel_not_connected": gettext("This car park takes no money this way."),
        "channel_refused": gettext("The payment channel refused. Please choose another way, or call the attendant."),
        "drivers_only": gettext("This is for drivers. Sign in as one."),
        "operators_only": gettext("This is for an operator's staff. Sign in as one of them."),
        "not_for_companions": gettext("This phone has a code on a driver's account. That is all it may use here."),
        "companion_ended": gettext("The driver has ended this code, or its time is over."),
        "cross_site": gettext("This came from another site's page, so nothing was done. Please start from our own."),
        "too_many_requests": gettext("Too many questions from here. Please wait a minute."),
        "body_too_large": gettext("This is too large."),
        "not_suspended": gettext("This visit is not being checked any more."),
        "not_noticed": gettext("No notice was given of this case."),
        "no_tariff": gettext("This car park charges by no tariff at that time."),
    }
    if reason in words:
        return str(words[reason])
    if status == 404:
        return str(gettext("There is no such page, or it is not yours."))
    if status >= 500:
        return str(gettext("The service cannot answer right now. Please try again in a moment."))
    return str(gettext("What was sent could not be taken. Please go back, look it over and try again."))
