"""From when on remembered devices count for a recipient."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("recipient") as recipient:
        recipient.add_column(sa.Column("devices_from", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("recipient") as recipient:
        recipient.drop_column("devices_from")
