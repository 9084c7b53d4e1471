"""A driver of the demo city has something in the wallet: paid in through the pretended channel, as anybody would."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

AMOUNT_FEN, TRIES = 20_000, 40


def pay_in_soon(demo: dict[str, Any], base: str, tls: Path | None) -> None:
    """Pay once for a city, when the service and the channel answer; nobody waits for it."""
    threading.Thread(target=_try_to_pay_in, args=(demo["drivers"][0], base, tls), daemon=True).start()


def _try_to_pay_in(driver: dict[str, Any], base: str, tls: Path | None) -> None:
    trusts = ssl.create_default_context(cafile=str(tls / "ca.pem")) if tls else None
    for _ in range(TRIES):
        with contextlib.suppress(OSError):  # of urllib's too: not up yet
            _pay_in(driver, base, trusts)
            return
        time.sleep(0.5)


def _pay_in(driver: dict[str, Any], base: str, trusts: ssl.SSLContext | None) -> None:
    name = str(uuid5(NAMESPACE_URL, driver["token"]))  # the same at each start
    body = json.dumps({"id": name, "amount_fen": AMOUNT_FEN, "channel": "wechat_pay", "way": "redirect"}).encode()
    asked = urllib.request.Request(f"{base}/v1/wallet/top-ups", body, {  # noqa: S310
        "Authorization": f"Bearer {driver['token']}", "Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10, context=trusts) as answer:  # noqa: S310
        made = json.load(answer)
    if made["redirect"]:
        page = made["redirect"].partition("&redirect_url=")[0]  # what the driver would see next is of no use here
        urllib.request.urlopen(urllib.request.Request(page, b""), timeout=10, context=trusts).close()  # noqa: S310
