"""What is odd about facts, signed key sets, silent terminals, pairing, and tokens that are replaced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from parking.store.columns import Bytes, Instant, Json, Uuid, Wide
from parking.store.migrations import grant

revision = "0007"
down_revision = "0006"

OPEN, LASTS, OF_VEHICLE = "resolved_at IS NULL", "restored_at IS NULL", "vehicle_key IS NOT NULL"
OF_DRIVER = "driver_id IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "anomaly",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("anomaly_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("sequence", Wide(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("parking_session_id", Uuid(), nullable=True),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("detail", Json(), nullable=False),
        sa.Column("found_at", Instant(), nullable=False),
        sa.Column("resolved_at", Instant(), nullable=True),
        sa.Column("resolved_by", Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("lot_id BETWEEN 1 AND 65535", name=op.f("ck_anomaly_lot_id")),
        sa.CheckConstraint(
            "(resolved_at IS NULL) = (resolved_by IS NULL)", name=op.f("ck_anomaly_resolved_by")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_anomaly_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_anomaly_operator")),
        sa.PrimaryKeyConstraint("lot_id", "anomaly_id", name=op.f("pk_anomaly")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_anomaly_operator", "anomaly", ["operator_id", "anomaly_id"], unique=False)
    op.create_index(
        "ix_anomaly_open", "anomaly", ["operator_id", "anomaly_id"], unique=False,
        sqlite_where=text(OPEN), postgresql_where=text(OPEN))
    op.create_index(
        "ix_anomaly_vehicle", "anomaly", ["lot_id", "vehicle_key", "occurred_at"], unique=False,
        sqlite_where=text(OF_VEHICLE), postgresql_where=text(OF_VEHICLE))
    op.create_table(
        "signed_key_set",
        sa.Column("key_set_id", Uuid(), nullable=False),
        sa.Column("issued_at", Instant(), nullable=False),
        sa.Column("root", Json(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key_set_id", name=op.f("pk_signed_key_set")),
        sa.UniqueConstraint("issued_at", name=op.f("uq_signed_key_set_issued_at")),
        info={"dist": None, "group": "reference", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "terminal_silence",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_id", Uuid(), nullable=False),
        sa.Column("lost_at", Instant(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("restored_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_terminal_silence_lot")),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_terminal_silence_operator")),
        sa.PrimaryKeyConstraint("lot_id", "terminal_id", "lost_at", name=op.f("pk_terminal_silence")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "uq_terminal_silence_lasts", "terminal_silence", ["lot_id", "terminal_id"], unique=True,
        sqlite_where=text(LASTS), postgresql_where=text(LASTS))
    op.create_index("ix_terminal_silence_operator", "terminal_silence", ["operator_id", "lost_at"], unique=False)
    op.create_table(
        "pairing_code",
        sa.Column("code_hash", Bytes(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("gate_id", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("made_by", Uuid(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("used_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_pairing_code_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_pairing_code_operator")),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_pairing_code")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    for table in ("anomaly", "terminal_silence", "pairing_code"):
        grant(op.get_bind(), table, append_only=False)
    grant(op.get_bind(), "signed_key_set", append_only=True)
    op.create_index(
        "ix_fact_driver", "fact", ["lot_id", "driver_id", "ordered_at"], unique=False,
        sqlite_where=text(OF_DRIVER), postgresql_where=text(OF_DRIVER))
    op.add_column("terminal_state", sa.Column("bundle_made_at", Instant(), nullable=True))
    op.add_column("terminal", sa.Column("old_token_hash", Bytes(), nullable=True))
    op.add_column("terminal", sa.Column("old_token_until", Instant(), nullable=True))
    op.create_index("uq_terminal_old_token_hash", "terminal", ["old_token_hash"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_fact_driver", table_name="fact", sqlite_where=text(OF_DRIVER), postgresql_where=text(OF_DRIVER))
    op.drop_index("uq_terminal_old_token_hash", table_name="terminal")
    op.drop_column("terminal", "old_token_until")
    op.drop_column("terminal", "old_token_hash")
    op.drop_column("terminal_state", "bundle_made_at")
    for table in ("pairing_code", "terminal_silence", "signed_key_set", "anomaly"):
        op.drop_table(table)
