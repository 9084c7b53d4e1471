"""Keys of phones, codes on paper, their status list, and the newest showing of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from parking.store.columns import Bytes, Instant, Uuid, Wide
from parking.store.migrations import grant

revision = "0006"
down_revision = "0005"

REVOKED = "revoked_at IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("holder_key", Bytes(), nullable=True),
        sa.Column("status_index", Wide(), nullable=False),
        sa.Column("vehicle_key", Bytes(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("kid", sa.Integer(), nullable=False),
        sa.Column("issued_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("kind IN ('phone', 'printed')", name=op.f("ck_credential_kind")),
        sa.CheckConstraint("length(subject) = 16", name=op.f("ck_credential_subject")),
        sa.CheckConstraint("(kind = 'phone') = (holder_key IS NOT NULL)", name=op.f("ck_credential_holder_key")),
        sa.CheckConstraint("expires_at > issued_at", name=op.f("ck_credential_expires_at")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_credential")),
        info={"dist": "subject", "group": "code", "append_only": False},
        sqlite_strict=True,
    )
    op.create_index("ix_credential_driver", "credential", ["driver_id"], unique=False)
    op.create_index(
        "ix_credential_revoked", "credential", ["expires_at"], unique=False,
        sqlite_where=text(REVOKED), postgresql_where=text(REVOKED),
    )
    op.create_table(
        "status_index",
        sa.Column("status_index", Wide(), autoincrement=False, nullable=False),
        sa.Column("subject", Bytes(), nullable=False),
        sa.CheckConstraint("status_index BETWEEN 1 AND 4294967295", name=op.f("ck_status_index_status_index")),
        sa.PrimaryKeyConstraint("status_index", name=op.f("pk_status_index")),
        info={"dist": "status_index", "group": "status_index", "append_only": False},
        sqlite_strict=True,
    )
    op.create_table(
        "code_last_use",
        sa.Column("subject", Bytes(), nullable=False),
        sa.Column("shown_at", Instant(), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.CheckConstraint("counter BETWEEN 0 AND 255", name=op.f("ck_code_last_use_counter")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_code_last_use")),
        info={"dist": "subject", "group": "code", "append_only": False},
        sqlite_strict=True,
    )
    for table in ("credential", "status_index", "code_last_use"):
        grant(op.get_bind(), table, append_only=False)
    op.add_column("driver", sa.Column("challenged_at", Instant(), nullable=True))


def downgrade() -> None:
    op.drop_column("driver", "challenged_at")
    for table in ("code_last_use", "status_index", "credential"):
        op.drop_table(table)
