"""Hints for access codes, and devices that recipients have remembered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("recipient") as recipient:
        recipient.add_column(sa.Column("sealed_hint", sa.LargeBinary(), nullable=True))
    op.create_table(
        "remembered_device",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("recipient_id", sa.String(length=26), nullable=False),
        sa.Column("email_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_remembered_device_recipient_id_recipient")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_remembered_device")),
        sa.UniqueConstraint("id", name=op.f("uq_remembered_device_id")),
    )
    op.create_index(op.f("ix_remembered_device_email_index"), "remembered_device", ["email_index"])
    op.create_index(op.f("ix_remembered_device_expires_at"), "remembered_device", ["expires_at"])
    op.create_index(op.f("ix_remembered_device_recipient_id"), "remembered_device", ["recipient_id"])


def downgrade() -> None:
    op.drop_table("remembered_device")
    with op.batch_alter_table("recipient") as recipient:
        recipient.drop_column("sealed_hint")
