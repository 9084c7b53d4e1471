"""A pretended invoice gateway, over HTTP, with a made-up tax office behind it: for the demo and the tests.

It keeps what it issued, checks each request as a tax office would (sums, tax, buyer, what a red one takes back), and
gives a PDF and an XML that say in large letters what they are. It fails on demand (`Seen`): calls that are not
answered, answers that never arrive after the work was done, refusals, invoices that take their time, strange answers.
Refuses to run where PARKING_PRODUCTION is set.
"""

from __future__ import annotations

import argparse
import hmac
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from parking.adapters.invoicing_gateway import sign
from parking.core.clock import format_instant
from parking.core.invoice import tax_in
from parking.core.taxpayer import BadTaxpayerId, parse_taxpayer_id
from parking.simulators.faults import hang_up
from parking.simulators.invoice_files import write_pdf, write_xml

AGE_SECONDS_MAX = 300


@dataclass
class Kept:
    """A request and what became of it. waits: so many questions until it is issued."""

    asked: dict[str, Any]
    body_hash: str
    state: str = "issued"
    number: str = ""
    issued_at: str = ""
    reason: str = ""
    waits: int = 0


@dataclass
class Seen:
    """All that the gateway knows, and what it is to fail in.

    failures: so many calls answered 503; silences: done, and the connection ends before the answer; refusals: so
    many requests refused; refused_names: buyers who always are; slow: each new invoice takes so many questions;
    forged: so many answers under another secret; calls: what was asked, newest last.
    """

    kept: dict[str, Kept] = field(default_factory=dict)
    count: int = 0
    failures: int = 0
    silences: int = 0
    refusals: int = 0
    refused_names: set[str] = field(default_factory=set)
    slow: int = 0
    forged: int = 0
    calls: list[str] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)


class Refused(Exception):
    """The tax office will not; the word says why."""


class InvoiceGatewaySimulator:
    """The gateway. file: where it keeps what it issued over a restart, if it does."""

    def __init__(self, *, account: str = "demo", secret: str = "s" * 32, file: Path | None = None) -> None:
        self.account, self.secret, self.file = account, secret, file
        self.seen, self.base_url = Seen(), ""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._lock = threading.RLock()
        if file is not None and file.exists():
            said = json.loads(file.read_text("utf-8"))
            self.seen.kept = {number: Kept(**each) for number, each in said["kept"].items()}
            self.seen.count = said["count"]
        self.app = self._make_app()

    def settings(self) -> dict[str, str]:
        return {"base_url": f"{self.base_url}/v1", "account": self.account}

    def issued(self, *, red: bool | None = None) -> list[dict[str, Any]]:
        """What was issued, in its order; the red ones alone, or the others."""
        return [each.asked for each in self.seen.kept.values()
                if each.state == "issued" and red in (None, bool(each.asked["red_of"]))]

    def _make_app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/v1/invoices", view_func=self._issue, methods=["POST"])
        app.add_url_rule("/v1/invoices/<request_no>", view_func=self._query)
        app.add_url_rule("/v1/invoices/<request_no>/document", view_func=self._document)
        app.before_request(self._enter)
        app.after_request(self._sign)
        return app

    def _enter(self) -> Any:
        headers, seen = request.headers, self.seen
        target = request.full_path.rstrip("?")
        expected = sign(self.secret.encode(), request.method, target, headers.get("Gateway-Timestamp", ""),
                        headers.get("Gateway-Nonce", ""), sha256(request.get_data()).hexdigest())
        with self._lock:
            seen.calls.append(f"{request.method} {target}")
            if seen.failures > 0:
                seen.failures -= 1
                return {"reason": "down"}, 503
            is_ours = headers.get("Gateway-Account") == self.account and hmac.compare_digest(
                headers.get("Gateway-Signature", ""), expected)
            if not is_ours or headers["Gateway-Nonce"] in seen.nonces:
                return {"reason": "signature"}, 401
            if abs(self.clock().timestamp() - int(headers["Gateway-Timestamp"])) > AGE_SECONDS_MAX:
                return {"reason": "timestamp"}, 401
            seen.nonces.add(headers["Gateway-Nonce"])
        return None

    def _sign(self, answer: Response) -> Response:
        with self._lock:
            secret = self.secret
            if self.seen.forged > 0:
                self.seen.forged, secret = self.seen.forged - 1, "f" * 32
        answer.headers["Gateway-Signature"] = sign(
            secret.encode(), str(answer.status_code), request.headers.get("Gateway-Nonce", ""),
            sha256(answer.get_data()).hexdigest())
        return answer

    def _issue(self) -> Any:
        asked, body_hash = request.get_json(), sha256(request.get_data()).hexdigest()
        with self._lock:
            known = self.seen.kept.get(asked["request_no"])
            if known is not None and known.body_hash != body_hash:
                return {"reason": "request_no_reused"}, 422
            try:
                kept = known or self._take(asked, body_hash)
            except Refused as why:
                kept = self.seen.kept[asked["request_no"]] = Kept(asked, body_hash, "refused", reason=str(why))
            self._save()
            if self.seen.silences > 0:
                self.seen.silences -= 1
                hang_up()
            if kept.state == "refused":
                return {"reason": kept.reason}, 422
            return self._say(asked["request_no"], kept)

    def _query(self, request_no: str) -> Any:
        with self._lock:
            kept = self.seen.kept.get(request_no)
            if kept is None:
                return {"reason": "unknown"}, 404
            return self._say(request_no, kept)

    def _document(self, request_no: str) -> Any:
        form = request.args.get("form", "")
        with self._lock:
            kept = self.seen.kept.get(request_no)
        if kept is None or kept.state != "issued" or form not in ("pdf", "xml"):
            return {"reason": "no_document"}, 404
        blue = self._find_number(kept.asked["red_of"])
        made = (write_pdf if form == "pdf" else write_xml)(kept.asked, kept.number, kept.issued_at, blue is not None)
        return Response(made, content_type="application/pdf" if form == "pdf" else "application/xml")

    def _take(self, asked: dict[str, Any], body_hash: str) -> Kept:
        if self.seen.refusals > 0:
            self.seen.refusals -= 1
            raise Refused("buyer_unknown")
        if asked["buyer"]["name"] in self.seen.refused_names:
            raise Refused("buyer_unknown")
        self._check(asked)
        self.seen.count += 1
        kept = Kept(asked, body_hash, "working" if self.seen.slow else "issued", waits=self.seen.slow)
        kept.number = _number(asked["kind"], self.seen.count, self.clock())
        kept.issued_at = format_instant(self.clock().replace(microsecond=0))
        self.seen.kept[asked["request_no"]] = kept
        return kept

    def _check(self, asked: dict[str, Any]) -> None:
        """:raises Refused: no tax office takes this"""
        lines, buyer = asked["lines"], asked["buyer"]
        for name in ("gross_fen", "net_fen", "tax_fen"):
            if sum(line[name] for line in lines) != asked[name] or any(line[name] < 0 for line in lines):
                raise Refused("sums_differ")
        if asked["gross_fen"] <= 0 or any(line["gross_fen"] != line["net_fen"] + line["tax_fen"] for line in lines):
            raise Refused("sums_differ")
        if any(abs(line["tax_fen"] - tax_in(line["gross_fen"], line["rate"])) > 1 for line in lines):
            raise Refused("tax_differs")
        try:
            if buyer["kind"] == "company":
                parse_taxpayer_id(buyer["taxpayer_id"])
        except BadTaxpayerId:
            raise Refused("buyer_unknown") from None
        if asked["kind"] == "vat_invoice" and not all(line["place"] and line["from"] and line["to"] for line in lines):
            raise Refused("lease_incomplete")
        if asked["red_of"]:
            self._check_red(asked)

    def _check_red(self, asked: dict[str, Any]) -> None:
        blue = self._find_number(asked["red_of"])
        if blue is None or blue.asked["red_of"] or asked["why"] not in ("allowance", "ended"):
            raise Refused("no_such_invoice")
        taken = sum(each.asked["gross_fen"] for each in self.seen.kept.values()
                    if each.state != "refused" and each.asked["red_of"] == asked["red_of"])
        left = blue.asked["gross_fen"] - taken
        if asked["gross_fen"] > left or (asked["kind"] == "non_tax_receipt" and asked["gross_fen"] != left):
            raise Refused("red_differs")

    def _find_number(self, number: str | None) -> Kept | None:
        found = [each for each in self.seen.kept.values() if each.state == "issued" and each.number == number]
        return found[0] if found else None

    def _say(self, request_no: str, kept: Kept) -> dict[str, Any]:
        if kept.state == "working" and kept.waits > 0:
            kept.waits -= 1
            return {"request_no": request_no, "state": "working"}
        if kept.state == "working":
            kept.state = "issued"
            self._save()
        if kept.state == "refused":
            return {"request_no": request_no, "state": "refused", "reason": kept.reason}
        return {"request_no": request_no, "state": "issued", "number": kept.number, "issued_at": kept.issued_at,
                "formats": ["pdf", "xml"]}

    def _save(self) -> None:
        if self.file is not None:
            half = self.file.with_suffix(".half")
            half.write_text(json.dumps({
                "kept": {number: asdict(each) for number, each in self.seen.kept.items()}, "count": self.seen.count,
            }, ensure_ascii=False), "utf-8")
            half.replace(self.file)


def _number(kind: str, count: int, at: datetime) -> str:
    """20 digits for a fully digital invoice (year, region, channel, count); a receipt's code and number."""
    if kind == "vat_invoice":
        return f"{at:%y}3120{count:014d}"
    return f"310601{at:%y}-{count:010d}"


def main() -> None:
    from werkzeug.serving import make_server

    parser = argparse.ArgumentParser(prog="python -m parking.simulators.invoice_gateway", description=__doc__)
    parser.add_argument("folder", type=Path, help="where it keeps what it issued")
    parser.add_argument("--port", type=int, default=8098)
    parser.add_argument("--account", default="demo")
    asked = parser.parse_args()
    if os.environ.get("PARKING_PRODUCTION"):
        raise SystemExit("a simulator does not run in production")
    secret = os.environ.get("INVOICE_GATEWAY_SECRET", "")
    if not secret:
        raise SystemExit("INVOICE_GATEWAY_SECRET is missing: what the two sides sign with")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    asked.folder.mkdir(parents=True, exist_ok=True)
    simulator = InvoiceGatewaySimulator(account=asked.account, secret=secret, file=asked.folder / "seen.json")
    make_server("127.0.0.1", asked.port, simulator.app, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
