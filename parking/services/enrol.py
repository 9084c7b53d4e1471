"""Lots, gates and terminals are set up; a terminal gets its token once."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.pseudonym import token_hash
from parking.store import lots, terminals
from parking.store.lots import Lot

TOKEN_PREFIX = "pkt_"  # noqa: S105


def open_lot(db: Session, *, now: datetime, **values: object) -> Lot:
    """A lot with its own service terminal, through which later facts are written."""
    lots.add_lot(db, now=now, **values)
    lot = lots.get_lot(db, int(str(values["lot_id"])))
    terminals.add_terminal(db, terminal_id=new_uuid(now), lot=lot, now=now)
    return lot


def add_gate(db: Session, lot: Lot, *, gate_id: int, name: str, direction: str) -> None:
    lots.add_gate(db, lot, gate_id=gate_id, name=name, direction=direction)


def enrol_terminal(
    db: Session, lot: Lot, *, gate_id: int, now: datetime, token: str | None = None
) -> tuple[UUID, str]:
    """A new terminal at a gate; returns its id and its token, which is not kept and shown once."""
    terminal_id, token = new_uuid(now), token or TOKEN_PREFIX + secrets.token_urlsafe(32)
    terminals.add_terminal(
        db, terminal_id=terminal_id, lot=lot, now=now, gate_id=gate_id, token_hash=token_hash(token)
    )
    return terminal_id, token
