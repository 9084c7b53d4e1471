"""How long a stay may be at a lot before its exit is thought missed; what drivers and operators say of such visits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0019"
down_revision = "0018"

LIMIT = "stay_limit_hours BETWEEN 1 AND 8760"
BEFORE = "'plate_correction', 'remote_lift', 'seen_elsewhere', 'overdue'"
AFTER = f"{BEFORE}, 'exit_correction'"
KINDS = "kind IN ('scan', 'barrier', 'acknowledged', 'passage', 'manual_lift', 'undo', 'heartbeat', {})"
INDEXES = {
    "ix_parking_session_still_open": (["lot_id", "entered_at"], "state = 'open'"),
    "ix_parking_session_suspended": (["operator_id", "entered_at"], "state = 'suspended'"),
}


def upgrade() -> None:
    _change_kinds(BEFORE, AFTER)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text(
            "ALTER TABLE lot ADD COLUMN stay_limit_hours INTEGER NOT NULL DEFAULT '168' "
            f"CONSTRAINT ck_lot_stay_limit_hours CHECK ({LIMIT})"))
    else:
        op.add_column("lot", sa.Column("stay_limit_hours", sa.Integer(), server_default="168", nullable=False))
        op.create_check_constraint(op.f("ck_lot_stay_limit_hours"), "lot", LIMIT)
    op.add_column("parking_session", sa.Column("gone_at", Instant(), nullable=True))
    for state in ("suspended", "closed"):
        op.execute(sa.text(
            f"UPDATE parking_session SET gone_at = billed_until WHERE state = '{state}' AND billed_until IS NOT NULL "
            "AND (flags LIKE '%seen_elsewhere%' OR flags LIKE '%entered_again%')"))
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "parking_session", columns, unique=False,
                        sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    _create_claims()
    _create_settlements()


def _change_kinds(old: str, new: str) -> None:
    """SQLite changes no constraint of a table that is there: the rows go into another one of its name."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_fact_kind", "fact")
        op.create_check_constraint(op.f("ck_fact_kind"), "fact", KINDS.format(new))
        return
    made = op.get_bind().execute(sa.text(
        "SELECT type, sql FROM sqlite_schema WHERE tbl_name = 'fact' AND sql IS NOT NULL")).all()
    table, = [sql for kind, sql in made if kind == "table"]
    assert old in table
    op.execute(sa.text("ALTER TABLE fact RENAME TO fact_before"))
    op.get_bind().exec_driver_sql(table.replace(old, new))
    op.execute(sa.text("INSERT INTO fact SELECT * FROM fact_before"))
    op.drop_table("fact_before")
    for kind, sql in made:
        if kind != "table":
            op.get_bind().exec_driver_sql(sql)


def _create_claims() -> None:
    op.create_table(
        "exit_claim",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("claim_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("left_at", Instant(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("claimed_at", Instant(), nullable=False),
        *_of_visit("exit_claim"),
        sa.PrimaryKeyConstraint("lot_id", "claim_id", name=op.f("pk_exit_claim")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_exit_claim_parking_session", "exit_claim", ["lot_id", "parking_session_id"], unique=False)
    grant(op.get_bind(), "exit_claim", append_only=True)


def _create_settlements() -> None:
    op.create_table(
        "ghost_settlement",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settlement_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("left_at", Instant(), nullable=True),
        sa.Column("reading", sa.Text(), nullable=True),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("claim_id", Uuid(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("settled_by", Uuid(), nullable=False),
        sa.Column("settled_at", Instant(), nullable=False),
        sa.Column("said_lot_id", sa.Integer(), nullable=False),
        sa.Column("said_terminal_id", Uuid(), nullable=False),
        sa.Column("said_sequence", Wide(), nullable=False),
        sa.CheckConstraint("way IN ('left', 'other_vehicle', 'waive')", name=op.f("ck_ghost_settlement_way")),
        sa.CheckConstraint("reading IN ('entry', 'next')", name=op.f("ck_ghost_settlement_reading")),
        sa.CheckConstraint(
            "(way = 'other_vehicle') = (reading IS NOT NULL)", name=op.f("ck_ghost_settlement_reading_of_way")),
        sa.CheckConstraint(
            "(way = 'other_vehicle') = (left_at IS NULL)", name=op.f("ck_ghost_settlement_left_at")),
        *_of_visit("ghost_settlement"),
        sa.PrimaryKeyConstraint("lot_id", "settlement_id", name=op.f("pk_ghost_settlement")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_ghost_settlement_parking_session", "ghost_settlement", ["lot_id", "parking_session_id"],
                    unique=False)
    grant(op.get_bind(), "ghost_settlement", append_only=True)


def _of_visit(table: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.ForeignKeyConstraint(
            ["lot_id", "parking_session_id"], ["parking_session.lot_id", "parking_session.parking_session_id"],
            name=op.f(f"fk_{table}_parking_session")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f(f"fk_{table}_operator")),
    )


def downgrade() -> None:
    """Refused where an exit was established by a person: an older service could not read it."""
    op.drop_table("ghost_settlement")
    op.drop_table("exit_claim")
    for name in INDEXES:
        op.drop_index(name, table_name="parking_session")
    op.drop_column("parking_session", "gone_at")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("ALTER TABLE lot DROP COLUMN stay_limit_hours"))
    else:
        op.drop_constraint("ck_lot_stay_limit_hours", "lot")
        op.drop_column("lot", "stay_limit_hours")
    _change_kinds(AFTER, BEFORE)
