"""Who staff are at the organisation's own sign-in provider, and the way there and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, Base
from zegelpost.model.identifiers import StaffUserId

# Where browsers come back to, as it is registered at the provider (RFC 6749, section 3.1.2).
ARRIVAL: Final = "/sign-in/callback"
LONGEST_SUBJECT: Final = 255  # OpenID Connect Core, section 2: `sub` is no longer
VISIT_LONGEST: Final = timedelta(minutes=15)  # with a password to think of and a telephone to find
JOINING_LONGEST: Final = timedelta(minutes=20)


class Identity(Base):
    """One person at one provider, and whose account that is. The provider never gives either name to someone else.

    Not the e-mail address: whoever gets Anna's address next year, or writes it into a directory of their own, is not Anna.
    """

    __tablename__ = "identity"

    issuer: Mapped[str] = mapped_column(String(500), primary_key=True)
    subject: Mapped[str] = mapped_column(String(LONGEST_SUBJECT), primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), unique=True)
    created_at: Mapped[datetime]
    # The latest pass over the organisation's directory that said something of them; see `AddressFeed.generation`.
    generation: Mapped[int] = mapped_column(default=0)


class ProviderVisit(Base):
    """A browser that went to the sign-in provider and is to come back. The browser has the token, and the token the key."""

    __tablename__ = "provider_visit"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    sealed_kept: Mapped[bytes] = mapped_column(LargeBinary)
    wanted: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(index=True)

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < VISIT_LONGEST


class Joining(Base):
    """An identity that was proven, with an address that has an account already: whose it is, is still to be shown."""

    __tablename__ = "joining"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(LONGEST_SUBJECT))
    email: Mapped[str] = mapped_column(String(254))
    wanted: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(index=True)

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < JOINING_LONGEST
