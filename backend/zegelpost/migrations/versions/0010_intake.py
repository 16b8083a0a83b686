"""Outsiders who start unasked, and what was held back of theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "introduction",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed_words", sa.LargeBinary(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("code_sent_at", UtcDateTime(), nullable=False),
        sa.Column("code_count", sa.Integer(), nullable=False),
        sa.Column("try_count", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_introduction")),
    )
    op.create_index(op.f("ix_introduction_created_at"), "introduction", ["created_at"])
    op.create_table(
        "spent_proof",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_spent_proof")),
    )
    op.create_index(op.f("ix_spent_proof_at"), "spent_proof", ["at"])
    op.create_table(
        "intake",
        sa.Column("transfer_id", sa.String(length=26), nullable=False),
        sa.Column("sealed_colleague", sa.LargeBinary(), nullable=True),
        sa.Column("email_confirmed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_intake_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_intake")),
    )
    op.create_table(
        "held_back",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("transfer_id", sa.String(length=26), nullable=False),
        sa.Column("document_id", sa.String(length=26), nullable=False),
        sa.Column("sealed_name", sa.LargeBinary(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_held_back_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_back")),
    )
    op.create_index(op.f("ix_held_back_transfer_id"), "held_back", ["transfer_id"])


def downgrade() -> None:
    op.drop_table("held_back")
    op.drop_table("intake")
    op.drop_table("spent_proof")
    op.drop_table("introduction")
