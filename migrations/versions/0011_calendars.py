"""Calendars of holidays and make-up working days, and the kind of each vehicle's plate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Flag, Instant, Json
from parking.store.migrations import grant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "calendar_year",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("is_confirmed", Flag(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.CheckConstraint("is_confirmed IN (0, 1)", name=op.f("ck_calendar_year_is_confirmed")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_calendar_year_revision")),
        sa.CheckConstraint("year BETWEEN 2000 AND 2199", name=op.f("ck_calendar_year_year")),
        sa.PrimaryKeyConstraint("name", "year", "revision", name=op.f("pk_calendar_year")),
        info={"dist": None, "group": "reference", "append_only": True},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "calendar_year", append_only=True)
    op.add_column("vehicle", sa.Column("plate_kind", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("vehicle", "plate_kind")
    op.drop_table("calendar_year")
