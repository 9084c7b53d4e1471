"""A gate was shown the city's identity code: the city says whose it is, and a pseudonym is made of that.

No transaction may be open here: the answer can take most of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from parking.core.code_wire import recognise_other
from parking.core.identity import UNKNOWN_CODE, CityCodes, IdentityUnresolved, Purpose, Reading
from parking.core.secret import Secrets
from parking.services.verify import Citizen, CodeCheck
from parking.store.terminals import TerminalAtGate

NOT_HERE = "identity_code_not_here"
_ADDED_BY_SCANNERS = " \t\r\n"
_PURPOSES: dict[str, Purpose] = {"entry": "entry", "exit": "exit"}
log = structlog.get_logger("parking.identity")


@dataclass(frozen=True)
class CityReader:
    """The city's code service. realm: whose numbers it tells, so that two cities' never meet."""

    codes: CityCodes
    realm: str


def find_identity_code(text: str | None) -> str | None:
    """The city's code as it was made, if a scanner read one."""
    stripped = (text or "").strip(_ADDED_BY_SCANNERS)
    return stripped if recognise_other(stripped) == NOT_HERE else None


def resolve_code(
    reader: CityReader | None, text: str, terminal: TerminalAtGate, *, reading_no: str, secrets: Secrets, now: datetime
) -> CodeCheck:
    """Ask whose code it is; the person's number ends here, as a pseudonym under our pepper."""
    if reader is None or not reader.codes.takes(text):
        return CodeCheck(refused=NOT_HERE, form="identity")
    name = terminal.lot.name
    place = f"{name.get('zh') or next(iter(name.values()), '')} {terminal.gate_name}"
    purpose = _PURPOSES.get(terminal.direction, "both")
    try:
        number = reader.codes.resolve(text, Reading(reading_no, place, purpose), now=now)
    except IdentityUnresolved as unresolved:
        note = log.info if unresolved.why == UNKNOWN_CODE else log.warning
        note("identity_unresolved", why=unresolved.why, lot_id=terminal.lot.lot_id, gate_id=terminal.gate_id)
        return CodeCheck(refused="identity_unresolved", form="identity")
    citizen = Citizen(secrets.citizen_key(reader.realm, number), secrets.shown_hash(text))
    return CodeCheck(citizen=citizen, form="identity")
