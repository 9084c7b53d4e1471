"""What operators take off charges, and above what a second person decides on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Instant, Uuid
from parking.store.migrations import grant

revision = "0017"
down_revision = "0016"

# Each a column, its default, and its CHECK.
ADDED = {
    "parking_session": ("waived_fen", "0", "waived_fen >= 0"),
    "operator": ("waiver_limit_fen", "10000", "waiver_limit_fen >= 0"),
}


def upgrade() -> None:
    for table, (column, default, check) in ADDED.items():
        if op.get_bind().dialect.name == "sqlite":
            op.execute(sa.text(
                f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT '{default}' "
                f"CONSTRAINT ck_{table}_{column} CHECK ({check})"))
        else:
            op.add_column(table, sa.Column(column, Fen(), server_default=default, nullable=False))
            op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, check)
    op.create_table(
        "waiver",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("waiver_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", Uuid(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("decided_by", Uuid(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_waiver_amount_fen")),
        sa.CheckConstraint("state IN ('waiting', 'done', 'rejected')", name=op.f("ck_waiver_state")),
        sa.CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name=op.f("ck_waiver_decided_at")),
        sa.CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name=op.f("ck_waiver_decided_by")),
        sa.ForeignKeyConstraint(
            ["lot_id", "parking_session_id"], ["parking_session.lot_id", "parking_session.parking_session_id"],
            name=op.f("fk_waiver_parking_session")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_waiver_operator")),
        sa.PrimaryKeyConstraint("lot_id", "waiver_id", name=op.f("pk_waiver")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_waiver_parking_session", "waiver", ["lot_id", "parking_session_id"], unique=False)
    op.create_index("ix_waiver_operator", "waiver", ["operator_id", "asked_at"], unique=False)
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_waiver_waiting", "waiver", ["operator_id"], unique=False,
                    sqlite_where=waiting, postgresql_where=waiting)
    grant(op.get_bind(), "waiver", append_only=False)


def downgrade() -> None:
    op.drop_table("waiver")
    for table, (column, _, _) in ADDED.items():
        if op.get_bind().dialect.name == "sqlite":
            op.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        else:
            op.drop_constraint(f"ck_{table}_{column}", table)
            op.drop_column(table, column)
