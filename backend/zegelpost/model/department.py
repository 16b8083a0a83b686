"""Departments: shared mailboxes, with members, and with transfers, contacts and templates of their own."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import DepartmentId, StaffUserId

LONGEST_DEPARTMENT_NAME: Final = 120  # characters


class Department(Base):
    """What belongs to a department stays with it, whoever comes and goes."""

    __tablename__ = "department"

    id: Mapped[DepartmentId] = mapped_column(IDENTIFIER, primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_DEPARTMENT_NAME), unique=True)
    # As outsiders see it, in mails and above the documents.
    sender_name: Mapped[str] = mapped_column(String(LONGEST_DEPARTMENT_NAME))
    # Where notices to the department go.
    email: Mapped[str] = mapped_column(String(254), unique=True)
    is_on_intake: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class DepartmentRole(StrEnum):
    MEMBER = "member"
    MANAGER = "manager"  # also adds and removes members


class Membership(Base):
    """Someone who works for a department. Without this row they have no access, whatever they sent for it before."""

    __tablename__ = "membership"

    department_id: Mapped[DepartmentId] = mapped_column(ForeignKey("department.id"), primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), primary_key=True, index=True)
    role: Mapped[DepartmentRole] = mapped_column(text_of(DepartmentRole), default=DepartmentRole.MEMBER)
    created_at: Mapped[datetime]
