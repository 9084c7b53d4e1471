"""Who a citizen is, sign-ins that can be listed and revoked, and an operator's second factor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from parking.store.columns import Bytes, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0005"
down_revision = "0004"

STANDING = "revoked_at IS NULL"


def upgrade() -> None:
    op.create_table(
        "driver_identity",
        sa.Column("citizen_key", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("linked_by", sa.Text(), nullable=False),
        sa.Column("linked_at", Instant(), nullable=False),
        sa.CheckConstraint("length(citizen_key) = 32", name=op.f("ck_driver_identity_citizen_key")),
        sa.PrimaryKeyConstraint("citizen_key", name=op.f("pk_driver_identity")),
        info={"dist": "citizen_key", "group": "identity", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "driver_identity", append_only=False)
    op.add_column("account", sa.Column("totp_sealed", Bytes(), nullable=True))
    op.add_column("account", sa.Column("totp_used_step", Wide(), nullable=True))
    op.add_column("account", sa.Column("totp_failed_count", sa.Integer(), nullable=True))
    op.add_column("account", sa.Column("enrolment_hash", Bytes(), nullable=True))
    op.add_column("account", sa.Column("enrolment_until", Instant(), nullable=True))
    op.add_column("login", sa.Column("login_id", Uuid(), nullable=True))
    op.add_column("login", sa.Column("way", sa.Text(), nullable=True))
    op.add_column("login", sa.Column("device", sa.Text(), nullable=True))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    some_id = "randomblob(16)" if is_sqlite else "decode(replace(gen_random_uuid()::text, '-', ''), 'hex')"
    op.execute(text(f"UPDATE login SET login_id = {some_id}"))
    for name, column in (("ix_login_driver", "driver_id"), ("ix_login_staff", "staff_id")):
        op.create_index(
            name, "login", [column], unique=False, sqlite_where=text(STANDING), postgresql_where=text(STANDING))


def downgrade() -> None:
    for name in ("ix_login_driver", "ix_login_staff"):
        op.drop_index(name, table_name="login")
    for table, column in (
        ("login", "device"), ("login", "way"), ("login", "login_id"), ("account", "enrolment_until"),
        ("account", "enrolment_hash"), ("account", "totp_failed_count"), ("account", "totp_used_step"),
        ("account", "totp_sealed"),
    ):
        op.drop_column(table, column)
    op.drop_table("driver_identity")
