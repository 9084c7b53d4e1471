"""A version of a tariff is written as a draft, proposed, and published once a second person approves it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.tariff import Tariff
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.publish import CodeOfAnother, check_publishable, publish_tariff
from parking.store import tariff_drafts, tariffs
from parking.store.tariff_drafts import TariffDraft

# How long a lane that is cut off believes what it knows (docs/lanes.md). A version that begins sooner may reach it
# late: it then shows the fee by the version before, and the charge is by the right one all the same.
LANE_ALONE_MAX = timedelta(hours=24)


class NoDraft(Exception):
    """There is no such draft of this operator's."""


class DraftIdReused(Exception):
    """This id was used before for something else."""


class DraftChanged(Exception):
    """Somebody changed or decided it since the caller looked; `revision` is the one that holds."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"revision {revision} holds")
        self.revision = revision


def is_short_notice(in_force_from: datetime, *, now: datetime) -> bool:
    """Whether a lane that is cut off may not hear of it in time."""
    return in_force_from - now < LANE_ALONE_MAX


def write_draft(
    db: Session, tariff: Tariff, *, draft_id: UUID, operator_id: UUID, by: UUID, note: str, now: datetime
) -> TariffDraft:
    """A new draft; the same again is the same.

    :raises CodeOfAnother: another operator's tariff has this code
    :raises DraftIdReused: the id names another draft
    """
    found = tariff_drafts.find_draft(db, operator_id, draft_id)
    if found is not None:
        if (found.body_hash, found.note) != (tariff.hash, note):
            raise DraftIdReused
        return found
    if tariff_drafts.has_draft(db, draft_id):
        raise DraftIdReused
    _check_code(db, tariff.code, operator_id)
    tariff_drafts.add_draft(db, tariff, draft_id=draft_id, operator_id=operator_id, by=by, note=note, now=now)
    return _lock(db, operator_id, draft_id)


def change_draft(
    db: Session, tariff: Tariff, *, draft_id: UUID, operator_id: UUID, revision: int, by: UUID, note: str, now: datetime
) -> TariffDraft:
    """Another text of a draft. What was proposed is dropped with it; the same text changes nothing.

    :raises NoDraft, DraftChanged, CodeOfAnother:
    :raises AlreadyDecided: it was approved
    """
    draft = _lock(db, operator_id, draft_id)
    if draft.state == "approved":
        raise AlreadyDecided(draft.state)
    if (draft.body_hash, draft.note) == (tariff.hash, note):
        return draft
    if draft.revision != revision:
        raise DraftChanged(draft.revision)
    _check_code(db, tariff.code, operator_id)
    tariff_drafts.change_draft(
        db, draft, what="written", by=by, now=now, code=tariff.code, body=tariff.canonical, body_hash=tariff.hash,
        note=note, written_by=by, state="draft", in_force_from=None, proposed_by=None, proposed_at=None,
        decided_by=None, decided_at=None, why=None)
    return _lock(db, operator_id, draft_id)


def propose_draft(
    db: Session, *, draft_id: UUID, operator_id: UUID, revision: int, in_force_from: datetime, by: UUID, now: datetime
) -> TariffDraft:
    """Ask a second person to publish the draft as it stands, from an instant that is not past.

    :raises NoDraft, DraftChanged: and what check_publishable raises
    :raises AlreadyDecided: it was approved
    """
    draft = _lock(db, operator_id, draft_id)
    if draft.state == "approved":
        raise AlreadyDecided(draft.state)
    if draft.revision != revision:
        raise DraftChanged(draft.revision)
    check_publishable(db, draft.tariff, operator_id=operator_id, in_force_from=in_force_from, now=now)
    tariff_drafts.change_draft(
        db, draft, what="proposed", by=by, now=now, state="proposed", in_force_from=in_force_from, proposed_by=by,
        proposed_at=now, decided_by=None, decided_at=None, why=None)
    return _lock(db, operator_id, draft_id)


def approve_draft(
    db: Session, *, draft_id: UUID, operator_id: UUID, revision: int, body_hash: str, by: UUID, now: datetime
) -> TariffDraft:
    """Publish what was proposed, and only that: `revision` and `body_hash` are what the second person saw.

    :raises NoDraft, DraftChanged, AlreadyDecided, SecondPersonNeeded:
    :raises StartsInThePast: it was left waiting for too long; and what check_publishable raises
    """
    draft = _lock_proposed(db, operator_id, draft_id, revision, by)
    assert draft.in_force_from is not None
    if draft.body_hash != body_hash:
        raise DraftChanged(draft.revision)
    version = publish_tariff(
        db, draft.tariff, operator_id=operator_id, in_force_from=draft.in_force_from, now=now)
    tariff_drafts.change_draft(
        db, draft, what="approved", by=by, now=now, state="approved", decided_by=by, decided_at=now, version=version)
    return _lock(db, operator_id, draft_id)


def reject_draft(
    db: Session, *, draft_id: UUID, operator_id: UUID, revision: int, why: str, by: UUID, now: datetime
) -> TariffDraft:
    """:raises NoDraft, DraftChanged, AlreadyDecided, SecondPersonNeeded:"""
    draft = _lock_proposed(db, operator_id, draft_id, revision, by)
    tariff_drafts.change_draft(
        db, draft, what="rejected", by=by, now=now, state="rejected", decided_by=by, decided_at=now, why=why)
    return _lock(db, operator_id, draft_id)


def withdraw_draft(
    db: Session, *, draft_id: UUID, operator_id: UUID, revision: int, by: UUID, now: datetime
) -> TariffDraft:
    """Lay it aside, proposed or not; writing or proposing it takes it up again.

    :raises NoDraft, DraftChanged:
    :raises AlreadyDecided: it was approved
    """
    draft = _lock(db, operator_id, draft_id)
    if draft.state == "withdrawn":
        return draft
    if draft.state == "approved":
        raise AlreadyDecided(draft.state)
    if draft.revision != revision:
        raise DraftChanged(draft.revision)
    tariff_drafts.change_draft(
        db, draft, what="withdrawn", by=by, now=now, state="withdrawn", decided_by=by, decided_at=now)
    return _lock(db, operator_id, draft_id)


def _lock_proposed(db: Session, operator_id: UUID, draft_id: UUID, revision: int, by: UUID) -> TariffDraft:
    draft = _lock(db, operator_id, draft_id)
    if draft.revision != revision:
        raise DraftChanged(draft.revision)
    if draft.state != "proposed":
        raise AlreadyDecided(draft.state)
    if draft.proposed_by == by:
        raise SecondPersonNeeded
    return draft


def _lock(db: Session, operator_id: UUID, draft_id: UUID) -> TariffDraft:
    draft = tariff_drafts.lock_draft(db, operator_id, draft_id)
    if draft is None:
        raise NoDraft
    return draft


def _check_code(db: Session, code: str, operator_id: UUID) -> None:
    owner = tariffs.find_owner(db, code)
    if owner is not None and owner[1] != operator_id:
        raise CodeOfAnother(code)
