"""Links that prove a mailbox is someone's: to open an account, and to choose a new password."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, Base
from zegelpost.model.identifiers import StaffUserId

REGISTRATION_HOURS: Final = 24
PASSWORD_LINK_HOURS: Final = 2


class Registration(Base):
    """An account that was asked for. It becomes one when someone has the link from the mail and knows the password."""

    __tablename__ = "registration"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(2))
    created_at: Mapped[datetime] = mapped_column(index=True)

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < timedelta(hours=REGISTRATION_HOURS)


class PasswordLink(Base):
    """Lets whoever reads the mailbox choose a new password, once. The second factor stays as it is."""

    __tablename__ = "password_link"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < timedelta(hours=PASSWORD_LINK_HOURS)
