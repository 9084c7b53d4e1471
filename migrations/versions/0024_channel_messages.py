"""What was said to payment channels and what they answered is kept for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "channel_message",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("message_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("request_headers", Json(), nullable=False),
        sa.Column("request_body", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer_headers", Json(), nullable=True),
        sa.Column("answer_body", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.CheckConstraint("direction IN ('sent', 'received')", name=op.f("ck_channel_message_direction")),
        sa.PrimaryKeyConstraint("order_no", "message_id", name=op.f("pk_channel_message")),
        info={"dist": "order_no", "group": "channel_message", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_channel_message_at", "channel_message", ["at"], unique=False)
    grant(op.get_bind(), "channel_message", append_only=False)


def downgrade() -> None:
    op.drop_table("channel_message")
