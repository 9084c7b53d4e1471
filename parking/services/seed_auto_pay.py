"""The demo's driver leaves first: auto-pay is on for the vehicle that is inside a car park whose exit stays shut."""

from __future__ import annotations

import contextlib
from datetime import datetime

from sqlalchemy.orm import Session

from parking.core.auto_pay import CEILING_DEFAULT_FEN
from parking.core.clock import EPOCH
from parking.core.identifier import derived_uuid
from parking.core.plate import parse_plate
from parking.core.secret import Secrets
from parking.services.agree import AgreementStands, Asked, start_agreement
from parking.services.connect import Channels
from parking.store import drivers, logins, lots, vehicles
from parking.store.database import Database

MEANS = "wechat_pay"  # nothing is signed by hand, so a command can turn it on


def seed_auto_pay(database: Database, channels: Channels, login: str, *, secrets: Secrets, now: datetime) -> str | None:
    """Turn it on, once; returns the plate, None where the driver has no vehicle at such a car park.

    :raises NotConnected: the operator deducts nothing through WeChat Pay
    """
    asked = database.write(lambda db: _find(db, login, secrets))
    if asked is None:
        return None
    with contextlib.suppress(AgreementStands):
        start_agreement(database, channels, asked, secrets=secrets, return_url="", now=now)
    return asked.plate.text


def _find(db: Session, login: str, secrets: Secrets) -> Asked | None:
    account = logins.lock_account(db, login)
    driver_id = account.driver_id if account else None
    if driver_id is None:
        return None
    proved = [each.vehicle_key for each in drivers.list_vehicles(db, driver_id) if each.is_proved]
    sealed = vehicles.list_sealed_plates(db, proved)
    for key, there in vehicles.find_presences(db, proved).items():
        lot = lots.get_lot(db, there.lot_id)
        if lot.collects:
            return Asked(
                derived_uuid(EPOCH, "demo", driver_id, key.hex()), driver_id,
                parse_plate(secrets.open_plate(key, sealed[key])), lot.operator_id, MEANS, CEILING_DEFAULT_FEN)
    return None
