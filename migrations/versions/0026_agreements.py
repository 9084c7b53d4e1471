"""Fees are deducted after the vehicle has left: agreements, stays told to a channel, deductions, and the credit taken."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Uuid
from parking.store.migrations import grant

revision = "0026"
down_revision = "0025"

BEFORE, AFTER = "way IN ('qr', 'redirect', 'booth', 'wallet')", "way IN ('qr', 'redirect', 'booth', 'wallet', 'auto')"


def upgrade() -> None:
    _change_ways(BEFORE, AFTER)
    _create_agreements()
    _create_stays()
    _create_deductions()
    _create_credit()


def downgrade() -> None:
    for table in ("credit_taken", "deduction", "channel_stay", "auto_pay_agreement"):
        op.drop_table(table)
    _change_ways(AFTER, BEFORE)


def _change_ways(before: str, after: str) -> None:
    """As 0016 did: SQLite changes no constraint of a table that is there, so its rows go into another of its name."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        op.drop_constraint("ck_payment_way", "payment")
        op.create_check_constraint(op.f("ck_payment_way"), "payment", after)
        return
    made = bind.execute(sa.text(
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


def _create_agreements() -> None:
    op.create_table(
        "auto_pay_agreement",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("agreement_id", Uuid(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("means", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ceiling_fen", Fen(), nullable=False),
        sa.Column("channel_no", sa.Text(), nullable=True),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("signed_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.Column("refused_at", Instant(), nullable=True),
        sa.Column("refused_why", sa.Text(), nullable=True),
        _check("auto_pay_agreement", "state", "state IN ('asked', 'active', 'ended')"),
        _check("auto_pay_agreement", "ceiling_fen", "ceiling_fen BETWEEN 1 AND 50000"),
        _check("auto_pay_agreement", "ended_at", "(state = 'ended') = (ended_at IS NOT NULL)"),
        _check("auto_pay_agreement", "refused_at", "(refused_at IS NULL) = (refused_why IS NULL)"),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"],
                                name=op.f("fk_auto_pay_agreement_operator")),
        sa.ForeignKeyConstraint(["account_id"], ["channel_account.account_id"],
                                name=op.f("fk_auto_pay_agreement_channel_account")),
        sa.PrimaryKeyConstraint("vehicle_key", "agreement_id", name=op.f("pk_auto_pay_agreement")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    standing = sa.text("state <> 'ended'")
    op.create_index(
        "uq_auto_pay_agreement_standing", "auto_pay_agreement", ["vehicle_key", "driver_id", "account_id"],
        unique=True, sqlite_where=standing, postgresql_where=standing)
    op.create_index("ix_auto_pay_agreement_driver", "auto_pay_agreement", ["driver_id", "asked_at"], unique=False)
    op.create_index("ix_auto_pay_agreement_id", "auto_pay_agreement", ["agreement_id"], unique=False)
    grant(op.get_bind(), "auto_pay_agreement", append_only=False)


def _create_stays() -> None:
    op.create_table(
        "channel_stay",
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("stay_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("channel_no", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("said_at", Instant(), nullable=True),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        _check("channel_stay", "state", "state IN ('asked', 'normal', 'blocked')"),
        sa.ForeignKeyConstraint(["account_id"], ["channel_account.account_id"],
                                name=op.f("fk_channel_stay_channel_account")),
        sa.PrimaryKeyConstraint("vehicle_key", "stay_id", name=op.f("pk_channel_stay")),
        info={"dist": "vehicle_key", "group": "vehicle", "append_only": False},
        sqlite_strict=True,
    )
    goes_on = sa.text("ended_at IS NULL")
    op.create_index("uq_channel_stay_goes_on", "channel_stay", ["vehicle_key", "account_id"], unique=True,
                    sqlite_where=goes_on, postgresql_where=goes_on)
    op.create_index("ix_channel_stay_id", "channel_stay", ["stay_id"], unique=False)
    grant(op.get_bind(), "channel_stay", append_only=False)


def _create_deductions() -> None:
    op.create_table(
        "deduction",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("agreement_id", Uuid(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("refused_why", sa.Text(), nullable=True),
        _check("deduction", "tries", "tries >= 0"),
        sa.ForeignKeyConstraint(["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"],
                                name=op.f("fk_deduction_payment")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_deduction_operator")),
        sa.PrimaryKeyConstraint("lot_id", "payment_id", name=op.f("pk_deduction")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_deduction_driver", "deduction", ["driver_id", "asked_at"], unique=False)
    grant(op.get_bind(), "deduction", append_only=False)


def _create_credit() -> None:
    op.create_table(
        "credit_taken",
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("taken_at", Instant(), nullable=False),
        _check("credit_taken", "subject", "length(subject) = 16"),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_credit_taken")),
        info={"dist": "subject", "group": "credit_taken", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "credit_taken", append_only=False)


def _check(table: str, name: str, says: str) -> Any:
    return sa.CheckConstraint(says, name=op.f(f"ck_{table}_{name}"))
