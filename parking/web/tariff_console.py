"""An operator's tariffs for people: versions, comparing them, which car park charges by which."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.calendar import CannotPrice
from parking.core.clock import BadInstant, parse_wall
from parking.core.identifier import new_uuid
from parking.services import assign, draft
from parking.services.compare import Named, compare_tariffs, find_draft_text, find_version
from parking.services.quote import NotInForce
from parking.store import logins, lots, tariff_drafts, tariffs
from parking.store.tariffs import PublishedVersion
from parking.web import auth
from parking.web.reading import read_deed
from parking.web.tariff_contract import version_state
from parking.web.tariff_editor import written
from parking.web.tariff_pages import REFUSED, name_lots, not_found, read_number, read_text, refusal, speak
from parking.web.tariff_preview import make_preview
from parking.web.tariffs import read_id

blueprint = Blueprint("tariff_console", __name__)
speak(blueprint)


@blueprint.get("/console/tariffs")
@auth.operator
def page() -> Any:
    operator_id, now = auth.operator_id(), auth.now()
    with current_app.extensions["database"].reading() as db:
        listed = [(code, tariffs.list_versions(db, found)) for code, found in tariffs.list_tariffs(db, operator_id)]
        by_code = {code: tariffs.list_lots_by(db, operator_id, code, at=now) for code, _ in listed}
        drafts = [each for each in tariff_drafts.list_drafts(db, operator_id, limit=100)
                  if each.state not in ("approved", "withdrawn")]
        proposals = tariff_drafts.list_proposals(db, operator_id, state="proposed")
        names = name_lots(db)
        staff = logins.list_names_of_staff(db, operator_id)
    return render_template(
        "tariffs.html", listed=[(code, _standing(versions, now), by_code[code]) for code, versions in listed],
        drafts=drafts, proposals=proposals, lots=names, staff=staff)


@blueprint.get("/console/tariffs/<code>")
@auth.operator
def tariff_page(code: str) -> Any:
    return _tariff_page(code)


@blueprint.get("/console/tariffs/<code>/versions/<version>")
@auth.operator
def version_page(code: str, version: str) -> Any:
    now = auth.now()
    with current_app.extensions["database"].reading() as db:
        found = next((each for each in tariffs.list_versions(db, _tariff_id(db, code))
                      if str(each.version) == version), None)
    if found is None:
        raise not_found()
    return render_template(
        "tariff_version.html", code=code, each=found, state=version_state(found, now=now),
        preview=make_preview(None, Named(found.tariff, found.version), now=now), body=written(found.tariff))


@blueprint.get("/console/tariff-comparison")
@auth.operator
def comparison() -> Any:
    """`old` and `new`: CODE, CODE@VERSION, or the id of a draft."""
    now, operator_id = auth.now(), auth.operator_id()
    asked = {name: request.args.get(name, "")[:100] for name in ("old", "new")}
    size: Any = "large" if request.args.get("size") == "large" else "small"
    found: dict[str, Named | None] = {}
    with current_app.extensions["database"].reading() as db:
        choices = [(f"{code}@{each.version}", each) for code, tariff_id in tariffs.list_tariffs(db, operator_id)
                   for each in tariffs.list_versions(db, tariff_id)]
        drafts = tariff_drafts.list_drafts(db, operator_id, limit=100)
        for name, text in asked.items():
            found[name] = _resolve(db, text)
    made, unpriced, new = None, None, found["new"]
    if found["old"] is not None and new is not None:
        try:
            made = compare_tariffs(found["old"], new, now=now, size=size)
        except CannotPrice as wrong:
            unpriced = str(wrong)
    return render_template(
        "tariff_comparison.html", asked=asked, found=found, made=made, unpriced=unpriced, choices=choices,
        drafts=[each for each in drafts if each.state != "approved"], size=size)


@blueprint.post("/console/tariffs/<code>/assignments")
@auth.operator
def propose_assignment(code: str) -> Any:
    sent, now = request.form, auth.now()
    whose: dict[str, UUID] = {"operator_id": auth.operator_id(), "by": auth.staff_id()}
    lot_id = read_number(sent, "lot_id")
    with current_app.extensions["database"].reading() as db:
        lot = lots.find_lot(db, lot_id) if 1 <= lot_id <= 65_535 else None
    if lot is None or lot.operator_id != whose["operator_id"]:
        return _tariff_page(code, status=404, said=refusal(assign.NoLot()))
    try:
        begin = parse_wall(sent.get("assigned_from", ""), lot.zone)
        end = parse_wall(sent["assigned_to"], lot.zone) if sent.get("assigned_to") else None
        if end is not None and end <= begin:
            raise BadInstant("it ends before it begins")
    except BadInstant:
        return _tariff_page(code, status=400, said=gettext("A day and a time that the clocks show."))
    note, proposal_id = read_text(sent, "note"), new_uuid(now)
    try:
        current_app.extensions["database"].write(lambda db: assign.propose_assignment(
            db, proposal_id=proposal_id, lot_id=lot_id, code=code, assigned_from=begin, assigned_to=end, note=note,
            now=now, **whose))
    except REFUSED as refused:
        return _tariff_page(code, status=409, said=refusal(refused))
    return redirect(f"/console/tariff-assignments/{proposal_id}", code=303)


@blueprint.get("/console/tariff-assignments/<proposal_id>")
@auth.operator
def proposal_page(proposal_id: str) -> Any:
    return _proposal_page(read_id(proposal_id))


@blueprint.post("/console/tariff-assignments/<proposal_id>")
@auth.operator
def decide_assignment(proposal_id: str) -> Any:
    """`do`: approve, reject or withdraw."""
    found_id, sent = read_id(proposal_id), request.form
    given: dict[str, Any] = {
        "proposal_id": found_id, "now": auth.now(), "operator_id": auth.operator_id(), "by": auth.staff_id()}
    do, why = read_deed(sent, "approve", "reject", "withdraw"), read_text(sent, "why")
    if do == "reject" and not why:
        return _proposal_page(found_id, status=400, said=gettext("Say why it is sent back."))
    deeds: dict[str, Callable[[Any], Any]] = {
        "approve": lambda db: assign.approve_assignment(db, **given),
        "reject": lambda db: assign.reject_assignment(db, why=why, **given),
        "withdraw": lambda db: assign.withdraw_assignment(db, **given),
    }
    try:
        current_app.extensions["database"].write(deeds[do])
    except REFUSED as refused:
        return _proposal_page(found_id, status=409, said=refusal(refused))
    return redirect(f"/console/tariff-assignments/{found_id}", code=303)


def _proposal_page(proposal_id: UUID, *, status: int = 200, said: str | None = None) -> Any:
    operator_id, now = auth.operator_id(), auth.now()
    with current_app.extensions["database"].reading() as db:
        found = tariff_drafts.find_proposal(db, operator_id, proposal_id)
        if found is None:
            raise not_found()
        lot = lots.get_lot(db, found.lot_id)
        before = tariffs.find_tariff_of_lot(db, lot.lot_id, at=max(found.assigned_from, now))
        after = tariffs.find_tariff_by_code(db, found.code, at=found.assigned_from)
        staff = logins.list_names_of_staff(db, operator_id)
        later = [each for each in tariffs.list_assigned(db, operator_id) if each.lot_id == lot.lot_id
                 and each.assigned_from > found.assigned_from]
    old = Named(before.tariff, before.version) if before is not None and found.state == "proposed" else None
    shown = make_preview(old, Named(after.tariff, after.version), now=now) if after is not None else None
    return render_template(
        "tariff_assignment.html", found=found, lot=lot, preview=shown, old=old, staff=staff, said=said, later=later,
        mine=found.proposed_by == auth.staff_id(), is_late=found.state == "proposed" and found.assigned_from < now,
        is_short=found.state == "proposed" and draft.is_short_notice(found.assigned_from, now=now),
        is_short_hours=int(draft.LANE_ALONE_MAX.total_seconds() // 3600)), status


def _tariff_page(code: str, *, status: int = 200, said: str | None = None) -> Any:
    operator_id, now = auth.operator_id(), auth.now()
    with current_app.extensions["database"].reading() as db:
        versions = tariffs.list_versions(db, _tariff_id(db, code))
        assigned = [each for each in tariffs.list_assigned(db, operator_id) if each.code == code]
        proposals = [each for each in tariff_drafts.list_proposals(db, operator_id, limit=100) if each.code == code]
        drafts = tariff_drafts.list_drafts(db, operator_id, code=code)
        names, staff = name_lots(db), logins.list_names_of_staff(db, operator_id)
    newest = versions[-1].tariff
    return render_template(
        "tariff.html", code=code, name=newest.name, zone=newest.zone, assigned=assigned, proposals=proposals,
        versions=[(each, version_state(each, now=now)) for each in reversed(versions)], lots=names, staff=staff,
        drafts=[each for each in drafts if each.state not in ("approved", "withdrawn")], said=said,
        in_force=_standing(versions, now)), status


def _resolve(db: Any, text: str) -> Named | None:
    """CODE, CODE@VERSION or the id of a draft; None for what is not there, or not the operator's."""
    code, _, version = text.partition("@")
    with suppress(NotInForce, draft.NoDraft, ValueError):
        if text != text.upper():
            return find_draft_text(db, auth.operator_id(), UUID(text))
        return find_version(db, auth.operator_id(), code, int(version) if version else None, now=auth.now())
    return None


def _standing(versions: list[PublishedVersion], now: datetime) -> dict[str, PublishedVersion]:
    """The version in force, and the next one to come."""
    found: dict[str, PublishedVersion] = {}
    for each in reversed(versions):
        found[version_state(each, now=now)] = each
    return found


def _tariff_id(db: Any, code: str) -> UUID:
    owner = tariffs.find_owner(db, code)
    if owner is None or owner[1] != auth.operator_id():
        raise not_found()
    return owner[0]


