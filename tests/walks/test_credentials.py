"""A code that the phone signs by itself opens one barrier, here and now, for its driver, until it is revoked."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select

from parking.core.code import issue_credential
from parking.services.bind import print_code
from parking.services.rotate import revoke_key
from parking.store import credentials
from parking.store.credentials import CredentialRow, StatusIndex
from parking.web.paper import Paper, print_cards, print_page
from tests.city import City, bearer, now
from tests.phone import Phone, bound_phone

PLATE = "沪A12345"


def paper_of(city: City) -> str:
    extensions = city.app.extensions
    digits, _ = extensions["database"].write(lambda db: print_code(
        db, city.driver_ids["li"], plate=None, label="mother", now=now(), city=extensions["city"],
        secrets=extensions["secrets"], safe=extensions["key_safe"]))
    return digits


def revoke_all(city: City, driver: str = "li") -> None:
    city.app.extensions["database"].write(lambda db: credentials.revoke_credentials(
        db, city.driver_ids[driver], now=now()))


def test_a_bound_phone_enters_leaves_and_its_credential_is_a_jwt(city: City) -> None:
    phone = bound_phone(city)

    entered = city.scan(1, "entry", code=phone.show())
    left = city.scan(1, "exit", code=phone.show(counter=1))

    assert (entered["reason"], left["reason"]) == ("entered", "fee_due")
    assert left["parking_session"]["state"] == "closed"
    header = jwt.get_unverified_header(phone.bound["credential"])
    keys = city.app.test_client().get("/.well-known/jwks.json").get_json()["keys"]
    key = jwt.PyJWK(next(each for each in keys if each["kid"] == header["kid"]))
    claims = jwt.decode(phone.bound["credential"], key, algorithms=["ES256"], audience="shanghai")
    assert (header["typ"], set(claims)) == ("pk1+jwt", {"form", "aud", "sub", "jti", "iat", "exp", "cnf"})
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert "沪" not in phone.bound["credential"]


def test_a_showing_opens_once_and_an_older_one_never_after_it(city: City) -> None:
    phone, at = bound_phone(city), now()
    older, shown = phone.show(at - timedelta(seconds=5)), phone.show(at)

    assert city.scan(1, "entry", code=shown)["reason"] == "entered"
    assert city.scan(1, "exit", code=shown)["reason"] == "code_used"
    assert city.scan(1, "exit", code=phone.prove(at))["reason"] == "code_used", "the same, without the credential"
    assert city.scan(1, "exit", code=older)["reason"] == "code_stale"
    assert city.scan(2, "entry", code=shown)["reason"] == "code_used"


def test_a_held_scan_does_not_use_the_showing(city: City) -> None:
    phone = bound_phone(city)
    city.scan(3, "entry", code=phone.show())
    shown = phone.show(counter=1)

    assert city.scan(3, "exit", code=shown)["reason"] == "fee_due"
    assert city.scan(3, "exit", code=shown)["reason"] == "fee_due", "it may be shown again once it is paid"


def test_the_same_showing_at_many_gates_at_once_opens_one(city: City) -> None:
    phone = bound_phone(city)
    shown, places = phone.show(), [(1, "entry"), (1, "entry2"), (2, "entry"), (3, "entry"), (2, "entry2")]

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda place: city.scan(*place, code=shown), places))

    assert [each["decision"] for each in answers].count("open") == 1
    assert {each["reason"] for each in answers} <= {"entered", "code_used", "inside_elsewhere", "already_inside"}


def test_a_showing_for_another_lot_stale_or_borrowed_is_refused(city: City) -> None:
    phone, thief = bound_phone(city), Phone(city)
    thief.wire = phone.wire

    assert city.scan(1, "entry", code=phone.show(lot=2))["reason"] == "wrong_lot"
    assert city.scan(1, "entry", code=phone.show(now() - timedelta(seconds=95)))["reason"] == "code_stale"
    assert city.scan(1, "entry", code=phone.show(now() + timedelta(seconds=70)))["reason"] == "code_not_yet_valid"
    assert city.scan(1, "entry", code=thief.show())["reason"] == "code_bad_proof"
    assert city.scan(1, "entry", code=phone.show(lot=1))["reason"] == "entered"


def test_a_lost_phone_is_refused_everywhere_at_once_and_its_car_leaves_by_another(city: City) -> None:
    lost, other = bound_phone(city), bound_phone(city)
    assert city.scan(1, "entry", code=lost.show())["reason"] == "entered"
    client, headers = city.app.test_client(), bearer(city.drivers["li"])
    subject = next(
        each.subject for each in credentials_of(city) if each.status_index == lost.bound["status_index"])

    assert client.post("/driver/phones", data={"subject": subject.hex()}, headers=headers).status_code == 303
    assert city.scan(1, "exit", code=lost.show(counter=1))["reason"] == "code_revoked"
    asked = client.get(f"/v1/credentials/current?subject={subject.hex()}", headers=headers)
    assert asked.get_json()["state"] == "revoked"
    assert lost.bind(status=409)["reason"] == "key_not_free"
    assert city.scan(1, "exit", code=other.show(counter=1))["parking_session"]["state"] == "closed"


def credentials_of(city: City) -> list[CredentialRow]:
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(CredentialRow)).scalars())


def test_the_same_key_is_renewed_in_its_place_and_is_nobody_elses(city: City) -> None:
    phone = bound_phone(city)
    first = phone.bound["status_index"]

    assert phone.bind()["status_index"] == first
    assert phone.bind(plate=PLATE)["status_index"] == first
    stranger = Phone(city, "wang", private=phone.private)
    assert stranger.bind(status=409)["reason"] == "key_not_free"
    assert Phone(city, "wang").bind(status=403, plate=PLATE)["reason"] == "not_your_vehicle"
    theirs = bearer(city.drivers["wang"])
    subject = credentials_of(city)[0].subject.hex()
    state = city.app.test_client().get(
        f"/v1/credentials/current?subject={subject}", headers=theirs).get_json()["state"]
    assert state == "unknown"


def test_ten_are_the_most_and_many_at_once_have_each_their_place(city: City) -> None:
    phones = [Phone(city) for _ in range(10)]

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda phone: phone.bind(), phones))

    assert Phone(city).bind(status=409)["reason"] == "too_many_credentials"
    with city.app.extensions["database"].reading() as db:
        places = list(db.execute(select(StatusIndex.status_index)).scalars())
        assert len(set(places)) == 10 and max(places) <= 80
    revoke_all(city)
    with city.app.extensions["database"].reading() as db:
        assert credentials.list_revoked_indexes(db, expiring_after=now()) == sorted(places)


@pytest.mark.parametrize("key", [
    {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
    {"kty": "EC", "crv": "P-384", "x": "A" * 43, "y": "A" * 43},
    {"kty": "RSA"}, {}, {"kty": "EC", "crv": "P-256", "x": "A" * 44, "y": "A" * 43}, "text", None,
    {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "d": "secret"},
])
def test_what_is_no_public_key_binds_nothing(city: City, key: Any) -> None:
    answer = city.app.test_client().post(
        "/v1/credentials", json={"public_key": key}, headers=bearer(city.drivers["li"]))

    assert answer.status_code == 400
    assert credentials_of(city) == []


def test_an_ended_credential_leaves_and_enters_no_more(city: City) -> None:
    phone = bound_phone(city)
    city.scan(1, "entry", code=phone.show())
    extensions, old = city.app.extensions, now() - timedelta(days=2)
    with extensions["database"].reading() as db:
        signing = extensions["key_safe"].code_key(db, now=now())
    _, ended, _ = issue_credential(
        signing, city=extensions["city"], holder_key=phone.wire[11:44],
        status_index=phone.bound["status_index"], now=old)
    phone.wire = ended

    assert city.scan(2, "entry", code=phone.show(counter=1))["reason"] == "code_expired"
    assert city.scan(2, "exit", code=phone.show(counter=2))["reason"] == "code_expired", "it is not inside there"
    assert city.scan(1, "exit", code=phone.show(counter=3))["parking_session"]["state"] == "closed"


def test_a_phone_bound_to_a_vehicle_is_that_vehicles(city: City) -> None:
    phone = bound_phone(city, plate=PLATE)

    assert city.scan(1, "entry", code=phone.show(), plate="京B54321")["reason"] == "plate_mismatch"
    assert city.scan(1, "entry", code=phone.show(counter=1), plate=PLATE)["reason"] == "entered"
    assert city.scan(1, "exit", plate=PLATE)["parking_session"]["state"] == "closed"


def test_a_proof_alone_is_known_by_its_place(city: City) -> None:
    phone = bound_phone(city)

    assert city.scan(1, "entry", code=phone.prove())["reason"] == "entered"
    assert city.scan(1, "exit", code=phone.prove(counter=1))["parking_session"]["state"] == "closed"
    revoke_all(city)
    assert city.scan(1, "entry", code=phone.prove(counter=2))["reason"] == "code_revoked"
    phone.bound["status_index"] = 4_000_000_000
    assert city.scan(1, "entry", code=phone.prove(counter=3))["reason"] == "code_unknown_key"


def test_a_challenge_opens_for_the_nonce_on_the_gates_screen_once(city: City) -> None:
    phone = bound_phone(city)
    signed = phone.answer(b"nonce-7")

    assert city.scan(1, "entry", code=signed)["reason"] == "code_stale"
    assert city.scan(1, "entry", code=signed, nonce=b"another".hex())["reason"] == "code_stale"
    assert city.scan(1, "entry", code=signed, nonce=b"nonce-7".hex())["reason"] == "entered"
    assert city.scan(2, "entry", code=signed, nonce=b"nonce-7".hex())["reason"] == "code_used"


def test_paper_enters_only_with_its_plate_again_and_again_until_it_is_ended(city: City) -> None:
    paper = paper_of(city)

    assert city.scan(1, "entry", code=paper)["reason"] == "plate_unreadable"
    assert city.scan(1, "entry", code=paper, plate="京B54321")["reason"] == "plate_mismatch"
    for _ in range(2):
        assert city.scan(1, "entry", code=paper, plate=PLATE)["reason"] == "entered"
        assert city.scan(1, "exit", code=paper)["parking_session"]["state"] == "closed"
    revoke_all(city)
    assert city.scan(1, "entry", code=paper, plate=PLATE)["reason"] == "code_revoked"


def test_a_key_that_was_stolen_takes_its_credentials_with_it(city: City) -> None:
    phone = bound_phone(city)
    extensions = city.app.extensions
    kid = jwt.get_unverified_header(phone.bound["credential"])["kid"]

    extensions["database"].write(lambda db: revoke_key(
        db, "code", kid, sealer=extensions["secrets"].sealer, now=now()))

    assert city.scan(1, "entry", code=phone.show())["reason"] == "code_revoked"
    phone.bind()
    assert city.scan(1, "entry", code=phone.show(counter=1))["reason"] == "entered", "bound anew under the next key"


def test_what_is_printed_is_read_back(city: City) -> None:
    paper = Paper("停车码 Parking", ("母亲", PLATE), paper_of(city))

    for make, least in ((print_page, 1), (print_cards, 10)):
        pdf = make(paper)
        assert pdf.startswith(b"%PDF")
        image = pages_of(pdf)
        assert [each.text for each in zxingcpp.read_barcodes(
            image, formats=zxingcpp.BarcodeFormat.QRCode)].count(paper.digits) == least


def pages_of(pdf: bytes) -> Image.Image:
    """The one picture that the PDF holds."""
    picture = next(iter(PdfReader(io.BytesIO(pdf)).pages[0].images))
    return Image.open(io.BytesIO(picture.data)).convert("L")


def test_the_page_prints_and_ends(city: City) -> None:
    client, headers = city.app.test_client(), {**bearer(city.drivers["li"]), "Accept-Language": "en"}

    printed = client.post("/driver/paper", data={"label": "<b>grandma", "size": "cards"}, headers=headers)
    page = client.get("/driver/phones", headers=headers).get_data(as_text=True)

    assert printed.mimetype == "application/pdf" and printed.headers["Cache-Control"] == "no-store"
    assert "&lt;b&gt;grandma" in page and "on paper" in page
    assert client.post("/driver/paper", data={"plate": "京B54321"}, headers=headers).status_code == 409
    assert client.post("/driver/phones", data={"subject": "zz"}, headers=headers).status_code == 400
    assert client.post("/driver/phones", data={"subject": "00" * 16}, headers=headers).status_code == 303
