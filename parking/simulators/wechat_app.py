"""WeChat itself, as far as a page in its browser sees it: it tells who holds the phone, and opens the sheet to pay."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Response, jsonify, redirect, request

from parking.adapters.wechat_pay_wire import is_signed

if TYPE_CHECKING:
    from parking.simulators.wechat_pay import WechatPaySimulator

COOKIE = "wechat_person"
OK, FAIL = "get_brand_wcpay_request:ok", "get_brand_wcpay_request:fail"


class App:
    """One phone a browser: who holds it is in a cookie of the simulator's. openids: of everybody who came by."""

    def __init__(self, simulator: WechatPaySimulator) -> None:
        self._simulator, self._codes = simulator, dict[str, str]()
        self.openids: set[str] = set()
        self.rules: tuple[tuple[str, str, Any], ...] = (
            ("GET", "/connect/oauth2/authorize", self._authorize),
            ("GET", "/sns/oauth2/access_token", self._access_token))

    def admit(self, openid: str) -> str:
        """A person whom the official account knows; returns the code that tells who it is, once."""
        code = secrets.token_hex(16)
        self.openids.add(openid)
        self._codes[code] = openid
        return code

    def open_sheet(self, sheet: Mapping[str, str], openid: str) -> str:
        """What the app does with what a page hands to it, and says to it; who holds the phone pays at once."""
        keys, package = self._simulator.keys, sheet.get("package", "")
        order = self._simulator.order_of(package.removeprefix("prepay_id=wx"))
        lines = (sheet.get(name, "").encode() for name in ("appId", "timeStamp", "nonceStr", "package"))
        is_ours = sheet.get("appId") == keys.appid and sheet.get("signType") == "RSA" and is_signed(
            keys.merchant_key.public_key(), sheet.get("paySign", ""), *lines)
        if not is_ours or order is None or order.kind != "JSAPI" or order.payer != openid:
            return FAIL
        return OK if self._simulator.pay(order.order_no) else FAIL

    def _authorize(self) -> Any:
        """The parameters in this order, or they are not taken."""
        asked, said = request.args, [each.partition("=") for each in request.query_string.decode().split("&")]
        known = {"appid": self._simulator.keys.appid, "response_type": "code", "scope": "snsapi_base"}
        if [name for name, _, _ in said] != ["appid", "redirect_uri", "response_type", "scope", "state"] or any(
            asked[name] != value for name, value in known.items()
        ):
            return "redirect_uri参数错误", 400
        openid = request.cookies.get(COOKIE) or f"o{secrets.token_urlsafe(20)}"
        back, mark = asked["redirect_uri"], "&" if "?" in asked["redirect_uri"] else "?"
        answer = redirect(f"{back}{mark}code={self.admit(openid)}&state={quote(asked['state'])}")
        answer.set_cookie(COOKIE, openid)
        return answer

    def _access_token(self) -> Response:
        asked, keys = request.args, self._simulator.keys
        if (asked.get("appid"), asked.get("secret")) != (keys.appid, keys.app_secret):
            return jsonify({"errcode": 40125, "errmsg": "invalid appsecret"})
        if asked.get("grant_type") != "authorization_code" or not asked.get("code"):
            return jsonify({"errcode": 41008, "errmsg": "missing code"})
        openid = self._codes.get(asked["code"])
        if openid is None:
            return jsonify({"errcode": 40029, "errmsg": "invalid code"})
        if not openid:
            return jsonify({"errcode": 40163, "errmsg": "code been used"})
        self._codes[asked["code"]] = ""
        return jsonify({"access_token": secrets.token_urlsafe(32), "expires_in": 7200, "openid": openid,
                        "refresh_token": secrets.token_urlsafe(32), "scope": "snsapi_base", "unionid": "o6_not_ours"})
