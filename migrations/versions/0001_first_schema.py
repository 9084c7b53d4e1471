"""The first schema: everything that is hard to change later is fixed here.

Why each table is as it is: docs/decisions/0003-first-schema.md. The rules that every later
migration keeps: one statement per execute, constraints named, additive first, both engines.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from parking.store.columns import Bytes, Fen, Flag, Instant, Json, Uuid, Wide

revision = "0001"
down_revision = None

ROLE = "parking_app"
APPEND_ONLY = ("charge", "code_use", "decision", "fact", "tariff_version")


def upgrade() -> None:
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        _forbid_changes_by_trigger()
    else:
        _forbid_changes_by_role()


def _forbid_changes_by_trigger() -> None:
    """SQLite has no roles: a trigger keeps append-only rows as they are."""
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                text(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
            )


def _forbid_changes_by_role() -> None:
    """PostgreSQL: the service does SET ROLE to one that may not change append-only rows.

    Making the role needs CREATEROLE; where the migrating user lacks it, a database administrator
    makes `parking_app` (NOLOGIN) beforehand and grants it to that user.
    """
    op.execute(
        text(
            f"DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
    )
    op.execute(
        text(
            f"DO $$ BEGIN IF NOT pg_has_role(current_user, '{ROLE}', 'MEMBER') THEN "
            f"EXECUTE format('GRANT {ROLE} TO %I', current_user); END IF; END $$"
        )
    )
    op.execute(text(f"GRANT USAGE ON SCHEMA public TO {ROLE}"))
    for table in sa.inspect(op.get_bind()).get_table_names():
        rights = "SELECT, INSERT, UPDATE, DELETE"
        if table in APPEND_ONLY:
            rights = "SELECT, INSERT"
        elif table == "alembic_version":
            rights = "SELECT"
        op.execute(text(f"GRANT {rights} ON {table} TO {ROLE}"))


def _create_tables() -> None:
    op.create_table(
        "account",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=True),
        sa.Column("staff_id", Uuid(), nullable=True),
        sa.Column("operator_id", Uuid(), nullable=True),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("locked_until", Instant(), nullable=True),
        sa.CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name=op.f("ck_account_person")),
        sa.PrimaryKeyConstraint("login", name=op.f("pk_account")),
        info={"dist": "login", "group": "account", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "code_use",
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("use_hash", Bytes(), nullable=False),
        sa.Column("used_at", Instant(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("sequence", Wide(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "use_hash", name=op.f("pk_code_use")),
        info={"dist": "subject", "group": "code", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "district",
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("name", Json(), nullable=False),
        sa.PrimaryKeyConstraint("district_id", name=op.f("pk_district")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "driver",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("code_subject", Bytes(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("length(code_subject) = 16", name=op.f("ck_driver_code_subject")),
        sa.PrimaryKeyConstraint("driver_id", name=op.f("pk_driver")),
        info={"dist": "driver_id", "group": "driver", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "driver_parking_session",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("driver_id", "parking_session_id", name=op.f("pk_driver_parking_session")),
        info={"dist": "driver_id", "group": "driver", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_driver_parking_session_entered_at",
        "driver_parking_session",
        ["driver_id", "entered_at"],
        unique=False,
    )
    op.create_table(
        "driver_vehicle",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("claimed_at", Instant(), nullable=False),
        sa.Column("released_at", Instant(), nullable=True),
        sa.CheckConstraint("status IN ('claimed', 'proved')", name=op.f("ck_driver_vehicle_status")),
        sa.PrimaryKeyConstraint("driver_id", "vehicle_key", name=op.f("pk_driver_vehicle")),
        info={"dist": "driver_id", "group": "driver", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "issued_code",
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("jti", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("kid", sa.Integer(), nullable=False),
        sa.Column("issued_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "jti", name=op.f("pk_issued_code")),
        info={"dist": "subject", "group": "code", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_issued_code_expires_at", "issued_code", ["expires_at"], unique=False)
    op.create_table(
        "login",
        sa.Column("token_hash", Bytes(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=True),
        sa.Column("staff_id", Uuid(), nullable=True),
        sa.Column("operator_id", Uuid(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("kind IN ('cookie', 'bearer')", name=op.f("ck_login_kind")),
        sa.CheckConstraint("(driver_id IS NULL) <> (staff_id IS NULL)", name=op.f("ck_login_person")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login")),
        info={"dist": "token_hash", "group": "login", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "operator",
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("ck_operator_name")),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operator")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "signing_key",
        sa.Column("key_id", Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("public_jwk", Json(), nullable=False),
        sa.Column("private_sealed", Bytes(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("used_from", Instant(), nullable=False),
        sa.Column("retired_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("algorithm IN ('ES256')", name=op.f("ck_signing_key_algorithm")),
        sa.CheckConstraint("purpose IN ('code', 'receipt')", name=op.f("ck_signing_key_purpose")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_signing_key")),
        sa.UniqueConstraint("purpose", "kid", name=op.f("uq_signing_key_purpose_kid")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "vehicle",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("plate_sealed", Bytes(), nullable=True),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("size IN ('small', 'large')", name=op.f("ck_vehicle_size")),
        sa.CheckConstraint("length(vehicle_key) = 16", name=op.f("ck_vehicle_vehicle_key")),
        sa.PrimaryKeyConstraint("vehicle_key", name=op.f("pk_vehicle")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "vehicle_parking_session",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("until_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("vehicle_key", "parking_session_id", name=op.f("pk_vehicle_parking_session")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_vehicle_parking_session_entered_at",
        "vehicle_parking_session",
        ["vehicle_key", "entered_at"],
        unique=False,
    )
    op.create_table(
        "vehicle_presence",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("vehicle_key", name=op.f("pk_vehicle_presence")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "lot",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("district_id", sa.Text(), nullable=False),
        sa.Column("name", Json(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("spaces", sa.Integer(), nullable=False),
        sa.Column("collects", Flag(), nullable=False),
        sa.Column("is_closed", Flag(), nullable=False),
        sa.Column("turned_reasons", Json(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("collects IN (0, 1)", name=op.f("ck_lot_collects")),
        sa.CheckConstraint("is_closed IN (0, 1)", name=op.f("ck_lot_is_closed")),
        sa.CheckConstraint("lot_id BETWEEN 1 AND 65535", name=op.f("ck_lot_lot_id")),
        sa.CheckConstraint("spaces >= 0", name=op.f("ck_lot_spaces")),
        sa.ForeignKeyConstraint(["district_id"], ["district.district_id"], name=op.f("fk_lot_district")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_lot_operator")),
        sa.PrimaryKeyConstraint("lot_id", name=op.f("pk_lot")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "staff",
        sa.Column("staff_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_staff_operator")),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("pk_staff")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "tariff",
        sa.Column("tariff_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_tariff_operator")),
        sa.PrimaryKeyConstraint("tariff_id", name=op.f("pk_tariff")),
        sa.UniqueConstraint("code", name=op.f("uq_tariff_code")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "decision",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("scan_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("sequence", Wide(), nullable=False),
        sa.Column("body_hash", Bytes(), nullable=False),
        sa.Column("opens", Flag(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=True),
        sa.Column("answer", Json(), nullable=False),
        sa.Column("decided_at", Instant(), nullable=False),
        sa.CheckConstraint("opens IN (0, 1)", name=op.f("ck_decision_opens")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_decision_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_decision_operator")),
        sa.PrimaryKeyConstraint("lot_id", "terminal_id", "scan_id", name=op.f("pk_decision")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_decision_parking_session", "decision", ["lot_id", "parking_session_id"], unique=False)
    op.create_table(
        "fact",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("sequence", Wide(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("opened", Flag(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("driver_id", Uuid(), nullable=True),
        sa.Column("said_at", Instant(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("ordered_at", Instant(), nullable=False),
        sa.Column("is_live", Flag(), nullable=False),
        sa.Column("clock_offset_ms", Wide(), nullable=False),
        sa.Column("is_degraded", Flag(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("corrects_terminal_id", Uuid(), nullable=True),
        sa.Column("corrects_sequence", Wide(), nullable=True),
        sa.Column("cause_id", Uuid(), nullable=True),
        sa.Column("body", Json(), nullable=False),
        sa.CheckConstraint("direction IN ('entry', 'exit')", name=op.f("ck_fact_direction")),
        sa.CheckConstraint("kind <> 'scan' OR direction IS NOT NULL", name=op.f("ck_fact_scan_direction")),
        sa.CheckConstraint(
            "kind IN ('scan', 'barrier', 'acknowledged', 'passage', 'manual_lift', 'undo', 'heartbeat', 'plate_correction', 'remote_lift', 'seen_elsewhere', 'overdue')",
            name=op.f("ck_fact_kind"),
        ),
        sa.CheckConstraint(
            "(corrects_terminal_id IS NULL) = (corrects_sequence IS NULL)", name=op.f("ck_fact_corrects")
        ),
        sa.CheckConstraint("is_degraded IN (0, 1)", name=op.f("ck_fact_is_degraded")),
        sa.CheckConstraint("is_live IN (0, 1)", name=op.f("ck_fact_is_live")),
        sa.CheckConstraint("lot_id BETWEEN 1 AND 65535", name=op.f("ck_fact_lot_id")),
        sa.CheckConstraint("opened IN (0, 1)", name=op.f("ck_fact_opened")),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_fact_sequence")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_fact_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_fact_operator")),
        sa.PrimaryKeyConstraint("lot_id", "terminal_id", "sequence", name=op.f("pk_fact")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_fact_corrects",
        "fact",
        ["lot_id", "corrects_terminal_id", "corrects_sequence"],
        unique=False,
        sqlite_where=sa.text("corrects_sequence IS NOT NULL"),
        postgresql_where=sa.text("corrects_sequence IS NOT NULL"),
    )
    op.create_index(
        "ix_fact_corrected_to",
        "fact",
        ["lot_id", "vehicle_key"],
        unique=False,
        sqlite_where=sa.text("corrects_sequence IS NOT NULL"),
        postgresql_where=sa.text("corrects_sequence IS NOT NULL"),
    )
    op.create_index("ix_fact_vehicle", "fact", ["lot_id", "vehicle_key", "ordered_at"], unique=False)
    op.create_index(
        "uq_fact_cause",
        "fact",
        ["lot_id", "cause_id"],
        unique=True,
        sqlite_where=sa.text("cause_id IS NOT NULL"),
        postgresql_where=sa.text("cause_id IS NOT NULL"),
    )
    op.create_table(
        "gate",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("gate_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.CheckConstraint("direction IN ('entry', 'exit', 'both')", name=op.f("ck_gate_direction")),
        sa.CheckConstraint("gate_id >= 1", name=op.f("ck_gate_gate_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_gate_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_gate_operator")),
        sa.PrimaryKeyConstraint("lot_id", "gate_id", name=op.f("pk_gate")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "lot_state",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("occupied_count", sa.Integer(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.CheckConstraint("occupied_count >= 0", name=op.f("ck_lot_state_occupied_count")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_lot_state_lot")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_lot_state_operator")
        ),
        sa.PrimaryKeyConstraint("lot_id", name=op.f("pk_lot_state")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "outbox_message",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("message_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_outbox_message_attempts")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_outbox_message_lot")),
        sa.PrimaryKeyConstraint("lot_id", "message_id", name=op.f("pk_outbox_message")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_outbox_message_due",
        "outbox_message",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "parking_session",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("money_state", sa.Text(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("left_at", Instant(), nullable=True),
        sa.Column("billed_until", Instant(), nullable=True),
        sa.Column("opened_by_terminal_id", Uuid(), nullable=False),
        sa.Column("opened_by_sequence", Wide(), nullable=False),
        sa.Column("closed_by_terminal_id", Uuid(), nullable=True),
        sa.Column("closed_by_sequence", Wide(), nullable=True),
        sa.Column("stop_of_day", sa.Integer(), nullable=False),
        sa.Column("flags", Json(), nullable=False),
        sa.Column("tariff_id", Uuid(), nullable=True),
        sa.Column("tariff_version", sa.Integer(), nullable=True),
        sa.Column("charged_fen", Fen(), nullable=False),
        sa.Column("charge_count", sa.Integer(), nullable=False),
        sa.Column("replaced_by", Uuid(), nullable=True),
        sa.CheckConstraint(
            "(state = 'closed') = (left_at IS NOT NULL) OR state = 'voided'",
            name=op.f("ck_parking_session_left_at"),
        ),
        sa.CheckConstraint(
            "money_state IN ('nothing_due', 'due', 'paid', 'pay_later', 'arrears', 'waived', 'refunded')",
            name=op.f("ck_parking_session_money_state"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'suspended', 'closed', 'voided')", name=op.f("ck_parking_session_state")
        ),
        sa.CheckConstraint("charged_fen >= 0", name=op.f("ck_parking_session_charged_fen")),
        sa.CheckConstraint("left_at >= entered_at", name=op.f("ck_parking_session_order")),
        sa.CheckConstraint("lot_id BETWEEN 1 AND 65535", name=op.f("ck_parking_session_lot_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_parking_session_lot")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_parking_session_operator")
        ),
        sa.PrimaryKeyConstraint("lot_id", "parking_session_id", name=op.f("pk_parking_session")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "ix_parking_session_driver",
        "parking_session",
        ["lot_id", "driver_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('open', 'suspended')"),
        postgresql_where=sa.text("state IN ('open', 'suspended')"),
    )
    op.create_index(
        "ix_parking_session_operator", "parking_session", ["operator_id", "entered_at"], unique=False
    )
    op.create_index(
        "ix_parking_session_vehicle", "parking_session", ["lot_id", "vehicle_key", "entered_at"], unique=False
    )
    op.create_index(
        "uq_parking_session_open",
        "parking_session",
        ["lot_id", "vehicle_key"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "tariff_assignment",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("assigned_from", Instant(), nullable=False),
        sa.Column("assigned_to", Instant(), nullable=True),
        sa.Column("tariff_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.CheckConstraint("assigned_to > assigned_from", name=op.f("ck_tariff_assignment_period")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_tariff_assignment_lot")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_tariff_assignment_operator")
        ),
        sa.ForeignKeyConstraint(
            ["tariff_id"], ["tariff.tariff_id"], name=op.f("fk_tariff_assignment_tariff")
        ),
        sa.PrimaryKeyConstraint("lot_id", "assigned_from", name=op.f("pk_tariff_assignment")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "tariff_version",
        sa.Column("tariff_id", Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("in_force_from", Instant(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("published_at", Instant(), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_tariff_version_version")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_tariff_version_operator")
        ),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariff.tariff_id"], name=op.f("fk_tariff_version_tariff")),
        sa.PrimaryKeyConstraint("tariff_id", "version", name=op.f("pk_tariff_version")),
        sa.UniqueConstraint(
            "tariff_id", "in_force_from", name=op.f("uq_tariff_version_tariff_id_in_force_from")
        ),
        info={"dist": None, "group": "reference", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "terminal",
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("gate_id", sa.Integer(), nullable=True),
        sa.Column("token_hash", Bytes(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("(kind = 'gate') = (gate_id IS NOT NULL)", name=op.f("ck_terminal_gate_id")),
        sa.CheckConstraint("(kind = 'gate') = (token_hash IS NOT NULL)", name=op.f("ck_terminal_token_hash")),
        sa.CheckConstraint("kind IN ('gate', 'service')", name=op.f("ck_terminal_kind")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_terminal_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_terminal_operator")),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_terminal")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_terminal_token_hash")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_terminal_lot_id"), "terminal", ["lot_id"], unique=False)
    op.create_table(
        "terminal_state",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("last_sequence", Wide(), nullable=False),
        sa.Column("fact_count", Wide(), nullable=False),
        sa.Column("last_seen_at", Instant(), nullable=True),
        sa.CheckConstraint("fact_count <= last_sequence", name=op.f("ck_terminal_state_fact_count")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_terminal_state_lot")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_terminal_state_operator")
        ),
        sa.PrimaryKeyConstraint("lot_id", "terminal_id", name=op.f("pk_terminal_state")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "charge",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("charge_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("credits_charge_id", Uuid(), nullable=True),
        sa.Column("total_fen", Fen(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_hash", Bytes(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.Column("sealed_at", Instant(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'credit') = (credits_charge_id IS NOT NULL)", name=op.f("ck_charge_credits")
        ),
        sa.CheckConstraint("kind IN ('charge', 'credit')", name=op.f("ck_charge_kind")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_charge_revision")),
        sa.CheckConstraint("total_fen >= 0", name=op.f("ck_charge_total_fen")),
        sa.ForeignKeyConstraint(
            ["lot_id", "parking_session_id"],
            ["parking_session.lot_id", "parking_session.parking_session_id"],
            name=op.f("fk_charge_parking_session"),
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_charge_operator")),
        sa.PrimaryKeyConstraint("lot_id", "charge_id", name=op.f("pk_charge")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_charge_parking_session", "charge", ["lot_id", "parking_session_id"], unique=False)
    op.create_index(
        "uq_charge_credits",
        "charge",
        ["lot_id", "credits_charge_id"],
        unique=True,
        sqlite_where=sa.text("credits_charge_id IS NOT NULL"),
        postgresql_where=sa.text("credits_charge_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_charge_credits",
        table_name="charge",
        sqlite_where=sa.text("credits_charge_id IS NOT NULL"),
        postgresql_where=sa.text("credits_charge_id IS NOT NULL"),
    )
    op.drop_index("ix_charge_parking_session", table_name="charge")
    op.drop_table("charge")
    op.drop_table("terminal_state")
    op.drop_index(op.f("ix_terminal_lot_id"), table_name="terminal")
    op.drop_table("terminal")
    op.drop_table("tariff_version")
    op.drop_table("tariff_assignment")
    op.drop_index(
        "uq_parking_session_open",
        table_name="parking_session",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index("ix_parking_session_vehicle", table_name="parking_session")
    op.drop_index("ix_parking_session_operator", table_name="parking_session")
    op.drop_index(
        "ix_parking_session_driver",
        table_name="parking_session",
        sqlite_where=sa.text("state IN ('open', 'suspended')"),
        postgresql_where=sa.text("state IN ('open', 'suspended')"),
    )
    op.drop_table("parking_session")
    op.drop_index(
        "ix_outbox_message_due",
        table_name="outbox_message",
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.drop_table("outbox_message")
    op.drop_table("lot_state")
    op.drop_table("gate")
    op.drop_index(
        "uq_fact_cause",
        table_name="fact",
        sqlite_where=sa.text("cause_id IS NOT NULL"),
        postgresql_where=sa.text("cause_id IS NOT NULL"),
    )
    op.drop_index("ix_fact_vehicle", table_name="fact")
    op.drop_index("ix_fact_corrected_to", table_name="fact")
    op.drop_index("ix_fact_corrects", table_name="fact")
    op.drop_table("fact")
    op.drop_index("ix_decision_parking_session", table_name="decision")
    op.drop_table("decision")
    op.drop_table("tariff")
    op.drop_table("staff")
    op.drop_table("lot")
    op.drop_table("vehicle_presence")
    op.drop_index("ix_vehicle_parking_session_entered_at", table_name="vehicle_parking_session")
    op.drop_table("vehicle_parking_session")
    op.drop_table("vehicle")
    op.drop_table("signing_key")
    op.drop_table("operator")
    op.drop_table("login")
    op.drop_index("ix_issued_code_expires_at", table_name="issued_code")
    op.drop_table("issued_code")
    op.drop_table("driver_vehicle")
    op.drop_index("ix_driver_parking_session_entered_at", table_name="driver_parking_session")
    op.drop_table("driver_parking_session")
    op.drop_table("driver")
    op.drop_table("district")
    op.drop_table("code_use")
    op.drop_table("account")
