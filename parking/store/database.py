"""The one way to a database: SQLite in a file, or PostgreSQL, with the settings they need.

SQLite: `synchronous=FULL`, and WAL only where the linked library has the WAL-reset fix
(sqlite.org/wal.html; 3.51.3, 3.50.7, 3.44.6), else the rollback journal in TRUNCATE mode: both
lost nothing in 88,835 simulated power cuts, while NORMAL and DELETE did (docs/decisions/0002).
Only writers take BEGIN IMMEDIATE; a deferred BEGIN that writes later is a storm of SQLITE_BUSY.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from parking.store import bundle_changes, lots, transfers, webhook_deliveries

Result = TypeVar("Result")
WRITE_WAIT_SECONDS_MAX = 3.0
CONFLICT_TRIES_MAX = 5
_BUSY_TIMEOUT_MS = 100
_LOOK_AGAIN_SECONDS_MAX = 0.008
_RETRIED_SQLSTATES = frozenset({"40001", "40P01", "23505"})


class DatabaseUnavailable(Exception):
    """The database is locked, full or gone; nothing was written, and the caller may try again."""


class Database:
    """An engine with its two kinds of transaction.

    :param url: SQLAlchemy's; `sqlite:///path` or `postgresql://…` (psycopg 3 is chosen)
    :param role: on PostgreSQL, the role without UPDATE and DELETE on append-only tables
    """

    def __init__(self, url: str, *, role: str | None = None, pool_size: int = 8) -> None:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        self.is_sqlite = address.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"hide_parameters": True, "pool_size": pool_size, "max_overflow": 4}
        if not self.is_sqlite:
            options |= {"pool_pre_ping": False, "pool_recycle": 1800, "pool_timeout": 3}
            options["connect_args"] = {
                "connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
                "options": "-c lock_timeout=3000 -c statement_timeout=10000 "
                           "-c idle_in_transaction_session_timeout=15000",
            }
        else:
            options["connect_args"] = {"check_same_thread": False}
        self.engine: Engine = create_engine(address, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        elif role:
            event.listen(self.engine, "connect", _set_role(role))
        # READ COMMITTED gives each statement a snapshot of its own, in a transaction or not; without
        # one, PostgreSQL is spared a BEGIN and a COMMIT.
        reading = {"writes": False} if self.is_sqlite else {"writes": False, "isolation_level": "AUTOCOMMIT"}
        self._reading = self.engine.execution_options(**reading)
        self._snapshot = self.engine.execution_options(**(
            reading if self.is_sqlite else {"writes": False, "isolation_level": "REPEATABLE READ"}))
        self._writing = self.engine.execution_options(writes=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads; it holds no gate up."""
        with _translated(), Session(self._reading, expire_on_commit=False, autoflush=False) as db:
            yield db
            db.commit()  # nothing was written; a rollback would empty the rows that were read

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A transaction that reads the database as it is at one instant, for as long as it takes."""
        with _translated(), Session(self._snapshot, expire_on_commit=False, autoflush=False) as db:
            if not self.is_sqlite:
                db.execute(text("SET LOCAL statement_timeout = '30min'"))
            yield db
            db.commit()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block, or leaves nothing behind."""
        with _translated(), self._transaction() as db:
            yield db

    def write(self, deed: Callable[[Session], Result]) -> Result:
        """Run a deed in one transaction; again when another one was first to the same row.

        The deed must be safe to run again from its start: it is, when its ids come from outside.
        """
        with _translated():
            for attempt in range(CONFLICT_TRIES_MAX):
                try:
                    with self._transaction() as db:
                        return deed(db)
                except (IntegrityError, OperationalError) as conflict:
                    if not _is_conflict(conflict) or attempt == CONFLICT_TRIES_MAX - 1:
                        raise
                    time.sleep(random.uniform(0, 0.02) * (attempt + 1))  # noqa: S311
        raise AssertionError("unreachable")

    def give_way(self) -> None:
        """Let others write before this one's next transaction.

        Whoever waits for a SQLite file looks for it now and then, and is not next in line: one who has it and asks
        again at once gets it again, and the others wait for all of that one's transactions.
        """
        if self.is_sqlite:
            time.sleep(_LOOK_AGAIN_SECONDS_MAX)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with Session(self._writing, expire_on_commit=False, autoflush=False) as db, db.begin():
            yield db
            webhook_deliveries.write_noted(db)
            # Rows that others wait for are held for the commit alone.
            lots.count_changes(db)
            bundle_changes.write_noted(db)
            transfers.write_balances(db)

    def close(self) -> None:
        self.engine.dispose()

    def describe(self) -> str:
        """How durable this store is, in one line for the log at start."""
        if not self.is_sqlite:
            return f"PostgreSQL at {self.engine.url.host or 'a local socket'}"
        return f"SQLite {sqlite3.sqlite_version}, journal {journal_mode().lower()}, synchronous full"


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """WAL where its reset bug is fixed, else TRUNCATE."""
    fixed = (
        version >= (3, 51, 3)
        or (3, 50, 7) <= version < (3, 51)
        or (3, 44, 6) <= version < (3, 45)
    )
    return "WAL" if fixed else "TRUNCATE"


def is_unavailable(error: BaseException) -> bool:
    """Whether a driver's error says that the database is locked, full, read-only or gone."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    if state:
        return state[:2] in ("08", "53", "57", "58") or state in ("55P03", "25006", "40001", "40P01")
    return isinstance(error, OperationalError)


def _is_conflict(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in _RETRIED_SQLSTATES
    return getattr(error.orig, "sqlite_errorname", "").startswith(
        ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_BUSY")
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(type(error.orig).__name__) from error
        raise
    except PoolTimeout as error:
        raise DatabaseUnavailable("no connection was free") from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        f"journal_mode={journal_mode()}", "synchronous=FULL", "foreign_keys=ON",
        f"busy_timeout={_BUSY_TIMEOUT_MS}", "trusted_schema=OFF", "cache_size=-16384",
        "recursive_triggers=ON",  # or INSERT OR REPLACE would delete a row without its trigger
    ):
        _patiently(connection, f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    file = connection.connection.dbapi_connection
    if connection.get_execution_options().get("writes", True):
        _patiently(file, "BEGIN IMMEDIATE")
        return
    # A deferred BEGIN takes no lock: the first look at the file does, and may meet a commit.
    _patiently(file, "BEGIN")
    _patiently(file, "SELECT 1 FROM sqlite_schema LIMIT 1")


def _patiently(connection: Any, statement: str) -> None:
    """Wait for the file in short, random steps: SQLite's own long sleeps starve the unlucky."""
    deadline = time.monotonic() + WRITE_WAIT_SECONDS_MAX
    while True:
        try:
            connection.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as busy:
            name = getattr(busy, "sqlite_errorname", "")
            if not name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > deadline:
                raise OperationalError(statement, None, busy) from busy
            time.sleep(random.uniform(0.0005, _LOOK_AGAIN_SECONDS_MAX))  # noqa: S311


def _set_role(role: str) -> Callable[[Any, Any], None]:
    def set_role(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('role', %s, false)", (role,))
        connection.commit()

    return set_role
