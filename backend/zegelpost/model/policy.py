"""Policy: the organisation's limits and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.file_name import FileName
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import (
    DocumentTooLarge,
    ExpiryOutOfRange,
    ExtensionMissing,
    ExtensionNotAllowed,
    QuotaExceeded,
    TooManyDocuments,
    TransferTooLarge,
    VerificationMethodNotAllowed,
)

GIGABYTE: Final = 1000**3  # decimal, as people see sizes on their screens

# The first two lines are the list of the portal this replaces; the rest is what people in care and inspections use today.
DEFAULT_EXTENSIONS: Final = (
    "eps", "gif", "jpeg", "jpg", "png", "doc", "docx", "odt", "xls", "xlsx", "ods", "pps", "ppsx", "ppt", "pptx", "odp",
    "zip", "rar", "7z", "gz", "tgz", "lzma", "cab", "gzip", "bzip2", "z", "bz2", "pdf", "txt",
    "csv", "eml", "msg", "rtf", "tif", "tiff", "heic", "mp3", "m4a", "mp4", "dcm",
)  # fmt: skip


class GuardMode(StrEnum):
    """What Outlook does with a mail that should go through the secure channel."""

    SOFT_BLOCK = "soft_block"  # it does not leave
    PROMPT_USER = "prompt_user"  # the sender is asked, and may send it anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    staff_domains: tuple[str, ...] = ()
    extensions: tuple[str, ...] = DEFAULT_EXTENSIONS
    largest_document_bytes: int = 20 * GIGABYTE
    largest_transfer_bytes: int = 50 * GIGABYTE
    quota_bytes: int = 500 * GIGABYTE  # of one sender, all transfers that are still kept
    guest_quota_bytes: int = 20 * GIGABYTE  # of one guest, all answers to one transfer that are still kept
    intake_quota_bytes: int = 5 * GIGABYTE  # of one guest who starts unasked, for one intake
    most_documents: int = 250
    most_recipients: int = 50
    default_expiry_days: int = 28
    longest_expiry_days: int = 365
    # Link-only when false: nobody but the holder of the link can open, so a lost link cannot be replaced.
    has_sender_copy: bool = True
    methods: tuple[VerificationMethod, ...] = (VerificationMethod.SMS, VerificationMethod.ACCESS_CODE)
    # Where code messages may go; keeps them from being used to pump premium routes.
    country_prefixes: tuple[str, ...] = (
        # The Netherlands with their municipalities overseas, and the countries around: where those live who get post from us.
        # +1 and the islands behind it, among others, are where pumping pays; `ZEGELPOST_SMS_COUNTRIES` adds what is missed.
        "+31", "+599", "+32", "+49", "+352",
    )  # fmt: skip
    # Whether recipients may have a device remembered, so that it needs no code for thirty days.
    remembers_devices: bool = True
    # Of codes by text message or call; beyond them nobody gets one, and administrators are told.
    codes_per_sender_and_day: int = 300
    codes_per_day: int = 2000
    # Whether outsiders may start unasked, on the public page.
    has_intake: bool = True
    guard_mode: GuardMode = GuardMode.SOFT_BLOCK
    is_scanning: bool = False
    # Of staff, besides the password (BIO2, ASVS 5.0 6.3.3). Without it a stolen password is enough.
    requires_second_factor: bool = True
    # Whether the organisation's own sign-in provider vouches for staff; who is joined to it has no use for a password.
    has_sign_in_provider: bool = False
    # Groups or app roles of that provider that make an administrator; without any, administrators are not its to say.
    administrator_roles: tuple[str, ...] = ()
    # The same of auditors.
    auditor_roles: tuple[str, ...] = ()

    def is_staff_address(self, address: EmailAddress) -> bool:
        return address.domain in self.staff_domains

    def require_document(self, name: FileName, length_bytes: int) -> None:
        if not name.extension:
            raise ExtensionMissing
        if name.extension not in self.extensions:
            raise ExtensionNotAllowed(extension=name.extension)
        if length_bytes > self.largest_document_bytes:
            raise DocumentTooLarge(limit_bytes=self.largest_document_bytes)

    def require_room(
        self,
        *,
        document_count: int,
        transfer_bytes: int,
        sender_bytes: int,
        is_guest: bool = False,
        is_unasked: bool = False,
    ) -> None:
        """Limits with the new document already counted. `is_unasked`: of a guest whom nobody asked for anything."""
        if document_count > self.most_documents:
            raise TooManyDocuments(limit=self.most_documents)
        if transfer_bytes > self.largest_transfer_bytes:
            raise TransferTooLarge(limit_bytes=self.largest_transfer_bytes)
        quota_bytes = self.intake_quota_bytes if is_unasked else self.guest_quota_bytes if is_guest else self.quota_bytes
        if sender_bytes > quota_bytes:
            raise QuotaExceeded(limit_bytes=quota_bytes)

    def require_expiry(self, days: int) -> None:
        if not 1 <= days <= self.longest_expiry_days:
            raise ExpiryOutOfRange(shortest=1, longest=self.longest_expiry_days)

    @property
    def usual_method(self) -> VerificationMethod:
        """Of outsiders for whom nobody chose: the first that takes a number alone, for an access code has to be agreed."""
        return next((method for method in self.methods if method.needs_number), self.methods[0])

    def require_method(self, method: VerificationMethod) -> None:
        if method != VerificationMethod.SIGN_IN and method not in self.methods:
            raise VerificationMethodNotAllowed
