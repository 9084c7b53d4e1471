"""What the rules and fields of the tariff language are called, where two tariffs are told apart.

A whole tariff in sentences is tariff_words.py. A rule or a field that this page does not know yet is told by its own
name, so that nothing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parking.core.money import format_yuan
from parking.core.reason import LANGUAGES, Language, Words


def _say(zh: str, en: str, fr: str) -> Words:
    return {"zh": zh, "en": en, "fr": fr}


_KINDS: dict[str, Words] = {
    "steps": _say("分段计时", "started periods", "périodes entamées"),
    "ladder": _say("按总时长一口价", "one price by length", "un prix selon la durée"),
    "flat": _say("按次 {fen} 元", "flat price {fen}", "forfait {fen}"),
    "windows": _say("按时段", "by time of day", "selon l'heure"),
    "blocks": _say(
        "自入场起每 {hours} 小时重新计",
        "anew every {hours} h from entry",
        "à nouveau toutes les {hours} h depuis l'entrée"),
    "cap": _say("封顶 {fen} 元", "never more than {fen}", "plafond de {fen}"),
    "cap_by_stay": _say("按总时长封顶", "a cap by the length of the stay", "plafond selon la durée totale"),
    "free_within": _say(
        "{minutes}以内免费，超出则全程计费",
        "free up to {minutes}, longer is charged from the start",
        "gratuit jusqu'à {minutes}, au-delà facturé depuis le début"),
    "free_within_first": _say(
        "当日首次停放 {minutes}以内免费，超出则全程计费",
        "first stop of the day free up to {minutes}, longer is charged from the start",
        "premier arrêt du jour gratuit jusqu'à {minutes}, au-delà facturé depuis le début"),
    "free_first": _say("前 {minutes}不计费", "first {minutes} not charged", "premières {minutes} non facturées"),
    "exempt": _say("凭证免费：{when}", "exempt with proof: {when}", "exonéré sur justificatif : {when}"),
    "vehicle_factor": _say(
        "大型车按 {large} 倍计",
        "large vehicles pay {large} times the price",
        "grands véhicules : {large} fois le prix"),
    "days": _say("按星期", "by day of the week", "selon le jour"),
    "periods_day": _say("每个自然日重新计", "anew each calendar day", "à nouveau chaque jour civil"),
    "periods_week": _say("每周一起重新计", "anew each week from Monday", "à nouveau chaque semaine dès lundi"),
    "gather": _say(
        "只计收费时段，合并计时",
        "only charged hours count, laid end to end",
        "seules les heures payantes comptent, mises bout à bout"),
    "slots": _say(
        "每 {minutes}一段，按段始时的价格",
        "slots of {minutes} at the rate when each starts",
        "tranches de {minutes} au tarif de leur début"),
    "pro_rata": _say(
        "按分钟折算，每 {minutes} {fen} 元", "to the minute, {fen} for {minutes}", "à la minute, {fen} pour {minutes}"),
    "sum": _say("各项相加", "the sum of", "la somme de"),
    "lower_of": _say("取最低者", "the lowest of", "le moins cher de"),
    "when": _say("满足条件时", "under conditions", "sous conditions"),
    "round": _say("按 {to_fen} 元取整", "rounded to {to_fen}", "arrondi à {to_fen}"),
    "validated": _say("可用商户减免", "merchants may validate", "validations de commerçants"),
}
_PARTS: dict[str, Words] = {
    "step": _say("每 {minutes} {fen} 元", "{fen} each started {minutes}", "{fen} par tranche de {minutes} entamée"),
    "step_times": _say(
        "前 {times} 个 {minutes}，每个 {fen} 元",
        "first {times} × {minutes} at {fen} each",
        "d'abord {times} × {minutes} à {fen} chacune"),
    "rung": _say("{minutes}以内 {fen} 元", "up to {minutes}: {fen}", "jusqu'à {minutes} : {fen}"),
    "below": _say("不足 {below} {fen} 元", "below {below}: {fen}", "moins de {below} : {fen}"),
    "any": _say("其余 {fen} 元", "otherwise {fen}", "sinon {fen}"),
}
FIELDS: dict[str, Words] = {
    "fen": _say("价格", "price", "prix"),
    "to_fen": _say("取整单位", "rounded to", "arrondi à"),
    "minutes": _say("时长", "duration", "durée"),
    "times": _say("次数", "times", "nombre"),
    "below": _say("短于", "shorter than", "moins de"),
    "hours": _say("小时数", "hours", "heures"),
    "from": _say("从", "from", "de"),
    "to": _say("至", "to", "à"),
    "name": _say("名称", "name", "nom"),
    "calendar": _say("日历", "calendar", "calendrier"),
    "currency": _say("货币", "currency", "monnaie"),
    "exit_minute": _say("离场那一分钟", "the minute of leaving", "la minute de sortie"),
    "code": _say("代码", "code", "code"),
    "time_zone": _say("时区", "time zone", "fuseau"),
    "seconds": _say("秒数", "seconds", "secondes"),
    "large": _say("大型车倍数", "large vehicles, times", "grands véhicules, fois"),
    "steps": _say("时段", "periods", "périodes"),
    "rungs": _say("档次", "rungs", "paliers"),
    "windows": _say("时段", "times of day", "plages"),
    "days": _say("星期", "days", "jours"),
    "on": _say("星期", "days", "jours"),
    "within": _say("收费时段", "charged hours", "heures payantes"),
    "if": _say("条件", "condition", "condition"),
    "at": _say("日始于", "day begins at", "jour dès"),
    "stay_up_to": _say("总时长不超过", "the stay is up to", "la durée est d'au plus"),
    "entered": _say("入场于", "entered", "entrée"),
    "left": _say("离场于", "left", "sortie"),
    "rail_trip": _say("有轨交出行凭证", "a proved rail trip", "trajet en train prouvé"),
    "metro_trip": _say("停车期间乘过地铁", "a metro trip during the stay", "trajet en métro pendant le séjour"),
    "new_energy": _say("新能源车牌", "a new-energy plate", "plaque nouvelles énergies"),
    "first_stop_of_day": _say("当日首次停放", "the first stop of the day", "premier arrêt du jour"),
    "size": _say("车型", "vehicle", "véhicule"),
    "by_stay": _say("按总时长封顶", "a cap by the length of the stay", "plafond selon la durée totale"),
    "rule": _say("规则", "rule", "règle"),
    "kind": _say("规则", "rule", "règle"),
}
_WORDS: dict[str, Words] = {
    "mon": _say("周一", "Mon", "lun."),
    "tue": _say("周二", "Tue", "mar."),
    "wed": _say("周三", "Wed", "mer."),
    "thu": _say("周四", "Thu", "jeu."),
    "fri": _say("周五", "Fri", "ven."),
    "sat": _say("周六", "Sat", "sam."),
    "sun": _say("周日", "Sun", "dim."),
    "holiday": _say("节假日", "holidays", "jours fériés"),
    "makeup": _say("调休上班日", "make-up working days", "jours travaillés de remplacement"),
    "charged": _say("计费", "charged", "facturée"),
    "free": _say("不计费", "not charged", "non facturée"),
    "disabled": _say("残疾人车辆", "disabled drivers", "conducteurs handicapés"),
    "military": _say("军车", "military vehicles", "véhicules militaires"),
    "small": _say("小型车", "small", "petit"),
    "large": _say("大型车", "large", "grand"),
    "drop": _say("舍去", "dropped", "ignorées"),
    "count": _say("计入", "counted", "comptées"),
    "true": _say("是", "yes", "oui"),
    "false": _say("否", "no", "non"),
}
_ALL_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONEY, _LENGTHS = frozenset({"fen", "to_fen"}), frozenset({"minutes", "below", "stay_up_to"})


def kind_of(rule: Mapping[str, Any]) -> Words:
    """A rule in a few words, without what is inside it."""
    kind = str(rule.get("kind"))
    name = {
        "cap": "cap_by_stay" if rule.get("by_stay") else "cap",
        "periods": f"periods_{rule.get('every')}",
        "free_within": "free_within_first" if rule.get("first_stop_of_day") else "free_within",
    }.get(kind, kind)
    return _fill(_KINDS.get(name) or _same(kind), rule)


def name_of(field: str) -> Words:
    """What a field of the language is called; one that is not known here, by its own name."""
    return FIELDS.get(field) or _same(field)


def value_of(field: str, value: Any) -> Words:
    """A field's value: amounts in yuan, lengths of time as such, rules by their kind, the rest as it is."""
    if isinstance(value, Mapping):
        if "kind" in value:
            return kind_of(value)
        return condition(value) if field == "if" else part_of(value)
    return {language: _write(field, value, language) for language in LANGUAGES}


def condition(asked: Mapping[str, Any]) -> Words:
    """What a `when` asks, all of which must hold."""
    said: Words = {}
    for language in LANGUAGES:
        no, comma = {"zh": ("非", "，"), "en": ("not ", ", "), "fr": ("pas ", ", ")}[language]
        texts = []
        for field, value in asked.items():
            name = name_of(field)[language]
            if isinstance(value, bool):
                texts.append(name if value else f"{no}{name}")
            elif value is not None:
                texts.append(f"{name} {_write(field, value, language)}")
        said[language] = comma.join(texts)
    return said


def part_of(part: Mapping[str, Any]) -> Words:
    """A step, a rung, a window, a span: what stands in a list of a rule."""
    said = {name: value for name, value in part.items() if value is not None and not isinstance(value, Mapping)}
    if set(said) == {"minutes", "fen", "times"}:
        return _fill(_PARTS["step_times"], said)
    if set(said) == {"minutes", "fen"}:
        return _fill(_PARTS["step" if "times" in part else "rung"], said)
    if set(said) in ({"below", "fen"}, {"fen"}):
        return _fill(_PARTS["below" if "below" in said else "any"], said)
    return {language: _write_part(said, language) for language in LANGUAGES}


def _write_part(part: Mapping[str, Any], language: Language) -> str:
    times = f"{part['from']}–{part['to']}" if {"from", "to"} <= set(part) else ""
    rest = [_write(name, value, language) for name, value in part.items()
            if name not in ("from", "to") and value != list(_ALL_DAYS)]
    return " ".join(filter(None, [*rest, times]))


def _fill(words: Words, values: Mapping[str, Any]) -> Words:
    return {language: words[language].format_map(_Written(values, language)) for language in LANGUAGES}


class _Written(dict[str, str]):
    def __init__(self, values: Mapping[str, Any], language: Language) -> None:
        super().__init__({name: _write(name, value, language) for name, value in values.items()
                          if not isinstance(value, Mapping)})

    def __missing__(self, name: str) -> str:
        return "–"


def _write(field: str, value: Any, language: Language) -> str:
    if value is None:
        return "–"
    if field in _MONEY and isinstance(value, int):
        return format_yuan(value)
    if field in _LENGTHS and isinstance(value, int):
        return write_minutes(value, language)
    if isinstance(value, list):
        return " / ".join(_write("", each, language) for each in value)
    if isinstance(value, Mapping):
        return part_of(value)[language]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _WORDS[text][language] if text in _WORDS and field != "name" else text


def write_minutes(minutes: int, language: Language) -> str:
    """90 is "90 min", 120 is "2 h"."""
    hours, rest = divmod(minutes, 60)
    if rest or not minutes:
        return f"{minutes} 分钟" if language == "zh" else f"{minutes} min"
    return f"{hours} 小时" if language == "zh" else f"{hours} h"


def _same(text: str) -> Words:
    return dict.fromkeys(LANGUAGES, text.replace("{", "(").replace("}", ")"))
