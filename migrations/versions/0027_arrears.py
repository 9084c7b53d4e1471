"""Arrears with due process: cases, each of their steps, what drivers say of them, and the vehicles they are of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0027"
down_revision = "0026"

GRACE = "arrears_grace_days BETWEEN 0 AND 90"
UNPAID = "state = 'closed' AND money_state IN ('pay_later', 'arrears')"
STATES = ("state IN ('open', 'noticed', 'objected', 'upheld', 'dismissed', 'reduced', 'overdue', 'paid', 'waived', "
          "'withdrawn', 'void')")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text(
            "ALTER TABLE operator ADD COLUMN arrears_grace_days INTEGER NOT NULL DEFAULT '3' "
            f"CONSTRAINT ck_operator_arrears_grace_days CHECK ({GRACE})"))
    else:
        op.add_column("operator", sa.Column("arrears_grace_days", sa.Integer(), server_default="3", nullable=False))
        op.create_check_constraint(op.f("ck_operator_arrears_grace_days"), "operator", GRACE)
    op.create_index("ix_parking_session_unpaid", "parking_session", ["lot_id", "left_at"], unique=False,
                    sqlite_where=sa.text(UNPAID), postgresql_where=sa.text(UNPAID))
    _create_cases()
    _create_events()
    _create_words()
    _create_index()


def downgrade() -> None:
    for table in ("vehicle_arrears", "arrears_words", "arrears_event", "arrears_case"):
        op.drop_table(table)
    op.drop_index("ix_parking_session_unpaid", table_name="parking_session")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("ALTER TABLE operator DROP COLUMN arrears_grace_days"))
    else:
        op.drop_constraint("ck_operator_arrears_grace_days", "operator")
        op.drop_column("operator", "arrears_grace_days")


def _create_cases() -> None:
    op.create_table(
        "arrears_case",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("case_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("case_no", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("claimed_fen", Fen(), nullable=True),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("term_from_at", Instant(), nullable=True),
        sa.Column("term_ends_at", Instant(), nullable=True),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.CheckConstraint(STATES, name=op.f("ck_arrears_case_state")),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_arrears_case_amount_fen")),
        sa.CheckConstraint("claimed_fen >= 0", name=op.f("ck_arrears_case_claimed_fen")),
        sa.CheckConstraint("waits_for IS NULL OR term_ends_at IS NULL", name=op.f("ck_arrears_case_waits_for")),
        sa.CheckConstraint("(state IN ('paid', 'waived', 'withdrawn', 'void')) = (closed_at IS NOT NULL)",
                           name=op.f("ck_arrears_case_closed_at")),
        sa.CheckConstraint("event_count >= 1", name=op.f("ck_arrears_case_event_count")),
        sa.ForeignKeyConstraint(["lot_id", "parking_session_id"],
                                ["parking_session.lot_id", "parking_session.parking_session_id"],
                                name=op.f("fk_arrears_case_parking_session")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_arrears_case_operator")),
        sa.PrimaryKeyConstraint("lot_id", "case_id", name=op.f("pk_arrears_case")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("uq_arrears_case_parking_session", "arrears_case", ["lot_id", "parking_session_id"], unique=True)
    op.create_index("uq_arrears_case_case_no", "arrears_case", ["lot_id", "case_no"], unique=True)
    op.create_index("ix_arrears_case_operator", "arrears_case", ["operator_id", "state", "opened_at"], unique=False)
    for name, column in (("ix_arrears_case_term", "term_ends_at"), ("ix_arrears_case_waits", "waits_for")):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "arrears_case", [column], unique=False, sqlite_where=where, postgresql_where=where)
    grant(op.get_bind(), "arrears_case", append_only=False)


def _create_events() -> None:
    op.create_table(
        "arrears_event",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("case_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deed_id", Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", Uuid(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_arrears_event_number")),
        sa.CheckConstraint("actor IN ('clock', 'staff', 'driver', 'stranger')", name=op.f("ck_arrears_event_actor")),
        sa.CheckConstraint("(actor IN ('staff', 'driver')) = (actor_id IS NOT NULL)",
                           name=op.f("ck_arrears_event_actor_id")),
        sa.ForeignKeyConstraint(["lot_id", "case_id"], ["arrears_case.lot_id", "arrears_case.case_id"],
                                name=op.f("fk_arrears_event_arrears_case")),
        sa.PrimaryKeyConstraint("lot_id", "case_id", "number", name=op.f("pk_arrears_event")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("uq_arrears_event_deed", "arrears_event", ["lot_id", "case_id", "deed_id"], unique=True)
    grant(op.get_bind(), "arrears_event", append_only=True)


def _create_words() -> None:
    op.create_table(
        "arrears_words",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("case_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("named", sa.Text(), nullable=False),
        sa.Column("said_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id", "case_id", "number"],
                                ["arrears_event.lot_id", "arrears_event.case_id", "arrears_event.number"],
                                name=op.f("fk_arrears_words_arrears_event")),
        sa.PrimaryKeyConstraint("lot_id", "case_id", "number", name=op.f("pk_arrears_words")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_arrears_words_said_at", "arrears_words", ["said_at"], unique=False)
    grant(op.get_bind(), "arrears_words", append_only=False)


def _create_index() -> None:
    op.create_table(
        "vehicle_arrears",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("case_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("vehicle_key", "case_id", name=op.f("pk_vehicle_arrears")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    where = sa.text("state = 'overdue'")
    op.create_index("ix_vehicle_arrears_overdue", "vehicle_arrears", ["vehicle_key", "operator_id"], unique=False,
                    sqlite_where=where, postgresql_where=where)
    grant(op.get_bind(), "vehicle_arrears", append_only=False)
