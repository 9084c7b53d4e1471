"""Channels' statements, row by row as they were read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "statement_line",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("channel_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("fee_raw", Wide(), nullable=False),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_statement_line_kind")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_statement_line_amount_fen")),
        sa.PrimaryKeyConstraint("account_id", "import_id", "row", name=op.f("pk_statement_line")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_statement_line_number", "statement_line", ["account_id", "number"], unique=False)
    op.create_table(
        "statement_import",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("file_hash", Bytes(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("imported_at", Instant(), nullable=False),
        sa.CheckConstraint("state IN ('reading', 'read')", name=op.f("ck_statement_import_state")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_statement_import_channel_account")
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_statement_import_operator")),
        sa.PrimaryKeyConstraint("account_id", "import_id", name=op.f("pk_statement_import")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "uq_statement_import_day",
        "statement_import",
        ["account_id", "statement_date"],
        unique=True,
        sqlite_where=sa.text("state = 'read'"),
        postgresql_where=sa.text("state = 'read'"),
    )
    for table in ("statement_import", "statement_line"):
        grant(op.get_bind(), table, append_only=False)


def downgrade() -> None:
    op.drop_index(
        "uq_statement_import_day",
        table_name="statement_import",
        sqlite_where=sa.text("state = 'read'"),
        postgresql_where=sa.text("state = 'read'"),
    )
    op.drop_table("statement_import")
    op.drop_index("ix_statement_line_number", table_name="statement_line")
    op.drop_table("statement_line")
