"""Channels' statements as they were read, and what each day came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Flag, Instant, Json, Uuid, Wide
from parking.store.migrations import ROLE, grant

revision = "0004"
down_revision = "0003"

KEPT = ("statement_line", "statement_file")


def upgrade() -> None:
    _create_import()
    _create_line_and_file()
    _create_day_and_difference()
    op.create_index("ix_refund_refund_no", "refund", ["refund_no"], unique=False)
    for table in ("statement_import", "statement_line", "statement_file", "statement_day", "statement_difference"):
        grant(op.get_bind(), table, append_only=False)
    if op.get_bind().dialect.name == "sqlite":
        _keep_by_trigger()
    else:
        _keep_by_role_and_trigger()


def _create_import() -> None:
    op.create_table(
        "statement_import",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("file_hash", Bytes(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_final", Flag(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("settled_fen", Fen(), nullable=False),
        sa.Column("fee_raw", Wide(), nullable=False),
        sa.Column("imported_at", Instant(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.CheckConstraint(
            "state IN ('reading', 'read', 'superseded', 'abandoned')", name=op.f("ck_statement_import_state")
        ),
        sa.CheckConstraint(
            "(state = 'reading') = (leased_until IS NOT NULL)", name=op.f("ck_statement_import_leased_until")
        ),
        sa.CheckConstraint("is_final IN (0, 1)", name=op.f("ck_statement_import_is_final")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_statement_import_channel_account")
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_statement_import_operator")),
        sa.PrimaryKeyConstraint("account_id", "import_id", name=op.f("pk_statement_import")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    for name, state in (("day", "read"), ("reading", "reading")):
        op.create_index(
            f"uq_statement_import_{name}",
            "statement_import",
            ["account_id", "statement_date"],
            unique=True,
            sqlite_where=sa.text(f"state = '{state}'"),
            postgresql_where=sa.text(f"state = '{state}'"),
        )
    op.create_index(
        "ix_statement_import_operator", "statement_import", ["operator_id", "statement_date"], unique=False
    )


def _create_line_and_file() -> None:
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
        sa.CheckConstraint(
            "amount_fen > 0 OR (amount_fen = 0 AND status = 'REVOKED')", name=op.f("ck_statement_line_amount_fen")
        ),
        _of_import("statement_line"),
        sa.PrimaryKeyConstraint("import_id", "row", "account_id", name=op.f("pk_statement_line")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_statement_line_number", "statement_line", ["account_id", "number"], unique=False)
    op.create_table(
        "statement_file",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("body", Bytes(), nullable=False),
        _of_import("statement_file"),
        sa.PrimaryKeyConstraint("account_id", "import_id", "part", name=op.f("pk_statement_file")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )


def _of_import(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", "import_id"],
        ["statement_import.account_id", "statement_import.import_id"],
        name=op.f(f"fk_{table}_statement_import"),
    )


def _create_day_and_difference() -> None:
    op.create_table(
        "statement_day",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("reckoning", sa.Integer(), nullable=False),
        sa.Column("reckoned_generation", sa.Integer(), nullable=False),
        sa.Column("reckoned_at", Instant(), nullable=True),
        sa.Column("buckets", Json(), nullable=True),
        sa.Column("difference_count", sa.Integer(), nullable=False),
        sa.CheckConstraint("reckoning BETWEEN 0 AND begun", name=op.f("ck_statement_day_reckoning")),
        sa.CheckConstraint("(reckoning = 0) = (buckets IS NULL)", name=op.f("ck_statement_day_buckets")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_statement_day_channel_account")
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_statement_day_operator")),
        sa.PrimaryKeyConstraint("account_id", "statement_date", name=op.f("pk_statement_day")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "statement_difference",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("reckoning", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("ours_fen", Fen(), nullable=True),
        sa.Column("theirs_fen", Fen(), nullable=True),
        sa.Column("difference_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("lot_id", sa.Integer(), nullable=True),
        sa.Column("parking_session_id", Uuid(), nullable=True),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_statement_difference_kind")),
        sa.PrimaryKeyConstraint(
            "account_id", "statement_date", "reckoning", "place", name=op.f("pk_statement_difference")
        ),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_statement_difference_bucket",
        "statement_difference",
        ["account_id", "statement_date", "reckoning", "bucket", "place"],
        unique=False,
    )


def _keep_by_trigger() -> None:
    """What was read stays as it is; what a reader that died left may be deleted, never changed."""
    for table in KEPT:
        op.execute(sa.text(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"))
        op.execute(sa.text(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN (SELECT state FROM statement_import "
            "WHERE account_id = OLD.account_id AND import_id = OLD.import_id) IN ('read', 'superseded') "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only once it was read'); END"))


def _keep_by_role_and_trigger() -> None:
    op.execute(sa.text(
        "CREATE FUNCTION keep_what_was_read() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT state FROM statement_import WHERE account_id = OLD.account_id AND import_id = OLD.import_id) "
        "IN ('read', 'superseded') THEN RAISE EXCEPTION '% is append-only once it was read', TG_TABLE_NAME; END IF; "
        "RETURN OLD; END $$"))
    for table in KEPT:
        op.execute(sa.text(f"REVOKE UPDATE ON {table} FROM {ROLE}"))
        op.execute(sa.text(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION keep_what_was_read()"))


def downgrade() -> None:
    op.drop_index("ix_refund_refund_no", table_name="refund")
    for table in ("statement_difference", "statement_day", "statement_file", "statement_line", "statement_import"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute(sa.text("DROP FUNCTION keep_what_was_read()"))
