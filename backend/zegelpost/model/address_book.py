"""Address books that others feed: Exchange, or a file of the organisation. What came from there, and how reading it goes.

What people keep themselves is in `contact.py` and is never touched from here: a contact of one's own stands in front of what
a feed lists under the same address.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import BLIND, DIGEST, IDENTIFIER, Base, BlindIndexed, text_of
from zegelpost.model.contact import LONGEST_ORGANISATION, Card, parse_mobile
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import ContactId, FeedId, StaffUserId
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import LONGEST_NAME
from zegelpost.model.refusals import EmailAddressInvalid, PhoneCountryNotAllowed, PhoneNumberNotMobile, Refusal

EntryKey = NewType("EntryKey", str)

# Places of feeds that are nobody's own; those of people are their identifiers.
DIRECTORY: Final = "directory"
FILE: Final = "file"
UPLOAD: Final = "upload"  # a list that an administrator handed in on a page

# Of one list of the organisation.
MOST_IN_FILE: Final = 500_000
# While somebody waits; larger ones are put in a file that workers read.
MOST_UPLOADED: Final = 20_000
# How long a worker may go without keeping a page before another one takes the feed over.
CLAIM_LENGTH: Final = timedelta(minutes=5)
FIRST_RETRY: Final = timedelta(minutes=1)
# When a pass over the organisation's list would take away more than half of so many, an administrator decides.
FEW: Final = 20

# Where Exchange Online answers; https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
_EXCHANGE_ONLINE: Final = (
    *("office365.com", "office.com", "outlook.com", "office365.us", "office365.cn", "outlook.cn", "outlook.de"),
    *("microsoftonline.com", "cloud.microsoft", "onmicrosoft.com"),
)
_MOST_ADDRESSES: Final = 10
_MOST_NUMBERS: Final = 20
_LONGEST_NUMBER: Final = 40  # characters shown of what was typed


class AddressBookKind(StrEnum):
    """What feeds an address book."""

    GRAPH = "graph"  # Exchange Online
    EWS = "ews"  # Exchange on-premises
    FILE = "file"


def is_exchange_online(host: str) -> bool:
    """Whether a host is one of Exchange Online, where EWS ends on 2027-04-01."""
    name = host.lower().rstrip(".")
    return any(name == each or name.endswith(f".{each}") for each in _EXCHANGE_ONLINE)


class FeedTrouble(StrEnum):
    """Why an address book could not be read, each with a sentence for its owner and one for administrators."""

    CREDENTIALS = "credentials"
    PERMISSION = "permission"
    WRITE_PERMISSION = "write_permission"
    MAILBOX_MISSING = "mailbox_missing"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    UNREADABLE = "unreadable"
    FILE_MISSING = "file_missing"
    FILE_UNREADABLE = "file_unreadable"
    SHRUNK = "shrunk"  # most of it would be gone
    OTHER = "other"


class NumberProblem(StrEnum):
    """Why no code can be sent to a number in an address book."""

    INVALID = "invalid"
    NOT_MOBILE = "not_mobile"
    ABROAD = "abroad"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """Someone in an address book, as it stands there; nothing checked yet."""

    key: EntryKey
    folder: str
    name: str = field(default="", repr=False)
    organisation: str = field(default="", repr=False)
    emails: Sequence[str] = field(default=(), repr=False)
    numbers: Sequence[str] = field(default=(), repr=False)  # the likeliest mobile first
    changed_at: datetime | None = None  # by the provider's own account


@dataclass(frozen=True, slots=True, repr=False)
class DirectoryAccount:
    """What the organisation's directory says of someone who works there. `subject`: as the sign-in provider names them."""

    subject: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class ListedCard:
    """What a feed says of one address. `typed_number`: of a number that no code can be sent to, as it stands there."""

    card: Card
    number_problem: NumberProblem | None = None
    typed_number: str = field(default="", repr=False)

    @classmethod
    def all_of(cls, entry: BookEntry, policy: Policy) -> list[ListedCard]:
        """One per address that can be mailed, in the entry's order. What is too long is cut: it is the source's to mend."""
        mobile, problem, typed = _number(entry.numbers, policy)
        cards: dict[str, ListedCard] = {}
        for text in entry.emails[:_MOST_ADDRESSES]:
            try:
                email = EmailAddress.parse(text)
            except EmailAddressInvalid:
                continue
            name = _line(entry.name, LONGEST_NAME) or str(email)[:LONGEST_NAME]
            card = Card(name, _line(entry.organisation, LONGEST_ORGANISATION), email, mobile)
            cards.setdefault(email.comparable, cls(card, problem, typed))
        return list(cards.values())

    def to_json(self) -> str:
        return json.dumps([self.card.to_json(), self.number_problem, self.typed_number])

    @classmethod
    def from_json(cls, text: str) -> ListedCard:
        """Read back what `to_json` wrote."""
        card, problem, typed_number = json.loads(text)
        return cls(Card.from_json(card), NumberProblem(problem) if problem else None, typed_number)


def _line(text: str, longest: int) -> str:
    """One line of visible text."""
    visible = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text[: longest * 4])
    return " ".join(visible.split())[:longest].rstrip()


def _number(typed: Sequence[str], policy: Policy) -> tuple[PhoneNumber | None, NumberProblem | None, str]:
    """The first that a code can be sent to; else why the likeliest one cannot be used, and how it was typed."""
    trouble: tuple[NumberProblem, str] | None = None
    for text in typed[:_MOST_NUMBERS]:
        if not text.strip():
            continue
        try:
            return parse_mobile(text, policy), None, ""
        except PhoneNumberNotMobile:
            problem = NumberProblem.NOT_MOBILE
        except PhoneCountryNotAllowed:
            problem = NumberProblem.ABROAD
        except Refusal:
            problem = NumberProblem.INVALID
        trouble = trouble or (problem, _line(text, _LONGEST_NUMBER))
    return (None, *trouble) if trouble else (None, None, "")


class AddressFeed(Base):
    """One address book that is read again and again: someone's own, or one of the organisation. Read by one worker at a time."""

    __tablename__ = "address_feed"

    id: Mapped[FeedId] = mapped_column(IDENTIFIER, primary_key=True)
    # `DIRECTORY`, `FILE`, or whose it is, so that nobody has two.
    place: Mapped[str] = mapped_column(IDENTIFIER, unique=True)
    owner_id: Mapped[StaffUserId | None] = mapped_column(ForeignKey("staff_user.id"))
    kind: Mapped[AddressBookKind] = mapped_column(text_of(AddressBookKind))
    # The owner's own choice; that of the organisation is in `AddressBookChoices`.
    is_switched_on: Mapped[bool] = mapped_column(default=True)
    sealed_cursor: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Counts the passes that named everything; what has an older number at the end of one is gone.
    generation: Mapped[int] = mapped_column(default=0)
    is_whole_pass: Mapped[bool] = mapped_column(default=False)
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    claimed_by: Mapped[str | None] = mapped_column(String(26))
    claimed_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    trouble: Mapped[FeedTrouble | None] = mapped_column(text_of(FeedTrouble))
    trouble_since: Mapped[datetime | None]
    failed_count: Mapped[int] = mapped_column(default=0)
    # Of the last pass or increment that came to its end.
    added_count: Mapped[int] = mapped_column(default=0)
    changed_count: Mapped[int] = mapped_column(default=0)
    removed_count: Mapped[int] = mapped_column(default=0)


class ListedContact(Base):
    """One address that a feed lists. Only reading the feed changes it."""

    __tablename__ = "listed_contact"
    __table_args__ = (
        UniqueConstraint("feed_id", "entry_digest", "email_index", name="uq_listed_contact_entry_email"),
        Index("ix_listed_contact_email_index", "email_index"),
        Index("ix_listed_contact_folder", "feed_id", "folder_digest"),
    )

    id: Mapped[ContactId] = mapped_column(IDENTIFIER, primary_key=True)
    feed_id: Mapped[FeedId] = mapped_column(ForeignKey("address_feed.id", ondelete="CASCADE"))
    # Keyed hashes: providers' own identifiers hold addresses of people.
    entry_digest: Mapped[bytes] = mapped_column(DIGEST)
    folder_digest: Mapped[bytes] = mapped_column(DIGEST)
    # Tells without opening whether anything changed.
    content_digest: Mapped[bytes] = mapped_column(DIGEST)
    email_index: Mapped[bytes] = mapped_column(BLIND)
    number_index: Mapped[bytes | None] = mapped_column(BLIND)
    number_problem: Mapped[NumberProblem | None] = mapped_column(text_of(NumberProblem))
    sealed_card: Mapped[bytes] = mapped_column(LargeBinary)
    generation: Mapped[int]
    changed_at: Mapped[datetime]
    # When a code that was sent to this very number was entered right; only in someone's own book.
    number_worked_at: Mapped[datetime | None]


class ListedWord(Base):
    """Keyed hash of how a word of a listed contact begins. Finds among a hundred thousand without opening them all."""

    __tablename__ = "listed_word"

    beginning: Mapped[bytes] = mapped_column(BlindIndexed(8), primary_key=True)
    listed_id: Mapped[ContactId] = mapped_column(
        ForeignKey("listed_contact.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class AddressBookChoices(Base):
    """What administrators chose for the whole organisation. One row; without it the defaults hold."""

    __tablename__ = "address_book_choices"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    reads_directory: Mapped[bool] = mapped_column(default=True)
    reads_mailboxes: Mapped[bool] = mapped_column(default=True)
    # New contacts of people go to their own book in Exchange too, from this moment on.
    writes_back_since: Mapped[datetime | None] = mapped_column(default=None)
