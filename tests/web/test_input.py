"""Bad input gets a clear answer, the wrong caller none at all, and the document is true."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from parking.core.clock import format_instant
from parking.core.json_text import BadJson, load_strict
from parking.services.sign_in import hash_password
from parking.store import logins
from parking.web.openapi import openapi
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.serving import ENVIRONMENT, serving


@pytest.fixture
def served(sqlite_template: Path, tmp_path: Path) -> Iterator[str]:
    shutil.copy(sqlite_template, tmp_path / "served.sqlite3")
    with serving(f"sqlite:///{tmp_path / 'served.sqlite3'}") as (address, _):
        yield address


def good_scan() -> dict[str, Any]:
    return {"scan_id": str(uuid4()), "sequence": 1, "scanned_at": format_instant(now()), "plate": "沪A12345"}


@pytest.mark.parametrize(("field", "value"), [
    ("scan_id", "x"), ("scan_id", 5), ("scan_id", None), ("sequence", 0), ("sequence", "1"), ("sequence", 1.5),
    ("sequence", 2**55), ("sequence", True), ("scanned_at", "yesterday"), ("scanned_at", "2026-02-30T00:00:00Z"),
    ("scanned_at", "2026-03-10T09:00:60Z"), ("scanned_at", "2026-03-10T09:00:00"),
    ("scanned_at", "9999-12-31T23:59:59-12:00"),
    ("plate", ""), ("plate", 5), ("plate", "x" * 100), ("plate_confidence", 1.1), ("plate_confidence", "1"),
    ("clock_offset_ms", 10**15), ("code", ""), ("code", ["x"]), ("operator_id", "mine"),
])
def test_a_field_that_cannot_be_read_is_named(city: City, field: str, value: object) -> None:
    answer = city.app.test_client().post(
        "/v1/scans", json={**good_scan(), field: value}, headers=bearer(city.tokens[1, "entry"]))

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["errors"][0]["field"] == field


@pytest.mark.parametrize("raw", [
    b"", b"null", b"[]", b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 5000, b'{"a":"\\ud800"}', b'{"a":"\\u0000"}',
    b"\xff\xfe", b'{"sequence":' + b"9" * 5000 + b"}", b'{"a":1e999}', b'"' + b'\\"' * 20000,
])
def test_what_is_not_strict_json_is_refused(city: City, raw: bytes) -> None:
    headers = {**bearer(city.tokens[1, "entry"]), "Content-Type": "application/json"}

    assert city.app.test_client().post("/v1/scans", data=raw, headers=headers).status_code == 400


def test_strict_json_keeps_what_is_json() -> None:
    assert load_strict(b'{"a": [1, -2.5, true, null, "\xe6\xb2\xaa\\n"]}') == {"a": [1, -2.5, True, None, "沪\n"]}
    with pytest.raises(BadJson):
        load_strict(b'{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{}}}}}}}}}')


def test_a_large_body_and_another_content_type_are_refused(city: City) -> None:
    client, headers = city.app.test_client(), bearer(city.tokens[1, "entry"])

    large = {**good_scan(), "code": "9" * 70_000}
    assert client.post("/v1/scans", json=large, headers=headers).status_code == 413
    assert client.post("/v1/scans", data="x=1", headers=headers).status_code == 415
    assert client.post("/v1/scans", json={**good_scan(), "plate": None}, headers=headers).status_code == 400


def test_over_real_http_what_is_too_long_gets_its_answer(served: str) -> None:
    """What gunicorn refuses itself, and a body that we refuse while it is still being sent."""
    def ask(method: str, path: str, **sent: Any) -> tuple[int, str | None]:
        line = http.client.HTTPConnection(served.removeprefix("http://"), timeout=10)
        line.request(method, path, **sent)
        answer = line.getresponse()
        return answer.status, answer.getheader("Content-Type")

    json_type = {"Content-Type": "application/json"}
    assert ask("GET", "/v1/lots?x=" + "x" * 5000) == (414, "text/html")
    assert ask("GET", "/livez", headers={"X-Long": "x" * 9000}) == (431, "text/html")
    assert ask("GET", "/livez", headers={f"X-{number}": "x" for number in range(60)})[0] == 431
    quote = ask("POST", "/v1/quotes", body=b"x" * 900_000, headers=json_type)
    assert quote == (413, "application/problem+json")
    chunked = ask("POST", "/v1/quotes", body=iter([b"x" * 70_000]), headers=json_type, encode_chunked=True)
    assert chunked == (413, "application/problem+json")


CALLS = (
    ("POST", "/v1/scans", {"terminal"}), ("GET", "/v1/terminal", {"terminal"}), ("POST", "/v1/codes", {"driver"}),
    ("GET", "/v1/codes/current.png", {"driver"}), ("GET", "/v1/codes/current.svg", {"driver"}),
    ("GET", "/v1/parking-sessions", {"driver", "operator"}), ("POST", "/v1/lane-events", {"terminal"}),
    ("GET", "/v1/terminal/bundle", {"terminal"}), ("POST", "/v1/terminal/token", {"terminal"}),
    ("GET", "/v1/anomalies", {"operator"}), ("GET", "/console/anomalies", {"operator"}),
    ("GET", "/driver", {"driver"}), ("GET", "/driver/inside", {"driver"}), ("GET", "/console", {"operator"}),
    ("GET", "/console/parking-sessions", {"operator"}),
)


@pytest.mark.parametrize(("method", "path", "audience"), CALLS)
def test_the_wrong_audience_is_refused(city: City, method: str, path: str, audience: set[str]) -> None:
    tokens = {"terminal": city.tokens[1, "entry"], "driver": city.drivers["li"], "operator": city.operators[0],
              "nobody": "x", "hostile": "' OR 1=1 --"}
    for who, token in tokens.items():
        answer = city.app.test_client().open(path, method=method, json={} if method == "POST" else None,
                                             headers=bearer(token))
        if who in audience:
            assert answer.status_code in (200, 400), (who, answer.status_code)
        else:
            assert answer.status_code in (401, 403), (who, answer.status_code)


def test_a_cookie_is_no_bearer_and_another_site_cannot_use_it(city: City) -> None:
    client = city.app.test_client()
    client.set_cookie("login", city.drivers["li"])
    assert client.get("/v1/parking-sessions").status_code == 401, "a bearer token is no cookie"
    client.set_cookie("terminal", city.tokens[1, "entry"])
    assert client.post("/v1/scans", json=good_scan(), headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/v1/scans", json=good_scan(), headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/v1/scans", json=good_scan(), headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_sign_in_tells_nobody_which_part_was_wrong(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        password = hash_password("open-sesame")
        for login in ("known@city", "closed@city"):
            logins.add_account(db, login=login, password_hash=password, driver_id=city.driver_ids["li"])
        logins.note_attempt(db, "closed@city", failed_count=9, locked_until=now() + timedelta(minutes=5))

    def ask(login: str, password: str) -> tuple[int, str]:
        answer = city.app.test_client().post("/sign-in", data={"login": login, "password": password})
        return answer.status_code, answer.get_data(as_text=True).replace(login, "")

    wrong = ask("known@city", "guess")
    assert wrong == ask("nobody@city", "guess") == ask("closed@city", "open-sesame")
    assert wrong[0] == 401
    assert ask("known@city", "open-sesame")[0] in (302, 303)


def test_many_guesses_at_once_are_all_counted(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parking.web.sign_in.HASHING_WAIT_SECONDS", 60)
    with city.app.extensions["database"].writing() as db:
        logins.add_account(
            db, login="li", password_hash=hash_password("open-sesame"), driver_id=city.driver_ids["li"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: city.app.test_client().post(
            "/sign-in", data={"login": "li", "password": f"guess {number}"}), range(8)))

    with city.app.extensions["database"].reading() as db:
        account = db.execute(select(logins.Account)).scalar_one()
    assert account.failed_count >= 5 and account.locked_until is not None


def test_a_quote_for_anyone_and_a_tariff_of_ones_own_for_operators(city: City) -> None:
    client = city.app.test_client()
    asked = {"tariff": "TEST-HOURLY", "entered_at": "2026-03-10T09:00:00+08:00", "left_at": "2026-03-10T10:00:01+08:00"}

    quote = client.post("/v1/quotes", json=asked).get_json()
    assert (quote["total_fen"], quote["tariff"]["version"]) == (2000, 1)
    assert client.post("/v1/quotes", json={**asked, "tariff": "NO-SUCH"}).status_code == 404
    own = {**asked, "tariff": {"code": "MY-OWN", "name": {"en": "x"}, "time_zone": "UTC",
                               "rule": {"kind": "flat", "fen": 700}}}
    assert client.post("/v1/quotes", json=own).status_code == 403
    priced = client.post("/v1/quotes", json=own, headers=bearer(city.operators[0]))
    assert priced.get_json()["total_fen"] == 700
    own["tariff"]["rule"]["fen"] = 1.5
    refused = client.post("/v1/quotes", json=own, headers=bearer(city.operators[0]))
    assert refused.status_code == 400 and "tariff.rule" in refused.get_json()["errors"][0]["field"]


def test_a_locked_database_is_a_clear_503_and_nothing_is_half_written(city: City) -> None:
    database = city.app.extensions["database"]
    if not database.is_sqlite:
        pytest.skip("PostgreSQL has no lock on the whole file")
    with sqlite3.connect(database.engine.url.database, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = city.app.test_client().post("/v1/scans", json=good_scan(), headers=bearer(city.tokens[1, "entry"]))
        other.execute("ROLLBACK")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert city.scan(1, "entry", plate="沪A12345", sequence=1)["reason"] == "entered"


def test_a_database_that_is_gone_is_a_clear_503(app, city: City) -> None:
    from tests.conftest import make_app

    gone = make_app("postgresql://nobody@/none?host=/nonexistent")

    assert gone.test_client().get("/readyz").status_code == 503
    assert gone.test_client().post("/v1/scans", json=good_scan(), headers=bearer("x")).status_code == 503


def test_pages_are_served_with_a_strict_policy_and_escape_what_they_show(city: City) -> None:
    from sqlalchemy import update

    from parking.store.lots import Lot

    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(name={"en": "<img src=x onerror=alert(1)>\u202e'\""}))
    client = city.app.test_client()

    page = client.get("/", headers={"Accept": "text/html", "Accept-Language": "en"})

    assert "<img" not in page.get_data(as_text=True)
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert client.get("/sign-in?next=//evil.example").get_data(as_text=True).count("evil.example") == 0


def test_each_shape_that_the_document_names_is_in_it(city: City) -> None:
    with city.app.app_context():
        document = openapi(city.app)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))

    shapes = document["components"]["schemas"].keys()
    assert named and named - shapes == set()
    assert [each for each in shapes if "__" in each] == [], "two shapes of one name"


@pytest.mark.parametrize("caller", ["driver", "terminal", "operator"])
def test_the_document_is_true(city: City, tmp_path: Path, caller: str) -> None:
    """schemathesis against the app: no 5xx, no answer that the document does not state.

    Everything is tried with each caller's token; made-up values are tried where the caller comes past the guard.
    """
    with city.app.app_context():
        document = openapi(city.app)
    (tmp_path / "all.json").write_text(json.dumps(document))
    (tmp_path / "own.json").write_text(json.dumps({**document, "paths": _paths_of(city, document, caller)}))
    url = city.app.extensions["database"].engine.url.render_as_string(hide_password=False)
    (tmp_path / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\n"
        'expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "414", "415", "429", "431", "503"]\n')
    token = {
        "driver": city.drivers["li"], "terminal": city.tokens[1, "entry"], "operator": city.operators[0]}[caller]
    with simulated_channel() as channel, serving(url) as (address, _):
        connect(city.app, channel)
        for stated, phases in (("all.json", "coverage,stateful"), ("own.json", "fuzzing")):
            done = subprocess.run(
                [str(Path(sys.executable).parent / "schemathesis"), "run", str(tmp_path / stated),
                 "--url", address, "--max-examples", "30", "--no-color", "--phases", phases,
                 "--header", f"Authorization: Bearer {token}",
                 # Years, plates and "a code or a plate" are rules that a JSON schema does not state.
                 "--exclude-checks", "positive_data_acceptance"],
                capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, timeout=600,
            )
            assert done.returncode == 0, done.stdout[-9000:]


def _paths_of(city: City, document: dict[str, Any], caller: str) -> dict[str, Any]:
    """The operations that this caller, or anyone, may use."""
    views: dict[str, Any] = {
        f"{method.lower()}_{rule.endpoint.replace('.', '_')}": city.app.view_functions[rule.endpoint]
        for rule in city.app.url_map.iter_rules() for method in rule.methods or ()}
    paths = {path: {
        method: operation for method, operation in operations.items()
        if {caller, "anyone"} & {*views[operation["operationId"]].audience.split(", ")}
    } for path, operations in document["paths"].items()}
    return {path: operations for path, operations in paths.items() if operations}
