"""Payments and refunds at channels, and the ledger that they and the charges are posted to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from parking.store.columns import Bytes, Fen, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0003"
down_revision = "0002"

APPEND_ONLY = ("channel_event_set_aside", "channel_order", "channel_transaction", "ledger_transfer")
CHANGED = ("channel_account", "payment", "refund")
PAID_FEN = "paid_fen >= 0"


def upgrade() -> None:
    _create_tables()
    _add_what_was_paid()
    _post_what_was_charged()
    for table in APPEND_ONLY:
        grant(op.get_bind(), table, append_only=True)
    for table in CHANGED:
        grant(op.get_bind(), table, append_only=False)


def _create_tables() -> None:
    op.create_table(
        "channel_account",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("merchant_no", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.Column("secret_sealed", Bytes(), nullable=False),
        sa.Column("connected_at", Instant(), nullable=False),
        sa.Column("disconnected_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_channel_account_operator")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_channel_account")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index(
        "uq_channel_account_connected",
        "channel_account",
        ["operator_id", "channel"],
        unique=True,
        sqlite_where=text("disconnected_at IS NULL"),
        postgresql_where=text("disconnected_at IS NULL"),
    )
    op.create_table(
        "channel_event_set_aside",
        sa.Column("event_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_channel_event_set_aside")),
        info={"dist": "event_id", "group": "channel_event", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "channel_order",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("subject_id", Uuid(), nullable=False),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_channel_order_kind")),
        sa.CheckConstraint("length(order_no) BETWEEN 1 AND 32", name=op.f("ck_channel_order_order_no")),
        sa.PrimaryKeyConstraint("order_no", name=op.f("pk_channel_order")),
        info={"dist": "order_no", "group": "channel_order", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "channel_transaction",
        sa.Column("transaction_no", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("credited_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("transaction_no", "channel", name=op.f("pk_channel_transaction")),
        info={"dist": "transaction_no", "group": "channel_transaction", "append_only": True},
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_transfer",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("transfer_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("ref_id", Uuid(), nullable=False),
        sa.Column("posted_at", Instant(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('charge', 'credit', 'payment', 'refund', 'returned', 'kept', 'moved')",
            name=op.f("ck_ledger_transfer_kind"),
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_ledger_transfer_amount_fen")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_ledger_transfer_sides")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_ledger_transfer_lot")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_ledger_transfer_operator")),
        sa.PrimaryKeyConstraint("lot_id", "transfer_id", name=op.f("pk_ledger_transfer")),
        sa.UniqueConstraint("lot_id", "kind", "ref_id", name="uq_ledger_transfer_event"),
        info={"dist": "lot_id", "group": "lot", "append_only": True},
        sqlite_strict=True,
    )
    op.create_index("ix_ledger_transfer_credit", "ledger_transfer", ["lot_id", "credit"], unique=False)
    op.create_index("ix_ledger_transfer_debit", "ledger_transfer", ["lot_id", "debit"], unique=False)
    op.create_table(
        "payment",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quoted_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("transaction_no", sa.Text(), nullable=True),
        sa.Column("paid_at", Instant(), nullable=True),
        sa.Column("refunded_fen", Fen(), nullable=False),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name=op.f("ck_payment_paid_at")),
        sa.CheckConstraint("(state = 'paid') = (transaction_no IS NOT NULL)", name=op.f("ck_payment_transaction_no")),
        sa.CheckConstraint("state IN ('asked', 'paid', 'closed', 'disputed')", name=op.f("ck_payment_state")),
        sa.CheckConstraint("way IN ('qr', 'redirect')", name=op.f("ck_payment_way")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_payment_amount_fen")),
        sa.CheckConstraint("refunded_fen BETWEEN 0 AND amount_fen", name=op.f("ck_payment_refunded_fen")),
        sa.ForeignKeyConstraint(
            ["lot_id", "parking_session_id"],
            ["parking_session.lot_id", "parking_session.parking_session_id"],
            name=op.f("fk_payment_parking_session"),
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_payment_operator")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_account.account_id"], name=op.f("fk_payment_channel_account")
        ),
        sa.PrimaryKeyConstraint("lot_id", "payment_id", name=op.f("pk_payment")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_payment_parking_session", "payment", ["lot_id", "parking_session_id"], unique=False)
    op.create_index("ix_payment_account", "payment", ["account_id", "paid_at"], unique=False)
    op.create_index("ix_payment_order_no", "payment", ["order_no"], unique=False)
    op.create_table(
        "refund",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("refund_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("refund_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant(), nullable=True),
        sa.Column("channel_refund_no", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('asked', 'accepted', 'done', 'failed')", name=op.f("ck_refund_state")),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_amount_fen")),
        sa.ForeignKeyConstraint(
            ["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"], name=op.f("fk_refund_payment")
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_refund_operator")),
        sa.PrimaryKeyConstraint("lot_id", "refund_id", name=op.f("pk_refund")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_refund_payment", "refund", ["lot_id", "payment_id"], unique=False)
    op.create_index("ix_refund_accepted_at", "refund", ["operator_id", "accepted_at"], unique=False)


def _add_what_was_paid() -> None:
    """SQLite takes a CHECK with a new column alone, PostgreSQL afterwards too."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            text(
                "ALTER TABLE parking_session ADD COLUMN paid_fen INTEGER NOT NULL DEFAULT 0 "
                f"CONSTRAINT ck_parking_session_paid_fen CHECK ({PAID_FEN})"
            )
        )
    else:
        op.add_column("parking_session", sa.Column("paid_fen", Fen(), server_default="0", nullable=False))
        op.create_check_constraint(op.f("ck_parking_session_paid_fen"), "parking_session", PAID_FEN)
    op.add_column("parking_session", sa.Column("paid_until_at", Instant(), nullable=True))
    op.add_column("parking_session", sa.Column("leave_by_at", Instant(), nullable=True))


def _post_what_was_charged() -> None:
    """The ledger begins with every charge and credit that was sealed before there was one."""
    hexed = "lower(hex({}))" if op.get_bind().dialect.name == "sqlite" else "encode({}, 'hex')"
    session = "'receivable/' || " + hexed.format("parking_session_id")
    for kind, debit, credit in (("charge", session, "'payable/operator'"), ("credit", "'payable/operator'", session)):
        op.execute(
            text(
                "INSERT INTO ledger_transfer (lot_id, transfer_id, operator_id, kind, debit, credit, amount_fen, "
                "ref_id, posted_at) "
                f"SELECT lot_id, charge_id, operator_id, kind, {debit}, {credit}, total_fen, charge_id, sealed_at "
                f"FROM charge WHERE kind = '{kind}' AND total_fen > 0"
            )
        )


def downgrade() -> None:
    op.drop_column("parking_session", "leave_by_at")
    op.drop_column("parking_session", "paid_until_at")
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_parking_session_paid_fen", "parking_session")
    op.drop_column("parking_session", "paid_fen")
    op.drop_index("ix_refund_payment", table_name="refund")
    op.drop_table("refund")
    op.drop_index("ix_payment_parking_session", table_name="payment")
    op.drop_table("payment")
    op.drop_index("ix_ledger_transfer_debit", table_name="ledger_transfer")
    op.drop_index("ix_ledger_transfer_credit", table_name="ledger_transfer")
    op.drop_table("ledger_transfer")
    op.drop_table("channel_transaction")
    op.drop_table("channel_order")
    op.drop_table("channel_event_set_aside")
    op.drop_table("channel_account")
