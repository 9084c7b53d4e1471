"""The one statement that is written differently for each engine: insert unless it is there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from parking.store.columns import Table


def insert_new(db: Session, table: type[Table], **values: Any) -> bool:
    """INSERT … ON CONFLICT DO NOTHING; True if this call made the row.

    A claim on something unique in the city is made by it: of two at once, one gets True.
    """
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    done = db.execute(
        dialect.insert(table.__table__).values(**values).on_conflict_do_nothing().returning(literal(1))
    )
    return done.first() is not None
