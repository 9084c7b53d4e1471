"""Real parts for the suite: a database of each engine, migrated once and emptied before each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import settings

from config import Config
from parking import create_app
from parking.store.migrations import migrate
from parking.web import companions, pairing, pay, payment_invoices, sign_in
from parking.web.limits import Limit
from tests.city import KEYS, City, make_city
from tests.postgres import Postgres

# A slow machine is no failing test: timings are scripts/bench's affair.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own count of questions: a process runs many, from one address."""
    for module in (companions, pairing, pay, payment_invoices, sign_in):
        for name, limit in list(vars(module).items()):
            if isinstance(limit, Limit):
                monkeypatch.setattr(module, name, Limit(limit.per_minute))


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
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database of each engine in turn."""
    if request.param == "sqlite":
        path = tmp_path / "parking.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_url")
    empty_postgres(url)
    return url


def empty_postgres(url: str) -> None:
    import psycopg

    from parking.store.schema import TABLES

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(table.name for table in TABLES)}")


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


