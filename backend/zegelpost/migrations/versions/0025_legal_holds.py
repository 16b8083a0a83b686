"""Legal holds: what administrators keep from being erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("sealed_words", sa.LargeBinary(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("placed_by_id", sa.String(length=26), nullable=False),
        sa.Column("lifted_at", UtcDateTime(), nullable=True),
        sa.Column("lifted_by_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["placed_by_id"], ["staff_user.id"], name=op.f("fk_legal_hold_placed_by_id_staff_user")),
        sa.ForeignKeyConstraint(["lifted_by_id"], ["staff_user.id"], name=op.f("fk_legal_hold_lifted_by_id_staff_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
    )
    op.create_index(op.f("ix_legal_hold_lifted_at"), "legal_hold", ["lifted_at"])
    op.add_column("transfer", sa.Column("held_at", UtcDateTime(), nullable=True))
    op.create_index(op.f("ix_transfer_held_at"), "transfer", ["held_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_transfer_held_at"), "transfer")
    op.drop_column("transfer", "held_at")
    op.drop_index(op.f("ix_legal_hold_lifted_at"), "legal_hold")
    op.drop_table("legal_hold")
