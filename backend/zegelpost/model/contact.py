"""Contacts: people outside (or inside) that someone writes to again, in an address book of a person or of a department."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, IDENTIFIER, Base, text_of
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import ContactId, DepartmentId, StaffUserId
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import LONGEST_NAME
from zegelpost.model.refusals import (
    EmailAddressInvalid,
    FormRefused,
    NameMissing,
    NameTooLong,
    OrganisationTooLong,
    PhoneCountryNotAllowed,
    Refusal,
)

LONGEST_ORGANISATION: Final = 200  # characters
# Of one book. All of them are opened to search in names, see `services/keeping_contacts.py` for what that costs.
MOST_CONTACTS: Final = 5000


class ContactSource(StrEnum):
    """Where a contact came from. What another system feeds is told apart here from what people keep themselves."""

    TYPED = "typed"
    SENDING = "sending"  # saved while sending to them
    IMPORTED = "imported"  # from a file
    CORRECTED = "corrected"  # one's own version of what a feed lists
    EXCHANGE = "exchange"  # listed in someone's own book in Exchange
    DIRECTORY = "directory"  # listed for the whole organisation


class Contact(Base):
    """One address in one book. Belongs to a staff user or to a department, then to every member, then and later."""

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
    email_index: Mapped[bytes] = mapped_column(BLIND, index=True)
    number_index: Mapped[bytes | None] = mapped_column(BLIND)
    source: Mapped[ContactSource] = mapped_column(text_of(ContactSource))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    # When a code that was sent to this very number was entered right.
    number_worked_at: Mapped[datetime | None]
    # Under which address a feed lists whom this one corrects.
    corrects_index: Mapped[bytes | None] = mapped_column(BLIND)
    # When it was put in its owner's own book in Exchange.
    copied_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class TypedContact:
    """A contact as typed, or as it stood in a file; nothing checked yet."""

    name: str = field(default="", repr=False)
    organisation: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    mobile: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Card:
    """What a contact says. Sealed in the database under an installation key."""

    name: str = field(repr=False)
    organisation: str = field(repr=False)
    email: EmailAddress = field(repr=False)
    mobile: PhoneNumber | None = field(repr=False)

    @classmethod
    def parse(cls, typed: TypedContact, policy: Policy) -> Card:
        """Check everything at once; raise `FormRefused` that names each refused field."""
        refused: dict[str, Refusal] = {}
        name, organisation = " ".join(typed.name.split()), " ".join(typed.organisation.split())
        if not name:
            refused["name"] = NameMissing()
        if len(name) > LONGEST_NAME:
            refused["name"] = NameTooLong(limit=LONGEST_NAME)
        if len(organisation) > LONGEST_ORGANISATION:
            refused["organisation"] = OrganisationTooLong(limit=LONGEST_ORGANISATION)
        email: EmailAddress | None = None
        try:
            email = EmailAddress.parse(typed.email)
        except EmailAddressInvalid as refusal:
            refused["email"] = refusal
        mobile: PhoneNumber | None = None
        try:
            mobile = parse_mobile(typed.mobile, policy)
        except Refusal as refusal:
            refused["mobile"] = refusal
        if refused or email is None:
            raise FormRefused(refused)
        return cls(name, organisation, email, mobile)

    def onto(self, known: Card) -> Card:
        """Put this card over an older one: what is empty here takes nothing away there."""
        return Card(self.name, self.organisation or known.organisation, self.email, self.mobile or known.mobile)

    def to_json(self) -> str:
        mobile = self.mobile.e164 if self.mobile else None
        return json.dumps({"name": self.name, "organisation": self.organisation, "email": str(self.email), "mobile": mobile})

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read back what `to_json` wrote; the values were checked when they came in."""
        fields = json.loads(text)
        local, _, domain = fields["email"].rpartition("@")
        mobile = PhoneNumber(fields["mobile"]) if fields["mobile"] else None
        return cls(fields["name"], fields["organisation"], EmailAddress(local, domain), mobile)


def parse_mobile(typed: str, policy: Policy) -> PhoneNumber | None:
    """A number that codes may be sent to; nothing for nothing. Raises what stands in the way."""
    if not typed.strip():
        return None
    mobile = PhoneNumber.parse(typed)
    if mobile.country_prefix not in policy.country_prefixes:
        raise PhoneCountryNotAllowed(prefix=mobile.country_prefix)
    return mobile


def folded(text: str) -> str:
    """For comparing: without capitals, and without marks on letters, which few type when they search."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
