"""Alembic's environment: runs on the connection that `migrate_database` hands over."""

from __future__ import annotations

from alembic import context

from zegelpost.model import document, event, outgoing, recipient, staff_user, transfer
from zegelpost.model.base import Base

TABLES = (document, event, outgoing, recipient, staff_user, transfer)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change a column in place.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
