"""Tariffs of an operator for programs: versions, drafts, who approves, which lot charges by which, comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, current_app

from parking.core.clock import format_instant
from parking.core.tariff import BadTariff, read_tariff
from parking.services import assign, draft
from parking.services.compare import Named, compare_tariffs, find_draft_text, find_version
from parking.store import tariff_drafts, tariffs
from parking.store.tariff_drafts import TariffDraft
from parking.web import auth
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.tariff_contract import (
    DEPTH_MAX,
    ApproveRequest,
    AssignmentRequest,
    AssignmentsAnswer,
    AssignmentsQuery,
    ComparisonAnswer,
    ComparisonRequest,
    DraftAnswer,
    DraftChange,
    DraftRequest,
    DraftsAnswer,
    DraftsQuery,
    LintsAnswer,
    ProposalAnswer,
    ProposeRequest,
    Ref,
    RejectRequest,
    TariffRow,
    TariffsAnswer,
    VersionAnswer,
    WhyRequest,
    WithdrawRequest,
    comparison_answer,
    draft_row,
    lints_answer,
    proposal_answer,
    version_row,
)

blueprint = Blueprint("tariffs", __name__)
Result = TypeVar("Result")


@blueprint.get("/v1/tariffs")
@auth.operator
@api("Your tariffs with their versions, and which lots charge by them now", answer=TariffsAnswer)
def all_tariffs() -> Any:
    with current_app.extensions["database"].reading() as db:
        return {"items": [_tariff(db, code, found) for code, found in tariffs.list_tariffs(db, auth.operator_id())]}


@blueprint.get("/v1/tariffs/<code>")
@auth.operator
@api("A tariff of yours with its versions", answer=TariffRow, problems=(404,))
def one_tariff(code: str) -> Any:
    with current_app.extensions["database"].reading() as db:
        return _tariff(db, code, _tariff_id(db, code))


@blueprint.get("/v1/tariffs/<code>/versions/<version>")
@auth.operator
@api("A version of a tariff of yours, as data", answer=VersionAnswer, problems=(404,))
def one_version(code: str, version: str) -> Any:
    with current_app.extensions["database"].reading() as db:
        for each in tariffs.list_versions(db, _tariff_id(db, code)):
            if str(each.version) == version:
                return {"code": code, "tariff": json.loads(each.tariff.canonical),
                        **version_row(each, now=auth.now())}
    raise _no_tariff()


@blueprint.get("/v1/tariff-drafts")
@auth.operator
@api("Drafts of tariff versions, newest first", query=DraftsQuery, answer=DraftsAnswer)
def all_drafts() -> Any:
    asked, now = read_query(DraftsQuery), auth.now()
    with current_app.extensions["database"].reading() as db:
        found = tariff_drafts.list_drafts(
            db, auth.operator_id(), state=asked.state, code=asked.code, after=asked.cursor, limit=asked.limit + 1)
    more = str(found[asked.limit - 1].draft_id) if len(found) > asked.limit else None
    return {"items": [draft_row(each, now=now) for each in found[:asked.limit]], "next_cursor": more}


@blueprint.post("/v1/tariff-drafts")
@auth.operator
@api("Write a draft", body=DraftRequest, answer=DraftAnswer, problems=(409,))
def write() -> Any:
    asked, now = read_body(DraftRequest, depth_max=DEPTH_MAX), auth.now()
    tariff, whose = read_tariff(asked.tariff), _whose()
    return _draft(lambda db: draft.write_draft(
        db, tariff, draft_id=asked.id, note=asked.note, now=now, **whose))


@blueprint.get("/v1/tariff-drafts/<draft_id>")
@auth.operator
@api("A draft", answer=DraftAnswer, problems=(404,))
def one_draft(draft_id: str) -> Any:
    with current_app.extensions["database"].reading() as db:
        found = tariff_drafts.find_draft(db, auth.operator_id(), read_id(draft_id))
    if found is None:
        raise draft.NoDraft
    return _draft_answer(found)


@blueprint.put("/v1/tariff-drafts/<draft_id>")
@auth.operator
@api("Change a draft; what was proposed of it is dropped", body=DraftChange, answer=DraftAnswer, problems=(404, 409))
def change(draft_id: str) -> Any:
    asked, now = read_body(DraftChange, depth_max=DEPTH_MAX), auth.now()
    tariff, found_id, whose = read_tariff(asked.tariff), read_id(draft_id), _whose()
    return _draft(lambda db: draft.change_draft(
        db, tariff, draft_id=found_id, revision=asked.revision, note=asked.note, now=now, **whose))


@blueprint.post("/v1/tariff-drafts/<draft_id>/propose")
@auth.operator
@api("Ask a second person to publish a draft from an instant that is not past", body=ProposeRequest,
     answer=DraftAnswer, problems=(404, 409))
def propose(draft_id: str) -> Any:
    asked, now, found_id, whose = read_body(ProposeRequest), auth.now(), read_id(draft_id), _whose()
    return _draft(lambda db: draft.propose_draft(
        db, draft_id=found_id, revision=asked.revision, in_force_from=asked.in_force_from, now=now, **whose))


@blueprint.post("/v1/tariff-drafts/<draft_id>/approve")
@auth.operator
@api("Publish what somebody else proposed, as it was looked at", body=ApproveRequest, answer=DraftAnswer,
     problems=(404, 409))
def approve(draft_id: str) -> Any:
    asked, now, found_id, whose = read_body(ApproveRequest), auth.now(), read_id(draft_id), _whose()
    return _draft(lambda db: draft.approve_draft(
        db, draft_id=found_id, revision=asked.revision, body_hash=asked.hash, now=now, **whose))


@blueprint.post("/v1/tariff-drafts/<draft_id>/reject")
@auth.operator
@api("Send back what somebody else proposed", body=RejectRequest, answer=DraftAnswer, problems=(404, 409))
def reject(draft_id: str) -> Any:
    asked, now, found_id, whose = read_body(RejectRequest), auth.now(), read_id(draft_id), _whose()
    return _draft(lambda db: draft.reject_draft(
        db, draft_id=found_id, revision=asked.revision, why=asked.why, now=now, **whose))


@blueprint.post("/v1/tariff-drafts/<draft_id>/withdraw")
@auth.operator
@api("Lay a draft aside, proposed or not", body=WithdrawRequest, answer=DraftAnswer, problems=(404, 409))
def withdraw(draft_id: str) -> Any:
    asked, now, found_id, whose = read_body(WithdrawRequest), auth.now(), read_id(draft_id), _whose()
    return _draft(lambda db: draft.withdraw_draft(
        db, draft_id=found_id, revision=asked.revision, now=now, **whose))


@blueprint.post("/v1/tariff-comparisons")
@auth.operator
@api("Two tariffs side by side: price by the length of a stay, and what differs", body=ComparisonRequest,
     answer=ComparisonAnswer, problems=(404, 409))
def compare() -> Any:
    asked, now = read_body(ComparisonRequest, depth_max=DEPTH_MAX), auth.now()
    with current_app.extensions["database"].reading() as db:
        old = _resolve(db, asked.old, "old.") if asked.old else None
        new = _resolve(db, asked.new, "new.")
    return comparison_answer(compare_tariffs(old, new, now=now, day=asked.day, size=asked.size))


@blueprint.post("/v1/tariff-lint")
@auth.operator
@api("What is odd in a tariff, each finding with a stay that shows it", body=Ref, answer=LintsAnswer,
     problems=(404,))
def lint() -> Any:
    asked = read_body(Ref, depth_max=DEPTH_MAX)
    with current_app.extensions["database"].reading() as db:
        named = _resolve(db, asked)
    return lints_answer(named)


@blueprint.get("/v1/tariff-assignments")
@auth.operator
@api("Which of your lots charges by which tariff, and what is proposed", query=AssignmentsQuery,
     answer=AssignmentsAnswer)
def assignments() -> Any:
    asked = read_query(AssignmentsQuery)
    with current_app.extensions["database"].reading() as db:
        assigned = tariffs.list_assigned(db, auth.operator_id())
        proposals = tariff_drafts.list_proposals(db, auth.operator_id(), state=asked.state)
    return {
        "assigned": [
            {"lot_id": each.lot_id, "code": each.code, "assigned_from": format_instant(each.assigned_from),
             "assigned_to": each.assigned_to and format_instant(each.assigned_to)} for each in assigned],
        "proposals": [proposal_answer(each) for each in proposals],
    }


@blueprint.post("/v1/tariff-assignments")
@auth.operator
@api("Propose that a lot charges by a tariff, from an instant that is not past", body=AssignmentRequest,
     answer=ProposalAnswer, problems=(404, 409))
def propose_assignment() -> Any:
    asked, now, whose = read_body(AssignmentRequest), auth.now(), _whose()
    return proposal_answer(_write(lambda db: assign.propose_assignment(
        db, proposal_id=asked.id, lot_id=asked.lot_id, code=asked.code, assigned_from=asked.assigned_from,
        assigned_to=asked.assigned_to, note=asked.note, now=now, **whose)))


@blueprint.post("/v1/tariff-assignments/<proposal_id>/approve")
@auth.operator
@api("Have a lot charge by a tariff, as somebody else proposed", answer=ProposalAnswer, problems=(404, 409))
def approve_assignment(proposal_id: str) -> Any:
    found_id, now, whose = read_id(proposal_id), auth.now(), _whose()
    return proposal_answer(_write(lambda db: assign.approve_assignment(db, proposal_id=found_id, now=now, **whose)))


@blueprint.post("/v1/tariff-assignments/<proposal_id>/reject")
@auth.operator
@api("Refuse what somebody else proposed for a lot", body=WhyRequest, answer=ProposalAnswer, problems=(404, 409))
def reject_assignment(proposal_id: str) -> Any:
    asked, found_id, now, whose = read_body(WhyRequest), read_id(proposal_id), auth.now(), _whose()
    return proposal_answer(_write(lambda db: assign.reject_assignment(
        db, proposal_id=found_id, why=asked.why, now=now, **whose)))


@blueprint.post("/v1/tariff-assignments/<proposal_id>/withdraw")
@auth.operator
@api("Take back what was proposed for a lot", answer=ProposalAnswer, problems=(404, 409))
def withdraw_assignment(proposal_id: str) -> Any:
    found_id, now, whose = read_id(proposal_id), auth.now(), _whose()
    return proposal_answer(_write(lambda db: assign.withdraw_assignment(db, proposal_id=found_id, now=now, **whose)))


def read_id(text: str) -> UUID:
    """:raises Problem: 404, as for an id of somebody else's"""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise Problem(404, "not_found", "There is no such draft or proposal, or it is not yours.")
    return found


def _whose() -> dict[str, UUID]:
    return {"operator_id": auth.operator_id(), "by": auth.staff_id()}


def _write(deed: Callable[[Any], Result]) -> Result:
    done: Result = current_app.extensions["database"].write(deed)
    return done


def _draft(deed: Callable[[Any], TariffDraft]) -> dict[str, Any]:
    return _draft_answer(_write(deed))


def _draft_answer(found: TariffDraft) -> dict[str, Any]:
    return {**draft_row(found, now=auth.now()), "tariff": json.loads(found.body)}


def _resolve(db: Any, ref: Ref, where: str = "") -> Named:
    """where: the field of the body that holds it, with a dot, for what is said of a tariff that cannot be read."""
    if ref.draft_id is not None:
        return find_draft_text(db, auth.operator_id(), ref.draft_id)
    if ref.code is not None:
        return find_version(db, auth.operator_id(), ref.code, ref.version, now=auth.now())
    assert ref.tariff is not None
    try:
        return Named(tariffs.date_tariff(db, read_tariff(ref.tariff)), 0)
    except BadTariff as wrong:
        raise Problem(400, "bad_tariff", "The tariff cannot be read.", errors=[
            (f"{where}tariff.{path}", message) for path, message in wrong.errors[:20]]) from None


def _tariff_id(db: Any, code: str) -> UUID:
    owner = tariffs.find_owner(db, code)
    if owner is None or owner[1] != auth.operator_id():
        raise _no_tariff()
    return owner[0]


def _tariff(db: Any, code: str, tariff_id: UUID) -> dict[str, Any]:
    now, versions = auth.now(), tariffs.list_versions(db, tariff_id)
    return {
        "code": code, "name": dict(versions[-1].tariff.name),
        "versions": [version_row(each, now=now) for each in versions],
        "lots": tariffs.list_lots_by(db, auth.operator_id(), code, at=now),
    }


def _no_tariff() -> Problem:
    return Problem(404, "not_found", "There is no such tariff, or it is not yours.")
