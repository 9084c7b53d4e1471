"""A citizen is met for the first time, or again: one driver for one person of the city."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.store import drivers, identities


def meet_citizen(db: Session, citizen_key: bytes, *, linked_by: str, now: datetime) -> UUID:
    """The driver behind a citizen's pseudonym, made at the first meeting; of two at once, one makes it.

    :param linked_by: the way they came, such as the provider's name
    """
    known = identities.find_driver_id(db, citizen_key)
    if known is not None:
        return known
    driver_id = new_uuid(now)
    if identities.link_driver(db, citizen_key, driver_id=driver_id, linked_by=linked_by, now=now):
        drivers.add_driver(db, driver_id=driver_id, code_subject=secrets.token_bytes(16), now=now)
        return driver_id
    known = identities.find_driver_id(db, citizen_key)
    assert known is not None
    return known
