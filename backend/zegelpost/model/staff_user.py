"""Staff users: people of the organisation with an account, and their sign-ins."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, IDENTIFIER, Base, text_of
from zegelpost.model.identifiers import SignInId, StaffUserId

SIGN_IN_IDLE: Final = timedelta(hours=2)
SIGN_IN_LONGEST: Final = timedelta(hours=12)
LONGEST_SIGNATURE: Final = 1000  # characters
MOST_NOTICE_DAYS: Final = 60
HALF_SIGN_IN_LONGEST: Final = timedelta(minutes=20)  # long enough to find, or even to install, an authenticator app


class SwitchedOffBy(StrEnum):
    """Whose word it is that someone no longer gets in."""

    ADMINISTRATOR = "administrator"
    DIRECTORY = "directory"  # of the organisation, which switched the person off or has them no more


class StaffUser(Base):
    __tablename__ = "staff_user"

    id: Mapped[StaffUserId] = mapped_column(IDENTIFIER, primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(2), default="nl")
    # What stands where a template says {signature}.
    signature: Mapped[str] = mapped_column(Text, default="")
    # What they want to be told by mail about their transfers; no days means never.
    tells_first_download: Mapped[bool] = mapped_column(default=False)
    tells_unopened_after_days: Mapped[int] = mapped_column(default=3)
    tells_expiring_before_days: Mapped[int] = mapped_column(default=3)
    is_administrator: Mapped[bool] = mapped_column(default=False)
    # May read the audit. Neither right gives the other: who runs the house does not judge how it is run.
    is_auditor: Mapped[bool] = mapped_column(default=False)
    is_switched_off: Mapped[bool] = mapped_column(default=False)
    switched_off_by: Mapped[SwitchedOffBy | None] = mapped_column(text_of(SwitchedOffBy), default=None)
    created_at: Mapped[datetime]

    def switch_off(self, by: SwitchedOffBy) -> bool:
        """Let them in no more; returns whether they got in until now. An administrator's word goes over the directory's."""
        was_on = not self.is_switched_off
        if was_on or by == SwitchedOffBy.ADMINISTRATOR:
            self.switched_off_by = by
        self.is_switched_off = True
        return was_on

    def switch_on(self, by: SwitchedOffBy) -> bool:
        """Let them in again; returns whether that changed anything. The directory gives back only what it took."""
        if not self.is_switched_off or (by == SwitchedOffBy.DIRECTORY and self.switched_off_by != by):
            return False
        self.is_switched_off, self.switched_off_by = False, None
        return True


class SignInKind(StrEnum):
    PORTAL = "portal"
    API = "api"


class SignIn(Base):
    """One signed-in browser or program. The token is with its holder; its digest names the row."""

    __tablename__ = "sign_in"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    # Names the sign-in on its owner's page, where a token's digest does not belong.
    id: Mapped[SignInId] = mapped_column(IDENTIFIER, unique=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    kind: Mapped[SignInKind] = mapped_column(text_of(SignInKind))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    def is_live(self, now: datetime) -> bool:
        """Neither too old nor left alone for too long (NIST SP 800-63B-4, section 2.2.3: AAL2)."""
        return now < self.expires_at and now - self.last_seen_at < SIGN_IN_IDLE


class SignInCode(Base):
    """Lets the add-in's pane take over a sign-in that was made in its dialog. Works once, for two minutes.

    It is worth what that sign-in is worth: when that ends, by whatever hand, the code is worth nothing.
    """

    __tablename__ = "sign_in_code"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    # No foreign key: a sign-in ends without looking for codes, and a code without its sign-in is refused.
    sign_in_digest: Mapped[bytes] = mapped_column(DIGEST)
    created_at: Mapped[datetime]


class HalfSignIn(Base):
    """Someone who knew the password and has yet to show a second factor, or to set one up.

    A table of its own, and not a mark on `SignIn`: a check that is forgotten somewhere then refuses instead of letting in.
    """

    __tablename__ = "half_sign_in"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    user_id: Mapped[StaffUserId] = mapped_column(ForeignKey("staff_user.id"), index=True)
    created_at: Mapped[datetime]

    def is_live(self, now: datetime) -> bool:
        return now - self.created_at < HALF_SIGN_IN_LONGEST


class SignInAttempt(Base):
    """A try that was not right (yet), kept for a while so that guessing slows down for all web processes together."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(DIGEST, index=True)
    at: Mapped[datetime] = mapped_column(index=True)
