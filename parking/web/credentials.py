"""A driver's phones and papers: binding a phone's key, asking how it stands, printing, and ending either."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request
from flask_babel import gettext
from sqlalchemy.orm import Session

from parking.core.clock import city_date, format_instant
from parking.core.code import compress_key
from parking.core.plate import BadPlate, parse_plate
from parking.services.accompany import list_companions
from parking.services.bind import Bound, TooManyCredentials, bind_phone, print_code
from parking.services.issue import NotYourVehicle
from parking.store import companions, credentials, drivers, vehicles
from parking.web import auth
from parking.web.contract import CredentialAnswer, CredentialQuery, CredentialRequest, CredentialState
from parking.web.devices import name_device
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.paper import Paper, print_cards, print_page
from parking.web.reading import read_body, read_query
from parking.web.visits import read_plate

blueprint = Blueprint("credentials", __name__)
COORDINATE_BYTES = 32


@blueprint.post("/v1/credentials")
@auth.holder
@api("Bind a phone's key, or renew it", body=CredentialRequest, answer=CredentialAnswer, problems=(403, 409))
def bind() -> Any:
    asked, now = read_body(CredentialRequest), auth.now()
    key = _read_key(asked.public_key.x, asked.public_key.y)
    plate = None if asked.plate is None else read_plate(asked.plate)
    holding, label = auth.holding(), name_device()
    of = holding.companion

    def deed(db: Session) -> tuple[Bound, bool]:
        companion = None if of is None else companions.lock_companion(db, of.driver_id, of.companion_id)
        made = bind_phone(
            db, holding.driver_id, key, plate=plate, label=label, now=now, companion=companion, **_tools())
        return made, drivers.is_challenged(db, holding.driver_id)

    bound, is_challenged = _write(deed)
    made = bound.credential
    return {
        "credential": bound.token, "wire": base64.urlsafe_b64encode(bound.wire).decode(),
        "status_index": made.status_index, "expires_at": format_instant(made.expires_at),
        "renew_after": format_instant(made.issued_at + (made.expires_at - made.issued_at) / 2),
        "is_challenged": is_challenged, "server_time": format_instant(now),
    }


@blueprint.get("/v1/credentials/current")
@auth.holder
@api("How a credential of the caller's stands", query=CredentialQuery, answer=CredentialState)
def current() -> Any:
    subject, now, holding = bytes.fromhex(read_query(CredentialQuery).subject), auth.now(), auth.holding()
    companion_id = holding.companion.companion_id if holding.companion else None
    with _reading() as db:
        found = credentials.find_credential(db, subject)
        is_challenged = drivers.is_challenged(db, holding.driver_id)
    state = "unknown"
    if found is not None and (found.driver_id, found.companion_id) == (holding.driver_id, companion_id):
        state = "live" if found.revoked_at is None else "revoked"
    return {"state": state, "is_challenged": is_challenged, "server_time": format_instant(now)}


@blueprint.get("/driver/phones")
@auth.driver
def phones_page() -> Any:
    """What of the driver's opens gates: phones and papers, each with an end to it."""
    return phones_page_after()


@blueprint.post("/driver/phones")
@auth.driver
def phones_form() -> Any:
    """End one: a lost phone, a paper. Gates with a network refuse it at once, others when they next hear from us."""
    try:
        subject, now = bytes.fromhex(request.form.get("subject", "")), auth.now()
    except ValueError:
        abort(400)
    _write(lambda db: credentials.revoke_credentials(db, _driver_id(), subject=subject, now=now))
    return redirect("/driver/phones", code=303)


@blueprint.post("/driver/paper")
@auth.driver
def paper_form() -> Any:
    """A code on paper. Its digits are in this answer and nowhere else."""
    text, label = request.form.get("plate", "")[:64], request.form.get("label", "").strip()[:60]
    try:
        plate = parse_plate(text) if text else None
    except BadPlate:
        abort(400)
    if any(ord(letter) < 32 for letter in label):
        abort(400)
    now = auth.now()
    try:
        digits, made = _write(lambda db: print_code(
            db, _driver_id(), plate=plate, label=label or gettext("Paper"), now=now, **_tools()))
    except (TooManyCredentials, NotYourVehicle) as refused:
        return phones_page_after(type(refused).__name__), 409
    zone = current_app.extensions["config"].city_zone
    lines = (
        label, plate.text if plate else gettext("Any vehicle of mine"),
        gettext("Enters only with its plate; leaves by itself."),
        gettext("Until %(date)s", date=city_date(made.expires_at, zone).isoformat()),
    )
    paper = Paper(gettext("Parking code"), tuple(line for line in lines if line), digits)
    pdf = print_cards(paper) if request.form.get("size") == "cards" else print_page(paper)
    answer = Response(pdf, content_type="application/pdf")
    answer.headers["Content-Disposition"] = 'attachment; filename="parking-code.pdf"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def phones_page_after(refused: str | None = None) -> str:
    """The driver's phones, papers and companions; refused: why what was just asked was not done."""
    now, secrets = auth.now(), current_app.extensions["secrets"]
    with _reading() as db:
        found = [each for each in credentials.list_credentials(db, _driver_id(), now=now) if each.companion_id is None]
        accompanied = list_companions(db, _driver_id(), now=now)
        own = [each.vehicle_key for each in drivers.list_vehicles(db, _driver_id())]
        bound = {each.vehicle_key for each in found} | {each.vehicle_key for each in accompanied}
        sealed = vehicles.list_sealed_plates(db, {*own, *(key for key in bound if key)})
    plates = {key: secrets.open_plate(key, blob) for key, blob in sealed.items()}
    return render_template(
        "phones.html", credentials=found, companions=accompanied, plates=plates,
        own=[plates[key] for key in own if key in plates], refused=refused)


def _read_key(x: str, y: str) -> bytes:
    """:raises Problem: 400, no point of P-256"""
    try:
        raw = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (x, y)]
        if any(len(part) != COORDINATE_BYTES for part in raw):
            raise ValueError("a coordinate has 32 bytes")
        return compress_key(*raw)
    except (binascii.Error, ValueError):
        raise Problem(
            400, "bad_public_key", "This is no P-256 public key.", errors=[("public_key", "not a point of P-256")]
        ) from None


def _tools() -> dict[str, Any]:
    extensions = current_app.extensions
    return {"city": extensions["city"], "secrets": extensions["secrets"], "safe": extensions["key_safe"]}


def _driver_id() -> Any:
    person = auth.person()
    assert person is not None and person.driver_id is not None
    return person.driver_id


def _reading() -> Any:
    return current_app.extensions["database"].reading()


def _write(deed: Any) -> Any:
    return current_app.extensions["database"].write(deed)
