"""Channels' fees as they were booked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0020"
down_revision = "0018"

ADDS_UP = "carried_before_raw + fee_raw = booked_fen * 1000 + carried_raw"


def upgrade() -> None:
    _create_fees()
    _create_fees_of_lots()


def _amounts() -> list[sa.Column[int]]:
    return [
        sa.Column("fee_raw", Wide(), nullable=False), sa.Column("carried_before_raw", Wide(), nullable=False),
        sa.Column("booked_fen", Fen(), nullable=False), sa.Column("carried_raw", Wide(), nullable=False),
    ]


def _create_fees() -> None:
    op.create_table(
        "channel_fee",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        *_amounts(),
        sa.Column("booked_at", Instant(), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_channel_fee_number")),
        sa.CheckConstraint(ADDS_UP, name=op.f("ck_channel_fee_adds_up")),
        sa.CheckConstraint("carried_before_raw BETWEEN 0 AND 999 AND carried_raw BETWEEN 0 AND 999",
                           name=op.f("ck_channel_fee_carried")),
        sa.ForeignKeyConstraint(["account_id"], ["channel_account.account_id"],
                                name=op.f("fk_channel_fee_channel_account")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_channel_fee_operator")),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("pk_channel_fee")),
        info={"dist": "account_id", "group": "statement", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("uq_channel_fee_import", "channel_fee", ["account_id", "import_id"], unique=True)
    op.create_index("uq_channel_fee_day", "channel_fee", ["account_id", "statement_date"], unique=True)
    op.create_index("ix_channel_fee_operator", "channel_fee", ["operator_id", "booked_at"], unique=False)
    grant(op.get_bind(), "channel_fee", append_only=True)


def _create_fees_of_lots() -> None:
    op.create_table(
        "channel_fee_lot",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("import_id", Uuid(), nullable=False),
        *_amounts(),
        sa.CheckConstraint(ADDS_UP, name=op.f("ck_channel_fee_lot_adds_up")),
        sa.CheckConstraint("carried_before_raw BETWEEN -999 AND 999 AND carried_raw BETWEEN -999 AND 999",
                           name=op.f("ck_channel_fee_lot_carried")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_channel_fee_lot_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_channel_fee_lot_operator")),
        sa.PrimaryKeyConstraint("lot_id", "account_id", "number", name=op.f("pk_channel_fee_lot")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_channel_fee_lot_account", "channel_fee_lot", ["account_id", "number"], unique=False)
    grant(op.get_bind(), "channel_fee_lot", append_only=True)


def downgrade() -> None:
    op.drop_table("channel_fee_lot")
    op.drop_table("channel_fee")
