"""Where a mail comes back to when it cannot be delivered: an address of its own for each mail, so that we know which it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import OutgoingId

MARK_LENGTH: Final = 16  # characters of base32: 80 bits
# RFC 5321, section 4.5.3.1.1, less the plus sign, an identifier and its mark.
LONGEST_LOCAL: Final = 64 - 1 - 26 - MARK_LENGTH


@dataclass(frozen=True, slots=True)
class ReturnMark:
    """Which mail, and the keyed mark that only we could have given it."""

    outgoing_id: OutgoingId
    mark: str


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """The mailbox of what comes back. Each mail gets `name+<identifier><mark>@domain` (subaddressing, RFC 5233)."""

    mailbox: EmailAddress

    def of(self, mark: ReturnMark) -> str:
        """The envelope sender of one mail."""
        return f"{self.mailbox.local}+{mark.outgoing_id}{mark.mark}@{self.mailbox.domain}"

    def marks_in(self, headers: str) -> set[ReturnMark]:
        """Every address of ours in header text. Mail servers may change the case, and write what they like around it."""
        before, behind = re.escape(f"{self.mailbox.local}+"), re.escape(f"@{self.mailbox.domain}")
        pattern = rf"{before}([a-z2-7]{{26}})([a-z2-7]{{{MARK_LENGTH}}}){behind}"
        return {
            ReturnMark(OutgoingId(found[1].lower()), found[2].lower()) for found in re.finditer(pattern, headers, re.IGNORECASE)
        }
