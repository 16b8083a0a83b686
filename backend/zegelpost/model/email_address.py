"""E-mail addresses as people type them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from zegelpost.model.refusals import EmailAddressInvalid

# Stricter than RFC 5321 on purpose: ASCII only, no quoted local part, no comment, no address literal. Those forms are
# how header and recipient injection travels (CVE-2024-6923 and its family), and nobody's mailbox needs them.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
# RFC 2047: Python's own header parser decodes these even within an address, so `=?utf-8?q?a=40b.nl=2c?=@c.nl` would mail a@b.nl.
_ENCODED_WORD = "=?"
_LONGEST = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
_LONGEST_LOCAL = 64  # RFC 5321, section 4.5.3.1.1


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """One mailbox. The domain is lower case (it is case-insensitive); the local part stays as typed."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a person typed, white space around it ignored; raise `EmailAddressInvalid`."""
        trimmed = text.strip()
        local, at, domain = trimmed.rpartition("@")
        if not at or len(local) > _LONGEST_LOCAL or not _LOCAL.match(local) or _ENCODED_WORD in local:
            raise EmailAddressInvalid
        domain = _ascii_domain(domain)
        if len(local) + len(at) + len(domain) > _LONGEST:
            raise EmailAddressInvalid
        labels = domain.split(".")
        if len(labels) < 2 or not all(_LABEL.match(label) for label in labels) or labels[-1].isdigit():  # noqa: PLR2004 - host and top level
            raise EmailAddressInvalid
        return cls(local, domain)

    @property
    def comparable(self) -> str:
        """The form in which two spellings of one mailbox are equal; nearly every provider ignores case in the local part."""
        return f"{self.local.lower()}@{self.domain}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def _ascii_domain(typed: str) -> str:
    """The domain as mail servers know it, with names in other scripts as `xn--…` (RFC 3490). Raises `EmailAddressInvalid`.

    Characters that this standard maps to others (`ß` to `ss`, `℡` to `tel`) or leaves out are refused: newer software reads
    some of them differently, and documents may only go where the sender reads that they go.
    """
    domain = unicodedata.normalize("NFC", typed.lower())
    if domain.isascii():
        return domain
    try:
        encoded = domain.encode("idna")
        is_stable = encoded.decode("idna") == domain
    except UnicodeError:
        raise EmailAddressInvalid from None
    if not is_stable:
        raise EmailAddressInvalid
    return encoded.decode()
