"""A receipt: the page, the PDF and the sealed text tell what the charge says, to those who may see the visit."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from parking.core.clock import parse_instant
from parking.core.code_picture import link_modules
from parking.core.fact import Fact, FactRef
from parking.core.plate import parse_plate
from parking.core.price import price
from parking.core.receipt_stamp import BadStamp, read_stamp
from parking.core.tariff import read_tariff
from parking.services import relay
from parking.services.publish import import_tariff, tariff_id
from parking.services.record import record_fact
from parking.store import lots, tariffs
from parking.store.charges import ChargeRow
from parking.store.lots import Lot
from parking.store.operators import Operator
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.refunds import RefundRow
from parking.web import printer
from tests.channel import connect, simulated_channel
from tests.city import LONG_AGO, City, bearer, now
from tests.serving import ROOT

LI = "沪A12345"
ENTERED = parse_instant("2026-03-10T09:00:05+08:00")


def land(city: City, direction: str, sequence: int, at: datetime, *, lot_id: int = 1, plate: str = LI) -> None:
    """A fact of a gate, as its journal tells it."""
    extensions = city.app.extensions
    fact = Fact(FactRef(city.terminal_ids[lot_id, direction], sequence), "scan", at, direction, True,  # type: ignore[arg-type]
                extensions["secrets"].vehicle_key(parse_plate(plate)))
    extensions["database"].write(lambda db: record_fact(
        db, lots.get_lot(db, lot_id), fact, said_at=at, safe=extensions["key_safe"], now=now()))


def stay(city: City, length: timedelta = timedelta(hours=2, minutes=5), *, lot_id: int = 1) -> str:
    """Li's car was in a lot from ENTERED on; the visit's public id."""
    land(city, "entry", 1, ENTERED, lot_id=lot_id)
    land(city, "exit", 1, ENTERED + length, lot_id=lot_id)
    with city.app.extensions["database"].reading() as db:
        found = db.execute(select(ParkingSessionRow.parking_session_id).where(
            ParkingSessionRow.state == "closed", ParkingSessionRow.lot_id == lot_id)).scalar_one()
    return f"{lot_id}.{found}"


def ask(city: City, path: str, token: str, **headers: str) -> TestResponse:
    return city.app.test_client().get(path, headers={**bearer(token), **headers})


def page(city: City, session_id: str, *, language: str = "en", status: int = 200) -> str:
    """Li's page of a receipt, as text without tags."""
    answer = ask(city, f"/driver/parking-sessions/{session_id}/receipt", city.drivers["li"],
                 **{"Accept": "text/html", "Accept-Language": language})
    assert answer.status_code == status
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


def pdf(city: City, session_id: str, *, language: str = "en") -> PdfReader:
    answer = ask(city, f"/v1/parking-sessions/{session_id}/receipt.pdf?language={language}", city.drivers["li"])
    assert (answer.status_code, answer.content_type) == (200, "application/pdf"), answer.get_data(as_text=True)
    return PdfReader(io.BytesIO(answer.get_data()))


def words(document: PdfReader) -> str:
    """The text of all pages without spaces: where a line breaks is no matter."""
    return re.sub(r"[\s\u200b]+", "", "".join(each.extract_text() for each in document.pages))


def test_the_page_and_the_pdf_tell_what_was_charged(city: City) -> None:
    visit = stay(city)
    proof = city.get(f"/v1/parking-sessions/{visit}/receipt.json", city.drivers["li"])
    body = json.loads(proof["body"])

    shown, printed = page(city, visit), words(pdf(city, visit))

    assert body["total_fen"] == 3000 == sum(line["amount_fen"] for line in body["lines"])
    for told in ("lot 1", "operator", "沪A·**345", "2026-03-10 09:00:05", "2026-03-10 11:05:05", "Asia/Shanghai",
                 "TEST-HOURLY, version 1, SHA-256 " + body["tariff"]["hash"][:16], "small",
                 "3 started periods of 60 min at 10.00 each", "30.00", "Still due", body["charge_id"], visit,
                 jwt.get_unverified_header(proof["seal"])["kid"], "/.well-known/jwks.json"):
        assert told in shown, told
        assert told.replace(" ", "") in printed, told


@pytest.mark.parametrize(("language", "told"), [
    ("zh", ("停车收据", "小型车", "3 个60分钟(不足按一个计)，每个 10.00 元", "尚欠", "一号停车场")),
    ("en", ("Parking receipt", "small", "3 started periods", "Still due", "Lot One")),
    ("fr", ("Reçu de stationnement", "petit", "3 périodes entamées", "Reste à payer", "Parc n° 1")),
])
def test_the_reader_chooses_the_language(city: City, language: str, told: tuple[str, ...]) -> None:
    name(city, {"zh": "一号停车场", "en": "Lot One", "fr": "Parc n° 1"})
    visit = stay(city)

    shown, document = page(city, visit, language=language), pdf(city, visit, language=language)

    for each in told:
        assert each in shown
        assert each.replace(" ", "") in words(document)
    assert document.trailer["/Root"]["/Lang"].startswith(language)
    assert ask(city, f"/v1/parking-sessions/{visit}/receipt.pdf?language=de", city.drivers["li"]).status_code == 400


def test_those_who_may_not_see_the_visit_cannot_tell_whether_there_is_one(city: City) -> None:
    visit = stay(city)
    absent = f"1.{uuid4()}"

    def answers(token: str, audience: str) -> list[tuple[int, bytes]]:
        paths = [f"/v1/parking-sessions/{{}}/receipt.{kind}" for kind in ("pdf", "json")]
        paths.append(f"/{audience}/parking-sessions/{{}}/receipt")
        asked = [ask(city, path.format(each), token) for path in paths for each in (visit, absent, "1.x")]
        return [(each.status_code, each.get_data()) for each in asked]

    for token, audience in ((city.drivers["wang"], "driver"), (city.operators[1], "console")):
        refused = answers(token, audience)
        assert {status for status, _ in refused} == {404}
        assert len(set(refused)) == 1
    assert {status for status, _ in answers(city.operators[0], "console")[::3]} == {200}
    assert ask(city, f"/driver/parking-sessions/{visit}/receipt", city.operators[0]).status_code == 403
    assert ask(city, f"/console/parking-sessions/{visit}/receipt", city.drivers["li"]).status_code == 403
    for path in ("/v1/parking-sessions/{}/receipt.pdf", "/v1/parking-sessions/{}/receipt.json"):
        assert ask(city, path.format(visit), "nobody").status_code == 401


def test_a_visit_that_goes_on_has_no_receipt_yet(city: City) -> None:
    inside = city.scan(1, "entry", plate=LI)["parking_session"]["id"]

    for kind in ("pdf", "json"):
        refused = ask(city, f"/v1/parking-sessions/{inside}/receipt.{kind}", city.drivers["li"])
        assert (refused.status_code, refused.get_json()["reason"]) == (409, "not_charged")
    assert "once the vehicle has left" in page(city, inside, status=409)
    assert "receipt" not in session_page(city, inside)
    city.scan(1, "exit", plate=LI)
    assert f"/driver/parking-sessions/{inside}/receipt" in session_page(city, inside)


@pytest.mark.parametrize("hostile", [
    '#panic("x")', "*bold* _it_ `raw` $x$", '#read("/etc/passwd")', "= heading\n\n- list @ref <label> // gone",
    '"; }\\ #{ 1/0 }', "<b>&amp;</b>", '#import "@preview/x:1.0.0"', "back\\slash ~ ' -- ... https://x.example",
])
def test_a_hostile_name_is_printed_as_it_is_written(city: City, hostile: str) -> None:
    name(city, {"en": hostile})
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Operator).values(name=hostile))
    visit = stay(city)

    document = pdf(city, visit)

    printed = re.sub(r"\s+", "", hostile)
    assert words(document).count(printed) >= 2
    assert document.metadata is not None
    assert document.metadata.title == f"Parking receipt {hostile}"
    escaped = ask(city, f"/driver/parking-sessions/{visit}/receipt", city.drivers["li"], Accept="text/html")
    assert "<b>" not in escaped.get_data(as_text=True)


def test_names_that_no_font_has_do_not_stop_the_receipt(city: City) -> None:
    name(city, {"en": "lot 🚗 عربي \U00020bb7 \u0007 \ufffe \u202e turned"})

    printed = words(pdf(city, stay(city)))

    assert "lot" in printed and "operatorPlate" in printed, "what is turned round ends with the name"


def test_anyone_can_check_the_seal_and_work_out_the_fee_from_the_file_in_the_pdf(city: City) -> None:
    visit = stay(city)
    document = pdf(city, visit)
    keys = {key["kid"]: key for key in city.app.test_client().get("/.well-known/jwks.json").get_json()["keys"]}

    file = json.loads(document.attachments["receipt.json"][0])

    key = jwt.PyJWK(keys[jwt.get_unverified_header(file["seal"])["kid"]])
    assert jwt.api_jws.decode(file["seal"], key, algorithms=["ES256"]) == file["body"].encode()
    body = json.loads(file["body"])
    assert body["parking_session_id"] == visit
    assert sha256(file["tariff"].encode()).hexdigest() == body["tariff"]["hash"]
    again = price(read_tariff(json.loads(file["tariff"])), entered_at=parse_instant(body["entered_at"]),
                  left_at=parse_instant(body["billed_until"]), context=body["context"])
    assert again.total_fen == body["total_fen"] == 3000
    assert file == city.get(f"/v1/parking-sessions/{visit}/receipt.json", city.drivers["li"])


def test_the_same_receipt_is_the_same_bytes(city: City) -> None:
    path = f"/v1/parking-sessions/{stay(city)}/receipt.pdf?language=zh"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(city, path, city.drivers["li"]), range(24)))

    assert {each.status_code for each in answers} == {200}
    assert len({each.get_data() for each in answers}) == 1
    assert answers[0].headers["Cache-Control"] == "no-store"


def test_a_charge_that_was_taken_back_gives_way_to_the_one_that_stands(city: City) -> None:
    visit = stay(city)
    land(city, "exit", 2, ENTERED + timedelta(minutes=30))  # a late fact: the car had left before
    with city.app.extensions["database"].reading() as db:
        made = {each.kind: each for each in db.execute(select(ChargeRow).order_by(ChargeRow.revision)).scalars()}

    shown, printed = page(city, visit), words(pdf(city, visit))

    assert [made["credit"].total_fen, made["charge"].total_fen] == [3000, 1000]
    for text in (shown, printed):
        assert str(made["charge"].charge_id) in text
        assert str(made["credit"].credits_charge_id) not in text
        assert "10.00" in text and "30.00" not in text
    assert "2026-03-10 09:30:05" in shown


def test_what_was_paid_and_what_goes_back_add_up_on_the_receipt(city: City) -> None:
    with simulated_channel() as channel:
        connect(city.app, channel)
        channel.seen.callbacks = "drop"
        inside = city.scan(1, "entry", plate=LI)["parking_session"]["id"]
        orders = [order(city, inside) for _ in range(2)]
        for number in orders:
            assert channel.pay(number)
        work(city)
        city.scan(1, "exit", plate=LI)
        transactions = [channel.seen.orders[number].transaction_id for number in orders]
        underway = page(city, inside)
        with city.app.extensions["database"].writing() as db:
            db.execute(update(RefundRow).values(state="done"))
            refund_no = db.execute(select(RefundRow.refund_no)).scalar_one()
        shown, printed = page(city, inside), words(pdf(city, inside))

    assert "on its way" in underway and "arrived" not in underway
    for told in (*orders, *transactions, "WeChat Pay", "arrived", refund_no, "-10.00", "Still due 0.00", "Paid 20.00",
                 "Given back -10.00", "Total 10.00"):
        assert told in shown, told
        assert told.replace(" ", "") in printed, told


def test_the_exit_allowance_is_on_the_receipt(city: City) -> None:
    with simulated_channel() as channel:
        connect(city.app, channel)
        channel.seen.callbacks = "drop"
        at = now() - timedelta(minutes=50)
        land(city, "entry", 1, at)
        with city.app.extensions["database"].reading() as db:
            visit = f"1.{db.execute(select(ParkingSessionRow.parking_session_id)).scalar_one()}"
        assert channel.pay(order(city, visit))
        work(city)
        land(city, "exit", 1, now() + timedelta(minutes=12))  # past the hour, within the allowance

        shown = page(city, visit)

    assert "Exit allowance" in shown and "left within 15 min of paying: not charged -10.00" in shown.replace(" 1 ", " ")
    assert "Total 10.00" in shown and "Still due 0.00" in shown


def test_the_payments_page_leads_to_the_receipt_those_alone_who_may_see_the_visit(city: City) -> None:
    with simulated_channel() as channel:
        connect(city.app, channel)
        channel.seen.callbacks = "drop"
        inside = city.scan(1, "entry", plate=LI)["parking_session"]["id"]
        number = order(city, inside)
        assert channel.pay(number)
        work(city)
        path = f"/payments/1.{UUID(number)}"

        def shown(token: str) -> str:
            answer = ask(city, path, token, **{"Accept": "text/html", "Accept-Language": "en"})
            return answer.get_data(as_text=True)

        before = shown(city.drivers["li"])
        city.scan(1, "exit", plate=LI)
        after, stranger, operator, nobody = (
            shown(token) for token in (city.drivers["li"], city.drivers["wang"], city.operators[0], "x"))

    assert f'href="/driver/parking-sessions/{inside}"' in before and "/receipt" not in before
    assert f'href="/driver/parking-sessions/{inside}/receipt"' in after
    for page_of_other in (stranger, operator, nobody):
        assert "Paid. Thank you." in page_of_other
        assert inside not in page_of_other and "/receipt" not in page_of_other


def test_a_receipt_of_six_hundred_lines_has_its_heads_on_every_page(city: City) -> None:
    """25 days, priced hour by hour; a process of its own sets it."""
    hourly = {"kind": "blocks", "hours": 1, "each": {"kind": "flat", "fen": 100}}
    give_tariff(city, hourly)
    visit = stay(city, timedelta(hours=600))

    document = pdf(city, visit, language="zh")

    texts = [each.extract_text() for each in document.pages]
    lined = [text for text in texts if "按次" in text]
    assert len(lined) > 5
    assert all("时间" in text and "数量" in text for text in lined)
    assert "".join(texts).count("按次 1.00 元") == 600
    assert f"页 {len(texts)} / {len(texts)}" in re.sub(r"\s+", " ", texts[-1])
    assert "600.00" in texts[0]


def test_a_receipt_too_long_for_paper_says_so_and_a_busy_printer_says_when_to_return(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = stay(city)
    path = f"/v1/parking-sessions/{visit}/receipt.pdf"

    monkeypatch.setattr(printer, "LINES_HERE_MAX", 0)
    with printer._apart, printer._apart:
        busy = ask(city, path, city.drivers["li"])
    assert (busy.status_code, busy.get_json()["reason"]) == (503, "printer_busy")
    assert int(busy.headers["Retry-After"]) > 0
    monkeypatch.setattr(printer, "SECONDS_MAX", 0.001)
    slow = ask(city, path, city.drivers["li"])
    monkeypatch.setattr(printer, "LINES_MAX", 0)
    long = ask(city, path, city.drivers["li"])
    for refused in (slow, long):
        assert (refused.status_code, refused.get_json()["reason"]) == (409, "receipt_too_long")
    monkeypatch.undo()
    monkeypatch.setattr(printer, "LINES_HERE_MAX", 0)
    assert [ask(city, path, city.drivers["li"]).status_code for _ in range(3)] == [200] * 3, "none is held for ever"


def test_a_long_receipt_is_set_like_a_short_one(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/v1/parking-sessions/{stay(city)}/receipt.pdf?language=fr"
    here = ask(city, path, city.drivers["li"]).get_data()

    monkeypatch.setattr(printer, "LINES_HERE_MAX", 0)
    apart = ask(city, path, city.drivers["li"]).get_data()

    assert apart == here and here.startswith(b"%PDF")


def name(city: City, says: dict[str, str]) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(name=says))


def session_page(city: City, session_id: str) -> str:
    return ask(city, f"/driver/parking-sessions/{session_id}", city.drivers["li"], Accept="text/html").get_data(
        as_text=True)


def order(city: City, session_id: str) -> str:
    """An order for what is due now; its number."""
    body = {"id": str(uuid4()), "channel": "wechat_pay", "parking_session_id": session_id}
    answer = city.app.test_client().post("/v1/payments", json=body, headers=bearer(city.drivers["li"]))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return UUID(answer.get_json()["id"].split(".")[1]).hex


def work(city: City) -> None:
    """The worker, when it next asks the channel what became of the orders."""
    while relay.relay_due(city.app.extensions["desk"], now=now() + timedelta(seconds=11)):
        pass


def give_tariff(city: City, rule: dict[str, Any]) -> None:
    """Lot 1 charges by this rule, in place of the hourly one."""
    read = read_tariff({"code": "TEST-LONG", "name": {"en": "long"}, "time_zone": "Asia/Shanghai", "rule": rule})
    with city.app.extensions["database"].writing() as db:
        operator_id = lots.get_lot(db, 1).operator_id
        import_tariff(db, read, operator_id=operator_id, in_force_from=LONG_AGO, now=now())
        tariffs.assign_tariff(
            db, lot_id=1, tariff_id=tariff_id("TEST-LONG"), operator_id=operator_id,
            assigned_from=LONG_AGO + timedelta(days=1))


def stamp_of(city: City, visit: str) -> str:
    answer = ask(city, f"/driver/parking-sessions/{visit}/receipt", city.drivers["li"], Accept="text/html")
    found = re.search(r'href="([^"]+/receipts/check#[^"]+)"', answer.get_data(as_text=True))
    assert found is not None
    return found[1]


def published(city: City) -> dict[str, Any]:
    keys: dict[str, Any] = city.app.test_client().get("/.well-known/jwks.json").get_json()
    return keys


def test_the_stamp_tells_anybody_what_was_paid_for_which_visit(city: City, tmp_path: Path) -> None:
    visit = stay(city)
    text = stamp_of(city, visit)
    file = city.get(f"/v1/parking-sessions/{visit}/receipt.json", city.drivers["li"])

    stamp = read_stamp(text, published=published(city))

    assert (stamp.plate, stamp.entered_at, stamp.charged_fen) == ("沪A·**345", ENTERED, 3000)
    assert (stamp.paid_fen, stamp.refunded_fen, stamp.waived_fen, stamp.zone) == (0, 0, 0, "Asia/Shanghai")
    assert stamp.body_hash == sha256(file["body"].encode()).hexdigest()
    assert stamp.charge_id == json.loads(file["body"])["charge_id"]
    assert text == stamp_of(city, visit), "the same receipt has the same stamp"
    (tmp_path / "jwks.json").write_text(json.dumps(published(city)))
    alone = subprocess.run(
        [sys.executable, "-m", "parking.core.receipt_stamp", text, str(tmp_path / "jwks.json")], capture_output=True,
        text=True, cwd=ROOT, check=False)
    assert alone.returncode == 0 and "30.00" in alone.stdout and "沪A·**345" in alone.stdout
    shell = city.app.test_cli_runner().invoke(args=["parking", "verify-receipt", text])
    assert shell.exit_code == 0 and shell.output == alone.stdout


def test_a_camera_reads_the_stamp_also_where_names_are_long(city: City) -> None:
    name(city, {"zh": "中" * 60, "en": "x" * 60, "fr": "y" * 60})
    text = stamp_of(city, stay(city))

    modules = link_modules(text)
    picture = Image.new("L", (len(modules) + 8, len(modules) + 8), 255)
    for y, row in enumerate(modules):
        for x, is_dark in enumerate(row):
            picture.putpixel((x + 4, y + 4), 0 if is_dark else 255)
    seen = zxingcpp.read_barcodes(picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST))

    assert [each.text for each in seen] == [text]


def _changed(text: str, part: int) -> str:
    """One bit of a part of the JWS is another."""
    before, _, jws = text.rpartition("#")
    parts = jws.split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    raw[len(raw) // 2] ^= 1
    parts[part] = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    return f"{before}#{'.'.join(parts)}"


@pytest.mark.parametrize(("change", "reason"), [
    (lambda text: _changed(text, 1), "signature_broken"), (lambda text: _changed(text, 2), "signature_broken"),
    (lambda text: text + "AAAA", "signature_broken"),
    (lambda text: text.rpartition(".")[0] + ".", "signature_broken"),
    (lambda text: "", "not_a_stamp"), (lambda text: "#", "not_a_stamp"), (lambda text: "a.b.c", "not_a_stamp"),
    (lambda text: text.rpartition(".")[0], "not_a_stamp"), (lambda text: text + "x" * 5000, "not_a_stamp"),
    (lambda text: "https://evil.example/\x00\ud800", "not_a_stamp"),
])
def test_a_stamp_that_was_changed_is_not_believed(city: City, change: Any, reason: str) -> None:
    text = stamp_of(city, stay(city))

    with pytest.raises(BadStamp) as refused:
        read_stamp(change(text), published=published(city))

    assert refused.value.reason == reason


def test_a_stamp_by_a_key_that_is_revoked_or_none_of_receipts_is_not_believed(city: City) -> None:
    text, keys = stamp_of(city, stay(city)), published(city)
    kid = jwt.get_unverified_header(text.rpartition("#")[2])["kid"]
    revoked = {"keys": [{**each, "revoked": True} if each["kid"] == kid else each for each in keys["keys"]]}
    of_codes = {"keys": [{**each, "parking_purpose": "code"} for each in keys["keys"]]}
    file = city.get(f"/v1/parking-sessions/{stay_id(city)}/receipt.json", city.drivers["li"])

    for published_keys, said, reason in (
        (revoked, text, "key_revoked"), (of_codes, text, "key_not_published"),
        ({"keys": []}, text, "key_not_published"), (keys, file["seal"], "not_a_stamp"),
    ):
        with pytest.raises(BadStamp) as refused:
            read_stamp(said, published=published_keys)
        assert refused.value.reason == reason


def stay_id(city: City) -> str:
    with city.app.extensions["database"].reading() as db:
        row = db.execute(select(ParkingSessionRow).where(ParkingSessionRow.state == "closed")).scalar_one()
    return f"{row.lot_id}.{row.parking_session_id}"


def test_anybody_opens_the_page_that_checks_and_it_learns_nothing(city: City) -> None:
    answer = city.app.test_client().get("/receipts/check", headers={"Accept": "text/html"})

    assert answer.status_code == 200 and "receipt_check.js" in answer.get_data(as_text=True)
