"""Drafts of tariff versions and proposals of which lot charges by which tariff, until two persons agree on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.tariff import Tariff, read_tariff
from parking.store.columns import Instant, Table, Uuid, spread

_TWO_PERSONS = "state <> 'approved' OR (decided_by IS NOT NULL AND decided_by <> proposed_by)"
_DECIDED = "(state IN ('approved', 'rejected', 'withdrawn')) = (decided_at IS NOT NULL)"


class TariffDraft(Table):
    """A version of a tariff that is being written, and what became of it.

    revision counts every change, so that who changes or decides says what they had seen. What was proposed is
    the body as it stands: a change of it makes it a draft again. decided_by: who approved, rejected or withdrew it.

    Protects drivers: a version that is approved was proposed by somebody else than who approved it.
    """

    __tablename__ = "tariff_draft"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'proposed', 'approved', 'rejected', 'withdrawn')", name="state"),
        CheckConstraint("revision >= 1", name="revision"),
        CheckConstraint("(state IN ('draft', 'withdrawn')) OR in_force_from IS NOT NULL", name="in_force_from"),
        CheckConstraint("(state IN ('draft', 'withdrawn')) OR proposed_by IS NOT NULL", name="proposed_by"),
        CheckConstraint("(state = 'approved') = (version IS NOT NULL)", name="version"),
        CheckConstraint(_TWO_PERSONS, name="two_persons"),
        CheckConstraint(_DECIDED, name="decided_at"),
        Index("ix_tariff_draft_operator", "operator_id", "draft_id"),
        spread(None, "reference"),
    )

    draft_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    code: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer)
    written_by: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(Instant)
    changed_at: Mapped[datetime] = mapped_column(Instant)
    in_force_from: Mapped[datetime | None] = mapped_column(Instant)
    proposed_by: Mapped[UUID | None] = mapped_column(Uuid)
    proposed_at: Mapped[datetime | None] = mapped_column(Instant)
    decided_by: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    why: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int | None] = mapped_column(Integer)

    @property
    def tariff(self) -> Tariff:
        return read_tariff(json.loads(self.body))


class TariffDraftEvent(Table):
    """What happened to a draft: who did what, when, and on which text. Never edited, never deleted."""

    __tablename__ = "tariff_draft_event"
    __table_args__ = (
        CheckConstraint(
            "what IN ('written', 'proposed', 'approved', 'rejected', 'withdrawn')", name="what"),
        spread(None, "reference", append_only=True),
    )

    draft_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tariff_draft.draft_id"), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    what: Mapped[str] = mapped_column(Text)
    staff_id: Mapped[UUID] = mapped_column(Uuid)
    happened_at: Mapped[datetime] = mapped_column(Instant)
    body: Mapped[str] = mapped_column(Text)
    in_force_from: Mapped[datetime | None] = mapped_column(Instant)
    why: Mapped[str | None] = mapped_column(Text)


class AssignmentProposal(Table):
    """That a lot charges by a tariff for a period, until a second person approves or rejects it.

    Protects drivers: an assignment that is approved was proposed by somebody else than who approved it.
    """

    __tablename__ = "assignment_proposal"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'rejected', 'withdrawn')", name="state"),
        CheckConstraint("assigned_to > assigned_from", name="period"),
        CheckConstraint(_TWO_PERSONS, name="two_persons"),
        CheckConstraint(_DECIDED, name="decided_at"),
        Index("ix_assignment_proposal_operator", "operator_id", "proposal_id"),
        spread(None, "reference"),
    )

    proposal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"))
    tariff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tariff.tariff_id"))
    code: Mapped[str] = mapped_column(Text)
    assigned_from: Mapped[datetime] = mapped_column(Instant)
    assigned_to: Mapped[datetime | None] = mapped_column(Instant)
    note: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    proposed_by: Mapped[UUID] = mapped_column(Uuid)
    proposed_at: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    why: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class DraftEvent:
    what: str
    staff_id: UUID
    happened_at: datetime
    in_force_from: datetime | None
    why: str | None


def add_draft(db: Session, tariff: Tariff, *, draft_id: UUID, operator_id: UUID, by: UUID, note: str,
              now: datetime) -> None:
    db.execute(insert(TariffDraft).values(
        draft_id=draft_id, operator_id=operator_id, code=tariff.code, body=tariff.canonical, body_hash=tariff.hash,
        note=note, state="draft", revision=1, written_by=by, created_at=now, changed_at=now))
    db.execute(insert(TariffDraftEvent).values(
        draft_id=draft_id, revision=1, operator_id=operator_id, what="written", staff_id=by, happened_at=now,
        body=tariff.canonical))


def find_draft(db: Session, operator_id: UUID, draft_id: UUID) -> TariffDraft | None:
    return db.execute(select(TariffDraft).where(
        TariffDraft.draft_id == draft_id, TariffDraft.operator_id == operator_id)).scalar_one_or_none()


def has_draft(db: Session, draft_id: UUID) -> bool:
    """Whoever's it is."""
    return db.execute(select(TariffDraft.draft_id).where(TariffDraft.draft_id == draft_id)).first() is not None


def lock_draft(db: Session, operator_id: UUID, draft_id: UUID) -> TariffDraft | None:
    """An operator's draft, held until commit."""
    return db.execute(
        select(TariffDraft).where(TariffDraft.draft_id == draft_id, TariffDraft.operator_id == operator_id)
        .with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()


def change_draft(db: Session, draft: TariffDraft, *, what: str, by: UUID, now: datetime, **values: Any) -> None:
    """Change a draft that is held, and count it up; `what` happened is kept with who did it."""
    changed = db.execute(
        update(TariffDraft)
        .where(TariffDraft.draft_id == draft.draft_id, TariffDraft.revision == draft.revision)
        .values(revision=draft.revision + 1, changed_at=now, **values)
        .execution_options(synchronize_session=False))
    assert changed.rowcount == 1  # type: ignore[attr-defined]
    db.execute(insert(TariffDraftEvent).values(
        draft_id=draft.draft_id, revision=draft.revision + 1, operator_id=draft.operator_id, what=what, staff_id=by,
        happened_at=now, body=values.get("body", draft.body),
        in_force_from=values.get("in_force_from", draft.in_force_from), why=values.get("why")))


def list_drafts(
    db: Session, operator_id: UUID, *, state: str | None = None, code: str | None = None,
    after: UUID | None = None, limit: int = 50,
) -> list[TariffDraft]:
    """An operator's, the newest written first; `after` one of them, those that follow."""
    query = select(TariffDraft).where(TariffDraft.operator_id == operator_id)
    if state is not None:
        query = query.where(TariffDraft.state == state)
    if code is not None:
        query = query.where(TariffDraft.code == code)
    if after is not None:
        query = query.where(TariffDraft.draft_id < after)
    return list(db.execute(query.order_by(TariffDraft.draft_id.desc()).limit(limit)).scalars())


def list_events(db: Session, draft_id: UUID) -> list[DraftEvent]:
    """From the first on."""
    rows = db.execute(
        select(TariffDraftEvent.what, TariffDraftEvent.staff_id, TariffDraftEvent.happened_at,
               TariffDraftEvent.in_force_from, TariffDraftEvent.why)
        .where(TariffDraftEvent.draft_id == draft_id).order_by(TariffDraftEvent.revision))
    return [DraftEvent(*row) for row in rows]


def count_proposed(db: Session, operator_id: UUID) -> int:
    """What waits for a second person."""
    return sum(int(db.execute(
        select(func.count()).select_from(table).where(table.operator_id == operator_id, table.state == "proposed")
    ).scalar_one()) for table in (TariffDraft, AssignmentProposal))


def add_proposal(db: Session, **values: Any) -> None:
    db.execute(insert(AssignmentProposal).values(state="proposed", **values))


def has_proposal(db: Session, proposal_id: UUID) -> bool:
    """Whoever's it is."""
    return db.execute(select(AssignmentProposal.proposal_id).where(
        AssignmentProposal.proposal_id == proposal_id)).first() is not None


def find_proposal(db: Session, operator_id: UUID, proposal_id: UUID) -> AssignmentProposal | None:
    return db.execute(_of(operator_id, proposal_id)).scalar_one_or_none()


def lock_proposal(db: Session, operator_id: UUID, proposal_id: UUID) -> AssignmentProposal | None:
    """An operator's proposal, held until commit."""
    return db.execute(
        _of(operator_id, proposal_id).with_for_update().execution_options(populate_existing=True)
    ).scalar_one_or_none()


def decide_proposal(
    db: Session, proposal: AssignmentProposal, *, state: str, by: UUID, why: str | None, now: datetime
) -> None:
    changed = db.execute(
        update(AssignmentProposal)
        .where(AssignmentProposal.proposal_id == proposal.proposal_id, AssignmentProposal.state == "proposed")
        .values(state=state, decided_by=by, decided_at=now, why=why).execution_options(synchronize_session=False))
    assert changed.rowcount == 1  # type: ignore[attr-defined]


def list_proposals(
    db: Session, operator_id: UUID, *, state: str | None = None, limit: int = 50
) -> list[AssignmentProposal]:
    """An operator's, newest first."""
    query = select(AssignmentProposal).where(AssignmentProposal.operator_id == operator_id)
    if state is not None:
        query = query.where(AssignmentProposal.state == state)
    return list(db.execute(query.order_by(AssignmentProposal.proposal_id.desc()).limit(limit)).scalars())


def _of(operator_id: UUID, proposal_id: UUID) -> Any:
    return select(AssignmentProposal).where(
        AssignmentProposal.proposal_id == proposal_id, AssignmentProposal.operator_id == operator_id)
