"""Transfers by when they were sent, for the numbers that administrators see."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_transfer_sent_kind_department", "transfer", ["sent_at", "kind", "department_id"])


def downgrade() -> None:
    op.drop_index("ix_transfer_sent_kind_department", "transfer")
