"""A lot as anyone may see it: free spaces, prices, and what a stay would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, current_app, render_template, request
from flask_babel import gettext
from sqlalchemy.orm import Session

from parking.core.calendar import CalendarNotConfirmed, CannotPrice
from parking.core.clock import BadInstant, city_date, drop_seconds, format_instant, parse_wall
from parking.core.curve import HORIZON, Curve, curve_answer, price_curve
from parking.core.money import format_yuan
from parking.core.next_step import NextStep
from parking.core.price import Vehicle
from parking.core.price_examples import HOURS, Example, find_examples
from parking.core.reason import Words
from parking.core.scan_answer import fee_data
from parking.core.stretch import MINUTE
from parking.core.tariff import Tariff
from parking.core.tariff_facts import find_facts
from parking.core.tariff_words import describe, remarks
from parking.services.quote import NotInForce, Quoted, quote_lot
from parking.store import lots, tariffs
from parking.store.lots import Lot
from parking.web import auth
from parking.web.sign_text import SIZES, fact_rows, start_words

blueprint = Blueprint("places", __name__)
STAY_SHOWN_MAX = timedelta(days=7)
_USUAL_STAY = timedelta(hours=2)
_DAY = timedelta(days=1)
_BadField = Literal["entered", "left"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A stay that somebody thinks of. bad: the field that says no such stay, and why; then the stay is a usual one."""

    entered_at: datetime
    left_at: datetime
    size: Literal["small", "large"] = "small"
    is_new_energy: bool = False
    bad: tuple[_BadField, str] | None = None

    @property
    def vehicle(self) -> Vehicle:
        return Vehicle(self.size, plate_kind=f"nev_{self.size}_pure" if self.is_new_energy else None)

    @property
    def days(self) -> int:
        """Whole days before the last one; the stay ends within 24 hours of them."""
        return max(0, (self.left_at - self.entered_at - MINUTE) // _DAY)

    @property
    def minutes(self) -> int:
        """Of the last day."""
        return (self.left_at - self.entered_at - self.days * _DAY) // MINUTE


@blueprint.get("/lots/<int(max=65535):lot_id>")
@auth.anyone
def page(lot_id: int) -> Any:
    """Works without a script: the form asks for this page again."""
    with _reading() as db:
        lot = _find(db, lot_id)
        occupied = lots.count_occupied(db, lot_id)
        in_force = tariffs.find_tariff_of_lot(db, lot_id, at=auth.now())
        asked = _read(request.args, lot)
        shown = _stay(db, lot, asked)
    tariff = in_force.tariff if in_force else None
    made = render_template(
        "place.html", lot=lot, free=max(0, lot.spaces - occupied), tariff=tariff, hours=HOURS,
        prices=_examples(tariff) if tariff else None, facts=fact_rows(find_facts(tariff)) if tariff else (),
        clauses=describe(tariff) if tariff else (), remarks=remarks(tariff) if tariff else (),
        **_choices(asked, tariff), **shown)
    return made, 400 if asked.bad else 200


@blueprint.get("/lots/<int(max=65535):lot_id>/stay")
@auth.anyone
def stay(lot_id: int) -> Any:
    """The part of the page that tells what the stay costs."""
    with _reading() as db:
        lot = _find(db, lot_id)
        asked = _read(request.args, lot)
        shown = _stay(db, lot, asked)
    return render_template("_stay.html", lot=lot, **shown), 400 if asked.bad else 200


def _find(db: Session, lot_id: int) -> Lot:
    found = lots.find_lot(db, lot_id)
    if found is None:
        abort(404)
    return found


def _read(sent: Mapping[str, str], lot: Lot) -> Asked:
    """Times by the lot's walls. `days` and `minutes`, where the page's sliders send them, stand before `left`."""
    now = drop_seconds(auth.now())
    vehicle: dict[str, Any] = {
        "size": "large" if sent.get("size") == "large" else "small", "is_new_energy": "new_energy" in sent}
    try:
        entered_at = parse_wall(sent["entered"], lot.zone) if sent.get("entered") else now
    except BadInstant:
        return Asked(now, now + _USUAL_STAY, **vehicle, bad=("entered", gettext("There is no such time.")))
    try:
        left_at = _read_end(sent, entered_at, lot.zone)
    except BadInstant:
        problem = gettext("There is no such time.")
    else:
        if entered_at <= left_at <= entered_at + STAY_SHOWN_MAX:
            return Asked(entered_at, left_at, **vehicle)
        problem = gettext("That is before the entry.") if left_at < entered_at else gettext(
            "Seven days are told here at most.")
    return Asked(entered_at, entered_at + _USUAL_STAY, **vehicle, bad=("left", problem))


def _read_end(sent: Mapping[str, str], entered_at: datetime, zone: ZoneInfo) -> datetime:
    """:raises BadInstant: no time"""
    if "minutes" in sent:
        counts = [sent.get(name, "0") for name in ("days", "minutes")]
        if not all(each.isascii() and each.isdigit() and len(each) <= 5 for each in counts):
            raise BadInstant("not a length")
        return entered_at + int(counts[0]) * _DAY + int(counts[1]) * MINUTE
    return parse_wall(sent["left"], zone) if sent.get("left") else entered_at + _USUAL_STAY


def _stay(db: Session, lot: Lot, asked: Asked) -> dict[str, Any]:
    """What the stay costs, or why nobody can tell."""
    shown = {
        "asked": asked, "wall": lambda at: f"{at.astimezone(lot.zone):%Y-%m-%dT%H:%M}",
        "instant": lambda at: format_instant(at, lot.zone), "fee": None, "curve": None, "quoted": None,
        "unpriced": None}
    try:
        quoted = quote_lot(
            db, lot.lot_id, entered_at=asked.entered_at, left_at=asked.left_at, vehicle=asked.vehicle)
    except (NotInForce, CannotPrice) as why:
        return {**shown, "unpriced": unpriced_words(why)}
    curve = _curve(quoted, asked)
    fee = fee_data(quoted.quote, state="due", zone=lot.zone, upcoming=_next(curve, asked) if curve else None)
    return {**shown, "quoted": quoted, "fee": {**fee, "curve": None},
            "curve": curve and curve_answer(curve, lot.zone)}


def _curve(quoted: Quoted, asked: Asked) -> Curve | None:
    """Of the last day of the stay, its end included."""
    try:
        return price_curve(
            quoted.tariff, entered_at=asked.entered_at, from_at=asked.entered_at + asked.days * _DAY,
            vehicle=asked.vehicle, ahead=HORIZON + MINUTE)
    except CannotPrice:
        return None


def _next(curve: Curve, asked: Asked) -> NextStep | None:
    return next((each for each in curve.points if each.at > asked.left_at), None)


def unpriced_words(why: Exception) -> str:
    """Why no price can be told, in the reader's language."""
    if isinstance(why, CalendarNotConfirmed):
        return str(gettext(
            "No price can be told: which days of %(year)s are holidays or worked instead has not been confirmed yet.",
            year=why.year))
    if isinstance(why, NotInForce):
        return str(gettext("This car park charges by no tariff at that time."))
    return str(gettext("No price can be told for this stay."))


def _examples(tariff: Tariff) -> list[tuple[Words, Words | None, list[str]]] | None:
    """Each entry, the size where it matters, and the amounts for HOURS; None where a calendar does not tell."""
    try:
        found: tuple[Example, ...] = find_examples(tariff, day=city_date(auth.now(), tariff.zone))
    except CannotPrice:
        return None
    has_sizes = len({each.size for each in found}) > 1
    return [(start_words(each, tariff.zone), SIZES[each.size] if has_sizes else None,
             [format_yuan(fen) for fen in each.amounts_fen]) for each in found]


def _choices(asked: Asked, tariff: Tariff | None) -> dict[str, Any]:
    """What of the vehicle may change the price."""
    return {
        "sizes": SIZES if asked.size == "large" or (tariff and tariff.tells_sizes_apart) else None,
        "asks_new_energy": asked.is_new_energy or bool(tariff and tariff.tells_new_energy_apart)}


def _reading() -> Any:
    return current_app.extensions["database"].reading()
