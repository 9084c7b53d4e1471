"""Column types that both engines keep alike, and the base of every table.

SQLite tables are STRICT, so what is stored is TEXT, INTEGER or BLOB; the Python side is an
aware instant, a UUID, a bool or JSON. On PostgreSQL the same columns are text, bigint and bytea.

Every table says in `info` how a cluster spreads it (docs/decisions/0003): `dist` is the column it
is distributed by, `group` the tables that lie beside it; `dist` None is copied to every node.
`append_only` tables take no update and no delete from the service.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from parking.core.clock import from_ms, to_ms
from parking.core.json_text import canonical

_WIDE = Integer().with_variant(BigInteger(), "postgresql")


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as milliseconds since 1970 in UTC; a naive one is refused."""

    impl = _WIDE
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not an instant")
        return to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_ms(value)


class Uuid(TypeDecorator[UUID]):
    """16 bytes, big-endian: they sort as their text does."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(bytes=bytes(value))


class Flag(TypeDecorator[bool]):
    """0 or 1; each column has its CHECK."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


class Json(TypeDecorator[Any]):
    """A JSON value as its canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Fen(TypeDecorator[int]):
    """Whole fen; a float is refused."""

    impl = _WIDE
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is not None and type(value) is not int:
            raise ValueError("an amount is an int of fen")
        return value


class Wide(TypeDecorator[int]):
    """An integer of 64 bits, for numbers that terminals count."""

    impl = _WIDE
    cache_ok = True


class Bytes(TypeDecorator[bytes]):
    """Raw bytes; psycopg's memoryview is turned into bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)


class Table(DeclarativeBase):
    """The base of every table; constraints are named, so that a migration can name them too."""

    metadata = MetaData(naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    })


def spread(dist: str | None, group: str, *, append_only: bool = False) -> dict[str, Any]:
    """Table arguments: STRICT on SQLite, and how a cluster spreads the table."""
    return {
        "sqlite_strict": True,
        "info": {"dist": dist, "group": group, "append_only": append_only},
    }
