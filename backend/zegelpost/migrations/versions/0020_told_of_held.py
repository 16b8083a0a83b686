"""When administrators were told what is held back; and no note with what is passed on, which nothing ever wrote."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("held_back", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told_at", UtcDateTime(), nullable=True))
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.drop_column("sealed_forward_note")


def downgrade() -> None:
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed_forward_note", sa.LargeBinary(), nullable=True))
    with op.batch_alter_table("held_back", schema=None) as batch_op:
        batch_op.drop_column("told_at")
