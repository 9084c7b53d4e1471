"""An operator asks what another tariff would have done to a period's visits; the answer is worked out in replay.py."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.tariff import Tariff, read_tariff
from parking.store import lots, tariffs, what_ifs
from parking.store.lots import Lot
from parking.store.what_ifs import Question, StoredWhatIf

PERIOD_MAX = timedelta(days=400)
UNFINISHED_MAX = 20
LOTS_MAX = 1000


class NoLot(Exception):
    """A lot that there is not, or that is another operator's; its number, or the code by which none charges."""


class BadPeriod(ValueError):
    """The period ends before it begins, or is longer than 400 days."""


class NoTariff(Exception):
    """No published tariff has this code, or not this version."""


class TooManyWhatIfs(Exception):
    """So many of the operator's wait that another one would not be answered soon."""


@dataclass(frozen=True, slots=True)
class Asked:
    """tariff: data, or a published one's code; version: None for the newest. lot_ids: or lots_of, the code by which
    the lots charged at some time of the period. entered: from, to."""

    tariff: str | Mapping[str, Any]
    entered: tuple[datetime, datetime]
    lot_ids: Collection[int] = ()
    lots_of: str | None = None
    version: int | None = None


def ask_what_if(
    db: Session, asked: Asked, *, operator_id: UUID, asked_by: UUID | None, now: datetime,
    held_by: UUID | None = None, leased_until: datetime | None = None,
) -> StoredWhatIf:
    """Keep a question; the worker answers it, unless who asks holds it.

    :raises NoLot: a lot that is not the operator's, or none that charged by the code
    :raises BadPeriod: reversed, empty or too long
    :raises NoTariff: no such published tariff
    :raises BadTariff: the data is not a tariff
    :raises TooManyWhatIfs: twenty of the operator's have not ended
    """
    entered_from, entered_to = asked.entered
    if not timedelta() < entered_to - entered_from <= PERIOD_MAX:
        raise BadPeriod("a period goes from an instant to a later one, at most 400 days")
    tariff = find_tried(db, asked.tariff, version=asked.version)
    lot_ids = _find_lots(db, operator_id, asked)
    if what_ifs.count_unfinished(db, operator_id) >= UNFINISHED_MAX:
        raise TooManyWhatIfs
    question = Question(
        new_uuid(now), operator_id, lot_ids, entered_from, entered_to, tariff.code, tariff.hash, tariff.canonical)
    what_ifs.add_what_if(
        db, question, asked_by=asked_by, now=now, held_by=held_by, leased_until=leased_until)
    kept = what_ifs.find_what_if(db, operator_id, question.what_if_id)
    assert kept is not None
    return kept


def find_tried(db: Session, tariff: str | Mapping[str, Any], *, version: int | None = None) -> Tariff:
    """The tariff that is to be tried: one place that knows what may be named.

    :param version: of a code's; None for the newest, in force or not
    :raises NoTariff: no published tariff has this code, or not this version
    :raises BadTariff: the data is not a tariff
    """
    if not isinstance(tariff, str):
        return read_tariff(dict(tariff))
    found = tariffs.find_version(db, tariff, version=version)
    if found is None:
        raise NoTariff(tariff)
    return found.tariff


def read_tried(question: Question) -> Tariff:
    """The tariff of a question that is kept."""
    return read_tariff(json.loads(question.tariff_body))


def operator_of_lots(db: Session, asked: Asked) -> UUID:
    """Whose the lots are: the shell has no operator of its own.

    :raises NoLot: there is none, or they are of several operators
    """
    entered_from, entered_to = asked.entered
    ids = asked.lot_ids or tariffs.list_lots_charging(db, asked.lots_of or "", since=entered_from, until=entered_to)
    found = [lots.find_lot(db, lot_id) for lot_id in ids]
    owners = {lot.operator_id for lot in found if lot is not None}
    if None in found or len(owners) != 1:
        raise NoLot("there is no such lot, or the lots are of several operators")
    return owners.pop()


def names_of_lots(db: Session, operator_id: UUID) -> dict[int, Lot]:
    return {lot.lot_id: lot for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)}


def _find_lots(db: Session, operator_id: UUID, asked: Asked) -> tuple[int, ...]:
    entered_from, entered_to = asked.entered
    own = {lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)}
    if asked.lots_of is not None:
        found = own & set(tariffs.list_lots_charging(db, asked.lots_of, since=entered_from, until=entered_to))
        if not found:
            raise NoLot(f"none of your lots charged by {asked.lots_of} then")
        return tuple(sorted(found))
    wrong = sorted(set(asked.lot_ids) - own)
    if wrong or not asked.lot_ids:
        raise NoLot(f"there is no lot {wrong[0]}, or it is not yours" if wrong else "no lot is named")
    return tuple(sorted(set(asked.lot_ids)))
