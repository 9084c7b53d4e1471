"""The engine and a second pricer, written from the docs alone, agree to the fen on tariffs and stays drawn at random.

PAIRS=20000 prices as many stays, others each time; without it they are the same ones.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import gcd
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from parking.core.calendar import CalendarNotConfirmed
from parking.core.clock import EPOCH, drop_seconds
from parking.core.line import why
from parking.core.next_step import NextStep, next_step
from parking.core.price import MINUTE, Quote, StayTooLong, grain_of, price
from parking.core.stretch import DAY
from tests.core.oracle import fee_of, lines_of, sums_of
from tests.core.tariffs_drawn import Drawn, drawn

PAIRS = int(os.environ.get("PAIRS", "300"))
WALK, INSTANT = 100, timedelta(milliseconds=1)


def many(share: float) -> settings:
    return settings(max_examples=max(1, round(PAIRS * share)), deadline=None, derandomize="PAIRS" not in os.environ,
                    suppress_health_check=list(HealthCheck), database=None)


def price_of(stay: Drawn) -> Quote:
    """Also: no price is refused for want of a calendar that the stay does not come near."""
    try:
        return price(stay.read, entered_at=stay.entered_at, left_at=stay.left_at, **stay.asked)
    except CalendarNotConfirmed:
        days = [at.astimezone(stay.read.zone).date() for at in (stay.entered_at - DAY, stay.left_at + MINUTE)]
        assert stay.read.calendar is not None and not set(range(days[0].year, days[1].year + 1)) <= set(stay.years)
        raise UnsatisfiedAssumption from None
    except StayTooLong:
        raise UnsatisfiedAssumption from None  # Too many lines.


@many(1)
@given(drawn())
def test_the_oracle_finds_the_same_fen_under_each_rule(stay: Drawn) -> None:
    quote = price_of(stay)

    found: Counter[str] = Counter()
    for line in quote.lines:
        found[line.rule] += line.amount_fen
    asked = lines_of(stay.tariff, entered_at=stay.entered_at, left_at=stay.left_at, **stay.told)
    assert {rule: fen for rule, fen in found.items() if fen} == sums_of(asked)
    assert quote.total_fen == sum(line.amount_fen for line in quote.lines) == sum(fen for _, fen in asked) >= 0


@many(0.5)
@given(drawn(longest=366 * 24 * 60))
def test_lines_lie_within_the_stay_and_say_why(stay: Drawn) -> None:
    quote, tariff = price_of(stay), stay.read

    start, end = stay.entered_at, stay.left_at
    if tariff.seconds == "drop":
        start, end = drop_seconds(start), drop_seconds(end)
    if tariff.exit_minute == "charged":
        end += grain_of(tariff)
    assert all(start <= line.from_at <= line.to_at <= end and line.units > 0 for line in quote.lines)
    assert all(text for line in quote.lines for text in why(line).values())


@many(0.3)
@given(drawn(deepest=2, longest=2 * 24 * 60), st.randoms(use_true_random=False))
def test_the_next_step_is_where_a_walk_finds_it(stay: Drawn, random: Random) -> None:
    price_of(stay)
    known = min(stay.left_at + 6 * DAY, stay.read.walls.known_until(stay.left_at) - DAY)

    step = next_step(stay.read, entered_at=stay.entered_at, now=stay.left_at, **stay.asked)

    before, seen = fee(stay, stay.left_at), stay.left_at
    for seen, at in moments(stay):
        if at < known and (after := fee(stay, at)) != before:
            assert step == NextStep(seen, after)
            return
    assert step is None or step.at > min(seen, known)
    until = known if step is None else min(known, step.at - grain_of(stay.read))
    for _ in range(8):  # Later than the walk: here and there.
        at = drop_seconds(seen + random.random() * (until - seen))
        assert at <= seen or fee(stay, at) == before, at
    if step is not None and stay.read.seconds == "drop":
        assert fee(stay, step.at) == step.total_fen != before == fee(stay, step.at - MINUTE)


def fee(stay: Drawn, left_at: datetime) -> int:
    return fee_of(stay.tariff, entered_at=stay.entered_at, left_at=left_at, **stay.told)


def moments(stay: Drawn) -> Iterator[tuple[datetime, datetime]]:
    """The instants of the next while at which the fee may change, each with one of the same fee to ask at."""
    if stay.read.seconds == "drop":
        yield from ((at, at) for at in (drop_seconds(stay.left_at) + ahead * MINUTE for ahead in range(1, WALK)))
        return
    tick = timedelta(microseconds=gcd(60_000_000, (stay.entered_at - EPOCH) // timedelta(microseconds=1)))
    at = stay.left_at - (stay.left_at - EPOCH) % tick
    while at < stay.left_at + WALK * MINUTE / 4:
        if at > stay.left_at:
            yield at, at
        if at >= stay.left_at:
            yield at + INSTANT, at + tick / 2  # until the next tick it stays the same
        at += tick
