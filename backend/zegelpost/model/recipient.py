"""Recipients: one address in one transfer, with its own link, verification and history."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, DIGEST, IDENTIFIER, Base, text_of
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import ChallengeId, DepartmentId, LinkId, RecipientId, StaffUserId, TransferId
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.refusals import LinkLocked, RecipientBlocked

LONGEST_NAME: Final = 120
SHORTEST_ACCESS_CODE: Final = 8
LONGEST_HINT: Final = 100
# Of a colleague's or a department's, until it is erased.
HAS_WRAP: Final = "staff_wrap IS NOT NULL"
# Before the second code, the third, and every later one, as long as none of them was entered.
CODE_COOL_DOWNS: Final = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
# A telephone rings, is picked up, and the code is read out twice: nobody is called while that goes on.
CALL_COOL_DOWN: Final = timedelta(minutes=3)
CODES_PER_HOUR: Final = 5  # for one link, and for one number over all links
CODES_PER_DAY: Final = 10
CODE_LIFETIME: Final = timedelta(minutes=10)  # ASVS 5.0, 6.5.5
CODE_DIGITS: Final = 6
TRIES_PER_CODE: Final = 5
WRONG_CODES_PER_LINK: Final = 15
GRANT_IDLE: Final = timedelta(minutes=15)
GRANT_LONGEST: Final = timedelta(minutes=60)
# Sending something back takes longer than reading: gigabytes over a slow line must not end in a second code.
SENDING_GRANT_IDLE: Final = timedelta(hours=2)
SENDING_GRANT_LONGEST: Final = timedelta(hours=12)


class VerificationMethod(StrEnum):
    """How a recipient proves to be the one the sender meant."""

    SMS = "sms"
    SPOKEN = "spoken"  # the same code, read out on the telephone to whoever presses a key
    ACCESS_CODE = "access_code"
    SIGN_IN = "sign_in"  # colleagues and departments, who have accounts
    LINK = "link"  # the link alone: for guests who only send, and whose number nobody knows

    @property
    def needs_number(self) -> bool:
        """Whether we send a code to a telephone."""
        return self in {VerificationMethod.SMS, VerificationMethod.SPOKEN}


@dataclass(frozen=True, slots=True)
class Person:
    """Who a recipient is. Sealed in the database under an installation key."""

    name: str
    email: EmailAddress
    mobile: PhoneNumber | None  # of someone who is called, any number

    def to_json(self) -> str:
        return json.dumps({"name": self.name, "email": str(self.email), "mobile": self.mobile and self.mobile.e164})

    @classmethod
    def from_json(cls, text: str) -> Person:
        """Read back what `to_json` wrote; the values were checked when they came in."""
        fields = json.loads(text)
        local, _, domain = fields["email"].rpartition("@")
        mobile = PhoneNumber(fields["mobile"]) if fields["mobile"] else None
        return cls(fields["name"], EmailAddress(local, domain), mobile)

    def __repr__(self) -> str:
        return f"Person({', '.join(asdict(self))})"


class Recipient(Base):
    __tablename__ = "recipient"
    __table_args__ = (
        # What a department can still open: of the years before, nothing need be looked at.
        Index("ix_recipient_kept_of_department", "department_id", sqlite_where=text(HAS_WRAP), postgresql_where=text(HAS_WRAP)),
    )

    id: Mapped[RecipientId] = mapped_column(IDENTIFIER, primary_key=True)
    transfer_id: Mapped[TransferId] = mapped_column(ForeignKey("transfer.id"), index=True)
    position: Mapped[int]
    method: Mapped[VerificationMethod] = mapped_column(text_of(VerificationMethod))
    # A department receives it: every member, then and later, and nobody by their own address.
    department_id: Mapped[DepartmentId | None] = mapped_column(ForeignKey("department.id"), index=True)
    sealed_person: Mapped[bytes] = mapped_column(LargeBinary)
    email_index: Mapped[bytes] = mapped_column(BLIND, index=True)
    number_index: Mapped[bytes | None] = mapped_column(BLIND, index=True)
    # Of post for whoever has an address: an account that is opened later does not get it. Addresses are given out again.
    account_until: Mapped[datetime | None]
    access_code_hash: Mapped[str | None] = mapped_column(String(200))
    # What helps the recipient to think of the access code ("your client number"), sealed under the message key.
    sealed_hint: Mapped[bytes | None] = mapped_column(LargeBinary)
    # A colleague opens with an account, so the message key is kept for them under the week's sender key.
    staff_wrap: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Without a usable number: the sender adds it later, and nothing reaches them before that.
    parked_at: Mapped[datetime | None]
    # Devices that were remembered before this moment no longer stand for this recipient's code.
    devices_from: Mapped[datetime | None]
    wrong_code_count: Mapped[int] = mapped_column(default=0)
    locked_at: Mapped[datetime | None]
    blocked_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    help_asked_at: Mapped[datetime | None]
    # By staff, about what they received.
    handled_at: Mapped[datetime | None]
    handled_by_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))

    def require_open(self) -> None:
        if self.blocked_at is not None:
            raise RecipientBlocked
        if self.locked_at is not None:
            raise LinkLocked


class Link(Base):
    """A secret link as we know it: enough to recognise the secret and, with the secret, to unwrap the message key."""

    __tablename__ = "link"

    id: Mapped[LinkId] = mapped_column(IDENTIFIER, primary_key=True)
    recipient_id: Mapped[RecipientId] = mapped_column(ForeignKey("recipient.id"), index=True)
    week: Mapped[str] = mapped_column(String(8))
    secret_check: Mapped[bytes | None] = mapped_column(DIGEST)
    wrap: Mapped[bytes | None] = mapped_column(LargeBinary)
    # After an extension: this link's salt from the week it was made in, sealed under the later week.
    carried_salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]


class Challenge(Base):
    """One code sent, and the tries to enter it."""

    __tablename__ = "challenge"

    id: Mapped[ChallengeId] = mapped_column(IDENTIFIER, primary_key=True)
    recipient_id: Mapped[RecipientId] = mapped_column(ForeignKey("recipient.id"), index=True)
    number_index: Mapped[bytes] = mapped_column(BLIND, index=True)
    code_hash: Mapped[bytes] = mapped_column(DIGEST)
    try_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    replaced_at: Mapped[datetime | None]


class Grant(Base):
    """Permission to read one transfer, on one device. Its cookie is also what unwraps the message key.

    Made when the link secret was right; of use only once `verified_at` is set.
    """

    __tablename__ = "grant"

    digest: Mapped[bytes] = mapped_column(DIGEST, primary_key=True)
    link_id: Mapped[LinkId] = mapped_column(ForeignKey("link.id"), index=True)
    recipient_id: Mapped[RecipientId] = mapped_column(ForeignKey("recipient.id"), index=True)
    wrap: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    # Apart from `last_used_at`: sending something back must not keep what can be read open.
    last_sending_at: Mapped[datetime | None]

    def is_live(self, now: datetime) -> bool:
        """Whether it still counts for reading."""
        return now - self.created_at < GRANT_LONGEST and now - self.last_used_at < GRANT_IDLE

    def may_send(self, now: datetime) -> bool:
        """Whether it still counts for sending something back."""
        last = max(self.last_used_at, self.last_sending_at or self.last_used_at)
        return now - self.created_at < SENDING_GRANT_LONGEST and now - last < SENDING_GRANT_IDLE
