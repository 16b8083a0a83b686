"""What ties a guest's answer to a later week, as links are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transfer", sa.Column("carried_salt", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("transfer", "carried_salt")
