"""Which Outlooks opened the pane."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seen_outlook",
        sa.Column("manifest", sa.String(length=24), nullable=False),
        sa.Column("host", sa.String(length=30), nullable=False),
        sa.Column("platform", sa.String(length=20), nullable=False),
        sa.Column("version", sa.String(length=24), nullable=False),
        sa.Column("opened_count", sa.Integer(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("manifest", "host", "platform", "version", name=op.f("pk_seen_outlook")),
    )


def downgrade() -> None:
    op.drop_table("seen_outlook")
