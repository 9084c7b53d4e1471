"""What the lint found in a tariff, and how it is said: always with a stay that shows it.

The words of a rule are never renamed; a new one is added here with its three texts and a row in
docs/tariffs.md (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from parking.core.money import format_yuan
from parking.core.price import Vehicle, is_new_energy
from parking.core.reason import LANGUAGES, Language, Words

Level = Literal["wrong", "look"]


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay and what it costs; the instants are in the tariff's time zone."""

    entered_at: datetime
    left_at: datetime
    vehicle: Vehicle
    context: Mapping[str, Any]
    total_fen: int

    @property
    def minutes(self) -> int:
        return int((self.left_at - self.entered_at).total_seconds() // 60)


@dataclass(frozen=True, slots=True)
class Example(Stay):
    """compared: what the stay is told beside: another stay, or the parts that it is left and entered again in."""

    compared: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """rule: one of RULES. path: of the part of the tariff's data, such as `rule.windows.0.each.steps.1`.

    level: `wrong` is no tariff that anybody means; `look` may be meant, or too few stays could be tried to be sure.
    params: whole fen and minutes that the words name and the example does not hold.
    """

    rule: str
    path: str
    level: Level
    example: Example
    params: Mapping[str, Any] = field(default_factory=dict)


RULES: dict[str, Words] = {
    "price_falls": {
        "zh": "停得更久反而更便宜：{stay}收 {total} 元，而早在{other_left}离场收 {other_total} 元。",
        "en": "Staying longer costs less: {stay} costs {total}, while leaving at {other_left} costs {other_total}.",
        "fr": "Rester plus longtemps coûte moins : {stay} coûte {total}, alors que partir à {other_left} coûte"
              " {other_total}."},
    "dead_rule": {
        "zh": "这一部分从不生效：{stay}收 {total} 元，无论这一部分怎么写都一样。",
        "en": "This part never applies: {stay} costs {total}, whatever this part says.",
        "fr": "Cette partie ne s'applique jamais : {stay} coûte {total}, quoi que dise cette partie."},
    "never_matters": {
        "zh": "这一部分不影响任何收费：{stay}收 {total} 元，有没有这一部分都一样。",
        "en": "This part changes no price: {stay} costs {total}, with this part and without it.",
        "fr": "Cette partie ne change aucun prix : {stay} coûte {total}, avec ou sans elle."},
    "cap_unreachable": {
        "zh": "这个封顶从不减钱：{stay}收 {total} 元，封顶为 {cap} 元。",
        "en": "This cap never takes anything off: {stay} costs {total}, and the cap is {cap}.",
        "fr": "Ce plafond ne retire jamais rien : {stay} coûte {total}, et le plafond est de {cap}."},
    "free_minutes_chained": {
        "zh": "免费时间可以再次使用：{stay}收 {total} 元，分成 {count} 次、每次不超过{part}则只收 {parts_total} 元。",
        "en": "Free minutes can be had again: {stay} costs {total}; in {count} stays of up to {part},"
              " it costs {parts_total}.",
        "fr": "Les minutes gratuites se reprennent : {stay} coûte {total} ; en {count} fois {part} au plus,"
              " cela coûte {parts_total}."},
    "cheaper_in_parts": {
        "zh": "中途离场再入场更便宜：{stay}收 {total} 元，在{cuts}离场并重新入场则收 {parts_total} 元。",
        "en": "Leaving and coming back is cheaper: {stay} costs {total}; left and entered again at {cuts},"
              " it costs {parts_total}.",
        "fr": "Sortir et revenir coûte moins : {stay} coûte {total} ; en sortant et revenant à {cuts},"
              " cela coûte {parts_total}."},
    "midnight_trap": {
        "zh": "跨过这一时刻要多收：{stay}收 {total} 元，同样的时长在此之前收 {before} 元，在此之后收 {after} 元。",
        "en": "Crossing this time of day costs more: {stay} costs {total}; as long just before costs {before},"
              " just after {after}.",
        "fr": "Passer cette heure coûte plus : {stay} coûte {total} ; la même durée juste avant coûte {before},"
              " juste après {after}."},
    "gap": {
        "zh": "这段时间没有任何规则计费，也没有写明免费：{stay}收 {total} 元。",
        "en": "No rule charges this time, and none says that it is free: {stay} costs {total}.",
        "fr": "Aucune règle ne facture ce temps ni ne le dit gratuit : {stay} coûte {total}."},
    "overlap": {
        "zh": "与另一部分重叠：{stay}同时属于两者，收 {total} 元；去掉这一部分收 {without} 元。",
        "en": "This part and another one name the same time: {stay} lies in both and costs {total};"
              " {without} without this part.",
        "fr": "Cette partie et une autre désignent le même temps : {stay} est dans les deux et coûte {total} ;"
              " {without} sans cette partie."},
    "jump": {
        "zh": "多停一分钟要多付 {rise} 元，高于任何一项单价：{stay}收 {total} 元，早一分钟离场收 {other_total} 元。",
        "en": "One minute costs {rise}, more than any single price: {stay} costs {total}; leaving a minute earlier"
              " costs {other_total}.",
        "fr": "Une minute coûte {rise}, plus que tout prix du tarif : {stay} coûte {total} ; partir une minute plus"
              " tôt coûte {other_total}."},
    "search_cut_short": {
        "zh": "这份费率过于复杂，只试算了 {count} 次停车；最后一次：{stay}，收 {total} 元。",
        "en": "This tariff has too many parts to try every stay: {count} were priced; the last was {stay},"
              " which costs {total}.",
        "fr": "Ce tarif a trop de parties pour essayer chaque stationnement : {count} calculés ; le dernier,"
              " {stay}, coûte {total}."},
}
_WEEKDAYS: dict[Language, tuple[str, ...]] = {
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "fr": ("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."),
}
_WHO: dict[str, Words] = {
    "large": {"zh": "大型车", "en": "a large vehicle", "fr": "un grand véhicule"},
    "new_energy": {"zh": "新能源车", "en": "a new-energy vehicle", "fr": "un véhicule à énergie nouvelle"},
    "rail_trip": {"zh": "有轨道交通行程", "en": "with a rail trip", "fr": "avec un trajet en train"},
    "metro_trip": {"zh": "有地铁行程", "en": "with a metro trip", "fr": "avec un trajet en métro"},
    "again": {"zh": "当日第{count}次停车", "en": "stop {count} of the day", "fr": "arrêt {count} du jour"},
    "exempt": {"zh": "免费对象：{word}", "en": "exempt: {word}", "fr": "exonéré : {word}"},
    "validated": {"zh": "有商户减免", "en": "validated by a merchant", "fr": "validé par un commerçant"},
}
_CUTS_SAID = 5


def says(finding: Finding) -> Words:
    """What was found, in every language, with the times and amounts of its example."""
    return {language: _say(finding, language) for language in LANGUAGES}


def finding_answer(finding: Finding) -> dict[str, Any]:
    """As calls and the shell write it; a stay is what `POST /v1/quotes` takes, with the fen that it answers."""
    return {
        "rule": finding.rule, "level": finding.level, "path": finding.path, "params": dict(finding.params),
        "example": _stay_answer(finding.example),
        "compared": [_stay_answer(each) for each in finding.example.compared], "says": says(finding),
    }


def _stay_answer(stay: Stay) -> dict[str, Any]:
    return {
        "entered_at": stay.entered_at.isoformat(timespec="seconds"),
        "left_at": stay.left_at.isoformat(timespec="seconds"),
        "vehicle": {"size": stay.vehicle.size, "plate": stay.vehicle.plate}, "context": dict(stay.context),
        "total_fen": stay.total_fen,
    }


def _say(finding: Finding, language: Language) -> str:
    example, compared = finding.example, finding.example.compared
    values: dict[str, Any] = {
        key: format_yuan(value) if key in ("cap", "without", "rise") else value
        for key, value in finding.params.items()}
    values |= {"stay": _stay(example, language), "total": format_yuan(example.total_fen)}
    if compared:
        cuts = [_clock(part.entered_at, example, language) for part in compared[1:]]
        said = [*cuts[:_CUTS_SAID], *(["…"] if len(cuts) > _CUTS_SAID else [])]
        values |= {
            "other_left": _clock(compared[0].left_at, example, language),
            "other_total": format_yuan(compared[0].total_fen), "before": format_yuan(compared[0].total_fen),
            "after": format_yuan(compared[-1].total_fen), "count": len(compared),
            "part": _length(max(part.minutes for part in compared), language),
            "parts_total": format_yuan(sum(part.total_fen for part in compared)),
            "cuts": ("、" if language == "zh" else ", ").join(said),
        }
    return RULES[finding.rule][language].format(**values)


def _stay(stay: Stay, language: Language) -> str:
    """From when to when, how long, and who, where it is not any small vehicle."""
    comma, opened, closed = ("，", "（", "）") if language == "zh" else (", ", " (", ")")
    details = comma.join([_length(stay.minutes, language), *_who(stay, language)])
    return f"{_day(stay.entered_at, language)} {stay.entered_at:%H:%M}–" \
        f"{_clock(stay.left_at, stay, language)}{opened}{details}{closed}"


def _who(stay: Stay, language: Language) -> list[str]:
    context = stay.context
    true = {
        "large": stay.vehicle.size == "large", "new_energy": is_new_energy(stay.vehicle),
        "rail_trip": context.get("rail_trip"), "metro_trip": context.get("metro_trips"),
        "again": context.get("stop_of_day", 1) > 1, "exempt": context.get("exempt"),
        "validated": context.get("validations"),
    }
    return [
        _WHO[word][language].format(count=context.get("stop_of_day", 1), word=context.get("exempt"))
        for word, holds in true.items() if holds]


def _clock(instant: datetime, stay: Stay, language: Language) -> str:
    """The time of day; with its day where it is another than the one on which the stay begins."""
    if instant.date() == stay.entered_at.date():
        return f"{instant:%H:%M}"
    return f"{_day(instant, language)} {instant:%H:%M}"


def _day(instant: datetime, language: Language) -> str:
    return f"{_WEEKDAYS[language][instant.weekday()]} {instant:%Y-%m-%d}"


def _length(minutes: int, language: Language) -> str:
    hours, rest = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = {"zh": ("天", "小时", "分钟"), "en": (" d", " h", " min"), "fr": (" j", " h", " min")}[language]
    parts = [f"{count}{unit}" for count, unit in zip((days, hours, rest), units, strict=True) if count]
    return ("" if language == "zh" else " ").join(parts) or f"0{units[2]}"
