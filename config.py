"""The service's settings, read from the environment; each name says its unit."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo


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
        self.city_zone = _zone(environ, "CITY_TIME_ZONE", "Asia/Shanghai")
        self.city_calendar = environ.get("CITY_CALENDAR", "CN")  # whose working days terms are counted in
        self.body_bytes_max = _integer(environ, "BODY_BYTES_MAX", 64 * 1024)
        self.web_concurrency = max(1, _integer(environ, "WEB_CONCURRENCY", 1))
        self.proxy_count = _integer(environ, "PROXY_COUNT", 0)
        self.public_url = environ.get("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
        self.sign_in_providers = [
            _provider(environ, name) for name in environ.get("SIGN_IN_PROVIDERS", "").split(",") if name]
        self.city_codes = _city_codes(environ)
        self.city_code_realm = environ.get("CITY_CODE_REALM", "") or (self.city_codes or {}).get("base_url", "")
        self.webhook_networks = _networks(environ, "WEBHOOK_NETWORKS")
        self.webhook_ca_file = environ.get("WEBHOOK_CA_FILE", "")
        self.signing_device = environ.get("SIGNING_DEVICE", "")  # module:function that makes a SigningDevice (an HSM's)
        self.payer = _payer(environ)
        self.log_level = environ.get("LOG_LEVEL", "INFO")


def _provider(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """The settings OIDC_<NAME>_… of one provider of sign-ins.

    REALM: whose numbers it tells. Its own unless said otherwise: two parties of one realm are believed to
    know the same person by the same number, so only who both check that belong together.
    """
    if not name.isascii() or not name.isalnum() or name != name.lower():
        raise BadConfig(f"SIGN_IN_PROVIDERS holds names of small letters and digits, with commas, not {name!r}")
    made = {"name": name}
    for key, default in (("issuer", None), ("client_id", None), ("client_secret", ""), ("subject_claim", "sub"),
                         ("scope", "openid"), ("ca_file", ""), ("realm", "")):
        variable = f"OIDC_{name.upper()}_{key.upper()}"
        value = environ.get(variable, "") or default
        if value is None:
            raise BadConfig(f"{variable} is missing: {name} is one of SIGN_IN_PROVIDERS")
        made[key] = value
    made["realm"] = made["realm"] or made["issuer"]
    return made


def _payer(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The account PAYER_… that operators are paid from (core/bank.py); None where no PAYER_HOLDER is named."""
    made = {key: environ.get(f"PAYER_{key.upper()}", "") for key in ("holder", "iban", "number", "cnaps", "bic")}
    return made if made["holder"] else None


def _city_codes(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The settings CITY_CODE_… of the service that reads the city's identity codes; None where there is none.

    CITY_CODE_PREFIXES: what the city's codes begin with, with commas. No other code is sent there.
    """
    url = environ.get("CITY_CODE_URL", "").rstrip("/")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
        raise BadConfig("CITY_CODE_URL must be an https address: a password and people's numbers travel there")
    made: dict[str, Any] = {"base_url": url}
    for key in ("account", "password", "organisation"):
        made[key] = environ.get(f"CITY_CODE_{key.upper()}", "")
        if not made[key]:
            raise BadConfig(f"CITY_CODE_{key.upper()} is missing: CITY_CODE_URL names a service")
    made["ca_file"] = environ.get("CITY_CODE_CA_FILE", "")
    prefixes = environ.get("CITY_CODE_PREFIXES", "") or "https://,http://"
    made["prefixes"] = tuple(prefix.strip() for prefix in prefixes.split(","))
    if not all(prefix.lower().startswith(("https://", "http://")) for prefix in made["prefixes"]):
        raise BadConfig("CITY_CODE_PREFIXES holds beginnings of web addresses, with commas")
    return made


def _networks(environ: Mapping[str, str], name: str) -> list[IPv4Network | IPv6Network]:
    """Networks that integrators' endpoints may lie in although they are not public, with commas: 10.1.0.0/16."""
    try:
        return [ip_network(each.strip()) for each in environ.get(name, "").split(",") if each.strip()]
    except ValueError:
        raise BadConfig(f"{name} holds networks such as 10.1.0.0/16, with commas") from None


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise BadConfig(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _zone(environ: Mapping[str, str], name: str, default: str) -> ZoneInfo:
    text = environ.get(name, "") or default
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise BadConfig(f"{name} must be a time zone such as Asia/Shanghai, not {text!r}") from None


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
