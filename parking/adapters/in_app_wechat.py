"""WeChat Pay inside WeChat (JSAPI): who holds the phone, and what its browser hands to the app so that its sheet opens.

An address of WeChat's own sends the app's browser back with a code, which the official account's secret turns into the
payer's openid; nobody is asked, and nothing else is told. Trusted by TLS: it has no signature. Sources:
developers.weixin.qq.com, "网页授权"; pay.weixin.qq.com/doc/v3/merchant/4012791857.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from parking.adapters.channel_http import ANSWER_BYTES_MAX, read_object
from parking.adapters.wechat_pay_gateway import Merchant
from parking.adapters.wechat_pay_wire import sign
from parking.core.channel import BadPayerCode, ChannelRefused, ChannelUnavailable

_BUSY = frozenset({-1, 45009, 45011})  # a bad moment; asked too often
_BAD_CODE = frozenset({40029, 40163, 41008, 42003})
PAYER_MAX = 128


class WechatInApp:
    """Keeps `InApp` (core/channel.py)."""

    def __init__(self, merchant: Merchant, client: httpx.Client) -> None:
        self._merchant, self._client = merchant, client

    @property
    def asks_payers(self) -> bool:
        return bool(self._merchant.app_secret)

    def ask_payer(self, *, return_url: str) -> str:
        """WeChat takes the parameters in this order alone."""
        asked = (f"appid={self._merchant.appid}&redirect_uri={quote(return_url, safe='')}&response_type=code"
                 "&scope=snsapi_base&state=pay")
        return f"{self._merchant.authorize_url}/connect/oauth2/authorize?{asked}#wechat_redirect"

    def find_payer(self, code: str) -> str:
        merchant = self._merchant
        try:
            answer = self._client.get(f"{merchant.app_url}/sns/oauth2/access_token", params={
                "appid": merchant.appid, "secret": merchant.app_secret, "code": code,
                "grant_type": "authorization_code"})
        except httpx.HTTPError as error:
            raise ChannelUnavailable(type(error).__name__) from None
        said = _read(answer)
        reason = said.get("errcode")
        if reason in _BUSY:
            raise ChannelUnavailable(str(reason))
        if reason:
            raise (BadPayerCode if reason in _BAD_CODE else ChannelRefused)(str(reason)[:64])
        if said.get("is_snapshotuser"):
            raise ChannelRefused("snapshot_user")  # who looks at a page without having agreed to it can pay nothing
        payer = said.get("openid")
        if not isinstance(payer, str) or not 0 < len(payer) <= PAYER_MAX:
            raise ChannelUnavailable("an answer without what it should hold")
        return payer

    def sheet(self, prepay_id: str, *, now: datetime) -> str:
        """What `getBrandWCPayRequest` and `wx.requestPayment` take; signed for whoever the order is for."""
        package, at, nonce = f"prepay_id={prepay_id}", str(int(now.timestamp())), secrets.token_hex(16)
        lines = (self._merchant.appid, at, nonce, package)
        return json.dumps({
            "appId": self._merchant.appid, "timeStamp": at, "nonceStr": nonce, "package": package, "signType": "RSA",
            "paySign": sign(self._merchant.private_key, *(each.encode() for each in lines))})


def _read(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != 200 or len(answer.content) > ANSWER_BYTES_MAX:
        raise ChannelUnavailable(f"an answer of status {answer.status_code}")
    return read_object(answer.content)
