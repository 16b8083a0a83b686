"""What readers were handed over in pieces, and what colleagues write when they pass a transfer on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handed_over",
        sa.Column("document_id", sa.String(length=26), nullable=False),
        sa.Column("reader_id", sa.String(length=26), nullable=False),
        sa.Column("pieces", sa.JSON(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_handed_over_document_id_document")),
        sa.PrimaryKeyConstraint("document_id", "reader_id", name=op.f("pk_handed_over")),
    )
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed_forward_note", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.drop_column("sealed_forward_note")
    op.drop_table("handed_over")
