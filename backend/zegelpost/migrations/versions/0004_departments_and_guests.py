"""Departments, and transfers that guests send."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from zegelpost.model.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "department",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("sender_name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("is_on_intake", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_department")),
        sa.UniqueConstraint("email", name=op.f("uq_department_email")),
        sa.UniqueConstraint("name", name=op.f("uq_department_name")),
    )
    op.create_table(
        "membership",
        sa.Column("department_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["department_id"], ["department.id"], name=op.f("fk_membership_department_id_department")),
        sa.ForeignKeyConstraint(["user_id"], ["staff_user.id"], name=op.f("fk_membership_user_id_staff_user")),
        sa.PrimaryKeyConstraint("department_id", "user_id", name=op.f("pk_membership")),
    )
    with op.batch_alter_table("membership", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_membership_user_id"), ["user_id"], unique=False)

    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("department_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("handled_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("handled_by_id", sa.String(length=26), nullable=True))
        batch_op.create_index(batch_op.f("ix_recipient_department_id"), ["department_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_recipient_department_id_department"), "department", ["department_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_recipient_handled_by_id_staff_user"), "staff_user", ["handled_by_id"], ["id"])

    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=32), nullable=False, server_default="sending"))
        batch_op.alter_column("sender_id", existing_type=sa.String(length=26), nullable=True)
        batch_op.add_column(sa.Column("department_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("answers_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("guest_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("guest_wrap", sa.LargeBinary(), nullable=True))
        batch_op.create_index(batch_op.f("ix_transfer_department_id"), ["department_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_transfer_answers_id"), ["answers_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_transfer_guest_id"), ["guest_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_transfer_department_id_department"), "department", ["department_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_transfer_answers_id_transfer"), "transfer", ["answers_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_transfer_guest_id_recipient"), "recipient", ["guest_id"], ["id"])
    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.alter_column("kind", existing_type=sa.String(length=32), server_default=None)

    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upload_owner_id"))
        batch_op.drop_constraint(batch_op.f("fk_upload_owner_id_staff_user"), type_="foreignkey")
        batch_op.drop_column("owner_id")


def downgrade() -> None:
    raise NotImplementedError("what guests sent has no place in the earlier tables; restore a backup instead")
