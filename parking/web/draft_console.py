"""Drafts of tariffs for people: the editor with its preview, proposing, approving."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import BadInstant, parse_wall
from parking.core.identifier import new_uuid
from parking.services import draft
from parking.services.compare import Named, find_before, find_version
from parking.services.draft import DraftChanged, DraftIdReused
from parking.services.four_eyes import SecondPersonNeeded
from parking.store import logins, tariff_drafts, tariffs
from parking.store.tariff_drafts import TariffDraft
from parking.web import auth
from parking.web.reading import read_deed
from parking.web.tariff_editor import Edited, edit_new, edit_tariff, no_form, read_editor, written
from parking.web.tariff_pages import REFUSED, name_lots, not_found, read_number, read_text, refusal
from parking.web.tariff_preview import Preview, make_preview
from parking.web.tariffs import read_id

blueprint = Blueprint("draft_console", __name__)


@blueprint.get("/console/tariff-drafts/new")
@auth.operator
def new_draft() -> Any:
    """From a version of a tariff (`of`: CODE@VERSION), or from nothing."""
    code, _, version = request.args.get("of", "").partition("@")
    edited = edit_new()
    if code:
        with current_app.extensions["database"].reading() as db:
            number = int(version) if version.isdecimal() and len(version) < 9 else None
            edited = edit_tariff(find_version(db, auth.operator_id(), code, number, now=auth.now()).tariff)
    return _editor(edited, draft_id=new_uuid(auth.now()), revision=0, note="")


@blueprint.get("/console/tariff-drafts/<draft_id>/edit")
@auth.operator
def edit_draft(draft_id: str) -> Any:
    found = _find_draft(read_id(draft_id))
    return _editor(edit_tariff(found.tariff), draft_id=found.draft_id, revision=found.revision, note=found.note,
                   found=found)


@blueprint.post("/console/tariff-drafts/<draft_id>/edit")
@auth.operator
def save_draft(draft_id: str) -> Any:
    """Show what was typed anew, or keep it; what cannot be kept is shown with the reason, and nothing is lost."""
    found_id, edited, sent = read_id(draft_id), read_editor(request.form), request.form
    note, revision, now = read_text(sent, "note"), read_number(sent, "revision"), auth.now()
    whose: dict[str, UUID] = {"operator_id": auth.operator_id(), "by": auth.staff_id()}
    tariff = edited.tariff
    shown: dict[str, Any] = {"draft_id": found_id, "revision": revision, "note": note}
    if sent.get("do") != "save":
        return _editor(edited, **shown)
    if tariff is None:
        return _editor(edited, status=400, **shown)

    def keep(db: Any) -> TariffDraft:
        if revision == 0:
            return draft.write_draft(db, tariff, draft_id=found_id, note=note, now=now, **whose)
        return draft.change_draft(db, tariff, draft_id=found_id, revision=revision, note=note, now=now, **whose)

    try:
        current_app.extensions["database"].write(keep)
    except DraftIdReused:
        return _editor(edited, status=409, said=gettext("This was saved before, with another text."),
                       **{**shown, "draft_id": new_uuid(now), "revision": 0})
    except DraftChanged as changed:
        return _editor(edited, status=409, theirs=_find_draft(found_id), **{**shown, "revision": changed.revision})
    except REFUSED as refused:
        return _editor(edited, status=409, said=refusal(refused), **shown)
    return redirect(f"/console/tariff-drafts/{found_id}", code=303)


@blueprint.post("/console/tariff-drafts/preview")
@auth.operator
def preview() -> Any:
    """What the editor's script asks while somebody types."""
    edited = read_editor(request.form)
    return {
        "body": edited.body, "fields": edited.fields, "stamp": edited.stamp, "no_form": no_form(edited),
        "html": render_template("_tariff_preview.html", edited=edited, preview=_preview_of(edited)),
    }


@blueprint.get("/console/tariff-drafts/<draft_id>")
@auth.operator
def draft_page(draft_id: str) -> Any:
    return _draft_page(read_id(draft_id))


@blueprint.post("/console/tariff-drafts/<draft_id>")
@auth.operator
def decide_draft(draft_id: str) -> Any:
    """`do`: propose, approve, reject or withdraw."""
    found_id, sent, now = read_id(draft_id), request.form, auth.now()
    given: dict[str, Any] = {
        "draft_id": found_id, "revision": read_number(sent, "revision"), "now": now, "operator_id": auth.operator_id(),
        "by": auth.staff_id()}
    do = read_deed(sent, "propose", "approve", "reject", "withdraw")
    if do == "propose":
        zone = _find_draft(found_id).tariff.zone
        try:
            at = parse_wall(sent.get("in_force_from", ""), zone)
        except BadInstant:
            return _draft_page(found_id, status=400, said=gettext("A day and a time that the clocks show."))
        return _decide(found_id, lambda db: draft.propose_draft(db, in_force_from=at, **given))
    if do == "approve":
        return _decide(found_id, lambda db: draft.approve_draft(db, body_hash=sent.get("hash", ""), **given))
    if do == "reject":
        why = read_text(sent, "why")
        if not why:
            return _draft_page(found_id, status=400, said=gettext("Say why it is sent back."))
        return _decide(found_id, lambda db: draft.reject_draft(db, why=why, **given))
    assert do == "withdraw"
    return _decide(found_id, lambda db: draft.withdraw_draft(db, **given))


def _editor(
    edited: Edited, *, draft_id: UUID, revision: int, note: str, status: int = 200, said: str | None = None,
    theirs: TariffDraft | None = None, found: TariffDraft | None = None,
) -> Any:
    if found is None and revision:
        found = _find_draft(draft_id)
    return render_template(
        "tariff_draft_edit.html", edited=edited, preview=_preview_of(edited), draft_id=draft_id, revision=revision,
        note=note, said=said, theirs=theirs, found=found, errors=dict(reversed(edited.errors))), status


def _preview_of(edited: Edited) -> Preview | None:
    """Beside the version of the same tariff that is in force, if there is one."""
    if edited.tariff is None:
        return None
    now = auth.now()
    with current_app.extensions["database"].reading() as db:
        old = find_before(db, auth.operator_id(), edited.tariff.code, at=now)
        return make_preview(old, Named(tariffs.date_tariff(db, edited.tariff), 0), now=now)


def _draft_page(draft_id: UUID, *, status: int = 200, said: str | None = None) -> Any:
    """What is proposed, or would be, beside what it takes the place of."""
    operator_id, now = auth.operator_id(), auth.now()
    found = _find_draft(draft_id)
    with current_app.extensions["database"].reading() as db:
        old = find_before(db, operator_id, found.code, at=found.in_force_from or now)
        if old is not None and found.version is not None and old.version == found.version:
            old = _version_before(db, operator_id, found.code, found.version)
        new = Named(tariffs.date_tariff(db, found.tariff), found.version or 0)
        shown = make_preview(old, new, now=now)
        by_it = tariffs.list_lots_by(db, operator_id, found.code, at=found.in_force_from or now)
        names, staff = name_lots(db), logins.list_names_of_staff(db, operator_id)
        events = tariff_drafts.list_events(db, draft_id)
    asked = found.in_force_from if found.state == "proposed" else None
    return render_template(
        "tariff_draft.html", found=found, preview=shown, old=old, lots=[names[each] for each in by_it], events=events,
        staff=staff, said=said, zone=found.tariff.zone, mine=found.proposed_by == auth.staff_id(),
        is_short=asked is not None and draft.is_short_notice(asked, now=now),
        is_late=asked is not None and asked < now, body=written(found.tariff),
        is_short_hours=int(draft.LANE_ALONE_MAX.total_seconds() // 3600)), status


def _decide(draft_id: UUID, deed: Callable[[Any], Any]) -> Any:
    try:
        current_app.extensions["database"].write(deed)
    except REFUSED as refused:
        return _draft_page(draft_id, status=403 if isinstance(refused, SecondPersonNeeded) else 409,
                           said=refusal(refused))
    return redirect(f"/console/tariff-drafts/{draft_id}", code=303)


def _version_before(db: Any, operator_id: UUID, code: str, version: int) -> Named | None:
    """What was in force when this version took its place."""
    owner = tariffs.find_owner(db, code)
    versions = tariffs.list_versions(db, owner[0]) if owner and owner[1] == operator_id else []
    for before, each in pairwise(versions):
        if each.version == version:
            return Named(before.tariff, before.version)
    return None


def _find_draft(draft_id: UUID) -> TariffDraft:
    with current_app.extensions["database"].reading() as db:
        found = tariff_drafts.find_draft(db, auth.operator_id(), draft_id)
    if found is None:
        raise not_found()
    return found
