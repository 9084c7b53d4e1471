"""What the evidence of a missed exit allows a person to say is what the fold then believes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from parking.core.evidence import weigh
from parking.core.fact import Fact, FactRef
from parking.core.parking_session import fold

AT, NOW, GATE = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC), UUID(int=1)
MINUTE = timedelta(minutes=1)


@st.composite
def facts_of_a_vehicle(draw: st.DrawFn) -> list[Fact]:
    """An entry at AT, and scans and sightings around it, some of times that nobody knows or that were answered late."""
    facts = [Fact(FactRef(GATE, 1), "scan", AT, "entry", True, b"v")]
    for number in range(2, draw(st.integers(2, 7))):
        at = AT + draw(st.integers(-3, 300)) * MINUTE
        made = draw(st.sampled_from([
            Fact(FactRef(GATE, number), "scan", at, "entry", True, b"v"),
            Fact(FactRef(GATE, number), "scan", at, "exit", False, b"v"),
            Fact(FactRef(GATE, number), "seen_elsewhere", at, vehicle_key=b"v")]))
        if made.kind == "scan":
            made = replace(made, is_time_unknown=draw(st.booleans()),
                           answered_at=draw(st.sampled_from([None, at + MINUTE / 2, at - MINUTE / 2])))
        facts.append(made)
    return sorted(facts, key=lambda each: each.position)


@given(facts_of_a_vehicle(), st.integers(-5, 400))
def test_a_time_of_leaving_that_the_evidence_allows_ends_the_visit_then(facts: list[Fact], minutes: int) -> None:
    entry, left_at = FactRef(GATE, 1), AT + minutes * MINUTE
    evidence = weigh(facts, AT, entry)
    said = Fact(FactRef(UUID(int=2), 1), "exit_correction", left_at, vehicle_key=b"v", corrects=entry)

    folded = fold(sorted([*facts, said], key=lambda each: each.position), lot_id=1, zone=ZoneInfo("Asia/Shanghai"))

    visit = next(each for each in folded if each.opened_by == entry)
    is_believed = (visit.state, visit.left_at) == ("closed", left_at)
    assert is_believed == (AT <= left_at <= evidence.latest(NOW)) or (left_at < AT and visit.left_at == AT)
    assert not evidence.allows(left_at, NOW) or is_believed


@given(facts_of_a_vehicle())
def test_the_fold_bills_until_what_the_evidence_shows(facts: list[Fact]) -> None:
    evidence = weigh(facts, AT, FactRef(GATE, 1))

    visit = next(each for each in fold(facts, lot_id=1, zone=ZoneInfo("Asia/Shanghai"))
                 if each.opened_by == FactRef(GATE, 1))

    gone_at = None if evidence.gone_by is None else evidence.gone_by.occurred_at
    assert (visit.state == "suspended") == (gone_at is not None) and visit.billed_until == visit.gone_at == gone_at
