"""Merchants validate visits: who may, at which desks, what they gave, coupons, and what it took off charges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0028"
down_revision = "0027"

TABLES = ("merchant", "merchant_desk", "merchant_month", "merchant_payment", "validation", "sponsorship",
          "coupon_sheet", "coupon")
APPEND_ONLY = ("merchant_payment", "sponsorship", "coupon_sheet")


def upgrade() -> None:
    op.add_column("parking_session", sa.Column("validations", Json(), server_default="[]", nullable=False))
    _create_merchants()
    _create_desks()
    _create_months()
    _create_payments()
    _create_validations()
    _create_sponsorships()
    _create_coupons()
    for table in TABLES:
        grant(op.get_bind(), table, append_only=table in APPEND_ONLY)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("parking_session", "validations")


def _create_merchants() -> None:
    op.create_table(
        "merchant",
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("minutes_each", sa.Integer(), nullable=False),
        sa.Column("fen_each", Fen(), nullable=False),
        sa.Column("per_visit", sa.Integer(), nullable=False),
        sa.Column("minutes_per_month", sa.Integer(), nullable=True),
        sa.Column("fen_per_month", Fen(), nullable=True),
        sa.Column("from_at", Instant(), nullable=False),
        sa.Column("until_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("created_by", Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_merchant_name")),
        sa.CheckConstraint("minutes_each >= 0 AND fen_each >= 0 AND minutes_each + fen_each > 0",
                           name=op.f("ck_merchant_each")),
        sa.CheckConstraint("per_visit >= 1", name=op.f("ck_merchant_per_visit")),
        sa.CheckConstraint("minutes_per_month >= 0 AND fen_per_month >= 0", name=op.f("ck_merchant_per_month")),
        sa.CheckConstraint("until_at > from_at", name=op.f("ck_merchant_period")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_merchant_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_merchant_operator")),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_merchant")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_merchant_operator", "merchant", ["operator_id", "lot_id"], unique=False)


def _create_desks() -> None:
    op.create_table(
        "merchant_desk",
        sa.Column("desk_id", Uuid(), nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code_hash", Bytes(), nullable=False),
        sa.Column("code_until", Instant(), nullable=False),
        sa.Column("token_hash", Bytes(), nullable=True),
        sa.Column("made_by", Uuid(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("paired_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_merchant_desk_name")),
        sa.CheckConstraint("(token_hash IS NULL) = (paired_at IS NULL)", name=op.f("ck_merchant_desk_paired_at")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"], name=op.f("fk_merchant_desk_merchant")),
        sa.PrimaryKeyConstraint("desk_id", name=op.f("pk_merchant_desk")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("uq_merchant_desk_code", "merchant_desk", ["code_hash"], unique=True)
    op.create_index("uq_merchant_desk_token", "merchant_desk", ["token_hash"], unique=True)
    standing = sa.text("revoked_at IS NULL")
    op.create_index("ix_merchant_desk_merchant", "merchant_desk", ["merchant_id"], unique=False,
                    sqlite_where=standing, postgresql_where=standing)


def _create_months() -> None:
    op.create_table(
        "merchant_month",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("minutes", Fen(), nullable=False),
        sa.Column("fen", Fen(), nullable=False),
        sa.CheckConstraint("minutes >= 0 AND fen >= 0", name=op.f("ck_merchant_month_given")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_merchant_month_lot")),
        sa.PrimaryKeyConstraint("lot_id", "merchant_id", "month", name=op.f("pk_merchant_month")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )


def _create_payments() -> None:
    op.create_table(
        "merchant_payment",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("recorded_by", Uuid(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_merchant_payment_amount_fen")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_merchant_payment_lot")),
        *_of_merchant("merchant_payment"),
        sa.PrimaryKeyConstraint("lot_id", "payment_id", name=op.f("pk_merchant_payment")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_merchant_payment_merchant", "merchant_payment", ["lot_id", "merchant_id", "recorded_at"],
                    unique=False)


def _create_validations() -> None:
    op.create_table(
        "validation",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("validation_id", Uuid(), nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("fen", Fen(), nullable=False),
        sa.Column("said_hash", Bytes(), nullable=False),
        sa.Column("desk_id", Uuid(), nullable=True),
        sa.Column("sheet_id", Uuid(), nullable=True),
        sa.Column("coupon_number", sa.Integer(), nullable=True),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("given_at", Instant(), nullable=False),
        sa.Column("taken_back_at", Instant(), nullable=True),
        sa.CheckConstraint("minutes >= 0 AND fen >= 0 AND minutes + fen > 0", name=op.f("ck_validation_given")),
        sa.CheckConstraint("(sheet_id IS NULL) = (coupon_number IS NULL)", name=op.f("ck_validation_coupon")),
        sa.CheckConstraint("(desk_id IS NULL) <> (sheet_id IS NULL)", name=op.f("ck_validation_way")),
        *_of_merchant("validation"),
        sa.ForeignKeyConstraint(
            ["lot_id", "parking_session_id"], ["parking_session.lot_id", "parking_session.parking_session_id"],
            name=op.f("fk_validation_parking_session")),
        sa.PrimaryKeyConstraint("lot_id", "validation_id", name=op.f("pk_validation")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_validation_parking_session", "validation", ["lot_id", "parking_session_id"], unique=False)
    op.create_index("ix_validation_merchant", "validation", ["lot_id", "merchant_id", "given_at"], unique=False)


def _create_sponsorships() -> None:
    op.create_table(
        "sponsorship",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sponsorship_id", Uuid(), nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("charge_id", Uuid(), nullable=False),
        sa.Column("validation_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("booked_at", Instant(), nullable=False),
        sa.CheckConstraint("kind IN ('sponsored', 'unsponsored')", name=op.f("ck_sponsorship_kind")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_sponsorship_amount_fen")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_sponsorship_lot")),
        *_of_merchant("sponsorship"),
        sa.PrimaryKeyConstraint("lot_id", "sponsorship_id", name=op.f("pk_sponsorship")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("uq_sponsorship_charge", "sponsorship", ["lot_id", "charge_id", "validation_id"], unique=True)
    op.create_index("ix_sponsorship_merchant", "sponsorship", ["lot_id", "merchant_id", "booked_at"], unique=False)


def _create_coupons() -> None:
    op.create_table(
        "coupon_sheet",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sheet_id", Uuid(), nullable=False),
        sa.Column("merchant_id", Uuid(), nullable=False),
        sa.Column("desk_id", Uuid(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("fen", Fen(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.CheckConstraint("minutes >= 0 AND fen >= 0 AND minutes + fen > 0", name=op.f("ck_coupon_sheet_given")),
        sa.CheckConstraint("count >= 1", name=op.f("ck_coupon_sheet_count")),
        sa.CheckConstraint("expires_at > made_at", name=op.f("ck_coupon_sheet_expires_at")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_coupon_sheet_lot")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"], name=op.f("fk_coupon_sheet_merchant")),
        sa.ForeignKeyConstraint(["desk_id"], ["merchant_desk.desk_id"], name=op.f("fk_coupon_sheet_merchant_desk")),
        sa.PrimaryKeyConstraint("lot_id", "sheet_id", name=op.f("pk_coupon_sheet")),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_coupon_sheet_merchant", "coupon_sheet", ["lot_id", "merchant_id", "made_at"], unique=False)
    op.create_table(
        "coupon",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sheet_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code_hash", Bytes(), nullable=False),
        sa.Column("validation_id", Uuid(), nullable=True),
        sa.Column("redeemed_at", Instant(), nullable=True),
        sa.CheckConstraint("(validation_id IS NULL) = (redeemed_at IS NULL)", name=op.f("ck_coupon_redeemed_at")),
        sa.ForeignKeyConstraint(["lot_id", "sheet_id"], ["coupon_sheet.lot_id", "coupon_sheet.sheet_id"],
                                name=op.f("fk_coupon_coupon_sheet")),
        sa.PrimaryKeyConstraint("lot_id", "sheet_id", "number", name=op.f("pk_coupon")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("uq_coupon_code", "coupon", ["lot_id", "code_hash"], unique=True)


def _of_merchant(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"], name=op.f(f"fk_{table}_merchant")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f(f"fk_{table}_operator")),
    )
