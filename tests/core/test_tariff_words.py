"""A tariff in words says what its data says: every number of it, and no other."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core import rule as language
from parking.core import time_words
from parking.core.tariff import Tariff, read_tariff
from parking.core.tariff_facts import find_facts
from parking.core.tariff_words import _WORDS, describe, remarks
from parking.core.walls import WEEKDAYS

CASES = Path(__file__).parents[1] / "cases" / "further_tariffs.json"
DEMO = json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
TARIFFS = {data["code"]: data for data in [*DEMO, *(each["tariff"] for each in json.loads(CASES.read_text("utf-8")))]}

minutes, amounts = st.integers(1, 3000), st.integers(0, 20_000)
spans = st.builds(
    lambda days, start, end: {**({"days": days} if days else {}), **({"from": start, "to": end} if start else {})},
    st.lists(st.sampled_from(WEEKDAYS), max_size=4, unique=True),
    st.sampled_from(["", "06:30", "22:00"]), st.sampled_from(["00:00", "07:15", "19:45"]))
leaves = st.one_of(
    st.builds(lambda fen: {"kind": "flat", "fen": fen}, amounts),
    st.builds(lambda length, fen, how: {"kind": "pro_rata", "minutes": length, "fen": fen, "round": how},
              minutes, amounts, st.sampled_from(["half_up", "up", "down"])),
    st.builds(lambda first, last: {"kind": "steps", "steps": [*first, last]},
              st.lists(st.builds(lambda length, fen, times: {"minutes": length, "fen": fen, "times": times},
                                 minutes, amounts, st.integers(1, 9)), max_size=3),
              st.builds(lambda length, fen: {"minutes": length, "fen": fen}, minutes, amounts)),
    st.builds(lambda lengths, fen: {"kind": "ladder", "rungs": [
        {"minutes": length, "fen": fen + at} for at, length in enumerate(sorted(lengths))]},
        st.sets(minutes, min_size=1, max_size=4), amounts))


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda each, hours: {"kind": "blocks", "hours": hours, "each": each}, inner, st.integers(1, 72)),
        st.builds(lambda of, fen: {"kind": "cap", "fen": fen, "of": of}, inner, amounts),
        st.builds(lambda of, first, second, fen: {"kind": "cap", "of": of, "by_stay": [
            {"minutes": first, "fen": fen}, {"below": second, "fen": fen + 1}, {"fen": fen + 2}]},
            inner, minutes, minutes, amounts),
        st.builds(lambda then, length, first: {
            "kind": "free_within", "minutes": length, "first_stop_of_day": first, "then": then},
            inner, minutes, st.booleans()),
        st.builds(lambda then, length: {"kind": "free_first", "minutes": length, "then": then}, inner, minutes),
        st.builds(lambda then, large: {"kind": "vehicle_factor", "large": large, "then": then}, inner,
                  st.integers(0, 10)),
        st.builds(lambda then, fen: {"kind": "round", "to_fen": fen, "how": "up", "then": then}, inner,
                  st.integers(2, 1000)),
        st.builds(lambda day, night, at, to: {"kind": "windows", "windows": [
            {"name": "day", "from": at, "to": to, "each": day},
            {"name": "night", "from": to, "to": at, "each": night}]},
            inner, inner, st.sampled_from(["05:00", "07:30"]), st.sampled_from(["00:00", "19:30"])),
        st.builds(lambda week, end, at: {"kind": "days", "at": at, "days": [
            {"on": list(WEEKDAYS[:5]), "each": week}, {"on": list(WEEKDAYS[5:]), "each": end}]},
            inner, inner, st.sampled_from(["00:00", "04:00"])),
        st.builds(lambda each, every, at: {"kind": "periods", "every": every, "at": at, "each": each}, inner,
                  st.sampled_from(["day", "week"]), st.sampled_from(["00:00", "03:30"])),
        st.builds(lambda of, kind: {"kind": kind, "of": of}, st.lists(inner, min_size=2, max_size=3),
                  st.sampled_from(["sum", "lower_of"])),
        st.builds(lambda then, other, span, stay: {"kind": "when", "then": then, "else": other, "if": {
            "entered": [span], "left": [span], "stay_up_to": stay}}, inner, inner, spans, minutes))


rules = st.recursive(leaves, wrapped, max_leaves=6)


def tariff(rule: dict[str, Any]) -> Tariff:
    return read_tariff({"code": "WORDS", "name": {"en": "words"}, "time_zone": "Asia/Shanghai", "rule": rule})


def lines(of: Tariff, spoken: str) -> list[str]:
    """Indented as a sign would show them."""
    return ["  " * each.level + each.text[spoken] for each in describe(of)]  # type: ignore[index]


def numbers_of_data(rule: Any) -> Counter[str]:
    """Every number that a sentence must say: amounts, lengths in minutes, counts, times of day."""
    found: Counter[str] = Counter()
    if isinstance(rule, list):
        return sum((numbers_of_data(each) for each in rule), found)
    if not isinstance(rule, dict):
        return found
    for name, value in rule.items():
        if name in ("fen", "to_fen"):
            found[f"{value} fen"] += 1
        elif name in ("minutes", "below", "stay_up_to", "hours"):
            found[f"{value * 60 if name == 'hours' else value} min"] += 1
        elif name == "large" or (name == "times" and value > 1):
            found[f"{value} times"] += 1
        elif (name == "at" and value != "00:00") or name in ("from", "to"):
            found["24:00" if name == "to" and value == "00:00" else value] += 1
        elif name == "rungs":  # over the last rung but one it costs the last one's price, however long
            found += numbers_of_data(value)
            found[f"{value[-1]['minutes']} min"] -= 1
        elif name == "steps":  # free for ever is free by any length
            found += numbers_of_data(value)
            found[f"{value[-1]['minutes']} min"] -= value[-1]["fen"] == 0
        else:
            found += numbers_of_data(value)
    return +found


def numbers_of_words(texts: list[str]) -> set[str]:
    """The same of sentences in any language; "free" says an amount of nothing."""
    text = "\n".join(texts)
    found = {f"{int(yuan) * 100 + int(rest)} fen" for yuan, rest in re.findall(r"(\d+)\.(\d\d)", text)}
    text = re.sub(r"\d+\.\d\d", "", text)
    found |= set(re.findall(r"\d\d:\d\d", text))
    text = re.sub(r"\d\d:\d\d", "", text)
    for number, unit in re.findall(r"(\d+) ?(min|h\b|分钟|小时)", text):
        found.add(f"{int(number) * (60 if unit in ('h', '小时') else 1)} min")
    text = re.sub(r"\d+ ?(min|h\b|分钟|小时)", "", text)
    found |= {f"{number} times" for number in re.findall(r"\d+", text)}
    if re.search(r"免费|\bfree\b|gratuit", text, re.IGNORECASE):
        found.add("0 fen")
    return found


def check_numbers(data: dict[str, Any], of: Tariff) -> None:
    expected = set(numbers_of_data(data))
    of_time = {"0 fen"} if re.search("free_|exempt", json.dumps(data)) else set()  # "free" may speak of the time
    for spoken in ("zh", "en", "fr"):
        said = numbers_of_words(lines(of, spoken))
        assert said | of_time == expected | of_time, (spoken, lines(of, spoken))


def test_every_kind_of_rule_has_words() -> None:
    kinds = get_args(get_args(language.Rule)[0])

    assert set(_WORDS) == set(kinds) and len(kinds) >= 20


@pytest.mark.parametrize("code", sorted(TARIFFS))
def test_a_real_tariff_says_its_numbers_and_no_others(code: str) -> None:
    check_numbers(TARIFFS[code]["rule"], read_tariff(TARIFFS[code]))


@given(rules)
def test_any_tariff_says_its_numbers_and_no_others(rule: dict[str, Any]) -> None:
    check_numbers(rule, tariff(rule))


def test_a_street_by_hand() -> None:
    of = read_tariff(TARIFFS["SH-STREET-INNER-KEY"])

    assert lines(of, "zh") == [
        "分时段计费，每个时段重新起算：",
        "  日间 07:30–19:30：首60分钟 15.00 元，之后每30分钟（不足按30分钟计）10.00 元",
        "  夜间 19:30–次日07:30：按次 10.00 元"]
    assert lines(of, "en") == [
        "By time of day, each part charged anew:",
        "  Day 07:30–19:30: first 60 min 15.00, then 10.00 for each started 30 min",
        "  Night 19:30–07:30: 10.00 flat"]
    assert lines(of, "fr") == [
        "Selon l'heure, chaque plage comptée à neuf :",
        "  Jour 07:30–19:30 : premières 60 min 15.00, puis 10.00 par tranche de 30 min entamée",
        "  Nuit 19:30–07:30 : forfait 10.00"]
    assert [each["en"] for each in remarks(of)] == [
        "Prices in yuan (CNY); a started unit is charged whole.", "Entry and exit are cut to the minute.",
        "Times include their start and not their end (Asia/Shanghai)."]


def test_an_airport_by_hand() -> None:
    of = read_tariff(TARIFFS["SHA-HONGQIAO-T1T2"])

    assert lines(of, "zh") == [
        "大型车：以下价格的 2 倍", "20分钟以内免费；超过的从头计费", "每24小时为一周期：",
        "  按总停放时长封顶：24小时以内最高 60.00 元，不足48小时最高 80.00 元，更长最高 110.00 元",
        "  前2个60分钟每个 10.00 元，之后每60分钟（不足按60分钟计）5.00 元"]
    assert lines(of, "en") == [
        "Large vehicles: 2 times what follows", "Free up to 20 min; longer is charged from the start",
        "For each started 24 h:",
        "  Never more than 60.00 for stays up to 24 h, 80.00 for stays under 48 h, 110.00 for longer stays",
        "  First 2 periods of 60 min 10.00 each, then 5.00 for each started 60 min"]
    assert lines(of, "fr") == [
        "Grands véhicules : 2 fois ce qui suit", "Gratuit jusqu'à 20 min ; au-delà, dû depuis le début",
        "Par période de 24 h entamée :",
        "  Jamais plus de 60.00 pour un séjour jusqu'à 24 h, 80.00 pour un séjour de moins de 48 h, 110.00 au-delà",
        "  2 premières tranches de 60 min 10.00 chacune, puis 5.00 par tranche de 60 min entamée"]


def test_conditions_and_choices_by_hand() -> None:
    of = read_tariff(TARIFFS["EARLY-BIRD"])

    assert lines(of, "zh") == [
        "以下取较低价：", "  A：每24小时为一周期：", "    最高 60.00 元",
        "    每60分钟（不足按60分钟计）8.00 元", "  B：",
        "    周一至周五 06:00–09:00进场，且周一至周五 15:00–19:00（含终点）离场，且停放不超过14小时的：按次 30.00 元",
        "    其他情况：每24小时为一周期：", "      最高 60.00 元", "      每60分钟（不足按60分钟计）8.00 元"]
    assert lines(of, "en") == [
        "The cheapest of these:", "  A: for each started 24 h:", "    Never more than 60.00",
        "    8.00 for each started 60 min", "  B:",
        "    Entered Mon–Fri 06:00–09:00 and left Mon–Fri 15:00–19:00 (end included) and staying at most 14 h: "
        "30.00 flat",
        "    Otherwise: for each started 24 h:", "      Never more than 60.00", "      8.00 for each started 60 min"]
    assert lines(of, "fr")[5:7] == [
        "    Entrée lun.–ven. 06:00–09:00 et sortie lun.–ven. 15:00–19:00 (fin comprise) et séjour d'au plus 14 h : "
        "forfait 30.00",
        "    Sinon : par période de 24 h entamée :"]


def test_questions_that_follow_each_other_are_one_list() -> None:
    flat = {"kind": "flat", "fen": 100}
    of = tariff({"kind": "when", "if": {"new_energy": True}, "then": flat, "else": {
        "kind": "when", "if": {"size": "large", "rail_trip": False}, "then": {"kind": "flat", "fen": 300},
        "else": {"kind": "flat", "fen": 0}}})

    assert lines(of, "en") == [
        "With a new-energy vehicle: 1.00 flat",
        "Otherwise, without proof of a rail trip and with a large vehicle: 3.00 flat", "Otherwise: free"]
    assert lines(of, "zh") == [
        "新能源车的：按次 1.00 元", "否则，未出示轨道交通乘车凭证，且大型车的：按次 3.00 元", "其他情况：免费"]


def test_what_nobody_translated_stands_as_it_is() -> None:
    odd = "#panic() {0} *x*"
    of = tariff({"kind": "exempt", "when": ["disabled", odd], "then": {"kind": "windows", "windows": [
        {"name": odd, "from": "08:00", "to": "08:00", "each": {"kind": "flat", "fen": 100}}]}})

    assert lines(of, "zh") == [
        f"凭证免费：残疾人车辆、{odd}", "分时段计费，每个时段重新起算：", f"  {odd} 08:00–次日08:00：按次 1.00 元"]
    assert time_words.days(["holiday", "sun", "mon", "wed", "tue"]) == {
        "zh": "周一至周三、周日、节假日", "en": "Mon–Wed, Sun, public holidays", "fr": "lun.–mer., dim., jours fériés"}


@pytest.mark.parametrize(("code", "told"), [
    ("SH-STREET-INNER-KEY", (None, None, "60 min, 30 min, flat price", None)),
    ("SHA-HONGQIAO-T1T2", ("Free up to 20 min", "Small vehicles: for each started 24 h: never more than 60.00 for "
                           "stays up to 24 h, 80.00 for stays under 48 h, 110.00 for longer stays", "60 min", None)),
    ("HOSPITAL-30-15-100", ("For each started 24 h: first 30 min free", "For each started 24 h: never more than 100.00",
                            "60 min", "Disabled driver, military vehicle")),
    ("PR-JINSHANWEI", ("For each started 24 h: first 30 min free", "See the prices", "60 min, flat price", None)),
    ("RES-MINHANG", ("See the prices", None, "By length of stay", None)),
    ("STREET-NEV-2H-HALF", ("See the prices", None, "30 min", None)),
    ("WEEK-CAP", (None, "For each week begun (from Monday): never more than 200.00; for each calendar day begun: "
                  "never more than 50.00", "60 min", None)),
    ("SLOT-START", (None, None, "30 min", None)),
    ("PRO-RATA-WEEKDAYS", ("See the prices", None, "Minute", None)),
])
def test_what_drivers_look_for_first(code: str, told: tuple[str | None, ...]) -> None:
    facts = find_facts(read_tariff(TARIFFS[code]))

    assert tuple(each and each["en"] for each in (facts.free, facts.cap, facts.unit, facts.exempt)) == told
