"""Of what goes over the wire nothing is kept that opens a door or tells who paid."""

from __future__ import annotations

import json

import pytest

from parking.core.channel_message import BODY_CHARS_MAX, find_number, mask_body, mask_headers, mask_path

NUMBER, REFUND = "0" * 31 + "1", "0" * 31 + "2"
FORM = "application/x-www-form-urlencoded;charset=utf-8"


def test_an_authorization_keeps_what_it_is_signed_by_and_not_the_signature() -> None:
    headers = mask_headers({
        "Authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="n",signature="c2VjcmV0",serial_no="A"',
        "Wechatpay-Signature": "c2VjcmV0", "Wechatpay-Serial": "PUB", "Cookie": "login=x", "X-Api-Key": "k",
        "Content-Type": "application/json"})

    assert headers == {
        "authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="n",signature="***",serial_no="A"',
        "wechatpay-signature": "***", "wechatpay-serial": "PUB", "content-type": "application/json"}


@pytest.mark.parametrize("value", ["Bearer abc", "Basic dTpw", "", 'x signature="a", signature="b"'])
def test_another_authorization_is_masked_whole(value: str) -> None:
    assert mask_headers({"Authorization": value}) == {"authorization": "***"}


def test_payers_keys_and_signatures_are_masked_however_deep_and_amounts_are_kept() -> None:
    said = {
        "out_trade_no": NUMBER, "payer": {"openid": "oABC"}, "amount": {"total": 1500, "payer_total": 1500},
        "scene_info": {"payer_client_ip": "1.2.3.4", "device_id": "d"}, "resource": {"ciphertext": "AAAA"},
        "list": [{"sub_openid": "oX", "buyer_logon_id": "159****", "buyer_pay_amount": "15.00"}],
        "user_received_account": "招商银行信用卡0403",
        "sign": "xx", "buyer_info": {"name": "张三"}, "sign_type": "RSA2", "alipay_cert_content": "TUlJ"}

    kept = mask_body(json.dumps(said).encode(), "application/json")

    for secret in ("oABC", "1.2.3.4", '"d"', "AAAA", "oX", "159", "0403", "xx", "TUlJ", "张三"):
        assert secret not in kept, secret
    for harmless in (NUMBER, "1500", '"buyer_pay_amount":"15.00"', '"sign_type":"RSA2"'):
        assert harmless in kept, harmless


def test_a_form_and_the_json_in_it_are_masked_alike() -> None:
    kept = mask_body(
        f"app_id=2021&sign=abc%3D&buyer_id=2088&biz_content=%7B%22out_trade_no%22%3A%22{NUMBER}%22%2C"
        "%22buyer_open_id%22%3A%22o1%22%7D".encode(), FORM)

    assert kept == f'app_id=2021&sign=***&buyer_id=***&biz_content={{"out_trade_no":"{NUMBER}","buyer_open_id":"***"}}'


@pytest.mark.parametrize(("body", "kind"), [
    (rb'{"code":"\ud800"}', "application/json"), (rb'{"code":"\u0000"}', "application/json"), (b"code=%00", FORM)])
def test_what_no_column_could_hold_is_not_kept(body: bytes, kind: str) -> None:
    assert mask_body(body, kind) == f"({len(body)} bytes, not kept)"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----", b"[1]", b"[" * 60_000, b"x" * 70_000])
def test_what_is_neither_json_nor_a_form_is_not_kept(body: bytes) -> None:
    assert mask_body(body, "text/plain") == f"({len(body)} bytes, not kept)"


def test_json_in_a_form_that_cannot_be_read_is_masked() -> None:
    assert mask_body(b'biz_content={"openid":"o1"', FORM) == "biz_content=***"


def test_a_long_body_is_cut() -> None:
    assert len(mask_body(json.dumps({"says": "x" * 20_000}).encode(), "application/json")) == BODY_CHARS_MAX + 1


def test_parameters_of_an_address_that_are_not_known_are_masked() -> None:
    assert mask_path("https://openapi.alipay.com/gateway.do?app_id=2021&sign=abc%3D&method=a.b&new=1") == (
        "/gateway.do?app_id=2021&sign=***&method=a.b&new=***")
    assert mask_path("https://api.example/v3/billdownload/file?token=secret") == "/v3/billdownload/file?token=***"
    assert mask_path("https://api.example/file?charset=%00&%00=1") == "/file?charset=***&***=***"


def test_the_number_is_found_in_the_address_or_the_bodies_a_refunds_first() -> None:
    both = json.dumps({"out_trade_no": NUMBER, "out_refund_no": REFUND}).encode()

    assert find_number(f"https://x/v3/pay/transactions/out-trade-no/{NUMBER}?mchid=1") == NUMBER
    assert find_number(f"https://x/v3/pay/transactions/out-trade-no/{NUMBER}/close") == NUMBER
    assert find_number(f"https://x/v3/refund/domestic/refunds/{REFUND}") == REFUND
    assert find_number("https://x/", (both, "application/json")) == REFUND
    assert find_number("https://x/", (b"", ""), (f'{{"r":{{"out_trade_no":"{NUMBER}"}}}}'.encode(), "")) == NUMBER
    assert find_number("https://x/", (f"out_trade_no={NUMBER}".encode(), FORM)) == NUMBER
    assert find_number("https://x/v3/certificates", (b'{"out_trade_no":"x"}', "")) == ""
