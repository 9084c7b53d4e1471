"""The lint by API and from the shell: what it finds, that its stays cost what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.city import City, bearer
from tests.tariff_desk import ask, make_tariff, second_of, write_draft

FALLS = make_tariff("FALLS", rule={
    "kind": "ladder", "rungs": [{"minutes": 60, "fen": 800}, {"minutes": 120, "fen": 500}]})
CHAINED = make_tariff("CHAINED", rule={
    "kind": "free_within", "minutes": 30, "then": {"kind": "steps", "steps": [{"minutes": 60, "fen": 500}]}})
QUIET = make_tariff("QUIET")


def lint(city: City, body: Any, *, token: str | None = None, status: int = 200) -> dict[str, Any]:
    return ask(city, token or city.operators[0], "POST", "/v1/tariff-lint", body, status=status)


def shell(city: City, *arguments: str) -> Any:
    return city.app.test_cli_runner().invoke(args=["parking", "tariffs", "lint", *arguments])


def written(folder: Path, tariff: Any) -> str:
    file = folder / f"{tariff['code']}.json"
    file.write_text(json.dumps(tariff), "utf-8")
    return str(file)


def test_a_finding_is_told_with_a_stay_that_costs_what_it_says(city: City) -> None:
    found = lint(city, {"tariff": FALLS})

    assert found["tariff"]["code"] == "FALLS" and found["tariff"]["version"] == 0
    worst = found["findings"][0]
    assert (worst["rule"], worst["level"], worst["path"]) == ("price_falls", "wrong", "rule")
    assert worst["says"]["en"].startswith("Staying longer costs less: ") and set(worst["says"]) == {"zh", "en", "fr"}
    stays = [worst["example"], *worst["compared"]]
    assert [each["total_fen"] for each in stays] == [500, 800]
    for stay in stays:
        asked = {name: stay[name] for name in ("entered_at", "left_at", "vehicle", "context")}
        quoted = ask(city, city.operators[0], "POST", "/v1/quotes", {"tariff": FALLS, **asked})
        assert quoted["total_fen"] == stay["total_fen"]


def test_versions_and_drafts_of_ones_own_are_linted(city: City) -> None:
    wu, zhou = city.operators[0], city.operators[1]
    draft = {"draft_id": write_draft(city, second_of(city, wu), FALLS)["id"]}

    assert lint(city, {"code": "TEST-HOURLY"}) == lint(city, {"code": "TEST-HOURLY", "version": 1})
    assert lint(city, {"code": "TEST-HOURLY"})["tariff"]["version"] == 1
    assert lint(city, draft)["findings"] == lint(city, {"tariff": FALLS})["findings"]
    for ref in ({"code": "TEST-HOURLY"}, draft):
        lint(city, ref, token=zhou, status=404)
    lint(city, {"code": "TEST-HOURLY", "version": 2}, status=404)


def test_what_is_no_tariff_is_named_by_its_path(city: City) -> None:
    refused = lint(city, {"tariff": make_tariff(fen=-1)}, status=400)
    nothing = lint(city, {}, status=400)

    assert (refused["reason"], refused["errors"][0]["field"]) == ("bad_tariff", "tariff.rule.steps.steps.0.fen")
    assert nothing["reason"] == "bad_request"


@pytest.mark.parametrize(("raw", "status"), [
    (b'{"tariff":' + b'{"rule":' * 60 + b"1" + b"}" * 61, 400), (b'{"tariff":NaN}', 400), (b"[]", 400),
    (json.dumps({"tariff": make_tariff(name={"en": "x" * 70_000})}).encode(), 413),
    (json.dumps({"tariff": make_tariff(rule={"kind": "sum", "of": [QUIET["rule"]] * 101})}).encode(), 400),
])
def test_what_is_too_deep_or_too_long_is_a_clear_problem(city: City, raw: bytes, status: int) -> None:
    headers = {**bearer(city.operators[0]), "Content-Type": "application/json"}

    answer = city.app.test_client().post("/v1/tariff-lint", data=raw, headers=headers)

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_it_is_for_an_operators_staff(city: City) -> None:
    assert city.app.test_client().post("/v1/tariff-lint", json={"tariff": QUIET}).status_code == 401


def test_the_shell_ends_with_one_only_where_something_is_wrong(city: City, tmp_path: Path) -> None:
    falls, chained, quiet = (written(tmp_path, each) for each in (FALLS, CHAINED, QUIET))

    silent, looked, wrong = shell(city, quiet), shell(city, chained), shell(city, quiet, falls, chained)

    assert (silent.exit_code, silent.output) == (0, "")
    assert looked.exit_code == 0 and f"{chained}: look: rule: Free minutes can be had again" in looked.output
    assert wrong.exit_code == 1 and f"{falls}: wrong: rule: " in wrong.output and "(price_falls)" in wrong.output
    said = shell(city, falls, "--language", "zh")
    assert "停得更久反而更便宜" in said.output and " 5.00" in said.output


def test_the_shell_writes_the_same_as_the_api(city: City, tmp_path: Path) -> None:
    done = shell(city, "--json", written(tmp_path, FALLS), written(tmp_path, QUIET))

    files = json.loads(done.stdout)["files"]
    assert [each["findings"] for each in files] == [lint(city, {"tariff": each})["findings"] for each in (FALLS, QUIET)]
    assert [Path(each["file"]).name for each in files] == ["FALLS.json", "QUIET.json"]


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b"\xff\xfe", b'{"code": "X"}', json.dumps(make_tariff(fen=-1)).encode(), b"[" * 5000,
    b'{"code":1,"code":2}', b" " * 1_100_000 + b"{}",
])
def test_a_file_that_is_no_tariff_ends_with_two_and_no_traceback(city: City, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "none.json").write_bytes(text)

    done = shell(city, str(tmp_path / "none.json"), written(tmp_path, FALLS))
    told = json.loads(shell(city, "--json", str(tmp_path / "none.json")).stdout)["files"][0]

    assert done.exit_code == 2 and "none.json: no tariff: " in done.stderr and "Traceback" not in done.output
    assert "FALLS.json: wrong: " in done.stdout
    assert told["errors"] and told["findings"] == []


def test_a_file_that_is_not_there_ends_with_two(city: City) -> None:
    assert shell(city, "no-such-file.json").exit_code == 2
