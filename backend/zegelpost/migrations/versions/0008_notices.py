"""What people want to be told about their transfers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unopened_told_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("expiring_told_at", UtcDateTime(), nullable=True))
    defaults = {"tells_unopened_after_days": "3", "tells_expiring_before_days": "3"}
    with op.batch_alter_table("staff_user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tells_first_download", sa.Boolean(), nullable=False, server_default=sa.false()))
        for name, days in defaults.items():
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=days))
    with op.batch_alter_table("staff_user", schema=None) as batch_op:
        batch_op.alter_column("tells_first_download", existing_type=sa.Boolean(), server_default=None)
        for name in defaults:
            batch_op.alter_column(name, existing_type=sa.Integer(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("staff_user", schema=None) as batch_op:
        batch_op.drop_column("tells_expiring_before_days")
        batch_op.drop_column("tells_unopened_after_days")
        batch_op.drop_column("tells_first_download")
    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.drop_column("expiring_told_at")
        batch_op.drop_column("unopened_told_at")
