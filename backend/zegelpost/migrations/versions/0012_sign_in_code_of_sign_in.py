"""A code for the add-in's pane belongs to the sign-in that it was made in, and not to the person alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Codes live for two minutes: those of before are dropped, and their people press the button again.
    op.drop_table("sign_in_code")
    op.create_table(
        "sign_in_code",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sign_in_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_code")),
    )


def downgrade() -> None:
    op.drop_table("sign_in_code")
    op.create_table(
        "sign_in_code",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["staff_user.id"], name=op.f("fk_sign_in_code_user_id_staff_user")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_code")),
    )
    op.create_index(op.f("ix_sign_in_code_user_id"), "sign_in_code", ["user_id"])
