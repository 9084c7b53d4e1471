"""A lot's sign and poster in Chinese and English, every value as text: what the templates set."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from parking.core.clock import city_date
from parking.core.code_picture import link_svg
from parking.core.lot_code import lot_address, lot_code
from parking.core.money import format_yuan
from parking.core.phrase import same, say
from parking.core.price_examples import HOURS, Example, find_examples
from parking.core.reason import Words
from parking.core.tariff_facts import Facts, find_facts
from parking.core.tariff_words import describe, remarks
from parking.services.announce import Announcement

SignKind = Literal["sign", "poster"]
PaperSize = Literal["a4", "a3"]
_UNBROKEN_MAX = 24  # letters without a place to break the line
_UNPRINTED = ("Cc", "Cf")  # control characters, and those that turn the direction of writing
_UNBROKEN = re.compile(rf"[^\s\u2e80-\uffef]{{{_UNBROKEN_MAX + 1},}}")
_FACTS: dict[str, Words] = {
    "free": say("免费时长", "Free", "Gratuit"), "cap": say("最高收费", "At most", "Plafond"),
    "unit": say("计费单位", "Charged by", "Unité"), "exempt": say("免收对象", "Exempt, with proof", "Exonérés"),
}
_STARTS: dict[str, Words] = {
    "weekday": say("平日 {0} 进场", "Weekday, entry at {0}", "Semaine, entrée à {0}"),
    "evening": say("平日晚间 {0} 进场", "Weekday evening, entry at {0}", "Soir de semaine, entrée à {0}"),
    "night": say("平日夜间 {0} 进场", "Weekday night, entry at {0}", "Nuit de semaine, entrée à {0}"),
    "saturday": say("周六 {0} 进场", "Saturday, entry at {0}", "Samedi, entrée à {0}"),
}
SIZES: dict[str, Words] = {
    "small": say("小型车", "Small vehicle", "Petit véhicule"),
    "large": say("大型车", "Large vehicle", "Grand véhicule"),
}


def write_sign(of: Announcement, *, kind: SignKind, size: PaperSize, base: str, pepper: bytes) -> str:
    """The data of the template as JSON. base: the service's public address.

    :raises StayTooLong: as price, of a poster
    """
    code = lot_code(pepper, of.lot_id)
    address = lot_address(base, code)
    written: dict[str, Any] = {
        "size": size, "lot": _pair(of.lot_name), "operator": _breakable(of.operator_name),
        "version": [
            [_pair(say("价目代码", "Tariff", "Tarif")), _breakable(of.tariff.code)],
            [_pair(say("版本", "Version", "Version")), str(of.version)],
            [_pair(say("执行日期", "In force from", "En vigueur depuis")), _minute(of.since, of.zone)],
            [_pair(say("校验值", "SHA-256", "SHA-256")), f"{of.tariff.hash[:16]}…"],
        ],
        "code": code, "address": _breakable(address), "picture": link_svg(address),
        "scan": _pair(say("扫码查询并缴费", "Scan to see and pay your fee", "Scannez pour voir et payer")),
    }
    written |= _sign(of) if kind == "sign" else _poster(of)
    return json.dumps(written, ensure_ascii=False)


def _sign(of: Announcement) -> dict[str, Any]:
    return {
        "title": _pair(say("停车收费公示牌", "Parking prices", "Tarifs")),
        "prices": _pair(say("收费标准", "Prices", "Tarifs")),
        "clauses": [{"level": each.level, **_pair(each.text)} for each in describe(of.tariff)],
        "facts": [{"label": _pair(label), "value": _pair(value)}
                  for label, value in fact_rows(find_facts(of.tariff))],
        "remarks": [_pair(each) for each in remarks(of.tariff)],
        "operator_label": _pair(say("经营单位", "Operator", "Exploitant")),
    }


def fact_rows(found: Facts) -> list[tuple[Words, Words]]:
    """What each fact is called, and the fact."""
    return [(label, value) for name, label in _FACTS.items() if (value := getattr(found, name)) is not None]


def _poster(of: Announcement) -> dict[str, Any]:
    examples = find_examples(of.tariff, day=city_date(of.at, of.tariff.zone))
    has_sizes = len({each.size for each in examples}) > 1
    days = "、".join(dict.fromkeys(_minute(each.start_at, of.tariff.zone) for each in examples))
    return {
        "title": _pair(say("停车要多少钱？", "What parking costs", "Combien coûte le stationnement")),
        "unit": _pair(say("元", "yuan", "yuan")),
        "columns": [{"start": _pair(start_words(each, of.tariff.zone)),
                     "size": _pair(SIZES[each.size]) if has_sizes else None} for each in examples],
        "rows": [{"hours": _pair(say("{0} 小时", "{0} h", "{0} h", same(str(hours)))),
                  "amounts": [format_yuan(each.amounts_fen[row]) for each in examples]}
                 for row, hours in enumerate(HOURS)],
        "remarks": [
            _pair(say("金额单位：元。按 {0} 进场计算，当日首次停放，不含凭证减免。",
                      "In yuan, for entry at {0}: the first stop of the day, no proof shown, nothing validated.",
                      "En yuans, pour une entrée à {0} : premier arrêt du jour, sans justificatif ni validation.",
                      say(days, days.replace("、", ", "), days.replace("、", ", ")))),
            _pair(say("其他时间进场，价格可能不同；以收费公示牌为准。",
                      "Other entry times may cost more or less: the price sign tells.",
                      "À d'autres heures le prix peut différer : le panneau des tarifs fait foi.")),
        ],
    }


def start_words(example: Example, zone: ZoneInfo) -> Words:
    """Such as "Weekday, entry at 09:00"."""
    clock = f"{example.start_at.astimezone(zone):%H:%M}"
    text = _STARTS[example.kind]
    return say(text["zh"], text["en"], text["fr"], same(clock))


def _minute(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"


def _pair(words: Words) -> dict[str, str | None]:
    """Chinese, and English below it; None where they are the same."""
    zh, en = _breakable(words["zh"].replace(" 元", "\u00a0元")), _breakable(words["en"])
    return {"zh": zh, "en": None if en == zh else en}


def _breakable(text: str) -> str:
    """What can be printed, with places (U+200B) where a line may end in what has none for long."""
    text = "".join(letter for letter in text if unicodedata.category(letter) not in _UNPRINTED)
    return _UNBROKEN.sub(
        lambda found: "\u200b".join(found[0][at : at + _UNBROKEN_MAX] for at in range(0, len(found[0]), _UNBROKEN_MAX)),
        text)
