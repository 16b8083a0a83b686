"""The outside world on one page.

A port exists only for what is outside the process and ours to choose: where sealed bytes lie, who carries mail and SMS,
where keys are kept, who looks for malware, who vouches for staff, what makes a PDF. The database is not here: SQLAlchemy is
the port.

Outages raise an `OutageError`. The adapter, which knows the provider, says with `is_permanent` whether trying again can
help; retrying and giving up live in one loop, `services/dispatching.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from zegelpost.model.address_book import AddressBookKind, BookEntry, DirectoryAccount, EntryKey, FeedTrouble
from zegelpost.model.contact import Card
from zegelpost.model.document import ScanVerdict
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import BlobName
from zegelpost.model.outgoing import CarrierState


class OutageError(Exception):
    """Something of ours or of a provider does not work. `reason` is for people; it holds no personal data."""

    def __init__(self, reason: str, *, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_permanent = is_permanent


class BlobError(OutageError): ...


class BlobMissingError(BlobError): ...


class BlobSpaceError(BlobError):
    """The store is full. Nothing of the blob is kept."""


class KeyRingError(OutageError): ...


class KeyDestroyedError(KeyRingError):
    """The week's keys were destroyed: what they wrapped can never be opened again."""


class MailError(OutageError):
    """`reason` carries the server's reply code and the class of error, not its text (it may quote addresses)."""

    def __init__(self, reason: str, *, is_permanent: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason, is_permanent=is_permanent)
        # What a busy provider asked us to wait.
        self.retry_after_seconds = retry_after_seconds


class BounceMailboxError(OutageError):
    """`reason` names the setting, and nothing of what is in the mailbox."""


class SmsError(OutageError):
    """`kind` groups the provider's codes, because providers advise against logic on exact codes."""

    def __init__(
        self,
        reason: str,
        *,
        kind: SmsErrorKind,
        is_permanent: bool,
        may_have_been_sent: bool,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason, is_permanent=is_permanent)
        self.kind = kind
        # When the provider said so; trying earlier would make it worse.
        self.retry_after_seconds = retry_after_seconds
        # After a time-out nobody knows. A code is never sent twice, so such a message is not tried again.
        self.may_have_been_sent = may_have_been_sent


class SmsErrorKind(StrEnum):
    """Classes of errors with codes, by SMS or by telephone, each with its own sentence for the sender."""

    NUMBER_WRONG = "number_wrong"
    NOT_MOBILE = "not_mobile"
    OPTED_OUT = "opted_out"
    UNREACHABLE = "unreachable"
    OUR_SETUP = "our_setup"
    BUSY = "busy"
    SUSPICIOUS = "suspicious"
    # Of calls.
    LINE_BUSY = "line_busy"
    NO_ANSWER = "no_answer"
    NO_KEY = "no_key"
    OTHER = "other"


class ScannerError(OutageError): ...


class PdfError(OutageError): ...


class SealError(OutageError): ...


class AddressBookError(OutageError):
    """An address book could not be read. `trouble` is the class of it, each with sentences for its owner and administrators.

    Trying again is always worth it, if only because somebody may have mended the set-up; `is_permanent` says that nothing
    but that helps.
    """

    def __init__(
        self, reason: str, *, trouble: FeedTrouble, is_permanent: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason, is_permanent=is_permanent)
        self.trouble = trouble
        # What a busy provider asked us to wait; before that it counts every request against us.
        self.retry_after_seconds = retry_after_seconds


class CursorRefusedError(AddressBookError):
    """The provider no longer knows the cursor: too old, or its own state was lost. Reading starts over, without one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, trouble=FeedTrouble.OTHER)


class IdentityError(OutageError):
    """The sign-in provider does not answer, does not say what it should, or does not know us."""


class BlobWriter(Protocol):
    """One blob being written. Calls come one at a time from one thread; they block and may be slow."""

    def write(self, data: bytes | memoryview) -> None:
        """Append. The buffer may be reused by the caller as soon as this returns. Raises `BlobSpaceError`, `BlobError`."""

    def commit(self) -> None:
        """Make the blob durable and visible under its name. After this returns, a power cut does not lose it.

        Raises what `write` raises: bytes may have waited until now.
        """

    def abort(self) -> None:
        """Leave nothing behind. Also safe after an error and after another abort."""


class Blobs(Protocol):
    """Where sealed bytes lie. Names are random and never reused, so nothing relies on conditional puts.

    All methods block; callers run them in threads.
    """

    def create(self, name: BlobName) -> BlobWriter:
        """Start a blob. It is invisible until committed."""

    def read(self, name: BlobName, start: int, length: int) -> bytes:
        """`length` bytes from `start`, fewer only at the end. Raises `BlobMissingError`."""

    def read_into(self, name: BlobName, start: int, view: memoryview) -> int:
        """The same into the caller's buffer; returns how many bytes came, fewer than fit only at the end."""

    def size(self, name: BlobName) -> int:
        """Bytes stored. Raises `BlobMissingError`."""

    def delete(self, name: BlobName) -> None:
        """Remove; absent is fine, so that a sweep can be repeated."""

    def names(self) -> list[BlobName]:
        """Every committed blob, for the sweep of orphans."""


@dataclass(frozen=True, slots=True, repr=False)
class WeekKeys:
    """The two keys of one expiry week, and the sender keys of before a rotation that are still kept."""

    week: str
    link_salt: bytes
    sender_key: bytes
    earlier_sender_keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class EarlierKey:
    """A key that was replaced in a rotation and is still kept: which one, and when it was replaced."""

    name: str  # `people`, `index`, …, or `2026-W52.sender`
    rotation: str
    replaced_at: datetime


class KeyRing(Protocol):
    """Keys that live outside the database and its backups.

    Two processes that ask for a missing key at once get the same one.
    """

    def week(self, week: str) -> WeekKeys:
        """Keys of an ISO week (`2026-W52`), made on first use. Raises `KeyDestroyedError` once destroyed."""

    def destroy_week(self, week: str) -> None:
        """Make the week's keys unrecoverable. Leaves a mark so that they are never made anew."""

    def weeks(self) -> list[str]:
        """Weeks of whose keys there is anything, also what a destruction that died halfway left."""

    def installation(self, purpose: str) -> bytes:
        """A 32-byte secret of this installation (`people`, `index`, `codes`, `factors`, `checkpoint`), made on first use.

        `feeds` is the `index` of before the first rotation: providers' own names of entries are not kept, so what was hashed
        of them cannot be hashed anew.
        """

    def installation_keys(self, purpose: str) -> tuple[bytes, ...]:
        """The secret, as above, and behind it those of before a rotation that are still kept. New values take the first."""

    def rotating(self) -> AbstractContextManager[None]:
        """One process at a time may change what follows. Raises `KeyRingError` when another one is at it."""

    def begin_rotation(self, now: datetime) -> str:
        """The name of the rotation that was begun and not ended, else of a new one."""

    def renew(self, rotation: str, now: datetime) -> int:
        """Make new secrets for every installation purpose that rotates and new sender keys for every week; keep those of before.

        Once for each rotation, however often it is called; a process that dies in the middle leaves either the key of before or
        both. Returns how many keys this call made.
        """

    def end_rotation(self) -> None:
        """The next one is a new one."""

    def earlier_keys(self) -> list[EarlierKey]:
        """What is still kept of rotations that ended."""

    def destroy_earlier(self, key: EarlierKey) -> None:
        """Make it unrecoverable. Whoever calls this knows that nothing needs it. Absent is fine."""

    def is_destroyed(self, week: str) -> bool:
        """Whether the week's keys were destroyed. Makes none."""

    def remembered(self) -> str:
        """The note that was given to remember last; empty when there is none."""

    def remember(self, note: str) -> None:
        """Keep a checkpoint outside the database and its backups, in the place of the one before."""

    def outbox_day(self, day: date) -> bytes:
        """The 32-byte secret that seals what was put in the outbox that day. Raises `KeyDestroyedError` once destroyed."""

    def first_outbox_day(self) -> date:
        """The first day whose secret may exist."""

    def destroy_outbox_days_before(self, day: date) -> None:
        """Forget the secrets of days before this one; what was not delivered by then never will be."""


@dataclass(frozen=True, slots=True)
class MailAcceptance:
    """What the first mail server said when it took the mail: evidence, so kept as it was."""

    server: str
    reply_code: int
    tls_version: str | None


class MailGateway(Protocol):
    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        """Hand over finished RFC 5322 bytes unchanged, with these envelope addresses. Raises `MailError`."""


class SenderMailboxes(Protocol):
    """The mailboxes of our own people, to send from and to keep copies in.

    Finished RFC 5322 bytes go in; what leaves has their subject, HTML, recipient and Message-ID, and comes from the mailbox. The
    same bytes always make the same mail.
    """

    async def deliver(self, *, mailbox: str, recipient: str, message: bytes) -> MailAcceptance:
        """Send, and leave nothing among what the mailbox sent: the mail holds a link.

        Raises `MailError`, permanent when this mailbox or our right to use it is not there.
        """

    async def keep(self, *, mailbox: str, message: bytes) -> None:
        """Put a copy among what the mailbox sent, once for each Message-ID. Raises `MailError`."""


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """Something in the mailbox of bounces: its place there, and its bytes, cut off after the limit that was asked for."""

    position: str
    content: bytes = field(repr=False)


class BounceMailbox(Protocol):
    """The mailbox that mail comes back to. Nothing else should be in it. Any number of processes may read it at once."""

    async def unread(self, most: int, *, after: str) -> list[ReturnedMail]:
        """The oldest that nobody has read, behind this position if there is one. Marks nothing.

        Raises `BounceMailboxError`.
        """

    async def settle(self, *, ours: Sequence[ReturnedMail], others: Sequence[ReturnedMail]) -> None:
        """Remove ours, which may quote what we sent, and mark others as read. What is gone already is fine.

        Raises `BounceMailboxError`.
        """


@dataclass(frozen=True, slots=True)
class SmsAcceptance:
    provider_reference: str
    # Why a gateway that should have taken it did not, where another one stepped in.
    passed_over: SmsErrorKind | None = None


class SmsGateway(Protocol):
    """Another provider is another adapter with these methods, chosen by the scheme of `ZEGELPOST_SMS_URL`.

    It passes `tests/contracts/test_sms.py`: one message per call, unchanged, nobody named in an error, and doubt said as doubt.
    """

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:
        """Send one message to an E.164 number, not later than `valid_seconds` from now. Raises `SmsError`.

        `report_to` is the address at which we hear what became of it; a gateway whose reports could not be checked leaves
        it out. The caller never repeats a call after an error with `may_have_been_sent`.
        """


@dataclass(frozen=True, slots=True)
class SmsReport:
    """What a provider says about a message that it took. `state` is nothing where that is no news."""

    provider_reference: str
    state: CarrierState | None
    kind: SmsErrorKind | None = None  # why it was not delivered


class SmsReports(Protocol):
    """Reads what a gateway's provider posts to `report_to`."""

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReport:
        """`address` is the public one, as it was given to the gateway. Raises `ReportForged` for what did not come from there."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What a voice says in one language (`nl`, `en`). A sentence that is a single digit is said apart from what is around it."""

    language: str
    sentences: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallReport:
    """What a provider says about a call that it took: how it ended, or which key was pressed."""

    provider_reference: str
    state: CarrierState | None = None  # `UNDELIVERED` when it is over: whether the code was heard is known from the key
    kind: SmsErrorKind | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """What a provider wants to be told to say, in its own form."""

    media_type: str
    content: str = field(repr=False)


class Telephone(Protocol):
    """Calls people, and reads out what they are to hear once somebody has pressed a key. Anyone, or a machine, may pick up."""

    async def call(self, *, recipient: str, speech: Speech, valid_seconds: int, key_to: str, report_to: str) -> SmsAcceptance:
        """Call an E.164 number once and say this, which asks for a key; after the key, what `key_to` answers.

        The call ends by itself, also when nobody presses anything, and rings no longer than `valid_seconds`. At `report_to`
        we hear how it ended. Raises `SmsError`; the caller never repeats a call after an error with `may_have_been_sent`.
        """

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> CallReport:
        """What the provider posts to `key_to` and `report_to`. `address`: as it was given. Raises `ReportForged`."""

    def ask(self, speech: Speech, *, key_to: str) -> Script:
        """Say this and wait for a key again."""

    def say(self, speech: Speech) -> Script:
        """Say this and hang up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPage:
    """A piece of an address book, or of what changed in it. To be kept in one unit of work with its `cursor`.

    First the removals count, then the entries: what moves from one folder to another is both.
    """

    entries: Sequence[BookEntry] = field(default=(), repr=False)
    removed: Sequence[EntryKey] = ()
    removed_folders: Sequence[str] = ()
    # Of people in the organisation's own directory: whether they may sign in there. Of who is not named, nothing is said.
    accounts: Sequence[DirectoryAccount] = ()
    # Opaque. Where to go on after this page, and after the last one where to look for what changes from then on. May hold
    # identifiers of people, so it is sealed wherever it is kept.
    cursor: str = field(repr=False)
    is_last: bool
    # With this page begins a pass that names everything there is: what it did not name by its last page is gone.
    starts_over: bool = False


class AddressBook(Protocol):
    """Where contacts come from. An entry has one key for as long as it is the same one in the same folder.

    The same entry may come twice, on one page or on several, and what was told before may be told again: later counts, and
    callers put entries where the key says. Nobody else reads the same cursor at the same time, but a page may be asked for
    again when keeping it did not work out.
    """

    kind: AddressBookKind
    # Whether there is a list of the whole organisation to read, and whether there are books of people.
    has_directory: bool
    has_mailboxes: bool

    async def read(self, mailbox: EmailAddress | None, cursor: str | None) -> BookPage:
        """The next page: of what this person keeps, or without a mailbox of the organisation's own list.

        Without a cursor the first one of everything. Raises `CursorRefusedError`, `AddressBookError`.
        """

    async def ask_after(self, subjects: Sequence[str]) -> Sequence[DirectoryAccount]:
        """What the organisation's directory says now of these people; of whom it does not have, that they are not enabled.

        Nothing of whom it does not say it clearly, and nothing at all where there is no such directory. Raises
        `AddressBookError`.
        """

    async def look_up(self, letters: str) -> Sequence[BookEntry]:
        """Who in the organisation's list fits, at most a hundred, asked of the provider there and then.

        Nothing where the whole list is read, so that it is here already. Raises `AddressBookError`.
        """

    async def add(self, mailbox: EmailAddress, card: Card) -> None:
        """Put a contact in this person's own book. It comes back as an entry with the next reading.

        After an `AddressBookError` nobody knows whether it is there: read before trying again. Two calls make two contacts.
        """


class Scanner(Protocol):
    async def scan(self, content: AsyncIterator[bytes | memoryview], *, length_bytes: int) -> ScanVerdict:
        """Look at one document's plaintext as it streams by. Always consumes all of it.

        `NOT_SCANNED` when the scanner is off or its limits were exceeded. Raises `ScannerError` when it should have
        scanned and could not: doubt blocks.
        """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProvenIdentity:
    """Who someone is at the sign-in provider, proven now.

    `issuer` and `subject` together are the person, and never change; nothing else of it names anyone. `emails` are addresses
    that the provider stands for, the likeliest first. `roles` are its words for groups and app roles.
    """

    issuer: str
    subject: str
    emails: tuple[str, ...]
    name: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, repr=False)
class Departure:
    """Where to send someone to sign in, and what `finish` needs when they come back; `kept` is secret."""

    url: str
    kept: str


class IdentityProvider(Protocol):
    """The organisation's sign-in provider. Whatever comes from it through a browser is untrusted until verified here."""

    async def begin(self) -> Departure:
        """Start a sign-in for one browser. Raises `IdentityError`."""

    async def finish(self, kept: str, answer: Mapping[str, str]) -> ProvenIdentity:
        """Judge what the browser brought back. The caller sees to it that `kept` is of this browser, and uses it once.

        Raises the refusal `IdentityRefused` for whatever does not prove who this is, and `IdentityError`.
        """

    async def check(self, access_token: str) -> ProvenIdentity:
        """Judge a token that the add-in's pane was given for our API. Raises `IdentityRefused`, `IdentityError`."""

    async def sign_out_url(self) -> str | None:
        """Where to sign out at the provider too, if it has such a place. Raises `IdentityError`."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrintableDocument:
    """A finished page of ours, and what stands around it on paper. Only `html` is markup; the rest is plain text."""

    html: str  # complete: nothing in it is fetched, neither styles nor pictures
    title: str
    language: str
    header_start: str
    header_end: str
    footer_start: str
    page_words: str  # with `{page}` and `{pages}` where the numbers come
    attachment_name: str
    attachment: str  # JSON


class Seal(Protocol):
    async def seal(self, pdf: bytes) -> bytes:
        """The same PDF with the organisation's signature over all of it. Raises `SealError`."""


class PdfPrinter(Protocol):
    async def print(self, document: PrintableDocument) -> bytes:
        """A PDF on A4 with page numbers and the attachment.

        Whatever the markup asks for, nothing is fetched, no file is read and no script runs: the document prints without
        it, or not at all. Raises `PdfError`, also when it takes too long or too much memory.
        """
