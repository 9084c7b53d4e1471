"""Set the service up and run it, with a demo city on the first start."""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import (
    PYTHON,
    ROOT,
    VAR,
    VENV,
    compile_translations,
    install_browser_files,
    install_python,
    run,
    say,
    stop,
    write_whole,
)
from parties import Party, Place, demo_parties
from pay_in import pay_in_soon

PR_SET_PDEATHSIG = 1
MIGRATE = """import sys
from parking.store.database import Database
from parking.store.migrations import migrate
from parking.store.operators import has_operator
migrate(sys.argv[1])
with Database(sys.argv[1]).reading() as db:
    print(has_operator(db))"""


def main() -> None:
    asked = _read_arguments()
    os.umask(0o077)
    VAR.mkdir(exist_ok=True)
    _serve_alone()
    install_python(ROOT / "requirements.txt")
    install_browser_files(development=False)
    compile_translations()
    url = asked.database_url or f"sqlite:///{VAR / 'parking.sqlite3'}"
    if asked.fresh:
        _start_afresh(url)
    tls = asked.host not in ("127.0.0.1", "localhost", "::1")
    scheme = "https" if tls else "http"
    name = _reachable_name(asked.host)
    base = f"{scheme}://{f'[{name}]' if ':' in name else name}:{asked.port}"
    environment = {
        **os.environ, **_secrets(), "DATABASE_URL": url, "PYTHONPATH": str(ROOT), "PUBLIC_URL": base,
    }
    _check_port(asked.host, asked.port)
    say("bringing the database to the newest schema")
    made = subprocess.run(
        [str(PYTHON), "-c", MIGRATE, url], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        said = [line for line in made.stderr.splitlines() if line.split(":")[0].endswith(("Error", "Exception"))]
        stop("the database could not be reached, or brought to the newest schema: " + (said or ["?"])[-1])
    _seed(base, environment, asked.seed, _sign_ins_of(url), has_city=made.stdout.strip() == "True")
    place = Place(asked.host, base, asked.port, _certificate(name) if tls else None)
    demo = _demo()
    parties = list(demo_parties(demo, place, environment)) if demo else []
    for each in parties:
        environment |= each.settings
    _run_processes(asked, place, environment, parties)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1", help="another address, or 0.0.0.0 for all, is served with HTTPS")
    parser.add_argument("--database-url", help="postgresql://… instead of the SQLite file in var/")
    parser.add_argument("--fresh", action="store_true", help="forget the demo city and make a new one (SQLite)")
    parser.add_argument("--seed", type=int, default=1, help="another city of the same kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _serve_alone() -> None:
    """One at a time from this folder: a second one would take the first one's simulators from its city."""
    global _lock  # held until the process ends
    _lock = (VAR / "serve.lock").open("w")
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stop("scripts/serve is running from this folder already")


def _end_with_parent() -> None:
    """A process of the service ends when scripts/serve does, however that ends (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _start_afresh(url: str) -> None:
    if not url.startswith("sqlite:///"):
        stop("--fresh forgets a SQLite file; empty a PostgreSQL database yourself: dropdb, then createdb")
    path = url.removeprefix("sqlite:///")
    for ending in ("", "-journal", "-wal", "-shm"):
        Path(path + ending).unlink(missing_ok=True)
    _sign_ins_of(url).unlink(missing_ok=True)
    (VAR / "invoices" / "seen.json").unlink(missing_ok=True)
    for channel in ("wechat_pay", "alipay"):
        for seen in (VAR / channel).glob("*/seen.json"):  # the channel forgets the old city's orders too
            seen.unlink()


def _secrets() -> dict[str, str]:
    """The two keys of this installation, made once."""
    file = VAR / "secrets.env"
    if not file.exists():
        say("making the keys of this installation in var/secrets.env")
        names = ("PARKING_PEPPER", "PARKING_SEALING_KEY")
        text = "".join(f"{name}={base64.b64encode(os.urandom(32)).decode()}\n" for name in names)
        write_whole(file, text)
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line)


def _reachable_name(host: str) -> str:
    """The address to type on another device: for "all of them", the one this machine goes out by."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104
        return host
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: these addresses are for documentation (RFC 5737, RFC 3849).
            probe.connect(("2001:db8::1" if host == "::" else "192.0.2.1", 9))
        except OSError:
            return "localhost"
        return str(probe.getsockname()[0])


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as taken:
            stop(f"port {port} cannot be used ({taken.strerror}); is it running already? Try --port {port + 1}")


def _demo() -> dict[str, Any] | None:
    """The sign-ins of the city that is served, if it is one of ours to pretend in."""
    file = VAR / "demo.json"
    if not file.exists():
        return None
    made: dict[str, Any] = json.loads(file.read_text())
    if any("totp_secret" not in each for each in made["operators"]):
        say("this demo city is of an earlier make: start with --fresh to sign in and pay in it")
        return None
    return made


def _sign_ins_of(url: str) -> Path:
    """Each database has its own city; var/demo.json is a copy of the one that is being served."""
    return VAR / f"demo-{hashlib.sha256(url.encode()).hexdigest()[:12]}.json"


def _seed(base: str, environment: dict[str, str], seed: int, sign_ins: Path, *, has_city: bool) -> None:
    half = sign_ins.with_suffix(".half")
    if has_city and not sign_ins.exists() and half.exists():
        half.replace(sign_ins)  # the process that made the city was ended before it could say so
    if has_city and not sign_ins.exists():
        say("this database holds a city that was not made from here: there are no demo sign-ins for it")
        (VAR / "demo.json").unlink(missing_ok=True)
        return
    if not has_city:
        say("making the demo city")
        run(PYTHON, "-m", "flask", "--app", "wsgi", "parking", "seed-demo", "--seed", str(seed),
            "--sign-ins", sign_ins, "--base", base, "--root", VAR / "root.pem", cwd=ROOT, env=environment,
            stdout=subprocess.DEVNULL)
    made = json.loads(sign_ins.read_text())
    made["base"] = base
    write_whole(VAR / "demo.json", json.dumps(made, ensure_ascii=False, indent=1))


def _certificate(host: str) -> Path:
    """The folder with a certificate for this address, under an authority of this machine's own."""
    folder = VAR / "tls"
    run(PYTHON, ROOT / "scripts/setup/certificate.py", folder, host)
    say(f"other devices must trust {folder / 'ca.pem'} once: install it there as a certificate authority")
    return folder


def _run_processes(
    asked: argparse.Namespace, place: Place, environment: dict[str, str], parties: list[Party]
) -> None:
    metrics = VAR / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    host = f"[{asked.host}]" if ":" in asked.host else asked.host
    web = [VENV / "bin/gunicorn", "-c", ROOT / "parking/web/server.py", "wsgi:app",
           "--workers", str(asked.workers), "--bind", f"{host}:{asked.port}"]
    if place.tls:
        web += ["--certfile", place.tls / "server.pem", "--keyfile", place.tls / "server.key"]
    web_environment = {**environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics),
                       "WEB_CONCURRENCY": str(asked.workers)}
    worker = [str(PYTHON), "-m", "flask", "--app", "wsgi", "parking", "worker"]
    # The outside parties are told nothing of ours, least of all the keys.
    outside = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    commands = [
        ([str(part) for part in web], web_environment), (worker, environment),
        *((each.command, {**outside, "PYTHONPATH": str(ROOT), **each.settings}) for each in parties),
    ]
    children = [
        subprocess.Popen(command, cwd=ROOT, env=env, preexec_fn=_end_with_parent)
        for command, env in commands
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        _wait_until_served(asked.host, asked.port, children)
        _print_sign_ins(place.base)
        if parties and (VAR / "demo.json").exists():
            pay_in_soon(json.loads((VAR / "demo.json").read_text()), place.base, place.tls)
        for each in parties:
            say(each.says)
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        stop("a process of the service ended; see above")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def _wait_until_served(host: str, port: int, children: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and all(child.poll() is None for child in children):
        try:
            with socket.create_connection((host, port), 0.5):
                return
        except OSError:
            time.sleep(0.1)
    stop("the service did not come up")


def _print_sign_ins(base: str) -> None:
    print(f"\n  {base}\n", flush=True)
    if not (VAR / "demo.json").exists():
        return
    made = json.loads((VAR / "demo.json").read_text())
    for kind in ("drivers", "operators"):
        for each in made[kind]:
            plates = " ".join(each.get("plates", []))
            print(f"  {kind[:-1]:9} {each['login']:10} {each['password']}  {plates}")
    print("            an operator then gives six digits, told by: scripts/second-factor operator1")
    first = made["terminals"][0]
    print(f"\n  gate page {base}/gate, for lot {first['lot']} gate {first['gate']} with the token\n  {first['token']}")
    for each in made.get("merchants", []):
        print(f"  merchant's desk {base}{each['desk']}, for lot {each['lot']} with the token\n  {each['token']}"
              f"\n  cars inside there: {' '.join(each['plates'])}")
    print(f"  all sign-ins: {VAR / 'demo.json'}    stop with Ctrl-C\n", flush=True)


if __name__ == "__main__":
    main()
