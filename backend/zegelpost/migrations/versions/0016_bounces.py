"""What mail servers tell afterwards about mail that they took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outgoing", sa.Column("delayed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("outgoing", "delayed_at")
