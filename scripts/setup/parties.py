"""The outside parties of the demo city, each pretended by a process of its own: no real money, no real people."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machine import PYTHON, ROOT, VAR, install_python, run

PROVIDERS = ("suishen", "suishenxing")
REALM = "shanghai"  # the simulators know people by the same numbers, as seed-demo has them


@dataclass(frozen=True)
class Place:
    """Where the service is served: its host as bound, its address, and its certificate's folder if there is one."""

    host: str
    base: str
    port: int
    tls: Path | None

    @property
    def name(self) -> str:
        """The name in addresses, in brackets where it is IPv6."""
        return urlsplit(self.base).netloc.rpartition(":")[0]


@dataclass(frozen=True)
class Party:
    """A process to run beside the service, what the service must be told of it, and what a person may know."""

    command: list[str]
    says: str
    settings: dict[str, str] = field(default_factory=dict)


def demo_parties(demo: dict[str, Any], place: Place, environment: Mapping[str, str]) -> Iterator[Party]:
    """Everybody that the demo city deals with; ports are the same at each start where they are free."""
    install_python(ROOT / "scripts" / "setup" / "requirements-demo.txt")
    yield _wechat_pay(demo, place, environment)
    yield _alipay(demo, place, environment)
    yield _invoices(demo, place, environment)
    yield _provider(demo, place)
    yield _city_codes(demo, place)


def _wechat_pay(demo: dict[str, Any], place: Place, environment: Mapping[str, str]) -> Party:
    """WeChat Pay, and accounts at it for the demo's operators."""
    simulator = _Simulator("wechat_pay", _free_port(place.port + 90, place), _operators(demo), place)
    for folder, account, operator_id in simulator.accounts():
        _connect(environment, "connect-wechat-pay", "--operator", operator_id, "--mchid", account["mchid"],
                 "--appid", account["appid"], "--serial", account["merchant_serial"],
                 "--private-key", folder / "merchant.key.pem", "--api-v3-key", folder / "api_v3_key",
                 "--parking-service", "--base-url", f"{simulator.address}/{account['mchid']}")
        if operator_id == simulator.operators[0]:
            run(PYTHON, ROOT / "scripts/setup/demo_day.py", folder, operator_id, cwd=ROOT,
                env={**environment, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    _run_parking(environment, "seed-auto-pay")
    return simulator.party("WeChat Pay")


def _alipay(demo: dict[str, Any], place: Place, environment: Mapping[str, str]) -> Party:
    """Alipay, and accounts at it for the demo's operators."""
    simulator = _Simulator("alipay", _free_port(place.port + 96, place), _operators(demo), place)
    for folder, account, operator_id in simulator.accounts():
        _connect(environment, "connect-alipay", "--operator", operator_id, "--app-id", account["app_id"],
                 "--seller-id", account["seller_id"], "--private-key", folder / "app.key.pem",
                 "--alipay-key", folder / "alipay.pub.pem", "--alipay-key", folder / "next.pub.pem",
                 "--sign-scene", "INDUSTRY|PARKING",
                 "--gateway-url", f"{simulator.address}/{account['seller_id']}/gateway.do")
    return simulator.party("Alipay")


def _invoices(demo: dict[str, Any], place: Place, environment: Mapping[str, str]) -> Party:
    """The invoice gateway, and the demo's operators as sellers at it."""
    folder, port = VAR / "invoices", _free_port(place.port + 98, place)
    folder.mkdir(exist_ok=True)
    file = folder / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    address = f"http://127.0.0.1:{port}"
    numbers = ("91310000132200821H", "91330000704203949A")
    for operator_id, number in zip(_operators(demo), numbers, strict=True):
        name = next(each["name"] for each in demo["operators"] if each["operator_id"] == operator_id)
        for kind in ("vat_invoice", "non_tax_receipt"):
            _run_parking(environment, "invoices", "connect", "--operator", operator_id, "--kind", kind,
                         "--seller", name, "--taxpayer-id", number, "--base-url", f"{address}/v1",
                         "--account", "demo", "--secret", file)
    command = [str(PYTHON), "-m", "parking.simulators.invoice_gateway", str(folder), "--port", str(port)]
    return Party(command, f"invoices are issued by a simulator at {address}: they are none in law",
                 {"INVOICE_GATEWAY_SECRET": file.read_text()})


@dataclass(frozen=True)
class _Simulator:
    """A pretended payment channel: an account for each operator, under a path of its own."""

    name: str
    port: int
    operators: list[str]
    place: Place

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accounts(self) -> Iterator[tuple[Path, dict[str, str], str]]:
        """Each account's folder with its keys, what it says of itself, and whose it is."""
        run(*self._command(), "--make-keys", cwd=ROOT)
        for number, operator_id in enumerate(self.operators, start=1):
            folder = VAR / self.name / f"merchant-{number}"
            yield folder, json.loads((folder / "account.json").read_text()), operator_id

    def party(self, called: str) -> Party:
        command = [*self._command(), "--port", str(self.port)]
        if self.place.tls:
            command += ["--pay-host", self.place.host, "--pay-port", str(self.port + 1),
                        "--tls", str(self.place.tls), "--pay-name", self.place.name]
        return Party(command, f"{called} is a simulator at {self.address}: no real money moves")

    def _command(self) -> list[str]:
        return [str(PYTHON), "-m", f"parking.simulators.{self.name}", str(VAR / self.name),
                "--merchants", str(len(self.operators))]


def _operators(demo: dict[str, Any]) -> list[str]:
    """Each operator once, with all its staff."""
    return list(dict.fromkeys(each["operator_id"] for each in demo["operators"]))


def _connect(environment: Mapping[str, str], *arguments: Any) -> None:
    _run_parking(environment, "channels", *arguments)


def _run_parking(environment: Mapping[str, str], *arguments: Any) -> None:
    run(PYTHON, "-m", "flask", "--app", "wsgi", "parking", *arguments,
        cwd=ROOT, env={**environment, "LOG_LEVEL": "WARNING"}, stdout=subprocess.DEVNULL)


def _provider(demo: dict[str, Any], place: Place) -> Party:
    """The city's provider of sign-ins, which knows the demo's drivers."""
    port = _free_port(place.port + 92, place)
    issuer = f"{'https' if place.tls else 'http'}://{place.name}:{port}"
    settings = {"SIGN_IN_PROVIDERS": ",".join(PROVIDERS)}
    for name in PROVIDERS:
        settings |= {f"OIDC_{name.upper()}_{key}": value for key, value in (
            ("ISSUER", issuer), ("CLIENT_ID", "parking"), ("CLIENT_SECRET", "demo"), ("REALM", REALM),
            ("CA_FILE", str(place.tls / "ca.pem") if place.tls else ""))}
    command = [str(PYTHON), str(ROOT / "scripts/setup/provider.py"), "--host", place.host, "--port", str(port),
               *(["--tls", str(place.tls)] if place.tls else []),
               *(f"demo-{each['login']}" for each in demo["drivers"])]
    return Party(command, f"the city's sign-in is a simulator at {issuer}: choose one of its people", settings)


def _city_codes(demo: dict[str, Any], place: Place) -> Party:
    """The service that reads the city's identity codes, and the phones of the demo's drivers that show them."""
    port = _free_port(place.port + 94, place)
    service, pages = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    settings = {
        "CITY_CODE_URL": service, "CITY_CODE_ACCOUNT": "parking", "CITY_CODE_PASSWORD": secrets.token_urlsafe(16),
        "CITY_CODE_ORGANISATION": "Parking (demo)", "CITY_CODE_PREFIXES": f"{service}/c/", "CITY_CODE_REALM": REALM}
    people = [f"demo-{each['login']}" for each in demo["drivers"]]
    command = [str(PYTHON), "-m", "parking.simulators.city_codes", *people, "--port", str(port)]
    if place.tls:
        pages = f"https://{place.name}:{port + 1}"
        command += ["--show-host", place.host, "--show-port", str(port + 1), "--tls", str(place.tls)]
    says = f"the city's identity codes are a simulator: hold {pages}/show/{people[0]} to a gate's camera"
    return Party(command, says, settings)


def _free_port(wanted: int, place: Place) -> int:
    """This port, or the next but one that is free with its neighbour, on this machine and where we serve."""
    for port in range(min(wanted, 60_000), 65_000, 2):
        if all(_is_free(host, each) for host in {"127.0.0.1", place.host} for each in (port, port + 1)):
            return port
    raise SystemExit("no port is free for the demo's simulators")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
