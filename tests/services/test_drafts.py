"""A tariff version is written, proposed and approved by two persons, on both engines, also when they race."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from parking.core.clock import format_instant
from parking.core.tariff import BadTariff, read_tariff
from parking.services import assign, draft
from parking.services.draft import DraftChanged, DraftIdReused, NoDraft
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.publish import CodeOfAnother, StartsInThePast, StartTaken, tariff_id
from parking.store import tariff_drafts, tariffs
from parking.store.tariff_drafts import TariffDraft
from tests.city import LONG_AGO, City, now
from tests.tariff_desk import ids_of, make_tariff, second_of, soon


class Desk:
    """Two colleagues of the first operator, Wu and Xu, and Zhou of the other one."""

    def __init__(self, city: City) -> None:
        self.city, self.database = city, city.app.extensions["database"]
        self.wu, self.zhou = ids_of(city, city.operators[0]), ids_of(city, city.operators[1])
        self.xu = ids_of(city, second_of(city, city.operators[0]))

    def do(self, deed: Any, **given: Any) -> Any:
        given.setdefault("now", now())
        return self.database.write(lambda db: deed(db, **given))

    def write(self, tariff: dict[str, Any] | None = None, **given: Any) -> TariffDraft:
        read = read_tariff(tariff or make_tariff())
        return self.do(draft.write_draft, tariff=read, draft_id=uuid4(), note="", **{**self.wu, **given})

    def propose(self, found: TariffDraft, *, at: datetime | None = None, **given: Any) -> TariffDraft:
        return self.do(draft.propose_draft, draft_id=found.draft_id, revision=found.revision,
                       in_force_from=at or soon(), **{**self.wu, **given})

    def approve(self, found: TariffDraft, **given: Any) -> TariffDraft:
        return self.do(draft.approve_draft, **{
            "draft_id": found.draft_id, "revision": found.revision, "body_hash": found.body_hash, **self.xu, **given})

    def change(self, found: TariffDraft, *, fen: int, **given: Any) -> TariffDraft:
        return self.do(draft.change_draft, tariff=read_tariff(make_tariff(fen=fen)), **{
            "draft_id": found.draft_id, "revision": found.revision, "note": "", **self.wu, **given})

    def versions(self, code: str = "TEST-HOURLY") -> list[int]:
        with self.database.reading() as db:
            return [each.version for each in tariffs.list_versions(db, tariff_id(code))]


@pytest.fixture
def desk(city: City) -> Desk:
    return Desk(city)


def test_what_one_proposes_and_another_approves_is_a_version_and_visits_before_it_keep_theirs(desk: Desk) -> None:
    at = soon(5)

    done = desk.approve(desk.propose(desk.write(), at=at))

    assert (done.state, done.version, done.decided_by) == ("approved", 2, desk.xu["by"])
    with desk.database.reading() as db:
        before = tariffs.find_tariff_of_lot(db, 1, at=at - timedelta(milliseconds=1))
        after = tariffs.find_tariff_of_lot(db, 1, at=at)
        events = [(each.what, each.staff_id) for each in tariff_drafts.list_events(db, done.draft_id)]
    assert before is not None and after is not None and (before.version, after.version) == (1, 2)
    assert events == [("written", desk.wu["by"]), ("proposed", desk.wu["by"]), ("approved", desk.xu["by"])]


def test_a_visit_that_entered_before_is_charged_by_the_version_of_its_entry(desk: Desk) -> None:
    """The version was approved two hours ago and is in force since an hour; both cars leave now."""
    at, long_ago = now() - timedelta(hours=1), now() - timedelta(hours=2)
    written = desk.write(make_tariff(fen=5000), now=long_ago)
    desk.approve(desk.propose(written, at=at, now=long_ago), now=long_ago)
    entries = (("沪A11111", at - timedelta(minutes=1)), ("沪A22222", at + timedelta(minutes=1)))
    desk.city.tell(1, "entry", [
        {"sequence": number, "kind": "scan", "occurred_at": format_instant(entered_at), "direction": "entry",
         "plate": plate, "plate_confidence": 0.99, "opened": True, "reason": "entered"}
        for number, (plate, entered_at) in enumerate(entries, start=1)])

    left = [desk.city.scan(1, "exit", plate=plate) for plate, _ in entries]

    assert [each["fee"]["total_fen"] for each in left] == [2000, 5000]


def test_nobody_approves_or_rejects_what_they_proposed_themselves(desk: Desk) -> None:
    proposed = desk.propose(desk.write())

    with pytest.raises(SecondPersonNeeded):
        desk.approve(proposed, **desk.wu)
    with pytest.raises(SecondPersonNeeded):
        desk.do(draft.reject_draft, draft_id=proposed.draft_id, revision=proposed.revision, why="x", **desk.wu)
    with pytest.raises(IntegrityError), desk.database._transaction() as db:
        tariff_drafts.change_draft(
            db, proposed, what="approved", by=desk.wu["by"], now=now(), state="approved",
            decided_by=desk.wu["by"], decided_at=now(), version=2)
    assert desk.versions() == [1]


def test_a_change_after_proposing_drops_the_proposal(desk: Desk) -> None:
    proposed = desk.propose(desk.write())

    changed = desk.change(proposed, fen=1300)

    assert (changed.state, changed.in_force_from, changed.proposed_by) == ("draft", None, None)
    with pytest.raises(DraftChanged):
        desk.approve(proposed)
    with pytest.raises(AlreadyDecided):
        desk.approve(changed)
    assert desk.versions() == [1]


def test_approving_is_bound_to_the_text_that_was_looked_at(desk: Desk) -> None:
    proposed = desk.propose(desk.write())

    with pytest.raises(DraftChanged):
        desk.approve(proposed, body_hash="0" * 64)


def test_two_editors_do_not_overwrite_each_other(desk: Desk) -> None:
    written = desk.write()
    first = desk.change(written, fen=1300)

    with pytest.raises(DraftChanged) as refused:
        desk.change(written, fen=1400, **desk.xu)

    assert refused.value.revision == first.revision
    assert desk.change(written, fen=1300, **desk.xu).revision == first.revision, "the same text changes nothing"


def test_of_two_approvals_at_once_one_publishes(desk: Desk) -> None:
    """Each of a third and a fourth person; on both engines one version comes of it."""
    proposed = desk.propose(desk.write())
    others = [ids_of(desk.city, second_of(desk.city, desk.city.operators[0])) for _ in range(4)]

    def approve(person: dict[str, UUID]) -> str:
        try:
            return desk.approve(proposed, **person).state
        except (DraftChanged, AlreadyDecided) as refused:
            return type(refused).__name__

    with ThreadPoolExecutor(4) as pool:
        came = sorted(pool.map(approve, others))

    assert came == ["DraftChanged", "DraftChanged", "DraftChanged", "approved"]
    assert desk.versions() == [1, 2]


def test_approving_while_it_is_edited_publishes_the_proposed_text_or_nothing(desk: Desk) -> None:
    for fen in range(1300, 1306):
        written = desk.write(make_tariff(f"RACE-{fen}", fen=fen))
        proposed = desk.propose(written)

        def deed(number: int, proposed: TariffDraft = proposed, fen: int = fen) -> str:
            try:
                if number:
                    return desk.approve(proposed).state
                tariff = read_tariff(make_tariff(f"RACE-{fen}", fen=9900))
                return desk.do(draft.change_draft, tariff=tariff, draft_id=proposed.draft_id, note="",
                               revision=proposed.revision, **desk.wu).state
            except (DraftChanged, AlreadyDecided):
                return "refused"

        with ThreadPoolExecutor(2) as pool:
            came = list(pool.map(deed, range(2)))

        assert sorted(came) in (["approved", "refused"], ["draft", "refused"]), came
        with desk.database.reading() as db:
            texts = [each.tariff.hash for each in tariffs.list_versions(db, tariff_id(f"RACE-{fen}"))]
        assert texts == ([proposed.body_hash] if "approved" in came else [])


def test_two_drafts_of_one_tariff_that_are_approved_at_once_are_two_versions(desk: Desk) -> None:
    proposed = [desk.propose(desk.write(make_tariff(fen=fen)), at=soon(fen)) for fen in (1300, 1400, 1500, 1600)]

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(desk.approve, proposed))

    assert sorted(each.version or 0 for each in done) == [2, 3, 4, 5]


def test_no_version_begins_in_the_past_neither_when_proposed_nor_when_approved(desk: Desk) -> None:
    written, at = desk.write(), now()

    with pytest.raises(StartsInThePast):
        desk.propose(written, at=at - timedelta(milliseconds=1), now=at)
    proposed = desk.propose(written, at=at, now=at)
    with pytest.raises(StartsInThePast):
        desk.approve(proposed, now=at + timedelta(milliseconds=1))
    assert desk.approve(proposed, now=at).version == 2


def test_a_version_is_not_replaced_by_one_that_begins_at_the_same_instant(desk: Desk) -> None:
    at = soon()
    first, second = (desk.propose(desk.write(make_tariff(fen=fen)), at=at) for fen in (1300, 1400))
    desk.approve(first)

    with pytest.raises(StartTaken):
        desk.approve(second)
    with pytest.raises(StartTaken):
        desk.propose(desk.write(), at=at)


def test_a_code_is_one_operators_and_a_draft_another_ones_is_not_there(desk: Desk) -> None:
    written = desk.write()

    with pytest.raises(CodeOfAnother):
        desk.write(**desk.zhou)
    with pytest.raises(NoDraft):
        desk.change(written, fen=1300, **desk.zhou)
    with pytest.raises(NoDraft):
        desk.propose(written, **desk.zhou)
    both = [desk.propose(desk.write(make_tariff("NEW-CODE"), **who), **who) for who in (desk.wu, desk.zhou)]
    desk.approve(both[0])
    with pytest.raises(CodeOfAnother):
        desk.approve(both[1], **ids_of(desk.city, second_of(desk.city, desk.city.operators[1])))


def test_an_id_names_one_draft_whoevers_it_is(desk: Desk) -> None:
    read, one = read_tariff(make_tariff("NEW-CODE")), uuid4()
    given = {"tariff": read, "draft_id": one, "note": ""}
    desk.do(draft.write_draft, **given, **desk.wu)

    assert desk.do(draft.write_draft, **given, **desk.wu).revision == 1
    with pytest.raises(DraftIdReused):
        desk.do(draft.write_draft, **{**given, "note": "other"}, **desk.wu)
    with pytest.raises(DraftIdReused):
        desk.do(draft.write_draft, **given, **desk.zhou)


def test_what_is_rejected_or_laid_aside_can_be_taken_up_and_what_is_approved_cannot(desk: Desk) -> None:
    proposed = desk.propose(desk.write())
    rejected = desk.do(draft.reject_draft, draft_id=proposed.draft_id, revision=proposed.revision, why="too much",
                       **desk.xu)
    assert (rejected.state, rejected.why) == ("rejected", "too much")
    aside = desk.do(draft.withdraw_draft, draft_id=rejected.draft_id, revision=rejected.revision, **desk.wu)
    assert aside.state == "withdrawn"

    done = desk.approve(desk.propose(aside))

    for deed in (lambda: desk.change(done, fen=1), lambda: desk.propose(done), lambda: desk.approve(done),
                 lambda: desk.do(draft.withdraw_draft, draft_id=done.draft_id, revision=done.revision, **desk.wu)):
        with pytest.raises(AlreadyDecided):
            deed()


def test_a_tariff_that_no_gate_could_price_is_not_proposed(desk: Desk) -> None:
    minutely = {"kind": "windows", "windows": [
        {"name": f"{hour}", "from": f"{hour:02}:00", "to": f"{(hour + 1) % 24:02}:00", "each": {
            "kind": "slots", "minutes": 1, "each": {"kind": "cap", "fen": 1, "of": {
                "kind": "windows", "windows": [{"name": "x", "from": "00:00", "to": "00:00",
                                                "each": {"kind": "flat", "fen": 2}}]}}}} for hour in range(24)]}
    written = desk.write(make_tariff("TOO-MANY", rule=minutely))

    with pytest.raises(BadTariff):
        desk.propose(written)


def test_a_lot_gets_a_tariff_from_an_instant_on_by_two_persons(desk: Desk) -> None:
    desk.approve(desk.propose(desk.write(make_tariff("NEW-CODE", fen=700)), at=soon(1)))
    at = soon(30)
    given = {"lot_id": 1, "code": "NEW-CODE", "assigned_from": at, "assigned_to": at + timedelta(hours=2), "note": ""}
    found = desk.do(assign.propose_assignment, proposal_id=uuid4(), **given, **desk.wu)

    with pytest.raises(SecondPersonNeeded):
        desk.do(assign.approve_assignment, proposal_id=found.proposal_id, **desk.wu)
    desk.do(assign.approve_assignment, proposal_id=found.proposal_id, **desk.xu)

    def code_at(instant: datetime) -> str:
        with desk.database.reading() as db:
            holds = tariffs.find_tariff_of_lot(db, 1, at=instant)
        assert holds is not None
        return holds.tariff.code

    assert [code_at(at + timedelta(hours=hours)) for hours in (-0.1, 0, 1.9, 2)] == [
        "TEST-HOURLY", "NEW-CODE", "NEW-CODE", "TEST-HOURLY"]
    with pytest.raises(AlreadyDecided):
        desk.do(assign.approve_assignment, proposal_id=found.proposal_id, **desk.xu)
    with pytest.raises(assign.PeriodTaken):
        desk.do(assign.propose_assignment, proposal_id=uuid4(), **given, **desk.wu)


@pytest.mark.parametrize(("change", "refused"), [
    ({"lot_id": 2}, assign.NoLot), ({"lot_id": 99}, assign.NoLot), ({"code": "NO-SUCH"}, assign.TariffNotInForce),
    ({"code": "IN-UTC"}, assign.ZoneDiffers), ({"assigned_from": LONG_AGO + timedelta(1)}, StartsInThePast),
    ({"code": "LATE"}, assign.TariffNotInForce),
])
def test_a_lot_gets_no_tariff_that_does_not_fit(desk: Desk, change: dict[str, Any], refused: Any) -> None:
    desk.approve(desk.propose(desk.write(make_tariff("IN-UTC", time_zone="UTC")), at=soon(1)))
    desk.approve(desk.propose(desk.write(make_tariff("LATE")), at=soon(600)))
    given = {"lot_id": 1, "code": "TEST-HOURLY", "assigned_from": soon(), "assigned_to": None, "note": "", **change}

    with pytest.raises(refused):
        desk.do(assign.propose_assignment, proposal_id=uuid4(), **given, **desk.wu)


def test_of_two_approvals_of_one_assignment_at_once_one_holds(desk: Desk) -> None:
    found = desk.do(assign.propose_assignment, proposal_id=uuid4(), lot_id=1, code="TEST-HOURLY", note="",
                    assigned_from=soon(), assigned_to=None, **desk.wu)
    others = [ids_of(desk.city, second_of(desk.city, desk.city.operators[0])) for _ in range(3)]

    def approve(person: dict[str, UUID]) -> str:
        try:
            return desk.do(assign.approve_assignment, proposal_id=found.proposal_id, **person).state
        except AlreadyDecided as refused:
            return f"refused: {refused.state}"

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(approve, others)) == ["approved", "refused: approved", "refused: approved"]
