"""The service's settings, read from the environment; each name says its unit."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping


class BadConfig(Exception):
    """A setting is missing or cannot be used; the message says which."""


class Config:
    """Settings of one process.

    PARKING_PEPPER and PARKING_SEALING_KEY are 32 random bytes each, in base64. Losing the pepper
    loses every vehicle's key; losing the sealing key loses plates and private keys: keep both
    apart from the database's backups. `scripts/serve` makes them once, in var/secrets.env.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.database_url = environ.get("DATABASE_URL", "sqlite:///var/parking.sqlite3")
        self.database_role = environ.get("DATABASE_ROLE", "parking_app") or None
        self.database_pool_size = _integer(environ, "DATABASE_POOL_SIZE", 8)
        self.pepper = _key(environ, "PARKING_PEPPER")
        self.sealing_key = _key(environ, "PARKING_SEALING_KEY")
        self.city_number = _integer(environ, "CITY_NUMBER", 1)
        self.city_name = environ.get("CITY_NAME", "shanghai")
        self.body_bytes_max = _integer(environ, "BODY_BYTES_MAX", 64 * 1024)
        self.proxy_count = _integer(environ, "PROXY_COUNT", 0)
        self.public_url = environ.get("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
        self.log_level = environ.get("LOG_LEVEL", "INFO")


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise BadConfig(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _key(environ: Mapping[str, str], name: str) -> bytes:
    text = environ.get(name, "")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadConfig(
            f"{name} must be 32 random bytes in base64; make one with: "
            "python3 -c 'import base64,os; print(base64.b64encode(os.urandom(32)).decode())'"
        )
    return key
