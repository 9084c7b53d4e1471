"""May a fee be taken without asking the driver: every no with its word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.auto_pay import (
    CEILING_DEFAULT_FEN,
    CEILING_MAX_FEN,
    RETRY_AFTER,
    Agreement,
    WhyNot,
    choose,
    refuse,
    retry_at_most,
)
from parking.core.decision import Decision, LotRules, Situation, decide
from parking.core.fact import FactRef
from parking.core.parking_session import ParkingSession

AT = datetime(2026, 3, 10, 1, tzinfo=UTC)
LI, WANG = UUID(int=1), UUID(int=2)


def make_agreement(number: int = 1, **other: object) -> Agreement:
    made = Agreement(b"v" * 16, UUID(int=number), LI, UUID(int=8), UUID(int=9), "alipay", CEILING_DEFAULT_FEN)
    return replace(made, **other)  # type: ignore[arg-type]


def make_session(**other: object) -> ParkingSession:
    made = ParkingSession(UUID(int=5), 3, b"v" * 16, None, AT, FactRef(UUID(int=6), 1))
    return replace(made, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(("agreement", "session", "due_fen", "why"), [
    ({}, {}, 1, None),
    ({}, {}, 10_000, None),
    ({}, {}, 10_001, "above_ceiling"),
    ({"ceiling_fen": CEILING_MAX_FEN}, {}, 50_000, None),
    ({"ceiling_fen": CEILING_MAX_FEN}, {}, 50_001, "above_ceiling"),
    ({}, {"state": "suspended"}, 1, "irregular"),
    ({}, {"state": "closed"}, 1, "irregular"),
    ({}, {"state": "voided"}, 1, "irregular"),
    ({}, {"flags": ("overdue",)}, 1, "irregular"),
    ({}, {"flags": ("seen_elsewhere",)}, 10_001, "irregular"),
    ({"means": "wechat_pay"}, {}, 1, "service_closed"),
    ({"means": "wechat_pay", "service": "asked"}, {}, 1, "service_closed"),
    ({"means": "wechat_pay", "service": "blocked"}, {}, 1, "service_closed"),
    ({"means": "wechat_pay", "service": "normal"}, {}, 1, None),
    ({"means": "wechat_pay", "service": "blocked"}, {}, 10_001, "above_ceiling"),
])
def test_each_no_has_its_word(
    agreement: dict[str, object], session: dict[str, object], due_fen: int, why: str | None
) -> None:
    assert refuse(make_agreement(**agreement), make_session(**session), due_fen=due_fen) == why


def test_without_an_agreement_there_is_none_to_name() -> None:
    chosen = choose([], make_session(), driver_id=LI, due_fen=1)

    assert (chosen.agreement, chosen.why_not) == (None, "no_agreement")


def test_whose_code_was_shown_pays_and_else_who_agreed_first() -> None:
    first, hers = make_agreement(1), make_agreement(2, driver_id=WANG)

    assert choose([first, hers], make_session(), driver_id=WANG, due_fen=1).agreement == hers
    assert choose([first, hers], make_session(), driver_id=None, due_fen=1).agreement == first


def test_an_agreement_that_does_not_bear_it_leaves_it_to_the_next() -> None:
    low, high = make_agreement(1, ceiling_fen=5), make_agreement(2)

    assert choose([low, high], make_session(), driver_id=None, due_fen=6).agreement == high
    none = choose([low, low], make_session(), driver_id=None, due_fen=6)
    assert (none.agreement, none.why_not) == (low, "above_ceiling")


@given(
    due_fen=st.integers(1, 10**9), ceiling=st.integers(1, CEILING_MAX_FEN),
    state=st.sampled_from(["open", "suspended", "closed", "voided"]),
    flags=st.sampled_from([(), ("overdue",), ("exit_corrected",)]), means=st.sampled_from(["alipay", "wechat_pay"]),
    service=st.sampled_from([None, "asked", "normal", "blocked"]))
def test_nothing_is_ever_taken_above_a_ceiling_or_of_an_irregular_visit(
    due_fen: int, ceiling: int, state: str, flags: tuple[str, ...], means: str, service: str | None
) -> None:
    agreement = make_agreement(ceiling_fen=ceiling, means=means, service=service)

    chosen = choose([agreement], make_session(state=state, flags=flags), driver_id=None, due_fen=due_fen)

    assert chosen.why_not is None or chosen.why_not in get_args(WhyNot)
    if chosen.why_not is None:
        assert due_fen <= ceiling and state == "open" and not flags
        assert means == "alipay" or service == "normal"


def test_a_fee_that_is_deducted_opens_and_others_stay_shut() -> None:
    held = Situation("exit", LotRules(collects=True), session=make_session(), due_fen=1)

    assert decide(held) == Decision(False, "fee_due")
    assert decide(replace(held, is_deducted=True)) == Decision(True, "left")
    assert decide(replace(held, is_deducted=True, is_in_time=False)) == Decision(False, "scanned_at_out_of_range")


def test_it_is_tried_again_three_times_over_three_days() -> None:
    assert [retry_at_most(tries) for tries in (1, 2, 3)] == list(RETRY_AFTER)
    assert RETRY_AFTER[-1] == timedelta(days=3)
    assert retry_at_most(0) is None and retry_at_most(4) is None
