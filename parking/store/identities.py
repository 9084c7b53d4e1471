"""Which driver a person of the city is; the city's own number of the person is never stored."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class DriverIdentity(Table):
    """A citizen's pseudonym (core/pseudonym.py) and the driver behind it. Protects: one driver a citizen."""

    __tablename__ = "driver_identity"
    __table_args__ = (
        CheckConstraint("length(citizen_key) = 32", name="citizen_key"), spread("citizen_key", "identity"),
    )

    citizen_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    driver_id: Mapped[UUID] = mapped_column(Uuid)
    linked_by: Mapped[str] = mapped_column(Text)
    linked_at: Mapped[datetime] = mapped_column(Instant)


def find_driver_id(db: Session, citizen_key: bytes) -> UUID | None:
    return db.execute(
        select(DriverIdentity.driver_id).where(DriverIdentity.citizen_key == citizen_key)).scalar_one_or_none()


def link_driver(db: Session, citizen_key: bytes, *, driver_id: UUID, linked_by: str, now: datetime) -> bool:
    """Claim the citizen for a driver; False if another claim was first. linked_by: the way they came."""
    return insert_new(
        db, DriverIdentity, citizen_key=citizen_key, driver_id=driver_id, linked_by=linked_by, linked_at=now)
