"""Bills of the movements of channels' accounts, what was booked of them, and what banks received."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Flag, Instant, Json, Uuid
from parking.store.migrations import ROLE, grant

revision = "0030"
down_revision = "0029"

PURSES = "purse IN ('BASIC', 'OPERATION', 'FEES')"
OF_OLD = "kind IN ('payment', 'refund')"
KINDS = ("kind IN ('payment', 'refund', 'funds_payment', 'funds_refund', 'funds_fee', 'funds_other', "
         "'funds_balance')")
KEPT = ("fund_line", "fund_file")
STANDS = sa.text("state IN ('waiting', 'stands')")


def upgrade() -> None:
    _widen(KINDS)
    _create_purse_and_import()
    _create_line_and_file()
    _create_bookings()
    op.create_index("ix_drawer_shift_opened", "drawer_shift", ["operator_id", "opened_at"], unique=False)
    for table in ("fund_purse", "fund_import", "fund_line", "fund_file", "bank_receipt"):
        grant(op.get_bind(), table, append_only=False)
    grant(op.get_bind(), "fund_booking", append_only=True)
    if op.get_bind().dialect.name == "sqlite":
        _keep_by_trigger()
    else:
        for table in KEPT:
            op.execute(sa.text(f"REVOKE UPDATE ON {table} FROM {ROLE}"))


def _widen(kinds: str) -> None:
    """Differences and explanations are of more kinds."""
    for table in ("statement_difference", "statement_explanation"):
        if op.get_bind().dialect.name == "sqlite":
            _make_anew(table, kinds)
        else:
            op.drop_constraint(f"ck_{table}_kind", table)
            op.create_check_constraint(op.f(f"ck_{table}_kind"), table, kinds)


def _make_anew(table: str, kinds: str) -> None:
    """SQLite changes no constraint of a table that is there: the rows go into another one of its name."""
    index = {"statement_difference": "ix_statement_difference_bucket",
             "statement_explanation": "uq_statement_explanation_difference"}[table]
    op.execute(sa.text(f"ALTER TABLE {table} RENAME TO {table}_before"))
    op.drop_index(index, table_name=f"{table}_before")
    if table == "statement_difference":
        _create_difference(kinds)
    else:
        _create_explanation(kinds)
    op.execute(sa.text(f"INSERT INTO {table} SELECT * FROM {table}_before"))
    op.drop_table(f"{table}_before")


def _create_difference(kinds: str) -> None:
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
        sa.CheckConstraint(kinds, name=op.f("ck_statement_difference_kind")),
        sa.PrimaryKeyConstraint(
            "account_id", "statement_date", "reckoning", "place", name=op.f("pk_statement_difference")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_statement_difference_bucket", "statement_difference",
                    ["account_id", "statement_date", "reckoning", "bucket", "place"], unique=False)


def _create_explanation(kinds: str) -> None:
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
        sa.CheckConstraint(kinds, name=op.f("ck_statement_explanation_kind")),
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
    op.create_index(
        "uq_statement_explanation_difference", "statement_explanation",
        ["account_id", "statement_date", "kind", "number", "bucket"], unique=True, sqlite_where=STANDS,
        postgresql_where=STANDS)


def _create_purse_and_import() -> None:
    off = sa.text("until_date IS NULL")
    op.create_table(
        "fund_purse",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("purse", sa.Text(), nullable=False),
        sa.Column("since_date", sa.Text(), nullable=False),
        sa.Column("until_date", sa.Text(), nullable=True),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.CheckConstraint(PURSES, name=op.f("ck_fund_purse_purse")),
        sa.CheckConstraint("until_date >= since_date", name=op.f("ck_fund_purse_until_date")),
        *_of_account("fund_purse"),
        sa.PrimaryKeyConstraint("account_id", "purse", "since_date", name=op.f("pk_fund_purse")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("uq_fund_purse_on", "fund_purse", ["account_id", "purse"], unique=True, sqlite_where=off,
                    postgresql_where=off)
    op.create_table(
        "fund_import",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("purse", sa.Text(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("file_hash", Bytes(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_final", Flag(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("opening_fen", Fen(), nullable=True),
        sa.Column("closing_fen", Fen(), nullable=True),
        sa.Column("kinds", Json(), nullable=False),
        sa.Column("imported_at", Instant(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.CheckConstraint(PURSES, name=op.f("ck_fund_import_purse")),
        sa.CheckConstraint(
            "state IN ('reading', 'read', 'superseded', 'abandoned')", name=op.f("ck_fund_import_state")),
        sa.CheckConstraint(
            "(state = 'reading') = (leased_until IS NOT NULL)", name=op.f("ck_fund_import_leased_until")),
        sa.CheckConstraint("is_final IN (0, 1)", name=op.f("ck_fund_import_is_final")),
        sa.CheckConstraint(
            "(row_count = 0) = (opening_fen IS NULL) AND (row_count = 0) = (closing_fen IS NULL)",
            name=op.f("ck_fund_import_balances")),
        *_of_account("fund_import"),
        sa.PrimaryKeyConstraint("account_id", "import_id", name=op.f("pk_fund_import")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    for name, state in (("day", "read"), ("reading", "reading")):
        op.create_index(
            f"uq_fund_import_{name}", "fund_import", ["account_id", "statement_date", "purse"], unique=True,
            sqlite_where=sa.text(f"state = '{state}'"), postgresql_where=sa.text(f"state = '{state}'"))


def _create_line_and_file() -> None:
    op.create_table(
        "fund_line",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("channel_no", sa.Text(), nullable=False),
        sa.Column("flow_no", sa.Text(), nullable=False),
        sa.Column("business", sa.Text(), nullable=False),
        sa.Column("moved_fen", Fen(), nullable=False),
        sa.Column("balance_fen", Fen(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('payment', 'refund', 'fee', 'withdrawal', 'other')", name=op.f("ck_fund_line_kind")),
        sa.CheckConstraint("moved_fen <> 0", name=op.f("ck_fund_line_moved_fen")),
        _of_import("fund_line"),
        sa.PrimaryKeyConstraint("import_id", "row", "account_id", name=op.f("pk_fund_line")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_fund_line_channel_no", "fund_line", ["account_id", "channel_no"], unique=False)
    op.create_table(
        "fund_file",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("body", Bytes(), nullable=False),
        _of_import("fund_file"),
        sa.PrimaryKeyConstraint("account_id", "import_id", "part", name=op.f("pk_fund_file")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )


def _create_bookings() -> None:
    op.create_table(
        "fund_booking",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("booking_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        *(sa.Column(name, Fen(), nullable=False)
          for name in ("withdrawn_fen", "rounded_fen", "opened_fen", "closing_fen", "left_fen")),
        sa.Column("booked_at", Instant(), nullable=False),
        *_of_account("fund_booking"),
        sa.PrimaryKeyConstraint("account_id", "statement_date", name=op.f("pk_fund_booking")),
        info={"dist": "account_id", "group": "statement", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_fund_booking_operator", "fund_booking", ["operator_id", "booked_at"], unique=False)
    op.create_table(
        "bank_receipt",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("receipt_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("received_date", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("entered_by", Uuid(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("taken_back_at", Instant(), nullable=True),
        sa.Column("taken_back_by", Uuid(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_bank_receipt_amount_fen")),
        sa.CheckConstraint(
            "(taken_back_at IS NULL) = (taken_back_by IS NULL)", name=op.f("ck_bank_receipt_taken_back")),
        *_of_account("bank_receipt"),
        sa.PrimaryKeyConstraint("account_id", "receipt_id", name=op.f("pk_bank_receipt")),
        info={"dist": "account_id", "group": "statement", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_bank_receipt_date", "bank_receipt", ["account_id", "received_date"], unique=False)


def _of_account(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f(f"fk_{table}_channel_account")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f(f"fk_{table}_operator")),
    )


def _of_import(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", "import_id"], ["fund_import.account_id", "fund_import.import_id"],
        name=op.f(f"fk_{table}_fund_import"))


def _keep_by_trigger() -> None:
    """What was read stays as it is; what a reader that died left may be deleted, never changed."""
    for table in KEPT:
        op.execute(sa.text(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"))
        op.execute(sa.text(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN (SELECT state FROM fund_import "
            "WHERE account_id = OLD.account_id AND import_id = OLD.import_id) IN ('read', 'superseded') "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only once it was read'); END"))


def downgrade() -> None:
    """Refused where a difference or an explanation is of a kind that was not there."""
    op.drop_index("ix_drawer_shift_opened", table_name="drawer_shift")
    for table in ("bank_receipt", "fund_booking", "fund_file", "fund_line", "fund_import", "fund_purse"):
        op.drop_table(table)
    _widen(OF_OLD)
