"""WeChat Pay as far as a merchant sees it, over HTTP, with test keys: for the demo and the tests.

It checks our signatures, signs its answers, seals its callbacks, keeps orders and refunds, and
writes the day's trade statement of what it saw. A person pays at the address that it hands out
(the real channel hands out `weixin://…`). Refuses to run where PARKING_PRODUCTION is set.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, Response, redirect, request

from parking.adapters.wechat_pay_wire import SCHEME, is_signed, seal, sign
from parking.core.clock import format_instant, parse_instant
from parking.core.money import format_yuan
from parking.simulators.faults import hang_up
from parking.simulators.merchants import run
from parking.simulators.wechat_app import App
from parking.simulators.wechat_parking import OPEN, ParkingDesk, SeenStay
from parking.simulators.wechat_pay_funds import write_funds
from parking.simulators.wechat_pay_keys import Keys
from parking.simulators.wechat_pay_seen import Seen, SeenOrder, SeenRefund, SeenWithdrawal
from parking.simulators.wechat_pay_statement import ZONE, write_statement

CALLBACK_TRIES = 4


class WechatPaySimulator:
    """The channel. `app` is what HTTP is served from; `pay` is what a person's thumb does."""

    def __init__(self, keys: Keys, *, base_url: str = "", state_file: Path | None = None) -> None:
        self.keys, self.base_url, self.seen = keys, base_url, Seen()
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)
        self.trust: ssl.SSLContext | bool = True
        self._file, self._lock = state_file, threading.RLock()
        self.parking, self.wechat = ParkingDesk(self), App(self)
        if state_file and state_file.exists():
            kept = json.loads(state_file.read_text())
            self.seen.orders = {each["order_no"]: SeenOrder(**each) for each in kept["orders"]}
            self.seen.refunds = {each["refund_no"]: SeenRefund(**each) for each in kept["refunds"]}
            parking = kept.get("parking", {"stays": [], "plates": {}, "payers": {}})
            self.parking.seen.stays = {each["stay_no"]: SeenStay(**each) for each in parking["stays"]}
            self.parking.seen.plates, self.parking.seen.payers = parking["plates"], parking["payers"]
            self.seen.withdrawals = [SeenWithdrawal(**each) for each in kept.get("withdrawals", [])]
        self.app = self._make_app()

    def pay(self, order_no: str, *, at: datetime | None = None) -> bool:
        """Somebody pays; the callback is on its way when this returns. False if it cannot be paid now."""
        with self._lock:
            order, now = self.seen.orders[order_no], at or self.clock()
            if order.state != "NOTPAY" or now > parse_instant(order.expires_at):
                return False
            order.state, order.paid_at = "SUCCESS", format_instant(now.replace(microsecond=0), ZONE)
            order.transaction_id = f"42{secrets.randbelow(10**26):026d}"
            self._keep()
        self._tell("TRANSACTION.SUCCESS", order.notify_url, self._order_data(order))
        return True

    def open_order(self, order_no: str) -> None:
        """Somebody looks at what there is to pay; this channel knows of an order before."""

    def fail_next(self, calls: int = 1) -> None:
        """The next calls are answered as if the channel had a bad moment."""
        self.seen.failures = calls

    def lose_answers(self, calls: int = 1) -> None:
        """The next calls are done, and their answers never arrive."""
        self.seen.lost_answers = calls

    def change_key(self) -> None:
        """From now on the channel signs with another key."""
        self.keys.renew_platform()

    def payment_event(self, order_no: str, **other: Any) -> tuple[dict[str, str], bytes]:
        """The callback that tells of a paid order, as it is sent: headers and body. other: what it says otherwise."""
        body = self.event("TRANSACTION.SUCCESS", {**self._order_data(self.seen.orders[order_no]), **other})
        return self.sign_headers(body), body

    def refund_event(self, refund_no: str) -> tuple[dict[str, str], bytes]:
        """The callback that tells that a refund arrived."""
        body = self.event("REFUND.SUCCESS", self._refund_event(self.seen.refunds[refund_no], "SUCCESS"))
        return self.sign_headers(body), body

    def finish_refund(self, refund_no: str, status: str = "SUCCESS") -> None:
        """The bank has the money, or would not take it."""
        with self._lock:
            refund = self.seen.refunds[refund_no]
            refund.status = status
            self._keep()
        self._tell(f"REFUND.{status}", refund.notify_url, self._refund_event(refund, status))

    def withdraw(self, fen: int, *, at: datetime | None = None) -> str:
        """The merchant takes money out to its bank; returns the movement's number."""
        with self._lock:
            when = format_instant((at or self.clock()).replace(microsecond=0), ZONE)
            made = SeenWithdrawal(f"4{secrets.randbelow(10**27):027d}", when, fen)
            self.seen.withdrawals.append(made)
            self._keep()
        return made.flow_no

    def statement(self, day: date) -> bytes:
        """The trade statement (ALL) of a day of the channel's."""
        return write_statement(self.keys, self.seen.orders, self.seen.refunds.values(), day)

    def funds(self, day: date) -> bytes | None:
        """The bill of movements of a day; None where nothing moved."""
        return write_funds(self.keys, self.seen, day)

    def _make_app(self) -> Flask:
        app = Flask(__name__)
        rules: tuple[tuple[str, str, Any], ...] = (
            ("POST", "/v3/pay/transactions/native", self._native), ("POST", "/v3/pay/transactions/h5", self._h5),
            ("GET", "/v3/pay/transactions/out-trade-no/<order_no>", self._query),
            ("POST", "/v3/pay/transactions/out-trade-no/<order_no>/close", self._close),
            ("POST", "/v3/refund/domestic/refunds", self._ask_refund),
            ("GET", "/v3/refund/domestic/refunds/<refund_no>", self._query_refund),
            ("GET", "/v3/certificates", self._certificates), ("GET", "/v3/bill/tradebill", self._bill),
            ("GET", "/v3/bill/fundflowbill", self._fund_bill), ("GET", "/funds/<day>", self._fund_file),
            ("GET", "/bill/<day>", self._bill_file), ("GET", "/pay/<token>", self._pay_page),
            ("POST", "/pay/<token>", self._pay_form), ("POST", "/v3/pay/transactions/jsapi", self._jsapi),
            *self.parking.rules, *self.wechat.rules,
        )
        for method, rule, view in rules:
            app.add_url_rule(rule, view.__name__, view, methods=[method])
        app.before_request(self._check)
        app.after_request(self._lose)
        return app

    def _check(self) -> Any:
        if not request.path.startswith("/v3/"):
            return None
        if self.seen.failures:
            self.seen.failures -= 1
            return self._answer({"code": "SYSTEM_ERROR", "message": "later"}, 500)
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        said = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        said = {name: value.strip('"') for name, value in said.items()}
        path = request.full_path.rstrip("?")
        is_ours = scheme == SCHEME and said.get("mchid") == self.keys.mchid and is_signed(
            self.keys.merchant_key.public_key(), said.get("signature", ""), request.method.encode(), path.encode(),
            said.get("timestamp", "").encode(), said.get("nonce_str", "").encode(), request.get_data())
        return None if is_ours else self._answer({"code": "SIGN_ERROR", "message": "signature"}, 401)

    def _lose(self, answer: Response) -> Response:
        if self.seen.lost_answers and request.path.startswith("/v3/") and request.path != "/v3/certificates":
            self.seen.lost_answers -= 1
            hang_up()
        return answer

    def _native(self) -> Any:
        order = self._order("NATIVE")
        return order if isinstance(order, Response) else self._answer({"code_url": f"{self._base()}/pay/{order.token}"})

    def _h5(self) -> Any:
        order = self._order("MWEB")
        return order if isinstance(order, Response) else self._answer(
            {"h5_url": f"{self._base()}/pay/{order.token}?from=h5"})

    def _jsapi(self) -> Any:
        """For one person alone, whom the account must know."""
        if request.get_json().get("payer", {}).get("openid") not in self.wechat.openids:
            return self._answer({"code": "PARAM_ERROR", "message": "openid and appid do not match"}, 400)
        order = self._order("JSAPI")
        return order if isinstance(order, Response) else self._answer({"prepay_id": f"wx{order.token}"})

    def _order(self, kind: str) -> SeenOrder | Response:
        asked = request.get_json()
        payer = asked.get("payer", {}).get("openid", "")
        with self._lock:
            known = self.seen.orders.get(asked["out_trade_no"])
            if known is not None and (known.total, known.payer) != (asked["amount"]["total"], payer):
                return self._answer({"code": "INVALID_REQUEST", "message": "out_trade_no of another order"}, 400)
            if known is not None and known.state != "NOTPAY":
                return self._answer({"code": "ORDERPAID", "message": "paid or closed"}, 400)
            order = known or SeenOrder(
                asked["out_trade_no"], secrets.token_urlsafe(9), asked["amount"]["total"], asked["description"],
                asked["notify_url"], self._end_of(asked["time_expire"]), kind=kind, payer=payer)
            self.seen.orders[order.order_no] = order
            self._keep()
        return order

    def _end_of(self, stated: str) -> str:
        """An order lives a minute at least."""
        return max(stated, format_instant(self.clock() + timedelta(minutes=1), ZONE), key=parse_instant)

    def _query(self, order_no: str) -> Response:
        order = self.seen.orders.get(order_no)
        if order is None:
            return self._answer({"code": "ORDER_NOT_EXIST", "message": "no such order"}, 404)
        return self._answer(self._order_data(order))

    def _close(self, order_no: str) -> Response:
        with self._lock:
            order = self.seen.orders.get(order_no)
            if order is None:
                return self._answer({"code": "ORDER_NOT_EXIST", "message": "no such order"}, 404)
            if order.state == "SUCCESS":
                return self._answer({"code": "ORDERPAID", "message": "paid"}, 400)
            order.state = "CLOSED"
            self._keep()
        return self._answer(None, 204)

    def _ask_refund(self) -> Response:
        asked = request.get_json()
        with self._lock:
            order, known = self.seen.orders.get(asked["out_trade_no"]), self.seen.refunds.get(asked["out_refund_no"])
            if order is None or order.state not in ("SUCCESS", "REFUND"):
                return self._answer({"code": "RESOURCE_NOT_EXISTS", "message": "no such paid order"}, 404)
            if known is not None and (known.order_no, known.amount) != (order.order_no, asked["amount"]["refund"]):
                return self._answer({"code": "INVALID_REQUEST", "message": "out_refund_no of another refund"}, 400)
            back = sum(each.amount for each in self.seen.refunds.values() if each.order_no == order.order_no)
            if known is None and back + asked["amount"]["refund"] > order.total:
                return self._answer({"code": "INVALID_REQUEST", "message": "more than was paid"}, 400)
            if known is None:
                known = SeenRefund(
                    asked["out_refund_no"], order.order_no, f"50{secrets.randbelow(10**26):026d}",
                    asked["amount"]["refund"], asked["notify_url"],
                    format_instant(self.clock(), ZONE))
                self.seen.refunds[known.refund_no] = known
                order.state = "REFUND"
                self._keep()
        return self._answer(self._refund_data(known))

    def _query_refund(self, refund_no: str) -> Response:
        refund = self.seen.refunds.get(refund_no)
        if refund is None:
            return self._answer({"code": "RESOURCE_NOT_EXISTS", "message": "no such refund"}, 404)
        return self._answer(self._refund_data(refund))

    def _certificates(self) -> Response:
        pem = self.keys.platform_certificate.public_bytes(Encoding.PEM)
        sealed = seal(self.keys.api_v3_key, pem, "certificate")
        return self._answer({"data": [
            {"serial_no": self.keys.platform_serial, "encrypt_certificate": sealed}]})

    def _bill(self) -> Response:
        day = request.args["bill_date"]
        text = self.statement(date.fromisoformat(day))
        if text.count(b"\n") == 3:
            return self._answer({"code": "NO_STATEMENT_EXIST", "message": "No Bill Exist"}, 400)
        return self._answer({
            "hash_type": "SHA1", "hash_value": hashlib.sha1(text).hexdigest(),  # noqa: S324
            "download_url": f"{self._base()}/bill/{day}"})

    def _bill_file(self, day: str) -> Response:
        return Response(self.statement(date.fromisoformat(day)), content_type="text/csv; charset=utf-8")

    def _fund_bill(self) -> Response:
        """Of the purse BASIC; the others have never been used."""
        day = request.args["bill_date"]
        text = self.funds(date.fromisoformat(day)) if request.args.get("account_type", "BASIC") == "BASIC" else None
        if text is None:
            return self._answer({"code": "NO_STATEMENT_EXIST", "message": "No Bill Exist"}, 400)
        return self._answer({
            "hash_type": "SHA1", "hash_value": hashlib.sha1(text).hexdigest(),  # noqa: S324
            "download_url": f"{self._base()}/funds/{day}"})

    def _fund_file(self, day: str) -> Any:
        text = self.funds(date.fromisoformat(day))
        return ("No Bill Exist", 404) if text is None else Response(text, content_type="text/csv; charset=utf-8")

    def _pay_page(self, token: str) -> Any:
        order = self.order_of(token)
        if order is None:
            return "no such order", 404
        if request.args.get("from") == "h5" and not request.referrer:
            return "商家参数格式有误，请联系商家解决", 400
        done = order.state != "NOTPAY"
        button = "" if done else '<p><button style="font-size:1.5rem;padding:.7em 2em">Pay (simulator)</button></p>'
        return (
            '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
            '<link rel="icon" href="data:,"><title>WeChat Pay simulator</title>'
            '<body style="font-family:sans-serif;text-align:center"><form method="post"><h1>WeChat Pay, simulator</h1>'
            f'<p>No real money.</p><p style="font-size:2rem">¥ {format_yuan(order.total)}</p>'
            f"<p>{order.state}</p>{button}</form></body></html>")

    def _pay_form(self, token: str) -> Any:
        order = self.order_of(token)
        if order is None:
            return "no such order", 404
        self.pay(order.order_no)
        target = request.args.get("redirect_url", "")
        return redirect(target if target.startswith(("http://", "https://")) else request.url, 303)

    def order_of(self, token: str) -> SeenOrder | None:
        """Of what was handed out for it."""
        return next((each for each in self.seen.orders.values() if each.token == token), None)

    def _order_data(self, order: SeenOrder) -> dict[str, Any]:
        made: dict[str, Any] = {
            "appid": self.keys.appid, "mchid": self.keys.mchid, "out_trade_no": order.order_no,
            "trade_state": order.state, "trade_state_desc": order.state, "trade_type": order.kind,
        }
        if order.payer:
            made["payer"] = {"openid": order.payer}
        if order.paid_at:
            made |= {
                "transaction_id": order.transaction_id, "success_time": order.paid_at,
                "amount": {"total": order.total, "payer_total": order.total, "currency": "CNY"}}
        return made

    def _refund_event(self, refund: SeenRefund, status: str) -> dict[str, Any]:
        return {
            "mchid": self.keys.mchid, "out_trade_no": refund.order_no, "out_refund_no": refund.refund_no,
            "refund_id": refund.refund_id, "refund_status": status,
            "amount": {"total": self.seen.orders[refund.order_no].total, "refund": refund.amount}}

    def _refund_data(self, refund: SeenRefund) -> dict[str, Any]:
        return {
            "refund_id": refund.refund_id, "out_refund_no": refund.refund_no, "out_trade_no": refund.order_no,
            "status": refund.status, "create_time": refund.asked_at,
            "amount": {"refund": refund.amount, "currency": "CNY"}}

    def sign_headers(self, body: bytes, *, at: int | None = None) -> dict[str, str]:
        when, nonce = str(at or int(self.clock().timestamp())), secrets.token_hex(16)
        signature = sign(self.keys.platform_key, when.encode(), nonce.encode(), body)
        return {"Wechatpay-Timestamp": when, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": self.keys.platform_serial,
                "Wechatpay-Signature": signature}

    def event(self, kind: str, said: dict[str, Any]) -> bytes:
        """A callback's body."""
        sealed = seal(self.keys.api_v3_key, json.dumps(said).encode(), "transaction")
        return json.dumps({
            "id": secrets.token_hex(16), "create_time": format_instant(self.clock(), ZONE),
            "resource_type": "encrypt-resource", "event_type": kind, "summary": kind,
            "resource": {**sealed, "original_type": "transaction"},
        }).encode()

    def _tell(self, kind: str, url: str, said: dict[str, Any]) -> None:
        times = {"send": 1, "twice": 2, "drop": 0}[self.seen.callbacks]
        for _ in range(times):
            threading.Thread(target=self._post, args=(url, self.event(kind, said)), daemon=True).start()

    def _post(self, url: str, body: bytes) -> None:
        for attempt in range(CALLBACK_TRIES):
            try:
                headers = {**self.sign_headers(body), "Content-Type": "application/json"}
                if httpx.post(
                    url, content=body, headers=headers, timeout=5, trust_env=False, verify=self.trust
                ).status_code < 300:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2 * 2**attempt)

    def _answer(self, said: Any, status: int = 200) -> Response:
        body = b"" if said is None else json.dumps(said).encode()
        answer = Response(body, status=status, content_type="application/json")
        answer.headers.update(self.sign_headers(body))
        return answer

    def _base(self) -> str:
        return self.base_url or request.host_url.rstrip("/")

    def _keep(self) -> None:
        if self._file is not None:
            kept = {"orders": [asdict(each) for each in self.seen.orders.values()],
                    "refunds": [asdict(each) for each in self.seen.refunds.values()],
                    "parking": {"stays": [asdict(each) for each in self.parking.seen.stays.values()],
                                "plates": self.parking.seen.plates, "payers": self.parking.seen.payers},
                    "withdrawals": [asdict(each) for each in self.seen.withdrawals]}
            half = self._file.with_suffix(".half")
            half.write_text(json.dumps(kept))
            half.replace(self._file)


def main() -> None:
    run("parking.simulators.wechat_pay", __doc__, port=8090,
        make_keys=lambda number, folder: Keys.make(f"19000000{number:02d}").write(folder),
        find_number=lambda folder: Keys.read(folder).mchid,
        open_account=_open_account)


def _open_account(folder: Path, address: str) -> WechatPaySimulator:
    """Everybody has opened the parking service, and fees that were taken on are taken a moment later."""
    made = WechatPaySimulator(Keys.read(folder), base_url=address, state_file=folder / "seen.json")
    made.parking.seen.unknown, made.parking.seen.takes_after = OPEN, 1.0
    return made


if __name__ == "__main__":
    main()
