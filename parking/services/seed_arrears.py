"""Arrears of the demo city's first driver, at both operators, one in each state that can be clicked on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import Ground, WrongStep
from parking.core.fact import Direction, Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.services.chase import NothingUnpaid, give_notice, open_case, withdraw_case
from parking.services.contest import Answered, Objection, TooLate, answer_objection, end_term, object_to
from parking.services.enrol import enrol_terminal
from parking.services.record import record_fact
from parking.services.unlock import KeySafe
from parking.services.waive import MoreThanCharged
from parking.store import parking_sessions, terminals
from parking.store.arrears import Case
from parking.store.lots import Lot


@dataclass(frozen=True, slots=True)
class _Story:
    """A visit of so many hours that ended days ago, and how many days ago each step of its case was."""

    lot_id: int
    days_ago: int
    hours: int
    noticed: int | None = None
    objected: int | None = None
    answered: int | None = None
    answer: str | None = None
    ground: Ground = "wrong_fee"
    words: str = ""
    is_withdrawn: bool = False


_STORIES = (
    _Story(1, 75, 3, noticed=60),  # overdue by now
    _Story(2, 50, 2, noticed=45, is_withdrawn=True),
    _Story(10, 32, 3, noticed=20, objected=17, answered=15, answer="dismissed", ground="paid_already",
           words="我记得在路口付过了。"),
    _Story(11, 28, 4, noticed=18, objected=15, answered=14, answer="reduced",
           words="泊位被施工围挡占了一半时间。"),
    _Story(2, 24, 2, noticed=16, objected=14, answered=13, answer="upheld", ground="not_my_car",
           words="这张照片里的车不是我的。"),
    _Story(6, 20, 75, noticed=14, objected=12, answered=11, answer="upheld", words="我当天就离开了。"),
    _Story(5, 9, 9, noticed=3, objected=1, ground="not_the_driver", words="车借给朋友了，有聊天记录。"),
    _Story(2, 7, 3, noticed=1),
    _Story(1, 5, 2),
)
_WHY = {"dismissed": "账上没有这笔付款 / No such payment is in the books.",
        "reduced": "按半价计 / Half of it is taken off.", "upheld": "核实属实 / It is as you say."}
_GATES: tuple[tuple[Direction, int], ...] = (("entry", 1), ("exit", 2))
_WITHDRAWN_WHY = "当日临时免费 / Parking was free that day."


@dataclass(frozen=True, slots=True)
class ArrearsCast:
    """Whose arrears: the driver and the vehicle; and by whom of the staff, of each operator."""

    driver_id: UUID
    vehicle_key: bytes
    staff: Mapping[UUID, UUID]


def seed_arrears(
    db: Session, lots: Sequence[Lot], cast: ArrearsCast, *, calendar: str, safe: KeySafe, now: datetime
) -> None:
    by_id = {lot.lot_id: lot for lot in lots}
    told: dict[int, dict[Direction, FactRef]] = {}
    for story in _STORIES:
        lot = by_id[story.lot_id]
        if story.lot_id not in told:
            told[story.lot_id] = {direction: FactRef(enrol_terminal(
                db, lot, gate_id=gate_id, now=now - timedelta(days=90))[0], 1) for direction, gate_id in _GATES}
        visit = _drive(db, lot, story, cast, told[story.lot_id], safe, now)
        try:
            case = open_case(
                db, lot.operator_id, lot.lot_id, visit, deed_id=derived_uuid(now, "demo", visit), why="demo",
                by=cast.staff[lot.operator_id], now=_ago(now, story.days_ago - 1))
            _tell_case(db, lot, story, case, cast, calendar, now)
        except (NothingUnpaid, WrongStep, TooLate, MoreThanCharged):
            continue  # in a year whose calendar is not known to the libraries, some of it has not come so far
    for refs in told.values():
        for ref in refs.values():
            terminals.revoke_terminal(db, ref.terminal_id, now=now)


def _drive(
    db: Session, lot: Lot, story: _Story, cast: ArrearsCast, next_of: dict[Direction, FactRef], safe: KeySafe,
    now: datetime,
) -> UUID:
    """Tell of a visit, and count the terminals' numbers on; returns the visit's id."""
    left_at = _ago(now, story.days_ago)
    passages: tuple[tuple[Direction, datetime], ...] = (
        ("entry", left_at - timedelta(hours=story.hours)), ("exit", left_at))
    for direction, at in passages:
        ref = next_of[direction]
        next_of[direction] = FactRef(ref.terminal_id, ref.sequence + 1)
        record_fact(db, lot, Fact(ref, "scan", at, direction, True, cast.vehicle_key), said_at=at, safe=safe, now=now)
    found = next(each for each in parking_sessions.list_sessions_of_vehicle(db, lot.lot_id, cast.vehicle_key)
                 if each.session.left_at == left_at)
    return found.session.parking_session_id


def _tell_case(
    db: Session, lot: Lot, story: _Story, case: Case, cast: ArrearsCast, calendar: str, now: datetime
) -> None:
    by = cast.staff[lot.operator_id]

    def name(step: str) -> UUID:
        return derived_uuid(now, "demo", case.case_id, step)

    if story.noticed is not None:
        give_notice(db, lot.operator_id, lot.lot_id, case.case_id, deed_id=name("notice"), by=by, calendar=calendar,
                    now=_ago(now, story.noticed))
    if story.objected is not None:
        named = "王小明" if story.ground == "not_the_driver" else ""
        object_to(
            db, lot.lot_id, case.case_id, Objection(name("object"), story.ground, story.words, named), actor="driver",
            actor_id=cast.driver_id, calendar=calendar, now=_ago(now, story.objected))
    if story.answered is not None and story.answer is not None:
        reduce_fen = case.amount_fen // 2 if story.answer == "reduced" else None
        answer_objection(
            db, lot.operator_id, lot.lot_id, case.case_id,
            Answered(name("answer"), story.answer, _WHY[story.answer], reduce_fen),  # type: ignore[arg-type]
            by=by, calendar=calendar, now=_ago(now, story.answered))
    if story.is_withdrawn:
        withdraw_case(db, lot.operator_id, lot.lot_id, case.case_id, deed_id=name("withdraw"), why=_WITHDRAWN_WHY,
                      by=by, now=_ago(now, story.noticed or 0))
    end_term(db, lot_id=lot.lot_id, parking_session_id=case.parking_session_id, now=now)


def _ago(now: datetime, days: int) -> datetime:
    return now.replace(microsecond=0) - timedelta(days=days)
