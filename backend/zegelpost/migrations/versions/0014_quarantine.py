"""Why a document was held back and what came of it, and until when post waits for an account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("held_back") as batch:
        # Until now only malware was held back, and its bytes removed at once.
        batch.add_column(sa.Column("reason", sa.String(length=32), nullable=False, server_default="malware"))
        batch.add_column(sa.Column("outcome", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("judged_at", UtcDateTime(), nullable=True))
        batch.add_column(sa.Column("judged_by_id", sa.String(length=26), nullable=True))
        batch.create_foreign_key(op.f("fk_held_back_judged_by_id_staff_user"), "staff_user", ["judged_by_id"], ["id"])
        batch.create_index(op.f("ix_held_back_document_id"), ["document_id"])
    with op.batch_alter_table("recipient") as batch:
        batch.add_column(sa.Column("account_until", UtcDateTime(), nullable=True))
    op.execute("UPDATE held_back SET outcome = 'removed'")


def downgrade() -> None:
    with op.batch_alter_table("recipient") as batch:
        batch.drop_column("account_until")
    with op.batch_alter_table("held_back") as batch:
        batch.drop_index(op.f("ix_held_back_document_id"))
        batch.drop_constraint(op.f("fk_held_back_judged_by_id_staff_user"), type_="foreignkey")
        for name in ("judged_by_id", "judged_at", "outcome", "reason"):
            batch.drop_column(name)
