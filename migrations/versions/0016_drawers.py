"""Drawers of booths, their shifts and counts, and the cash that moved; a payment may be made at a booth."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0016"
down_revision = "0015"

BEFORE, AFTER = "way IN ('qr', 'redirect')", "way IN ('qr', 'redirect', 'booth')"
ASKED, OPEN, HANDED_IN = "state = 'asked'", "closed_at IS NULL", "deposit_fen > 0 AND taken_at IS NULL"
_LOT_AND_SHIFT = ["lot_id", "shift_id"]


def upgrade() -> None:
    _change_ways(BEFORE, AFTER)
    op.create_index("ix_refund_asked", "refund", ["lot_id", "asked_at"], sqlite_where=sa.text(ASKED),
                    postgresql_where=sa.text(ASKED))
    _create_drawers()
    _create_shifts()
    _create_counts()
    _create_movements()


def _change_ways(before: str, after: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_payment_way", "payment")
        op.create_check_constraint(op.f("ck_payment_way"), "payment", after)
        return
    # SQLite changes no constraint of a table that is there: payments, and the refunds that refer to them, go into
    # other tables of their names.
    made = op.get_bind().execute(sa.text(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name IN ('payment', 'refund') "
        "AND sql IS NOT NULL")).all()
    tables = {each.name: each.sql for each in made if each.type == "table"}
    assert before in tables["payment"]
    for name in ("refund", "payment"):
        op.execute(sa.text(f"ALTER TABLE {name} RENAME TO {name}_before"))
    for each in made:
        if each.type == "index":
            op.execute(sa.text(f"DROP INDEX {each.name}"))
    for name in ("payment", "refund"):
        op.execute(sa.text(tables[name].replace(before, after)))
        op.execute(sa.text(f"INSERT INTO {name} SELECT * FROM {name}_before"))
    for name in ("refund", "payment"):
        op.execute(sa.text(f"DROP TABLE {name}_before"))
    for each in made:
        if each.type == "index":
            op.execute(sa.text(each.sql))


def _of_lot(name: str, *parts: Any, append_only: bool) -> None:
    op.create_table(
        name, sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False), *parts,
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f(f"fk_{name}_operator")),
        info={"dist": "lot_id", "group": "lot", "append_only": append_only},
        sqlite_strict=True,
    )
    grant(op.get_bind(), name, append_only=append_only)


def _check(table: str, name: str, says: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(says, name=op.f(f"ck_{table}_{name}"))


def _staff(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["staff_id"], ["staff.staff_id"], name=op.f(f"fk_{table}_staff"))


def _shift(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        _LOT_AND_SHIFT, ["drawer_shift.lot_id", "drawer_shift.shift_id"], name=op.f(f"fk_{table}_drawer_shift"))


def _create_drawers() -> None:
    _of_lot(
        "drawer",
        sa.Column("drawer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        _check("drawer", "drawer_id", "drawer_id BETWEEN 1 AND 999"),
        _check("drawer", "name", "length(name) BETWEEN 1 AND 100"),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_drawer_lot")),
        sa.PrimaryKeyConstraint("lot_id", "drawer_id", name=op.f("pk_drawer")),
        append_only=False)


def _create_shifts() -> None:
    _of_lot(
        "drawer_shift",
        sa.Column("shift_id", Uuid(), nullable=False),
        sa.Column("drawer_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("staff_id", Uuid(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("brought_fen", Fen(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("closed_by", Uuid(), nullable=True),
        sa.Column("deposit_fen", Fen(), nullable=True),
        sa.Column("taken_at", Instant(), nullable=True),
        sa.Column("taken_by", Uuid(), nullable=True),
        _check("drawer_shift", "brought_fen", "brought_fen >= 0"),
        _check("drawer_shift", "deposit_fen", "deposit_fen >= 0"),
        _check("drawer_shift", "closed",
               "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (deposit_fen IS NULL)"),
        _check("drawer_shift", "taken_at", "taken_at IS NULL OR closed_at IS NOT NULL"),
        _check("drawer_shift", "taken_by",
               "taken_by IS NULL OR (taken_at IS NOT NULL AND taken_by <> staff_id AND taken_by <> closed_by)"),
        sa.ForeignKeyConstraint(["lot_id", "drawer_id"], ["drawer.lot_id", "drawer.drawer_id"],
                                name=op.f("fk_drawer_shift_drawer")),
        _staff("drawer_shift"),
        sa.PrimaryKeyConstraint(*_LOT_AND_SHIFT, name=op.f("pk_drawer_shift")),
        append_only=False)
    op.create_index("uq_drawer_shift_open", "drawer_shift", ["lot_id", "drawer_id"], unique=True,
                    sqlite_where=sa.text(OPEN), postgresql_where=sa.text(OPEN))
    op.create_index("uq_drawer_shift_number", "drawer_shift", ["lot_id", "drawer_id", "number"], unique=True)
    op.create_index("ix_drawer_shift_handed_in", "drawer_shift", ["operator_id", "closed_at"], unique=False,
                    sqlite_where=sa.text(HANDED_IN), postgresql_where=sa.text(HANDED_IN))


def _create_counts() -> None:
    _of_lot(
        "drawer_count",
        sa.Column("shift_id", Uuid(), nullable=False),
        sa.Column("moment", sa.Text(), nullable=False),
        sa.Column("count_id", Uuid(), nullable=False),
        sa.Column("staff_id", Uuid(), nullable=False),
        sa.Column("expected_fen", Fen(), nullable=False),
        sa.Column("counted_fen", Fen(), nullable=False),
        sa.Column("pieces", Json(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("counted_at", Instant(), nullable=False),
        _check("drawer_count", "moment", "moment IN ('opening', 'closing')"),
        _check("drawer_count", "counted_fen", "counted_fen >= 0"),
        _check("drawer_count", "expected_fen", "expected_fen >= 0"),
        _check("drawer_count", "why", "(counted_fen = expected_fen) = (why IS NULL)"),
        _shift("drawer_count"),
        _staff("drawer_count"),
        sa.PrimaryKeyConstraint(*_LOT_AND_SHIFT, "moment", name=op.f("pk_drawer_count")),
        append_only=True)


def _create_movements() -> None:
    _of_lot(
        "drawer_movement",
        sa.Column("movement_id", Uuid(), nullable=False),
        sa.Column("shift_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("given_fen", Fen(), nullable=True),
        sa.Column("staff_id", Uuid(), nullable=False),
        sa.Column("moved_at", Instant(), nullable=False),
        _check("drawer_movement", "kind", "kind IN ('payment', 'payout')"),
        _check("drawer_movement", "amount_fen", "amount_fen > 0"),
        _check("drawer_movement", "given", "(kind = 'payment') = (given_fen IS NOT NULL)"),
        _check("drawer_movement", "given_fen", "given_fen >= amount_fen"),
        _shift("drawer_movement"),
        _staff("drawer_movement"),
        sa.PrimaryKeyConstraint("lot_id", "movement_id", name=op.f("pk_drawer_movement")),
        append_only=True)
    op.create_index("ix_drawer_movement_shift", "drawer_movement", ["lot_id", "shift_id", "moved_at"], unique=False)


def downgrade() -> None:
    """Refused by the way of old where a payment was made at a booth."""
    for table in ("drawer_movement", "drawer_count", "drawer_shift", "drawer"):
        op.drop_table(table)
    op.drop_index("ix_refund_asked", table_name="refund")
    _change_ways(AFTER, BEFORE)
