"""Alipay as far as a merchant sees it, over HTTP, with test keys: for the demo and the tests.

It checks our signatures, signs its answers and notifications, keeps orders and refunds, and writes the
day's bills of what it saw. A person pays at the address that it hands out, and the trade begins when
that is opened (the real channel hands out `https://qr.alipay.com/…`). Refuses to run where
PARKING_PRODUCTION is set.
"""

from __future__ import annotations

import base64
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
from urllib.parse import urlencode

import httpx
from flask import Flask, Response, redirect, request

from parking.adapters.alipay_gateway import wall
from parking.adapters.alipay_wire import SIGNED_BY, certificate_sn, is_signed, sign, signed_text
from parking.core.clock import city_date
from parking.core.money import format_yuan
from parking.core.statement import CHANNEL_ZONE
from parking.simulators.alipay_agreements import PAY, QUERY, SIGN, UNSIGN, AgreementDesk, SeenAgreement
from parking.simulators.alipay_bill import write_bill
from parking.simulators.alipay_desk import Desk, Refused
from parking.simulators.alipay_keys import Keys
from parking.simulators.alipay_seen import Seen, SeenOrder, SeenRefund, SeenWithdrawal
from parking.simulators.faults import hang_up
from parking.simulators.merchants import run

NOTIFICATION_TRIES = 4
BILL_LINK_LIVES = timedelta(seconds=30)
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


class AlipaySimulator:
    """The channel. `app` is what HTTP is served from; `pay` is what a person's thumb does."""

    def __init__(self, keys: Keys, *, base_url: str = "", state_file: Path | None = None) -> None:
        self.keys, self.base_url, self.seen = keys, base_url, Seen()
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)
        self.trust: ssl.SSLContext | bool = True
        self.kept: list[tuple[str, bytes]] = []
        self._bills: dict[str, tuple[str, date, datetime]] = {}
        self._file, self._lock = state_file, threading.RLock()
        if state_file and state_file.exists():
            kept = json.loads(state_file.read_text())
            self.seen.orders = {each["order_no"]: SeenOrder(**each) for each in kept["orders"]}
            self.seen.refunds = {
                f"{each['order_no']}/{each['refund_no']}": SeenRefund(**each) for each in kept["refunds"]}
            self.seen.withdrawals = [SeenWithdrawal(**each) for each in kept.get("withdrawals", [])]
        self.desk = Desk(self.seen, lambda: self.clock(), self._tell)
        self.agreements = AgreementDesk(self.seen, lambda: self.clock(), self._tell_agreement, self._tell)
        if state_file and state_file.exists():
            self.agreements.seen.signed = {
                each["external_no"]: SeenAgreement(**each) for each in kept.get("agreements", ())}
        self.app = self._make_app()

    def open_order(self, order_no: str) -> None:
        """Somebody scans what was handed out last."""
        with self._lock:
            self.desk.open_code(list(self.seen.orders[order_no].codes)[-1])

    def pay(self, order_no: str, *, at: datetime | None = None) -> bool:
        """Somebody pays; the notification is on its way when this returns. False if it cannot be paid now."""
        with self._lock:
            self.open_order(order_no)
            done = self.desk.take_money(self.seen.orders[order_no], at or self.clock())
            self._keep()
        return done

    def finish_refund(self, refund_no: str) -> None:
        """The merchant is notified once more of a refund; its money went back when it was taken on."""
        refund = self._refund(refund_no)
        self._tell(self.seen.orders[refund.order_no], refund)

    def fail_next(self, calls: int = 1) -> None:
        """The next calls are answered as if the channel had a bad moment."""
        self.seen.failures = calls

    def lose_answers(self, calls: int = 1) -> None:
        """The next calls are done, and their answers never arrive."""
        self.seen.lost_answers = calls

    def change_key(self) -> None:
        """From now on the channel signs with its next key."""
        self.keys.change()

    def deliver_kept(self) -> None:
        """What was kept back is on its way, late."""
        kept, self.kept = self.kept, []
        for url, body in kept:
            self._send(url, body)

    def payment_event(self, order_no: str, **other: str) -> tuple[dict[str, str], bytes]:
        """The notification that tells of an order, as it is sent: headers and body. other: what it says otherwise."""
        return FORM, self.signed_form({**self._notification(self.seen.orders[order_no], None), **other})

    def refund_event(self, refund_no: str) -> tuple[dict[str, str], bytes]:
        """The notification that tells of a refund."""
        refund = self._refund(refund_no)
        return FORM, self.signed_form(self._notification(self.seen.orders[refund.order_no], refund))

    def signed_form(self, said: dict[str, str]) -> bytes:
        """A notification's body."""
        return urlencode({
            **said, "sign_type": SIGNED_BY, "sign": sign(self.keys.alipay_key, signed_text(said))}).encode()

    def withdraw(self, fen: int, *, at: datetime | None = None) -> str:
        """The merchant takes money out to its bank; returns the movement's number."""
        with self._lock:
            made = SeenWithdrawal(f"{secrets.randbelow(10**20):020d}", wall(at or self.clock()), fen)
            self.seen.withdrawals.append(made)
            self._keep()
        return made.flow_no

    def funds(self, day: date) -> bytes | None:
        """The bill of movements of a day (ZIP); None where nothing moved."""
        return self.statement(day, "signcustomer")

    def statement(self, day: date, kind: str = "trade") -> bytes | None:
        """A day's bill (ZIP); None of a day without trade."""
        return write_bill(self.keys.seller_id, self.seen, day, kind, made_at=self.clock())

    def _make_app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/gateway.do", "gateway", self._gateway, methods=["POST"])
        app.add_url_rule("/gateway.do", "cashier", self._cashier, methods=["GET"])
        app.add_url_rule("/pay/<code>", "page", self._pay_page, methods=["GET"])
        app.add_url_rule("/pay/<code>", "form", self._pay_form, methods=["POST"])
        app.add_url_rule("/agree/<token>", "agree_page", self._agree_page, methods=["GET"])
        app.add_url_rule("/agree/<token>", "agree_form", self._agree_form, methods=["POST"])
        app.add_url_rule("/download/<token>", "download", self._download, methods=["GET"])
        app.add_url_rule("/bill/<day>", "bill", self._bill_of_day, methods=["GET"])
        return app

    def _gateway(self) -> Response:
        parameters = {**request.args.to_dict(), **request.form.to_dict()}
        method = parameters.get("method", "")
        if self.seen.failures:
            self.seen.failures -= 1
            return self._answer(method, {"code": "20000", "msg": "Service Currently Unavailable",
                                         "sub_code": "isp.unknow-error", "sub_msg": "later"}, parameters)
        refused = self._refusal(parameters)
        if refused:
            return self._answer(method, {"code": "40002", "msg": "Invalid Arguments", "sub_code": refused}, None)
        try:
            with self._lock:
                said = self._do(method, json.loads(parameters["biz_content"]), parameters)
                self._keep()
        except Refused as wrong:
            said = {"code": "40004", "msg": "Business Failed", "sub_code": wrong.sub_code, "sub_msg": wrong.sub_code}
        if self.seen.lost_answers:
            self.seen.lost_answers -= 1
            hang_up()
        return self._answer(method, {"code": "10000", "msg": "Success", **said}, parameters)

    def _do(self, method: str, asked: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
        if method == "alipay.trade.precreate":
            code = self.desk.take_order(asked, parameters.get("notify_url", ""))
            return {"out_trade_no": asked["out_trade_no"], "qr_code": f"{self._base()}/pay/{code}"}
        if method == "alipay.data.dataservice.bill.downloadurl.query":
            return self._offer_bill(asked)
        if method == "alipay.open.app.alipaycert.download":
            held = {certificate_sn(each): each for each in (self.keys.chain.alipay, self.keys.chain.next)}
            if asked.get("alipay_cert_sn") not in held:
                raise Refused("isv.cert-not-exist")
            file = self.keys.chain.file(held[asked["alipay_cert_sn"]])
            return {"alipay_cert_content": base64.b64encode(file.encode()).decode()}
        if method in (QUERY, UNSIGN, PAY):
            return self.agreements.answer(method, asked, parameters.get("notify_url", ""))
        return self.desk.answer(method, asked)

    def _refusal(self, parameters: dict[str, str]) -> str:
        """Why the gateway lets a request not in; "" if it does."""
        if parameters.get("app_id") != self.keys.app_id:
            return "isv.invalid-app-id"
        if "app_cert_sn" in parameters and (
            parameters["app_cert_sn"], parameters.get("alipay_root_cert_sn")) != self.keys.chain.names():
            return "isv.invalid-app-cert-sn"
        signed = {name: value for name, value in parameters.items() if name != "sign"}
        is_ours = parameters.get("sign_type") == SIGNED_BY and is_signed(
            [self.keys.app_key.public_key()], signed_text(signed), parameters.get("sign", ""))
        return "" if is_ours else "isv.invalid-signature"

    def _answer(self, method: str, said: dict[str, Any], parameters: dict[str, str] | None) -> Response:
        """parameters: of the request that was let in; None: it was not, and the answer is not signed."""
        content = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        members = [f'"{method.replace(".", "_")}_response":{content}']
        if parameters is not None:
            if "app_cert_sn" in parameters:
                members.append(f'"alipay_cert_sn":"{certificate_sn(self.keys.chain.alipay)}"')
            members.append(f'"sign":"{sign(self.keys.alipay_key, content.encode())}"')
        return Response("{" + ",".join(members) + "}", content_type="text/html;charset=utf-8")

    def _cashier(self) -> Any:
        """Where a browser comes with an order that only its address tells of."""
        parameters = request.args.to_dict()
        refused = self._refusal(parameters)
        if refused or parameters.get("method") not in ("alipay.trade.wap.pay", SIGN):
            return refused or "isv.invalid-method", 400
        try:
            with self._lock:
                if parameters["method"] == SIGN:
                    made = self.agreements.open_page(
                        json.loads(parameters["biz_content"]), notify_url=parameters.get("notify_url", ""),
                        return_url=parameters.get("return_url", ""))
                    self._keep()
                    return redirect(f"{self._base()}/agree/{made.token}", 303)
                code = self.desk.take_order(
                    json.loads(parameters["biz_content"]), parameters.get("notify_url", ""),
                    parameters.get("return_url", ""))
                self._keep()
        except Refused as wrong:
            return wrong.sub_code, 400
        return redirect(f"{self._base()}/pay/{code}", 303)

    def _pay_page(self, code: str) -> Any:
        with self._lock:
            order = self.desk.open_code(code)
            self._keep()
        if order is None:
            return "no such code", 404
        button = '<p><button style="font-size:1.5rem;padding:.7em 2em">Pay (simulator)</button></p>'
        return (
            '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
            '<link rel="icon" href="data:,"><title>Alipay simulator</title>'
            '<body style="font-family:sans-serif;text-align:center"><form method="post"><h1>Alipay, simulator</h1>'
            f'<p>No real money.</p><p style="font-size:2rem">¥ {format_yuan(order.total or order.codes[code])}</p>'
            f"<p>{order.state or 'TRADE_NOT_EXIST'}</p>{button if order.state == 'WAIT_BUYER_PAY' else ''}"
            "</form></body></html>")

    def _pay_form(self, code: str) -> Any:
        with self._lock:
            order = self.desk.open_code(code)
            if order is None:
                return "no such code", 404
            self.desk.take_money(order, self.clock())
            self._keep()
        is_address = order.return_url.startswith(("http://", "https://"))
        return redirect(order.return_url if is_address else request.url, 303)

    def _agree_page(self, token: str) -> Any:
        made = self.agreements.find_page(token)
        if made is None:
            return "no such agreement", 404
        button = '<p><button style="font-size:1.5rem;padding:.7em 2em">Agree (simulator)</button></p>'
        return (
            '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
            '<link rel="icon" href="data:,"><title>Alipay simulator</title>'
            '<body style="font-family:sans-serif;text-align:center"><form method="post"><h1>Alipay, simulator</h1>'
            "<p>No real money.</p><p>Parking fees are deducted by this agreement.</p>"
            f"<p>{made.state}</p>{'' if made.state else button}</form></body></html>")

    def _agree_form(self, token: str) -> Any:
        made = self.agreements.find_page(token)
        if made is None:
            return "no such agreement", 404
        self.sign_agreement(made.external_no)
        is_address = made.return_url.startswith(("http://", "https://"))
        return redirect(made.return_url if is_address else request.url, 303)

    def sign_agreement(self, external_no: str) -> bool:
        """Somebody agrees; the notification is on its way when this returns."""
        with self._lock:
            done = self.agreements.sign(external_no)
            self._keep()
        return done

    def end_agreement(self, external_no: str) -> None:
        """The user ends it in the app."""
        with self._lock:
            self.agreements.end(external_no)
            self._keep()

    def agreement_event(self, external_no: str, **other: str) -> tuple[dict[str, str], bytes]:
        """The notification that tells of an agreement, as it is sent. other: what it says otherwise."""
        return FORM, self.signed_form({**self._of_agreement(self.agreements.seen.signed[external_no]), **other})

    def _of_agreement(self, made: SeenAgreement) -> dict[str, str]:
        return {
            "notify_id": secrets.token_hex(17), "notify_time": wall(self.clock()), "charset": "utf-8",
            "version": "1.0", "app_id": self.keys.app_id, "auth_app_id": self.keys.app_id,
            **self.agreements.notification(made)}

    def _tell_agreement(self, made: SeenAgreement) -> None:
        self._deliver(made.notify_url, self.signed_form(self._of_agreement(made)))

    def _offer_bill(self, asked: dict[str, Any]) -> dict[str, str]:
        try:
            day = date.fromisoformat(str(asked.get("bill_date")))
        except ValueError:
            raise Refused("INVAILID_ARGUMENTS") from None
        kind = str(asked.get("bill_type"))
        if day >= city_date(self.clock(), CHANNEL_ZONE) or self.statement(day, kind) is None:
            raise Refused("BILL_NOT_EXIST")
        token = secrets.token_urlsafe(12)
        self._bills[token] = (kind, day, self.clock() + BILL_LINK_LIVES)
        return {"bill_download_url": f"{self._base()}/download/{token}"}

    def _download(self, token: str) -> Any:
        kind, day, until = self._bills.get(token, ("", date.min, datetime.min.replace(tzinfo=UTC)))
        file = self.statement(day, kind) if self.clock() <= until else None
        return ("no such file", 404) if file is None else Response(file, content_type="application/zip")

    def _bill_of_day(self, day: str) -> Any:
        """A day's bill without asking the gateway, also of today: for a person who tries the demo."""
        file = self.statement(date.fromisoformat(day), request.args.get("kind", "trade"))
        return ("BILL_NOT_EXIST", 404) if file is None else Response(file, content_type="application/zip")

    def _refund(self, refund_no: str) -> SeenRefund:
        return next(each for each in self.seen.refunds.values() if each.refund_no == refund_no)

    def _notification(self, order: SeenOrder, refund: SeenRefund | None) -> dict[str, str]:
        total = format_yuan(order.total)
        said = {
            "notify_id": secrets.token_hex(17), "notify_type": "trade_status_sync", "notify_time": wall(self.clock()),
            "charset": "utf-8", "version": "1.0", "app_id": self.keys.app_id, "auth_app_id": self.keys.app_id,
            "seller_id": self.keys.seller_id, "buyer_id": "2088000000009999", "out_trade_no": order.order_no,
            "trade_no": order.trade_no, "subject": order.subject, "total_amount": total, "gmt_create": order.made_at,
            "trade_status": order.state}
        if order.paid_at:
            said |= {"gmt_payment": order.paid_at, "receipt_amount": total, "buyer_pay_amount": total,
                     "invoice_amount": total, "point_amount": "0.00",
                     "fund_bill_list": f'[{{"amount":"{total}","fundChannel":"ALIPAYACCOUNT"}}]'}
        if order.over_at:
            said["gmt_close"] = order.over_at
        if refund is not None:
            said |= {"out_biz_no": refund.refund_no, "gmt_refund": f"{refund.done_at}.120",
                     "refund_fee": format_yuan(self.desk.refunded(order))}
        return said

    def _tell(self, order: SeenOrder, refund: SeenRefund | None) -> None:
        self._deliver(order.notify_url, self.signed_form(self._notification(order, refund)))

    def _deliver(self, url: str, body: bytes) -> None:
        if self.seen.callbacks == "keep":
            self.kept.append((url, body))
        for _ in range({"send": 1, "twice": 2}.get(self.seen.callbacks, 0)):
            self._send(url, body)

    def _send(self, url: str, body: bytes) -> None:
        threading.Thread(target=self._post, args=(url, body), daemon=True).start()

    def _post(self, url: str, body: bytes) -> None:
        for attempt in range(NOTIFICATION_TRIES):
            try:
                answer = httpx.post(url, content=body, headers=FORM, timeout=5, trust_env=False, verify=self.trust)
                if answer.text == "success":
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2 * 2**attempt)

    def _base(self) -> str:
        return self.base_url or request.host_url.rstrip("/")

    def _keep(self) -> None:
        if self._file is not None:
            kept = {"orders": [asdict(each) for each in self.seen.orders.values()],
                    "refunds": [asdict(each) for each in self.seen.refunds.values()],
                    "agreements": [asdict(each) for each in self.agreements.seen.signed.values()],
                    "withdrawals": [asdict(each) for each in self.seen.withdrawals]}
            half = self._file.with_suffix(".half")
            half.write_text(json.dumps(kept))
            half.replace(self._file)


def main() -> None:
    run("parking.simulators.alipay", __doc__, port=8096,
        make_keys=lambda number, folder: Keys.make(f"20880000000000{number:02d}").write(folder),
        find_number=lambda folder: Keys.read_account(folder)["seller_id"],
        open_account=lambda folder, address: AlipaySimulator(
            Keys.read(folder), base_url=address, state_file=folder / "seen.json"))


if __name__ == "__main__":
    main()
