"""Statements that a scan runs are built once: building one anew costs more than running it.

A module holds such a statement as a constant with `bindparam`, over the table's own columns
(`table_of`): 26 µs where a query built from mapped classes takes 100 µs and more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table as CoreTable
from sqlalchemy import Text, bindparam, literal, select, union_all
from sqlalchemy import cast as cast_as
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from parking.store.columns import Bytes, Instant, Table


def table_of(model: type[Table]) -> CoreTable:
    """The table under a mapped class."""
    return cast(CoreTable, model.__table__)


def insert_new(db: Session, model: type[Table], **values: Any) -> bool:
    """INSERT … ON CONFLICT DO NOTHING; True if this call made the row.

    A claim on something unique in the city is made by it: of two at once, one gets True.
    """
    return db.execute(_insert_new(model, db.get_bind().dialect.name), values).first() is not None


def read_plain(db: Session, asked: Any) -> list[tuple[Any, ...]]:
    """Rows of texts and integers by the thousand, as the driver has them: to make rows of them takes as long again."""
    cursor: Any = db.connection().execute(asked).cursor
    return cast(list[tuple[Any, ...]], cursor.fetchall())


def as_text(kind: Any, number: Any, amount_fen: Any) -> Any:
    """A row of either side of a statement in one text, as core.reconciliation.Alike compares them."""
    return kind + " " + number + " " + cast_as(amount_fen, Text)


def wanted(count: int) -> Any:
    """A list of so many vehicles, each with an instant, to join a table with: `vehicle_key`, `at`.

    A look-up is planned once for such a list; of a UNION of look-ups, each would be planned by itself.
    """
    return union_all(*(
        select(bindparam(f"key_{n}", type_=Bytes).label("vehicle_key"), bindparam(f"at_{n}", type_=Instant).label("at"))
        for n in range(count))).cte("wanted")


def wanted_values(instants: Mapping[bytes, datetime]) -> dict[str, Any]:
    """What `wanted` is executed with."""
    return {name: value for n, (key, at) in enumerate(instants.items())
            for name, value in ((f"key_{n}", key), (f"at_{n}", at))}


def write_all(db: Session, statement: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """Run a statement that writes once for each of these rows, in their order: one trip to the database for all."""
    return db.execute(statement, rows if len(rows) > 1 else rows[0]) if rows else None


def update_all(db: Session, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """As write_all, of an update that meets one row each time."""
    changed = write_all(db, statement, rows)
    assert changed is None or changed.rowcount == len(rows)


def insert_many(db: Session, model: type[Table], columns: Sequence[str], rows: Sequence[tuple[Any, ...]],
                **same: UUID) -> None:
    """Insert thousands of rows of plain texts and integers, as the engine does it fastest.

    :param same: columns that are the same UUID in all rows
    """
    names = ", ".join((*same, *columns))
    connection = db.connection()
    if connection.dialect.name == "sqlite":
        # Literals: to bind three UUIDs takes as long as all the rest of a row.
        literals = ", ".join(f"x'{value.hex}'" for value in same.values())
        connection.exec_driver_sql(
            f"INSERT INTO {model.__tablename__} ({names}) VALUES ({literals}{', ?' * len(columns)})",  # noqa: S608
            list(rows))
        return
    ids = tuple(value.bytes for value in same.values())
    driver: Any = connection.connection
    try:
        with driver.cursor().copy(f"COPY {model.__tablename__} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row((*ids, *row))
    except connection.dialect.loaded_dbapi.Error as error:  # SQLAlchemy does not see a COPY, nor its errors
        raise DBAPIError.instance(
            "COPY", None, error, connection.dialect.loaded_dbapi.Error, dialect=connection.dialect) from error


def insert_all_new(db: Session, model: type[Table], rows: Sequence[dict[str, Any]]) -> None:
    """As insert_new, for many rows, where nobody asks which were new."""
    write_all(db, _insert_all_new(model, db.get_bind().dialect.name), rows)


def put_all(db: Session, model: type[Table], rows: Sequence[dict[str, Any]], *, changing: tuple[str, ...]) -> None:
    """Insert rows; where one is there already by its primary key, these columns of it are changed."""
    write_all(db, _put_all(model, changing, db.get_bind().dialect.name), rows)


@cache
def _insert_all_new(model: type[Table], dialect: str) -> Any:
    written = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return written(table_of(model)).on_conflict_do_nothing()


@cache
def _put_all(model: type[Table], changing: tuple[str, ...], dialect: str) -> Any:
    written = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table_of(model))
    return written.on_conflict_do_update(
        index_elements=list(table_of(model).primary_key.columns),
        set_={name: written.excluded[name] for name in changing})


@cache
def insert_new_returning(model: type[Table], column: str, dialect: str) -> Any:
    """INSERT … ON CONFLICT DO NOTHING of many rows; answers with a column of those that it made."""
    written = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return written(table_of(model)).on_conflict_do_nothing().returning(table_of(model).c[column])


@cache
def _insert_new(model: type[Table], dialect: str) -> Any:
    """The one statement that is written differently for each engine."""
    written = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return written(table_of(model)).on_conflict_do_nothing().returning(literal(1))
