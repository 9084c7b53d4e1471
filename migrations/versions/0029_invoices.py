"""Invoices: whom they are made out to, who issues them, what they say, and whose money is on which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Fen, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    _create_invoice_account()
    _create_lot_invoicing()
    _create_invoice_title()
    _create_invoice_request()
    _create_invoice()
    _create_invoice_line()
    _create_invoice_document()
    _create_invoice_claim()


def downgrade() -> None:
    for table in (
        "invoice_claim",
        "invoice_document",
        "invoice_line",
        "invoice",
        "invoice_request",
        "invoice_title",
        "lot_invoicing",
        "invoice_account",
    ):
        op.drop_table(table)


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool) -> None:
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _create_invoice_account() -> None:
    op.create_table(
        "invoice_account",
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seller_name", sa.Text(), nullable=False),
        sa.Column("taxpayer_id", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.Column("secret_sealed", Bytes(), nullable=False),
        sa.Column("connected_at", Instant(), nullable=False),
        sa.Column("disconnected_at", Instant(), nullable=True),
        sa.CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name=op.f("ck_invoice_account_kind")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"],
                                name=op.f("fk_invoice_account_operator")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_invoice_account")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    _index("uq_invoice_account_connected", "invoice_account", ["operator_id", "kind"], "disconnected_at IS NULL", unique=True)
    grant(op.get_bind(), "invoice_account", append_only=False)


def _create_lot_invoicing() -> None:
    op.create_table(
        "lot_invoicing",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("free_reason", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("changed_by", Uuid(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name=op.f("ck_lot_invoicing_kind")),
        sa.CheckConstraint("kind = 'vat_invoice' OR rate = 0", name=op.f("ck_lot_invoicing_no_tax")),
        sa.CheckConstraint("rate IN (0, 500, 900)", name=op.f("ck_lot_invoicing_rate")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"],
                                name=op.f("fk_lot_invoicing_operator")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"],
                                name=op.f("fk_lot_invoicing_lot")),
        sa.PrimaryKeyConstraint("lot_id", name=op.f("pk_lot_invoicing")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "lot_invoicing", append_only=False)


def _create_invoice_title() -> None:
    op.create_table(
        "invoice_title",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("title_id", Uuid(), nullable=False),
        sa.Column("title_sealed", Bytes(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["driver_id"], ["driver.driver_id"],
                                name=op.f("fk_invoice_title_driver")),
        sa.PrimaryKeyConstraint("driver_id", "title_id", name=op.f("pk_invoice_title")),
        info={"dist": "driver_id", "group": "driver", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "invoice_title", append_only=False)


def _create_invoice_request() -> None:
    op.create_table(
        "invoice_request",
        sa.Column("request_id", Uuid(), nullable=False),
        sa.Column("asked_hash", Bytes(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_invoice_request")),
        info={"dist": "request_id", "group": "invoice_request", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "invoice_request", append_only=True)


def _create_invoice() -> None:
    op.create_table(
        "invoice",
        sa.Column("invoice_id", Uuid(), nullable=False),
        sa.Column("request_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        sa.Column("red_of", Uuid(), nullable=True),
        sa.Column("after_id", Uuid(), nullable=True),
        sa.Column("buyer_id", Uuid(), nullable=False),
        sa.Column("buyer_sealed", Bytes(), nullable=False),
        sa.Column("gross_fen", Fen(), nullable=False),
        sa.Column("net_fen", Fen(), nullable=False),
        sa.Column("tax_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("issued_at", Instant(), nullable=True),
        sa.Column("formats", Json(), nullable=False),
        sa.Column("refused_why", sa.Text(), nullable=True),
        sa.CheckConstraint("gross_fen = net_fen + tax_fen", name=op.f("ck_invoice_adds_up")),
        sa.CheckConstraint("gross_fen > 0 AND tax_fen >= 0 AND net_fen >= 0", name=op.f("ck_invoice_amounts")),
        sa.CheckConstraint("color IN ('blue', 'red')", name=op.f("ck_invoice_color")),
        sa.CheckConstraint("kind IN ('vat_invoice', 'non_tax_receipt')", name=op.f("ck_invoice_kind")),
        sa.CheckConstraint("(state = 'issued') = (number IS NOT NULL)", name=op.f("ck_invoice_number")),
        sa.CheckConstraint("(color = 'red') = (red_of IS NOT NULL)", name=op.f("ck_invoice_red_of")),
        sa.CheckConstraint("(state = 'refused') = (refused_why IS NOT NULL)", name=op.f("ck_invoice_refused_why")),
        sa.CheckConstraint("state IN ('asked', 'issued', 'refused')", name=op.f("ck_invoice_state")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"],
                                name=op.f("fk_invoice_operator")),
        sa.ForeignKeyConstraint(["account_id"], ["invoice_account.account_id"],
                                name=op.f("fk_invoice_invoice_account")),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoice")),
        info={"dist": "invoice_id", "group": "invoice", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_invoice_driver", "invoice", ["driver_id", "asked_at"], unique=False)
    op.create_index("ix_invoice_operator", "invoice", ["operator_id", "asked_at"], unique=False)
    op.create_index("ix_invoice_red_of", "invoice", ["red_of"], unique=False)
    _index("ix_invoice_refused", "invoice", ["operator_id"], "state = 'refused'", unique=False)
    op.create_index("ix_invoice_request", "invoice", ["request_id"], unique=False)
    grant(op.get_bind(), "invoice", append_only=False)


def _create_invoice_line() -> None:
    op.create_table(
        "invoice_line",
        sa.Column("invoice_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("parking_session_id", Uuid(), nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("gross_fen", Fen(), nullable=False),
        sa.Column("net_fen", Fen(), nullable=False),
        sa.Column("tax_fen", Fen(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("free_reason", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("left_at", Instant(), nullable=False),
        sa.CheckConstraint("gross_fen = net_fen + tax_fen", name=op.f("ck_invoice_line_adds_up")),
        sa.CheckConstraint("gross_fen > 0 AND tax_fen >= 0 AND net_fen >= 0", name=op.f("ck_invoice_line_amounts")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.invoice_id"],
                                name=op.f("fk_invoice_line_invoice")),
        sa.PrimaryKeyConstraint("invoice_id", "number", name=op.f("pk_invoice_line")),
        info={"dist": "invoice_id", "group": "invoice", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "invoice_line", append_only=True)


def _create_invoice_document() -> None:
    op.create_table(
        "invoice_document",
        sa.Column("invoice_id", Uuid(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("body", Bytes(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=False),
        sa.CheckConstraint("form IN ('pdf', 'ofd', 'xml')", name=op.f("ck_invoice_document_form")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.invoice_id"],
                                name=op.f("fk_invoice_document_invoice")),
        sa.PrimaryKeyConstraint("invoice_id", "form", name=op.f("pk_invoice_document")),
        info={"dist": "invoice_id", "group": "invoice", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "invoice_document", append_only=True)


def _create_invoice_claim() -> None:
    op.create_table(
        "invoice_claim",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payment_id", Uuid(), nullable=False),
        sa.Column("invoice_id", Uuid(), nullable=False),
        sa.Column("gross_fen", Fen(), nullable=False),
        sa.Column("red_fen", Fen(), server_default="0", nullable=False),
        sa.Column("claimed_at", Instant(), nullable=False),
        sa.Column("released_at", Instant(), nullable=True),
        sa.CheckConstraint("gross_fen > 0", name=op.f("ck_invoice_claim_gross_fen")),
        sa.CheckConstraint("red_fen BETWEEN 0 AND gross_fen", name=op.f("ck_invoice_claim_red_fen")),
        sa.ForeignKeyConstraint(["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"],
                                name=op.f("fk_invoice_claim_payment")),
        sa.PrimaryKeyConstraint("lot_id", "payment_id", "invoice_id", name=op.f("pk_invoice_claim")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_invoice_claim_invoice", "invoice_claim", ["invoice_id"], unique=False)
    _index("uq_invoice_claim_live", "invoice_claim", ["lot_id", "payment_id"], "released_at IS NULL", unique=True)
    grant(op.get_bind(), "invoice_claim", append_only=False)
