"""The lines of a fee in words. Charges keep rule and parameters; the words are made when read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parking.core.money import format_yuan
from parking.core.price import Line
from parking.core.reason import LANGUAGES, Words

_RULES: dict[str, Words] = {
    "first": {
        "zh": "首{minutes}分钟 {yuan} 元", "en": "first {minutes} min at {yuan}",
        "fr": "premières {minutes} min à {yuan}"},
    "first_many": {
        "zh": "前{units}个{minutes}分钟，每个 {yuan} 元", "en": "first {units} periods of {minutes} min at {yuan} each",
        "fr": "les {units} premières périodes de {minutes} min à {yuan} chacune"},
    "step": {
        "zh": "{units} 个{minutes}分钟(不足按一个计)，每个 {yuan} 元",
        "en": "{units} started periods of {minutes} min at {yuan} each",
        "fr": "{units} périodes entamées de {minutes} min à {yuan} chacune"},
    "ladder": {
        "zh": "{duration}以内一口价 {yuan} 元", "en": "up to {duration}: {yuan}", "fr": "jusqu'à {duration} : {yuan}"},
    "flat": {"zh": "按次 {yuan} 元", "en": "flat price {yuan}", "fr": "forfait {yuan}"},
    "cap": {"zh": "封顶 {yuan} 元", "en": "never more than {yuan}", "fr": "plafond de {yuan}"},
    "exit_allowance": {
        "zh": "付款后{minutes}分钟内离场，超出部分免收", "en": "left within {minutes} min of paying: not charged",
        "fr": "sortie dans les {minutes} min après le paiement : non facturé"},
    "free_within": {
        "zh": "{minutes}分钟以内免费", "en": "free up to {minutes} min", "fr": "gratuit jusqu'à {minutes} min"},
    "free_first": {
        "zh": "前{minutes}分钟不计费", "en": "first {minutes} min not charged",
        "fr": "premières {minutes} min non facturées"},
    "exempt": {"zh": "免费：{what}", "en": "exempt: {what}", "fr": "exonéré : {what}"},
    "slot": {
        "zh": "{units} 个{minutes}分钟时段，每个 {yuan} 元", "en": "{units} slots of {minutes} min at {yuan} each",
        "fr": "{units} créneaux de {minutes} min à {yuan} chacun"},
    "pro_rata": {
        "zh": "{units} 分钟，按每{minutes}分钟 {yuan} 元折算", "en": "{units} min, at {yuan} for {minutes} min",
        "fr": "{units} min, à {yuan} les {minutes} min"},
    "round": {
        "zh": "按 {yuan} 元取整", "en": "rounded to {yuan}", "fr": "arrondi à {yuan}"},
    "validated_minutes": {
        "zh": "商户减免{minutes}分钟", "en": "{minutes} min validated by a merchant",
        "fr": "{minutes} min validées par un commerçant"},
    "validated_money": {
        "zh": "商户减免 {yuan} 元", "en": "{yuan} validated by a merchant", "fr": "{yuan} validés par un commerçant"},
    "vehicle_factor": {
        "zh": "大型车按 {times} 倍计", "en": "large vehicle, {times} times the price",
        "fr": "grand véhicule, {times} fois le prix"},
}
EXEMPT: dict[str, Words] = {
    "disabled": {"zh": "残疾人车辆", "en": "disabled driver", "fr": "conducteur handicapé"},
    "police": {"zh": "警车", "en": "police vehicle", "fr": "véhicule de police"},
    "military": {"zh": "军车", "en": "military vehicle", "fr": "véhicule militaire"},
}
RULE_NAMES = frozenset(_RULES) - {"first_many"}


def why(line: Line) -> Words:
    """Why this line is on the fee, in every language."""
    return explain(line.rule, line.units, line.params)


def explain(rule: str, units: int, params: Mapping[str, Any]) -> Words:
    texts = _RULES["first_many" if rule == "first" and units > 1 else rule]
    made: Words = {}
    for language in LANGUAGES:
        word = params.get("word", "")
        text = texts[language].format(
            units=units, minutes=params.get("minutes"), times=params.get("times"),
            yuan=format_yuan(params.get("fen", 0)), duration=_duration(params.get("minutes", 0), language),
            what=EXEMPT.get(word, {}).get(language, word),
        )
        if "from" in params:
            text = f"{params['from']}–{params['to']} {text}"
        made[language] = text
    return made


def _duration(minutes: int, language: str) -> str:
    if minutes % 60:
        return f"{minutes}分钟" if language == "zh" else f"{minutes} min"
    return f"{minutes // 60}小时" if language == "zh" else f"{minutes // 60} h"
