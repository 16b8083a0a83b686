"""Identifiers with types, so that a transfer's cannot be passed where a recipient's belongs."""

from __future__ import annotations

import base64
import re
import secrets
from typing import NewType

TransferId = NewType("TransferId", str)
DocumentId = NewType("DocumentId", str)
RecipientId = NewType("RecipientId", str)
LinkId = NewType("LinkId", str)
TemplateId = NewType("TemplateId", str)
ContactId = NewType("ContactId", str)
FeedId = NewType("FeedId", str)
ItemId = NewType("ItemId", str)
UploadId = NewType("UploadId", str)
StaffUserId = NewType("StaffUserId", str)
DepartmentId = NewType("DepartmentId", str)
SignInId = NewType("SignInId", str)
FactorId = NewType("FactorId", str)
ChallengeId = NewType("ChallengeId", str)
DeviceId = NewType("DeviceId", str)
GrantId = NewType("GrantId", str)
OutgoingId = NewType("OutgoingId", str)
HoldId = NewType("HoldId", str)
HeldBackId = NewType("HeldBackId", str)
BlobName = NewType("BlobName", str)

_IDENTIFIER = re.compile(r"[a-z2-7]{26}\Z")


def new_identifier() -> str:
    """128 random bits as 26 lower-case base32 characters (RFC 4648, section 6): unguessable and safe in URLs and file names."""
    return _encoded(secrets.token_bytes(16))


def neighbouring_identifiers(count: int) -> list[str]:
    """Many at once, for rows that are made together: they begin alike, so an index takes them in one place and not in as many.

    Each has 80 random bits of its own, after 48 that they share.
    """
    shared = secrets.token_bytes(6)
    return [_encoded(shared + secrets.token_bytes(10)) for _ in range(count)]


def _encoded(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def is_identifier(text: str) -> bool:
    """Whether `text` has the form of an identifier; anything else need not reach the database."""
    return _IDENTIFIER.match(text) is not None
