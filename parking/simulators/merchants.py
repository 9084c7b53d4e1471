"""A pretended channel as a process of its own: each merchant's account under a path of its own."""

from __future__ import annotations

import argparse
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from flask import Flask


class Account(Protocol):
    """A merchant's simulator. trust: what its callbacks believe of our certificate."""

    app: Flask
    trust: ssl.SSLContext | bool


def run(
    module: str, says: str | None, *, port: int, make_keys: Callable[[int, Path], None],
    find_number: Callable[[Path], str], open_account: Callable[[Path, str], Account],
) -> None:
    """Make the keys that are missing, and serve the accounts until the process ends.

    make_keys: of the n-th merchant, into a folder; find_number: the path of a folder's account;
    open_account: its simulator, at an address.
    """
    asked = _read_arguments(module, says, port)
    if os.environ.get("PARKING_PRODUCTION"):
        raise SystemExit("a simulator does not run in production")
    folders = [asked.folder / f"merchant-{number}" for number in range(1, asked.merchants + 1)]
    for number, folder in enumerate(folders, start=1):
        if not (folder / "account.json").exists():
            make_keys(number, folder)
    if asked.make_keys:
        return
    root, trust = f"http://127.0.0.1:{asked.port}", cast("ssl.SSLContext | bool", True)
    if asked.pay_host:
        root = f"https://{asked.pay_name or asked.pay_host}:{asked.pay_port}"
        trust = ssl.create_default_context(cafile=asked.tls / "ca.pem")
    mounts: dict[str, Any] = {}
    for folder in folders:
        account = open_account(folder, f"{root}/{find_number(folder)}")
        account.trust = trust
        mounts[f"/{find_number(folder)}"] = account.app
    _serve(asked, mounts)


def _read_arguments(module: str, says: str | None, port: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=says)
    parser.add_argument("folder", type=Path, help="keys and what was seen are kept here")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--make-keys", action="store_true", help="make the keys if there are none, and stop")
    parser.add_argument("--merchants", type=int, default=1, help="how many accounts")
    parser.add_argument("--pay-host", default="", help="where people's phones reach the page to pay at, with HTTPS")
    parser.add_argument("--pay-port", type=int, default=port + 1)
    parser.add_argument("--tls", type=Path, help="folder with server.pem, server.key and ca.pem, for --pay-host")
    parser.add_argument("--pay-name", default="", help="the name in the address, if it is not the host")
    return parser.parse_args()


def _serve(asked: argparse.Namespace, mounts: dict[str, Any]) -> None:
    from werkzeug.exceptions import NotFound
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.serving import make_server

    app = DispatcherMiddleware(NotFound(), mounts)
    if asked.pay_host:
        pages = make_server(
            asked.pay_host, asked.pay_port, app, threaded=True,
            ssl_context=(str(asked.tls / "server.pem"), str(asked.tls / "server.key")))
        threading.Thread(target=pages.serve_forever, daemon=True).start()
    make_server("127.0.0.1", asked.port, app, threaded=True).serve_forever()
