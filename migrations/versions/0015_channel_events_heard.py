"""The channels' events that were heard, by their own numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Instant, Uuid
from parking.store.migrations import grant

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "channel_event_heard",
        sa.Column("event_no", sa.Text(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("heard_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("event_no", "account_id", name=op.f("pk_channel_event_heard")),
        info={"dist": "event_no", "group": "channel_event_no", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "channel_event_heard", append_only=True)


def downgrade() -> None:
    op.drop_table("channel_event_heard")
