"""What the telephone company says became of a code, and recipients who wait for a number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outgoing", schema=None) as batch_op:
        batch_op.add_column(sa.Column("carrier_state", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("carrier_told_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("carrier_failure", sa.String(length=32), nullable=True))

    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parked_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.drop_column("parked_at")
    with op.batch_alter_table("outgoing", schema=None) as batch_op:
        batch_op.drop_column("carrier_failure")
        batch_op.drop_column("carrier_told_at")
        batch_op.drop_column("carrier_state")
