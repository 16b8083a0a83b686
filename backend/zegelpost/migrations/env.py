"""Alembic's environment: runs on the connection that `migrate_database` hands over."""

from __future__ import annotations

from alembic import context

from zegelpost.model import (
    account_link,
    address_book,
    audit,
    contact,
    day_sum,
    department,
    document,
    event,
    file_request,
    handed_over,
    identity,
    intake,
    outgoing,
    recipient,
    second_factor,
    seen_outlook,
    staff_user,
    template,
    transfer,
)
from zegelpost.model.base import Base

TABLES = (
    account_link,
    address_book,
    audit,
    contact,
    day_sum,
    department,
    document,
    event,
    file_request,
    handed_over,
    identity,
    intake,
    outgoing,
    recipient,
    second_factor,
    seen_outlook,
    staff_user,
    template,
    transfer,
)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change a column in place.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
