"""Tariffs to other systems and from them: anyone reads what is published, an operator's staff have theirs read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from parking.core.tariff import read_tariff
from tests.city import HOURLY, City, bearer
from tests.tariff_desk import write_draft

DOCUMENTS = json.loads((Path(__file__).parents[1] / "cases" / "apds_documents.json").read_text("utf-8"))
IMPORT = "/v1/apds-readings?code=THEIRS-1&time_zone=Asia/Shanghai"


def send(city: City, document: Any, *, path: str = IMPORT, token: str | None = None, status: int = 200) -> Any:
    answer = city.app.test_client().post(path, json=document, headers=bearer(token or city.operators[0]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def test_anyone_reads_a_published_tariff_and_it_comes_back_as_the_very_one(city: City) -> None:
    answer = city.app.test_client().get("/v1/tariffs/TEST-HOURLY/apds")

    assert answer.status_code == 200
    data = answer.get_json()
    right, (table,) = data["rightSpecifications"][0], data["rateTables"]
    assert {each["id"] for each in right["hierarchyElements"]} == {"1", "2", "3"}
    (line,) = table["rateLineCollections"][0]["rateLines"]
    assert (line["incrementPeriod"], line["value"], table["version"]) == ("PT1H", 10, 1)
    back = send(city, data)
    assert back["hash"] == read_tariff(HOURLY).hash
    assert back["in_force_from"] == "2020-01-01T00:00:00Z"
    assert {each["effect"] for each in back["findings"]} <= {"note", "reading"}


def test_what_is_not_in_force_is_not_found(city: City) -> None:
    client = city.app.test_client()

    assert client.get("/v1/tariffs/NO-SUCH/apds").status_code == 404
    assert client.get("/v1/tariffs/TEST-HOURLY/apds?at=2019-12-31T00:00:00Z").status_code == 404
    assert client.get("/v1/tariffs/TEST-HOURLY/apds?at=yesterday").get_json()["errors"][0]["field"] == "at"


def test_a_document_of_another_system_becomes_data_that_can_be_a_draft(city: City) -> None:
    made = send(city, DOCUMENTS[0]["document"])

    assert made["tariff"]["code"] == "THEIRS-1"
    assert [(each["path"], each["effect"]) for each in made["findings"]] == [
        ("rateLineCollections.0.rateLines.0.description", "note")]
    assert write_draft(city, city.operators[0], made["tariff"])["hash"] == made["hash"]


def test_what_is_open_is_said_in_the_query(city: City) -> None:
    document = DOCUMENTS[1]["document"]

    unsaid, said = send(city, document), send(city, document, path=f"{IMPORT}&tiers=total&beyond=again")

    assert unsaid["tariff"] is None and unsaid["hash"] is None
    assert {each["reason"] for each in unsaid["findings"] if each["effect"] == "price"} == {"tiers_open"}
    assert said["tariff"]["rule"]["each"]["kind"] == "ladder"


@pytest.mark.parametrize(("path", "field"), [
    ("/v1/apds-readings?time_zone=UTC", "code"), ("/v1/apds-readings?code=A-1&time_zone=Mars/Base", "time_zone"),
    (f"{IMPORT}&tiers=both", "tiers"), (f"{IMPORT}&currency=CNY", "currency")])
def test_a_query_that_cannot_be_read_names_the_field(city: City, path: str, field: str) -> None:
    answer = send(city, DOCUMENTS[0]["document"], path=path, status=400)

    assert [each["field"] for each in answer["errors"]] == [field]


def test_only_staff_have_documents_read(city: City) -> None:
    client = city.app.test_client()

    assert client.post(IMPORT, json=DOCUMENTS[0]["document"]).status_code == 401
    send(city, DOCUMENTS[0]["document"], token=city.drivers["li"], status=403)


@pytest.mark.parametrize("body", [b"[]", b"{", b"{" + b'"a":{' * 60 + b"}" * 61, b'{"a":NaN}'])
def test_a_body_that_is_no_document_is_refused(city: City, body: bytes) -> None:
    answer = city.app.test_client().post(
        IMPORT, data=body, headers={**bearer(city.operators[0]), "Content-Type": "application/json"})

    assert answer.status_code == 400


def test_a_document_may_be_longer_than_other_bodies_but_has_an_end(city: City) -> None:
    document = copy.deepcopy(DOCUMENTS[0]["document"])
    document["extensions"] = {"x": "y" * 100_000}

    assert send(city, document)["tariff"] is not None
    document["extensions"] = {"x": "y" * 600_000}
    send(city, document, status=413)


def test_the_shell_writes_and_reads_them(city: City, tmp_path: Path) -> None:
    run, theirs, ours = city.app.test_cli_runner().invoke, tmp_path / "theirs.json", tmp_path / "ours.json"
    theirs.write_text(json.dumps(DOCUMENTS[2]["document"]), "utf-8")
    read = ["parking", "tariffs", "import-apds", str(theirs), "--code", "THEIRS-3", "--time-zone", "Asia/Shanghai"]

    out = run(args=["parking", "tariffs", "export-apds", "TEST-HOURLY"])
    unsaid, said = run(args=read), run(args=[*read, "--tiers", "each", "--beyond", "no_more"])
    ours.write_text(out.stdout, "utf-8")
    back = run(args=["parking", "tariffs", "import-apds", str(ours), "--code", "X-1", "--time-zone", "UTC"])

    assert out.exit_code == 0 and "seconds_not_said" in out.stderr
    assert (unsaid.exit_code, unsaid.stdout) == (1, "") and "tiers_open" in unsaid.stderr
    assert said.exit_code == 0 and json.loads(said.stdout)["code"] == "THEIRS-3" and "max_stay" in said.stderr
    assert read_tariff(json.loads(back.stdout)).hash == read_tariff(HOURLY).hash
    assert run(args=["parking", "tariffs", "export-apds", "NO-SUCH"]).exit_code == 1
