"""How far the clock is believed before something is destroyed; legal holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observed_boot",
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("on_seconds", sa.Float(), nullable=False),
        sa.Column("observed_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("boot", name=op.f("pk_observed_boot")),
    )
    op.create_table(
        "believed_time",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observed_seconds", sa.Float(), nullable=False),
        sa.Column("anchored_at", UtcDateTime(), nullable=True),
        sa.Column("anchored_seconds", sa.Float(), nullable=False),
        sa.Column("doubted_at", UtcDateTime(), nullable=True),
        sa.Column("doubted_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_believed_time")),
    )
    # In an installation that was there already, the clock is believed from its newest event on: not whatever it says today.
    op.execute(
        "INSERT INTO believed_time (id, observed_seconds, anchored_at, anchored_seconds, doubted_at, doubted_seconds)"
        " SELECT 1, 0, max(at), 0, NULL, 0 FROM event"
    )


def downgrade() -> None:
    op.drop_table("believed_time")
    op.drop_table("observed_boot")
