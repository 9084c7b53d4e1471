"""A driver lets an operator deduct a vehicle's fees, and takes that back at any time.

Where the channel has agreements of its own, the driver signs there, and it stands once the channel says so; where it
deducts by stays, it stands at once, and whether a stay can be deducted is said at each entry. Ended, it allows no new
exit from that moment on; what the channel has taken on before still comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.auto_pay import CEILING_MAX_FEN, MEANS, Agreement
from parking.core.channel import Deducts
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.core.wallet import CHANNEL as WALLET
from parking.services.connect import Channels, NotConnected
from parking.services.follow_agreement import FIRST_QUERY_AFTER, leave_to_follow
from parking.services.issue import NotYourVehicle
from parking.services.spend import account_of
from parking.services.tell_stay import leave_message
from parking.store import agreements, drivers, lots, operators, vehicles, wallets
from parking.store.agreements import StoredAgreement
from parking.store.database import Database


@dataclass(frozen=True, slots=True)
class Offer:
    """An operator whose exits stay shut until the fee is paid, and the means by which it has fees deducted."""

    operator_id: UUID
    name: str
    means: tuple[str, ...]


class NoAgreement(Exception):
    """There is no such agreement, or it is another driver's."""


class AgreementIdReused(Exception):
    """The id names another agreement."""


class AgreementStands(Exception):
    """This vehicle's fees are deducted by this driver and account already, or are about to be."""


class NotProved(Exception):
    """The plate is claimed and not proved: its fees, and so its visits, may be a stranger's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver wants: the fees of a vehicle at an operator's lots deducted by a means, up to a ceiling a stay."""

    agreement_id: UUID
    driver_id: UUID
    plate: Plate
    operator_id: UUID
    means: str
    ceiling_fen: int


def list_offers(database: Database, channels: Channels) -> list[Offer]:
    """With which operators a driver can agree; one that deducts nothing is left out."""
    with database.reading() as db:
        found = [(each, operators.get_operator(db, each).name) for each in lots.list_collecting_operators(db)]
        has_wallets = wallets.find_issuer(db) is not None
    offers = [
        Offer(operator_id, name, tuple(
            means for means in MEANS
            if (has_wallets if means == WALLET else _can_deduct(channels, operator_id, means))))
        for operator_id, name in found]
    return [each for each in offers if each.means]


def sign_address(channels: Channels, found: StoredAgreement, *, return_url: str, now: datetime) -> str:
    """Where an agreement that is not signed yet is signed; "" for one that needs none."""
    if found.state != "asked":
        return ""
    of = found.agreement
    return channels.deducts_of(of.account_id).sign(of.agreement_id.hex, return_url=return_url, now=now)


def start_agreement(
    database: Database, channels: Channels, asked: Asked, *, secrets: Secrets, return_url: str, now: datetime
) -> tuple[StoredAgreement, str]:
    """Make an agreement; returns it, and where the driver goes to sign it, "" where nothing is to be signed.

    :raises NotYourVehicle, NotProved: the plate is not the driver's, or not proved
    :raises NotConnected: the operator deducts nothing by this means
    :raises AgreementStands, AgreementIdReused:
    """
    if asked.means == WALLET:
        return database.write(lambda db: _start_with_wallet(db, asked, secrets, now)), ""
    account_id, deducts = channels.deducting(asked.operator_id, asked.means)
    made = database.write(lambda db: _start(db, asked, account_id, deducts, secrets, now))
    return made, sign_address(channels, made, return_url=return_url, now=now)


def _start_with_wallet(db: Session, asked: Asked, secrets: Secrets, now: datetime) -> StoredAgreement:
    if wallets.find_issuer(db) is None or asked.operator_id not in lots.list_collecting_operators(db):
        raise NotConnected
    return _start(db, asked, account_of(db, asked.operator_id, now), None, secrets, now)


def _start(
    db: Session, asked: Asked, account_id: UUID, deducts: Deducts | None, secrets: Secrets, now: datetime
) -> StoredAgreement:
    """:param deducts: how the channel does it; None of a wallet, which needs nobody's word"""
    assert 0 < asked.ceiling_fen <= CEILING_MAX_FEN
    key = secrets.vehicle_key(asked.plate)
    known = _find_known(db, asked, key)
    if known is not None:
        return known
    claimed = {each.vehicle_key: each.is_proved for each in drivers.list_vehicles(db, asked.driver_id)}
    if key not in claimed:
        raise NotYourVehicle
    if not claimed[key]:
        raise NotProved
    vehicles.lock_vehicle(db, key, plate_sealed=None, now=now)
    known = _find_known(db, asked, key)  # of two at once with the same id, the second is told of the first
    if known is not None:
        return known
    is_signed = deducts is not None and deducts.is_signed
    made = StoredAgreement(
        Agreement(key, asked.agreement_id, asked.driver_id, asked.operator_id, account_id, asked.means,
                  asked.ceiling_fen),
        "asked" if is_signed else "active", now, None if is_signed else now, None, None, None, None)
    if not agreements.add_agreement(db, made):
        raise AgreementStands
    if is_signed:
        leave_to_follow(db, made.agreement, now=now, due_at=now + FIRST_QUERY_AFTER)
    elif deducts is not None:
        _tell_where_it_is(db, made.agreement, now)
    return made


def _find_known(db: Session, asked: Asked, key: bytes) -> StoredAgreement | None:
    """:raises AgreementIdReused: the id names another agreement"""
    known = agreements.find_agreement(db, asked.agreement_id)
    if known is None:
        return None
    of = known.agreement
    if (of.driver_id, of.vehicle_key, of.operator_id, of.means, of.ceiling_fen) != (
        asked.driver_id, key, asked.operator_id, asked.means, asked.ceiling_fen
    ):
        raise AgreementIdReused
    return known


def change_ceiling(
    db: Session, driver_id: UUID, agreement_id: UUID, ceiling_fen: int, *, now: datetime
) -> StoredAgreement:
    """From now on so much a stay.

    :raises NoAgreement: none of the driver's that stands
    """
    found = _lock(db, driver_id, agreement_id, now)
    if found.state == "ended":
        raise NoAgreement
    agreements.change_ceiling(db, found.agreement, ceiling_fen)
    return agreements.get_agreement(db, agreement_id)


def end_agreement(db: Session, driver_id: UUID, agreement_id: UUID, *, now: datetime) -> StoredAgreement:
    """From now on it allows no exit; ended already, it stays as it is. The channel is told by the worker.

    :raises NoAgreement: none of the driver's
    """
    found = _lock(db, driver_id, agreement_id, now)
    if found.state != "ended":
        _end(db, found.agreement, "by_driver", now)
    return agreements.get_agreement(db, agreement_id)


def end_agreements_of_vehicle(db: Session, driver_id: UUID, vehicle_key: bytes, *, now: datetime) -> None:
    """The vehicle is not the driver's any more."""
    for each in agreements.list_of_driver(db, driver_id, standing=True):
        if each.agreement.vehicle_key == vehicle_key:
            _end(db, each.agreement, "released", now)


def _can_deduct(channels: Channels, operator_id: UUID, means: str) -> bool:
    try:
        channels.deducting(operator_id, means)
    except NotConnected:
        return False
    return True


def _end(db: Session, agreement: Agreement, why: str, now: datetime) -> None:
    agreements.end_agreement(db, agreement, why=why, now=now)
    if agreement.means != WALLET:
        leave_to_follow(db, agreement, now=now, due_at=now)


def _tell_where_it_is(db: Session, agreement: Agreement, now: datetime) -> None:
    """The vehicle may be inside already."""
    there = vehicles.find_presence(db, agreement.vehicle_key)
    lot = None if there is None else lots.get_lot(db, there.lot_id)
    if there is not None and lot is not None and lot.collects and lot.operator_id == agreement.operator_id:
        leave_message(db, lot.lot_id, there.parking_session_id, agreement.account_id, now=now)


def _lock(db: Session, driver_id: UUID, agreement_id: UUID, now: datetime) -> StoredAgreement:
    """Hold the vehicle, as exits do: an exit that is being decided is before or after."""
    found = agreements.find_agreement(db, agreement_id)
    if found is None or found.agreement.driver_id != driver_id:
        raise NoAgreement
    vehicles.lock_vehicle(db, found.agreement.vehicle_key, plate_sealed=None, now=now)
    return agreements.get_agreement(db, agreement_id)
