"""A lot's visits of a period with their sealed charges, in pages by key, as cheaply as a database gives them.

A visit's id begins with the millisecond of its entry (core/identifier.py), so a period of a lot is a range of
its primary key, and of the charges' index by visit. Each read is short: on SQLite a reader holds writers up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, type_coerce
from sqlalchemy.orm import Session

from parking.core.clock import to_ms
from parking.store.charges import ChargeRow
from parking.store.columns import Bytes
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.statements import table_of

_s, _c = table_of(ParkingSessionRow).c, table_of(ChargeRow).c
_sid, _csid = type_coerce(_s.parking_session_id, Bytes()), type_coerce(_c.parking_session_id, Bytes())
_AFTER, _LAST = bindparam("after", type_=Bytes), bindparam("last", type_=Bytes)
_OF_LOT = (_s.lot_id == bindparam("lot_id")) & (_sid > _AFTER)
_FIND_LAST = select(_sid).where(_OF_LOT, _sid < bindparam("until", type_=Bytes)).order_by(_s.parking_session_id).offset(
    bindparam("skip")).limit(1)
_COUNT = select(func.count()).where(_OF_LOT, _sid < bindparam("until", type_=Bytes))
_VISITS = select(
    _sid, _s.state, _s.money_state, _s.charged_fen, _s.charge_count, type_coerce(_s.tariff_id, Bytes()),
    _s.tariff_version,
).where(_OF_LOT, _sid <= _LAST).order_by(_s.parking_session_id)
_CHARGES = select(
    _csid, _c.kind, type_coerce(_c.charge_id, Bytes()), type_coerce(_c.credits_charge_id, Bytes()), _c.body,
).where(_c.lot_id == bindparam("lot_id"), _csid > _AFTER, _csid <= _LAST)


@dataclass(frozen=True, slots=True)
class Page:
    """Visits of a lot with ids in (after, last], and how many they are."""

    lot_id: int
    after: bytes
    last: bytes
    count: int


class BookedVisit(NamedTuple):
    """A visit's row. sealed: the standing charge's body; None where there is none. Ids are their 16 bytes: to make
    UUIDs of them takes longer than to read them."""

    parking_session_id: bytes
    state: str
    money_state: str
    charged_fen: int
    charge_count: int
    tariff_id: bytes | None
    tariff_version: int | None
    sealed: str | None


def first_key(entered_at: datetime) -> bytes:
    """No visit that was entered at or after this instant has a lower id, and none before it a higher one."""
    return (to_ms(entered_at) << 80).to_bytes(16, "big")


def find_page(db: Session, lot_id: int, *, after: bytes, until: bytes, limit: int) -> Page | None:
    """The next page of a lot's visits with ids in (after, until); None where there are no more."""
    asked = {"lot_id": lot_id, "after": after, "until": until}
    last = db.execute(_FIND_LAST, {**asked, "skip": limit - 1}).scalar_one_or_none()
    if last is not None:
        return Page(lot_id, after, last, limit)
    count = int(db.execute(_COUNT, asked).scalar_one())
    return Page(lot_id, after, before_key(until), count) if count else None


def before_key(key: bytes) -> bytes:
    """The highest id below it."""
    return (int.from_bytes(key, "big") - 1).to_bytes(16, "big")


def list_visits(db: Session, page: Page) -> list[BookedVisit]:
    """A page's visits in the order of their ids."""
    asked = {"lot_id": page.lot_id, "after": page.after, "last": page.last}
    visits = db.execute(_VISITS, asked).all()
    charged = db.execute(_CHARGES, asked).all()
    credited = {credits for _, kind, _, credits, _ in charged if kind == "credit"}
    sealed = {visit: body for visit, kind, charge_id, _, body in charged
              if kind == "charge" and charge_id not in credited}
    return [BookedVisit._make((*visit, sealed.get(visit[0]))) for visit in visits]
