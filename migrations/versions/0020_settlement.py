"""Channels' fees as they were booked, what operators are settled, and on what terms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Flag, Instant, Json, Uuid, Wide
from parking.store.migrations import grant

revision = "0020"
down_revision = "0019"

ADDS_UP = "carried_before_raw + fee_raw = booked_fen * 1000 + carried_raw"


def upgrade() -> None:
    _create_fees()
    _create_fees_of_lots()
    _add_terms()
    _create_settlements()
    _create_settled()


def _add_terms() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text(
            "ALTER TABLE operator ADD COLUMN commission_rate INTEGER NOT NULL DEFAULT '0' "
            "CONSTRAINT ck_operator_commission_rate CHECK (commission_rate BETWEEN 0 AND 10000)"))
    else:
        op.add_column("operator", sa.Column("commission_rate", sa.Integer(), server_default="0", nullable=False))
        op.create_check_constraint(
            op.f("ck_operator_commission_rate"), "operator", "commission_rate BETWEEN 0 AND 10000")
    op.add_column("operator", sa.Column("bank", Json(), nullable=True))


def _create_settlements() -> None:
    op.create_table(
        "settlement",
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("settlement_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_date", sa.Text(), nullable=False),
        sa.Column("last_date", sa.Text(), nullable=False),
        sa.Column("is_provisional", Flag(), nullable=False),
        sa.Column("net_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", Uuid(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("decided_by", Uuid(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_settlement_number")),
        sa.CheckConstraint("last_date >= first_date", name=op.f("ck_settlement_dates")),
        sa.CheckConstraint("is_provisional IN (0, 1)", name=op.f("ck_settlement_is_provisional")),
        sa.CheckConstraint("state IN ('waiting', 'closed', 'rejected')", name=op.f("ck_settlement_state")),
        sa.CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name=op.f("ck_settlement_decided_at")),
        sa.CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name=op.f("ck_settlement_decided_by")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_settlement_operator")),
        sa.PrimaryKeyConstraint("operator_id", "settlement_id", name=op.f("pk_settlement")),
        info={"dist": "operator_id", "group": "settlement", "append_only": False},
        sqlite_strict=True,
    )
    stands = sa.text("state <> 'rejected'")
    op.create_index("uq_settlement_number", "settlement", ["operator_id", "number"], unique=True,
                    sqlite_where=stands, postgresql_where=stands)
    op.create_index("ix_settlement_asked", "settlement", ["operator_id", "asked_at"], unique=False)
    grant(op.get_bind(), "settlement", append_only=False)


def _of_settlement(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["operator_id", "settlement_id"], ["settlement.operator_id", "settlement.settlement_id"],
        name=op.f(f"fk_{table}_settlement"))


def _create_settled() -> None:
    op.create_table(
        "settlement_body",
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("settlement_id", Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        _of_settlement("settlement_body"),
        sa.PrimaryKeyConstraint("operator_id", "settlement_id", name=op.f("pk_settlement_body")),
        info={"dist": "operator_id", "group": "settlement", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "settlement_day",
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("settlement_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("statement_date", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fee_number", sa.Integer(), nullable=False),
        sa.Column("lots", Json(), nullable=False),
        _of_settlement("settlement_day"),
        sa.PrimaryKeyConstraint("operator_id", "settlement_id", "account_id", "statement_date",
                                name=op.f("pk_settlement_day")),
        info={"dist": "operator_id", "group": "settlement", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_settlement_day_account", "settlement_day", ["operator_id", "account_id", "statement_date"],
                    unique=False)
    amounts = ("gross_fen", "refunded_fen", "fee_fen", "commission_fen", "net_fen")
    op.create_table(
        "settlement_lot",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settlement_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        *(sa.Column(name, Fen(), nullable=False) for name in amounts),
        sa.CheckConstraint("net_fen = gross_fen - refunded_fen - fee_fen - commission_fen",
                           name=op.f("ck_settlement_lot_net_fen")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_settlement_lot_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_settlement_lot_operator")),
        sa.PrimaryKeyConstraint("lot_id", "settlement_id", name=op.f("pk_settlement_lot")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    for table in ("settlement_body", "settlement_day", "settlement_lot"):
        grant(op.get_bind(), table, append_only=True)


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
    for table in ("settlement_lot", "settlement_day", "settlement_body", "settlement", "channel_fee_lot",
                  "channel_fee"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("ALTER TABLE operator DROP COLUMN bank"))
        op.execute(sa.text("ALTER TABLE operator DROP COLUMN commission_rate"))
        return
    op.drop_column("operator", "bank")
    op.drop_constraint("ck_operator_commission_rate", "operator")
    op.drop_column("operator", "commission_rate")
