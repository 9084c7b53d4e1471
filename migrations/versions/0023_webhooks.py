"""Integrators are told what happens: their endpoints, what each is told, and every attempt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Instant, Json, Uuid
from parking.store.migrations import grant

revision = "0023"
down_revision = "0022"

STANDING, WAITING = "removed_at IS NULL", "delivered_at IS NULL AND given_up_at IS NULL"


def upgrade() -> None:
    _create_endpoints()
    _create_deliveries()
    _create_attempts()


def downgrade() -> None:
    for table in ("webhook_attempt", "webhook_delivery", "webhook_endpoint"):
        op.drop_table(table)


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("endpoint_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", Json(), nullable=False),
        sa.Column("created_by", Uuid(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("secret_sealed", Bytes(), nullable=False),
        sa.Column("old_secret_sealed", Bytes(), nullable=True),
        sa.Column("old_secret_until", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("paused_until", Instant(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("disabled_at", Instant(), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.Column("removed_at", Instant(), nullable=True),
        sa.CheckConstraint("disabled_why IN ('by_hand', 'failing', 'gone')",
                           name=op.f("ck_webhook_endpoint_disabled_why")),
        sa.CheckConstraint("(disabled_at IS NULL) = (disabled_why IS NULL)",
                           name=op.f("ck_webhook_endpoint_disabled_at")),
        sa.CheckConstraint("(old_secret_sealed IS NULL) = (old_secret_until IS NULL)",
                           name=op.f("ck_webhook_endpoint_old_secret_until")),
        sa.CheckConstraint("(failing_since IS NULL) = (failures = 0)",
                           name=op.f("ck_webhook_endpoint_failing_since")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_webhook_endpoint_operator")),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoint")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    _index("ix_webhook_endpoint_operator", "webhook_endpoint", ["operator_id"], STANDING)
    grant(op.get_bind(), "webhook_endpoint", append_only=False)


def _create_deliveries() -> None:
    op.create_table(
        "webhook_delivery",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", Uuid(), nullable=False),
        sa.Column("endpoint_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.Column("given_up_at", Instant(), nullable=True),
        sa.Column("asked_by", Uuid(), nullable=True),
        sa.CheckConstraint("delivered_at IS NULL OR given_up_at IS NULL", name=op.f("ck_webhook_delivery_given_up_at")),
        sa.CheckConstraint("(failing_since IS NULL) = (failures = 0)",
                           name=op.f("ck_webhook_delivery_failing_since")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.lot_id"], name=op.f("fk_webhook_delivery_lot")),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoint.endpoint_id"],
                                name=op.f("fk_webhook_delivery_webhook_endpoint")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.operator_id"], name=op.f("fk_webhook_delivery_operator")),
        sa.PrimaryKeyConstraint("lot_id", "event_id", "endpoint_id", name=op.f("pk_webhook_delivery")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    _index("ix_webhook_delivery_waiting", "webhook_delivery", ["endpoint_id", "due_at", "event_id"], WAITING)
    op.create_index("ix_webhook_delivery_endpoint", "webhook_delivery", ["endpoint_id", "event_id"], unique=False)
    grant(op.get_bind(), "webhook_delivery", append_only=False)


def _create_attempts() -> None:
    delivery = ["lot_id", "event_id", "endpoint_id"]
    op.create_table(
        "webhook_attempt",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", Uuid(), nullable=False),
        sa.Column("endpoint_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("asked_by", Uuid(), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_webhook_attempt_number")),
        sa.ForeignKeyConstraint(delivery, [f"webhook_delivery.{each}" for each in delivery],
                                name=op.f("fk_webhook_attempt_webhook_delivery"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*delivery, "number", name=op.f("pk_webhook_attempt")),
        info={"dist": "lot_id", "group": "lot", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "webhook_attempt", append_only=False)


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
