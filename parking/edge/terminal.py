"""A terminal from the shell: read a QR picture (or a text, or a plate), ask the service, print the answer.

    python -m parking.edge.terminal --server http://127.0.0.1:8000 --token pkt_… --picture code.png

Reading a picture needs `zxing-cpp`; the rest is the standard library. The same scan is sent again
under its own id while no answer comes, so a lost answer opens nothing twice.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from parking.core.clock import format_instant

TIMEOUT_SECONDS = 1.5
TRIES = 4


class NoAnswer(Exception):
    """The service did not answer, or refused the request; the message says which."""


def read_picture(path: Path) -> str:
    """The text of the one QR code in a picture.

    :raises NoAnswer: there is none
    """
    import zxingcpp
    from PIL import Image

    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = zxingcpp.read_barcodes(Image.open(path).convert("L"), formats=formats)
    if not found:
        raise NoAnswer(f"no code in {path}")
    return str(found[0].text)


def ask(server: str, token: str, *, code: str | None = None, plate: str | None = None) -> dict[str, Any]:
    """One live scan.

    :raises NoAnswer: no answer after four tries, or the request was refused
    """
    sequence = int(_call(server, token, "GET", "/v1/terminal")["next_sequence"])
    shown = {key: value for key, value in (("code", code), ("plate", plate)) if value is not None}
    scan = {
        "scan_id": str(uuid4()), "sequence": sequence, "scanned_at": format_instant(datetime.now(UTC)), **shown
    }
    return _call(server, token, "POST", "/v1/scans", scan)


def _call(server: str, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    if not server.startswith(("http://", "https://")):
        raise NoAnswer("the server is an http(s) address")
    raw = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.rstrip("/") + path, raw, headers, method=method)  # noqa: S310
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                read: dict[str, Any] = json.load(answer)
                return read
        except urllib.error.HTTPError as refused:
            if refused.code != 503:
                raise NoAnswer(f"{refused.code}: {refused.read(2000).decode(errors='replace')}") from None
        except OSError:
            pass
        time.sleep(0.2 * 2**attempt)
    raise NoAnswer("the service does not answer")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m parking.edge.terminal", description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--token", default=os.environ.get("TERMINAL_TOKEN", ""), help="or TERMINAL_TOKEN")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--code")
    parser.add_argument("--plate")
    asked = parser.parse_args()
    try:
        code = read_picture(asked.picture) if asked.picture else asked.code
        answer = ask(asked.server, asked.token, code=code, plate=asked.plate)
    except NoAnswer as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
    return 0 if answer["decision"] == "open" else 1


if __name__ == "__main__":
    raise SystemExit(main())
