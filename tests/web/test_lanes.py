"""What a lane fetches, what an operator finds in the inbox, and who may not."""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import re
import secrets as randomness
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import insert, select, update

from parking.cli import group
from parking.core.clock import format_instant
from parking.core.plate import parse_plate
from parking.core.pseudonym import lot_plate_key
from parking.core.status_list import pack_indexes
from parking.edge.bundle import read_bundle, read_indexes
from parking.edge.key_set import read_root as read_pinned
from parking.services import vouch
from parking.services.rotate import revoke_key, rotate_key
from parking.services.watch import watch_terminals
from parking.store import credentials, drivers
from parking.store.credentials import Credential
from parking.store.drivers import Driver
from parking.store.pairing_codes import PairingCode
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.silences import TerminalSilence
from parking.store.terminals import Terminal
from parking.store.vehicles import Vehicle
from tests.city import City, bearer, now
from tests.walks.test_journals import LI, OTHER, ago, rules, scan


def fetch(city: City, lot: int, gate: str, **headers: str) -> Any:
    return city.app.test_client().get("/v1/terminal/bundle", headers={**bearer(city.tokens[lot, gate]), **headers})


def post(city: City, path: str, token: str, body: Any) -> Any:
    return city.app.test_client().post(path, json=body, headers=bearer(token))

NOBODYS = "00000000-0000-7000-8000-000000000001"


class TestTheInbox:
    def test_an_operator_sees_its_own_and_resolves_it_once(self, city: City) -> None:
        city.tell(1, "exit", [scan(1, "exit", ago(30), plate=LI)])
        city.tell(2, "exit", [scan(1, "exit", ago(20), plate=OTHER)])
        first, second = city.operators

        mine = city.get("/v1/anomalies", first)["items"]
        assert [(each["lot_id"], each["rule"]) for each in mine] == [(1, "exit_without_entry")]
        assert mine[0]["facts"][0]["terminal_id"] == str(city.terminal_ids[1, "exit"])
        assert mine[0]["says"]["zh"] and mine[0]["gate"] == "exit"
        path = f"/v1/anomalies/{mine[0]['id']}/resolve"
        assert post(city, path, second, {"note": "not mine"}).status_code == 404
        assert post(city, path, city.drivers["li"], {"note": "not mine"}).status_code == 403
        assert post(city, path, first, {"note": ""}).status_code == 400
        assert post(city, path, first, {"note": "gate was open"}).get_json()["note"] == "gate was open"
        assert post(city, path, first, {"note": "again"}).get_json()["note"] == "gate was open"

        assert city.get("/v1/anomalies", first)["items"] == []
        assert len(city.get("/v1/anomalies?state=resolved", first)["items"]) == 1
        assert len(city.get("/v1/anomalies?state=all&rule=exit_without_entry", second)["items"]) == 1
        city.tell(1, "entry", [scan(1, "entry", ago(90), plate=LI)])
        assert len(city.get("/v1/anomalies?state=all", first)["items"]) == 1, "a person has looked at it"

    @pytest.mark.parametrize("name", ["x", "1.x", f"1.{NOBODYS}", f"9.{NOBODYS}", f"0.{NOBODYS}"])
    def test_none_and_anothers_look_alike(self, city: City, name: str) -> None:
        for path in (f"/v1/anomalies/{name}/resolve", f"/console/anomalies/{name}"):
            assert post(city, path, city.operators[0], {"note": "x"}).status_code == (
                404 if path.startswith("/v1") else 303)
        page = city.app.test_client().get(f"/console/anomalies/{name}", headers=bearer(city.operators[0]))
        assert page.status_code == 404

    def test_pages_of_the_list_hold_each_once(self, city: City) -> None:
        city.tell(1, "exit", [scan(each, "exit", ago(90 - each), plate=f"沪C0000{each}") for each in range(1, 8)])
        seen, cursor = [], ""
        while True:
            page = city.get(f"/v1/anomalies?limit=3{cursor}", city.operators[0])
            seen += [each["id"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"

        assert len(seen) == len(set(seen)) == 7
        assert city.app.test_client().get(
            "/v1/anomalies?cursor=x", headers=bearer(city.operators[0])).status_code == 400

    def test_the_lot_of_another_operator_is_named_and_no_more(self, city: City) -> None:
        at = ago(30)
        code = city.code_of("wang", at)
        city.tell(1, "entry", [scan(1, "entry", at, code=code)])
        city.tell(2, "entry", [scan(1, "entry", at, code=code, plate=OTHER)])

        for operator, own in zip(city.operators, (1, 2), strict=True):
            item = city.get("/v1/anomalies?rule=code_used_twice", operator)["items"][0]
            assert item["lot_id"] == own and len(item["facts"]) == 2
            assert {fact["lot_id"] for fact in item["facts"] if fact["terminal_id"]} == {own}

    def test_the_console_lists_them_with_the_missing_numbers_and_takes_a_note(self, city: City) -> None:
        city.tell(1, "entry", [scan(1, "entry", ago(50), plate=LI), scan(4, "entry", ago(40), plate=LI)])
        client, headers = city.app.test_client(), {**bearer(city.operators[0]), "Accept-Language": "en"}

        page = client.get("/console/anomalies", headers=headers).get_data(as_text=True)
        assert "entered again" in page and "2–3" in page
        item = city.get("/v1/anomalies", city.operators[0])["items"][0]
        one = client.get(f"/console/anomalies/{item['id']}", headers=headers).get_data(as_text=True)
        assert f"/console/parking-sessions/{item['parking_session_id']}" in one
        path = f"/console/anomalies/{item['id']}"
        assert client.post(path, data={"note": "\x00"}, headers=headers).status_code == 400
        assert client.post(path, data={"note": "seen"}, headers=headers).status_code == 303
        assert "seen" in client.get("/console/anomalies?state=resolved", headers=headers).get_data(as_text=True)
        other = client.post(path, data={"note": "x"}, headers=bearer(city.operators[1]))
        assert other.status_code == 404
        assert "To be looked at (1)" not in client.get("/console", headers=headers).get_data(as_text=True)
        assert rules(city) == ["entered_again"]


def sign(city: City) -> vouch.Root:
    _, root = vouch.make_root()
    city.app.extensions["database"].write(lambda db: vouch.sign_key_set(db, root, now=now()))
    return root


class TestTheBundle:
    def test_a_lane_reads_what_the_service_made(self, city: City) -> None:
        root = sign(city)
        city.scan(3, "entry", plate=LI)
        city.scan(3, "entry2", code=city.code("wang"))

        answer = fetch(city, 3, "exit")
        bundle = read_bundle(answer.get_data(), read_pinned(json.dumps(root.jwk)))

        assert (bundle.lot_id, bundle.direction, bundle.rules.collects) == (3, "exit", True)
        assert bundle.terminal_id == str(city.terminal_ids[3, "exit"])
        name = hmac.digest(lot_plate_key(city.app.extensions["secrets"].pepper, 3), LI.encode(), "sha256")[:16]
        assert set(bundle.by_plate) == {name}
        with city.app.extensions["database"].reading() as db:
            subjects = {name: drivers.get_driver(db, id_).code_subject for name, id_ in city.driver_ids.items()}
        assert set(bundle.by_subject) == set(subjects.values()), "wang came by code, and li has proved the plate"
        assert bundle.by_plate[name].tariff_hash == bundle.tariff_hash in bundle.tariffs
        assert [key.revoked for key in bundle.key_set.keys.values()] == [False]
        said = answer.get_data(as_text=True)
        assert LI not in said and not any(str(each) in said for each in city.driver_ids.values())

    def test_unchanged_it_is_not_sent_again(self, city: City) -> None:
        first = fetch(city, 1, "entry")
        tag = first.headers["ETag"]
        again = fetch(city, 1, "entry", **{"If-None-Match": tag})
        assert (again.status_code, again.get_data()) == (304, b"")
        assert fetch(city, 1, "exit", **{"If-None-Match": tag}).status_code == 200, "another gate's"
        assert fetch(city, 1, "entry", **{"If-None-Match": '"x", ' + tag}).status_code == 304

        city.scan(1, "entry", plate=LI)

        changed = fetch(city, 1, "entry", **{"If-None-Match": tag})
        assert changed.status_code == 200 and changed.headers["ETag"] != tag
        assert changed.get_json()["terminal"]["next_sequence"] == 2

    def test_it_is_gzipped_where_that_is_taken(self, city: City) -> None:
        plain, packed = fetch(city, 1, "entry"), fetch(city, 1, "entry", **{"Accept-Encoding": "gzip"})

        assert plain.headers.get("Content-Encoding") is None
        assert packed.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(packed.get_data()))["lot"] == plain.get_json()["lot"]
        assert "Accept-Encoding" in packed.headers["Vary"]

    def test_only_a_terminal_gets_it(self, city: City) -> None:
        for token in (city.drivers["li"], city.operators[0], "x"):
            assert city.app.test_client().get("/v1/terminal/bundle", headers=bearer(token)).status_code == 401

    def test_a_challenged_drivers_subjects_are_named(self, city: City) -> None:
        with city.app.extensions["database"].writing() as db:
            db.execute(update(Driver).where(Driver.driver_id == city.driver_ids["li"]).values(challenged_at=now()))
            subject = drivers.get_driver(db, city.driver_ids["li"]).code_subject

        assert fetch(city, 1, "entry").get_json()["challenged"] == [subject.hex()]

    def test_revoked_credentials_are_listed_until_they_would_have_ended(self, city: City) -> None:
        at = now()
        with city.app.extensions["database"].writing() as db:
            for index, ends, revoked in ((5, 1, True), (300, 1, True), (7, -8 * 24, True), (9, 1, False)):
                credentials.add_credential(db, Credential(
                    randomness.token_bytes(16), city.driver_ids["li"], "phone", randomness.token_bytes(33), index, None,
                    "phone", 1, at - timedelta(days=30), at + timedelta(hours=ends), None))
                if revoked:
                    db.execute(update(credentials.CredentialRow).where(
                        credentials.CredentialRow.status_index == index).values(revoked_at=at))

        assert read_indexes(fetch(city, 1, "entry").get_json()["revoked"]) == {5, 300}

    def test_a_crowded_lot_stays_small(self, city: City) -> None:
        """10,000 visits of drivers with a phone each, and one in a thousand of a million credentials revoked."""
        count, at = 400, ago(60)
        city.scan(1, "entry", plate=LI)
        with city.app.extensions["database"].writing() as db:
            row = db.execute(select(ParkingSessionRow)).scalar_one()
            like = {column.name: getattr(row, column.name) for column in ParkingSessionRow.__table__.columns}
            secrets = city.app.extensions["secrets"]
            for number in range(count):
                plate, driver = parse_plate(f"沪D{number:05d}"), uuid4()
                key = secrets.vehicle_key(plate)
                db.execute(insert(Driver).values(
                    driver_id=driver, code_subject=randomness.token_bytes(16), created_at=at))
                db.execute(insert(Vehicle).values(
                    vehicle_key=key, plate_sealed=secrets.seal_plate(plate).sealed, size="small", created_at=at))
                credentials.add_credential(db, Credential(
                    randomness.token_bytes(16), driver, "phone", randomness.token_bytes(33), number + 1, None, "phone",
                    1, at, now() + timedelta(hours=9), None))
                db.execute(insert(ParkingSessionRow).values({
                    **like, "parking_session_id": uuid4(), "vehicle_key": key, "driver_id": driver,
                    "entered_at": at + timedelta(milliseconds=1234 * number), "opened_by_sequence": number + 10}))

        sent = len(fetch(city, 1, "exit", **{"Accept-Encoding": "gzip"}).get_data())
        empty = len(fetch(city, 2, "exit", **{"Accept-Encoding": "gzip"}).get_data())
        revoked = len(pack_indexes(randomness.SystemRandom().sample(range(1, 1_000_000), 1000)))

        per_visit = (sent - empty) / count
        assert per_visit < 95
        assert 10_000 * per_visit + revoked + empty < 1_000_000


class TestTheKeySet:
    def test_it_is_signed_offline_and_says_when_it_is_old(self, city: City, tmp_path: Any) -> None:
        runner, file = city.app.test_cli_runner(), tmp_path / "root.pem"

        def run(*arguments: str) -> Any:
            return runner.invoke(group, ["keys", *arguments])

        assert "not signed yet" in run("list").output
        made = run("make-root", str(file))
        assert made.exit_code == 0 and file.stat().st_mode & 0o777 == 0o600
        assert run("make-root", str(file)).exit_code != 0, "a root is never overwritten"
        assert run("sign-set", "--root", str(file)).exit_code == 0
        assert "not signed yet" not in run("list").output
        jwk = json.loads(made.output.splitlines()[1])
        jws = fetch(city, 1, "entry").get_json()["key_set"]
        signed = json.loads(jwt.api_jws.decode(jws, jwt.PyJWK(jwk, "ES256").key, algorithms=["ES256"]))
        assert [each["kid"] for each in signed["keys"]] == [1]
        assert jwt.get_unverified_header(jws)["kid"] in made.output

        sealer = city.app.extensions["secrets"].sealer
        city.app.extensions["database"].write(lambda db: rotate_key(db, "code", sealer=sealer, now=now()))
        assert run("list").output.count("not signed yet") == 1
        assert run("sign-set", "--root", str(file)).exit_code == 0
        city.app.extensions["database"].write(lambda db: revoke_key(db, "code", "1", sealer=sealer, now=now()))
        assert "not signed yet" in run("list").output
        assert run("sign-set", "--root", str(file)).exit_code == 0
        assert "not signed yet" not in run("list").output
        bundle = read_bundle(fetch(city, 1, "entry").get_data(), read_pinned(json.dumps(jwk)))
        assert bundle.key_set.keys[1].revoked
        (tmp_path / "no.pem").write_text("x")
        assert run("sign-set", "--root", str(tmp_path / "no.pem")).exit_code != 0

    def test_without_a_signed_set_there_is_none(self, city: City) -> None:
        assert fetch(city, 1, "entry").get_json()["key_set"] is None


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_indexes_are_read_as_they_were_packed(count: int) -> None:
    indexes = randomness.SystemRandom().sample(range(1, 2**32), count)

    assert read_indexes(pack_indexes(indexes)) == set(indexes)
    assert zlib.decompress(base64.b64decode(pack_indexes([]))) == b""


class TestPairing:
    def make(self, city: City, lot: int = 1, gate: int = 1, who: int = 0) -> str:
        path = f"/console/lots/{lot}/gates/{gate}/pairing"
        page = city.app.test_client().post(path, headers=bearer(city.operators[who]))
        assert page.status_code == 200
        return re.findall(r"<code>([A-Z0-9-]+)</code>", page.get_data(as_text=True))[0]

    def test_a_code_pairs_one_device_at_its_gate(self, city: City) -> None:
        root, code = sign(city), self.make(city)

        made = post(city, "/v1/terminals/pair", "", {"pairing_code": code.lower().replace("-", " ")})
        assert made.status_code == 200
        paired = made.get_json()
        assert (paired["lot"]["id"], paired["gate"]["direction"]) == (1, "entry")
        assert paired["root"] == {"thumbprint": root.thumbprint, "jwk": root.jwk}
        city.tokens[1, "paired"] = paired["token"]
        assert city.scan(1, "paired", plate=LI)["reason"] == "entered"
        again = post(city, "/v1/terminals/pair", "", {"pairing_code": code})
        assert (again.status_code, again.get_json()["reason"]) == (401, "bad_pairing_code")

    def test_a_code_ends_and_guessing_is_slowed_down(self, city: City) -> None:
        code = self.make(city)
        with city.app.extensions["database"].writing() as db:
            db.execute(update(PairingCode).values(expires_at=ago(0.01)))

        assert post(city, "/v1/terminals/pair", "", {"pairing_code": code}).status_code == 401
        answers = [post(city, "/v1/terminals/pair", "", {"pairing_code": f"{n}"}).status_code for n in range(30)]
        assert set(answers) == {401, 429}

    def test_another_operators_gate_is_not_found(self, city: City) -> None:
        for lot, gate in ((2, 1), (1, 9), (9, 1)):
            path = f"/console/lots/{lot}/gates/{gate}/pairing"
            assert city.app.test_client().post(path, headers=bearer(city.operators[0])).status_code == 404
        assert city.app.test_client().post(
            "/console/lots/1/gates/1/pairing", headers=bearer(city.drivers["li"])).status_code == 403

    def test_two_devices_with_one_code_at_once_pair_one(self, city: City) -> None:
        code = self.make(city)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(
                lambda _: post(city, "/v1/terminals/pair", "", {"pairing_code": code}).status_code, range(4)))

        assert sorted(answers) == [200, 401, 401, 401]

    def test_a_replaced_token_holds_a_little_longer(self, city: City) -> None:
        old = city.tokens[1, "entry"]
        lost = post(city, "/v1/terminal/token", old, {}).get_json()["token"]
        new = post(city, "/v1/terminal/token", old, {}).get_json()["token"]
        city.get("/v1/terminal", lost, status=401)

        assert [city.get("/v1/terminal", token)["gate"]["id"] for token in (new, old)] == [1, 1]
        with city.app.extensions["database"].writing() as db:
            db.execute(update(Terminal).where(Terminal.old_token_hash.is_not(None)).values(old_token_until=ago(0.01)))
        city.get("/v1/terminal", old, status=401)
        city.get("/v1/terminal", new)


def test_a_terminal_that_fell_silent_is_noticed_once_and_heard_again(city: City) -> None:
    database, at = city.app.extensions["database"], now()
    city.get("/v1/terminal", city.tokens[1, "entry"])
    client, headers = city.app.test_client(), {**bearer(city.operators[0]), "Accept-Language": "en"}

    assert watch_terminals(database, now=at) == 0
    assert watch_terminals(database, now=at + timedelta(minutes=3)) == 1
    assert watch_terminals(database, now=at + timedelta(minutes=4)) == 0
    page = client.get("/console", headers=headers).get_data(as_text=True)
    assert "Silent terminals" in page
    city.tell(1, "entry", [])
    assert watch_terminals(database, now=now()) == 1
    with database.reading() as db:
        found = db.execute(select(TerminalSilence.lost_at, TerminalSilence.restored_at)).all()
    assert len(found) == 1 and found[0].restored_at is not None
    assert "Silent terminals" not in client.get(
        "/console", headers={**headers, **bearer(city.operators[1])}).get_data(as_text=True)


def test_the_console_shows_how_old_a_lanes_bundle_is(city: City) -> None:
    city.tell(1, "entry", [{"sequence": 1, "kind": "heartbeat", "occurred_at": format_instant(now()),
                            "bundle_made_at": format_instant(ago(42.5))}])

    page = city.app.test_client().get("/console", headers={**bearer(city.operators[0]), "Accept-Language": "en"})

    assert "42 min" in page.get_data(as_text=True)
