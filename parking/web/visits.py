"""The visit and the plate that a caller names, read the same way by every page and call."""

from __future__ import annotations

from typing import Any

from flask import current_app

from parking.core.identifier import BadIdentifier, parse_lot_id
from parking.core.plate import BadPlate, Plate, parse_plate
from parking.services import show
from parking.web import auth
from parking.web.errors import Problem


def get_visit(session_id: str) -> dict[str, Any]:
    """One visit of the caller's, with its fee.

    :raises Problem: 404, alike for an absent one and one of somebody else
    """
    nowhere = Problem(404, "not_found", "There is no such parking session, or it is not yours.")
    try:
        lot_id, identifier = parse_lot_id(session_id)
    except BadIdentifier:
        raise nowhere from None
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        found: dict[str, Any] | None = show.find_session(
            db, auth.viewer(), lot_id, identifier, secrets=extensions["secrets"], now=auth.now())
    if found is None:
        raise nowhere
    return found


def read_plate(text: str) -> Plate:
    """:raises Problem: 400, this is no plate"""
    try:
        return parse_plate(text)
    except BadPlate as wrong:
        raise Problem(400, "bad_plate", str(wrong), errors=[("plate", str(wrong))]) from None
