"""What a tariff asks before it chooses a rule, in words."""

from __future__ import annotations

from parking.core import time_words
from parking.core.phrase import AND, join, say
from parking.core.reason import Words
from parking.core.rule import Condition

_SIZES: dict[str, Words] = {
    "small": say("小型车", "with a small vehicle", "petit véhicule"),
    "large": say("大型车", "with a large vehicle", "grand véhicule"),
}
_TRUTHS: dict[str, dict[bool, Words]] = {
    "rail_trip": {
        True: say("出示轨道交通乘车凭证", "with proof of a rail trip", "trajet en train justifié"),
        False: say("未出示轨道交通乘车凭证", "without proof of a rail trip", "aucun trajet en train justifié")},
    "metro_trip": {
        True: say("停放期间用绑定该车牌的应用乘过地铁", "with a metro trip during the stay, by the plate's app",
                  "trajet en métro pendant le séjour, par l'application de la plaque"),
        False: say("停放期间未用绑定该车牌的应用乘地铁", "without a metro trip during the stay, by the plate's app",
                   "aucun trajet en métro pendant le séjour, par l'application de la plaque")},
    "new_energy": {
        True: say("新能源车", "with a new-energy vehicle", "véhicule à énergie nouvelle"),
        False: say("非新能源车", "with another than a new-energy vehicle", "autre qu'un véhicule à énergie nouvelle")},
    "first_stop_of_day": {
        True: say("当日首次停放", "on the first stop of the day", "premier arrêt du jour"),
        False: say("非当日首次停放", "on a later stop of the day", "arrêt suivant du jour")},
}


def condition(asked: Condition) -> Words:
    """Such as "entered Mon–Fri 06:00–09:00 and staying at most 14 h": all of it must hold."""
    parts: list[Words] = []
    if asked.entered is not None:
        parts.append(say("{0}进场", "entered {0}", "entrée {0}", time_words.spans(asked.entered)))
    if asked.left is not None:
        parts.append(say("{0}（含终点）离场", "left {0} (end included)", "sortie {0} (fin comprise)",
                         time_words.spans(asked.left)))
    if asked.stay_up_to is not None:
        parts.append(say("停放不超过{0}", "staying at most {0}", "séjour d'au plus {0}",
                         time_words.length(asked.stay_up_to)))
    parts += [_TRUTHS[name][value] for name in _TRUTHS if (value := getattr(asked, name)) is not None]
    if asked.size is not None:
        parts.append(_SIZES[asked.size])
    return join(parts, AND)
