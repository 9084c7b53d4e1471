"""Messages that keep failing are dead letters, which people have tried again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Instant, Uuid
from parking.store.migrations import grant

revision = "0021"
down_revision = "0020"

# Of outbox_message, each with its type, its default, and its CHECK.
ADDED = {
    "failures": (sa.Integer(), "0", "failures >= 0"),
    "failing_since": (Instant(), None, "(failing_since IS NULL) = (failures = 0)"),
    "dead_at": (Instant(), None, "dead_at IS NULL OR failing_since IS NOT NULL"),
}
DUE, DUE_BEFORE, FAILING = "done_at IS NULL AND dead_at IS NULL", "done_at IS NULL", "failing_since IS NOT NULL"


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for column, (kind, default, check) in ADDED.items():
        if is_sqlite:
            must = f"NOT NULL DEFAULT '{default}' " if default else ""
            op.execute(sa.text(
                f"ALTER TABLE outbox_message ADD COLUMN {column} INTEGER {must}"
                f"CONSTRAINT ck_outbox_message_{column} CHECK ({check})"))
        else:
            op.add_column("outbox_message", sa.Column(column, kind, server_default=default, nullable=default is None))
            op.create_check_constraint(op.f(f"ck_outbox_message_{column}"), "outbox_message", check)
    _index("ix_outbox_message_due", ["due_at"], DUE, replaces=True)
    _index("ix_outbox_message_failing", ["failing_since", "message_id"], FAILING)
    op.create_table(
        "outbox_retry",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("message_id", Uuid(), nullable=False),
        sa.Column("dead_at", Instant(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("retried_by", Uuid(), nullable=False),
        sa.Column("retried_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_outbox_retry_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_outbox_retry_operator")),
        sa.PrimaryKeyConstraint("lot_id", "message_id", "dead_at", name=op.f("pk_outbox_retry")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_outbox_retry_operator", "outbox_retry", ["operator_id", "retried_at"], unique=False)
    grant(op.get_bind(), "outbox_retry", append_only=True)


def downgrade() -> None:
    op.drop_table("outbox_retry")
    op.drop_index("ix_outbox_message_failing", table_name="outbox_message")
    _index("ix_outbox_message_due", ["due_at"], DUE_BEFORE, replaces=True)
    for column in reversed(ADDED):
        if op.get_bind().dialect.name == "sqlite":
            op.execute(sa.text(f"ALTER TABLE outbox_message DROP COLUMN {column}"))
        else:
            op.drop_constraint(f"ck_outbox_message_{column}", "outbox_message")
            op.drop_column("outbox_message", column)


def _index(name: str, columns: list[str], where: str, *, replaces: bool = False) -> None:
    if replaces:
        op.drop_index(name, table_name="outbox_message")
    op.create_index(name, "outbox_message", columns, unique=False, sqlite_where=sa.text(where),
                    postgresql_where=sa.text(where))
