"""Drafts of tariff versions, and proposals of which lot charges by which tariff, for a second person to approve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Instant, Uuid
from parking.store.migrations import grant

revision = "0012"
down_revision = "0011"

TWO_PERSONS = "state <> 'approved' OR (decided_by IS NOT NULL AND decided_by <> proposed_by)"
DECIDED = "(state IN ('approved', 'rejected', 'withdrawn')) = (decided_at IS NOT NULL)"


def upgrade() -> None:
    op.create_table(
        "tariff_draft",
        sa.Column("draft_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("written_by", Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("in_force_from", Instant(), nullable=True),
        sa.Column("proposed_by", Uuid(), nullable=True),
        sa.Column("proposed_at", Instant(), nullable=True),
        sa.Column("decided_by", Uuid(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.CheckConstraint("state IN ('draft', 'proposed', 'approved', 'rejected', 'withdrawn')", name=op.f("ck_tariff_draft_state")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_tariff_draft_revision")),
        sa.CheckConstraint("(state IN ('draft', 'withdrawn')) OR in_force_from IS NOT NULL", name=op.f("ck_tariff_draft_in_force_from")),
        sa.CheckConstraint("(state IN ('draft', 'withdrawn')) OR proposed_by IS NOT NULL", name=op.f("ck_tariff_draft_proposed_by")),
        sa.CheckConstraint("(state = 'approved') = (version IS NOT NULL)", name=op.f("ck_tariff_draft_version")),
        sa.CheckConstraint(TWO_PERSONS, name=op.f("ck_tariff_draft_two_persons")),
        sa.CheckConstraint(DECIDED, name=op.f("ck_tariff_draft_decided_at")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_tariff_draft_operator")),
        sa.PrimaryKeyConstraint("draft_id", name=op.f("pk_tariff_draft")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_tariff_draft_operator", "tariff_draft", ["operator_id", "draft_id"], unique=False)
    op.create_table(
        "tariff_draft_event",
        sa.Column("draft_id", Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("staff_id", Uuid(), nullable=False),
        sa.Column("happened_at", Instant(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("in_force_from", Instant(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint("what IN ('written', 'proposed', 'approved', 'rejected', 'withdrawn')", name=op.f("ck_tariff_draft_event_what")),
        sa.ForeignKeyConstraint(["draft_id"], ["tariff_draft.draft_id"], name=op.f("fk_tariff_draft_event_tariff_draft")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_tariff_draft_event_operator")),
        sa.PrimaryKeyConstraint("draft_id", "revision", name=op.f("pk_tariff_draft_event")),
        info={"dist": None, "group": "reference", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "assignment_proposal",
        sa.Column("proposal_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("tariff_id", Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("assigned_from", Instant(), nullable=False),
        sa.Column("assigned_to", Instant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_by", Uuid(), nullable=False),
        sa.Column("proposed_at", Instant(), nullable=False),
        sa.Column("decided_by", Uuid(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'rejected', 'withdrawn')", name=op.f("ck_assignment_proposal_state")),
        sa.CheckConstraint("assigned_to > assigned_from", name=op.f("ck_assignment_proposal_period")),
        sa.CheckConstraint(TWO_PERSONS, name=op.f("ck_assignment_proposal_two_persons")),
        sa.CheckConstraint(DECIDED, name=op.f("ck_assignment_proposal_decided_at")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_assignment_proposal_operator")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_assignment_proposal_lot")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariff.tariff_id"], name=op.f("fk_assignment_proposal_tariff")),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_assignment_proposal")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_assignment_proposal_operator", "assignment_proposal", ["operator_id", "proposal_id"], unique=False)
    for table, append_only in (("tariff_draft", False), ("tariff_draft_event", True), ("assignment_proposal", False)):
        grant(op.get_bind(), table, append_only=append_only)


def downgrade() -> None:
    for table in ("assignment_proposal", "tariff_draft_event", "tariff_draft"):
        op.drop_table(table)
