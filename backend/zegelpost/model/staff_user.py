"""Staff users: people of the organisation with an account, and their sign-ins."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import StaffUserId

SIGN_IN_IDLE: Final = timedelta(hours=2)
SIGN_IN_LONGEST: Final = timedelta(hours=12)


class StaffUser(Base):
    __tablename__ = "staff_user"

    id: Mapped[StaffUserId] = mapped_column(IDENTIFIER, primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(2), default="nl")
    is_administrator: Mapped[bool] = mapped_column(default=False)
    is_switched_off: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class SignInKind(StrEnum):
    PORTAL = "portal"
    API = "api"


class SignIn(Base):
    """One signed-in browser or program. The token is with its holder; its digest names the row."""

    __tablename__ = "sign_in"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    kind: Mapped[SignInKind] = mapped_column(text_of(SignInKind))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    def is_live(self, now: datetime) -> bool:
        """Neither too old nor left alone for too long (NIST SP 800-63B-4, section 2.2.3: AAL2)."""
        return now < self.expires_at and now - self.last_seen_at < SIGN_IN_IDLE


class SignInAttempt(Base):
    """A refused password, kept for a while so that guessing slows down for all web processes together."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(DIGEST, index=True)
    at: Mapped[datetime] = mapped_column(index=True)
