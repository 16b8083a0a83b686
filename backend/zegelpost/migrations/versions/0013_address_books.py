"""Address books that Exchange or a file feeds, what they list, and own versions of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "address_book_choices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reads_directory", sa.Boolean(), nullable=False),
        sa.Column("reads_mailboxes", sa.Boolean(), nullable=False),
        sa.Column("writes_back_since", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_book_choices")),
    )
    op.create_table(
        "address_feed",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.String(length=26), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("is_switched_on", sa.Boolean(), nullable=False),
        sa.Column("sealed_cursor", sa.LargeBinary(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("is_whole_pass", sa.Boolean(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("claimed_by", sa.String(length=26), nullable=True),
        sa.Column("claimed_until", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("trouble", sa.String(length=32), nullable=True),
        sa.Column("trouble_since", UtcDateTime(), nullable=True),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("added_count", sa.Integer(), nullable=False),
        sa.Column("changed_count", sa.Integer(), nullable=False),
        sa.Column("removed_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["staff_user.id"], name=op.f("fk_address_feed_owner_id_staff_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_feed")),
        sa.UniqueConstraint("place", name=op.f("uq_address_feed_place")),
    )
    op.create_index(op.f("ix_address_feed_due_at"), "address_feed", ["due_at"])
    op.create_table(
        "listed_contact",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("feed_id", sa.String(length=26), nullable=False),
        sa.Column("entry_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("folder_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("email_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("number_problem", sa.String(length=32), nullable=True),
        sa.Column("sealed_card", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("number_worked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["feed_id"], ["address_feed.id"], name=op.f("fk_listed_contact_feed_id_address_feed"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listed_contact")),
        sa.UniqueConstraint("feed_id", "entry_digest", "email_index", name="uq_listed_contact_entry_email"),
    )
    op.create_index("ix_listed_contact_email_index", "listed_contact", ["email_index"])
    op.create_index("ix_listed_contact_folder", "listed_contact", ["feed_id", "folder_digest"])
    op.create_table(
        "listed_word",
        sa.Column("beginning", sa.LargeBinary(length=8), nullable=False),
        sa.Column("listed_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["listed_id"], ["listed_contact.id"], name=op.f("fk_listed_word_listed_id_listed_contact"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("beginning", "listed_id", name=op.f("pk_listed_word")),
    )
    op.create_index(op.f("ix_listed_word_listed_id"), "listed_word", ["listed_id"])
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.add_column(sa.Column("corrects_index", sa.LargeBinary(length=32), nullable=True))
        batch_op.add_column(sa.Column("copied_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.drop_column("copied_at")
        batch_op.drop_column("corrects_index")
    op.drop_table("listed_word")
    op.drop_table("listed_contact")
    op.drop_table("address_feed")
    op.drop_table("address_book_choices")
