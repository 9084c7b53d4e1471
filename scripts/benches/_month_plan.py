"""The visits of a simulated month as a seed draws them: who comes when, pays how, and what goes wrong with it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from parking.core.clock import start_of_day
from parking.core.statement import CHANNEL_ZONE

FIRST, DAYS, DAYS_MIN = date(2026, 4, 1), 30, 8
ENDS_AFTER = 3  # days that it takes what goes wrong to come to its end
LOTS = (1, 2, 3)
TOLD_EVERY = timedelta(minutes=15)  # a lane tells its journal, and the worker looks what is due
Pays = Literal["inside", "afterwards", "cash", "never"]
# Of a visit that is paid by a channel, what goes wrong; each happens to some visits of every month.
FAULTS = (
    "callback_lost", "callback_late", "callback_doubled", "callback_forged", "callbacks_out_of_order",
    "create_timed_out", "refund_timed_out", "order_abandoned", "closed_and_paid", "closed_and_paid_unheard",
    "unheard_until_statement", "paid_twice", "paid_by_both_channels", "waived_in_part", "refund_abnormal",
    "refund_refused_for_a_while", "exit_told_late", "voided", "replaced", "paid_at_23_59_58", "paid_at_00_00_02",
    "dated_next_day", "amount_differs_in_statement", "amount_differs_in_callback", "missing_in_statement",
    "twice_in_statement", "cash_given_back",
)
_ASKED_BEFORE = {"callback_late": timedelta(minutes=10), "dated_next_day": timedelta(minutes=3),
                 "paid_at_23_59_58": timedelta(minutes=3), "paid_at_00_00_02": timedelta(minutes=2)}
_OF_WECHAT, _OF_ALIPAY = ("refund_abnormal",), ("refund_refused_for_a_while",)
_INSIDE = ("callback_late", "exit_told_late", "voided", "replaced", *_ASKED_BEFORE)
_RECORDING = (1, 2)  # lots whose barrier opens unpaid


@dataclass(slots=True)
class Visit:
    """asked_at: when the driver wants to pay. left_at: None where an entry is undone, and nobody left."""

    number: int
    lot_id: int
    plate: str
    entered_at: datetime
    left_at: datetime | None
    pays: Pays
    channel: str
    asked_at: datetime
    fault: str = ""


def draw_visits(count: int, seed: int, *, days: int = DAYS) -> list[Visit]:
    """So many visits, by the time at which they begin; each fault befalls two of a thousand, and two at least."""
    whims = random.Random(seed)  # noqa: S311
    each = max(2, count // 500)
    faults = [fault for fault in FAULTS for _ in range(each)]
    if len(faults) > count or days < DAYS_MIN:
        raise ValueError(f"a month has {len(faults)} visits at least, and {DAYS_MIN} days")
    faults += [""] * (count - len(faults))
    whims.shuffle(faults)
    visits = [_draw(whims, number, fault, days) for number, fault in enumerate(faults)]
    return sorted(visits, key=lambda visit: (visit.entered_at, visit.number))


def _draw(whims: random.Random, number: int, fault: str, days: int) -> Visit:
    day = whims.randrange(days - ENDS_AFTER if fault else days)
    midnight = start_of_day(FIRST + timedelta(days=day + 1), CHANNEL_ZONE)
    stay = timedelta(minutes=whims.randrange(45, 300), seconds=whims.randrange(60))
    pays: Pays = whims.choices(("inside", "afterwards", "cash", "never"), (60, 20, 15, 5))[0]
    channel = whims.choice(("wechat_pay", "alipay"))
    lot_id = whims.choice(LOTS)
    if fault:
        pays = "cash" if fault == "cash_given_back" else "inside" if fault in _INSIDE else whims.choice(
            ("inside", "afterwards"))
        channel = "wechat_pay" if fault in _OF_WECHAT else "alipay" if fault in _OF_ALIPAY else channel
        lot_id = whims.choice(_RECORDING) if fault in ("voided", "replaced") else lot_id
    if fault in _ASKED_BEFORE:
        asked_at = midnight - _ASKED_BEFORE[fault]
        entered_at, left_at = asked_at - stay, midnight + timedelta(minutes=4)
    else:
        entered_at = midnight - timedelta(hours=18) + timedelta(seconds=whims.randrange(
            (11 if fault or pays == "cash" else 12) * 3600))
        left_at = entered_at + stay
        asked_at = left_at + timedelta(minutes=whims.randrange(20, 90)) if pays == "afterwards" else (
            left_at - timedelta(minutes=whims.randrange(3, 12)))
    return Visit(number, lot_id, _plate(number), entered_at, None if fault == "voided" else left_at, pays, channel,
                 asked_at, fault)


def _plate(number: int) -> str:
    letter, rest = divmod(number, 100_000)
    return f"沪{'ABCDEFGHJK'[letter]}{rest:05d}"
