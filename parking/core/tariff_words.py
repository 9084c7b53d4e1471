"""A whole tariff in sentences, as signs and pages show it: one a rule, read from the outside in.

The sentence of a rule that has one rule inside is followed by that rule's at the same level, and speaks of what
follows. Where there are several inside, or the stretch is cut, theirs stand one level deeper; a sentence alone goes
on behind its head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parking.core import rule as data
from parking.core import time_words
from parking.core.condition_words import condition
from parking.core.line import EXEMPT
from parking.core.money import format_yuan
from parking.core.phrase import COMMA, LIST, capital, head, join, same, say, title
from parking.core.reason import LANGUAGES, Words
from parking.core.rule import parts_of
from parking.core.tariff import Tariff


@dataclass(frozen=True, slots=True)
class Clause:
    """A sentence; level: 0 for what stands at the margin, one more for what is inside it. Amounts are in yuan."""

    level: int
    text: Words


def describe(tariff: Tariff) -> tuple[Clause, ...]:
    """The rules of a tariff in words."""
    return tuple(Clause(each.level, capital(each.text)) for each in _describe(tariff.rule))


def remarks(tariff: Tariff) -> tuple[Words, ...]:
    """What holds for all of it: the money, started periods, seconds, ends of times."""
    made = [
        say("价格单位：元（人民币）；不足一个计费单位的按一个单位计。",
            "Prices in yuan (CNY); a started unit is charged whole.",
            "Prix en yuans (CNY) ; toute unité entamée est due.")
        if tariff.currency == "CNY" else
        say("价格单位：{0}；不足一个计费单位的按一个单位计。", "Prices in {0}; a started unit is charged whole.",
            "Prix en {0} ; toute unité entamée est due.", same(tariff.currency)),
        say("进出场时间舍去秒。", "Entry and exit are cut to the minute.", "Entrée et sortie sans les secondes.")
        if tariff.seconds == "drop" else
        say("时间精确到秒。", "Time counts to the second.", "Le temps compte à la seconde."),
    ]
    if tariff.exit_minute == "charged":
        made.append(say("离场的一分钟计入停放时间。", "The minute of leaving counts.", "La minute de sortie compte."))
    if any(isinstance(each, data.Window | data.Span) for each in parts_of(tariff.rule)):
        made.append(say("时段含起点、不含终点（{0}）。", "Times include their start and not their end ({0}).",
                        "Heures : début compris, fin exclue ({0}).", same(tariff.time_zone)))
    return tuple(made)


def _describe(rule: Any) -> list[Clause]:
    return _WORDS[type(rule)](rule)


def _under(of: Words, inner: list[Clause]) -> list[Clause]:
    """A sentence alone goes on behind its head, with all that is inside it; several stand below it."""
    if sum(each.level == 0 for each in inner) == 1:
        return [Clause(0, head(of, inner[0].text)), *inner[1:]]
    return _listed(of, inner)


def _listed(of: Words, inner: list[Clause]) -> list[Clause]:
    return [Clause(0, title(of)), *(replace(each, level=each.level + 1) for each in inner)]


def _before(text: Words, inner: Any) -> list[Clause]:
    return [Clause(0, text), *_describe(inner)]


def _steps(rule: data.Steps) -> list[Clause]:
    return [Clause(0, join([_step(step, is_first=number == 0) for number, step in enumerate(rule.steps)], COMMA))]


def _step(step: data.Step, *, is_first: bool) -> Words:
    minutes, price = time_words.length(step.minutes), _price(step.fen)
    if step.times is None:
        if step.fen == 0:
            return price if is_first else say("之后免费", "then free", "puis gratuit")
        made = say("每{0}（不足按{0}计）{1}", "{1} for each started {0}", "{1} par tranche de {0} entamée",
                   minutes, yuan(step.fen))
        return made if is_first else say("之后{0}", "then {0}", "puis {0}", made)
    if step.times == 1:
        return say("首{0}{1}", "first {0} {1}", "premières {0} {1}", minutes, price) if is_first else say(
            "其后{0}{1}", "next {0} {1}", "{0} suivantes {1}", minutes, price)
    values = (minutes, price, same(str(step.times)))
    return say("前{2}个{0}每个{1}", "first {2} periods of {0} {1} each",
               "{2} premières tranches de {0} {1} chacune", *values) if is_first else say(
        "其后{2}个{0}每个{1}", "next {2} periods of {0} {1} each",
        "{2} tranches suivantes de {0} {1} chacune", *values)


def _ladder(rule: data.Ladder) -> list[Clause]:
    """The last rung is the price of all that is longer than the one before, so its own length says nothing."""
    *bounded, last = rule.rungs
    if not bounded:
        return _flat(last)
    parts = [say("{0}以内{1}", "up to {0} {1}", "jusqu'à {0} {1}", time_words.length(rung.minutes), _price(rung.fen))
             for rung in bounded]
    parts.append(say("超过{0}{1}", "over {0} {1}", "au-delà de {0} {1}", time_words.length(bounded[-1].minutes),
                     _price(last.fen)))
    return [Clause(0, join(parts, COMMA))]


def _flat(rule: data.Flat | data.Rung) -> list[Clause]:
    return [Clause(0, say("按次 {0}", "{0} flat", "forfait {0}", yuan(rule.fen)) if rule.fen else _price(0))]


def _windows(rule: data.Windows) -> list[Clause]:
    inner = [clause for window in rule.windows for clause in _under(_window(window), _describe(window.each))]
    return _listed(say("分时段计费，每个时段重新起算", "by time of day, each part charged anew",
                       "selon l'heure, chaque plage comptée à neuf"), inner)


def _window(window: data.Window) -> Words:
    name = _WINDOW_NAMES.get(window.name) or same(window.name)
    return say("{0} {1}", "{0} {1}", "{0} {1}", name, time_words.time_of_day(window))


def _blocks(rule: data.Blocks) -> list[Clause]:
    return _under(per_block(rule), _describe(rule.each))


def per_block(rule: data.Blocks) -> Words:
    length = time_words.length(rule.hours * 60)
    return say("每{0}为一周期", "for each started {0}", "par période de {0} entamée", length)


def _cap(rule: data.Cap) -> list[Clause]:
    return _before(at_most(rule), rule.of)


def at_most(rule: data.Cap) -> Words:
    """The cap alone."""
    caps = rule.by_stay or ()
    if len(caps) > 1:
        return say("按总停放时长封顶：{0}", "never more than {0}", "jamais plus de {0}",
                   join([_stay_cap(cap) for cap in caps], COMMA))
    fen = caps[0].fen if caps else rule.fen
    assert fen is not None
    return say("最高 {0}", "never more than {0}", "jamais plus de {0}", yuan(fen))


def _stay_cap(cap: data.StayCap) -> Words:
    if cap.minutes is not None:
        return say("{1}以内最高 {0}", "{0} for stays up to {1}", "{0} pour un séjour jusqu'à {1}", yuan(cap.fen),
                   time_words.length(cap.minutes))
    if cap.below is not None:
        return say("不足{1}最高 {0}", "{0} for stays under {1}", "{0} pour un séjour de moins de {1}", yuan(cap.fen),
                   time_words.length(cap.below))
    return say("更长最高 {0}", "{0} for longer stays", "{0} au-delà", yuan(cap.fen))


def _free_within(rule: data.FreeWithin) -> list[Clause]:
    return _before(say("{0}；超过的从头计费", "{0}; longer is charged from the start",
                       "{0} ; au-delà, dû depuis le début", free_up_to(rule)), rule.then)


def free_up_to(rule: data.FreeWithin) -> Words:
    """The free time alone."""
    free = say("{0}以内免费", "free up to {0}", "gratuit jusqu'à {0}", time_words.length(rule.minutes))
    return say("当日首次停放{0}", "on the first stop of the day {0}", "au premier arrêt du jour {0}", free) \
        if rule.first_stop_of_day else free


def _free_first(rule: data.FreeFirst) -> list[Clause]:
    return _before(say("{0}，此后起算", "{0}, counted from then on", "{0}, compté ensuite", first_free(rule)),
                   rule.then)


def first_free(rule: data.FreeFirst) -> Words:
    """The free time alone."""
    return say("前{0}免费", "first {0} free", "premières {0} gratuites", time_words.length(rule.minutes))


def _exempt(rule: data.Exempt) -> list[Clause]:
    return _before(say("凭证免费：{0}", "free with proof: {0}", "gratuit sur justificatif : {0}", exempt_ones(rule)),
                   rule.then)


def exempt_ones(rule: data.Exempt) -> Words:
    """Who is exempt; a word that is not known stands as it is."""
    return join([EXEMPT.get(word) or same(word) for word in rule.when], LIST)


def _vehicle_factor(rule: data.VehicleFactor) -> list[Clause]:
    return _before(say("大型车：以下价格的 {0} 倍", "large vehicles: {0} times what follows",
                       "grands véhicules : {0} fois ce qui suit", same(str(rule.large))), rule.then)


def _days(rule: data.Days) -> list[Clause]:
    inner = [clause for part in rule.days for clause in _under(time_words.days(part.on), _describe(part.each))]
    return _listed(say("按日期计费{0}，同一行内连续的日子合并计算",
                       "by day{0}, days of one line that follow each other taken together",
                       "selon le jour{0}, jours consécutifs d'une même ligne comptés ensemble",
                       _day_begins(rule.at)), inner)


def _periods(rule: data.Periods) -> list[Clause]:
    return _under(per_period(rule), _describe(rule.each))


def per_period(rule: data.Periods) -> Words:
    if rule.every == "day":
        return say("每个自然日{0}", "for each calendar day begun{0}", "par jour civil entamé{0}", _day_begins(rule.at))
    return say("每周（周一起）{0}", "for each week begun (from Monday){0}", "par semaine entamée (dès lundi){0}",
               _day_begins(rule.at))


def _day_begins(at: str) -> Words:
    if at == "00:00":
        return same("")
    return say("（每日自{0}起）", " (a day begins at {0})", " (le jour commence à {0})", same(at))


def _gather(rule: data.Gather) -> list[Clause]:
    return _under(say("仅{0}计费，合并为一段连续计算", "only {0} is charged, taken together as one stretch",
                      "seules comptent les heures {0}, mises bout à bout", time_words.spans(rule.within)),
                  _describe(rule.then))


def _slots(rule: data.Slots) -> list[Clause]:
    return _under(say("每{0}（不足按{0}计），按其开始时的价格", "for each started {0}, at the price when it begins",
                      "par tranche de {0} entamée, au prix de son début", time_words.length(rule.minutes)),
                  _describe(rule.each))


def _pro_rata(rule: data.ProRata) -> list[Clause]:
    return [Clause(0, say("每{0} {1}，按分钟折算，{2}分", "{1} for {0}, by the started minute, rounded {2} to the fen",
                          "{1} pour {0}, à la minute entamée, arrondi au fen {2}", time_words.length(rule.minutes),
                          yuan(rule.fen), _ROUNDED[rule.round]))]


def _sum(rule: data.Sum) -> list[Clause]:
    if len(rule.of) == 1:
        return _describe(rule.of[0])
    return _listed(say("以下各项相加", "the sum of these", "la somme de"), _lettered(rule.of))


def _lower_of(rule: data.LowerOf) -> list[Clause]:
    return _listed(say("以下取较低价", "the cheapest of these", "le moins cher de"), _lettered(rule.of))


def _lettered(rules: Sequence[Any]) -> list[Clause]:
    """Such a rule has ten inside it at most."""
    letters = [same(letter) for letter in "ABCDEFGHIJ"[:len(rules)]]
    return [clause for letter, rule in zip(letters, rules, strict=True) for clause in _under(letter, _describe(rule))]


def _when(rule: data.When) -> list[Clause]:
    """An `else` that asks again goes on at the same level, so that a chain of questions stays one list."""
    made = _under(say("{0}的", "{0}", "{0}", condition(rule.if_)), _describe(rule.then))
    other = rule.else_
    while isinstance(other, data.When):
        made += _under(say("否则，{0}的", "otherwise, {0}", "sinon, {0}", condition(other.if_)), _describe(other.then))
        other = other.else_
    return made + _under(say("其他情况", "otherwise", "sinon"), _describe(other))


def _round(rule: data.Round) -> list[Clause]:
    return _before(say("以下合计{1} {0}的整数倍", "what follows, rounded {1} to a multiple of {0}",
                       "ce qui suit, arrondi au multiple de {0} {1}", yuan(rule.to_fen), _ROUNDED[rule.how]),
                   rule.then)


def _validated(rule: data.Validated) -> list[Clause]:
    return _before(say("商户减免：先抵扣开头的时间，再抵扣金额",
                       "merchants' validations come off: time from the start, then money",
                       "validations des commerçants déduites : temps du début, puis argent"), rule.then)


def _price(fen: int) -> Words:
    """An amount, or "free"; behind Chinese words, which the amount stands apart from."""
    return say(" {0}", "{0}", "{0}", yuan(fen)) if fen else say("免费", "free", "gratuit")


def yuan(fen: int) -> Words:
    return {language: f"{format_yuan(fen)} 元" if language == "zh" else format_yuan(fen) for language in LANGUAGES}


_ROUNDED: dict[data.Rounding, Words] = {
    "half_up": say("四舍五入至", "half up", "le plus proche"), "up": say("向上取至", "up", "supérieur"),
    "down": say("向下取至", "down", "inférieur"),
}
_WINDOW_NAMES: dict[str, Words] = {
    "day": say("日间", "day", "jour"), "night": say("夜间", "night", "nuit"),
    "morning": say("上午", "morning", "matin"), "afternoon": say("下午", "afternoon", "après-midi"),
    "evening": say("晚间", "evening", "soir"),
}
_WORDS: dict[type, Callable[[Any], list[Clause]]] = {
    data.Steps: _steps, data.Ladder: _ladder, data.Flat: _flat, data.Windows: _windows, data.Blocks: _blocks,
    data.Cap: _cap, data.FreeWithin: _free_within, data.FreeFirst: _free_first, data.Exempt: _exempt,
    data.VehicleFactor: _vehicle_factor, data.Days: _days, data.Periods: _periods, data.Gather: _gather,
    data.Slots: _slots, data.ProRata: _pro_rata, data.Sum: _sum, data.LowerOf: _lower_of, data.When: _when,
    data.Round: _round, data.Validated: _validated,
}
