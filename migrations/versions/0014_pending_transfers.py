"""Transfers that are pending first, what each lasting account stands at, and what the nightly proof found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Instant, Json, Uuid, Wide
from parking.store.migrations import grant

revision = "0014"
down_revision = "0013"

TABLE = "ledger_transfer"
CHECKS = {
    "phase": "phase IN ('posted', 'pending', 'post', 'void', 'expire')",
    "pending_id": "(phase IN ('post', 'void', 'expire')) = (pending_id IS NOT NULL)",
    "expires_at": "(phase = 'pending') = (expires_at IS NOT NULL)",
}
KINDS = "kind IN ('charge', 'credit', 'payment', 'refund', 'returned', 'kept', 'moved')"
KEPT = "lot_id, transfer_id, operator_id, kind, debit, credit, amount_fen, ref_id, posted_at"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(with_phase=True)
    else:
        op.drop_constraint("uq_ledger_transfer_event", TABLE)
        op.drop_constraint("ck_ledger_transfer_kind", TABLE)
        op.add_column(TABLE, sa.Column("phase", sa.Text(), server_default="posted", nullable=False))
        op.add_column(TABLE, sa.Column("pending_id", Uuid(), nullable=True))
        op.add_column(TABLE, sa.Column("expires_at", Instant(), nullable=True))
        for name, check in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, check)
    for name, column, where in (
        ("counted", ["kind", "ref_id"], "phase IN ('posted', 'post')"),
        ("pending", ["kind", "ref_id"], "phase = 'pending'"), ("end", ["pending_id"], "pending_id IS NOT NULL"),
    ):
        op.create_index(f"uq_{TABLE}_{name}", TABLE, ["lot_id", *column], unique=True,
                        sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    _create_balances()
    _create_proofs()


def _make_anew(*, with_phase: bool) -> None:
    """SQLite changes no constraint of a table that is there: the rows go into another one of its name."""
    op.execute(sa.text(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_before"))
    for side in ("debit", "credit"):
        op.drop_index(f"ix_{TABLE}_{side}", table_name=f"{TABLE}_before")
    added = [
        sa.Column("phase", sa.Text(), server_default="posted", nullable=False),
        sa.Column("pending_id", Uuid(), nullable=True), sa.Column("expires_at", Instant(), nullable=True),
        *(sa.CheckConstraint(check, name=op.f(f"ck_{TABLE}_{name}")) for name, check in CHECKS.items()),
    ] if with_phase else [
        sa.CheckConstraint(KINDS, name=op.f(f"ck_{TABLE}_kind")),
        sa.UniqueConstraint("lot_id", "kind", "ref_id", name="uq_ledger_transfer_event"),
    ]
    op.create_table(
        TABLE,
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("transfer_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("ref_id", Uuid(), nullable=False),
        sa.Column("posted_at", Instant(), nullable=False),
        *added,
        sa.CheckConstraint("amount_fen > 0", name=op.f(f"ck_{TABLE}_amount_fen")),
        sa.CheckConstraint("debit <> credit", name=op.f(f"ck_{TABLE}_sides")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f(f"fk_{TABLE}_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f(f"fk_{TABLE}_operator")),
        sa.PrimaryKeyConstraint("lot_id", "transfer_id", name=op.f(f"pk_{TABLE}")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.execute(sa.text(f"INSERT INTO {TABLE} ({KEPT}) SELECT {KEPT} FROM {TABLE}_before"))
    op.drop_table(f"{TABLE}_before")
    for side in ("debit", "credit"):
        op.create_index(f"ix_{TABLE}_{side}", TABLE, ["lot_id", side], unique=False)
    grant(op.get_bind(), TABLE, append_only=True)


def _create_balances() -> None:
    sums = ("debit_fen", "credit_fen", "pending_debit_fen", "pending_credit_fen")
    op.create_table(
        "ledger_balance",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        *(sa.Column(name, Fen(), nullable=False) for name in sums),
        sa.CheckConstraint("debit_fen >= 0 AND credit_fen >= 0", name=op.f("ck_ledger_balance_sums")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_ledger_balance_lot")),
        sa.PrimaryKeyConstraint("lot_id", "account", name=op.f("pk_ledger_balance")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.execute(sa.text(
        f"INSERT INTO ledger_balance (lot_id, account, {', '.join(sums)}) "
        "SELECT lot_id, account, sum(debit), sum(credit), 0, 0 FROM ("
        f"SELECT lot_id, debit AS account, amount_fen AS debit, 0 AS credit FROM {TABLE} "
        f"UNION ALL SELECT lot_id, credit, 0, amount_fen FROM {TABLE}) AS side "
        "WHERE account NOT LIKE 'receivable/%' GROUP BY lot_id, account"))
    grant(op.get_bind(), "ledger_balance", append_only=False)


def _create_proofs() -> None:
    op.create_table(
        "ledger_proof",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proved_at", Instant(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("transfer_count", Wide(), nullable=False),
        sa.Column("charge_count", Wide(), nullable=False),
        sa.Column("differences", Json(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_ledger_proof_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_ledger_proof_operator")),
        sa.PrimaryKeyConstraint("lot_id", "proved_at", name=op.f("pk_ledger_proof")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_ledger_proof_operator", "ledger_proof", ["operator_id", "proved_at"], unique=False)
    grant(op.get_bind(), "ledger_proof", append_only=True)


def downgrade() -> None:
    """Refused by the keys of old where an event has more than its one row."""
    op.drop_index("ix_ledger_proof_operator", table_name="ledger_proof")
    op.drop_table("ledger_proof")
    op.drop_table("ledger_balance")
    for name in ("counted", "pending", "end"):
        op.drop_index(f"uq_{TABLE}_{name}", table_name=TABLE)
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(with_phase=False)
        return
    for name in CHECKS:
        op.drop_constraint(f"ck_{TABLE}_{name}", TABLE)
    for name in ("phase", "pending_id", "expires_at"):
        op.drop_column(TABLE, name)
    op.create_check_constraint(op.f(f"ck_{TABLE}_kind"), TABLE, KINDS)
    op.create_unique_constraint("uq_ledger_transfer_event", TABLE, ["lot_id", "kind", "ref_id"])
