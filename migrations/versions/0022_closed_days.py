"""Explanations of differences, and days that were closed upon them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Uuid
from parking.store.migrations import grant

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "statement_explanation",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("explanation_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("difference_fen", Fen(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=True),
        sa.Column("booked_fen", Fen(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", Uuid(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("decided_by", Uuid(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_statement_explanation_kind")),
        sa.CheckConstraint(
            "state IN ('waiting', 'stands', 'rejected', 'withdrawn')", name=op.f("ck_statement_explanation_state")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_statement_explanation_channel_account")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_statement_explanation_operator")),
        sa.PrimaryKeyConstraint("account_id", "explanation_id", name=op.f("pk_statement_explanation")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    stands = sa.text("state IN ('waiting', 'stands')")
    op.create_index(
        "uq_statement_explanation_difference", "statement_explanation",
        ["account_id", "statement_date", "kind", "number", "bucket"], unique=True, sqlite_where=stands,
        postgresql_where=stands)
    op.create_table(
        "day_closing",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("closed_by", Uuid(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_hash", Bytes(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_day_closing_channel_account")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_day_closing_operator")),
        sa.PrimaryKeyConstraint("account_id", "statement_date", name=op.f("pk_day_closing")),
        info={"dist": "account_id", "group": "statement", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "statement_explanation", append_only=False)
    grant(op.get_bind(), "day_closing", append_only=True)


def downgrade() -> None:
    op.drop_table("day_closing")
    op.drop_table("statement_explanation")
