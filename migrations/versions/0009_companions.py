"""Companions: a code of their own on a driver's account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Bytes, Instant, Uuid
from parking.store.migrations import grant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "companion",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("companion_id", Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("joined_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.CheckConstraint("ends_at > made_at", name=op.f("ck_companion_ends_at")),
        sa.PrimaryKeyConstraint("driver_id", "companion_id", name=op.f("pk_companion")),
        info={"dist": "driver_id", "group": "driver", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "companion_invitation",
        sa.Column("code_hash", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("companion_id", Uuid(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("used_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_companion_invitation")),
        info={"dist": "code_hash", "group": "companion_invitation", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "companion_login",
        sa.Column("token_hash", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("companion_id", Uuid(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_companion_login")),
        info={"dist": "token_hash", "group": "login", "append_only": False},
        sqlite_strict=True,
    )
    for table in ("companion", "companion_invitation", "companion_login"):
        grant(op.get_bind(), table, append_only=False)
    op.add_column("credential", sa.Column("companion_id", Uuid(), nullable=True))


def downgrade() -> None:
    # Without the column a companion's phone would be the driver's own.
    op.execute("UPDATE credential SET revoked_at = issued_at WHERE companion_id IS NOT NULL AND revoked_at IS NULL")
    op.drop_column("credential", "companion_id")
    op.drop_table("companion_login")
    op.drop_table("companion_invitation")
    op.drop_table("companion")
