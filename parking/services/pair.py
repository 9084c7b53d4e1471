"""A device at a gate is given its token by a code that an operator shows it, once; and a token is replaced."""

from __future__ import annotations

import secrets as randomness
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.pseudonym import token_hash
from parking.core.signing import thumbprint
from parking.core.typed_code import new_typed_code, typed_code_hash
from parking.services.enrol import TOKEN_PREFIX, enrol_terminal
from parking.store import key_sets, lots, pairing_codes, terminals
from parking.store.lots import Gate, Lot
from parking.store.terminals import TerminalAtGate

LIVES = timedelta(minutes=10)
OLD_TOKEN_HOLDS = timedelta(minutes=5)
_PURPOSE = "pairing"


class BadPairingCode(ValueError):
    """No such code, or it was used, or ten minutes have passed; nobody is told which."""


@dataclass(frozen=True, slots=True)
class Paired:
    """root: the public key to pin, as a JWK, and its thumbprint; None where no key set was signed yet."""

    terminal_id: UUID
    token: str
    lot: Lot
    gate: Gate
    root: dict[str, Any] | None

    @property
    def root_thumbprint(self) -> str | None:
        return thumbprint(self.root) if self.root else None


def make_pairing_code(
    db: Session, operator_id: UUID, lot_id: int, gate_id: int, *, by: UUID, now: datetime
) -> str | None:
    """A code for one device at a gate, for ten minutes; None where the gate is not the operator's."""
    gate = lots.find_gate(db, lot_id, gate_id)
    if gate is None or gate.operator_id != operator_id:
        return None
    code = new_typed_code()
    pairing_codes.add_pairing_code(
        db, code_hash=typed_code_hash(_PURPOSE, code), lot_id=lot_id, gate_id=gate_id, operator_id=operator_id,
        made_by=by, made_at=now, expires_at=now + LIVES)
    return code


def pair_terminal(db: Session, text: str, *, now: datetime) -> Paired:
    """Enrol the device that shows a pairing code.

    :raises BadPairingCode: it pairs nothing
    """
    place = pairing_codes.use_pairing_code(db, typed_code_hash(_PURPOSE, text), now=now)
    if place is None:
        raise BadPairingCode
    lot, gate = lots.get_lot(db, place.lot_id), lots.find_gate(db, place.lot_id, place.gate_id)
    assert gate is not None
    terminal_id, token = enrol_terminal(db, lot, gate_id=gate.gate_id, now=now)
    newest = key_sets.find_newest(db)
    return Paired(terminal_id, token, lot, gate, newest.root if newest else None)


def replace_token(db: Session, terminal: TerminalAtGate, *, called_with: str, now: datetime) -> str:
    """A new token for a terminal; the one that it calls with holds five minutes more, for calls under way."""
    token = TOKEN_PREFIX + randomness.token_urlsafe(32)
    terminals.replace_token(
        db, terminal.terminal_id, token_hash=token_hash(token), called_with=token_hash(called_with),
        old_until=now + OLD_TOKEN_HOLDS)
    return token
