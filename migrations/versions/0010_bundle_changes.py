"""What tells that a lane's bundle is still true: a lot's generation, and drivers and vehicles of whom lanes must learn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Wide
from parking.store.migrations import grant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "bundle_stripe",
        sa.Column("stripe", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_number", Wide(), nullable=False),
        sa.CheckConstraint("stripe BETWEEN 0 AND 15", name=op.f("ck_bundle_stripe_stripe")),
        sa.PrimaryKeyConstraint("stripe", name=op.f("pk_bundle_stripe")),
        info={"dist": "stripe", "group": "bundle", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "bundle_change",
        sa.Column("stripe", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("number", Wide(), nullable=False),
        sa.CheckConstraint("length(subject) = 16", name=op.f("ck_bundle_change_subject")),
        sa.PrimaryKeyConstraint("stripe", "subject", name=op.f("pk_bundle_change")),
        info={"dist": "stripe", "group": "bundle", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_bundle_change_number", "bundle_change", ["stripe", "number"], unique=False)
    for table in ("bundle_stripe", "bundle_change"):
        grant(op.get_bind(), table, append_only=False)
    op.add_column("lot_state", sa.Column("generation", Wide(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("lot_state", "generation")
    for table in ("bundle_change", "bundle_stripe"):
        op.drop_table(table)
