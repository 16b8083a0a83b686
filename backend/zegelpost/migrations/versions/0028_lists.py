"""Indexes for the lists of a mailbox, without what was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_IS_KEPT = "state IN ('sent', 'revoked', 'expired')"
_INDEXES = (
    ("transfer", ("sender_id", "kind", "sent_at", "id"), "ix_transfer_kept_of_sender", f"department_id IS NULL AND {_IS_KEPT}"),
    ("transfer", ("department_id", "kind", "sent_at", "id"), "ix_transfer_kept_of_department", _IS_KEPT),
    ("recipient", ("department_id",), "ix_recipient_kept_of_department", "staff_wrap IS NOT NULL"),
)


def upgrade() -> None:
    for table, columns, name, condition in _INDEXES:
        op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def downgrade() -> None:
    for table, _, name, _ in _INDEXES:
        op.drop_index(name, table)
