"""Who staff are at the organisation's sign-in provider, and the way there and back; auditors; whose word switched someone off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["staff_user.id"], name=op.f("fk_identity_user_id_staff_user")),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identity")),
        sa.UniqueConstraint("user_id", name=op.f("uq_identity_user_id")),
    )
    op.create_table(
        "provider_visit",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed_kept", sa.LargeBinary(), nullable=False),
        sa.Column("wanted", sa.String(length=500), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_provider_visit")),
    )
    op.create_index(op.f("ix_provider_visit_created_at"), "provider_visit", ["created_at"])
    op.create_table(
        "joining",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("wanted", sa.String(length=500), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_joining")),
    )
    op.create_index(op.f("ix_joining_created_at"), "joining", ["created_at"])
    with op.batch_alter_table("staff_user") as batch:
        batch.add_column(sa.Column("is_auditor", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("switched_off_by", sa.String(length=32), nullable=True))
    with op.batch_alter_table("staff_user") as batch:
        batch.alter_column("is_auditor", existing_type=sa.Boolean(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("staff_user") as batch:
        batch.drop_column("switched_off_by")
        batch.drop_column("is_auditor")
    op.drop_table("joining")
    op.drop_table("provider_visit")
    op.drop_table("identity")
