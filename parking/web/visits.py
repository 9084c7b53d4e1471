"""The visit and the plate that a caller names, read the same way by every page and call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

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
    lot_id, identifier = read_visit_id(session_id)
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        found: dict[str, Any] | None = show.find_session(
            db, auth.viewer(), lot_id, identifier, secrets=extensions["secrets"], now=auth.now())
    if found is None:
        raise not_found()
    return found


def read_visit_id(session_id: str) -> tuple[int, UUID]:
    """:raises Problem: 404, no visit can have this id"""
    try:
        return parse_lot_id(session_id)
    except BadIdentifier:
        raise not_found() from None


def not_found() -> Problem:
    return Problem(404, "not_found", "There is no such parking session, or it is not yours.")


def read_plate(text: str) -> Plate:
    """:raises Problem: 400, this is no plate"""
    try:
        return parse_plate(text)
    except BadPlate as wrong:
        raise Problem(400, "bad_plate", str(wrong), errors=[("plate", str(wrong))]) from None
