"""Who had a driver's phone challenged, and orders to open a barrier from afar."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Flag, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0008"
down_revision = "0007"

CHALLENGED = "challenged_at IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "challenge_decision",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("decision_id", Uuid(), nullable=False),
        sa.Column("is_challenged", Flag(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=True),
        sa.Column("staff_id", Uuid(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("decided_at", Instant(), nullable=False),
        sa.CheckConstraint("is_challenged IN (0, 1)", name=op.f("ck_challenge_decision_is_challenged")),
        sa.PrimaryKeyConstraint("driver_id", "decision_id", name=op.f("pk_challenge_decision")),
        info={"dist": "driver_id", "group": "driver", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "lane_order",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("order_id", Uuid(), nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("of_sequence", Wide(), nullable=True),
        sa.Column("after_sequence", Wide(), nullable=False),
        sa.Column("ordered_by", Uuid(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ordered_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.CheckConstraint("expires_at > ordered_at", name=op.f("ck_lane_order_expires_at")),
        sa.CheckConstraint("of_sequence >= 1", name=op.f("ck_lane_order_of_sequence")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_lane_order_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_lane_order_operator")),
        sa.PrimaryKeyConstraint("lot_id", "order_id", name=op.f("pk_lane_order")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_lane_order_terminal", "lane_order", ["lot_id", "terminal_id", "expires_at"], unique=False)
    op.create_index(
        "ix_driver_challenged", "driver", ["driver_id"], unique=False,
        sqlite_where=sa.text(CHALLENGED), postgresql_where=sa.text(CHALLENGED))
    for table in ("challenge_decision", "lane_order"):
        grant(op.get_bind(), table, append_only=True)


def downgrade() -> None:
    op.drop_index(
        "ix_driver_challenged", table_name="driver", sqlite_where=sa.text(CHALLENGED),
        postgresql_where=sa.text(CHALLENGED))
    op.drop_table("lane_order")
    op.drop_table("challenge_decision")
