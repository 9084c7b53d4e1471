"""What is Alipay's own, beyond the contract of every channel; the public SDK (python-alipay-sdk) is the oracle."""

from __future__ import annotations

import base64
import copy
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from alipay import AliPay, DCAliPay
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from parking.adapters.alipay_gateway import wall
from parking.adapters.alipay_trust import NotTrusted, Trust, read_private_key, trust_certificates, trust_keys
from parking.adapters.alipay_wire import certificate_sn, is_signed, root_sn, sign, signed_text, split_answer
from parking.adapters.payment_alipay import Alipay, make_alipay
from parking.core.channel import BadEvent, ChannelPayment, ChannelRefund, ChannelRefused, ChannelUnavailable
from parking.core.clock import city_date
from parking.core.json_text import BadJson
from parking.core.money import parse_yuan
from parking.core.statement import CHANNEL_ZONE
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.alipay_bill import MONEY_COLUMNS, SUMMARY_COLUMNS, TRADE_COLUMNS
from parking.simulators.alipay_keys import Chain
from tests.channel import NUMBER, alipay_keys, order, simulated_alipay
from tests.city import now
from tests.serving import simulating

KEYS = alipay_keys()
SETTINGS = {**KEYS.settings("https://openapi.example"), **KEYS.secret()}
QUERY = "alipay_trade_query_response"


@pytest.fixture
def pair() -> Iterator[tuple[Alipay, AlipaySimulator]]:
    with simulated_alipay() as simulator:
        simulator.seen.callbacks = "keep"
        yield Alipay(simulator.keys.merchant(simulator.base_url, "http://127.0.0.1:9/callbacks/alipay")), simulator


@pytest.fixture
def oracle() -> AliPay:
    keys = SETTINGS["private_key"], SETTINGS["alipay_keys"][0]
    return AliPay(appid=KEYS.app_id, app_private_key_string=keys[0], alipay_public_key_string=keys[1])


def answering(text: str | bytes, status: int = 200) -> Alipay:
    """The adapter before a gateway that answers this to whatever it is asked."""
    client = httpx.Client(transport=httpx.MockTransport(lambda asked: httpx.Response(status, content=text)))
    return Alipay(KEYS.merchant("https://openapi.example", "https://city.example/callbacks"), client)


def signed_answer(content: str, *, name: str = QUERY, key: Any = KEYS.alipay_key) -> str:
    return f'{{"{name}":{content},"sign":"{sign(key, content.encode())}"}}'


def test_the_public_sdk_signs_as_we_do(oracle: AliPay) -> None:
    theirs = dict(parse_qsl(oracle.client_api(
        "alipay.trade.query", {"out_trade_no": NUMBER, "subject": "停车"}, timestamp="2026-03-10 09:00:00")))
    signature = theirs.pop("sign")

    assert is_signed([KEYS.app_key.public_key()], signed_text(theirs), signature)
    assert sign(KEYS.app_key, signed_text(theirs)) == signature


def test_the_public_sdk_believes_our_requests_and_the_simulators_notifications(
    pair: tuple[Alipay, AlipaySimulator], oracle: AliPay
) -> None:
    channel, simulator = pair
    address = channel.create_order(order(way="redirect"), now=now())
    asked = dict(parse_qsl(urlsplit(address).query))
    ours = AliPay(
        appid=KEYS.app_id, app_private_key_string=SETTINGS["private_key"],
        alipay_public_key_string=KEYS.app_key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())

    signature = asked.pop("sign")
    assert ours._verify("&".join(f"{name}={value}" for name, value in sorted(asked.items())), signature)
    assert (asked["method"], asked["charset"], asked["sign_type"]) == ("alipay.trade.wap.pay", "utf-8", "RSA2")
    assert json.loads(asked["biz_content"])["product_code"] == "QUICK_WAP_WAY"
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    said = dict(parse_qsl(simulator.payment_event(NUMBER)[1].decode()))
    assert oracle.verify(said, said.pop("sign"))


def test_the_public_sdk_names_certificates_as_we_do() -> None:
    files = KEYS.chain.files()

    theirs = DCAliPay(
        appid=KEYS.app_id, app_private_key_string=SETTINGS["private_key"],
        app_public_key_cert_string=files["app_cert"], alipay_root_cert_string=files["root_cert"],
        alipay_public_key_cert_string=files["alipay_cert"])

    trust = trust_certificates(files["app_cert"], files["alipay_cert"], files["root_cert"])
    assert (trust.app_cert_sn, trust.root_cert_sn) == (theirs.app_cert_sn, theirs.alipay_root_cert_sn)
    assert list(trust.keys) == [theirs.get_cert_sn(files["alipay_cert"])]


def test_a_root_of_another_kind_of_key_is_not_in_the_name_of_the_roots() -> None:
    # The certificate of a Chinese root with an SM2 key (GmSSL's tests have it): such a one stands in Alipay's file.
    other = x509.load_pem_x509_certificate(SM2_ROOT)

    assert root_sn([other, KEYS.chain.root]) == certificate_sn(KEYS.chain.root)
    files = KEYS.chain.files()
    assert trust_certificates(files["app_cert"], files["alipay_cert"], SM2_ROOT.decode() + files["root_cert"]).keys


@pytest.mark.parametrize("form", ["pem", "pkcs8", "pkcs1"])
def test_keys_are_read_as_a_pem_or_as_alipays_console_shows_them(form: str) -> None:
    kind = PrivateFormat.TraditionalOpenSSL if form == "pkcs1" else PrivateFormat.PKCS8
    private = KEYS.app_key.private_bytes(Encoding.DER, kind, NoEncryption())
    public = KEYS.alipay_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    shown = [base64.encodebytes(each).decode() for each in (private, public)]
    given = [SETTINGS["private_key"], SETTINGS["alipay_keys"][0]] if form == "pem" else shown

    assert read_private_key(given[0]).private_numbers() == KEYS.app_key.private_numbers()
    assert trust_keys([given[1]]).keys["key 1"].public_numbers() == KEYS.alipay_key.public_key().public_numbers()


@pytest.mark.parametrize("wrong", [
    {"seller_id": "208800000000000"}, {"seller_id": "２０８８０００００００００００１"}, {"alipay_keys": []},
    {"alipay_keys": ["AAAA"]}, {"private_key": "no key"}, {"private_key": SETTINGS["alipay_keys"][0]},
])
def test_an_account_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    assert make_alipay(SETTINGS, "https://city.example/callbacks").name == "alipay"

    with pytest.raises(ValueError):
        make_alipay({**SETTINGS, **wrong}, "https://city.example/callbacks")


def test_a_key_that_is_too_short_is_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)

    with pytest.raises(ValueError, match="2048"):
        trust_keys([short.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()])


def test_the_text_of_an_answer_is_what_is_signed() -> None:
    members = split_answer(b' { "a" : {"x" : [1, "}"] ,"y":"\\"sign\\":\\"1\\""} , "sign":"s" } ')

    assert members == {"a": '{"x" : [1, "}"] ,"y":"\\"sign\\":\\"1\\""}', "sign": '"s"'}
    assert split_answer(b"{}") == {}
    for broken in (b"", b"[]", b'{"a":1,"a":2}', b'{"a":1', b'{"a":NaN}', b"\xff{}"):
        with pytest.raises(BadJson):
            split_answer(broken)


CONTENT = json.dumps({
    "code": "10000", "msg": "Success", "out_trade_no": NUMBER, "trade_no": "2026031022001", "trade_status":
    "TRADE_SUCCESS", "total_amount": "15.00", "send_pay_date": "2026-03-10 09:41:07"})
PAID = ChannelPayment(
    NUMBER, "paid", 1500, "2026031022001", datetime(2026, 3, 10, 9, 41, 7, tzinfo=CHANNEL_ZONE))


def test_an_answer_is_believed_in_whatever_order_its_members_stand() -> None:
    signature = sign(KEYS.alipay_key, CONTENT.encode())

    for text in (signed_answer(CONTENT), f'{{"sign":"{signature}","{QUERY}": {CONTENT} }}'):
        assert answering(text).query_order(NUMBER, now=now()) == PAID


def test_an_answer_signed_before_its_strokes_were_escaped_is_believed() -> None:
    content = json.dumps({"code": "10000", "out_trade_no": NUMBER, "qr_code": "https://qr.alipay.com/bax1"})
    name = "alipay_trade_precreate_response"
    escaped = signed_answer(content, name=name).replace(content, content.replace("/", "\\/"))

    assert answering(escaped).create_order(order(), now=now()) == "https://qr.alipay.com/bax1"


@pytest.mark.parametrize("text", [
    f'{{"{QUERY}":{CONTENT}}}',
    f'{{"{QUERY}":{CONTENT},"sign":""}}',
    f'{{"{QUERY}":{CONTENT},"sign":null}}',
    signed_answer(CONTENT, key=KEYS.app_key),
    signed_answer(CONTENT).replace("15.00", "16.00"),
    signed_answer(CONTENT, name="alipay_trade_close_response"),
    f'{{"{QUERY}":{{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}}}',
    "", "<html>", "[]", '{"sign":"x"}', f'{{"{QUERY}":"text","sign":"x"}}',
])
def test_what_alipay_did_not_sign_says_nothing(text: str) -> None:
    with pytest.raises(ChannelUnavailable):
        answering(text).query_order(NUMBER, now=now())


@pytest.mark.parametrize(("said", "signed", "expected"), [
    ({"code": "20000", "sub_code": "isp.unknow-error"}, False, ChannelUnavailable),
    ({"code": "20000", "sub_code": "aop.unknow-error"}, True, ChannelUnavailable),
    ({"code": "20000", "sub_code": "aop.ACQ.SYSTEM_ERROR"}, True, ChannelUnavailable),
    ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, True, ChannelUnavailable),
    ({"code": "40004", "sub_code": "AQC.SYSTEM_ERROR"}, True, ChannelUnavailable),
    ({"code": "40005", "sub_code": "isv.call-limited"}, False, ChannelUnavailable),
    ({"code": "40001", "sub_code": "isv.missing-signature"}, False, ChannelRefused),
    ({"code": "40002", "sub_code": "isv.invalid-signature"}, False, ChannelRefused),
    ({"code": "40006", "sub_code": "isv.insufficient-isv-permissions"}, True, ChannelRefused),
    ({"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"}, True, ChannelRefused),
    ({"code": "40004"}, True, ChannelRefused),
    ({"code": "10003"}, True, ChannelUnavailable),
    ({"code": "50000"}, False, ChannelUnavailable),
    ({}, False, ChannelUnavailable),
])
def test_each_way_to_fail_is_later_or_no(said: dict[str, str], signed: bool, expected: type[Exception]) -> None:
    content = json.dumps(said)

    with pytest.raises(expected) as failed:
        answering(signed_answer(content) if signed else f'{{"error_response":{content}}}').query_order(
            NUMBER, now=now())

    if expected is ChannelRefused:
        assert failed.value.reason == said.get("sub_code", said["code"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [302, 404, 500, 502])
def test_another_status_than_200_is_no_answer(status: int) -> None:
    with pytest.raises(ChannelUnavailable):
        answering(signed_answer(CONTENT), status).query_order(NUMBER, now=now())


@pytest.mark.parametrize("wrong", [
    {"total_amount": "15.000"}, {"total_amount": 15.0}, {"total_amount": ""}, {"trade_no": None},
    {"trade_status": "PAID"}, {"send_pay_date": "2026-03-10T09:41:07"}, {"send_pay_date": ""},
    {"trans_currency": "USD"}, {"out_trade_no": "0" * 32},
])
def test_an_answer_that_lacks_what_a_payment_has_is_not_one(wrong: dict[str, Any]) -> None:
    with pytest.raises(ChannelUnavailable):
        answering(signed_answer(json.dumps({**json.loads(CONTENT), **wrong}))).query_order(NUMBER, now=now())


@pytest.mark.parametrize(("status", "paid_on", "state"), [
    ("WAIT_BUYER_PAY", None, "waiting"), ("TRADE_SUCCESS", "2026-03-10 09:41:07", "paid"),
    ("TRADE_FINISHED", "2026-03-10 09:41:07", "paid"), ("TRADE_CLOSED", None, "closed"),
    ("TRADE_CLOSED", "2026-03-10 09:41:07", "paid"),
])
def test_each_state_of_a_trade_is_one_of_ours(status: str, paid_on: str | None, state: str) -> None:
    said = {**json.loads(CONTENT), "trade_status": status, "send_pay_date": paid_on}

    assert answering(signed_answer(json.dumps(said))).query_order(NUMBER, now=now()).state == state


def test_a_refund_that_did_not_get_there_yet_is_asked_for_again(pair: tuple[Alipay, AlipaySimulator]) -> None:
    channel, simulator = pair
    asked: dict[str, Any] = {"order_no": NUMBER, "refund_no": "r1", "total_fen": 1500, "why": "paid twice"}
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    simulator.desk._query_refund = lambda order, asked: {}  # type: ignore[method-assign]

    with pytest.raises(ChannelUnavailable):
        channel.refund(**asked, amount_fen=300, now=now())


def test_an_empty_balance_gives_nothing_back_until_it_is_filled(pair: tuple[Alipay, AlipaySimulator]) -> None:
    channel, simulator = pair
    asked: dict[str, Any] = {"order_no": NUMBER, "refund_no": "r1", "total_fen": 1500, "why": "paid twice"}
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    simulator.seen.is_empty = True

    with pytest.raises(ChannelRefused, match="SELLER_BALANCE_NOT_ENOUGH"):
        channel.refund(**asked, amount_fen=300, now=now())
    simulator.seen.is_empty = False

    assert channel.refund(**asked, amount_fen=300, now=now()).state == "done"


@pytest.mark.parametrize(("change", "reason"), [
    ({"sign_type": "RSA"}, "unknown_algorithm"), ({"sign_type": None}, "unknown_algorithm"),
    ({"sign": ""}, "bad_signature"), ({"sign": "?"}, "bad_signature"), ({"sign": None}, "bad_signature"),
    ({"total_amount": "16.00"}, "bad_signature"), ({"added": "1"}, "bad_signature"),
    ({"subject": None}, "bad_signature"), ({"charset": "gbk"}, "unreadable"),
])
def test_a_notification_that_was_changed_is_not_believed(
    pair: tuple[Alipay, AlipaySimulator], change: dict[str, str | None], reason: str
) -> None:
    channel, simulator = pair
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    headers, body = simulator.payment_event(NUMBER)
    said = {**dict(parse_qsl(body.decode())), **change}

    with pytest.raises(BadEvent, match=reason):
        channel.read_event(
            headers, urlencode({name: value for name, value in said.items() if value is not None}).encode(), now=now())


@pytest.mark.parametrize("lacking", ["notify_id", "notify_time", "out_trade_no", "trade_no", "total_amount"])
def test_a_notification_that_lacks_what_it_is_about_is_unreadable(
    pair: tuple[Alipay, AlipaySimulator], lacking: str
) -> None:
    channel, simulator = pair
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    said = dict(parse_qsl(simulator.payment_event(NUMBER)[1].decode()))
    for name in ("sign", "sign_type", lacking):
        del said[name]

    with pytest.raises(BadEvent, match="unreadable"):
        channel.read_event({}, simulator.signed_form(said), now=now())


def test_a_notification_with_a_part_it_did_not_have_yesterday_is_believed(
    pair: tuple[Alipay, AlipaySimulator],
) -> None:
    channel, simulator = pair
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)

    assert channel.read_event(*simulator.payment_event(NUMBER, new_field="停车 & more", empty=""), now=now()).says


def test_the_notifications_of_a_life_of_an_order_are_each_what_they_say(
    pair: tuple[Alipay, AlipaySimulator],
) -> None:
    channel, simulator = pair
    other = "0" * 31 + "2"
    for number in (NUMBER, other):
        channel.create_order(order(number), now=now())
        simulator.open_order(number)
    channel.close_order(other, now=now())
    simulator.pay(NUMBER)
    for number, fen in (("r1", 500), ("r2", 1000)):
        channel.refund(
            order_no=NUMBER, refund_no=number, amount_fen=fen, total_fen=1500, why="paid twice", now=now())

    said = [channel.read_event({}, body, now=now()).says for _, body in simulator.kept]

    assert said[0] == ChannelPayment(other, "closed")
    assert isinstance(said[1], ChannelPayment) and (said[1].state, said[1].amount_fen) == ("paid", 1500)
    assert [(each.refund_no, each.amount_fen) for each in said[2:] if isinstance(each, ChannelRefund)] == [
        ("r1", 0), ("r2", 0)]


def test_a_new_certificate_is_fetched_once_and_only_of_the_same_owner_under_the_root() -> None:
    chain, other = KEYS.chain, Chain.make(KEYS)
    trust, at = chain.trust(), now()
    sn, file = certificate_sn(chain.next), chain.file(chain.next).encode()

    for wrong_sn, wrong_file, when in (
        (certificate_sn(chain.alipay), file, at), (sn, b"", at), (sn, chain.file(chain.app).encode(), at),
        (certificate_sn(chain.app), chain.file(chain.app).encode(), at),
        (certificate_sn(other.next), other.file(other.next).encode(), at),
        (sn, file, at + timedelta(days=1826)), (sn, file, at - timedelta(days=2)),
    ):
        with pytest.raises(NotTrusted):
            trust.add(wrong_sn, wrong_file, now=when)
    assert sn not in trust.keys

    trust.add(sn, file, now=at)
    assert list(trust.keys) == [certificate_sn(chain.alipay), sn]


def test_an_answer_under_an_unknown_certificate_asks_for_it_once_a_minute() -> None:
    with simulated_alipay() as simulator:
        channel = Alipay(simulator.keys.merchant(simulator.base_url, "http://127.0.0.1:9", by_certificates=True))
        asked: list[str] = []
        real = simulator._do

        def note(method: str, *more: Any) -> dict[str, Any]:
            asked.append(method)
            if method == "alipay.open.app.alipaycert.download":
                return {"alipay_cert_content": "AAAA"}
            return real(method, *more)

        simulator._do = note  # type: ignore[method-assign]
        simulator.change_key()
        for seconds in (0, 1, 59, 61):
            with pytest.raises(ChannelUnavailable):
                channel.query_order(NUMBER, now=now() + timedelta(seconds=seconds))

    assert asked.count("alipay.open.app.alipaycert.download") == 2


def test_files_of_certificates_that_do_not_fit_are_refused() -> None:
    files, other = KEYS.chain.files(), Chain.make(KEYS).files()

    assert isinstance(trust_certificates(files["app_cert"], files["alipay_cert"], files["root_cert"]), Trust)
    for app, alipay, root in (
        (files["app_cert"], files["alipay_cert"], other["root_cert"]), (files["app_cert"], "", files["root_cert"]),
        ("", files["alipay_cert"], files["root_cert"]), (files["app_cert"], files["alipay_cert"], ""),
    ):
        with pytest.raises(ValueError):
            trust_certificates(app, alipay, root)


def taken(simulator: AlipaySimulator, channel: Alipay, day: datetime) -> None:
    """Two orders paid on that day, one given back in part and one whole."""
    simulator.clock = lambda: day
    for number, fen in (("0" * 31 + "1", 1500), ("0" * 31 + "2", 1001)):
        channel.create_order(order(number, fen), now=now())
        simulator.seen.orders[number].expires_at = wall(day + timedelta(minutes=5))
        assert simulator.pay(number)
    for number, refund_no, fen in (("0" * 31 + "1", "r1", 700), ("0" * 31 + "2", "r2", 1001)):
        channel.refund(order_no=number, refund_no=refund_no, amount_fen=fen, total_fen=fen, why="x", now=now())


def members_of(file: bytes) -> dict[str, list[str]]:
    """The members by their names in GBK, which the file itself does not say."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert all(not each.flag_bits & 0x800 for each in archive.infolist())
        return {each.filename.encode("cp437").decode("gbk"): archive.read(each).decode("gbk").split("\r\n")
                for each in archive.infolist()}


def rows_of(lines: list[str], header: str) -> list[dict[str, str]]:
    at = lines.index(header)
    return [dict(zip(header.split(","), line.split(","), strict=True))
            for line in lines[at + 1:] if line and not line.startswith("#")]


def test_a_days_bill_adds_up_to_what_was_taken_and_given_back(pair: tuple[Alipay, AlipaySimulator]) -> None:
    channel, simulator = pair
    day = now() - timedelta(days=1)
    taken(simulator, channel, day)
    simulator.clock = now
    files = [io.BytesIO(), io.BytesIO()]
    walls = city_date(day, CHANNEL_ZONE)

    size = channel.fetch_statement(walls, files[0], now=now())
    channel.fetch_funds(walls, "BASIC", files[1], now=now())

    assert size == len(files[0].getvalue())
    members = members_of(files[0].getvalue())
    stem = f"{KEYS.seller_id}0156_{walls:%Y%m%d}"
    assert set(members) == {f"{stem}_业务明细.csv", f"{stem}_业务明细(汇总).csv"}
    lines = members[f"{stem}_业务明细.csv"]
    rows = rows_of(lines, TRADE_COLUMNS)
    names = ("业务类型", "商户订单号", "商家实收（元）", "服务费（元）", "退款批次号/请求号")
    assert [tuple(each[name] for name in names) for each in rows] == [
        ("交易", f"{'0' * 31}1\t", "15.00", "-0.09", "\t"), ("交易", f"{'0' * 31}2\t", "10.01", "-0.06", "\t"),
        ("退款", f"{'0' * 31}1\t", "-7.00", "0.04", "r1\t"), ("退款", f"{'0' * 31}2\t", "-10.01", "0.06", "r2\t")]
    assert "#交易合计：2笔，商家实收共25.01元，商家优惠共0.00元" in lines
    assert "#退款合计：2笔，商家实收退款共-17.01元，商家优惠退款共0.00元" in lines
    total = rows_of(members[f"{stem}_业务明细(汇总).csv"], SUMMARY_COLUMNS)[-1]
    assert (total["门店编号"], total["订单金额（元）"], total["服务费（元）"], total["实收净额（元）"]) == (
        "合计", "8.00", "-0.05", "7.95")
    money = rows_of(next(iter(members_of(files[1].getvalue()).values())), MONEY_COLUMNS)
    moved = [each["收入金额（+元）"].strip() or each["支出金额（-元）"].strip() for each in money]
    assert len(money) == 8
    assert sum(-parse_yuan(each[1:]) if each[0] == "-" else parse_yuan(each) for each in moved) == 795  # type: ignore[misc, operator]


def test_the_members_of_a_bill_lie_in_any_order(pair: tuple[Alipay, AlipaySimulator]) -> None:
    channel, simulator = pair
    firsts = set()
    for days in (1, 2):
        simulator.seen.orders.clear()
        simulator.seen.refunds.clear()
        day = now() - timedelta(days=days)
        taken(simulator, channel, day)
        firsts.add("汇总" in next(iter(members_of(simulator.statement(city_date(day, CHANNEL_ZONE)) or b""))))

    assert firsts == {True, False}


def test_a_bill_comes_the_day_after_by_an_address_that_soon_lapses(
    pair: tuple[Alipay, AlipaySimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, simulator = pair
    taken(simulator, channel, now())
    today, into = city_date(now(), CHANNEL_ZONE), io.BytesIO()
    for day in (today, today - timedelta(days=1), date(2020, 1, 1)):
        with pytest.raises(ChannelRefused, match="BILL_NOT_EXIST"):
            channel.fetch_statement(day, into, now=now())
    simulator.clock = lambda: now() + timedelta(days=1)
    assert channel.fetch_statement(today, into, now=now()) > 0

    monkeypatch.setattr("parking.simulators.alipay.BILL_LINK_LIVES", timedelta(seconds=-1))
    with pytest.raises(ChannelUnavailable, match="404"):
        channel.fetch_statement(today, into, now=now())
    monkeypatch.undo()
    monkeypatch.setattr("parking.adapters.channel_http.FILE_BYTES_MAX", 10)
    with pytest.raises(ChannelUnavailable, match="too long"):
        channel.fetch_statement(today, into, now=now())


def test_a_state_file_brings_the_simulator_back(tmp_path: Any) -> None:
    first = AlipaySimulator(copy.copy(KEYS), state_file=tmp_path / "seen.json")
    first.seen.callbacks = "drop"
    with simulating(first.app) as first.base_url:
        channel = Alipay(KEYS.merchant(first.base_url, "http://127.0.0.1:9"))
        channel.create_order(order(), now=now())
        first.pay(NUMBER)
        channel.refund(order_no=NUMBER, refund_no="r1", amount_fen=1, total_fen=1500, why="x", now=now())

    second = AlipaySimulator(copy.copy(KEYS), state_file=tmp_path / "seen.json")

    assert (second.seen.orders, second.seen.refunds) == (first.seen.orders, first.seen.refunds)


SM2_ROOT = b"""-----BEGIN CERTIFICATE-----
MIIBszCCAVegAwIBAgIIaeL+wBcKxnswDAYIKoEcz1UBg3UFADAuMQswCQYDVQQG
EwJDTjEOMAwGA1UECgwFTlJDQUMxDzANBgNVBAMMBlJPT1RDQTAeFw0xMjA3MTQw
MzExNTlaFw00MjA3MDcwMzExNTlaMC4xCzAJBgNVBAYTAkNOMQ4wDAYDVQQKDAVO
UkNBQzEPMA0GA1UEAwwGUk9PVENBMFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAE
MPCca6pmgcchsTf2UnBeL9rtp4nw+itk1Kzrmbnqo05lUwkwlWK+4OIrtFdAqnRT
V7Q9v1htkv42TsIutzd126NdMFswHwYDVR0jBBgwFoAUTDKxl9kzG8SmBcHG5Yti
W/CXdlgwDAYDVR0TBAUwAwEB/zALBgNVHQ8EBAMCAQYwHQYDVR0OBBYEFEwysZfZ
MxvEpgXBxuWLYlvwl3ZYMAwGCCqBHM9VAYN1BQADSAAwRQIgG1bSLeOXp3oB8H7b
53W+CKOPl2PknmWEq/lMhtn25HkCIQDaHDgWxWFtnCrBjH16/W3Ezn7/U/Vjo5xI
pDoiVhsLwg==
-----END CERTIFICATE-----
"""
