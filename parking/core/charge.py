"""A sealed charge: what a closed parking session cost, from which inputs, signed.

The body holds everything that went in and every line that came out, as rule and parameters; it
is never edited. A charge that turns out wrong is credited by another that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from parking.core.clock import city_date, format_instant, parse_instant
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.json_text import canonical
from parking.core.parking_session import ParkingSession
from parking.core.payment import NOTHING_PAID, Paid, price_stay
from parking.core.price import Line, Quote, Vehicle, kind_of_plate
from parking.core.tariff import Tariff

SEAL_TYPE = "parking-charge+jws"


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """The key that seals charges; kid is its RFC 7638 thumbprint, published for ever."""

    kid: str
    private: Any


@dataclass(frozen=True, slots=True)
class Charge:
    """charge_id: from (session, closing fact, revision). body: canonical JSON. seal: a JWS over it."""

    charge_id: UUID
    total_fen: int
    body: str
    seal: str


@dataclass(frozen=True, slots=True)
class ChargeBody:
    """A sealed body, read back. allowance: paid until, leave by; None where the exit made no use of one.

    calendar: what it said of the days of the visit (core/calendar.py); None where the tariff has none.
    """

    revision: int
    entered_at: datetime
    left_at: datetime
    billed_until_at: datetime
    vehicle: Vehicle
    context: Mapping[str, Any]
    calendar: Mapping[str, Any] | None
    tariff_code: str
    tariff_version: int
    tariff_hash: str
    allowance: tuple[datetime, datetime] | None
    lines: tuple[Line, ...]
    total_fen: int


def price_session(
    session: ParkingSession, *, tariff: Tariff, vehicle: Vehicle, paid: Paid = NOTHING_PAID
) -> Quote:
    """What a closed session costs by a tariff, with what is known of it.

    :raises CannotPrice: as price()
    """
    assert session.left_at is not None
    return price_stay(
        tariff, entered_at=session.entered_at, left_at=session.bill_end(session.left_at), paid=paid, vehicle=vehicle,
        context=session.pricing_context)


def seal_charge(
    session: ParkingSession, *, tariff: Tariff, version: int, revision: int, vehicle: Vehicle, key: ReceiptKey,
    paid: Paid = NOTHING_PAID,
) -> Charge:
    """Price a closed session by the version in force at its entry, and seal what came of it.

    The vehicle stands in the body by its size alone: retention must not touch a sealed charge.
    """
    assert session.left_at is not None and session.closed_by is not None
    end = session.bill_end(session.left_at)
    quote = price_session(session, tariff=tariff, paid=paid, vehicle=vehicle)
    allowance = paid.allowance_at(end)
    charge_id = derived_uuid(
        session.left_at, "charge", session.lot_id, session.parking_session_id,
        session.closed_by.terminal_id, session.closed_by.sequence, revision,
    )
    body = canonical({
        "charge_id": str(charge_id),
        "revision": revision,
        "parking_session_id": format_lot_id(session.lot_id, session.parking_session_id),
        "entered_at": format_instant(session.entered_at),
        "left_at": format_instant(session.left_at),
        "billed_until": format_instant(end),
        "vehicle": vehicle_data(vehicle),
        "context": session.pricing_context,
        "tariff": {"code": tariff.code, "version": version, "hash": tariff.hash},
        **_calendar_data(tariff, session.entered_at, end),
        "exit_allowance": None if allowance is None else {
            "paid_until": format_instant(allowance[0]), "leave_by": format_instant(allowance[1]),
        },
        "lines": [line_data(line) for line in quote.lines],
        "total_fen": quote.total_fen,
    })
    return Charge(charge_id, quote.total_fen, body, sign_body(body, key))


def vehicle_data(vehicle: Vehicle) -> dict[str, Any]:
    """Size, and the kind of plate where it is none of the ordinary ones: all that a price may ask."""
    kind = kind_of_plate(vehicle)
    return {"size": vehicle.size} if kind in (None, "ordinary") else {"size": vehicle.size, "plate_kind": kind}


def read_vehicle(data: Mapping[str, Any]) -> Vehicle:
    """What `vehicle_data` wrote."""
    return Vehicle("large" if data["size"] == "large" else "small", plate_kind=data.get("plate_kind"))


def _calendar_data(tariff: Tariff, entered_at: datetime, end: datetime) -> dict[str, Any]:
    """What the tariff's calendar says of the days of the visit and the one before, where it has one."""
    if tariff.walls.calendar is None:
        return {}
    first, last = city_date(entered_at, tariff.zone) - timedelta(days=1), city_date(end, tariff.zone)
    return {"calendar": tariff.walls.calendar.between(first, last)}


def sign_body(body: str, key: ReceiptKey) -> str:
    """A compact JWS (ES256) whose payload is the body."""
    return jwt.api_jws.encode(
        body.encode(), key.private, algorithm="ES256", headers={"kid": key.kid, "typ": SEAL_TYPE}
    )


def line_data(line: Line) -> dict[str, Any]:
    """A line as it is sealed: no words."""
    return {
        "from": format_instant(line.from_at), "to": format_instant(line.to_at), "rule": line.rule,
        "units": line.units, "amount_fen": line.amount_fen, "params": dict(line.params),
    }


def read_body(text: str) -> ChargeBody:
    """Read what seal_charge wrote; a body from before there were payments has no exit allowance."""
    body = json.loads(text)
    allowance = body.get("exit_allowance")
    return ChargeBody(
        revision=body["revision"], entered_at=parse_instant(body["entered_at"]),
        left_at=parse_instant(body["left_at"]), billed_until_at=parse_instant(body["billed_until"]),
        vehicle=read_vehicle(body["vehicle"]),
        context=body["context"], calendar=body.get("calendar"), tariff_code=body["tariff"]["code"],
        tariff_version=body["tariff"]["version"], tariff_hash=body["tariff"]["hash"],
        allowance=allowance and (parse_instant(allowance["paid_until"]), parse_instant(allowance["leave_by"])),
        lines=tuple(
            Line(parse_instant(each["from"]), parse_instant(each["to"]), each["rule"], each["units"],
                 each["amount_fen"], each["params"])
            for each in body["lines"]),
        total_fen=body["total_fen"],
    )


def sealing_kid(seal: str) -> str:
    """The id of the key that made a seal of ours; nothing is verified."""
    return str(jwt.get_unverified_header(seal)["kid"])
