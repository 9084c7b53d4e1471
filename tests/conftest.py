"""Real parts for the suite: a database of each engine, migrated once and emptied before each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import settings

from config import Config
from parking import create_app
from parking.store.migrations import migrate
from parking.web import (
    arrears_pages,
    companions,
    coupon_desk,
    in_app,
    merchant_desk,
    pairing,
    pay,
    payment_invoices,
    sign_in,
)
from parking.web.limits import Limit
from tests.city import KEYS, City, make_city
from tests.once import compile_once
from tests.postgres import Postgres

# A slow machine is no failing test: timings are scripts/bench's affair.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
compile_once()
MEMORY_BYTES_MIN = 64 * 2**20


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A browser file's tests stay with one worker, or its server comes up once a worker. These files come first.

    Of its own groups xdist 3.8 loses the names under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    if config.getoption("dist") != "loadgroup":
        return None

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0] if "/browser/" in nodeid else nodeid

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own count of questions: a process runs many, from one address."""
    for module in (arrears_pages, companions, coupon_desk, in_app, merchant_desk, pairing, pay, payment_invoices,
                   sign_in):
        for name, limit in list(vars(module).items()):
            if isinstance(limit, Limit):
                monkeypatch.setattr(module, name, Limit(limit.per_minute, least=limit.least))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres("fsync=off")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "empty.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    url = postgres.create("suite")
    migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database of each engine in turn."""
    if request.param == "sqlite":
        path = request.getfixturevalue("memory_path") / "parking.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_url")
    empty_postgres(url)
    return url


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: each commit waits for the disk some three times."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < MEMORY_BYTES_MIN:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="parking-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def empty_postgres(url: str) -> None:
    """Delete what a test has written, and give its pages back; TRUNCATE takes a hundred times as long."""
    import psycopg

    from parking.store.schema import TABLES

    looks = (f"SELECT '{table.name}' FROM (SELECT 1 FROM {table.name} LIMIT 1) AS written" for table in TABLES)
    with psycopg.connect(url, autocommit=True) as connection:
        written = [name for name, in connection.execute(" UNION ALL ".join(looks))]
        if written:
            connection.execute("SET session_replication_role = replica")  # in whatever order
            connection.execute("; ".join(f"DELETE FROM {name}" for name in written))
            connection.execute(f"VACUUM {', '.join(written)}")


def make_app(url: str) -> Flask:
    app = create_app(Config({**KEYS, "DATABASE_URL": url, "LOG_LEVEL": "ERROR"}))
    app.testing = False
    return app


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = make_app(database_url)
    yield app
    app.extensions["database"].close()


@pytest.fixture
def city(app: Flask) -> City:
    return make_city(app)


