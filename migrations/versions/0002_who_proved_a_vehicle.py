"""A plate alone at an exit finds the driver who proved it, and entered by code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INDEX = "ix_driver_vehicle_proved"
PROVED = "status = 'proved' AND released_at IS NULL"


def upgrade() -> None:
    op.create_index(
        INDEX, "driver_vehicle", ["vehicle_key"], unique=False,
        sqlite_where=sa.text(PROVED), postgresql_where=sa.text(PROVED),
    )


def downgrade() -> None:
    op.drop_index(
        INDEX, table_name="driver_vehicle", sqlite_where=sa.text(PROVED), postgresql_where=sa.text(PROVED)
    )
