"""What an operator's lots posted in a period is found by time."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_index("ix_ledger_transfer_operator", "ledger_transfer", ["operator_id", "posted_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_ledger_transfer_operator", table_name="ledger_transfer")
