"""Contacts: people outside the organisation, in the address book of a staff user or of a department."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, IDENTIFIER, Base, text_of
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import ContactId, DepartmentId, StaffUserId
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.recipient import LONGEST_NAME
from zegelpost.model.refusals import FormRefused, NameMissing, NameTooLong, OrganisationTooLong, Refusal

LONGEST_ORGANISATION: Final = 200  # characters
MOST_CONTACTS: Final = 5000  # of one owner; more is a directory, and searching opens them one by one


class ContactSource(StrEnum):
    """Where a contact came from first."""

    TYPED = "typed"
    SENDING = "sending"
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of someone. Sealed in the database under an installation key."""

    name: str = field(repr=False)
    organisation: str = field(repr=False)
    email: EmailAddress = field(repr=False)
    mobile: PhoneNumber | None = field(repr=False)

    @classmethod
    def parse(cls, *, name: str, organisation: str, email: str, mobile: str) -> Card:
        """Check and trim; raise `FormRefused` with every field that was refused."""
        refused: dict[str, Refusal] = {}
        name, organisation = " ".join(name.split()), " ".join(organisation.split())
        if not name:
            refused["name"] = NameMissing()
        if len(name) > LONGEST_NAME:
            refused["name"] = NameTooLong(limit=LONGEST_NAME)
        if len(organisation) > LONGEST_ORGANISATION:
            refused["organisation"] = OrganisationTooLong(limit=LONGEST_ORGANISATION)
        address: EmailAddress | None = None
        number: PhoneNumber | None = None
        try:
            address = EmailAddress.parse(email)
        except Refusal as refusal:
            refused["email"] = refusal
        try:
            number = PhoneNumber.parse(mobile) if mobile.strip() else None
        except Refusal as refusal:
            refused["mobile"] = refusal
        if refused or address is None:
            raise FormRefused(refused)
        return cls(name, organisation, address, number)

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"email": str(self.email), "mobile": self.mobile and self.mobile.e164})

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read back what `to_json` wrote; the values were checked when they came in."""
        fields = json.loads(text)
        local, _, domain = fields["email"].rpartition("@")
        mobile = PhoneNumber(fields["mobile"]) if fields["mobile"] else None
        return cls(fields["name"], fields["organisation"], EmailAddress(local, domain), mobile)

    def matches(self, letters: str) -> bool:
        """Whether these letters, in lower case, occur in name, organisation or address, or these digits in the number."""
        digits = "".join(c for c in letters if c.isdigit())
        if letters in f"{self.name}\n{self.organisation}\n{self.email}".casefold():
            return True
        return len(digits) > 3 and self.mobile is not None and digits.removeprefix("0") in self.mobile.e164  # noqa: PLR2004


class Contact(Base):
    __tablename__ = "contact"
    __table_args__ = (
        CheckConstraint("(owner_id IS NULL) <> (department_id IS NULL)", name="one_owner"),
        UniqueConstraint("owner_id", "email_index", name="uq_contact_owner_email"),
        UniqueConstraint("department_id", "email_index", name="uq_contact_department_email"),
    )

    id: Mapped[ContactId] = mapped_column(IDENTIFIER, primary_key=True)
    owner_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))
    department_id: Mapped[DepartmentId | None] = mapped_column(ForeignKey("department.id"))
    sealed_card: Mapped[bytes] = mapped_column(LargeBinary)
    email_index: Mapped[bytes] = mapped_column(DIGEST, index=True)
    number_index: Mapped[bytes | None] = mapped_column(DIGEST)
    source: Mapped[ContactSource] = mapped_column(text_of(ContactSource))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    # When a code that was sent to this very number was entered right.
    number_worked_at: Mapped[datetime | None]
