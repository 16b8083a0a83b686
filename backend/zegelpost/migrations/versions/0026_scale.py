"""Numbers of days that are over; what the worker looks for, without what was erased.

And a default for `staff_user.is_auditor`, so that a version that does not know it can open accounts beside this one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


# A few rows of many, that the worker looks for.
_FEW = (
    ("document", "created_at", "ix_document_arriving", "state = 'arriving'"),
    ("outgoing", "useless_after", "ix_outgoing_call_kept", "kind = 'call' AND sealed_payload IS NOT NULL"),
)


def upgrade() -> None:
    op.create_table(
        "day_sum",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("mailbox", sa.String(length=26), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("counted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("day", "mailbox", name=op.f("pk_day_sum")),
    )
    op.create_index("ix_transfer_state_expires", "transfer", ["state", "expires_at"])
    # Nine of ten transfers expired long ago and were erased; nothing looks for those.
    op.drop_index("ix_transfer_expires_at", "transfer")
    op.create_index("ix_transfer_department_state_sent", "transfer", ["department_id", "state", "sent_at"])
    op.drop_index("ix_transfer_department_id", "transfer")
    for table, column, name, condition in _FEW:
        op.create_index(name, table, [column], sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
    with op.batch_alter_table("staff_user") as batch:
        batch.alter_column("is_auditor", existing_type=sa.Boolean(), existing_nullable=False, server_default=sa.false())


def downgrade() -> None:
    with op.batch_alter_table("staff_user") as batch:
        batch.alter_column("is_auditor", existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
    for table, _, name, _ in _FEW:
        op.drop_index(name, table)
    op.create_index("ix_transfer_department_id", "transfer", ["department_id"])
    op.drop_index("ix_transfer_department_state_sent", "transfer")
    op.create_index("ix_transfer_expires_at", "transfer", ["expires_at"])
    op.drop_index("ix_transfer_state_expires", "transfer")
    op.drop_table("day_sum")
