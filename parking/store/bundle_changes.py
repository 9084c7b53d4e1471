"""Of which drivers and vehicles a lane's bundle may have to say something else than it did.

Who makes bundles looks here instead of at every driver inside (services/offer.py). Changes are numbered within one of
sixteen stripes, by a row that is held until the commit: so a number that can be seen has none before it that cannot,
however late a transaction commits, and a driver waits for a sixteenth of the city's, for the time of one commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Table, Wide, spread
from parking.store.statements import table_of

STRIPES = 16
_NOTED = "subjects_noted"


class BundleStripe(Table):
    """How many changes a stripe has seen."""

    __tablename__ = "bundle_stripe"
    __table_args__ = (CheckConstraint(f"stripe BETWEEN 0 AND {STRIPES - 1}", name="stripe"), spread("stripe", "bundle"))

    stripe: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_number: Mapped[int] = mapped_column(Wide)


class BundleChange(Table):
    """The newest change of one driver or vehicle. subject: a driver's id or a vehicle's key, 16 bytes each."""

    __tablename__ = "bundle_change"
    __table_args__ = (
        CheckConstraint("length(subject) = 16", name="subject"),
        Index("ix_bundle_change_number", "stripe", "number"),
        spread("stripe", "bundle"),
    )

    stripe: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    subject: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    number: Mapped[int] = mapped_column(Wide)


_stripe, _change = table_of(BundleStripe), table_of(BundleChange)
_LIST_STRIPES = select(_stripe.c.stripe, _stripe.c.last_number)


def note_subject(db: Session, subject: bytes) -> None:
    """What lanes are told of a driver (by id) or a vehicle (by key) has changed; written before the commit."""
    db.info.setdefault(_NOTED, set()).add(subject)


def write_noted(db: Session) -> None:
    """Number what was noted in this transaction, stripe by stripe, in the one order in which everybody does."""
    dialect = db.get_bind().dialect.name
    for stripe, subject in sorted((each[-1] % STRIPES, each) for each in db.info.pop(_NOTED, ())):
        number = db.execute(_count_up(dialect), {"stripe": stripe, "last_number": 1}).scalar_one()
        db.execute(_put(dialect), {"stripe": stripe, "subject": subject, "number": number})


def read_stripes(db: Session) -> dict[int, int]:
    """Each stripe that has seen a change, with its newest number."""
    return {row.stripe: row.last_number for row in db.execute(_LIST_STRIPES)}


def list_changed(db: Session, since: Mapping[int, int], until: Mapping[int, int]) -> list[bytes]:
    """The drivers and vehicles with changes after those that `since` knows of."""
    moved = [stripe for stripe, number in until.items() if number > since.get(stripe, 0)]
    if not moved:
        return []
    return list(db.execute(select(_change.c.subject).where(or_(*(
        (_change.c.stripe == stripe) & (_change.c.number > since.get(stripe, 0)) for stripe in moved)))).scalars())


@cache
def _count_up(dialect: str) -> Any:
    written = (sqlite if dialect == "sqlite" else postgresql).insert(_stripe)
    return written.on_conflict_do_update(
        index_elements=["stripe"], set_={"last_number": _stripe.c.last_number + 1}).returning(_stripe.c.last_number)


@cache
def _put(dialect: str) -> Any:
    written = (sqlite if dialect == "sqlite" else postgresql).insert(_change)
    return written.on_conflict_do_update(
        index_elements=["stripe", "subject"], set_={"number": written.excluded.number})
