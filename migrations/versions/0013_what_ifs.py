"""What-ifs: a period's visits priced anew under another tariff, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Instant, Json, Uuid, Wide
from parking.store.migrations import grant

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "what_if",
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("what_if_id", Uuid(), nullable=False),
        sa.Column("lot_ids", Json(), nullable=False),
        sa.Column("entered_from", Instant(), nullable=False),
        sa.Column("entered_to", Instant(), nullable=False),
        sa.Column("tariff_code", sa.Text(), nullable=False),
        sa.Column("tariff_hash", sa.Text(), nullable=False),
        sa.Column("tariff_body", sa.Text(), nullable=False),
        sa.Column("asked_by", Uuid(), nullable=True),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done_count", Wide(), nullable=False),
        sa.Column("total_count", Wide(), nullable=True),
        sa.Column("held_by", Uuid(), nullable=True),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("result", Json(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_what_if_state")),
        sa.CheckConstraint("(state = 'running') = (held_by IS NOT NULL)", name=op.f("ck_what_if_held_by")),
        sa.CheckConstraint("(held_by IS NULL) = (leased_until IS NULL)", name=op.f("ck_what_if_leased_until")),
        sa.CheckConstraint("(state = 'done') = (result IS NOT NULL)", name=op.f("ck_what_if_result")),
        sa.CheckConstraint(
            "(state IN ('waiting', 'running')) = (ended_at IS NULL)", name=op.f("ck_what_if_ended_at")),
        sa.CheckConstraint("entered_to > entered_from", name=op.f("ck_what_if_period")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_what_if_operator")),
        sa.PrimaryKeyConstraint("operator_id", "what_if_id", name=op.f("pk_what_if")),
        info={"dist": "operator_id", "group": "what_if", "append_only": False},
        sqlite_strict=True,
    )
    unfinished = sa.text("state IN ('waiting', 'running')")
    op.create_index("ix_what_if_unfinished", "what_if", ["asked_at"], unique=False,
                    sqlite_where=unfinished, postgresql_where=unfinished)
    grant(op.get_bind(), "what_if", append_only=False)


def downgrade() -> None:
    op.drop_table("what_if")
